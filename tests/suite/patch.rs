//! PATCH through the router (RFC 7644 §3.5.2; N63 to N75): every form of path and value, and what is refused with which keyword.

use serde_json::{Value, json};

use crate::app::{Answer, TestApp, app};

pub const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
pub const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
const PATCH_OP: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

/// A PATCH message with these operations.
pub fn message(operations: Value) -> Value {
    json!({ "schemas": [PATCH_OP], "Operations": operations })
}

/// A user with a value of every kind.
pub async fn barbara(app: &TestApp) -> String {
    let body = json!({
        "schemas": [USER, ENTERPRISE], "userName": "bjensen", "displayName": "Babs", "title": "Tour Guide", "active": true,
        "name": { "givenName": "Barbara", "familyName": "Jensen" },
        "emails": [
            { "value": "bjensen@example.com", "type": "work", "primary": true },
            { "value": "babs@jensen.org", "type": "home" },
        ],
        "roles": [{ "value": "guide" }],
        ENTERPRISE: { "department": "Tours", "manager": { "value": "26118915" } },
    });
    app.post("/Users", body).await.expect(201).id()
}

/// Sends operations on a user.
pub async fn patch(app: &TestApp, user: &str, operations: Value) -> Answer {
    app.patch(&format!("/Users/{user}"), message(operations)).await
}

/// Applies operations to a new Barbara and compares the attributes that are named; null means "absent".
async fn becomes(app: &TestApp, operations: Value, expected: Value) {
    let user = barbara(app).await;
    let answer = patch(app, &user, operations.clone()).await.expect(200);
    for (name, value) in expected.as_object().expect("an object") {
        assert_eq!(answer.body.get(name).unwrap_or(&Value::Null), value, "{name} after {operations}");
    }
    assert_eq!(app.get(&format!("/Users/{user}")).await.expect(200).body, answer.body, "the answer is what is stored");
    app.delete(&format!("/Users/{user}")).await.expect(204);
}

/// N68: to a singular attribute add replaces, to a complex one it merges, to a multi-valued one it appends.
#[tokio::test]
async fn add_appends_replaces_or_merges_by_the_kind_of_the_attribute() {
    let app = app().await;
    let work = json!({ "value": "bjensen@example.com", "type": "work", "primary": true });
    let home = json!({ "value": "babs@jensen.org", "type": "home" });
    for (operations, expected) in [
        (json!([{ "op": "add", "path": "title", "value": "Guide" }]), json!({ "title": "Guide" })),
        (json!([{ "op": "add", "path": "nickName", "value": "Babs" }]), json!({ "nickName": "Babs" })),
        (
            json!([{ "op": "add", "path": "name", "value": { "middleName": "Jane" } }]),
            json!({ "name": { "givenName": "Barbara", "familyName": "Jensen", "middleName": "Jane" } }),
        ),
        (
            json!([{ "op": "add", "path": "emails", "value": [{ "value": "x@example.com" }] }]),
            json!({ "emails": [work, home, { "value": "x@example.com" }] }),
        ),
        (
            json!([{ "op": "add", "value": { "emails": [{ "value": "x@example.com" }], "nickName": "Babs" } }]),
            json!({ "emails": [work, home, { "value": "x@example.com" }], "nickName": "Babs" }),
        ),
        (
            json!([{ "op": "add", "path": "emails[type eq \"other\"].value", "value": "x@example.com" }]),
            json!({ "emails": [work, home, { "type": "other", "value": "x@example.com" }] }),
        ),
        (
            json!([{ "op": "add", "path": format!("{ENTERPRISE}:costCenter"), "value": "42" }]),
            json!({ ENTERPRISE: { "department": "Tours", "manager": { "value": "26118915" }, "costCenter": "42" } }),
        ),
        (json!([{ "op": "add", "path": "emails", "value": [] }]), json!({ "emails": [work, home] })),
    ] {
        becomes(&app, operations, expected).await;
    }
}

