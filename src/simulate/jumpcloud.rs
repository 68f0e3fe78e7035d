//! JumpCloud: users by POST and full PUT, in which null and the empty array mean "unassigned"; groups after their members,
//! memberships by listing them for add and for remove alike. The activation creates a test user and a test group first.

use serde_json::{Value, json};

use super::step::{ENTERPRISE, GROUP, Step, USER, members, percent};
use super::{Cast, Person, Team};

pub(super) fn conversation(cast: &Cast) -> Vec<Step> {
    let mut steps = vec![Step::finds_nobody("test the connection", lookup("userName", &cast.nobody))];
    for person in &cast.people {
        steps.extend(user(person));
    }
    for team in &cast.teams {
        steps.extend(group(cast, team));
    }
    let count = cast.people.len().min(10);
    steps.push(Step::get("import the users", "/Users?startIndex=1&count=10").counts_at_least("/Resources", count));
    steps.push(Step::get("import the groups", "/Groups?startIndex=1&count=100"));
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

fn user(person: &Person) -> Vec<Step> {
    let user = format!("/Users/{}", person.id);
    // The enterprise URN without an object, no formatted name, addresses with primary.
    let create = json!({
        "schemas": [USER, ENTERPRISE], "active": true, "userName": person.user_name, "externalId": person.external_id,
        "name": { "givenName": person.given, "familyName": person.family }, "displayName": person.display(),
        "emails": [{ "primary": true, "type": "work", "value": person.user_name }],
        "phoneNumbers": [{ "primary": true, "type": "work", "value": "tel:+1-555-555-5555" }],
        "addresses": [{ "primary": true, "type": "work", "streetAddress": "1 Way", "locality": "Boulder", "country": "US" }],
        "locale": "en-US", "preferredLanguage": "en-US"
    });
    let minimal = json!({ "schemas": [USER], "id": person.id, "active": true, "userName": person.user_name,
        "name": { "givenName": person.given, "familyName": person.family }, "emails": null });
    vec![
        Step::finds_nobody("look the user up", lookup("userName", &person.user_name)),
        Step::post("create the user", "/Users", create.clone())
            .shows(json!({ "active": true, "addresses": [{ "locality": "Boulder" }], "phoneNumbers": [{ "type": "work" }] }))
            .captures(&person.variable),
        Step::post("create the user again", "/Users", create).conflicts(),
        Step::finds("adopt after the conflict", lookup("userName", &person.user_name), &person.id),
        Step::put("update with the minimal body", &user, minimal).shows(json!({ "emails": null, "userName": person.user_name })),
        Step::put("update with the full body", &user, full(person, true)),
        Step::reads_user(
            &person.id,
            json!({ "title": "Sr. Director", "addresses": null, "phoneNumbers": null, "emails": [{ "value": person.user_name }],
                ENTERPRISE: { "department": "Digital Marketing" } }),
        ),
        Step::finds("look up by address", lookup("emails.value", &person.user_name), &person.id),
        Step::put("deactivate", &user, full(person, false)).shows(json!({ "active": false })),
        Step::finds("look the inactive user up", lookup("userName", &person.user_name), &person.id),
        Step::put("reactivate", &user, full(person, true)),
        Step::reads_user(&person.id, json!({ "active": true })),
    ]
}

/// What the service provider returned, with changes; the attributes of the SpaceIQ connector at top level.
fn full(person: &Person, active: bool) -> Value {
    json!({
        "schemas": [ENTERPRISE, USER], "id": person.id, "active": active, "userName": person.user_name,
        "externalId": person.external_id, "name": { "givenName": person.given, "familyName": person.family },
        "displayName": person.display(), "title": "Sr. Director", "emails": [{ "primary": true, "type": "work", "value": person.user_name }],
        "addresses": [], "phoneNumbers": [], "costcenter": "CC-12", ENTERPRISE: { "department": "Digital Marketing" }
    })
}

fn group(cast: &Cast, team: &Team) -> Vec<Step> {
    let ids = cast.ids();
    let group = format!("/Groups/{}", team.id);
    let lookup = format!("/Groups?filter={}", percent(&format!("displayName eq \"{}\"", team.name)));
    let create = json!({ "schemas": [GROUP], "displayName": team.name, "members": members(&ids[..1]) });
    let change = |op: &str, ids: &[&str]| json!([{ "op": op, "path": "members", "value": members(ids) }]);
    let renamed = format!("{} renamed", team.name);
    let rename = json!([{ "op": "replace", "path": "displayName", "value": renamed }]);
    let replace = json!({ "schemas": [GROUP], "id": team.id, "displayName": renamed, "members": members(&ids[..1]) });
    vec![
        Step::finds_nobody("look the group up", &lookup),
        Step::post("create the group", "/Groups", create.clone()).captures(&team.variable),
        Step::post("create the group again", "/Groups", create).conflicts(),
        Step::finds("adopt the group after the conflict", lookup, &team.id),
        Step::patch("add members", &group, change("add", &ids)),
        Step::reads_members(&team.id, &ids),
        Step::patch("remove a member", &group, change("remove", &ids[..1])),
        Step::reads_members(&team.id, &ids[1..]),
        Step::patch("rename the group", &group, rename),
        Step::reads_members(&team.id, &ids[1..]).shows(json!({ "displayName": renamed })),
        Step::put("replace the group", &group, replace),
        Step::reads_members(&team.id, &ids[..1]),
        Step::delete("delete the group", &group),
        Step::is_gone(&group),
    ]
}
