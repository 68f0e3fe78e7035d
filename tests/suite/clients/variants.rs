//! One change, written in every way that clients write it: path or no path, string or boolean, value array or filter, PUT or
//! PATCH, any letter case of `op`, dotted and URN keys. The end is the same, whichever way it came.

use serde_json::{Value, json};

use crate::app::{TestApp, app};

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// How an operation spells its verb.
const REPLACE: [&str; 4] = ["replace", "Replace", "REPLACE", "add"];

/// How `false` is written.
fn falsehoods() -> [Value; 4] {
    [json!(false), json!("False"), json!("false"), json!("FALSE")]
}

/// A user before the change.
async fn before(app: &TestApp, n: usize) -> String {
    let body = json!({ "schemas": [USER, ENTERPRISE], "userName": format!("variant-{n}"), "active": true, "displayName": "Before",
        "name": { "givenName": "Jon", "familyName": "Snow" }, "title": "Intern",
        "emails": [{ "type": "work", "value": "jon@example.com", "primary": true }, { "type": "home", "value": "jon@home.example" }],
        ENTERPRISE: { "department": "Wall", "costCenter": "CC-1", "manager": { "value": "m-0" } } });
    app.post("/Users", body).await.expect(201).id()
}

/// The resource without what names this one user.
async fn state(app: &TestApp, id: &str) -> Value {
    let mut user = app.get(&format!("/Users/{id}")).await.expect(200).body;
    for name in ["id", "meta", "userName"] {
        user.as_object_mut().unwrap().remove(name);
    }
    user
}

/// The state that every variant must reach: given name, department, work address, manager and activation changed, the title
/// cleared, all else untouched.
fn after() -> Value {
    json!({ "schemas": [USER, ENTERPRISE], "active": false, "displayName": "Before", "name": { "givenName": "Aegon", "familyName": "Snow" },
        "emails": [{ "type": "work", "value": "aegon@example.com", "primary": true }, { "type": "home", "value": "jon@home.example" }],
        ENTERPRISE: { "department": "South", "costCenter": "CC-1", "manager": { "value": "m-1" } } })
}

/// The ways to write each part of the change, as operations.
fn ways(op: &str, no: &Value) -> Vec<Vec<Value>> {
    let set = |path: &str, value: Value| json!({ "op": op, "path": path, "value": value });
    let keys = |object: Value| json!({ "op": op, "value": object });
    vec![
        vec![
            set("active", no.clone()),
            set("name.givenName", json!("Aegon")),
            set(&format!("{ENTERPRISE}:department"), json!("South")),
            set("emails[type eq \"work\"].value", json!("aegon@example.com")),
            set(&format!("{ENTERPRISE}:manager"), json!("m-1")),
            set("title", json!("")),
        ],
        vec![keys(json!({ "active": no, "name.givenName": "Aegon", format!("{ENTERPRISE}:department"): "South", "title": null,
            format!("{ENTERPRISE}:manager.value"): "m-1", "emails[type eq \"work\"].value": "aegon@example.com" }))],
        vec![
            keys(json!({ "Active": no, "NAME": { "GivenName": "Aegon" }, "title": [] })),
            keys(json!({ ENTERPRISE: { "Department": "South", "Manager": { "Value": "m-1" } } })),
            set("emails[Type EQ \"WORK\"]", json!({ "value": "aegon@example.com" })),
        ],
        vec![
            set(&format!("{USER}:active"), no.clone()),
            set(&format!("{USER}:name"), json!({ "givenName": "Aegon" })),
            set(ENTERPRISE, json!({ "department": "South", "manager": [{ "$ref": null, "value": "m-1" }] })),
            set("emails[type eq \"work\" and primary eq \"True\"].value", json!("aegon@example.com")),
            json!({ "op": "Remove", "path": "title" }),
        ],
        vec![
            set(&format!("{ENTERPRISE}.manager"), json!({ "value": "m-1" })),
            set("department", json!("South")),
            keys(json!({ USER: { "active": no, "title": "" } })),
            set("name", json!([{ "givenName": "Aegon" }])),
            set("emails[value eq \"jon@example.com\"].value", json!("aegon@example.com")),
        ],
    ]
}

#[tokio::test]
async fn a_user_ends_the_same_whichever_way_the_change_is_written() {
    let app = app().await;
    let mut variants = Vec::new();
    for op in REPLACE {
        for no in falsehoods() {
            variants.extend(ways(op, &no));
        }
    }
    for (n, operations) in variants.iter().enumerate() {
        let id = before(&app, n).await;
        let at_once = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations });
        app.patch(&format!("/Users/{id}"), at_once).await.expect(200);
        assert_eq!(state(&app, &id).await, after(), "{operations:#?}");
        assert_eq!(app.employee(&id).await["active"], false);
        assert_eq!(app.employee(&id).await["department_name"], "South");
    }
}

#[tokio::test]
async fn the_order_of_operations_and_the_number_of_requests_do_not_matter() {
    let app = app().await;
    for (n, mut operations) in ways("Replace", &json!("False")).into_iter().enumerate() {
        let id = before(&app, n).await;
        // This way selects the address by the value that it replaces; the others are independent of each other already.
        operations.reverse();
        for operation in operations {
            app.patch(&format!("/Users/{id}"), json!({ "operations": operation })).await.expect(200);
        }
        assert_eq!(state(&app, &id).await, after());
    }
}

