//! A change of a user is planned from what was read without a lock (src/directory/user_changes.rs): what others write meanwhile must
//! neither be overwritten nor overlooked.

use axum::http::header::IF_MATCH;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::app::{Answer, TestApp, app, committed_when_waited_for};
use crate::support::observer;

/// Sends a change of a user that somebody else is changing, and has the other transaction committed when the change waits for it: what
/// was read is then outdated. The other one gives a title and counts the version up.
async fn overtaken(app: &TestApp, user: &str, method: &'static str, headers: &[(axum::http::HeaderName, &str)], body: Value) -> Answer {
    let mut other = observer().await;
    sqlx::raw_sql("begin").execute(&mut other).await.unwrap();
    let statement = "update users set version = version + 1, document = (document::jsonb || '{\"title\": \"Cook\"}')::json,
             folded = folded || '{\"title\": \"cook\"}', title = 'Cook'
         where tenant_id = $1 and id = $2::uuid";
    sqlx::query(statement).bind(app.tenant.id).bind(user).execute(&mut other).await.unwrap();
    let mut request = app.builder(method, &format!("/Users/{user}"));
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    let sent = app.clone();
    let change: JoinHandle<Answer> = tokio::spawn(async move { sent.send(request, body.to_string()).await });
    committed_when_waited_for(other, change).await
}

fn deactivate() -> Value {
    json!({ "Operations": [{ "op": "replace", "path": "active", "value": false }] })
}

async fn password_hash(app: &TestApp, user: &str) -> Option<String> {
    let statement = "select password_hash from users where tenant_id = $1 and id = $2::uuid";
    sqlx::query_scalar(statement).bind(app.tenant.id).bind(user).fetch_one(&mut observer().await).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patch_that_was_overtaken_changes_what_the_other_one_wrote() {
    let app = app().await;
    let user = app.user("ann").await;
    let answer = overtaken(&app, &user, "PATCH", &[], deactivate()).await.expect(200);
    for body in [answer.body, app.get(&format!("/Users/{user}")).await.expect(200).body] {
        assert_eq!((&body["active"], &body["title"]), (&json!(false), &json!("Cook")), "{body}");
        assert_eq!(body["meta"]["version"], "W/\"3\"");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_put_that_was_overtaken_replaces_what_the_other_one_wrote_and_keeps_its_password() {
    let app = app().await;
    app.set("keep_passwords", "true").await;
    let user = app.user("ann").await;
    let sent = json!({ "userName": "ann", "nickName": "A", "password": "pass-canary" });
    let answer = overtaken(&app, &user, "PUT", &[], sent).await.expect(200);
    assert_eq!((&answer.body["nickName"], answer.body.get("title")), (&json!("A"), None));
    assert_eq!(answer.body["meta"]["version"], "W/\"3\"");
    assert!(password_hash(&app, &user).await.is_some_and(|hash| hash.starts_with("$argon2id$")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_one_version_is_refused_when_another_came_meanwhile() {
    let app = app().await;
    for (name, method, body) in [("ann", "PATCH", deactivate()), ("ben", "PUT", json!({ "userName": "ben", "active": false }))] {
        let user = app.user(name).await;
        overtaken(&app, &user, method, &[(IF_MATCH, "W/\"1\"")], body).await.refused(412, "");
        let left = app.get(&format!("/Users/{user}")).await.expect(200).body;
        assert_eq!((&left["active"], &left["title"], &left["meta"]["version"]), (&json!(true), &json!("Cook"), &json!("W/\"2\"")));
    }
}
