//! Oracle OCI IAM: users only, by POST, list, GET, PUT and DELETE, with JSON's own media type.

use serde_json::{Value, json};

use super::step::{Step, USER, percent};
use super::{Cast, Person};

pub(super) fn conversation(cast: &Cast) -> Vec<Step> {
    let mut steps = vec![Step::get("test the connection", "/Users?startIndex=1&count=1").shows(json!({ "startIndex": 1 }))];
    for person in &cast.people {
        steps.extend(user(person));
    }
    let count = cast.people.len().min(50);
    steps.push(Step::get("import the users", "/Users?startIndex=1&count=50").counts_at_least("/Resources", count));
    for person in &cast.people {
        let user = format!("/Users/{}", person.id);
        steps.push(Step::delete("delete the user when the application is unassigned", &user));
        steps.push(Step::is_gone(&user));
    }
    steps
}

fn body(person: &Person, title: &Value, active: bool) -> Value {
    json!({
        "schemas": [USER], "userName": person.user_name, "name": { "givenName": person.given, "familyName": person.family },
        "displayName": person.display(), "title": title, "active": active,
        "emails": [{ "value": person.user_name, "type": "work", "primary": true }]
    })
}

fn user(person: &Person) -> Vec<Step> {
    let user = format!("/Users/{}", person.id);
    let lookup = format!("/Users?filter={}", percent(&format!("userName eq \"{}\"", person.user_name)));
    let create = body(person, &Value::Null, true);
    let driver = Value::from("Driver");
    vec![
        Step::finds_nobody("look the user up", &lookup),
        Step::post("create the user", "/Users", create.clone()).captures(&person.variable),
        Step::post("create the user again", "/Users", create).conflicts(),
        Step::finds("adopt after the conflict", lookup, &person.id),
        Step::put("update", &user, body(person, &driver, true)).shows(json!({ "title": "Driver" })),
        Step::put("deactivate", &user, body(person, &driver, false)).shows(json!({ "active": false })),
        Step::reads_user(&person.id, json!({ "active": false, "title": "Driver" })),
        Step::put("reactivate", &user, body(person, &driver, true)),
        Step::reads_user(&person.id, json!({ "active": true })),
    ]
}
