//! Rauthy: it looks up by externalId and then by userName, unlinks with `externalId: null`, removes members by listing them, and
//! reads the groups of a user from the user.

use serde_json::{Value, json};

use super::step::{GROUP, Step, USER, members, percent};
use super::{Cast, Person, Team};

pub(super) fn conversation(cast: &Cast) -> Vec<Step> {
    let mut steps = vec![Step::get("test the connection", "/Groups?startIndex=1&count=100")];
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
        let unlink = json!([{ "op": "replace", "value": { "externalId": null } }]);
        steps.push(Step::patch("unlink the user", &user, unlink));
        steps.push(Step::reads_user(&person.id, json!({ "externalId": null })));
        steps.push(Step::delete("delete the user", &user));
        steps.push(Step::is_gone(&user));
    }
    steps
}

fn lookup(attribute: &str, value: &str) -> String {
    format!("/Users?filter={}", percent(&format!("{attribute} eq \"{value}\"")))
}

fn body(person: &Person, external_id: &Value, active: bool) -> Value {
    json!({
        "schemas": [USER], "externalId": external_id, "userName": person.user_name,
        "name": { "givenName": person.given, "familyName": person.family }, "displayName": person.display(),
        "emails": [{ "value": person.user_name, "primary": true }], "preferredLanguage": "en", "active": active
    })
}

fn user(person: &Person) -> Vec<Step> {
    let user = format!("/Users/{}", person.id);
    let external_id: Value = person.external_id.as_str().into();
    let create = body(person, &external_id, true);
    vec![
        Step::finds_nobody("look the user up by external id", lookup("externalId", &person.external_id)),
        Step::finds_nobody("look the user up by name", lookup("userName", &person.user_name)),
        Step::post("create the user", "/Users", create.clone()).captures(&person.variable),
        Step::post("create the user again", "/Users", create).conflicts(),
        Step::finds("adopt after the conflict", lookup("externalId", &person.external_id), &person.id),
        Step::put("unlink by putting null", &user, body(person, &Value::Null, true)).shows(json!({ "externalId": null })),
        Step::finds_nobody("find the link gone", lookup("externalId", &person.external_id)),
        Step::put("link again", &user, body(person, &external_id, true)).shows(json!({ "externalId": person.external_id })),
        Step::put("deactivate", &user, body(person, &external_id, false)).shows(json!({ "active": false })),
        Step::put("reactivate", &user, body(person, &external_id, true)),
        Step::reads_user(&person.id, json!({ "active": true })),
    ]
}

fn group(cast: &Cast, team: &Team) -> Vec<Step> {
    let ids = cast.ids();
    let group = format!("/Groups/{}", team.id);
    let change = |op: &str, ids: &[&str]| json!([{ "op": op, "path": "members", "value": members(ids) }]);
    let renamed = format!("{} renamed", team.name);
    let rename = json!([{ "op": "replace", "value": { "externalId": team.external_id, "displayName": renamed } }]);
    let create = json!({ "schemas": [GROUP], "externalId": team.external_id, "displayName": team.name });
    vec![
        Step::post("create the group", "/Groups", create).captures(&team.variable),
        Step::patch("add members", &group, change("add", &ids)),
        Step::reads_members(&team.id, &ids),
        Step::reads_user(ids[0], json!({ "groups": [{ "value": team.id, "display": team.name }] })),
        Step::patch("rename the group", &group, rename),
        Step::patch("remove a member", &group, change("remove", &ids[..1])),
        Step::reads_members(&team.id, &ids[1..]).shows(json!({ "displayName": renamed })),
        Step::reads_user(ids[0], json!({ "groups": null })),
        Step::patch("replace the members", &group, change("replace", &ids[..1])),
        Step::reads_members(&team.id, &ids[..1]),
        Step::delete("delete the group", &group),
        Step::is_gone(&group),
    ]
}
