//! RFC 7644 through the door, requirement by requirement: PUT (§3.5.1), PATCH (§3.5.2), DELETE (§3.6) and preconditions (§3.14).
//! Each test names in its comment the lines of docs/conformance.md that it shows.

use serde_json::{Value, json};

use crate::app::{Answer, TestApp, app, app_with, strict_app};
use frontdesk::directory::{Conformance, Profile};

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
const UNKNOWN: &str = "/Users/01890000-0000-7000-8000-000000000000";

/// A user with two e-mail addresses and a name; gives the path.
async fn ada(app: &TestApp) -> String {
    let body = json!({
        "schemas": [USER], "userName": "ada", "title": "Analyst", "name": { "givenName": "Ada", "familyName": "Byron" },
        "emails": [
            { "value": "ada@work.example", "type": "work", "primary": true }, { "value": "ada@home.example", "type": "home" }
        ]
    });
    format!("/Users/{}", app.post("/Users", body).await.expect(201).id())
}

/// Sends the operations as a PatchOp.
async fn patch(app: &TestApp, path: &str, operations: Value) -> Answer {
    app.patch(path, json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations })).await
}

/// N61: PUT replaces and never creates.
#[tokio::test]
async fn put_does_not_create() {
    app().await.put(UNKNOWN, json!({ "schemas": [USER], "userName": "ada" })).await.refused(404, "");
}

/// N62.
#[tokio::test]
async fn put_replaces_what_a_client_may_write() {
    let app = app().await;
    let path = ada(&app).await;
    app.put(&path, json!({ "schemas": [USER], "title": "Countess" })).await.refused(400, "invalidValue");
    let body = json!({ "schemas": [USER], "userName": "ada", "id": "ignored", "meta": { "created": "1999-01-01T00:00:00Z" } });
    let replaced = app.put(&path, body).await.expect(200);
    assert!(replaced.body.get("title").is_none() && replaced.body.get("emails").is_none());
    assert!(path.ends_with(&replaced.id()));
}

/// N63.
#[tokio::test]
async fn a_patch_has_its_schema_and_operations() {
    let strict = strict_app().await;
    let path = ada(&strict).await;
    assert_eq!(patch(&strict, &path, json!([])).await.status, 400);
    let operation = json!({ "op": "replace", "path": "title", "value": "x" });
    assert_eq!(strict.patch(&path, json!({ "schemas": [USER], "Operations": [operation] })).await.status, 400);
    strict.patch(&path, json!({})).await.refused(400, "invalidSyntax");
    patch(&strict, &path, json!([{ "op": "move", "path": "title" }])).await.refused(400, "invalidSyntax");
}

/// N64: in order, all or nothing.
#[tokio::test]
async fn operations_build_on_each_other_and_stand_or_fall_together() {
    let app = app().await;
    let path = ada(&app).await;
    let before = app.get(&path).await.body;
    let failing =
        json!([{ "op": "replace", "path": "title", "value": "Countess" }, { "op": "replace", "path": "userName", "value": null }]);
    patch(&app, &path, failing).await.refused(400, "invalidValue");
    assert_eq!(app.get(&path).await.body, before);
    let chained = json!([
        { "op": "add", "path": "emails", "value": [{ "value": "new@work.example", "type": "other" }] },
        { "op": "replace", "path": "emails[type eq \"other\"].value", "value": "newer@work.example" },
        { "op": "remove", "path": "emails[type ne \"other\"]" }
    ]);
    let patched = patch(&app, &path, chained).await.expect(200);
    assert_eq!(patched.list("emails"), [json!({ "value": "newer@work.example", "type": "other" })]);
}

/// N65, N69.
#[tokio::test]
async fn remove_needs_a_path_and_leaves_what_must_be_there() {
    let app = app().await;
    let path = ada(&app).await;
    patch(&app, &path, json!([{ "op": "remove" }])).await.refused(400, "noTarget");
    for required_or_read_only in ["userName", "id", "meta.created", "groups"] {
        patch(&app, &path, json!([{ "op": "remove", "path": required_or_read_only }])).await.refused(400, "mutability");
    }
    let emptied = json!([{ "op": "remove", "path": "emails[type eq \"work\"]" }, { "op": "remove", "path": "emails[type eq \"home\"]" }]);
    assert!(patch(&app, &path, emptied).await.expect(200).body.get("emails").is_none());
}

