//! PingFederate and PingOne: the administrator chooses the lookup (`userName eq`, `emails eq`, an expression of their own),
//! whether removal disables or deletes, and whether memberships are merged or overwritten. Only these settings are published,
//! not the traffic.

use serde_json::{Value, json};

use super::step::{GROUP, Step, USER, members, percent};
use super::{Cast, Person, Team};

pub(super) fn conversation(cast: &Cast) -> Vec<Step> {
    let mut steps = vec![Step::finds_nobody("test the connection", lookup("userName", &cast.nobody))];
    for person in &cast.people {
        steps.extend(user(person));
    }
    for team in &cast.teams {
        steps.extend(group(cast, team));
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

fn lookup(attribute: &str, value: &str) -> String {
    format!("/Users?filter={}", percent(&format!("{attribute} eq \"{value}\"")))
}

fn body(person: &Person, title: &Value, active: bool) -> Value {
    json!({
        "schemas": [USER], "userName": person.user_name, "name": { "givenName": person.given, "familyName": person.family },
        "title": title, "emails": [{ "type": "work", "value": person.user_name }], "active": active
    })
}

fn user(person: &Person) -> Vec<Step> {
    let user = format!("/Users/{}", person.id);
    let own_expression =
        format!("/Users?filter={}", percent(&format!("userName sw \"{}\" and (active eq true or emails co \"nobody\")", person.user_name)));
    let create = body(person, &Value::Null, true);
    vec![
        Step::finds_nobody("look the user up", lookup("userName", &person.user_name)),
        Step::finds_nobody("look the user up by address", lookup("emails", &person.user_name)),
        Step::post("create the user", "/Users", create.clone()).captures(&person.variable),
        Step::post("create the user again", "/Users", create).conflicts(),
        Step::finds("adopt after the conflict", lookup("emails", &person.user_name), &person.id),
        Step::finds("look up with an expression of the administrator", own_expression, &person.id),
        Step::put("update", &user, body(person, &"Driver".into(), true)).shows(json!({ "title": "Driver" })),
        Step::patch("deactivate", &user, json!([{ "op": "replace", "path": "active", "value": false }])),
        Step::reads_user(&person.id, json!({ "active": false, "title": "Driver" })),
        Step::put("reactivate", &user, body(person, &"Driver".into(), true)),
        Step::reads_user(&person.id, json!({ "active": true })),
    ]
}

fn group(cast: &Cast, team: &Team) -> Vec<Step> {
    let ids = cast.ids();
    let group = format!("/Groups/{}", team.id);
    let change = |op: &str, ids: &[&str]| json!([{ "op": op, "path": "members", "value": members(ids) }]);
    let renamed = format!("{} renamed", team.name);
    let put = json!({ "schemas": [GROUP], "displayName": renamed, "members": members(&ids[..1]) });
    vec![
        Step::post("create the group", "/Groups", json!({ "schemas": [GROUP], "displayName": team.name })).captures(&team.variable),
        Step::patch("merge: add members", &group, change("add", &ids)),
        Step::reads_members(&team.id, &ids),
        Step::patch("merge: remove a member", &group, change("remove", &ids[..1])),
        Step::reads_members(&team.id, &ids[1..]),
        Step::put("rename the group and overwrite its members", &group, put),
        Step::reads_members(&team.id, &ids[..1]).shows(json!({ "displayName": renamed })),
        Step::patch("overwrite: replace the members", &group, change("replace", &ids)),
        Step::reads_members(&team.id, &ids),
        Step::delete("delete the group", &group),
        Step::is_gone(&group),
    ]
}
