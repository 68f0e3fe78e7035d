//! authentik's outgoing provider: it reads ServiceProviderConfig first, puts users, and sends one operation per member. After a
//! conflict it looks up (one release without quotes) and puts. It removes members by a value array in older releases and by a
//! value filter in newer ones.

use serde_json::{Value, json};

use super::step::{GROUP, Step, USER, members, percent};
use super::{Cast, Person, Team};

pub(super) fn conversation(cast: &Cast) -> Vec<Step> {
    let mut steps = vec![
        Step::get("test the connection: read the configuration", "/ServiceProviderConfig")
            .shows(json!({ "patch": { "supported": true }, "filter": { "supported": true } })),
    ];
    for person in &cast.people {
        steps.extend(user(person));
    }
    for team in &cast.teams {
        steps.extend(group(cast, team));
    }
    let count = cast.people.len().min(10);
    steps.push(Step::get("import the users, without a count", "/Users?startIndex=1").counts_at_least("/Resources", count));
    steps.push(Step::get("import the groups, without a count", "/Groups?startIndex=1"));
    for person in &cast.people {
        let user = format!("/Users/{}", person.id);
        steps.push(Step::delete("delete the user", &user));
        steps.push(Step::is_gone(&user));
    }
    steps
}

fn body(person: &Person, active: bool) -> Value {
    json!({
        "schemas": [USER], "userName": person.user_name, "externalId": person.external_id, "active": active,
        "name": { "formatted": person.display(), "givenName": person.given, "familyName": person.family },
        "displayName": person.display(), "emails": [{ "value": person.user_name, "type": "other", "primary": true }],
        "locale": "en", "photos": null, "groups": null
    })
}

fn user(person: &Person) -> Vec<Step> {
    let user = format!("/Users/{}", person.id);
    let lookup = |value: &str| format!("/Users?filter={}", percent(&format!("userName eq {value}")));
    vec![
        Step::post("create the user", "/Users", body(person, true)).captures(&person.variable),
        Step::post("create the user again", "/Users", body(person, true)).conflicts(),
        Step::finds("look up after the conflict", lookup(&format!("\"{}\"", person.user_name)), &person.id),
        Step::finds("look up without quotes", lookup(&person.user_name), &person.id),
        Step::put("adopt by putting", &user, body(person, true)).shows(json!({ "id": person.id })),
        Step::put("deactivate", &user, body(person, false)),
        Step::reads_user(&person.id, json!({ "active": false })),
        Step::put("reactivate", &user, body(person, true)),
        Step::reads_user(&person.id, json!({ "active": true, "emails": [{ "type": "other", "value": person.user_name }] })),
    ]
}

fn group(cast: &Cast, team: &Team) -> Vec<Step> {
    let ids = cast.ids();
    let group = format!("/Groups/{}", team.id);
    let adds: Value = ids.iter().map(|id| json!({ "op": "add", "path": "members", "value": members(&[id]) })).collect();
    let older = json!([{ "op": "remove", "path": "members", "value": members(&ids[..1]) }]);
    let newer = json!([{ "op": "remove", "path": format!("members[value eq \"{}\"]", ids[1]) }]);
    let renamed = format!("{} renamed", team.name);
    let whole = json!([{ "op": "replace", "value": { "id": team.id, "schemas": [GROUP], "displayName": renamed,
        "externalId": team.external_id } }]);
    let create = json!({ "schemas": [GROUP], "externalId": team.external_id, "displayName": team.name });
    vec![
        Step::post("create the group without members", "/Groups", create).captures(&team.variable),
        Step::patch("add members, one operation each", &group, adds.clone()),
        Step::reads_members(&team.id, &ids),
        Step::patch("add them again", &group, adds),
        Step::reads_members(&team.id, &ids),
        Step::patch("rename: replace the whole resource", &group, whole),
        Step::reads_members(&team.id, &ids).shows(json!({ "displayName": renamed, "externalId": team.external_id })),
        Step::patch("remove a member, as older releases do", &group, older),
        Step::reads_members(&team.id, &ids[1..]),
        Step::patch("remove a member, as newer releases do", &group, newer),
        Step::reads_members(&team.id, &ids[2..]),
        Step::delete("delete the group", &group),
        Step::is_gone(&group),
    ]
}
