//! What a PATCH may get wrong (RFC 7644 §3.5.2): each fault has its `scimType`, an operation is never half done, and an unknown
//! shape is never taken for "remove all". N64, N65, N69.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::{TestApp, app, strict_app};
use crate::bad_input::{assert_well_formed, stock};

fn operations(operations: Value) -> Value {
    json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations })
}

fn remove(path: &str) -> Value {
    operations(json!([{ "op": "remove", "path": path }]))
}

/// A group of three users and its path.
async fn group_of_three(app: &TestApp) -> (String, String, [String; 3]) {
    let users = [app.user("a").await, app.user("b").await, app.user("c").await];
    let group = app.group("Sales", &[&users[0], &users[1], &users[2]]).await;
    (format!("/Groups/{group}"), group, users)
}

/// PAT-002: paths that try to reach what is no attribute are no paths, and change nothing.
#[tokio::test]
async fn a_path_that_is_malformed_is_refused() {
    let app = app().await;
    let user = app.user("jsnow").await;
    let path = format!("/Users/{user}");
    let before = stock(&app).await;
    let colons = format!("urn:{}", ":".repeat(1_000));
    let long = "a".repeat(16_000);
    let segments = "a.".repeat(8_000) + "a";
    for wrong in [
        "..",
        "a.b.c.d",
        "",
        " ",
        "[",
        "]",
        "emails[",
        "emails[type eq",
        "emails[type eq \"work\"",
        "emails[type eq \"work\"]]",
        "emails[type eq \"work\"]value",
        "emails[]",
        "emails[type eq \"work\"].",
        "emails[type eq \"work\"].value.x",
        "emails.value[type eq \"work\"]",
        "userName[value eq \"a\"]",
        "emails[shoeSize eq 12]",
        "emails[type gt]",
        "emails[primary gt true]",
        "emails[type eq \"a\\ud800\"]",
        "emails[not type eq \"work\"]",
        "$where",
        "__proto__.x",
        "$.emails",
        "/emails/0/value",
        "emails[0]",
        "name..givenName",
        ".userName",
        "userName.",
        "user name;drop",
        "emails[type eq \"work\"] or",
        "'; drop table users; --",
        &colons,
        &long,
        &segments,
    ] {
        for op in ["add", "replace", "remove"] {
            let refused = app.patch(&path, operations(json!([{ "op": op, "path": wrong, "value": "x" }]))).await;
            assert_eq!(refused.status.as_u16(), 400, "{op} {wrong:.60}: {}", refused.text);
            assert_well_formed(&refused.clone());
            assert_eq!(refused.body["scimType"], "invalidPath", "{op} {wrong:.60}: {}", refused.text);
        }
    }
    assert_eq!(stock(&app).await, before);
}

/// On a lenient connection a well-formed path that names nothing is set aside (Entra and OneLogin would stop the user for ever);
/// a strict one refuses it. Neither makes an attribute of it.
#[tokio::test]
async fn a_path_to_no_attribute_never_becomes_one() {
    let strict = strict_app().await;
    let lenient = app().await;
    for name in ["shoeSize", "constructor.prototype", "emails[type eq \"work\"].shoeSize", "name.shoeSize", "urn:example:User:shoeSize"] {
        let patch = operations(json!([{ "op": "replace", "path": name, "value": "x" }]));
        let user = strict.user(&crate::support::unique("u")).await;
        let refused = strict.patch(&format!("/Users/{user}"), patch.clone()).await.refused(400, "invalidPath");
        assert_well_formed(&refused);
        let user = lenient.user(&crate::support::unique("u")).await;
        let read = lenient.get(&format!("/Users/{user}")).await;
        let patched = lenient.patch(&format!("/Users/{user}"), patch).await.expect(200);
        assert_eq!(patched.body, read.body, "{name}");
    }
}

