//! What happens when there is too much: requests in progress in total and of one tenant, a connection's rate, failures to
//! authenticate of one address, memory for bodies. A request is held in progress by not reading its answer.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, Response};
use frontdesk::directory::{Conformance, Directory, PoolSettings, Profile, Provider};
use http_body_util::BodyExt as _;
use serde_json::json;
use sqlx::Connection as _;

use crate::app::{Answer, TestApp, answer, app_on, app_with};
use crate::support::{self, OwnDatabase, observer, unique};

async fn app(settings: &[(&str, &str)]) -> TestApp {
    app_with(Profile::SpaceIq, Conformance::Lenient, settings).await
}

/// Another tenant of the same server.
async fn neighbour(app: &TestApp) -> TestApp {
    let tenant = app.directory.create_tenant(&unique("tenant"), None, Profile::SpaceIq).await.unwrap();
    let connection = app.directory.create_connection(tenant.id, "okta", Provider::Okta, Conformance::Lenient).await.unwrap();
    let token = app.directory.create_token(&connection, None, None).await.unwrap();
    TestApp { tenant, connection, token: token.reveal().into(), ..app.clone() }
}

/// A request that stays in progress until the response is dropped.
async fn hold(app: &TestApp, method: &str, path: &str, body: impl Into<Body>) -> Response<Body> {
    let response = app.service.clone().answer(app.builder(method, path).body(body.into()).unwrap()).await;
    assert_eq!(response.status(), 200);
    response
}

/// IDP-002: whoever is told to come again is told when, in whole seconds.
#[track_caller]
fn told_to_come_again(answer: Answer, status: u16, limit: &str) {
    let refused = answer.refused(status, "");
    assert!(refused.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds >= 1), "{:?}", refused.headers);
    assert!(refused.detail().contains(limit), "{}", refused.detail());
    assert_eq!(refused.header("content-type"), "application/scim+json");
}

/// A body that must not be read.
fn untouched() -> Body {
    Body::from_stream(futures_util::stream::once(async { panic!("the body was read") as Result<String, std::io::Error> }))
}

async fn metric(app: &TestApp, line: &str) -> u64 {
    let text = answer(&app.service, Request::get("/metrics").body(Body::empty()).unwrap()).await.expect(200).text;
    let value = text.lines().find_map(|found| found.strip_prefix(line)).unwrap_or_else(|| panic!("no {line} in {text}"));
    value.trim().parse().unwrap()
}

#[tokio::test]
async fn beyond_the_requests_in_progress_one_is_shed_before_its_body_is_read() {
    let app = app(&[("FRONTDESK_LIMITS_REQUESTS_IN_FLIGHT", "2")]).await;
    let first = hold(&app, "GET", "/Users", "").await;
    let second = hold(&app, "GET", "/Groups", "").await;
    assert_eq!(metric(&app, "frontdesk_requests_in_flight ").await, 2);
    told_to_come_again(app.send(app.builder("POST", "/Users"), untouched()).await, 503, "limits.requests_in_flight");
    told_to_come_again(app.get("/Users").await, 503, "limits.requests_in_flight");
    assert_eq!(metric(&app, "frontdesk_excess_total{limit=\"in_flight\"} ").await, 2);
    // Whoever asks whether the server lives is not among them.
    for path in ["/livez", "/readyz"] {
        answer(&app.service, Request::get(path).body(Body::empty()).unwrap()).await.expect(200);
    }
    // An answer that was sent, and one whose client went away, make room.
    first.into_body().collect().await.unwrap();
    app.get("/Users").await.expect(200);
    drop(second);
    assert_eq!(metric(&app, "frontdesk_requests_in_flight ").await, 0);
}

