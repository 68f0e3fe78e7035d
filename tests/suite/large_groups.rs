//! Groups that are larger than a page of members: read, replaced and changed as a whole without being held as a whole.

use std::collections::BTreeSet;
use std::time::Duration;

use frontdesk::directory::{Conformance, Part, Place, PoolSettings, Profile, Search};
use frontdesk::scim::catalog::GROUP;
use serde_json::{Value, json};
use sqlx::PgConnection;

use crate::app::{TestApp, app, app_on};
use crate::support::{self, OwnDatabase};

const MEMBERS: i32 = 12_345;

/// Users made in one statement: what matters here is how many there are.
pub async fn many_users(app: &TestApp, count: i32) -> Vec<String> {
    insert_users(&mut support::observer().await, app, count).await
}

async fn insert_users(observer: &mut PgConnection, app: &TestApp, count: i32) -> Vec<String> {
    sqlx::query_scalar(
        "insert into users (tenant_id, id, document, folded, user_name, user_name_key, display_name, active, created_at, updated_at)
         select $1, gen_random_uuid(), json_build_object('schemas', json_build_array('urn:ietf:params:scim:schemas:core:2.0:User'),
                 'userName', 'many' || i, 'active', true),
             jsonb_build_object('username', 'many' || i), 'many' || i, 'many' || i, 'many \"' || i || '\"', true, now(), now()
         from generate_series(1, $2) i returning id::text",
    )
    .bind(app.tenant.id)
    .bind(count)
    .fetch_all(observer)
    .await
    .unwrap()
}

