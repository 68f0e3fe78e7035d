//! SailPoint: it reads the whole of discovery, single resources too, aggregates accounts and groups page by page, and updates by
//! PATCH or PUT (its setting `usePatch`).

use serde_json::json;

use super::step::{ENTERPRISE, GROUP, Step, USER, members, percent};
use super::{Cast, Person, Team};

/// Accounts on a page of an aggregation.
const PAGE: usize = 2;

pub(super) fn conversation(cast: &Cast) -> Vec<Step> {
    let mut steps = discovery();
    for person in &cast.people {
        steps.extend(user(person));
    }
    for team in &cast.teams {
        steps.extend(group(cast, team));
    }
    for page in 0..cast.people.len().div_ceil(PAGE) {
        let first = page * PAGE + 1;
        let path = format!("/Users?startIndex={first}&count={PAGE}&attributes=userName,active");
        let least = PAGE.min(cast.people.len() - page * PAGE);
        steps.push(Step::get("import: aggregate a page", path).shows(json!({ "startIndex": first })).counts_at_least("/Resources", least));
    }
    for person in &cast.people {
        let user = format!("/Users/{}", person.id);
        steps.push(Step::delete("delete the user", &user));
        steps.push(Step::is_gone(&user));
    }
    steps
}

fn discovery() -> Vec<Step> {
    vec![
        Step::get("test the connection: read the configuration", "/ServiceProviderConfig").shows(json!({ "patch": { "supported": true } })),
        Step::get("read the resource types", "/ResourceTypes").shows(json!({ "Resources": [{ "id": "User" }, { "id": "Group" }] })),
        Step::get("read the resource type of users", "/ResourceTypes/User").shows(json!({ "schema": USER })),
        Step::get("read the resource type of groups", "/ResourceTypes/Group").shows(json!({ "schema": GROUP })),
        Step::get("read the schemas", "/Schemas").shows(json!({ "Resources": [{ "id": USER }, { "id": GROUP }] })),
        Step::get("read one schema", format!("/Schemas/{ENTERPRISE}")).shows(json!({ "id": ENTERPRISE })),
    ]
}

fn user(person: &Person) -> Vec<Step> {
    let user = format!("/Users/{}", person.id);
    let lookup = format!("/Users?filter={}", percent(&format!("userName eq \"{}\"", person.user_name)));
    let create = json!({
        "schemas": [USER, ENTERPRISE], "userName": person.user_name, "active": true, "displayName": person.display(),
        "name": { "givenName": person.given, "familyName": person.family },
        "emails": [{ "type": "work", "value": person.user_name, "primary": true }], ENTERPRISE: { "department": "Sales" }
    });
    let update = json!([
        { "op": "replace", "path": "title", "value": "Driver" },
        { "op": "replace", "path": format!("{ENTERPRISE}:department"), "value": "Marketing" }
    ]);
    let active = |active: bool| json!([{ "op": "replace", "path": "active", "value": active }]);
    vec![
        Step::finds_nobody("look the user up", &lookup),
        Step::post("create the user", "/Users", create.clone()).captures(&person.variable),
        Step::post("create the user again", "/Users", create).conflicts(),
        Step::finds("adopt after the conflict", lookup, &person.id),
        Step::patch("update", &user, update),
        Step::reads_user(&person.id, json!({ "title": "Driver", ENTERPRISE: { "department": "Marketing" } })),
        Step::patch("deactivate", &user, active(false)),
        Step::reads_user(&person.id, json!({ "active": false })),
        Step::patch("reactivate", &user, active(true)),
        Step::reads_user(&person.id, json!({ "active": true })),
    ]
}

fn group(cast: &Cast, team: &Team) -> Vec<Step> {
    let ids = cast.ids();
    let group = format!("/Groups/{}", team.id);
    let change = |op: &str, ids: &[&str]| json!([{ "op": op, "path": "members", "value": members(ids) }]);
    let renamed = format!("{} renamed", team.name);
    let put = json!({ "schemas": [GROUP], "id": team.id, "displayName": renamed, "members": members(&ids[..1]) });
    vec![
        Step::post("create the group", "/Groups", json!({ "schemas": [GROUP], "displayName": team.name })).captures(&team.variable),
        Step::patch("grant the entitlement: add members", &group, change("add", &ids)),
        Step::reads_members(&team.id, &ids),
        Step::patch("revoke the entitlement: remove a member", &group, change("remove", &ids[..1])),
        Step::reads_members(&team.id, &ids[1..]),
        Step::put("rename and replace without usePatch", &group, put),
        Step::reads_members(&team.id, &ids[..1]).shows(json!({ "displayName": renamed })),
        Step::get("import: aggregate groups", format!("/Groups?startIndex=1&count={PAGE}")),
        Step::delete("delete the group", &group),
        Step::is_gone(&group),
    ]
}