/// N71: replace sets what is named and keeps what is not; where there is nothing it adds.
#[tokio::test]
async fn replace_sets_what_it_names_and_keeps_the_rest() {
    let app = app().await;
    let work = json!({ "value": "bjensen@example.com", "type": "work", "primary": true });
    let home = json!({ "value": "babs@jensen.org", "type": "home" });
    let extension = json!({ "department": "Sales", "manager": { "value": "26118915" } });
    for (operations, expected) in [
        (
            json!([{ "op": "replace", "path": "name.familyName", "value": "Smith" }]),
            json!({ "name": { "givenName": "Barbara", "familyName": "Smith" } }),
        ),
        (
            json!([{ "op": "replace", "path": "name", "value": { "familyName": "Smith" } }]),
            json!({ "name": { "givenName": "Barbara", "familyName": "Smith" } }),
        ),
        (
            json!([{ "op": "replace", "value": { "name.familyName": "Smith" } }]),
            json!({ "name": { "givenName": "Barbara", "familyName": "Smith" } }),
        ),
        (json!([{ "op": "replace", "path": "nickName", "value": "Babs" }]), json!({ "nickName": "Babs" })),
        (
            json!([{ "op": "replace", "path": "emails", "value": [{ "value": "x@example.com" }] }]),
            json!({ "emails": [{ "value": "x@example.com" }] }),
        ),
        (
            json!([{ "op": "replace", "path": "emails[type eq \"home\"]", "value": { "value": "x@example.com" } }]),
            json!({ "emails": [work, { "value": "x@example.com", "type": "home" }] }),
        ),
        (
            json!([{ "op": "replace", "path": "EMAILS[Type eq \"WORK\"].Value", "value": "x@example.com" }]),
            json!({ "emails": [{ "value": "x@example.com", "type": "work", "primary": true }, home] }),
        ),
        (
            json!([{ "op": "replace", "path": "emails[type eq \"home\"].display", "value": "Home" }]),
            json!({ "emails": [work, { "value": "babs@jensen.org", "type": "home", "display": "Home" }] }),
        ),
        (
            json!([{ "op": "replace", "path": "emails[value co \"jensen\"].display", "value": "J" }]),
            json!({ "emails": [
            { "value": "bjensen@example.com", "type": "work", "primary": true, "display": "J" }, { "value": "babs@jensen.org", "type": "home", "display": "J" }] }),
        ),
        (json!([{ "op": "replace", "path": "department", "value": "Sales" }]), json!({ ENTERPRISE: extension })),
        (json!([{ "op": "replace", "path": format!("{ENTERPRISE}.department"), "value": "Sales" }]), json!({ ENTERPRISE: extension })),
        (json!([{ "op": "replace", "path": ENTERPRISE, "value": { "department": "Sales" } }]), json!({ ENTERPRISE: extension })),
        (json!([{ "op": "replace", "value": { ENTERPRISE: { "department": "Sales" } } }]), json!({ ENTERPRISE: extension })),
        (json!([{ "op": "replace", "value": { format!("{ENTERPRISE}:department"): "Sales" } }]), json!({ ENTERPRISE: extension })),
        (json!([{ "op": "replace", "path": format!("{USER}:title"), "value": "Guide" }]), json!({ "title": "Guide" })),
        (json!([{ "op": "replace", "path": USER, "value": { "title": "Guide" } }]), json!({ "title": "Guide" })),
        (
            json!([{ "op": "replace", "value": { format!("{ENTERPRISE}:manager.value"): "7" } }]),
            json!({ ENTERPRISE: { "department": "Tours", "manager": { "value": "7" } } }),
        ),
    ] {
        becomes(&app, operations, expected).await;
    }
}