fn values(group: &Value) -> BTreeSet<String> {
    group["members"].as_array().unwrap().iter().map(|member| member["value"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_group_of_many_members_is_sent_whole_and_once_each() {
    let app = app().await;
    let users = many_users(&app, MEMBERS).await;
    let child = app.group("child", &[]).await;
    let members: Vec<Value> = users.iter().chain([&child]).map(|id| json!({ "value": id })).collect();
    let body = json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "all", "members": members });
    let created = app.post("/Groups", body.clone()).await.expect(201);
    let path = format!("/Groups/{}", created.id());
    let expected: BTreeSet<String> = users.iter().chain([&child]).cloned().collect();
    for answer in [created, app.get(&path).await.expect(200), app.put(&path, body).await.expect(200)] {
        assert_eq!(answer.list("members").len(), expected.len(), "each member is listed once");
        assert_eq!(values(&answer.body), expected);
        assert_eq!(answer.body["meta"]["version"], answer.header("etag"));
    }
    let listed = app.get("/Groups?filter=displayName eq \"all\"").await.expect(200);
    assert_eq!(values(&listed.body["Resources"][0]), expected);
    let projected = app.get(&format!("{path}?attributes=members.value")).await.expect(200);
    assert_eq!(values(&projected.body), expected);
    assert!(projected.body["members"][0].get("display").is_none());
}

#[tokio::test]
async fn replacing_many_members_writes_only_the_difference() {
    let app = app().await;
    let users = many_users(&app, 10_010).await;
    let list = |ids: &[String]| -> Vec<Value> { ids.iter().map(|id| json!({ "value": id })).collect() };
    let group = app.group("all", &[]).await;
    let path = format!("/Groups/{group}");
    let replace = |ids: &[String]| json!({ "Operations": [{ "op": "replace", "path": "members", "value": list(ids) }] });
    app.patch(&path, replace(&users[..10_000])).await.expect(204);
    app.patch(&path, replace(&users[10..])).await.expect(204);
    let (_, _, change) = app.events(&group).await.pop().unwrap();
    assert_eq!(change["members"]["added"].as_array().unwrap().len(), 10);
    assert_eq!(change["members"]["removed"].as_array().unwrap().len(), 10);
    assert_eq!(app.members(&group).await.len(), 10_000);
    let version = app.get(&path).await.expect(200).header("etag").to_owned();
    app.patch(&path, replace(&users[10..])).await.expect(204);
    assert_eq!(app.get(&path).await.expect(200).header("etag"), version, "the same members are no change");
}

/// A plan is kept with its connection, so the one connection of this test keeps what it planned for two users and three members.
#[tokio::test]
async fn what_was_planned_for_a_few_serves_when_they_have_become_many() {
    let database = OwnDatabase::create().await;
    let settings = PoolSettings { pool_size: 1, statement_timeout: Duration::from_millis(2_500), ..support::settings() };
    let directory = database.directory_with(&settings).await;
    directory.migrate().await.unwrap();
    let app = app_on(directory.clone(), Profile::SpaceIq, Conformance::Lenient, &[]).await;
    let (ann, ben) = (app.user("ann").await, app.user("ben").await);
    let group = app.group("all", &[&ann]).await;
    let mut observer = database.session().await;
    sqlx::raw_sql("analyze users; analyze groups; analyze members; analyze subgroups").execute(&mut observer).await.unwrap();
    let path = format!("/Groups/{group}");
    let of = |operation: &str, ids: &[String]| {
        let values: Vec<Value> = ids.iter().map(|id| json!({ "value": id })).collect();
        json!({ "Operations": [{ "op": operation, "path": "members", "value": values }] })
    };
    for _ in 0..7 {
        app.get("/Users?count=1000").await.expect(200);
        app.get(&path).await.expect(200);
        app.patch(&path, of("add", std::slice::from_ref(&ben))).await.expect(204);
        app.patch(&path, of("remove", std::slice::from_ref(&ben))).await.expect(204);
    }
    let users = insert_users(&mut observer, &app, 40_000).await;
    app.patch(&path, of("add", &users[..20_000])).await.expect(204);
    app.patch(&path, of("add", &users[20_000..])).await.expect(204);
    assert_eq!(app.get("/Users?count=1000").await.expect(200).ids().len(), 1_000);
    assert_eq!(app.get(&path).await.expect(200).list("members").len(), 40_001);
    app.patch(&path, of("remove", &users[..20_000])).await.expect(204);
    assert_eq!(app.get(&path).await.expect(200).list("members").len(), 20_001);
    directory.close().await;
    database.drop().await;
}

/// A page of groups holds the members of few in memory; those of the others are sent while they are read, and nobody is missing.
#[tokio::test]
async fn a_page_of_large_groups_is_sent_whole_and_read_in_parts() {
    let app = app().await;
    let users = many_users(&app, 1_001).await;
    let ids: Vec<&str> = users.iter().map(String::as_str).collect();
    let mut groups = vec![(app.group("beyond a group's share", &ids).await, 1_001), (app.group("empty", &[]).await, 0)];
    for n in 0..11 {
        groups.push((app.group(&format!("full {n}"), &ids[..1_000]).await, 1_000));
    }
    groups.push((app.group("one", &ids[..1]).await, 1));

    let part = Part { resource_type: &GROUP, filter: None, sort: None, with_memberships: true };
    let search = Search { parts: vec![part], sorted: false, descending: false };
    let page = app.directory.page(app.tenant.id, "", &search, &Place::Offset(0), 100).await.unwrap();
    let read: usize =
        page.found.iter().filter_map(|found| found.stored.memberships.as_ref()).map(|text| text.matches("\"value\"").count()).sum();
    // The group beyond its share counts as 1,001 of the 10,000, and eight full ones have room beside it.
    assert_eq!(read, 8_000, "members read with the page");

    let counts = |resources: &[Value]| -> Vec<(String, usize)> {
        resources
            .iter()
            .map(|group| (group["id"].as_str().unwrap().to_owned(), group.get("members").map_or(0, |_| values(group).len())))
            .collect()
    };
    for query in ["count=100", "count=100&cursor", "count=100&attributes=members.value", "count=100&excludedAttributes=meta,displayName"] {
        let answer = app.get(&format!("/Groups?{query}")).await.expect(200);
        assert_eq!(answer.body["itemsPerPage"], groups.len(), "{query}");
        assert_eq!(counts(&answer.list("Resources")), groups, "{query}");
    }
    let projected = app.get("/Groups?count=1&attributes=members.value").await.expect(200);
    assert_eq!(projected.body["Resources"][0]["members"][0].as_object().unwrap().keys().collect::<Vec<_>>(), ["value"]);
    // A walk sees everybody, in pages of a few.
    let mut seen = Vec::new();
    while seen.len() < groups.len() {
        let page = app.get(&format!("/Groups?startIndex={}&count=5", seen.len() + 1)).await.expect(200);
        seen.extend(counts(&page.list("Resources")));
    }
    assert_eq!(seen, groups);
}