#[tokio::test]
async fn operations_of_another_shape_are_refused() {
    let app = app().await;
    let user = app.user("jsnow").await;
    let before = stock(&app).await;
    for (body, scim_type) in [
        (json!({}), "invalidSyntax"),
        (json!({ "Operations": null }), "invalidSyntax"),
        (json!({ "Operations": "replace" }), "invalidSyntax"),
        (json!({ "Operations": ["replace"] }), "invalidSyntax"),
        (operations(json!([{}])), "invalidSyntax"),
        (operations(json!([{ "op": 5 }])), "invalidSyntax"),
        (operations(json!([{ "op": "move", "path": "title", "value": "x" }])), "invalidSyntax"),
        (operations(json!([{ "op": "test", "path": "title", "value": "x" }])), "invalidSyntax"),
        (operations(json!([{ "op": "add" }])), "invalidValue"),
        (operations(json!([{ "op": "add", "path": "title" }])), "invalidValue"),
        (operations(json!([{ "op": "replace" }])), "invalidValue"),
        (operations(json!([{ "op": "replace", "value": "x" }])), "invalidValue"),
        (operations(json!([{ "op": "replace", "value": [] }])), "invalidValue"),
        (operations(json!([{ "op": "replace", "path": 5, "value": "x" }])), "invalidPath"),
        (operations(json!([{ "op": "replace", "path": ["title"], "value": "x" }])), "invalidPath"),
        (operations(json!([{ "op": "remove" }])), "noTarget"),
        (operations(json!([{ "op": "remove", "value": { "title": "x" } }])), "noTarget"),
        (operations(json!([{ "op": "replace", "path": "title", "value": { "a": 1 } }])), "invalidValue"),
        (operations(json!([{ "op": "replace", "path": "active", "value": "perhaps" }])), "invalidValue"),
        (operations(json!([{ "op": "replace", "path": "active", "value": [{ "value": "perhaps" }] }])), "invalidValue"),
        (operations(json!([{ "op": "replace", "path": "emails[primary gt 1].value", "value": "x" }])), "invalidPath"),
        (remove("userName"), "mutability"),
        (remove("id"), "mutability"),
        (remove("meta"), "mutability"),
        (remove("groups"), "mutability"),
        (operations(json!([{ "op": "replace", "path": "id", "value": Uuid::nil() }])), "mutability"),
        (operations(json!([{ "op": "replace", "path": "meta.created", "value": "2020-01-01T00:00:00Z" }])), "mutability"),
        (operations(json!([{ "op": "add", "path": "groups", "value": [{ "value": Uuid::nil() }] }])), "mutability"),
        (operations(json!([{ "op": "replace", "path": "userName", "value": null }])), "invalidValue"),
        (operations(json!([{ "op": "replace", "path": "userName", "value": "" }])), "invalidValue"),
        (operations(json!([{ "op": "replace", "value": { "userName": null } }])), "invalidValue"),
    ] {
        let refused = app.patch(&format!("/Users/{user}"), body.clone()).await;
        assert_eq!((refused.status.as_u16(), &refused.body["scimType"]), (400, &json!(scim_type)), "{body}: {}", refused.text);
        assert_well_formed(&refused);
    }
    assert_eq!(stock(&app).await, before);
}

/// What a value path's filter says becomes a value when it selects nothing: it passes the same door as any other value.
#[tokio::test]
async fn a_value_made_from_a_filter_keeps_the_rules_of_values() {
    let app = app().await;
    let user = app.user("jsnow").await;
    let before = stock(&app).await;
    let long = "x".repeat(1_025);
    for text in ["a\u{1}b", "\u{1b}[2J", &long] {
        for path in [format!("emails[type eq {}].value", json!(text)), format!("phoneNumbers[value eq {}].type", json!(text))] {
            for op in ["add", "replace"] {
                let refused = app.patch(&format!("/Users/{user}"), operations(json!([{ "op": op, "path": path, "value": "x" }]))).await;
                assert_eq!(refused.status.as_u16(), 400, "{op} {path:.80}: {}", refused.text);
                assert_well_formed(&refused);
            }
        }
    }
    assert_eq!(stock(&app).await, before);
}

