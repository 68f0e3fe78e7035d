//! Cursor pagination (RFC 9865) through the router: N92 to N97.

use chrono::Utc;
use frontdesk::directory::{Conformance, Profile};
use frontdesk::scim::cursor::{Cursor, Position, Scope};
use frontdesk::scim::query::Query;
use serde_json::{Value, json};

use crate::app::{Answer, TestApp, app, app_with};
use crate::support::OwnDatabase;

async fn some_users(app: &TestApp, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for n in 0..count {
        ids.push(app.user(&format!("user{n}")).await);
    }
    ids
}

fn cursor(answer: &Answer, name: &str) -> Option<String> {
    answer.body[name].as_str().map(str::to_owned)
}

/// Follows `nextCursor` to the end and gives the pages.
async fn forward(app: &TestApp, query: &str) -> Vec<Answer> {
    let mut pages = vec![app.get(&format!("/Users?cursor={query}")).await.expect(200)];
    while let Some(next) = cursor(pages.last().unwrap(), "nextCursor") {
        assert!(pages.len() < 100, "the cursors do not end");
        assert!(next.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b)), "{next}");
        pages.push(app.get(&format!("/Users?cursor={next}{query}")).await.expect(200));
    }
    pages
}

/// N92, N93.
#[tokio::test]
async fn every_page_but_the_last_leads_on_and_every_page_but_the_first_leads_back() {
    let app = app().await;
    let ids = some_users(&app, 7).await;
    for query in
        ["&count=3", "&count=3&filter=userName sw \"user\"", "&count=3&sortBy=userName", "&count=3&sortBy=title&filter=active eq true"]
    {
        let pages = forward(&app, query).await;
        let sizes: Vec<usize> = pages.iter().map(|page| page.ids().len()).collect();
        assert_eq!(sizes, [3, 3, 1], "{query}");
        assert_eq!(pages.iter().flat_map(Answer::ids).collect::<Vec<_>>(), ids, "{query}");
        for (number, page) in pages.iter().enumerate() {
            assert_eq!(page.body["totalResults"], 7, "{query}");
            assert_eq!(page.body["itemsPerPage"], page.ids().len());
            assert_eq!(page.body.get("startIndex"), None);
            assert_eq!(cursor(page, "previousCursor").is_some(), number > 0, "{query} page {number}");
        }
        // And back again.
        let mut page = pages.last().unwrap().clone();
        for number in [1, 0] {
            let back = cursor(&page, "previousCursor").unwrap();
            page = app.get(&format!("/Users?cursor={back}{query}")).await.expect(200);
            assert_eq!(page.ids(), pages[number].ids(), "{query} page {number}");
            assert_eq!(cursor(&page, "previousCursor").is_some(), number > 0, "{query} page {number}");
        }
        let next = cursor(&page, "nextCursor").unwrap();
        assert_eq!(app.get(&format!("/Users?cursor={next}{query}")).await.expect(200).ids(), pages[1].ids());
    }
}

/// N92: "The cursor value MUST be empty or omitted for the first request of a cursor-paginated query."
#[tokio::test]
async fn an_empty_cursor_is_the_first_page_however_it_is_written() {
    let app = app().await;
    let ids = some_users(&app, 3).await;
    for query in ["cursor", "cursor=", "cursor&count=2", "count=2&cursor=", "startIndex=1&cursor&count=2"] {
        let page = app.get(&format!("/Users?{query}")).await.expect(200);
        let wanted = if query.contains("count") { 2 } else { 3 };
        assert_eq!(page.ids(), ids[..wanted], "{query}");
        assert_eq!(cursor(&page, "nextCursor").is_some(), wanted < 3, "{query}");
        assert_eq!(cursor(&page, "previousCursor"), None);
    }
    let posted = app.post("/Users/.search", json!({ "cursor": "", "count": 2 })).await.expect(200);
    let next = cursor(&posted, "nextCursor").unwrap();
    let posted = app.post("/Users/.search", json!({ "cursor": next, "count": 2 })).await.expect(200);
    assert_eq!(posted.ids(), ids[2..]);
    let none = app.get("/Users?cursor&count=0").await.expect(200);
    assert_eq!((none.ids().len(), none.body["totalResults"].as_u64()), (0, Some(3)));
    let nobody = app.get("/Groups?cursor").await.expect(200);
    assert_eq!((nobody.body["totalResults"].as_u64(), cursor(&nobody, "nextCursor")), (Some(0), None));
}

/// N96: "should use index as the default pagination method".
#[tokio::test]
async fn without_a_cursor_paging_is_by_index() {
    let app = app().await;
    some_users(&app, 2).await;
    let page = app.get("/Users?count=1").await.expect(200);
    assert_eq!((page.body["startIndex"].as_u64(), cursor(&page, "nextCursor")), (Some(1), None));
}

