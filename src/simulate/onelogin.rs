//! OneLogin: a `&` at the end of lookups, a `?` at the end of updates, schema URIs of its own, and a user body from a template
//! that the administrator writes, so that booleans are strings and one value may stand for a list.

use serde_json::{Value, json};

use super::step::{GROUP, Step, members, plus};
use super::{Cast, Person, Team};

pub(super) fn conversation(cast: &Cast) -> Vec<Step> {
    let mut steps = vec![Step::finds_nobody("test the connection", lookup("Users", "userName", &cast.nobody))];
    for person in &cast.people {
        steps.extend(user(person));
    }
    for team in &cast.teams {
        steps.extend(group(cast, team));
    }
    let count = cast.people.len().min(100);
    steps.push(Step::get("import the users", "/Users?startIndex=1&count=100").counts_at_least("/Resources", count));
    for person in &cast.people {
        steps.push(Step::delete("delete the user", format!("/Users/{}?", person.id)));
        steps.push(Step::is_gone(format!("/Users/{}", person.id)));
    }
    steps
}

fn lookup(endpoint: &str, attribute: &str, value: &str) -> String {
    format!("/{endpoint}?filter={}&", plus(&format!("{attribute} eq \"{value}\"")))
}

/// The template, filled in.
fn template(person: &Person, id: Value, given: &str, active: &str) -> Value {
    json!({
        "schemas": ["urn:scim:schemas:core:2.0", "urn:scim:schemas:extension:enterprise:2.0"], "id": id,
        "userName": person.user_name, "name": { "familyName": person.family, "givenName": given }, "displayName": person.display(),
        "emails": [{ "value": person.user_name, "type": "work", "primary": true }], "active": active, "department": "Sales",
        "manager": { "managerId": "none" }
    })
}

fn user(person: &Person) -> Vec<Step> {
    let user = format!("/Users/{}?", person.id);
    let create = template(person, Value::Null, &person.given, "true");
    let email = json!([{ "op": "replace", "path": "emails", "value": { "value": format!("new-{}", person.user_name), "type": "work" } }]);
    let id: Value = person.id.as_str().into();
    vec![
        Step::finds_nobody("look the user up", lookup("Users", "userName", &person.user_name)),
        Step::post("create the user", "/Users", create.clone()).shows(json!({ "active": true })).captures(&person.variable),
        Step::post("create the user again", "/Users", create).conflicts(),
        Step::finds("adopt after the conflict", lookup("Users", "userName", &person.user_name), &person.id),
        Step::put("update", &user, template(person, id.clone(), "Ann", "true")).shows(json!({ "name": { "givenName": "Ann" } })),
        Step::patch("update the address with an object for a list", &user, email),
        Step::reads_user(&person.id, json!({ "emails": [{ "value": format!("new-{}", person.user_name), "type": "work" }] }))
            .counts("/emails", 1),
        Step::put("deactivate", &user, template(person, id.clone(), "Ann", "false")).shows(json!({ "active": false })),
        Step::reads_user(&person.id, json!({ "active": false })),
        Step::put("reactivate", &user, template(person, id, "Ann", "true")),
        Step::reads_user(&person.id, json!({ "active": true, "name": { "givenName": "Ann" } })),
    ]
}

fn group(cast: &Cast, team: &Team) -> Vec<Step> {
    let ids = cast.ids();
    let group = format!("/Groups/{}?", team.id);
    let change = |op: &str, ids: &[&str]| json!([{ "op": op, "path": "members", "value": members(ids) }]);
    let renamed = format!("{} renamed", team.name);
    let rename = json!([{ "op": "replace", "path": "displayName", "value": renamed }]);
    vec![
        Step::finds_nobody("look the group up", lookup("Groups", "displayName", &team.name)),
        Step::post("create the group", "/Groups", json!({ "schemas": [GROUP], "displayName": team.name })).captures(&team.variable),
        Step::patch("add a member", &group, change("add", &ids[..1])),
        Step::patch("add another member", &group, change("add", &ids[1..2])),
        Step::reads_members(&team.id, &ids[..2]),
        Step::patch("rename the group", &group, rename),
        Step::patch("remove a member", &group, change("remove", &ids[..1])),
        Step::reads_members(&team.id, &ids[1..2]).shows(json!({ "displayName": renamed })),
        Step::patch("replace the members", &group, change("replace", &ids)),
        Step::reads_members(&team.id, &ids),
        Step::delete("delete the group", &group),
        Step::is_gone(format!("/Groups/{}", team.id)),
    ]
}