/// N66: neither version nor lastModified.
#[tokio::test]
async fn adding_what_is_there_changes_nothing() {
    let app = app().await;
    let path = ada(&app).await;
    let before = app.get(&path).await.body;
    let same = json!([
        { "op": "add", "path": "title", "value": "Analyst" },
        { "op": "add", "path": "emails", "value": [{ "value": "ada@home.example", "type": "home" }] }
    ]);
    assert_eq!(patch(&app, &path, same).await.expect(200).body, before);
    assert_eq!(app.get(&path).await.body, before);
}

/// N67.
#[tokio::test]
async fn a_member_who_is_there_or_gone_already_is_no_failure() {
    let app = app().await;
    let (member, other) = (app.user("member").await, app.user("other").await);
    let path = format!("/Groups/{}", app.group("Watch", &[&member]).await);
    let before = app.get(&path).await.body;
    for operation in [
        json!({ "op": "add", "path": "members", "value": [{ "value": member }] }),
        json!({ "op": "remove", "path": "members", "value": [{ "value": other }] }),
        json!({ "op": "remove", "path": format!("members[value eq \"{other}\"]") }),
    ] {
        patch(&app, &path, json!([operation])).await.expect(204);
        assert_eq!(app.get(&path).await.body, before);
    }
}

/// N68, N71.
#[tokio::test]
async fn add_appends_replaces_or_merges_by_the_kind_of_the_attribute() {
    let app = app().await;
    let path = ada(&app).await;
    let add = json!([
        { "op": "add", "path": "title", "value": "Countess" },
        { "op": "add", "path": "name", "value": { "familyName": "Lovelace" } },
        { "op": "add", "path": "emails", "value": [{ "value": "third@example.com", "type": "other" }] },
        { "op": "replace", "path": "nickName", "value": "A." },
        { "op": "replace", "value": { "name": { "middleName": "King" } } }
    ]);
    let patched = patch(&app, &path, add).await.expect(200);
    assert_eq!((&patched.body["title"], &patched.body["nickName"]), (&json!("Countess"), &json!("A.")));
    let name = &patched.body["name"];
    assert_eq!((&name["givenName"], &name["familyName"], &name["middleName"]), (&json!("Ada"), &json!("Lovelace"), &json!("King")));
    assert_eq!(patched.list("emails").len(), 3);
}

/// N70: strict to the letter; lenient makes the value that Entra ID means.
#[tokio::test]
async fn replace_with_a_filter_changes_every_match_and_nothing_is_no_target() {
    for conformance in [Conformance::Strict, Conformance::Lenient] {
        let app = app_with(Profile::SpaceIq, conformance, &[]).await;
        let path = ada(&app).await;
        let all = json!([{ "op": "replace", "path": "emails[value co \"example\"].display", "value": "Ada" }]);
        let patched = patch(&app, &path, all).await.expect(200);
        assert!(patched.list("emails").iter().all(|email| email["display"] == "Ada"), "{}", patched.text);
        let none = json!([{ "op": "replace", "path": "emails[type eq \"other\"].value", "value": "new@example.com" }]);
        let answer = patch(&app, &path, none).await;
        match conformance {
            Conformance::Strict => assert_eq!(answer.refused(400, "noTarget").status, 400),
            Conformance::Lenient => assert_eq!(answer.expect(200).list("emails").len(), 3),
        }
        let unseedable = json!([{ "op": "replace", "path": "emails[type sw \"x\"].value", "value": "new@example.com" }]);
        patch(&app, &path, unseedable).await.refused(400, "noTarget");
    }
}

/// N72.
#[tokio::test]
async fn a_new_primary_value_takes_the_place_of_the_old_one() {
    let app = app().await;
    let path = ada(&app).await;
    for operation in [
        json!({ "op": "replace", "path": "emails[type eq \"home\"].primary", "value": true }),
        json!({ "op": "add", "path": "emails", "value": [{ "value": "c@example.com", "type": "other", "primary": true }] }),
    ] {
        let patched = patch(&app, &path, json!([operation])).await.expect(200);
        let primary: Vec<Value> = patched.list("emails").into_iter().filter(|email| email["primary"] == true).collect();
        assert_eq!(primary.len(), 1, "{}", patched.text);
        assert_ne!(primary[0]["type"], "work");
    }
}

/// N75.
#[tokio::test]
async fn a_patch_answers_with_the_resource_or_without() {
    let app = app().await;
    let path = ada(&app).await;
    let title = json!([{ "op": "replace", "path": "title", "value": "Countess" }]);
    assert_eq!(patch(&app, &path, title).await.expect(200).body["title"], "Countess");
    let group = format!("/Groups/{}", app.group("Watch", &[]).await);
    let rename = |name: &str| json!([{ "op": "replace", "path": "displayName", "value": name }]);
    assert!(patch(&app, &group, rename("Guard")).await.expect(204).text.is_empty());
    assert_eq!(patch(&app, &format!("{group}?attributes=displayName"), rename("Ward")).await.expect(200).body["displayName"], "Ward");
}