#[tokio::test]
async fn one_tenant_leaves_room_for_the_others() {
    let app = app(&[("FRONTDESK_LIMITS_TENANT_REQUESTS_IN_FLIGHT", "2")]).await;
    let other = neighbour(&app).await;
    let held = [hold(&app, "GET", "/Users", "").await, hold(&app, "GET", "/Users", "").await];
    told_to_come_again(app.send(app.builder("POST", "/Users"), untouched()).await, 503, "limits.tenant_requests_in_flight");
    assert_eq!(metric(&app, "frontdesk_excess_total{limit=\"tenant_in_flight\"} ").await, 1);
    let others = hold(&other, "GET", "/Users", "").await;
    other.get("/Users").await.expect(200);
    drop(held);
    app.get("/Users").await.expect(200);
    drop(others);
}

#[tokio::test]
async fn a_tenant_above_its_limit_does_not_wait_for_the_database() {
    let settings = PoolSettings { pool_size: 1, ..support::settings() };
    let directory = Directory::open(support::url().await, &settings).await.unwrap();
    let limits = [("FRONTDESK_LIMITS_TENANT_REQUESTS_IN_FLIGHT", "1")];
    let app = app_on(directory, Profile::SpaceIq, Conformance::Lenient, &limits).await;
    let id = app.user("ann").await;
    let mut session = observer().await;
    let mut lock = session.begin().await.unwrap();
    sqlx::query("select from users where tenant_id = $1 for update").bind(app.tenant.id).execute(&mut *lock).await.unwrap();
    let waiting = tokio::spawn({
        let app = app.clone();
        async move { app.delete(&format!("/Users/{id}")).await }
    });
    // The only connection is taken when the deletion waits for the row.
    let waits = "select exists (select from pg_locks w join pg_stat_activity a on a.pid = w.pid
                 where not w.granted and pg_backend_pid() = any(pg_blocking_pids(w.pid)))";
    while !sqlx::query_scalar::<_, bool>(waits).fetch_one(&mut *lock).await.unwrap() {
        tokio::task::yield_now().await;
    }
    told_to_come_again(app.get("/Users").await, 503, "limits.tenant_requests_in_flight");
    lock.rollback().await.unwrap();
    waiting.await.unwrap().expect(204);
    app.get("/Users").await.expect(200);
}

/// A search that no index answers reads all there is, for seconds: so few are let in that whoever asks for one resource finds a
/// connection all the same.
#[tokio::test]
async fn searches_that_scan_leave_connections_to_the_others() {
    let own = OwnDatabase::create().await;
    let settings = PoolSettings { pool_size: 2, acquire_timeout: Duration::from_millis(200), ..support::settings() };
    let directory = own.directory_with(&settings).await;
    directory.migrate().await.unwrap();
    let app = app_on(directory, Profile::SpaceIq, Conformance::Lenient, &[]).await;
    let id = app.user("ann").await;
    let mut session = own.session().await;
    let mut lock = session.begin().await.unwrap();
    sqlx::query("lock table groups in access exclusive mode").execute(&mut *lock).await.unwrap();
    let scan = "/Groups?filter=displayName co \"x\"";
    let scanning = tokio::spawn({
        let app = app.clone();
        async move { app.get(scan).await }
    });
    let waits = "select exists (select from pg_locks where not granted and relation = 'groups'::regclass)";
    while !sqlx::query_scalar::<_, bool>(waits).fetch_one(&mut *lock).await.unwrap() {
        tokio::task::yield_now().await;
    }
    told_to_come_again(app.get(scan).await, 503, "too busy");
    told_to_come_again(app.get("/Groups?sortBy=displayName").await, 503, "too busy");
    app.get(&format!("/Users/{id}?excludedAttributes=groups")).await.expect(200);
    app.get("/Users?filter=userName eq \"ann\"&excludedAttributes=groups").await.expect(200);
    // A client that goes away frees no place: PostgreSQL is still at it.
    scanning.abort();
    told_to_come_again(app.get(scan).await, 503, "too busy");
    lock.rollback().await.unwrap();
    app.get(scan).await.expect(200);
    app.directory.close().await;
    own.drop().await;
}

