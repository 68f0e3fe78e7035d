//! Index pagination (RFC 7644 §3.4.2.4): pages, totals, and walks through a directory that changes meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use crate::app::{TestApp, app, app_with};
use crate::support::observer;
use frontdesk::directory::{Conformance, Profile};

/// Inserts users named u1, u2 ... beside the application, which takes too long for thousands one by one.
async fn many_users(app: &TestApp, count: i32) {
    sqlx::query(
        "insert into users (tenant_id, id, document, folded, user_name, user_name_key, display_name, active, created_at, updated_at)
         select $1, id,
             ('{\"schemas\":[\"urn:ietf:params:scim:schemas:core:2.0:User\"],\"userName\":\"u' || n || '\",\"active\":true}')::json,
             jsonb_build_object('schemas', jsonb_build_array('urn:ietf:params:scim:schemas:core:2.0:user'), 'id', id,
                 'username', 'u' || n, 'active', true),
             'u' || n, 'u' || n, 'u' || n, true, now(), now()
         from (select n, gen_random_uuid() as id from generate_series(1, $2) n) made",
    )
    .bind(app.tenant.id)
    .bind(count)
    .execute(&mut observer().await)
    .await
    .unwrap();
}

/// The ids of a tenant's users, oldest first.
async fn all_ids(app: &TestApp) -> Vec<String> {
    sqlx::query_scalar("select id::text from users where tenant_id = $1 order by seq")
        .bind(app.tenant.id)
        .fetch_all(&mut observer().await)
        .await
        .unwrap()
}

/// Deletes users beside the application.
async fn remove(app: &TestApp, ids: &[String]) {
    sqlx::query("delete from users where tenant_id = $1 and id = any ($2::text[]::uuid[])")
        .bind(app.tenant.id)
        .bind(ids)
        .execute(&mut observer().await)
        .await
        .unwrap();
}

/// Walks as clients do, until `startIndex` is beyond the total or a page is empty, and calls `between` after each page. Gives how
/// often each id was returned.
async fn walk(app: &TestApp, query: &str, count: usize, between: impl AsyncFn(usize)) -> BTreeMap<String, usize> {
    let mut seen = BTreeMap::new();
    let mut start = 1;
    for page_number in 0.. {
        assert!(page_number < 1_000, "the walk does not end");
        let page = app.get(&format!("/Users?attributes=userName&startIndex={start}&count={count}{query}")).await.expect(200);
        assert_eq!(page.body["startIndex"], start);
        let ids = page.ids();
        assert!(ids.len() <= count);
        assert_eq!(page.body["itemsPerPage"], ids.len());
        start += ids.len();
        for id in &ids {
            *seen.entry(id.clone()).or_default() += 1;
        }
        if ids.is_empty() || start > usize::try_from(page.body["totalResults"].as_u64().unwrap()).unwrap() {
            break;
        }
        between(page_number).await;
    }
    seen
}

