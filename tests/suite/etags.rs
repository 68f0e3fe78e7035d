//! Versions and preconditions (RFC 7644 §3.14, RFC 9110 §13): N19, N84, N86.

use axum::http::Method;
use serde_json::{Value, json};

use crate::app::{Answer, TestApp, app};

async fn send(app: &TestApp, method: &Method, path: &str, header: (&str, &str), body: &Value) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    app.send(app.builder(method.as_str(), path).header(header.0, header.1), body).await
}

/// A user and a group, each with a body for PUT.
async fn resources(app: &TestApp) -> Vec<(String, Value)> {
    let user = app.user("ada").await;
    let group = app.group("Sales", &[]).await;
    vec![
        (format!("/Users/{user}"), json!({ "userName": "ada", "title": "Countess" })),
        (format!("/Groups/{group}"), json!({ "displayName": "Sales and Marketing" })),
    ]
}

/// The requests that change a resource; the last one deletes it.
fn changes(put: &Value) -> Vec<(Method, Value)> {
    let patch = json!({ "Operations": [{ "op": "add", "path": "externalId", "value": "x1" }] });
    vec![(Method::PUT, put.clone()), (Method::PATCH, patch), (Method::DELETE, Value::Null)]
}

/// N19: the header is `meta.version`, weak, and says when something changed.
#[tokio::test]
async fn the_entity_tag_is_the_version_and_changes_with_the_resource() {
    let app = app().await;
    for (path, put) in resources(&app).await {
        let first = app.get(&path).await.expect(200);
        assert!(first.header("etag").starts_with("W/\""), "{}", first.header("etag"));
        assert_eq!(first.header("etag"), first.body["meta"]["version"]);
        let changed = app.put(&path, put.clone()).await.expect(200);
        assert_ne!(changed.header("etag"), first.header("etag"));
        assert_eq!(app.put(&path, put).await.expect(200).header("etag"), changed.header("etag"), "nothing changed");
        assert_eq!(app.get(&path).await.expect(200).header("etag"), changed.header("etag"));
    }
}

/// N86.
#[tokio::test]
async fn a_version_that_the_client_has_is_not_sent_again() {
    let app = app().await;
    for (path, _) in resources(&app).await {
        let tag = app.get(&path).await.expect(200).header("etag").to_owned();
        let strong = tag.trim_start_matches("W/");
        for method in [Method::GET, Method::HEAD] {
            for known in [tag.as_str(), strong, "*", &format!("\"theirs, too\", {tag}")] {
                let answer = send(&app, &method, &path, ("if-none-match", known), &Value::Null).await.expect(304);
                assert_eq!((answer.header("etag"), answer.text.as_str()), (tag.as_str(), ""), "{known}");
            }
            send(&app, &method, &path, ("if-none-match", "W/\"9\""), &Value::Null).await.expect(200);
            send(&app, &method, &path, ("if-match", &tag), &Value::Null).await.expect(200);
            send(&app, &method, &path, ("if-match", "W/\"9\""), &Value::Null).await.expect(412);
        }
    }
}

/// N84: no change is made from a version that is not the current one.
#[tokio::test]
async fn a_change_of_another_version_is_refused() {
    let app = app().await;
    for (path, put) in resources(&app).await {
        let before = app.get(&path).await.expect(200);
        for (method, body) in changes(&put) {
            let tag = app.get(&path).await.expect(200).header("etag").to_owned();
            for (header, value) in [("if-match", "W/\"99\""), ("if-match", "\"theirs\""), ("if-none-match", "*"), ("if-none-match", &tag)] {
                send(&app, &method, &path, (header, value), &body).await.refused(412, "");
            }
            send(&app, &method, &path, ("if-match", "1"), &body).await.refused(400, "invalidValue");
            let both = app.builder(method.as_str(), &path).header("if-match", &tag).header("if-none-match", &tag);
            app.send(both, body.to_string()).await.refused(412, "");
            assert_eq!(app.get(&path).await.expect(200).header("etag"), tag, "{method} changed something");
            if method == Method::PUT {
                assert_eq!(app.get(&path).await.expect(200).body, before.body);
            }
            // Two lines of a header are one list.
            let listed = app.builder(method.as_str(), &path).header("if-match", "\"99\"").header("if-match", &tag);
            let done =
                app.send(listed.header("if-none-match", "W/\"99\""), if body.is_null() { String::new() } else { body.to_string() }).await;
            assert!(done.status.is_success(), "{method}: {}", done.text);
        }
        app.get(&path).await.refused(404, "");
    }
}

#[tokio::test]
async fn a_precondition_on_nobody_is_about_nobody() {
    let app = app().await;
    let path = "/Users/0193b1a0-0000-7000-8000-000000000000";
    for (method, body) in changes(&json!({ "userName": "x" })) {
        send(&app, &method, path, ("if-match", "*"), &body).await.refused(404, "");
    }
}

/// Two writers that read the same version: one writes, the other is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_writers_with_the_same_version_exactly_one_wins() {
    let app = app().await;
    for (path, _) in resources(&app).await {
        for round in 0..20 {
            let tag = app.get(&path).await.expect(200).header("etag").to_owned();
            let write = |who: &'static str| {
                let (app, path, tag) = (app.clone(), path.clone(), tag.clone());
                let body = json!({ "Operations": [{ "op": "add", "path": "externalId", "value": format!("{who}{round}") }] });
                tokio::spawn(async move { send(&app, &Method::PATCH, &path, ("if-match", &tag), &body).await })
            };
            let (one, other) = tokio::join!(write("one"), write("other"));
            let (one, other) = (one.unwrap(), other.unwrap());
            let winner = if one.status.is_success() { "one" } else { "other" };
            let mut statuses = [one.status.as_u16(), other.status.as_u16()];
            statuses.sort_unstable();
            assert!(matches!(statuses, [200 | 204, 412]), "{statuses:?}");
            assert_eq!(app.get(&path).await.expect(200).body["externalId"], format!("{winner}{round}"));
        }
    }
}