/// N10, N69: null, the empty array, the empty string and remove unassign; the last value takes its attribute along.
#[tokio::test]
async fn values_are_unassigned_in_every_way() {
    let app = app().await;
    let work = json!({ "value": "bjensen@example.com", "type": "work", "primary": true });
    let home = json!({ "value": "babs@jensen.org", "type": "home" });
    for (operation, expected) in [
        (json!({ "op": "remove", "path": "title" }), json!({ "title": null })),
        (json!({ "op": "replace", "path": "title", "value": null }), json!({ "title": null })),
        (json!({ "op": "replace", "path": "title", "value": "" }), json!({ "title": null })),
        (json!({ "op": "replace", "path": "title" }), json!({ "title": null })),
        (json!({ "op": "replace", "value": { "title": null, "nickName": [] } }), json!({ "title": null, "nickName": null })),
        (json!({ "op": "replace", "path": "emails", "value": [] }), json!({ "emails": null })),
        (json!({ "op": "replace", "path": "emails", "value": null }), json!({ "emails": null })),
        (json!({ "op": "remove", "path": "emails" }), json!({ "emails": null })),
        (json!({ "op": "remove", "path": "emails[type eq \"home\"]" }), json!({ "emails": [work] })),
        (json!({ "op": "remove", "path": "emails[value pr]" }), json!({ "emails": null })),
        (
            json!({ "op": "remove", "path": "emails[type eq \"work\"].type" }),
            json!({ "emails": [{ "value": "bjensen@example.com", "primary": true }, home] }),
        ),
        (json!({ "op": "remove", "path": "emails[type eq \"work\"].value" }), json!({ "emails": [home] })),
        (json!({ "op": "replace", "path": "emails[type eq \"work\"].value", "value": "" }), json!({ "emails": [home] })),
        (
            json!({ "op": "remove", "path": "emails", "value": [{ "value": "babs@jensen.org", "type": "home" }] }),
            json!({ "emails": [work] }),
        ),
        (json!({ "op": "remove", "path": "emails", "value": [{ "value": "BABS@jensen.org" }] }), json!({ "emails": [work] })),
        (json!({ "op": "remove", "path": "emails", "value": "babs@jensen.org" }), json!({ "emails": [work] })),
        (
            json!({ "op": "remove", "path": "emails", "value": [{ "value": "babs@jensen.org", "type": "work" }] }),
            json!({ "emails": [work, home] }),
        ),
        (json!({ "op": "remove", "path": "emails [type eq \"home\"]" }), json!({ "emails": [work] })),
        (
            json!({ "op": "remove", "path": "emails.type" }),
            json!({ "emails": [{ "value": "bjensen@example.com", "primary": true }, { "value": "babs@jensen.org" }] }),
        ),
        (json!({ "op": "remove", "path": "roles" }), json!({ "roles": null })),
        (json!({ "op": "remove", "path": "name.givenName" }), json!({ "name": { "familyName": "Jensen" } })),
        (json!({ "op": "remove", "path": "name" }), json!({ "name": null })),
        (json!({ "op": "remove", "path": ENTERPRISE }), json!({ ENTERPRISE: null, "schemas": [USER] })),
        (json!({ "op": "remove", "path": format!("{ENTERPRISE}:manager") }), json!({ ENTERPRISE: { "department": "Tours" } })),
        (json!({ "op": "replace", "path": "manager", "value": "" }), json!({ ENTERPRISE: { "department": "Tours" } })),
        (json!({ "op": "replace", "path": "manager", "value": { "value": "" } }), json!({ ENTERPRISE: { "department": "Tours" } })),
        (json!({ "op": "remove", "path": "manager.value" }), json!({ ENTERPRISE: { "department": "Tours" } })),
        (json!({ "op": "remove", "path": "active" }), json!({ "active": true })),
    ] {
        becomes(&app, json!([operation]), expected).await;
    }
}

