//! Who is let in (RFC 6750, RFC 7644 §2): every route of the table, every base, every method, with everything that is no live
//! token. N32.

use std::time::{Duration, Instant};

use axum::http::{HeaderMap, Request};
use frontdesk::directory::{Conformance, Profile, State, Token};
use frontdesk::http::{API_BASE, BASES, routes};
use serde_json::json;

use crate::app::{Answer, TestApp, answer, app, app_on};
use crate::support::{self, OwnDatabase};

const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"];

const SOME_ID: &str = "0190b5a0-7c1e-7000-8000-000000000001";

/// Every path, with an id where the route has one, the methods that it has, and whether it can be read without a token.
fn paths() -> Vec<(String, &'static [&'static str], bool)> {
    let scim = BASES.iter().flat_map(|base| routes::SCIM.iter().map(move |route| (*base, route)));
    let all = scim.chain(routes::API.iter().map(|route| (API_BASE, route)));
    all.map(|(base, route)| (format!("{base}{}", route.path.replace("{id}", SOME_ID)), route.methods, route.public)).collect()
}

async fn send(app: &TestApp, method: &str, path: &str, authorization: Option<&str>) -> Answer {
    let mut request = Request::builder().method(method).uri(path).header("content-type", "application/scim+json");
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    answer(&app.service, request.body("{}".into()).unwrap()).await
}

/// An answer without what is different in each: the request id. The answer to HEAD has the headers of the body that is not sent.
fn comparable(method: &str, answer: &Answer) -> (u16, HeaderMap, String) {
    let mut headers = answer.headers.clone();
    headers.remove("x-request-id").expect("every answer has a request id");
    let body = if method == "HEAD" { String::new() } else { answer.text.clone() };
    (answer.status.as_u16(), headers, body)
}

/// A 401 as it must be.
#[track_caller]
fn assert_unauthorized(answer: &Answer) {
    let answer = answer.clone().refused(401, "");
    assert!(answer.header("www-authenticate").starts_with("Bearer"), "{:?}", answer.headers);
    assert_eq!(answer.header("content-type"), "application/scim+json");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
}

/// What is no live token: `None` for no header at all.
async fn credentials(app: &TestApp) -> Vec<(&'static str, Option<String>)> {
    let good = &app.token;
    let mut wrong_checksum = good.clone();
    let last = if wrong_checksum.pop() == Some('0') { '1' } else { '0' };
    wrong_checksum.push(last);
    let unknown = Token::generate().unwrap();
    let revoked = app.directory.create_token(&app.connection, Some("revoked"), None).await.unwrap();
    let id = app.directory.tokens(app.tenant.id, None).await.unwrap().last().unwrap().id;
    app.directory.revoke_token(id).await.unwrap();
    let expired = app.directory.create_token(&app.connection, Some("expired"), Some(Duration::from_secs(60))).await.unwrap();
    sqlx::query("update tokens set expires_at = now() - interval '1 second' where tenant_id = $1 and label = 'expired'")
        .bind(app.tenant.id)
        .execute(&mut support::observer().await)
        .await
        .unwrap();
    let paused = app.directory.create_connection(app.tenant.id, "paused", app.connection.provider, Conformance::Lenient).await.unwrap();
    let of_paused = app.directory.create_token(&paused, None, None).await.unwrap();
    app.directory.set_connection_state(app.tenant.id, "paused", State::Paused).await.unwrap();
    vec![
        ("no header", None),
        ("an empty header", Some(String::new())),
        ("the scheme alone", Some("Bearer".into())),
        ("the scheme and a blank", Some("Bearer ".into())),
        ("another scheme", Some(format!("Basic {good}"))),
        ("no scheme", Some(good.clone())),
        ("the scheme and two blanks", Some("Bearer  ".into())),
        ("the scheme in small letters alone", Some("bearer".into())),
        ("null", Some("Bearer null".into())),
        ("undefined", Some("Bearer undefined".into())),
        ("something else", Some("Bearer eyJhbGciOiJub25lIn0.e30.".into())),
        ("a wrong checksum", Some(format!("Bearer {wrong_checksum}"))),
        ("another letter case", Some(format!("Bearer {}", good.to_uppercase()))),
        ("one character less", Some(format!("Bearer {}", &good[..good.len() - 1]))),
        ("twice the token", Some(format!("Bearer {good}{good}"))),
        ("quotes around it", Some(format!("Bearer \"{good}\""))),
        ("another first character", Some(format!("Bearer {}{}", if good.as_bytes()[3] == b'a' { "fd_b" } else { "fd_a" }, &good[4..]))),
        ("a blank before it", Some(format!("Bearer  {good}"))),
        ("a blank behind it", Some(format!("Bearer {good} "))),
        ("a tab behind it", Some(format!("Bearer {good}\t"))),
        ("an encoded zero behind it", Some(format!("Bearer {good}%00"))),
        ("another one behind it", Some(format!("Bearer {good}, Bearer {good}"))),
        ("unknown", Some(format!("Bearer {}", unknown.reveal()))),
        ("revoked", Some(format!("Bearer {}", revoked.reveal()))),
        ("expired", Some(format!("Bearer {}", expired.reveal()))),
        ("of a paused connection", Some(format!("Bearer {}", of_paused.reveal()))),
    ]
}

