//! Microsoft Entra ID, with the flag `aadOptscim062020` on the tenant URL and without it. Without it every attribute is an
//! operation with a path, booleans are strings and members are removed by listing them; with it PATCH is nearer to the RFC. One
//! tenant may send both, since the flag does not hold for provisioning on demand.

use serde_json::{Value, json};

use super::step::{ENTERPRISE, GROUP, Step, USER, plus};
use super::{Cast, Person, Team};

/// A GUID that no resource has, for Test Connection.
const RANDOM_GUID: &str = "8365ac1e-4a2c-4c1d-9d6d-0c6e0f4cd6a7";

/// The schema URI that Entra ID adds to groups.
const AD_GROUP: &str = "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group";

/// Which of the two styles.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    WithFlag,
    WithoutFlag,
}

/// The tenant URL ends with `?aadOptscim062020`.
pub(super) fn with_flag(cast: &Cast) -> Vec<Step> {
    conversation(cast, Style::WithFlag)
}

/// The default.
pub(super) fn without_flag(cast: &Cast) -> Vec<Step> {
    conversation(cast, Style::WithoutFlag)
}

fn conversation(cast: &Cast, style: Style) -> Vec<Step> {
    let mut steps = vec![Step::finds_nobody("test the connection", style.lookup("Users", "userName", RANDOM_GUID))];
    for person in &cast.people {
        steps.extend(creation(person, style));
        steps.extend(updates(person, style));
    }
    // Managers are sent when everybody is there.
    steps.extend(managers(cast, style));
    for team in &cast.teams {
        steps.extend(group(cast, team, style));
    }
    let count = cast.people.len().min(100);
    steps.push(Step::get("import the users", "/Users?startIndex=1&count=100").counts_at_least("/Resources", count));
    for person in &cast.people {
        let user = format!("/Users/{}", person.id);
        steps.push(Step::delete("delete the user, 30 days after the soft delete", &user));
        steps.push(Step::is_gone(&user));
        steps.push(Step::delete("delete the user again", &user).answers(&[404]));
    }
    steps
}

impl Style {
    fn lookup(self, endpoint: &str, attribute: &str, value: &str) -> String {
        let flag = if self == Self::WithFlag { "aadOptscim062020&" } else { "" };
        format!("/{endpoint}?{flag}filter={}", plus(&format!("{attribute} eq \"{value}\"")))
    }

    fn op(self, op: &'static str) -> Value {
        match (self, op) {
            (Self::WithFlag, op) => op.into(),
            (Self::WithoutFlag, "add") => "Add".into(),
            (Self::WithoutFlag, "remove") => "Remove".into(),
            (Self::WithoutFlag, _) => "Replace".into(),
        }
    }

    fn activation(self, active: bool) -> Value {
        let value = match self {
            Self::WithFlag => Value::Bool(active),
            Self::WithoutFlag => if active { "True" } else { "False" }.into(),
        };
        json!([{ "op": self.op("replace"), "path": "active", "value": value }])
    }
}

fn creation(person: &Person, style: Style) -> Vec<Step> {
    let active = if style == Style::WithFlag { Value::Bool(true) } else { "True".into() };
    let body = json!({
        "schemas": [USER, ENTERPRISE], "externalId": person.external_id, "userName": person.user_name, "active": active,
        "displayName": person.display(), "emails": [{ "Primary": true, "type": "work", "value": person.user_name }],
        "meta": { "resourceType": "User" }, "name": { "formatted": person.display(), "familyName": person.family,
        "givenName": person.given }, "roles": [], "title": null
    });
    let work_email = format!("/Users?filter={}", plus(&format!("emails[type eq \"work\"].value eq \"{}\"", person.user_name)));
    vec![
        Step::finds_nobody("look the user up", style.lookup("Users", "userName", &person.user_name)),
        Step::post("create the user", "/Users", body.clone())
            .shows(json!({ "active": true, "emails": [{ "type": "work", "value": person.user_name, "primary": true }] }))
            .captures(&person.variable),
        Step::post("create the user again", "/Users", body).conflicts(),
        Step::finds("adopt after the conflict", style.lookup("Users", "userName", &person.user_name.to_uppercase()), &person.id),
        Step::finds("look up by work address", work_email, &person.id),
        Step::reads_user(&person.id, json!({ "userName": person.user_name, "active": true, "title": null })),
    ]
}