/// N72: one primary at a time, wherever the new one comes from.
#[tokio::test]
async fn a_new_primary_takes_the_place_of_the_old() {
    let app = app().await;
    let former = json!({ "value": "bjensen@example.com", "type": "work", "primary": false });
    let home = json!({ "value": "babs@jensen.org", "type": "home", "primary": true });
    let added = json!({ "value": "x@example.com", "primary": true });
    for (operation, expected) in [
        (json!({ "op": "replace", "path": "emails[type eq \"home\"].primary", "value": true }), json!([former, home])),
        (json!({ "op": "replace", "path": "emails[type eq \"home\"].primary", "value": "True" }), json!([former, home])),
        (json!({ "op": "replace", "path": "emails[type eq \"home\"]", "value": { "primary": true } }), json!([former, home])),
        (
            json!({ "op": "add", "path": "emails", "value": [{ "value": "babs@jensen.org", "type": "home", "primary": true }] }),
            json!([former, home]),
        ),
        (
            json!({ "op": "add", "path": "emails", "value": [added] }),
            json!([former, { "value": "babs@jensen.org", "type": "home" }, added]),
        ),
        (
            json!({ "op": "add", "path": "emails[type eq \"other\" and primary eq true].value", "value": "x@example.com" }),
            json!([former, { "value": "babs@jensen.org", "type": "home" }, { "value": "x@example.com", "type": "other", "primary": true }]),
        ),
    ] {
        becomes(&app, json!([operation]), json!({ "emails": expected })).await;
    }
}

/// N64: each operation works on what the one before left.
#[tokio::test]
async fn operations_are_applied_in_order() {
    let app = app().await;
    becomes(
        &app,
        json!([
            { "op": "remove", "path": "emails" },
            { "op": "add", "path": "emails", "value": [{ "value": "x@example.com", "type": "work" }] },
            { "op": "replace", "path": "emails[type eq \"work\"].display", "value": "X" },
            { "op": "add", "path": "title", "value": "A" },
            { "op": "remove", "path": "title" },
            { "op": "replace", "path": "title", "value": "B" },
            { "op": "remove", "path": ENTERPRISE },
            { "op": "add", "path": "department", "value": "Sales" },
        ]),
        json!({ "emails": [{ "value": "x@example.com", "type": "work", "display": "X" }], "title": "B", ENTERPRISE: { "department": "Sales" }, "schemas": [USER, ENTERPRISE] }),
    )
    .await;
}

/// N64: the parts of one value come in any order, each in an operation of its own; what is a label alone in the end is no value.
#[tokio::test]
async fn a_value_is_put_together_from_operations_in_any_order() {
    let app = app().await;
    let role = |part: &str, value: Value| json!({ "op": "Add", "path": format!("roles[primary eq \"True\"].{part}"), "value": value });
    let parts = [role("type", json!("App")), role("display", json!("Administrator")), role("value", json!("Admin"))];
    let whole = json!([{ "value": "guide" }, { "primary": true, "type": "App", "display": "Administrator", "value": "Admin" }]);
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let user = barbara(&app).await;
        let roles =
            patch(&app, &user, order.map(|index: usize| parts[index].clone()).into_iter().collect()).await.expect(200).list("roles");
        assert_eq!(json!(roles), whole, "{order:?}");
        app.delete(&format!("/Users/{user}")).await.expect(204);
    }
    let other = |part: &str, value: Value| json!({ "op": "replace", "path": format!("emails[type eq \"other\"].{part}"), "value": value });
    let work = json!({ "value": "bjensen@example.com", "type": "work", "primary": true });
    let home = json!({ "value": "babs@jensen.org", "type": "home" });
    becomes(&app, json!([other("primary", json!(false))]), json!({ "emails": [work, home] })).await;
    becomes(
        &app,
        json!([other("primary", json!(false)), other("value", json!("x@example.com"))]),
        json!({ "emails": [work, home, { "value": "x@example.com", "type": "other", "primary": false }] }),
    )
    .await;
    becomes(
        &app,
        json!([
            { "op": "remove", "path": "emails[type eq \"work\"].value" },
            { "op": "add", "path": "emails[type eq \"work\"].value", "value": "new@example.com" },
        ]),
        json!({ "emails": [{ "value": "new@example.com", "type": "work", "primary": true }, home] }),
    )
    .await;
}

