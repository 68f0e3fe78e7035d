//! Okta, in its two personalities. An app of the catalogue (OIN) puts profiles and patches activation, passwords and groups; a
//! custom app made with the wizard (AIW) puts everything, after reading it. Neither ever deletes a user.

use serde_json::{Value, json};

use super::step::{GROUP, Step, USER, members, percent};
use super::{Cast, Person, Team};

/// An app of the Okta Integration Network.
pub(super) fn catalogue_app(cast: &Cast) -> Vec<Step> {
    let mut steps = connection_test();
    for person in &cast.people {
        let user = format!("/Users/{}", person.id);
        steps.extend(creation(person));
        steps.push(Step::put("update the profile", &user, profile(person, "Updated", true)).shows(json!({ "displayName": "Updated" })));
        let active = |active: bool| json!([{ "op": "replace", "value": { "active": active } }]);
        steps.push(Step::patch("deactivate", &user, active(false)));
        steps.push(Step::reads_user(&person.id, json!({ "active": false, "displayName": "Updated" })));
        steps.push(Step::patch("reactivate", &user, active(true)));
        steps.push(Step::reads_user(&person.id, json!({ "active": true, "displayName": "Updated" })));
        let password = json!([{ "op": "replace", "value": { "password": "2nd-1mz050nq" } }]);
        steps.push(Step::patch("push a password", &user, password));
    }
    for team in &cast.teams {
        steps.extend(patched_group(cast, team));
    }
    steps.extend(import(cast));
    steps
}

/// A custom app of the wizard.
pub(super) fn custom_app(cast: &Cast) -> Vec<Step> {
    let mut steps = connection_test();
    for person in &cast.people {
        let user = format!("/Users/{}", person.id);
        steps.extend(creation(person));
        steps.push(Step::put("update the profile", &user, profile(person, "Updated", true)).shows(json!({ "displayName": "Updated" })));
        steps.push(Step::put("deactivate", &user, profile(person, "Updated", false)).shows(json!({ "active": false })));
        steps.push(Step::reads_user(&person.id, json!({ "active": false })));
        steps.push(Step::put("reactivate", &user, profile(person, "Updated", true)).shows(json!({ "active": true })));
        steps.push(Step::reads_user(&person.id, json!({ "active": true, "userName": person.user_name })));
    }
    for team in &cast.teams {
        steps.extend(put_group(cast, team));
    }
    steps.extend(import(cast));
    steps
}

fn connection_test() -> Vec<Step> {
    vec![
        Step::get("test the connection: users", "/Users?startIndex=1&count=2").shows(json!({ "startIndex": 1 })),
        Step::get("test the connection: groups", "/Groups?startIndex=1&count=100").shows(json!({ "startIndex": 1 })),
    ]
}

fn lookup(user_name: &str) -> String {
    format!("/Users?filter={}&startIndex=1&count=100", percent(&format!("userName eq \"{user_name}\"")))
}

/// Lookup, create, and the conflict of a second create, after which the user is looked up and adopted.
fn creation(person: &Person) -> Vec<Step> {
    let body = json!({
        "schemas": [USER], "userName": person.user_name, "name": { "givenName": person.given, "familyName": person.family },
        "emails": [{ "primary": true, "value": person.user_name, "type": "work" }], "displayName": person.display(),
        "locale": "en-US", "externalId": person.external_id, "groups": [], "password": "1mz050nq", "active": true
    });
    let shown = json!({ "userName": person.user_name, "active": true, "emails": [{ "value": person.user_name, "primary": true }] });
    vec![
        Step::finds_nobody("look the user up", lookup(&person.user_name)),
        Step::post("create the user", "/Users", body.clone()).shows(shown).captures(&person.variable),
        Step::post("create the user again", "/Users", body).conflicts(),
        Step::finds("adopt after the conflict", lookup(&person.user_name.to_uppercase()), &person.id),
        Step::reads_user(&person.id, json!({ "externalId": person.external_id })),
    ]
}