/// N14, N76: gone for every later request, and the name is free.
#[tokio::test]
async fn what_was_deleted_is_gone_everywhere() {
    let app = app().await;
    let path = ada(&app).await;
    let id = path.rsplit('/').next().unwrap();
    let group = app.group("Watch", &[id]).await;
    app.delete(&path).await.expect(204);
    app.get(&path).await.refused(404, "");
    app.delete(&path).await.refused(404, "");
    patch(&app, &path, json!([{ "op": "replace", "path": "title", "value": "x" }])).await.refused(404, "");
    assert_eq!(app.get("/Users").await.body["totalResults"], 0);
    assert!(app.members(&group).await.is_empty());
    assert!(!ada(&app).await.ends_with(id));
}

/// N79: a limit that is exceeded is named.
#[tokio::test]
async fn a_body_that_is_too_large_is_told_the_limit() {
    let app = app_with(Profile::SpaceIq, Conformance::Lenient, &[("FRONTDESK_LIMITS_BODY_BYTES", "1000")]).await;
    let refused = app.post("/Users", json!({ "userName": "ada", "title": "x".repeat(1_000) })).await.refused(413, "");
    assert!(refused.detail().contains("1000"), "{}", refused.text);
}

/// N84: of two writers who know the same version one wins.
#[tokio::test]
async fn a_writer_who_knows_an_older_version_is_refused() {
    let app = app().await;
    let path = ada(&app).await;
    let etag = app.get(&path).await.header("etag").to_owned();
    let body = |title: &str| json!({ "schemas": [USER], "userName": "ada", "title": title }).to_string();
    app.send(app.builder("PUT", &path).header("if-match", &etag), body("first")).await.expect(200);
    app.send(app.builder("PUT", &path).header("if-match", &etag), body("second")).await.refused(412, "");
    app.send(app.builder("DELETE", &path).header("if-match", &etag), "").await.refused(412, "");
    assert_eq!(app.get(&path).await.body["title"], "first");
    app.send(app.builder("DELETE", &path).header("if-match", "*"), "").await.expect(204);
}

/// N89: what looks the same is the same name.
#[tokio::test]
async fn names_are_prepared_before_they_are_compared() {
    let app = app().await;
    app.user("Zo\u{eb}").await;
    for same in ["zo\u{eb}", "ZOE\u{308}", "\u{ff3a}o\u{eb}", "Zo\u{200b}\u{eb}"] {
        app.post("/Users", json!({ "schemas": [USER], "userName": same })).await.refused(409, "uniqueness");
    }
}

/// The lenient column and the strict one of docs/conformance.md, for what one request shows.
#[tokio::test]
async fn strict_and_lenient_connections_differ_as_documented() {
    let create = |attributes: Value| {
        let mut user = json!({ "schemas": [USER, ENTERPRISE], "userName": "deviant" });
        user.as_object_mut().unwrap().extend(attributes.as_object().unwrap().clone());
        user
    };
    for deviation in [
        json!({ "costcenter": "CC-1" }),
        json!({ "schemas": [USER, "urn:example:unknown"] }),
        json!({ "active": "False" }),
        json!({ ENTERPRISE: { "manager": "boss" } }),
        json!({ "emails": { "value": "a@example.com" } }),
    ] {
        app().await.post("/Users", create(deviation.clone())).await.expect(201);
        let refused = strict_app().await.post("/Users", create(deviation.clone())).await;
        assert_eq!(refused.status, 400, "{deviation}: {}", refused.text);
    }
    let cleared = app().await.post("/Users", create(json!({ "title": "" }))).await.expect(201);
    assert!(cleared.body.get("title").is_none());
    let kept = strict_app().await.post("/Users", create(json!({ "title": "" }))).await.expect(201);
    assert_eq!(kept.body["title"], "");
    let lenient = app().await;
    patch(&lenient, &ada(&lenient).await, json!([])).await.expect(200);
}

/// `remove` with a list of values removes these members and never all (JumpCloud, Entra ID).
#[tokio::test]
async fn removing_listed_members_leaves_the_others() {
    for app in [app().await, strict_app().await] {
        let (first, second) = (app.user("first").await, app.user("second").await);
        let group = app.group("Watch", &[&first, &second]).await;
        let remove = json!([{ "op": "remove", "path": "members", "value": [{ "value": first }] }]);
        patch(&app, &format!("/Groups/{group}"), remove).await.expect(204);
        assert_eq!(app.members(&group).await, [second]);
    }
}