/// N64, N65, N69, N70: what cannot be done is refused with its keyword, and the operations before it leave no trace.
#[tokio::test]
async fn a_refused_operation_undoes_the_whole_request() {
    let app = app().await;
    let user = barbara(&app).await;
    app.user("taken").await;
    let before = app.get(&format!("/Users/{user}")).await;
    for (operation, status, keyword) in [
        (json!({ "op": "remove" }), 400, "noTarget"),
        (json!({ "op": "remove", "value": { "title": "x" } }), 400, "noTarget"),
        (json!({ "op": "remove", "path": "userName" }), 400, "mutability"),
        (json!({ "op": "remove", "path": "schemas" }), 400, "mutability"),
        (json!({ "op": "remove", "path": "id" }), 400, "mutability"),
        (json!({ "op": "remove", "path": USER }), 400, "mutability"),
        (json!({ "op": "replace", "path": "id", "value": "x" }), 400, "mutability"),
        (json!({ "op": "replace", "path": "meta.created", "value": "2024-01-01T00:00:00Z" }), 400, "mutability"),
        (json!({ "op": "add", "path": "groups", "value": [{ "value": "x" }] }), 400, "mutability"),
        (json!({ "op": "remove", "path": "groups[value eq \"x\"]" }), 400, "mutability"),
        (json!({ "op": "replace", "path": "manager.displayName", "value": "x" }), 400, "mutability"),
        (json!({ "op": "replace", "path": "userName", "value": null }), 400, "invalidValue"),
        (json!({ "op": "replace", "path": "userName", "value": "" }), 400, "invalidValue"),
        (json!({ "op": "replace", "path": "userName", "value": "TAKEN" }), 409, "uniqueness"),
        (json!({ "op": "replace", "path": "USERNAME", "value": "b\tjensen" }), 400, "invalidValue"),
        (json!({ "op": "replace", "path": format!("{USER}:userName"), "value": "b\u{202e}jensen" }), 400, "invalidValue"),
        (json!({ "op": "replace", "path": "active", "value": "maybe" }), 400, "invalidValue"),
        (json!({ "op": "replace", "path": "name", "value": "Barbara" }), 400, "invalidValue"),
        (json!({ "op": "add", "path": "title", "value": { "a": 1 } }), 400, "invalidValue"),
        (json!({ "op": "add", "path": "x509Certificates", "value": [{ "value": "*" }] }), 400, "invalidValue"),
        (json!({ "op": "add", "path": "emails", "value": [{ "value": "a", "primary": true }, { "value": 1 }] }), 400, "invalidValue"),
        (json!({ "op": "add", "path": "emails[value eq \"a\\u0001\"].type", "value": "work" }), 400, "invalidValue"),
        (json!({ "op": "add", "path": "x509Certificates[value eq \"*\"].type", "value": "work" }), 400, "invalidValue"),
        (json!({ "op": "replace", "path": "emails[type eq \"a\" and type eq \"b\"].value", "value": "x" }), 400, "noTarget"),
        (json!({ "op": "replace", "path": "emails[type co \"x\"].value", "value": "x" }), 400, "noTarget"),
        (json!({ "op": "replace", "path": "emails[not (type pr)]", "value": { "value": "x" } }), 400, "noTarget"),
        (json!({ "op": "replace", "path": "emails[type eq \"a\" or type eq \"b\"].value", "value": "x" }), 400, "noTarget"),
        (json!({ "op": "add" }), 400, "invalidValue"),
        (json!({ "op": "add", "value": "title" }), 400, "invalidValue"),
        (json!({ "op": "move", "path": "title", "value": "x" }), 400, "invalidSyntax"),
        (json!({ "path": "title", "value": "x" }), 400, "invalidSyntax"),
        (json!("remove title"), 400, "invalidSyntax"),
        (json!({ "op": "add", "path": 1, "value": "x" }), 400, "invalidPath"),
        (json!({ "op": "add", "path": "", "value": "x" }), 400, "invalidPath"),
        (json!({ "op": "add", "path": "emails[type eq \"work\"", "value": "x" }), 400, "invalidPath"),
        (json!({ "op": "add", "path": "emails[type zz \"work\"].value", "value": "x" }), 400, "invalidPath"),
        (json!({ "op": "add", "path": "emails[type eq \"work\"]value", "value": "x" }), 400, "invalidPath"),
        (json!({ "op": "add", "path": "title[type eq \"work\"]", "value": "x" }), 400, "invalidPath"),
        (json!({ "op": "add", "path": "name[givenName eq \"a\"].familyName", "value": "x" }), 400, "invalidPath"),
        (json!({ "op": "add", "path": "name.givenName.first", "value": "x" }), 400, "invalidPath"),
        (json!({ "op": "add", "path": "emails[type eq \"work\"].value.x", "value": "x" }), 400, "invalidPath"),
    ] {
        let operations = json!([{ "op": "replace", "path": "title", "value": "changed" }, operation]);
        let answer = patch(&app, &user, operations).await;
        assert_eq!(answer.status.as_u16(), status, "{operation} {}", answer.text);
        assert_eq!(answer.refused(status, keyword).body["scimType"], keyword, "{operation}");
        assert_eq!(app.get(&format!("/Users/{user}")).await.text, before.text, "{operation}");
    }
    for body in [json!({}), json!({ "Operations": null }), json!({ "Operations": "x" }), json!({ "Operations": 1 })] {
        app.patch(&format!("/Users/{user}"), body).await.refused(400, "invalidSyntax");
    }
    patch(&app, "00000000-0000-7000-8000-000000000000", json!([{ "op": "remove", "path": "title" }])).await.refused(404, "");
}