/// The body of a PUT: what a GET gave, with readOnly attributes and all.
fn profile(person: &Person, display: &str, active: bool) -> Value {
    json!({
        "schemas": [USER], "id": person.id, "userName": person.user_name, "externalId": person.external_id,
        "name": { "givenName": person.given, "familyName": person.family }, "displayName": display, "locale": "en-US",
        "emails": [{ "primary": true, "value": person.user_name, "type": "work" }], "active": active, "groups": [],
        "meta": { "resourceType": "User" }
    })
}

fn patched_group(cast: &Cast, team: &Team) -> Vec<Step> {
    let ids = cast.ids();
    let group = format!("/Groups/{}", team.id);
    let renamed = format!("{} renamed", team.name);
    let rename = json!([{ "op": "replace", "value": { "id": team.id, "displayName": renamed } }]);
    let swap = json!([
        { "op": "remove", "path": format!("members[value eq \"{}\"]", ids[0]) },
        { "op": "add", "path": "members", "value": [{ "value": ids[1], "display": cast.people[1].user_name }] }
    ]);
    let push = |ids: &[&str]| json!([{ "op": "replace", "path": "members", "value": members(ids) }]);
    let create = json!({ "schemas": [GROUP], "displayName": team.name, "members": [] });
    vec![
        Step::post("create the group", "/Groups", create.clone()).captures(&team.variable),
        Step::post("create the group again", "/Groups", create).conflicts(),
        Step::patch("add a member", &group, json!([{ "op": "add", "path": "members", "value": members(&ids[..1]) }])),
        Step::reads_members(&team.id, &ids[..1]),
        Step::patch("rename the group", &group, rename.clone()),
        Step::reads_members(&team.id, &ids[..1]).shows(json!({ "displayName": renamed })),
        Step::patch("rename it to the same name", &group, rename),
        Step::reads_members(&team.id, &ids[..1]),
        Step::patch("remove one member and add another", &group, swap),
        Step::reads_members(&team.id, &ids[1..2]),
        Step::patch("push all members now", &group, push(&ids)),
        Step::reads_members(&team.id, &ids),
        Step::patch("push an empty group", &group, push(&[])),
        Step::reads_members(&team.id, &[]),
        Step::delete("delete the group", &group),
        Step::is_gone(&group),
    ]
}

fn put_group(cast: &Cast, team: &Team) -> Vec<Step> {
    let ids = cast.ids();
    let group = format!("/Groups/{}", team.id);
    let body = |name: &str, ids: &[&str]| json!({ "schemas": [GROUP], "id": team.id, "displayName": name, "members": members(ids) });
    let renamed = format!("{} renamed", team.name);
    let create = json!({ "schemas": [GROUP], "displayName": team.name, "members": [] });
    vec![
        Step::post("create the group", "/Groups", create).captures(&team.variable),
        Step::put("replace the members", &group, body(&team.name, &ids)),
        Step::reads_members(&team.id, &ids),
        Step::put("put a shorter list", &group, body(&team.name, &ids[1..])),
        Step::reads_members(&team.id, &ids[1..]),
        Step::put("rename the group", &group, body(&renamed, &ids[1..])).shows(json!({ "displayName": renamed })),
        Step::put("put an empty group", &group, body(&renamed, &[])),
        Step::reads_members(&team.id, &[]),
        Step::delete("delete the group", &group),
        Step::is_gone(&group),
    ]
}

fn import(cast: &Cast) -> Vec<Step> {
    vec![
        Step::get("import the users", "/Users?startIndex=1&count=100").counts_at_least("/Resources", cast.people.len().min(100)),
        Step::get("import the next page", "/Users?startIndex=101&count=100").shows(json!({ "startIndex": 101 })),
        Step::get("import the groups", "/Groups?startIndex=1&count=100"),
    ]
}