fn updates(person: &Person, style: Style) -> Vec<Step> {
    let user = format!("/Users/{}", person.id);
    let (add, replace) = (style.op("add"), style.op("replace"));
    let new_email = format!("new-{}", person.user_name);
    let attributes = match style {
        Style::WithoutFlag => json!([
            { "op": replace, "path": "displayName", "value": "Bjfe" },
            { "op": replace, "path": "emails[type eq \"work\"].value", "value": new_email },
            { "op": replace, "path": "name.givenName", "value": "Kkom" },
            { "op": add, "path": "title", "value": "Driver" },
            { "op": replace, "path": format!("{ENTERPRISE}:employeeNumber"), "value": "Aklq" },
            { "op": replace, "path": format!("{ENTERPRISE}:department"), "value": "Sales" }
        ]),
        Style::WithFlag => json!([
            { "op": "replace", "path": "emails[type eq \"work\"].value", "value": new_email },
            { "op": "replace", "value": { "displayName": "Bjfe", "name.givenName": "Kkom", "title": "Driver",
                format!("{ENTERPRISE}:employeeNumber"): "Aklq" } },
            { "op": "replace", "value": { ENTERPRISE: { "department": "Sales" } } }
        ]),
    };
    let places = json!([
        { "op": add, "path": "phoneNumbers[type eq \"mobile\"].value", "value": "+1 555 0100" },
        { "op": add, "path": "addresses[type eq \"work\"].locality", "value": "Berlin" },
        { "op": add, "path": "addresses[type eq \"work\"].streetAddress", "value": "1 Way" },
        { "op": replace, "path": "addresses[type eq \"other\"].Formatted", "value": "Room 7" },
        { "op": replace, "path": "roles[primary eq \"True\"].value", "value": "Admin" }
    ]);
    let cleared = match style {
        Style::WithoutFlag => json!([{ "op": "Replace", "path": "title", "value": "" }]),
        Style::WithFlag => json!([{ "op": "remove", "path": "title" }]),
    };
    vec![
        Step::patch("update attributes", &user, attributes),
        Step::reads_user(
            &person.id,
            json!({
                "displayName": "Bjfe", "name": { "givenName": "Kkom", "familyName": person.family }, "title": "Driver",
                "emails": [{ "type": "work", "value": new_email }], ENTERPRISE: { "employeeNumber": "Aklq", "department": "Sales" }
            }),
        )
        .counts("/emails", 1),
        Step::patch("write into values that are not there yet", &user, places),
        Step::reads_user(
            &person.id,
            json!({
                "phoneNumbers": [{ "type": "mobile", "value": "+1 555 0100" }], "roles": [{ "value": "Admin", "primary": true }],
                "addresses": [{ "type": "work", "locality": "Berlin", "streetAddress": "1 Way" }, { "type": "other", "formatted": "Room 7" }]
            }),
        )
        .counts("/addresses", 2),
        Step::patch("clear the title", &user, cleared),
        Step::patch("deactivate", &user, style.activation(false)),
        Step::reads_user(&person.id, json!({ "active": false, "title": null })),
        Step::finds("look the inactive user up", style.lookup("Users", "userName", &person.user_name), &person.id),
        Step::patch("reactivate", &user, style.activation(true)),
        Step::reads_user(&person.id, json!({ "active": true })),
    ]
}

fn managers(cast: &Cast, style: Style) -> Vec<Step> {
    let (person, manager) = (&cast.people[0], &cast.people[1]);
    let user = format!("/Users/{}", person.id);
    let path = format!("{ENTERPRISE}:manager");
    let set = match style {
        Style::WithoutFlag => json!([{ "op": "Add", "path": path, "value": manager.id }]),
        Style::WithFlag => json!([{ "op": "add", "value": { format!("{ENTERPRISE}:manager.value"): manager.id } }]),
    };
    let removed = match style {
        Style::WithoutFlag => json!([{ "op": "Replace", "path": path, "value": { "value": "" } }]),
        Style::WithFlag => json!([{ "op": "remove", "path": path }]),
    };
    vec![
        Step::patch("set the manager", &user, set),
        Step::reads_user(&person.id, json!({ ENTERPRISE: { "manager": { "value": manager.id }, "department": "Sales" } })),
        Step::patch("remove the manager", &user, removed),
        Step::reads_user(&person.id, json!({ ENTERPRISE: { "manager": null, "department": "Sales" } })),
    ]
}

fn group(cast: &Cast, team: &Team, style: Style) -> Vec<Step> {
    let ids = cast.ids();
    let group = format!("/Groups/{}", team.id);
    let lookup = format!("/Groups?excludedAttributes=members&filter={}", plus(&format!("displayName eq \"{}\"", team.name)));
    let create = json!({ "schemas": [GROUP, AD_GROUP], "externalId": team.external_id, "displayName": team.name,
        "meta": { "resourceType": "Group" } });
    let everybody: Vec<Value> = ids.iter().map(|id| json!({ "$ref": null, "value": id })).collect();
    let remove_first = match style {
        Style::WithoutFlag => json!([{ "op": "Remove", "path": "members", "value": [{ "$ref": null, "value": ids[0] }] }]),
        Style::WithFlag => json!([{ "op": "remove", "path": format!("members[value eq \"{}\"]", ids[0]) }]),
    };
    let renamed = format!("{} renamed", team.name);
    let rename = match style {
        Style::WithoutFlag => json!([{ "op": "Replace", "path": "displayName", "value": renamed }]),
        Style::WithFlag => json!([{ "op": "replace", "value": { "displayName": renamed } }]),
    };
    let replace = json!([{ "op": style.op("replace"), "path": "members", "value": [{ "$ref": null, "value": ids[0] }] }]);
    vec![
        Step::finds_nobody("look the group up", &lookup),
        Step::post("create the group", "/Groups", create.clone()).shows(json!({ "externalId": team.external_id })).captures(&team.variable),
        Step::post("create the group again", "/Groups", create).conflicts(),
        Step::finds("adopt the group after the conflict", lookup, &team.id),
        Step::patch("add members", &group, json!([{ "op": style.op("add"), "path": "members", "value": everybody }])),
        Step::reads_members(&team.id, &ids),
        Step::get("read the group without its members", format!("{group}?excludedAttributes=members")).counts("/members", 0),
        Step::patch("remove a member", &group, remove_first),
        Step::reads_members(&team.id, &ids[1..]),
        Step::patch("rename the group", &group, rename),
        Step::reads_members(&team.id, &ids[1..]).shows(json!({ "displayName": renamed })),
        Step::patch("replace the members", &group, replace),
        Step::reads_members(&team.id, &ids[..1]),
        Step::delete("delete the group", &group),
        Step::is_gone(&group),
    ]
}