fn assert_nobody_is_lost(seen: &BTreeMap<String, usize>, before: &[String], after: &[String]) {
    let after: BTreeSet<&String> = after.iter().collect();
    let stayed: Vec<&String> = before.iter().filter(|id| after.contains(id)).collect();
    let lost = stayed.iter().filter(|id| !seen.contains_key(**id)).count();
    assert_eq!(lost, 0, "{lost} of {} users that stayed were not returned", stayed.len());
    let twice = seen.values().filter(|times| **times > 1).count();
    assert_eq!(twice, 0, "{twice} users were returned twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_walk_of_twenty_thousand_users_loses_nobody_while_five_hundred_are_deleted() {
    let app = app().await;
    many_users(&app, 20_000).await;
    let before = all_ids(&app).await;
    let seen = walk(&app, "", 1_000, async |page| {
        // Deleted behind the walk and in front of it, spread over the whole list; and somebody new arrives.
        let gone: Vec<String> = before.iter().skip(page * 7).step_by(800).take(25).cloned().collect();
        remove(&app, &gone).await;
        app.user(&format!("new{page}")).await;
    })
    .await;
    let after = all_ids(&app).await;
    let deleted = before.len() + 19 - after.len();
    assert!(deleted >= 450, "only {deleted} users were deleted meanwhile");
    assert_nobody_is_lost(&seen, &before, &after);
}

#[tokio::test]
async fn filtered_and_sorted_walks_lose_nobody_either() {
    let app = app().await;
    for query in ["&filter=active eq true", "&sortBy=userName", "&sortBy=userName&sortOrder=descending", "&sortBy=title"] {
        remove(&app, &all_ids(&app).await).await;
        many_users(&app, 60).await;
        let before = all_ids(&app).await;
        let seen = walk(&app, query, 7, async |page| remove(&app, &before[page * 5..page * 5 + 3]).await).await;
        let after = all_ids(&app).await;
        assert!(after.len() < 50, "{query}: {} users are left", after.len());
        assert_nobody_is_lost(&seen, &before, &after);
    }
}

/// A walk that was broken off, and one that begins again after somebody came in front of where the first one stopped.
#[tokio::test]
async fn a_walk_that_begins_again_loses_nobody_who_came_meanwhile() {
    let app = app().await;
    for query in ["&sortBy=userName", "&sortBy=userName&sortOrder=descending", "&filter=title pr"] {
        remove(&app, &all_ids(&app).await).await;
        for name in ["m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "m9"] {
            app.user(name).await;
        }
        let ids = all_ids(&app).await;
        let title = json!({ "Operations": [{ "op": "add", "path": "title", "value": "porter" }] });
        for id in &ids[3..] {
            app.patch(&format!("/Users/{id}"), title.clone()).await.expect(200);
        }
        for _ in 0..5 {
            app.get(&format!("/Users?startIndex=1&count=3{query}")).await.expect(200);
        }
        for name in ["a1", "a2", "z1", "z2"] {
            app.user(name).await;
        }
        for id in &ids[..2] {
            app.patch(&format!("/Users/{id}"), title.clone()).await.expect(200);
        }
        let seen = walk(&app, query, 3, async |_| {}).await;
        let expected = app.get(&format!("/Users?count=100{query}")).await.expect(200).ids();
        let lost: Vec<_> = expected.iter().filter(|id| !seen.contains_key(*id)).collect();
        assert!(lost.is_empty(), "{query}: {} of {} were not returned", lost.len(), expected.len());
    }
}

#[tokio::test]
async fn the_total_lets_a_client_stop_and_go_on() {
    let app = app().await;
    many_users(&app, 10).await;
    let ids = all_ids(&app).await;
    let first = app.get("/Users?startIndex=1&count=4").await.expect(200);
    assert_eq!((first.body["totalResults"].as_u64(), first.ids()), (Some(10), ids[..4].to_vec()));
    remove(&app, &ids[..4]).await;
    // Six are left, and six are still to come: a total of six would end the walk here.
    let second = app.get("/Users?startIndex=5&count=4").await.expect(200);
    assert_eq!((second.body["totalResults"].as_u64(), second.ids()), (Some(10), ids[4..8].to_vec()));
    let again = app.get("/Users?startIndex=5&count=4").await.expect(200);
    assert_eq!(again.ids(), ids[4..8], "a page that is asked for again is the same");
    remove(&app, &ids[9..]).await;
    let last = app.get("/Users?startIndex=9&count=4").await.expect(200);
    assert_eq!((last.body["totalResults"].as_u64(), last.ids()), (Some(9), ids[8..9].to_vec()));
    let behind = app.get("/Users?startIndex=10&count=4").await.expect(200);
    assert_eq!((behind.body["totalResults"].as_u64(), behind.ids().len()), (Some(9), 0));
}

/// N57.
#[tokio::test]
async fn a_jump_is_served_by_counting() {
    let app = app().await;
    many_users(&app, 10).await;
    let ids = all_ids(&app).await;
    for query in ["", "&filter=active eq true", "&sortBy=id&filter=userName pr"] {
        let sorted = query.contains("sortBy");
        let mut expected = ids.clone();
        if sorted {
            expected.sort();
        }
        for (start, count, page) in [(4, 3, 3..6), (9, 5, 8..10), (0, 2, 0..2), (-5, 2, 0..2)] {
            let answer = app.get(&format!("/Users?startIndex={start}&count={count}{query}")).await.expect(200);
            assert_eq!(answer.ids(), expected[page], "{start} {count} {query}");
            assert_eq!(answer.body["totalResults"], 10);
        }
        for (start, count) in [("11", "5"), ("99999999999999999999", "5"), ("1", "0"), ("1", "-1"), ("5", "0")] {
            let answer = app.get(&format!("/Users?startIndex={start}&count={count}{query}")).await.expect(200);
            assert_eq!((answer.ids().len(), answer.body["totalResults"].as_u64()), (0, Some(10)), "{start} {count} {query}");
        }
    }
}

#[tokio::test]
async fn pages_have_the_size_of_the_settings() {
    let settings = [("FRONTDESK_LIMITS_PAGE_SIZE_DEFAULT", "3"), ("FRONTDESK_LIMITS_PAGE_SIZE_MAX", "5")];
    let app = app_with(Profile::SpaceIq, Conformance::Lenient, &settings).await;
    many_users(&app, 10).await;
    assert_eq!(app.get("/Users").await.expect(200).ids().len(), 3);
    assert_eq!(app.get("/Users?count=100").await.expect(200).ids().len(), 5);
    let posted = app.post("/Users/.search", json!({ "count": 4, "startIndex": 9 })).await.expect(200);
    assert_eq!((posted.ids().len(), posted.body["startIndex"].as_u64()), (2, Some(9)));
}

#[tokio::test]
async fn nobody_walks_on_anothers_position() {
    let (one, other) = (app().await, app().await);
    for app in [&one, &other] {
        many_users(app, 6).await;
        app.get("/Users?startIndex=1&count=3").await.expect(200);
    }
    assert_eq!(other.get("/Users?startIndex=4&count=3").await.expect(200).ids(), all_ids(&other).await[3..]);
    // Another page size or filter is another walk.
    assert_eq!(one.get("/Users?startIndex=4&count=2").await.expect(200).ids(), all_ids(&one).await[3..5]);
    assert_eq!(one.get("/Users?startIndex=4&count=3&filter=active eq true").await.expect(200).ids(), all_ids(&one).await[3..]);
}