/// PAT-007, N64: a fault in the fourth operation leaves no trace of the first three, whether it is found before the resource is
/// looked at or after.
#[tokio::test]
async fn a_patch_is_done_as_a_whole_or_not_at_all() {
    let app = app().await;
    let user = app.user("jsnow").await;
    let taken = app.user("taken").await;
    let (path, _, members) = group_of_three(&app).await;
    let before = stock(&app).await;
    for (wrong, status, scim_type) in [
        (json!({ "op": "replace", "path": "active", "value": 7 }), 400, "invalidValue"),
        (json!({ "op": "replace", "path": "emails[type eq", "value": 7 }), 400, "invalidPath"),
        (json!({ "op": "replace", "path": "id", "value": "x" }), 400, "mutability"),
        (json!({ "op": "remove" }), 400, "noTarget"),
        (json!({ "op": "replace", "path": "emails[type co \"x\"].value", "value": "x" }), 400, "noTarget"),
        (json!({ "op": "replace", "path": "userName", "value": "TAKEN" }), 409, "uniqueness"),
    ] {
        let patch = operations(json!([
            { "op": "replace", "path": "title", "value": "King" },
            { "op": "add", "path": "nickName", "value": "Jon" },
            { "op": "remove", "path": "emails" },
            wrong,
            { "op": "replace", "path": "locale", "value": "en" },
        ]));
        let refused = app.patch(&format!("/Users/{user}"), patch).await.refused(status, scim_type);
        assert_well_formed(&refused);
    }
    for (wrong, scim_type) in [
        (json!({ "op": "add", "path": "members", "value": [{ "value": Uuid::now_v7() }] }), "invalidValue"),
        (json!({ "op": "add", "path": "members", "value": [{ "value": taken }, { "value": "no id" }] }), "invalidValue"),
        (json!({ "op": "remove", "path": "displayName" }), "mutability"),
    ] {
        let patch = operations(json!([
            { "op": "remove", "path": format!("members[value eq \"{}\"]", members[0]) },
            { "op": "add", "path": "members", "value": [{ "value": user }] },
            { "op": "replace", "path": "displayName", "value": "Marketing" },
            wrong,
        ]));
        assert_well_formed(&app.patch(&path, patch).await.refused(400, scim_type));
    }
    assert_eq!(stock(&app).await, before);
}

/// PAT-003: by filter, in the spellings that clients send.
#[tokio::test]
async fn removing_one_member_by_filter_removes_that_one() {
    let app = app().await;
    for spelling in [
        "members[value eq \"{}\"]",
        "Members[Value EQ \"{}\"]",
        "urn:ietf:params:scim:schemas:core:2.0:Group:members[value eq \"{}\"]",
        "members[value eq \"{}\" and type eq \"User\"]",
    ] {
        let users = [app.user(&crate::support::unique("a")).await, app.user(&crate::support::unique("b")).await];
        let group = app.group(&crate::support::unique("Sales"), &[&users[0], &users[1]]).await;
        app.patch(&format!("/Groups/{group}"), remove(&spelling.replace("{}", &users[1]))).await.expect(204);
        assert_eq!(app.members(&group).await, [users[0].clone()], "{spelling}");
    }
}

/// PAT-005: no page size cuts a group.
#[tokio::test]
async fn adding_one_member_to_a_large_group_keeps_all_others() {
    let app = app().await;
    let mut ids = Vec::new();
    for n in 0..150 {
        ids.push(app.user(&format!("u{n}")).await);
    }
    let all: Vec<&str> = ids.iter().map(String::as_str).collect();
    let group = app.group("Everybody", &all[..149]).await;
    let add = operations(json!([{ "op": "add", "path": "members", "value": [{ "value": ids[149] }] }]));
    app.patch(&format!("/Groups/{group}"), add).await.expect(204);
    ids.sort();
    assert_eq!(app.members(&group).await, ids);
    let listed = app.get("/Groups?filter=displayName+eq+%22everybody%22").await.expect(200);
    assert_eq!(listed.body["Resources"][0]["members"].as_array().unwrap().len(), 150);
}