#[tokio::test]
async fn every_route_refuses_whoever_has_no_live_token_with_the_same_answer() {
    let app = app().await;
    let credentials = credentials(&app).await;
    let expected = send(&app, "GET", "/scim/v2/Users", None).await;
    assert_unauthorized(&expected);
    for (path, _, public) in paths() {
        for method in METHODS {
            for (what, authorization) in &credentials {
                if public && matches!(method, "GET" | "HEAD") && authorization.is_none() {
                    send(&app, method, &path, None).await.expect(200);
                    continue;
                }
                let refused = send(&app, method, &path, authorization.as_deref()).await;
                assert_eq!(comparable(method, &refused), comparable(method, &expected), "{method} {path} with {what}");
            }
        }
    }
}

#[tokio::test]
async fn two_authorization_headers_are_none() {
    let app = app().await;
    let twice = app.builder("GET", "/Users").header("authorization", format!("Bearer {}", app.token));
    assert_unauthorized(&app.send(twice, "").await);
}

#[tokio::test]
async fn the_scheme_is_read_in_any_letter_case() {
    let app = app().await;
    for scheme in ["bearer", "BEARER", "Bearer"] {
        send(&app, "GET", "/scim/v2/Users", Some(&format!("{scheme} {}", app.token))).await.expect(200);
    }
}