#[tokio::test]
async fn a_connection_that_went_wild_is_slowed_down_and_no_other() {
    let app = app(&[("FRONTDESK_LIMITS_CONNECTION_REQUESTS_PER_SECOND", "1")]).await;
    let other = neighbour(&app).await;
    let slowed = loop {
        let answer = app.get("/ServiceProviderConfig").await;
        if answer.status != 200 {
            break answer;
        }
    };
    told_to_come_again(slowed, 429, "limits.connection_requests_per_second");
    other.get("/ServiceProviderConfig").await.expect(200);
    assert!(metric(&app, "frontdesk_excess_total{limit=\"connection_rate\"} ").await >= 1);
}

/// A request as the accept loop hands it on: with the address of its peer.
async fn from(app: &TestApp, peer: &str, forwarded: Option<&str>, token: &str) -> Answer {
    let mut request = Request::get("/scim/v2/Users").header("authorization", format!("Bearer {token}"));
    if let Some(forwarded) = forwarded {
        request = request.header("x-forwarded-for", forwarded);
    }
    let mut request = request.body(Body::empty()).unwrap();
    request.extensions_mut().insert(ConnectInfo(SocketAddr::new(peer.parse().unwrap(), 4711)));
    answer(&app.service, request).await
}

/// AUTH-015.
#[tokio::test]
async fn an_address_that_fails_too_often_is_told_429_and_good_tokens_from_it_pass() {
    let app = app(&[("FRONTDESK_LIMITS_FAILED_AUTHENTICATIONS_PER_MINUTE", "5"), ("FRONTDESK_HTTP_TRUSTED_PROXIES", "10.0.0.0/8")]).await;
    for n in 0..5 {
        // Whoever is no proxy cannot write himself another address.
        from(&app, "192.0.2.1", Some(&format!("198.51.100.{n}")), "wrong").await.refused(401, "");
    }
    let refused = from(&app, "192.0.2.1", None, "wrong").await;
    assert_eq!(refused.header("www-authenticate"), "");
    told_to_come_again(refused, 429, "limits.failed_authentications_per_minute");
    assert_eq!(metric(&app, "frontdesk_excess_total{limit=\"failed_authentication\"} ").await, 1);
    from(&app, "192.0.2.1", None, &app.token).await.expect(200);
    from(&app, "192.0.2.2", None, "wrong").await.refused(401, "");
    // Behind a proxy each client has its own count.
    for _ in 0..5 {
        from(&app, "10.0.0.1", Some("6.6.6.6, 198.51.100.7"), "wrong").await.refused(401, "");
    }
    told_to_come_again(from(&app, "10.0.0.1", Some("7.7.7.7, 198.51.100.7"), "wrong").await, 429, "");
    from(&app, "10.0.0.1", Some("198.51.100.8"), "wrong").await.refused(401, "");
    from(&app, "10.0.0.1", Some("198.51.100.7"), &app.token).await.expect(200);
}

#[tokio::test]
async fn the_bodies_of_all_requests_together_are_bounded() {
    let limits = [("FRONTDESK_LIMITS_BODY_BYTES", "1000"), ("FRONTDESK_LIMITS_BODIES_BYTES", "1500")];
    let app = app(&limits).await;
    let query = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"] }).to_string();
    let padded = |length: usize| format!("{query}{}", " ".repeat(length - query.len()));
    let announced = |body: &str| app.builder("POST", "/Users/.search").header("content-length", body.len());
    let held = hold(&app, "POST", "/Users/.search", padded(1000)).await;
    // Announced, it is refused unread; not announced, when it has come.
    let refused = app.send(app.builder("POST", "/Users/.search").header("content-length", 501), untouched()).await;
    told_to_come_again(refused, 503, "limits.bodies_bytes");
    told_to_come_again(app.send(app.builder("POST", "/Users/.search"), padded(501)).await, 503, "limits.bodies_bytes");
    app.send(announced(&padded(500)), padded(500)).await.expect(200);
    app.send(app.builder("POST", "/Users/.search"), padded(500)).await.expect(200);
    drop(held);
    app.send(announced(&padded(1000)), padded(1000)).await.expect(200);
    assert_eq!(metric(&app, "frontdesk_excess_total{limit=\"bodies\"} ").await, 2);
}