#[tokio::test]
async fn a_put_ends_the_same_as_a_patch() {
    let app = app().await;
    for (n, no) in falsehoods().into_iter().enumerate() {
        for manager in [json!("m-1"), json!({ "value": "m-1" }), json!([{ "value": "m-1" }])] {
            let n = n * 10 + usize::from(manager.is_string()) + 2 * usize::from(manager.is_array());
            let id = before(&app, n).await;
            let body = json!({ "SCHEMAS": [USER, ENTERPRISE, "urn:scim:schemas:core:2.0"], "id": "ignored", "username": format!("variant-{n}"),
                "Active": no, "displayName": "Before", "Name": { "GivenName": "Aegon", "familyName": "Snow" }, "title": "", "groups": [],
                "emails": [{ "Type": "work", "Value": "aegon@example.com", "Primary": "True" }, { "type": "home", "value": "jon@home.example" }],
                "meta": { "resourceType": "User" }, "photos": null, "roles": [],
                ENTERPRISE: { "Department": "South", "costCenter": "CC-1", "Manager": manager } });
            app.put(&format!("/Users/{id}"), body).await.expect(200);
            assert_eq!(state(&app, &id).await, after());
        }
    }
}

fn refs(ids: &[&String]) -> Value {
    ids.iter().map(|id| json!({ "value": id })).collect()
}

#[tokio::test]
async fn members_end_the_same_whichever_way_they_are_added() {
    let app = app().await;
    let (a, b, c) = (app.user("a").await, app.user("b").await, app.user("c").await);
    let one_each: Value = [&b, &c].iter().map(|id| json!({ "op": "Add", "path": "members", "value": { "value": id } })).collect();
    let ways = [
        json!([{ "op": "add", "path": "members", "value": refs(&[&b, &c]) }]),
        json!([{ "op": "Add", "path": "Members", "value": [{ "$ref": null, "value": b }, { "$ref": null, "value": c }] }]),
        one_each,
        json!([{ "op": "add", "value": { "members": refs(&[&a, &b, &c]) } }]),
        json!([{ "op": "add", "path": "members", "value": { "members": refs(&[&b, &c]) } }]),
        json!([{ "op": "add", "path": "members", "value": [b, c] }]),
        json!([{ "op": "ADD", "path": "urn:ietf:params:scim:schemas:core:2.0:Group:members", "value": refs(&[&c, &b, &c]) }]),
        json!([{ "op": "replace", "path": "members", "value": refs(&[&a, &b, &c]) }]),
        json!([{ "op": "replace", "value": { "members": refs(&[&c, &b, &a]) } }]),
        json!([{ "op": "remove", "path": "members" }, { "op": "add", "path": "members", "value": refs(&[&a, &b, &c]) }]),
    ];
    let mut expected = vec![a.clone(), b, c];
    expected.sort();
    for (n, operations) in ways.into_iter().enumerate() {
        let group = app.group(&format!("adding {n}"), &[&a]).await;
        app.patch(&format!("/Groups/{group}"), json!({ "Operations": operations })).await.expect(204);
        assert_eq!(app.members(&group).await, expected, "{operations}");
    }
    let group = app.group("put", &[&a]).await;
    let body = json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "put",
        "members": expected.iter().map(|id| json!({ "value": id, "$ref": format!("Users/{id}") })).collect::<Value>() });
    app.put(&format!("/Groups/{group}"), body).await.expect(200);
    assert_eq!(app.members(&group).await, expected);
}

#[tokio::test]
async fn members_end_the_same_whichever_way_they_are_removed() {
    let app = app().await;
    let (a, b, c) = (app.user("a").await, app.user("b").await, app.user("c").await);
    let nobody = "01890a5d-ac96-774b-bcce-b302099a8057".to_owned();
    let filter = |id: &String| json!({ "op": "remove", "path": format!("members[value eq \"{id}\"]") });
    let ways = [
        json!([{ "op": "remove", "path": "members", "value": refs(&[&b, &c]) }]),
        json!([{ "op": "Remove", "path": "members", "value": [{ "$ref": null, "value": b }, { "value": c }] }]),
        json!([{ "op": "remove", "path": "members", "value": [b, c, nobody] }]),
        json!([{ "op": "remove", "path": "members", "value": { "value": b } }, { "op": "remove", "path": "members", "value": refs(&[&c]) }]),
        json!([filter(&b), filter(&c), filter(&nobody)]),
        json!([{ "op": "REMOVE", "path": format!("members[value eq \"{b}\" or Value EQ \"{c}\"]") }]),
        json!([{ "op": "remove", "path": "members", "value": { "members": refs(&[&b, &c]) } }]),
        json!([{ "op": "replace", "path": "members", "value": refs(&[&a]) }]),
        json!([{ "op": "remove", "path": "members", "value": null }, { "op": "add", "path": "members", "value": refs(&[&a]) }]),
        json!([{ "op": "remove", "path": format!("members[value ne \"{a}\"]") }]),
    ];
    for (n, operations) in ways.into_iter().enumerate() {
        let group = app.group(&format!("removing {n}"), &[&a, &b, &c]).await;
        app.patch(&format!("/Groups/{group}"), json!({ "Operations": operations })).await.expect(204);
        assert_eq!(app.members(&group).await, std::slice::from_ref(&a), "{operations}");
    }
}

#[tokio::test]
async fn a_replace_that_speaks_of_other_attributes_leaves_the_members() {
    let app = app().await;
    let a = app.user("a").await;
    let group = app.group("before", &[&a]).await;
    for operation in [
        json!({ "op": "replace", "value": { "id": group, "displayName": "after" } }),
        json!({ "op": "Replace", "path": "displayName", "value": "after" }),
        json!({ "op": "replace", "value": { "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "meta": {}, "externalId": "x" } }),
    ] {
        app.patch(&format!("/Groups/{group}"), json!({ "Operations": [operation] })).await.expect(204);
        assert_eq!(app.members(&group).await, std::slice::from_ref(&a));
    }
    assert_eq!(app.get(&format!("/Groups/{group}")).await.body["displayName"], "after");
}
