//! Rippling: users and, by its options, groups that it creates, deletes and edits by PATCH. The attributes are externalId,
//! userName, the primary address, the names and employeeNumber.

use serde_json::{Value, json};

use super::step::{ENTERPRISE, GROUP, Step, USER, members, percent};
use super::{Cast, Person, Team};

pub(super) fn conversation(cast: &Cast) -> Vec<Step> {
    let mut steps = vec![Step::get("test the connection", "/Users?startIndex=1&count=1").shows(json!({ "startIndex": 1 }))];
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

fn body(person: &Person, number: &str, active: bool) -> Value {
    json!({
        "schemas": [USER, ENTERPRISE], "userName": person.user_name, "externalId": person.external_id, "active": active,
        "name": { "givenName": person.given, "familyName": person.family }, "emails": [{ "value": person.user_name, "primary": true }],
        ENTERPRISE: { "employeeNumber": number }
    })
}

fn user(person: &Person) -> Vec<Step> {
    let user = format!("/Users/{}", person.id);
    let lookup = format!("/Users?filter={}", percent(&format!("userName eq \"{}\"", person.user_name)));
    vec![
        Step::finds_nobody("look the user up", &lookup),
        Step::post("create the user", "/Users", body(person, "7", true)).captures(&person.variable),
        Step::post("create the user again", "/Users", body(person, "7", true)).conflicts(),
        Step::finds("adopt after the conflict", lookup, &person.id),
        Step::put("update", &user, body(person, "8", true)).shows(json!({ ENTERPRISE: { "employeeNumber": "8" } })),
        Step::put("deactivate", &user, body(person, "8", false)).shows(json!({ "active": false })),
        Step::reads_user(&person.id, json!({ "active": false })),
        Step::put("reactivate", &user, body(person, "8", true)),
        Step::reads_user(&person.id, json!({ "active": true, "emails": [{ "value": person.user_name, "primary": true }] })),
    ]
}

fn group(cast: &Cast, team: &Team) -> Vec<Step> {
    let ids = cast.ids();
    let group = format!("/Groups/{}", team.id);
    let lookup = format!("/Groups?filter={}", percent(&format!("displayName eq \"{}\"", team.name)));
    let change = |op: &str, ids: &[&str]| json!([{ "op": op, "path": "members", "value": members(ids) }]);
    let renamed = format!("{} renamed", team.name);
    let rename = json!([{ "op": "replace", "path": "displayName", "value": renamed }]);
    vec![
        Step::finds_nobody("look the group up", lookup),
        Step::post("create the group", "/Groups", json!({ "schemas": [GROUP], "displayName": team.name })).captures(&team.variable),
        Step::patch("add members", &group, change("add", &ids)),
        Step::reads_members(&team.id, &ids),
        Step::patch("rename the group", &group, rename),
        Step::patch("remove a member", &group, change("remove", &ids[..1])),
        Step::reads_members(&team.id, &ids[1..]).shows(json!({ "displayName": renamed })),
        Step::patch("replace the members", &group, change("replace", &ids)),
        Step::reads_members(&team.id, &ids),
        Step::delete("delete the group", &group),
        Step::is_gone(&group),
    ]
}
