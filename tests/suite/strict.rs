//! A strict connection: the RFC's text where clients differ from it, with the RFC's keywords.

use serde_json::{Value, json};

use crate::app::strict_app;
use crate::patch::{USER, barbara, message, patch};

/// The strict column of the requirements: the RFC's text, with its keywords.
#[tokio::test]
async fn a_strict_connection_follows_the_rfc() {
    let app = strict_app().await;
    let user = barbara(&app).await;
    let before = app.get(&format!("/Users/{user}")).await;
    for (operation, keyword) in [
        (json!({ "op": "replace", "path": "emails[type eq \"other\"].value", "value": "x@example.com" }), "noTarget"),
        (json!({ "op": "replace", "path": "emails[type eq \"other\"]", "value": { "value": "x" } }), "noTarget"),
        (json!({ "op": "remove", "path": "emails[type eq \"other\"]" }), "noTarget"),
        (json!({ "op": "add", "path": "shoeSize", "value": 47 }), "invalidPath"),
        (json!({ "op": "add", "value": { "shoeSize": 47 } }), "invalidSyntax"),
        (json!({ "op": "add", "path": "name", "value": { "nick": "x" } }), "invalidSyntax"),
        (json!({ "op": "replace", "path": "active", "value": "False" }), "invalidValue"),
        (
            json!({ "op": "replace", "path": "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager", "value": "26118915" }),
            "invalidValue",
        ),
        (json!({ "op": "replace", "path": "emails", "value": { "value": "x" } }), "invalidValue"),
        (
            json!({ "op": "replace", "path": "emails", "value": [{ "value": "a", "primary": true }, { "value": "b", "primary": true }] }),
            "invalidValue",
        ),
        (json!({ "op": "replace", "value": { "id": user } }), "mutability"),
    ] {
        patch(&app, &user, json!([operation])).await.refused(400, keyword);
    }
    patch(&app, &user, json!([])).await.refused(400, "invalidValue");
    app.patch(&format!("/Users/{user}"), json!({ "Operations": [] })).await.refused(400, "invalidSyntax");
    assert_eq!(app.get(&format!("/Users/{user}")).await.text, before.text);
    for (operation, attribute, value) in [
        (json!({ "op": "replace", "value": { "active": false } }), "active", json!(false)),
        (json!({ "op": "replace", "path": "title", "value": "" }), "title", json!("")),
        (json!({ "op": "replace", "path": "title", "value": null }), "title", Value::Null),
        (json!({ "op": "remove", "path": "displayName" }), "displayName", Value::Null),
    ] {
        assert_eq!(
            patch(&app, &user, json!([operation])).await.expect(200).body.get(attribute).unwrap_or(&Value::Null),
            &value,
            "{attribute}"
        );
    }
    for body in [
        json!({ "schemas": [USER], "userName": "x", "shoeSize": 47 }),
        json!({ "schemas": [USER, "urn:example:2.0:User"], "userName": "x" }),
        json!({ "schemas": [], "userName": "x" }),
        json!({ "userName": "x" }),
    ] {
        app.post("/Users", body).await.refused(400, "invalidSyntax");
    }
    app.post("/Users", json!({ "schemas": [USER], "userName": "x", "active": "True" })).await.refused(400, "invalidValue");
    let group = "urn:ietf:params:scim:schemas:core:2.0:Group";
    let group =
        app.post("/Groups", json!({ "schemas": [group], "displayName": "Guides", "members": [{ "value": user }] })).await.expect(201).id();
    let other = app.user("other").await;
    for gone in [&other, &user] {
        app.patch(&format!("/Groups/{group}"), message(json!([{ "op": "remove", "path": "members", "value": [{ "value": gone }] }])))
            .await
            .expect(204);
        assert_eq!(app.members(&group).await.is_empty(), gone == &user);
    }
}
