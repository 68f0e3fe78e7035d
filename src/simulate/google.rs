//! Google Workspace's auto-provisioning: users only, active, suspended or deleted. No body of it is published; these are the
//! calls that such a client cannot do without.

use serde_json::{Value, json};

use super::step::{Step, USER, percent};
use super::{Cast, Person};

pub(super) fn conversation(cast: &Cast) -> Vec<Step> {
    let mut steps = vec![Step::get("test the connection", "/Users?count=1").shows(json!({ "startIndex": 1 }))];
    for person in &cast.people {
        steps.extend(user(person));
    }
    let count = cast.people.len().min(100);
    steps.push(Step::get("import the users", "/Users?startIndex=1&count=100").counts_at_least("/Resources", count));
    for person in &cast.people {
        let user = format!("/Users/{}", person.id);
        steps.push(Step::delete("delete the user", &user));
        steps.push(Step::is_gone(&user));
    }
    steps
}

fn body(person: &Person, given: &str, active: bool) -> Value {
    json!({
        "schemas": [USER], "userName": person.user_name, "externalId": person.external_id, "active": active,
        "name": { "givenName": given, "familyName": person.family },
        "emails": [{ "value": person.user_name, "type": "work", "primary": true }]
    })
}

fn user(person: &Person) -> Vec<Step> {
    let user = format!("/Users/{}", person.id);
    let lookup = format!("/Users?filter={}", percent(&format!("userName eq \"{}\"", person.user_name)));
    vec![
        Step::finds_nobody("look the user up", &lookup),
        Step::post("create the user", "/Users", body(person, &person.given, true)).captures(&person.variable),
        Step::post("create the user again", "/Users", body(person, &person.given, true)).conflicts(),
        Step::finds("adopt after the conflict", lookup, &person.id),
        Step::put("update", &user, body(person, "Ann", true)).shows(json!({ "name": { "givenName": "Ann" } })),
        Step::patch("suspend: deactivate", &user, json!([{ "op": "replace", "path": "active", "value": false }])),
        Step::reads_user(&person.id, json!({ "active": false, "name": { "givenName": "Ann" } })),
        Step::patch("reactivate", &user, json!([{ "op": "replace", "path": "active", "value": true }])),
        Step::reads_user(&person.id, json!({ "active": true })),
    ]
}