/// The route table tells the truth: with a token, its methods are answered by a handler and all others with 405 and `Allow`.
#[tokio::test]
async fn a_route_has_the_methods_of_the_table_and_no_others() {
    let app = app().await;
    let authorization = format!("Bearer {}", app.token);
    for (path, methods, _) in paths() {
        for method in METHODS {
            let answered = send(&app, method, &path, Some(&authorization)).await;
            let has = methods.contains(&method) || (method == "HEAD" && methods.contains(&"GET"));
            assert_ne!(answered.status.as_u16(), 401, "{method} {path}");
            assert_eq!(answered.status.as_u16() != 405, has, "{method} {path}: {}", answered.text);
            if !has {
                for allowed in methods {
                    assert!(answered.header("allow").contains(allowed), "{method} {path}: {:?}", answered.headers);
                }
                if method != "HEAD" {
                    answered.refused(405, "");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_header_cannot_change_the_method() {
    let app = app().await;
    let user = app.user("jsnow").await;
    let request = app.builder("POST", &format!("/Users/{user}")).header("x-http-method-override", "DELETE");
    app.send(request, "{}").await.refused(405, "");
    let request = app.builder("GET", &format!("/Users/{user}")).header("x-http-method-override", "DELETE");
    app.send(request, "").await.expect(200);
    app.get(&format!("/Users/{user}")).await.expect(200);
}

#[tokio::test]
async fn unknown_paths_need_a_token_too_and_say_nothing_more() {
    let app = app().await;
    let expected = send(&app, "GET", "/scim/v2/Users", None).await;
    let authorization = format!("Bearer {}", app.token);
    for path in ["/", "/scim/v2/Nothing", "/scim/v3/Users", "/api", "/api/scim", "/api/v1/nothing", "/admin", "/.env"] {
        for method in METHODS {
            let refused = send(&app, method, path, None).await;
            assert_eq!(comparable(method, &refused), comparable(method, &expected), "{method} {path}");
        }
        let answered = send(&app, "GET", path, Some(&authorization)).await;
        assert!(matches!(answered.status.as_u16(), 400 | 404), "{path}: {}", answered.text);
    }
    // RFC 7644 §3.13: another version is refused as such.
    send(&app, "GET", "/scim/v3/Users", Some(&authorization)).await.refused(400, "invalidVers");
}

/// HTTP-001: no spelling of a path leads to a handler past the token, or to another tenant's data.
#[tokio::test]
async fn tricks_with_paths_meet_the_same_decision() {
    let (ours, theirs) = (app().await, app().await);
    let foreign = theirs.user("jsnow").await;
    let expected = send(&ours, "GET", "/scim/v2/Users", None).await;
    let authorization = format!("Bearer {}", ours.token);
    let spellings = [
        "/scim/v2/%55sers".to_owned(),
        "/scim/v2/%2555sers".into(),
        format!("/scim/v2/Users%2F{foreign}"),
        format!("/scim/v2/Users%252F{foreign}"),
        "/scim%2Fv2/Users".into(),
        format!("/scim/v2//Users/{foreign}"),
        format!("//scim/v2/Users//{foreign}/"),
        format!("/scim/v2/./Users/{foreign}"),
        format!("/scim/v2/x/../Users/{foreign}"),
        format!("/livez/../scim/v2/Users/{foreign}"),
        format!("/SCIM/v2/Users/{foreign}"),
        format!("/scim/v2/users/{foreign}"),
        format!("/scim/v2/Users/{foreign}/"),
        format!("/scim/v2/Users/{foreign};jsessionid=1"),
        "/scim/v2/Users;jsessionid=1".into(),
        format!("/scim/v2/Users\\{foreign}").replace('\\', "%5C"),
        format!("/scim/v2/Users/{foreign}%00"),
        format!("/scim/v2/Users/{foreign}?access_token={}", ours.token),
    ];
    for path in spellings {
        for method in METHODS {
            assert_eq!(comparable(method, &send(&ours, method, &path, None).await), comparable(method, &expected), "{method} {path}");
        }
        for method in ["GET", "DELETE"] {
            let answered = send(&ours, method, &path, Some(&authorization)).await;
            assert!(matches!(answered.status.as_u16(), 404 | 405), "{method} {path}: {} {}", answered.status, answered.text);
            assert!(!answered.text.contains("jsnow"), "{path}");
        }
    }
    theirs.get(&format!("/Users/{foreign}")).await.expect(200);
}

#[tokio::test]
async fn doubled_and_trailing_slashes_are_tolerated() {
    let app = app().await;
    let user = app.user("jsnow").await;
    for path in ["//Users", "/Users/", "//Users//", "/Users/?count=1"] {
        assert_eq!(app.get(path).await.expect(200).ids(), [user.as_str()], "{path}");
    }
    for base in BASES {
        let read = app.under(base).get(&format!("//Users/{user}/")).await.expect(200);
        assert_eq!(read.body["meta"]["location"], format!("https://scim.test{base}/Users/{user}"));
    }
}

#[tokio::test]
async fn only_the_answer_whether_the_server_lives_needs_no_token() {
    let app = app().await;
    for path in ["/livez", "/readyz"] {
        let answered = send(&app, "GET", path, None).await.expect(200);
        assert_eq!(answered.text, "ok\n");
    }
}

/// Sends requests until one is refused for its token; none that is sent later than `limit` from now may be let in. How long a
/// request takes does not count: the machine may be slow.
async fn assert_refused_within(app: &TestApp, limit: Duration) {
    let since = Instant::now();
    loop {
        let sent = since.elapsed();
        let answered = app.get("/Users").await;
        if answered.status.as_u16() == 401 {
            return assert_unauthorized(&answered);
        }
        answered.expect(200);
        assert!(sent <= limit, "the token still works after {sent:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// How long a token is remembered.
const REMEMBERED: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_token_revoked_elsewhere_stops_within_a_second_although_it_is_remembered() {
    let app = app().await;
    app.get("/Users").await.expect(200);
    let elsewhere = support::directory().await;
    let id = elsewhere.tokens(app.tenant.id, None).await.unwrap()[0].id;
    assert!(elsewhere.revoke_token(id).await.unwrap());
    assert_refused_within(&app, REMEMBERED).await;
}

#[tokio::test]
async fn a_connection_paused_elsewhere_is_refused_within_a_second_and_let_in_again() {
    let app = app().await;
    app.get("/Users").await.expect(200);
    let elsewhere = support::directory().await;
    elsewhere.set_connection_state(app.tenant.id, "jumpcloud", State::Paused).await.unwrap();
    assert_refused_within(&app, REMEMBERED).await;
    elsewhere.set_connection_state(app.tenant.id, "jumpcloud", State::Active).await.unwrap();
    app.get("/Users").await.expect(200);
}

#[tokio::test]
async fn a_token_stops_when_it_expires() {
    let app = app().await;
    let short = app.directory.create_token(&app.connection, None, Some(Duration::from_secs(1))).await.unwrap();
    let short = TestApp { token: short.reveal().into(), ..app.clone() };
    short.get("/Users").await.expect(200);
    assert_refused_within(&short, REMEMBERED + Duration::from_secs(1)).await;
    app.get("/Users").await.expect(200);
}

/// AUTH-009: two live tokens of one connection, so that rotation has no gap.
#[tokio::test]
async fn a_token_is_rotated_without_a_refused_request() {
    let old = app().await;
    let new = old.directory.create_token(&old.connection, None, None).await.unwrap();
    let new = TestApp { token: new.reveal().into(), ..old.clone() };
    let id = old.directory.tokens(old.tenant.id, None).await.unwrap()[0].id;
    old.get("/Users").await.expect(200);
    new.get("/Users").await.expect(200);
    old.directory.revoke_token(id).await.unwrap();
    assert_refused_within(&old, REMEMBERED).await;
    new.get("/Users").await.expect(200);
}

/// AUTH-016: an identity provider that is told 401 gives the integration up; one that is told 503 comes again.
#[tokio::test]
async fn without_its_database_the_server_says_503_and_not_401() {
    let database = OwnDatabase::create().await;
    let directory = database.directory().await;
    directory.migrate().await.unwrap();
    let app = app_on(directory, Profile::SpaceIq, Conformance::Lenient, &[]).await;
    let user = app.user("jsnow").await;
    database.drop().await;
    // What is remembered of the token lasts a second; before and after it the answer is the same.
    let since = Instant::now();
    while since.elapsed() < Duration::from_millis(1_200) {
        for (method, path) in [("GET", "/Users"), ("GET", &*format!("/Users/{user}")), ("DELETE", &*format!("/Users/{user}"))] {
            let refused = app.request(method, path, None).await.refused(503, "");
            assert!(refused.header("retry-after").parse::<u32>().is_ok(), "{:?}", refused.headers);
            assert!(!refused.text.contains("empty-"), "the database's name is told: {}", refused.text);
        }
        app.post("/Users", json!({ "userName": "asnow" })).await.refused(503, "");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // Still no reason to ask the database about what cannot be a token.
    assert_unauthorized(&send(&app, "GET", "/scim/v2/Users", Some("Bearer nonsense")).await);
    assert_eq!(send(&app, "GET", "/livez", None).await.expect(200).text, "ok\n");
    assert!(!send(&app, "GET", "/readyz", None).await.expect(503).text.contains("empty-"));
}
