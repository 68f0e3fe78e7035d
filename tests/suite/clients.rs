//! Every identity provider against the real service: its whole conversation, the wire variants of one change, large pushes, and
//! what an administrator sees of all that was coerced or set aside.

mod large_pushes;
mod seen;
mod variants;

use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::http::Request;
use frontdesk::config::Config;
use frontdesk::http;
use frontdesk::simulate::{Answer, CLIENTS, Cast, Client, Exchange, Report, Transport, Verdict, run};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::app::{TestApp, answer, app, strict_app};
use crate::support::unique;

/// Has a client's conversation with an application; the exchanges come with the report.
async fn converse(client: &Client, app: &TestApp, transport: &Transport, base_url: &str) -> (Report, Vec<Exchange>) {
    let cast = Cast::new(&unique("run"), 3, 2);
    let mut exchanges = Vec::new();
    let report = run(client, &cast, transport, base_url, &app.token, &mut |exchange| exchanges.push(exchange.clone())).await;
    (report, exchanges)
}

/// The service, reached within the process. `lie` may answer in its place.
fn within(app: &TestApp, lie: fn(&Request<Body>) -> Option<Answer>) -> Transport {
    let service = app.service.clone();
    Transport::Within(Box::new(move |request| {
        let service = service.clone();
        Box::pin(async move {
            let request = request.map(Body::new);
            if let Some(lie) = lie(&request) {
                return Ok(lie);
            }
            let answer = answer(&service, request).await;
            let content_type = answer.header("content-type").to_owned();
            Ok(Answer { status: answer.status.as_u16(), content_type, body: answer.text.into() })
        })
    }))
}

fn faults(exchanges: &[Exchange]) -> Vec<String> {
    let wrong = exchanges.iter().filter(|exchange| exchange.verdict != Verdict::Passed);
    wrong.map(|exchange| format!("{} {} [{}]: {:?}", exchange.method, exchange.path, exchange.title, exchange.verdict)).collect()
}

async fn lives(word: &str) {
    let app = app().await;
    let client = Client::find(word).unwrap();
    let (report, exchanges) = converse(client, &app, &within(&app, |_| None), app.base).await;
    assert!(report.succeeded(), "{:#?}", faults(&exchanges));
    assert_eq!(report.passed, exchanges.len());
    for endpoint in ["/Users", "/Groups"] {
        assert_eq!(app.get(endpoint).await.expect(200).body["totalResults"], 0, "{word} left something in {endpoint}");
    }
}

#[tokio::test]
async fn jumpcloud_lives_a_whole_life() {
    lives("jumpcloud").await;
}

#[tokio::test]
async fn okta_lives_a_whole_life_in_both_personalities() {
    lives("okta").await;
    lives("okta-custom").await;
}

#[tokio::test]
async fn entra_lives_a_whole_life_with_and_without_its_flag() {
    lives("entra").await;
    lives("entra-legacy").await;
}

#[tokio::test]
async fn onelogin_and_ping_live_a_whole_life() {
    lives("onelogin").await;
    lives("ping").await;
}

#[tokio::test]
async fn keycloak_authentik_and_rauthy_live_a_whole_life() {
    lives("keycloak").await;
    lives("authentik").await;
    lives("rauthy").await;
}

#[tokio::test]
async fn sailpoint_oracle_google_and_rippling_live_a_whole_life() {
    lives("sailpoint").await;
    lives("oracle").await;
    lives("google").await;
    lives("rippling").await;
}

#[tokio::test]
async fn clients_that_keep_to_the_rfc_live_on_a_strict_connection_too() {
    for word in ["okta-custom", "sailpoint", "oracle", "google", "rippling"] {
        let app = strict_app().await;
        let (report, exchanges) = converse(Client::find(word).unwrap(), &app, &within(&app, |_| None), app.base).await;
        assert!(report.succeeded(), "{word}: {:#?}", faults(&exchanges));
    }
}

#[tokio::test]
async fn a_strict_connection_refuses_what_the_rfc_does_not_allow_and_the_verdict_says_where() {
    let app = strict_app().await;
    let client = Client::find("entra-legacy").unwrap();
    let (report, exchanges) = converse(client, &app, &within(&app, |_| None), app.base).await;
    assert!(!report.succeeded());
    let wrong = faults(&exchanges).join("\n");
    // Entra ID creates with "active": "True", which is 400 invalidValue; without an id the rest cannot be said.
    assert!(wrong.contains("[create the user]: Failed") && wrong.contains("active"), "{wrong}");
    assert!(wrong.contains("Skipped(\"user1\")"), "{wrong}");
}