/// N94, N95.
#[tokio::test]
async fn a_cursor_of_another_query_or_another_owner_is_refused() {
    let (app, stranger) = (app().await, app_with(Profile::SpaceIq, Conformance::Lenient, &[]).await);
    some_users(&app, 4).await;
    some_users(&stranger, 4).await;
    let page = app.get("/Users?cursor&count=2&filter=active eq true").await.expect(200);
    let next = cursor(&page, "nextCursor").unwrap();
    let own = format!("/Users?cursor={next}&count=2&filter=active eq true");
    app.get(&own).await.expect(200);
    stranger.get(&own).await.refused(400, "invalidCursor");
    for other in ["&count=2", "&count=2&filter=active eq false", "&count=2&filter=active eq true&sortBy=userName"] {
        app.get(&format!("/Users?cursor={next}{other}")).await.refused(400, "invalidCursor");
    }
    app.get(&format!("/Groups?cursor={next}&count=2")).await.refused(400, "invalidCursor");
    app.post("/.search", json!({ "cursor": next, "count": 2, "filter": "active eq true" })).await.refused(400, "invalidCursor");
    for forged in ["x", "1", "%00", "ÿ", &next[1..], &format!("{next}A"), &"A".repeat(10_000)] {
        app.get(&format!("/Users?cursor={forged}&count=2&filter=active eq true")).await.refused(400, "invalidCursor");
    }
    let details: Vec<String> = [&stranger.get(&own).await, &app.get("/Users?cursor=x").await].map(|answer| answer.detail().into()).into();
    assert_eq!(details[0], details[1], "the cause is not told (RFC 9865 §5.2)");
}

/// N94.
#[tokio::test]
async fn the_page_size_stays_the_same_and_is_a_number() {
    let app = app().await;
    some_users(&app, 4).await;
    let next = cursor(&app.get("/Users?cursor&count=2").await.expect(200), "nextCursor").unwrap();
    app.get(&format!("/Users?cursor={next}&count=3")).await.refused(400, "invalidCount");
    app.get(&format!("/Users?cursor={next}")).await.refused(400, "invalidCount");
    app.get("/Users?cursor&count=two").await.refused(400, "invalidCount");
    app.get("/Users?count=two").await.refused(400, "invalidValue");
}

/// N94. The cursor is one that this deployment sealed an hour ago.
#[tokio::test]
async fn an_old_cursor_has_expired() {
    let app = app().await;
    let ids = some_users(&app, 4).await;
    let scope = Scope::of(app.tenant.id, app.connection.id, "/Users", &Query::default());
    let key = app.directory.cursor_key().await.unwrap();
    let now = Utc::now().timestamp();
    let position = Position { rank: 0, sort: None, seq: 0 };
    let sealed = |expires| Cursor { position: position.clone(), backward: false, count: 2, total: 4, expires }.seal(key, scope, [3; 24]);
    app.get(&format!("/Users?count=2&cursor={}", sealed(now - 1))).await.refused(400, "expiredCursor");
    let live = app.get(&format!("/Users?count=2&cursor={}", sealed(now + 60))).await.expect(200);
    assert_eq!(live.ids(), ids[..2]);
}

#[tokio::test]
async fn a_walk_by_cursor_loses_nobody_when_its_own_place_is_deleted() {
    let app = app().await;
    let ids = some_users(&app, 6).await;
    for query in ["&count=2", "&count=2&sortBy=userName", "&count=2&sortBy=title&sortOrder=descending&filter=active eq true"] {
        let first = app.get(&format!("/Users?cursor{query}")).await.expect(200);
        let next = cursor(&first, "nextCursor").unwrap();
        if query == "&count=2" {
            for id in &ids[..2] {
                app.delete(&format!("/Users/{id}")).await.expect(204);
            }
            assert_eq!(app.get(&format!("/Users?cursor={next}{query}")).await.expect(200).ids(), ids[2..4]);
        } else {
            assert_eq!(first.ids(), ids[2..4]);
            assert_eq!(app.get(&format!("/Users?cursor={next}{query}")).await.expect(200).ids(), ids[4..]);
        }
    }
}

/// Values that differ behind what a position holds, equal values and missing ones: each is on one page.
#[tokio::test]
async fn sorted_walks_hold_for_long_equal_and_missing_values() {
    let app = app().await;
    let long = "x".repeat(400);
    let titles = [
        Some(format!("{long}b")),
        Some(format!("{long}a")),
        None,
        Some("Same".into()),
        Some("same".into()),
        None,
        Some("É\"\u{1F600}".into()),
    ];
    for (n, title) in titles.iter().enumerate() {
        app.post("/Users", json!({ "userName": format!("long{n}"), "title": title })).await.expect(201);
    }
    for order in ["ascending", "descending"] {
        let whole = app.get(&format!("/Users?cursor&sortBy=title&sortOrder={order}")).await.expect(200).ids();
        assert_eq!(whole.len(), titles.len());
        for count in 1..4 {
            let pages = forward(&app, &format!("&sortBy=title&sortOrder={order}&count={count}")).await;
            assert_eq!(pages.iter().flat_map(Answer::ids).collect::<Vec<_>>(), whole, "{order} by {count}");
        }
    }
    let descending = app.get("/Users?cursor&sortBy=title&sortOrder=descending&attributes=title").await.expect(200);
    assert_eq!(descending.list("Resources")[0].get("title"), None::<&Value>, "missing values come first descending");
}

#[tokio::test]
async fn the_key_is_made_once_whoever_comes_first() {
    let database = OwnDatabase::create().await;
    let directories = [database.directory().await, database.directory().await, database.directory().await];
    directories[0].migrate().await.unwrap();
    let keys = tokio::join!(directories[0].cursor_key(), directories[1].cursor_key(), directories[2].cursor_key());
    let cursor = Cursor { position: Position { rank: 0, sort: None, seq: 1 }, backward: false, count: 1, total: 1, expires: 10 };
    let scope = Scope::of(uuid::Uuid::nil(), uuid::Uuid::nil(), "/Users", &Query::default());
    let sealed = cursor.seal(keys.0.unwrap(), scope, [9; 24]);
    for key in [keys.1.unwrap(), keys.2.unwrap()] {
        assert_eq!(Cursor::open(&sealed, key, scope, 1, 0).unwrap(), cursor);
    }
    for directory in directories {
        directory.close().await;
    }
    database.drop().await;
}
