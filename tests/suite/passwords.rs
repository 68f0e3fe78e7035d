//! `password` (RFC 7643 §4.1.1, §9.2; N29, N30): accepted, kept as a hash when the tenant says so, and never seen again.

use serde_json::{Value, json};

use crate::app::{TestApp, app};
use crate::support;

const PASSWORD: &str = "t1meMa$heen-canary";

async fn hash_of(app: &TestApp, id: &str) -> Option<String> {
    sqlx::query_scalar("select password_hash from users where tenant_id = $1 and id = $2::uuid")
        .bind(app.tenant.id)
        .bind(id)
        .fetch_one(&mut support::observer().await)
        .await
        .unwrap()
}

fn with_password(name: &str) -> Value {
    json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": name, "password": PASSWORD })
}

async fn everything_stored(app: &TestApp) -> String {
    let rows: Vec<String> = sqlx::query_scalar(
        "select to_jsonb(u)::text from users u where tenant_id = $1 union all select to_jsonb(e)::text from events e where tenant_id = $1",
    )
    .bind(app.tenant.id)
    .fetch_all(&mut support::observer().await)
    .await
    .unwrap();
    rows.join("\n")
}

#[tokio::test]
async fn a_password_is_discarded_unless_the_tenant_keeps_them() {
    let app = app().await;
    let created = app.post("/Users", with_password("jsnow")).await.expect(201);
    assert!(!created.text.contains(PASSWORD) && created.body.get("password").is_none());
    assert_eq!(hash_of(&app, &created.id()).await, None);
    assert!(!everything_stored(&app).await.contains(PASSWORD));
}

#[tokio::test]
async fn a_kept_password_is_a_hash_and_changes_by_put_and_patch() {
    let app = app().await;
    app.set("keep_passwords", "true").await;
    let id = app.post("/Users", with_password("jsnow")).await.expect(201).id();
    let first = hash_of(&app, &id).await.expect("it is kept");
    assert!(first.starts_with("$argon2id$"));

    let path = format!("/Users/{id}");
    let version = app.get(&path).await.expect(200).header("etag").to_owned();
    let change = json!({ "Operations": [{ "op": "replace", "path": "password", "value": "another-canary" }] });
    let patched = app.patch(&path, change).await.expect(200);
    assert!(!patched.text.contains("canary"));
    let second = hash_of(&app, &id).await.expect("it is kept");
    assert_ne!(first, second);
    assert_eq!(patched.header("etag"), version, "what is never shown does not change the resource");
    let (kind, _, change) = app.events(&id).await.pop().expect("a change has an event");
    assert_eq!((kind.as_str(), &change["attributes"]), ("user_update_provision", &json!(["password"])));

    // A PUT cannot repeat what it cannot read: without a password it leaves the one that is there.
    let body = json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "jsnow", "title": "Lord" });
    app.put(&path, body).await.expect(200);
    assert_eq!(hash_of(&app, &id).await, Some(second));
    for cleared in [json!({ "op": "remove", "path": "password" }), json!({ "op": "replace", "value": { "password": "" } })] {
        app.patch(&path, json!({ "Operations": [{ "op": "add", "path": "password", "value": PASSWORD }] })).await.expect(200);
        assert!(hash_of(&app, &id).await.is_some());
        app.patch(&path, json!({ "Operations": [cleared] })).await.expect(200);
        assert_eq!(hash_of(&app, &id).await, None, "{cleared}");
    }
    assert!(!everything_stored(&app).await.contains("canary"));
}

#[tokio::test]
async fn a_password_cannot_be_asked_for() {
    let app = app().await;
    app.post("/Users", with_password("jsnow")).await.expect(201);
    let filter = format!("/Users?filter=password eq \"{PASSWORD}\"");
    let refused = app.get(&filter).await.refused(400, "invalidFilter");
    assert!(!refused.text.contains(PASSWORD));
    app.get("/Users?sortBy=password").await.refused(400, "invalidValue");
    let listed = app.get("/Users?attributes=password,userName").await.expect(200);
    assert!(!listed.text.contains("password"));
    let wrong = app.post("/Users", json!({ "userName": "x", "password": { "secret": PASSWORD } })).await.refused(400, "invalidValue");
    assert!(!wrong.text.contains(PASSWORD));
}