/// N23, N67 and CLIENTS.md rules 9, 10: members come and go, and are never edited.
#[tokio::test]
async fn members_are_added_removed_and_replaced() {
    let app = app().await;
    let (jon, arya, sansa) = (app.user("jon").await, app.user("arya").await, app.user("sansa").await);
    let all = [json!({ "value": jon }), json!({ "value": arya }), json!({ "value": sansa })];
    for (operations, expected) in [
        (json!([{ "op": "Remove", "path": "members", "value": [{ "value": jon }] }]), vec![&arya]),
        (json!([{ "op": "remove", "path": "members", "value": { "value": jon } }]), vec![&arya]),
        (json!([{ "op": "remove", "path": format!("members[value eq \"{jon}\"]") }]), vec![&arya]),
        (json!([{ "op": "remove", "path": format!("members[value eq \"{jon}\" or value eq \"{arya}\"]") }]), vec![]),
        (json!([{ "op": "remove", "path": "members[display eq \"JON\"]" }]), vec![&arya]),
        (json!([{ "op": "remove", "path": "members" }]), vec![]),
        (json!([{ "op": "remove", "path": "members", "value": null }]), vec![]),
        (json!([{ "op": "replace", "path": "members", "value": [] }]), vec![]),
        (json!([{ "op": "replace", "path": "members", "value": [all[2]] }]), vec![&sansa]),
        (json!([{ "op": "replace", "value": { "members": [all[2]] } }]), vec![&sansa]),
        (json!([{ "op": "replace", "value": { "displayName": "House" } }]), vec![&jon, &arya]),
        (json!([{ "op": "add", "path": "members", "value": [{ "value": sansa, "$ref": null }] }]), vec![&jon, &arya, &sansa]),
        (
            json!([{ "op": "add", "path": "members", "value": [{ "$ref": format!("https://scim.test/scim/v2/Users/{sansa}") }] }]),
            vec![&jon, &arya, &sansa],
        ),
        (json!([{ "op": "add", "path": "members", "value": { "members": [all[2]] } }]), vec![&jon, &arya, &sansa]),
        (
            json!([{ "op": "remove", "path": format!("members[value eq \"{jon}\"]") }, { "op": "add", "path": "members", "value": [all[2]] }]),
            vec![&arya, &sansa],
        ),
        (
            json!([{ "op": "add", "path": "members", "value": [all[2]] }, { "op": "replace", "path": "members", "value": [all[0]] }]),
            vec![&jon],
        ),
    ] {
        let group = app.group("Starks", &[&jon, &arya]).await;
        app.patch(&format!("/Groups/{group}"), message(operations.clone())).await.expect(204);
        let mut expected: Vec<String> = expected.into_iter().cloned().collect();
        expected.sort();
        assert_eq!(app.members(&group).await, expected, "{operations}");
        app.delete(&format!("/Groups/{group}")).await.expect(204);
    }
    let group = app.group("Starks", &[&jon, &arya]).await;
    let before = app.get(&format!("/Groups/{group}")).await;
    for (operation, keyword) in [
        (json!({ "op": "add", "path": "members", "value": [{ "value": "00000000-0000-7000-8000-000000000000" }] }), "invalidValue"),
        (json!({ "op": "add", "path": "members", "value": [{ "value": "nobody" }] }), "invalidValue"),
        (json!({ "op": "add", "path": "members", "value": [{}] }), "invalidValue"),
        (json!({ "op": "add", "path": "members", "value": [{ "value": 1 }] }), "invalidValue"),
        (json!({ "op": "add", "path": "members", "value": [{ "value": group }] }), "invalidValue"),
        (json!({ "op": "replace", "path": format!("members[value eq \"{jon}\"].value"), "value": arya }), "mutability"),
        (json!({ "op": "replace", "path": format!("members[value eq \"{jon}\"].display"), "value": "J" }), "mutability"),
        (json!({ "op": "remove", "path": "members.value" }), "mutability"),
        (json!({ "op": "remove", "path": "displayName" }), "mutability"),
        (json!({ "op": "replace", "path": "displayName", "value": "" }), "invalidValue"),
    ] {
        let operations = json!([{ "op": "add", "path": "members", "value": [all[2]] }, operation]);
        app.patch(&format!("/Groups/{group}"), message(operations)).await.refused(400, keyword);
        assert_eq!(app.get(&format!("/Groups/{group}")).await.text, before.text, "{operation}");
    }
}