/// PAT-006: only `members` with no value at all means all of them.
#[tokio::test]
async fn each_shape_of_removing_members_means_what_it_says() {
    let app = app().await;
    let (path, group, users) = group_of_three(&app).await;
    let version = || async { app.get(&path).await.expect(200).body["meta"]["version"].clone() };
    // Azure's shape removes the listed one; who is not there has been removed already.
    let azure = |id: &str| operations(json!([{ "op": "Remove", "path": "members", "value": [{ "value": id }] }]));
    app.patch(&path, azure(&users[1])).await.expect(204);
    let two = {
        let mut two = vec![users[0].clone(), users[2].clone()];
        two.sort();
        two
    };
    assert_eq!(app.members(&group).await, two);
    let unchanged = version().await;
    for nothing in [
        azure(&users[1]),
        azure(&Uuid::now_v7().to_string()),
        azure("no id"),
        remove(&format!("members[value eq \"{}\"]", users[1])),
        remove("members[value eq \"no id\"]"),
        remove("members[display eq \"nobody\"]"),
        remove("members[type eq \"Group\"]"),
        operations(json!([{ "op": "remove", "path": "members", "value": [] }])),
        operations(json!([{ "op": "add", "path": "members", "value": [] }])),
        operations(json!([{ "op": "add", "path": "members", "value": [{ "value": users[0] }] }])),
    ] {
        app.patch(&path, nothing.clone()).await.expect(204);
        assert_eq!((app.members(&group).await, version().await), (two.clone(), unchanged.clone()), "{nothing}");
    }
    for (unknown, scim_type) in [
        (operations(json!([{ "op": "remove", "path": "members", "value": [{ "display": "b" }] }])), "invalidValue"),
        (operations(json!([{ "op": "remove", "path": "members", "value": [5] }])), "invalidValue"),
        (operations(json!([{ "op": "remove", "path": "members", "value": 5 }])), "invalidValue"),
        (operations(json!([{ "op": "remove", "path": "members", "value": [[]] }])), "invalidValue"),
        (operations(json!([{ "op": "remove", "path": "members", "value": {} }])), "invalidValue"),
        (operations(json!([{ "op": "replace", "path": "members", "value": [{ "id": users[0] }] }])), "invalidValue"),
        (operations(json!([{ "op": "replace", "path": "members", "value": true }])), "invalidValue"),
        (remove("members[shoeSize eq 1]"), "invalidPath"),
        (remove("members[value eq"), "invalidPath"),
        (remove("members.value"), "mutability"),
        (remove(&format!("members[value eq \"{}\"].display", users[0])), "mutability"),
        (operations(json!([{ "op": "remove" }])), "noTarget"),
    ] {
        let refused = app.patch(&path, unknown.clone()).await;
        assert_eq!((refused.status.as_u16(), &refused.body["scimType"]), (400, &json!(scim_type)), "{unknown}: {}", refused.text);
        assert_eq!((app.members(&group).await, version().await), (two.clone(), unchanged.clone()), "{unknown}");
    }
    for all in [
        remove("members"),
        operations(json!([{ "op": "remove", "path": "members", "value": null }])),
        operations(json!([{ "op": "replace", "path": "members", "value": [] }])),
        operations(json!([{ "op": "replace", "value": { "members": [] } }])),
    ] {
        let refill = operations(json!([{ "op": "replace", "path": "members", "value": [{ "value": users[0] }, { "value": users[2] }] }]));
        app.patch(&path, refill).await.expect(204);
        assert_eq!(app.members(&group).await, two);
        app.patch(&path, all.clone()).await.expect(204);
        assert!(app.members(&group).await.is_empty(), "{all}");
    }
}

/// PAT-012, N72: one value is primary, the one that was named last.
#[tokio::test]
async fn one_value_is_primary_at_most() {
    let app = app().await;
    let user = app.user("jsnow").await;
    let add = |value: &str| {
        operations(json!([{ "op": "add", "path": "emails", "value": [{ "value": value, "type": "home", "primary": true }] }]))
    };
    for value in ["a@example.com", "b@example.com"] {
        let patched = app.patch(&format!("/Users/{user}"), add(value)).await.expect(200);
        let primary: Vec<Value> = patched.list("emails").into_iter().filter(|email| email["primary"] == true).collect();
        assert_eq!(primary.len(), 1, "{}", patched.text);
        assert_eq!(primary[0]["value"], value);
        assert_eq!(app.employee(&user).await["email"], value);
    }
    let both = json!({ "userName": "twice", "emails": [{ "value": "a@b", "primary": true }, { "value": "c@d", "primary": true }] });
    let created = app.post("/Users", both).await.expect(201);
    assert_eq!(created.list("emails").iter().filter(|email| email["primary"] == true).count(), 1, "{}", created.text);
}
