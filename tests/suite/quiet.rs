//! Secrets and personal data stay where they belong (T13, LOG-002, LOG-005): the log, the metrics, the answers to others and what
//! is listed later hold none. The log of the whole run is read by the censor of `listener.rs`; here it is held to its word.

use axum::http::Request;
use serde_json::json;
use tracing::Level;

use crate::app::{TestApp, answer, app};
use crate::listener::{PERSONAL, fault_of, heard};

#[test]
fn the_censor_finds_tokens_people_and_broken_lines() {
    let token = frontdesk::directory::Token::generate().unwrap();
    for line in [
        format!("TRACE h: authorization: Bearer {}", token.reveal()),
        format!("DEBUG sqlx::query: select '{}'", token.reveal()),
        "INFO answered path=/Users?filter=userName eq JSNOW".into(),
        "WARN jon@Example.com".into(),
        "INFO two\nlines\n".into(),
        "ERROR a\u{1b}[2Jb\n".into(),
    ] {
        assert!(fault_of(&line, Level::INFO).is_some(), "{line}");
    }
    for line in ["INFO answered status=200\n", "INFO token fd_ is no token\n"] {
        assert_eq!(fault_of(line, Level::INFO), None);
    }
    assert_eq!(fault_of("DEBUG sqlx::query: select\n1\n", Level::DEBUG), None, "statements have lines");
}

/// Everything that a client may say of a person, said in every way, with faults among it.
async fn live(app: &TestApp) -> String {
    let user = app.user("jsnow").await;
    let group = app.group("Needles", &[&user]).await;
    let path = format!("/Users/{user}");
    let patch = |operation| json!({ "Operations": [operation] });
    for answered in [
        app.post("/Users", json!({ "userName": "JSNOW" })).await.refused(409, "uniqueness"),
        app.post("/Users", json!({ "userName": { "value": "jsnow" } })).await.refused(400, "invalidValue"),
        app.put(&path, json!({ "userName": "asnow", "password": "pass-canary", "active": "perhaps-snow" }))
            .await
            .refused(400, "invalidValue"),
        app.patch(&path, patch(json!({ "op": "replace", "path": "emails[value eq \"jon@example.com\"].shoe-snow", "value": "x" }))).await,
        app.get("/Users?filter=userName eq \"jsnow").await.refused(400, "invalidFilter"),
        app.get("/Users?filter=emails.value co \"jon@example.com\"").await.expect(200),
        app.get("/Users?sortBy=snow").await,
        app.get("/Users/jsnow@example.com").await.refused(404, ""),
        app.get("/Snow/needle").await.refused(404, ""),
        app.send(app.builder("SNOW", "/Users"), "").await.refused(405, ""),
        app.send(app.builder("POST", "/Users"), "{\"userName\":\"jsnow").await.refused(400, "invalidSyntax"),
        app.under("/api/v1").get("/employees?email=jon@example.com").await.expect(200),
        app.under("/api/v1").get("/employees?snow=needle").await.refused(400, "invalidValue"),
        app.delete(&format!("/Groups/{group}")).await.expect(204),
    ] {
        assert!(answered.status.as_u16() < 500, "{}", answered.text);
    }
    user
}

/// The metrics count routes and statuses, never paths, names or tokens.
#[tokio::test]
async fn a_whole_life_is_heard_and_leaves_nothing_personal_in_log_and_metrics() {
    let app = app().await;
    let before = heard();
    live(&app).await;
    assert!(heard() > before + 15, "the log of this test is heard by the censor");
    let metrics = answer(&app.service, Request::get("/metrics").body("".into()).unwrap()).await.expect(200).text.to_lowercase();
    assert!(metrics.contains("frontdesk_"), "{metrics}");
    assert!(!metrics.contains(&app.token.to_lowercase()));
    for text in PERSONAL {
        assert!(!metrics.contains(text), "{text} is in the metrics:\n{metrics}");
    }
}

/// LOG-005: a line of the log is the server's alone. The censor refuses control characters in it.
#[tokio::test]
async fn hostile_headers_and_names_make_no_line_of_the_log() {
    let app = app().await;
    let long = "x".repeat(10_000);
    for text in ["\u{1b}[2J", "a\tb", "{\"level\":\"ERROR\"}", "%0d%0aINFO fake", "snow needle", &long] {
        let mut request = app.builder("GET", "/Users").header("user-agent", text).header("x-request-id", text);
        if let Ok(name) = axum::http::HeaderValue::from_str(text) {
            request = request.header("x-forwarded-for", name);
        }
        // Some are no legal header: hyper refuses them before there is a request.
        let Ok(request) = request.body("".into()) else { continue };
        let answered = answer(&app.service, request).await.expect(200);
        assert!(answered.header("x-request-id").len() <= 64 && !answered.header("x-request-id").contains("snow"), "{text:.20}");
    }
    for text in ["a\nINFO fake", "a\r\nb", "\u{1b}[2Jneedle", "a\u{2028}b"] {
        let body = json!({ "userName": text, "displayName": text });
        assert!(app.post("/Users", body).await.status.as_u16() < 500, "{text:?}");
    }
}

/// AUTH-006: the token is shown by what makes it, and by nothing after that.
#[tokio::test]
async fn a_token_is_told_once() {
    let app = app().await;
    let user = live(&app).await;
    let mut told = format!("{:?}", app.directory.tokens(app.tenant.id, None).await.unwrap());
    told += &format!("{:?} {:?}", app.tenant, app.connection);
    for path in ["/Users", "/Groups", "/ServiceProviderConfig", "/Schemas", &format!("/Users/{user}")] {
        told += &app.get(path).await.expect(200).text;
    }
    for path in ["/employees", "/changes", &format!("/employees/{user}/history")] {
        told += &app.under("/api/v1").get(path).await.expect(200).text;
    }
    told += &answer(&app.service, Request::get("/metrics").body("".into()).unwrap()).await.text;
    assert!(!told.contains(&app.token), "{told}");
}
