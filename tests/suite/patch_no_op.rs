//! A PATCH or PUT that changes nothing leaves no trace (RFC 7644 §3.5.2.1; N66, N67): version and lastModified stay, no event is
//! written.

use serde_json::json;

use crate::app::app;
use crate::patch::{ENTERPRISE, USER, barbara, message, patch};

/// N66: whatever changes nothing leaves version and lastModified alone and writes no event.
#[tokio::test]
async fn a_user_that_is_not_changed_keeps_its_version() {
    let app = app().await;
    let user = barbara(&app).await;
    let before = app.get(&format!("/Users/{user}")).await.expect(200);
    let events = app.events(&user).await.len();
    let whole = before.body.clone();
    for operations in [
        json!([]),
        json!([{ "op": "add", "path": "title", "value": "Tour Guide" }]),
        json!([{ "op": "replace", "path": "TITLE", "value": "Tour Guide" }]),
        json!([{ "op": "Replace", "path": "active", "value": "True" }]),
        json!([{ "op": "replace", "value": { "active": true } }]),
        json!([{ "op": "add", "path": "emails", "value": [{ "value": "babs@jensen.org", "type": "home" }] }]),
        json!([{ "op": "add", "path": "emails", "value": { "type": "work", "value": "bjensen@example.com", "primary": true } }]),
        json!([{ "op": "add", "path": "emails", "value": [] }]),
        json!([{ "op": "replace", "path": "emails", "value": whole["emails"] }]),
        json!([{ "op": "replace", "path": "emails[type eq \"work\"].primary", "value": true }]),
        json!([{ "op": "replace", "path": "emails[type eq \"work\"].value", "value": "bjensen@example.com" }]),
        json!([{ "op": "remove", "path": "emails[type eq \"other\"]" }]),
        json!([{ "op": "remove", "path": "emails", "value": [{ "value": "nobody@example.com" }] }]),
        json!([{ "op": "replace", "path": "emails[type eq \"other\"].value", "value": "" }]),
        json!([{ "op": "remove", "path": "nickName" }]),
        json!([{ "op": "remove", "path": "phoneNumbers" }]),
        json!([{ "op": "remove", "path": "addresses[type eq \"work\"].locality" }]),
        json!([{ "op": "replace", "path": "nickName", "value": null }]),
        json!([{ "op": "add", "path": "name", "value": { "givenName": "Barbara" } }]),
        json!([{ "op": "replace", "path": "name", "value": { "familyName": "Jensen", "givenName": "Barbara" } }]),
        json!([{ "op": "replace", "value": { ENTERPRISE: { "department": "Tours" } } }]),
        json!([{ "op": "replace", "path": "manager", "value": "26118915" }]),
        json!([{ "op": "replace", "path": "manager", "value": [{ "value": "26118915", "$ref": null }] }]),
        json!([{ "op": "replace", "value": { "id": user, "schemas": [USER], "meta": { "version": "x" }, "groups": [] } }]),
        json!([{ "op": "replace", "path": "schemas", "value": [USER] }]),
        json!([{ "op": "replace", "value": whole }]),
        json!([{ "op": "remove", "path": "title" }, { "op": "add", "path": "title", "value": "Tour Guide" }]),
        json!([{ "op": "remove", "path": ENTERPRISE }, { "op": "add", "value": { ENTERPRISE: whole[ENTERPRISE] } }]),
    ] {
        let answer = patch(&app, &user, operations.clone()).await.expect(200);
        assert_eq!(answer.body["meta"], before.body["meta"], "{operations}");
        assert_eq!(app.get(&format!("/Users/{user}")).await.text, before.text, "{operations}");
    }
    app.put(&format!("/Users/{user}"), whole).await.expect(200);
    assert_eq!(app.get(&format!("/Users/{user}")).await.text, before.text);
    assert_eq!(app.events(&user).await.len(), events, "nothing happened");
    patch(&app, &user, json!([{ "op": "replace", "path": "title", "value": "tour guide" }])).await.expect(200);
    let after = app.get(&format!("/Users/{user}")).await;
    assert_ne!(after.body["meta"]["version"], before.body["meta"]["version"], "another letter case is another value");
    assert!(after.body["meta"]["lastModified"].as_str() > before.body["meta"]["lastModified"].as_str());
}

/// N67: the same for a group, whose members are a set.
#[tokio::test]
async fn a_group_that_is_not_changed_keeps_its_version() {
    let app = app().await;
    let (jon, arya, sansa) = (app.user("jon").await, app.user("arya").await, app.user("sansa").await);
    let group = app.group("Starks", &[&jon, &arya]).await;
    let path = format!("/Groups/{group}");
    let before = app.get(&path).await.expect(200);
    for operations in [
        json!([]),
        json!([{ "op": "add", "path": "members", "value": [{ "value": jon }] }]),
        json!([{ "op": "add", "value": { "members": [{ "value": jon, "display": "J" }, { "value": jon }] } }]),
        json!([{ "op": "add", "path": "members", "value": [] }]),
        json!([{ "op": "remove", "path": "members", "value": [{ "value": sansa }] }]),
        json!([{ "op": "remove", "path": format!("members[value eq \"{sansa}\"]") }]),
        json!([{ "op": "remove", "path": "members[value eq \"nobody\"]" }]),
        json!([{ "op": "remove", "path": "members[type eq \"Group\"]" }]),
        json!([{ "op": "remove", "path": "members", "value": [] }]),
        json!([{ "op": "replace", "path": "members", "value": [{ "value": arya }, { "value": jon }, { "value": arya }] }]),
        json!([{ "op": "replace", "path": "displayName", "value": "Starks" }]),
        json!([{ "op": "replace", "value": { "id": group, "displayName": "Starks" } }]),
        json!([{ "op": "replace", "value": before.body }]),
        json!([{ "op": "add", "path": "members", "value": [{ "value": sansa }] }, { "op": "remove", "path": format!("members[value eq \"{sansa}\"]") }]),
        json!([{ "op": "remove", "path": "members" }, { "op": "add", "path": "members", "value": [{ "value": jon }, { "value": arya }] }]),
    ] {
        app.patch(&path, message(operations.clone())).await.expect(204);
        assert_eq!(app.get(&path).await.text, before.text, "{operations}");
    }
    app.put(&path, before.body.clone()).await.expect(200);
    assert_eq!(app.get(&path).await.text, before.text);
}
