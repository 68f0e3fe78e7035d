//! Bounds of what one request may ask, each at the limit and one past it, and the bounds of time. Those of bulk requests, pages and
//! bodies are tested with them (`bulk`, `bad_input`), those of what is in progress in `overload`, of connections in `accept_loop`.

use std::time::Duration;

use axum::body::Body;
use frontdesk::directory::{Conformance, Directory, PoolSettings, Profile};
use serde_json::{Value, json};
use sqlx::Connection as _;

use crate::app::{TestApp, app_on, app_with};
use crate::support::{self, OwnDatabase, observer};

async fn app(settings: &[(&str, &str)]) -> TestApp {
    app_with(Profile::SpaceIq, Conformance::Lenient, settings).await
}

#[tokio::test]
async fn a_body_nests_32_levels_and_not_33() {
    let app = app(&[]).await;
    // The object itself is the first level.
    let nested = |levels: usize| format!(r#"{{"userName":"deep{levels}","x":{}1{}}}"#, "[".repeat(levels - 1), "]".repeat(levels - 1));
    app.send(app.builder("POST", "/Users"), nested(32)).await.expect(201);
    let refused = app.send(app.builder("POST", "/Users"), nested(33)).await.refused(400, "invalidSyntax");
    assert!(refused.detail().contains("32"), "{}", refused.detail());
}

#[tokio::test]
async fn a_filter_has_its_length_depth_and_comparisons_and_no_more() {
    let settings =
        [("FRONTDESK_LIMITS_FILTER_CHARS", "60"), ("FRONTDESK_LIMITS_FILTER_DEPTH", "3"), ("FRONTDESK_LIMITS_FILTER_TERMS", "3")];
    let app = app(&settings).await;
    // Characters, not bytes.
    let long = |chars: usize| format!("userName eq \"{}\"", "é".repeat(chars - 14));
    let deep = |levels: usize| format!("{}title pr{}", "(".repeat(levels), ")".repeat(levels));
    let wide = |terms: usize| vec!["title pr"; terms].join(" or ");
    for (at, past, limit) in [(long(60), long(61), "60"), (deep(3), deep(4), "3"), (wide(3), wide(4), "3")] {
        app.get(&format!("/Users?filter={at}")).await.expect(200);
        let refused = app.get(&format!("/Users?filter={past}")).await.refused(400, "invalidFilter");
        assert!(refused.detail().contains(limit), "{}", refused.detail());
    }
}

#[tokio::test]
async fn a_patch_has_so_many_operations() {
    let app = app(&[("FRONTDESK_LIMITS_PATCH_OPERATIONS", "3")]).await;
    let path = format!("/Users/{}", app.user("ann").await);
    let patch = |count: usize| json!({ "Operations": vec![json!({ "op": "replace", "path": "title", "value": "x" }); count] });
    app.patch(&path, patch(3)).await.expect(200);
    let refused = app.patch(&path, patch(4)).await.refused(400, "invalidValue");
    assert!(refused.detail().contains("the limit is 3"), "{}", refused.detail());
}

#[tokio::test]
async fn a_request_names_so_many_members_and_a_group_may_have_more() {
    let app = app(&[("FRONTDESK_LIMITS_MEMBERS", "3")]).await;
    let mut members = Vec::new();
    for name in ["a", "b", "c", "d"] {
        members.push(json!({ "value": app.user(name).await }));
    }
    let create = |name: &str, count: usize| json!({ "displayName": name, "members": members[..count] });
    app.post("/Groups", create("too many", 4)).await.refused(400, "invalidValue");
    let group = app.post("/Groups", create("three", 3)).await.expect(201).id();
    let path = format!("/Groups/{group}");
    app.put(&path, create("three", 4)).await.refused(400, "invalidValue");
    app.put(&path, create("three", 3)).await.expect(200);
    let add = |members: &[Value]| json!({ "Operations": [{ "op": "add", "path": "members", "value": members }] });
    app.patch(&path, add(&members)).await.refused(400, "invalidValue");
    app.patch(&path, add(&members[1..])).await.expect(204);
    assert_eq!(app.members(&group).await.len(), 4);
}

#[tokio::test]
async fn an_attribute_has_so_many_values() {
    let app = app(&[("FRONTDESK_LIMITS_VALUES_PER_ATTRIBUTE", "3")]).await;
    let emails = |count: usize| -> Vec<Value> { (0..count).map(|n| json!({ "value": format!("{n}@example.com") })).collect() };
    let user = |count: usize| json!({ "userName": "ann", "emails": emails(count) });
    app.post("/Users", user(4)).await.refused(400, "invalidValue");
    let path = format!("/Users/{}", app.post("/Users", user(3)).await.expect(201).id());
    let add = json!({ "Operations": [{ "op": "add", "path": "emails", "value": [{ "value": "more@example.com" }] }] });
    app.patch(&path, add).await.refused(400, "invalidValue");
    assert_eq!(app.get(&path).await.expect(200).list("emails").len(), 3);
}

/// NET-003: whoever waits too long for a connection to the database is told to come again.
#[tokio::test]
async fn a_request_waits_for_a_connection_so_long() {
    let settings = PoolSettings { pool_size: 1, acquire_timeout: Duration::from_millis(200), ..support::settings() };
    let directory = Directory::open(support::url().await, &settings).await.unwrap();
    let app = app_on(directory, Profile::SpaceIq, Conformance::Lenient, &[]).await;
    let path = format!("/Users/{}", app.user("ann").await);
    let mut session = observer().await;
    let mut lock = session.begin().await.unwrap();
    sqlx::query("select from users where tenant_id = $1 for update").bind(app.tenant.id).execute(&mut *lock).await.unwrap();
    let waiting = tokio::spawn({
        let (app, path) = (app.clone(), path.clone());
        async move { app.delete(&path).await }
    });
    while app.get(&path).await.status == 200 {}
    let refused = app.get(&path).await.refused(503, "");
    assert!(refused.header("retry-after").parse::<u32>().is_ok(), "{:?}", refused.headers);
    lock.rollback().await.unwrap();
    waiting.await.unwrap().expect(204);
    app.get(&path).await.refused(404, "");
}

/// LIM-012 and NET-007: PostgreSQL itself ends what takes too long, and the connection is good for the next request.
#[tokio::test]
async fn a_statement_and_a_lock_take_so_long() {
    let impatient = |lock_timeout, statement_timeout| PoolSettings { pool_size: 1, lock_timeout, statement_timeout, ..support::settings() };
    let (short, long) = (Duration::from_millis(200), Duration::from_secs(20));
    for settings in [impatient(short, long), impatient(long, short)] {
        let directory = Directory::open(support::url().await, &settings).await.unwrap();
        let app = app_on(directory, Profile::SpaceIq, Conformance::Lenient, &[]).await;
        let path = format!("/Users/{}", app.user("ann").await);
        let mut session = observer().await;
        let mut lock = session.begin().await.unwrap();
        sqlx::query("select from users where tenant_id = $1 for update").bind(app.tenant.id).execute(&mut *lock).await.unwrap();
        let refused = app.delete(&path).await.refused(503, "");
        assert!(refused.header("retry-after").parse::<u32>().is_ok(), "{:?}", refused.headers);
        app.get(&path).await.expect(200);
        lock.rollback().await.unwrap();
        app.delete(&path).await.expect(204);
    }
}

/// What a request began goes on, and is done as a whole, when its time is over.
#[tokio::test]
async fn a_request_takes_so_long() {
    let database = OwnDatabase::create().await;
    let directory = database.directory().await;
    directory.migrate().await.unwrap();
    let app = app_on(directory.clone(), Profile::SpaceIq, Conformance::Lenient, &[("FRONTDESK_HTTP_REQUEST_TIMEOUT_MS", "1000")]).await;
    let path = format!("/Users/{}", app.user("ann").await);
    let mut session = database.session().await;
    let mut lock = session.begin().await.unwrap();
    sqlx::query("select from users where tenant_id = $1 for update").bind(app.tenant.id).execute(&mut *lock).await.unwrap();
    let refused = app.delete(&path).await.refused(503, "");
    assert!(refused.detail().contains("in time"), "{}", refused.detail());
    assert!(refused.header("retry-after").parse::<u32>().is_ok(), "{:?}", refused.headers);
    lock.rollback().await.unwrap();
    // Closing waits for what runs.
    directory.close().await;
    let left: i64 = sqlx::query_scalar("select count(*) from users").fetch_one(&mut session).await.unwrap();
    assert_eq!(left, 0);
    drop(session);
    database.drop().await;
}

/// LIM-003.
#[tokio::test]
async fn a_body_takes_so_long_to_come_and_holds_no_connection_meanwhile() {
    let settings = PoolSettings { pool_size: 1, ..support::settings() };
    let directory = Directory::open(support::url().await, &settings).await.unwrap();
    let app = app_on(directory, Profile::SpaceIq, Conformance::Lenient, &[("FRONTDESK_HTTP_BODY_TIMEOUT_MS", "1000")]).await;
    let never = Body::from_stream(futures_util::stream::pending::<Result<String, std::io::Error>>());
    let slow = tokio::spawn({
        let app = app.clone();
        async move { app.send(app.builder("POST", "/Users"), never).await }
    });
    while !slow.is_finished() {
        app.get("/Users").await.expect(200);
    }
    slow.await.unwrap().refused(408, "");
}