/// N75: a user is answered whole; a group with 204 unless the query asks for attributes.
#[tokio::test]
async fn a_patch_is_answered_with_what_the_query_asks_for() {
    let app = app().await;
    let user = barbara(&app).await;
    let group = app.group("Guides", &[&user]).await;
    let rename = message(json!([{ "op": "replace", "path": "displayName", "value": "Tour Guides" }]));
    assert_eq!(app.patch(&format!("/Groups/{group}"), rename.clone()).await.expect(204).text, "");
    let answer = app.patch(&format!("/Groups/{group}?attributes=members"), rename.clone()).await.expect(200);
    assert_eq!(answer.body["members"][0]["value"], *user);
    assert!(answer.body.get("displayName").is_none());
    let answer = app.patch(&format!("/Groups/{group}?excludedAttributes=members"), rename.clone()).await.expect(200);
    assert_eq!((answer.body["displayName"].as_str(), answer.body.get("members")), (Some("Tour Guides"), None));
    let answer = app.patch(&format!("/Users/{user}?attributes=title"), rename).await.expect(200);
    assert_eq!((answer.body["title"].as_str(), answer.body.get("userName")), (Some("Tour Guide"), None));
}

/// The decisions of a lenient connection on what no schema knows: it is set aside, and the rest of the request applies.
#[tokio::test]
async fn what_no_schema_knows_is_set_aside_and_the_rest_applies() {
    let app = app().await;
    for operation in [
        json!({ "op": "add", "path": "shoeSize", "value": 47 }),
        json!({ "op": "replace", "path": format!("{ENTERPRISE}:badge"), "value": "x" }),
        json!({ "op": "replace", "path": "name.nick", "value": "x" }),
        json!({ "op": "remove", "path": "shoeSize" }),
        json!({ "op": "replace", "value": { "costcenter ": "1", "job Title": "x", "9lives": 1, "a.b.c": 2, "$custom": true, "title/2": "x" } }),
        json!({ "op": "replace", "path": "urn:example:2.0:User:badge", "value": "x" }),
        json!({ "op": "add", "path": "name", "value": { "nick": "x" } }),
    ] {
        becomes(&app, json!([operation, { "op": "replace", "path": "title", "value": "B" }]), json!({ "title": "B", "shoeSize": null }))
            .await;
    }
    let user = barbara(&app).await;
    let one = json!({ "operations": { "OP": "replace", "PATH": "title", "VALUE": "C" } });
    assert_eq!(app.patch(&format!("/Users/{user}"), one).await.expect(200).body["title"], "C");
}
