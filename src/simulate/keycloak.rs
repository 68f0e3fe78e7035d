//! Keycloak with the SCIM plugin: users by POST and PUT with their own `id`; groups by PUT with `$ref`, or by PATCH with three
//! replaces. It reads id, userName, displayName and active of every user without asking whether they are there.

use serde_json::{Value, json};

use super::step::{GROUP, Step, USER, percent};
use super::{Cast, Person, Team};

pub(super) fn conversation(cast: &Cast) -> Vec<Step> {
    let mut steps = vec![Step::get("test the connection", "/ServiceProviderConfig")];
    for person in &cast.people {
        steps.extend(user(person));
    }
    for team in &cast.teams {
        steps.extend(group(cast, team));
    }
    steps.push(Step::get("import the users, once and without paging", "/Users?").counts_at_least("/Resources", cast.people.len().min(100)));
    for person in &cast.people {
        let user = format!("/Users/{}", person.id);
        steps.push(Step::delete("delete the user", &user));
        steps.push(Step::is_gone(&user));
    }
    steps
}

fn body(person: &Person, given: &str, active: bool) -> Value {
    json!({
        "schemas": [USER], "externalId": person.external_id, "userName": person.user_name, "displayName": format!("{given} {}", person.family),
        "name": { "givenName": given, "familyName": person.family }, "emails": [{ "value": person.user_name }], "active": active,
        "roles": [{ "value": "default-roles" }]
    })
}

fn with_id(person: &Person, given: &str, active: bool) -> Value {
    let mut body = body(person, given, active);
    body["id"] = person.id.as_str().into();
    body
}

fn user(person: &Person) -> Vec<Step> {
    let user = format!("/Users/{}", person.id);
    let create = body(person, &person.given, true);
    let lookup = format!("/Users?filter={}", percent(&format!("userName eq \"{}\"", person.user_name)));
    let unguarded = json!({ "id": person.id, "userName": person.user_name, "displayName": person.display(), "active": true });
    vec![
        Step::post("create the user", "/Users", create.clone()).captures(&person.variable).shows(json!({ "active": true })),
        Step::reads_user(&person.id, unguarded),
        Step::post("create the user again", "/Users", create).conflicts(),
        Step::finds("adopt after the conflict", lookup, &person.id),
        Step::put("update", &user, with_id(person, "Ann", true)).shows(json!({ "id": person.id, "name": { "givenName": "Ann" } })),
        Step::put("deactivate", &user, with_id(person, "Ann", false)).shows(json!({ "active": false })),
        Step::put("reactivate", &user, with_id(person, "Ann", true)),
        Step::reads_user(&person.id, json!({ "active": true, "roles": [{ "value": "default-roles" }] })),
    ]
}

fn group(cast: &Cast, team: &Team) -> Vec<Step> {
    let ids = cast.ids();
    let group = format!("/Groups/{}", team.id);
    let members = |ids: &[&str]| ids.iter().map(|id| json!({ "value": id, "$ref": format!("Users/{id}") })).collect::<Value>();
    let put =
        json!({ "schemas": [GROUP], "id": team.id, "externalId": team.external_id, "displayName": team.name, "members": members(&ids) });
    let renamed = format!("{} renamed", team.name);
    let replaces = json!([
        { "op": "replace", "path": "members", "value": members(&ids[..1]) },
        { "op": "replace", "path": "displayName", "value": renamed },
        { "op": "replace", "path": "externalId", "value": team.external_id }
    ]);
    let create = json!({ "schemas": [GROUP], "externalId": team.external_id, "displayName": team.name, "members": members(&ids[..1]) });
    vec![
        Step::post("create the group with a member", "/Groups", create).captures(&team.variable),
        Step::reads_members(&team.id, &ids[..1]),
        Step::put("add members by putting all", &group, put),
        Step::reads_members(&team.id, &ids),
        Step::patch("replace members, name and external id", &group, replaces),
        Step::reads_members(&team.id, &ids[..1]).shows(json!({ "displayName": renamed, "externalId": team.external_id })),
        Step::patch("remove all members", &group, json!([{ "op": "remove", "path": "members" }])),
        Step::reads_members(&team.id, &[]).shows(json!({ "displayName": renamed })),
        Step::delete("delete the group", &group),
        Step::is_gone(&group),
    ]
}