#[tokio::test]
async fn a_server_that_acknowledges_a_change_and_does_not_make_it_is_found_out() {
    for client in CLIENTS {
        let app = app().await;
        let forgetful = within(&app, |request| {
            let changes = matches!(request.method().as_str(), "PATCH" | "PUT");
            changes.then(|| Answer { status: 204, content_type: String::new(), body: Default::default() })
        });
        let (report, exchanges) = converse(client, &app, &forgetful, app.base).await;
        assert!(report.failed > 0, "{} did not notice", client.word);
        let found_by_reading = faults(&exchanges).iter().any(|fault| fault.starts_with("GET ") && fault.contains("Failed"));
        assert!(found_by_reading, "{} trusts what it is told", client.word);
    }
}

#[tokio::test]
async fn what_a_conversation_made_is_deleted_also_after_a_failure() {
    let app = app().await;
    let refusing = within(&app, |request| {
        let error = r#"{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"status":"500","detail":"no"}"#;
        (request.method() == "PATCH").then(|| Answer { status: 500, content_type: "application/json".into(), body: error.into() })
    });
    let (report, _) = converse(Client::find("okta").unwrap(), &app, &refusing, app.base).await;
    assert!(report.failed > 0);
    assert_eq!(app.get("/Users").await.expect(200).body["totalResults"], 0);
}

#[tokio::test]
async fn the_token_is_in_nothing_that_is_told() {
    let app = app().await;
    static TOKEN: Mutex<String> = Mutex::new(String::new());
    TOKEN.lock().unwrap().clone_from(&app.token);
    let quoting = within(&app, |_| {
        let detail = format!("I was sent {}", TOKEN.lock().unwrap());
        Some(Answer { status: 400, content_type: "application/json".into(), body: format!(r#"{{"detail":"{detail}"}}"#).into() })
    });
    let (_, exchanges) = converse(Client::find("okta").unwrap(), &app, &quoting, app.base).await;
    let told = format!("{exchanges:?}");
    assert!(told.contains("I was sent (token)") && !told.contains(&app.token));
}

#[tokio::test]
async fn a_conversation_goes_over_the_network_as_well() {
    let app = app().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}{}/", listener.local_addr().unwrap(), app.base);
    let (stop, stopped) = oneshot::channel::<()>();
    let limits = Config::load(&Default::default(), None).unwrap().http.serve_limits();
    let service = app.service.clone();
    let answer = move |request| service.clone().answer(request);
    let server = tokio::spawn(http::serve::serve(listener, None, answer, limits, async {
        let _ = stopped.await;
    }));
    let transport = Transport::http().unwrap();
    let (report, exchanges) = converse(Client::find("onelogin").unwrap(), &app, &transport, &base_url).await;
    assert!(report.succeeded(), "{:#?}", faults(&exchanges));
    drop(transport);
    stop.send(()).unwrap();
    server.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_server_that_is_not_there_fails_every_step_that_is_taken() {
    let app = app().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let (report, exchanges) = converse(Client::find("okta").unwrap(), &app, &Transport::http().unwrap(), &base_url).await;
    assert_eq!(report.passed, 0);
    assert!(exchanges.iter().all(|exchange| exchange.status.is_none()));
    assert!(faults(&exchanges)[0].contains("refused"), "{}", faults(&exchanges)[0]);
}

#[tokio::test]
async fn headers_are_those_of_the_client() {
    let app = app().await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let service = app.service.clone();
    let kept = Arc::clone(&seen);
    let transport = Transport::Within(Box::new(move |request| {
        let (service, kept) = (service.clone(), Arc::clone(&kept));
        Box::pin(async move {
            let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
            kept.lock().unwrap().push((header("user-agent"), header("content-type"), request.method().to_string()));
            let answer = answer(&service, request.map(Body::new)).await;
            let content_type = answer.header("content-type").to_owned();
            Ok(Answer { status: answer.status.as_u16(), content_type, body: answer.text.into() })
        })
    }));
    converse(Client::find("okta").unwrap(), &app, &transport, app.base).await;
    for (agent, content_type, method) in &*seen.lock().unwrap() {
        assert_eq!(agent.as_deref(), Some("Okta SCIM Client 1.0.0"));
        assert_eq!(content_type.is_some(), method != "GET" && method != "DELETE");
    }
}
