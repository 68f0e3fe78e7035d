//! One member more or less is a statement of its own (src/directory/one_member.rs), which sees the moment of its beginning: what
//! others change of the group meanwhile must neither be overwritten nor overlooked.

use serde_json::{Value, json};
use sqlx::PgConnection;
use tokio::task::JoinHandle;

use crate::app::{Answer, TestApp, app, committed_when_waited_for};
use crate::support::observer;

fn change(op: &str, id: &str) -> Value {
    json!({ "Operations": [{ "op": op, "path": "members", "value": [{ "value": id }] }] })
}

/// A transaction of somebody else that holds the group and changes its members.
async fn meanwhile(app: &TestApp, statement: &'static str, group: &str, id: &str) -> PgConnection {
    let mut other = observer().await;
    sqlx::raw_sql("begin").execute(&mut other).await.unwrap();
    for statement in ["update groups set version = version + 1 where tenant_id = $1 and id = $2::uuid and $3 <> ''", statement] {
        sqlx::query(statement).bind(app.tenant.id).bind(group).bind(id).execute(&mut other).await.unwrap();
    }
    other
}

/// Sends the change, waits until it waits for the other transaction, commits that, and gives the answer.
async fn overtaken(app: &TestApp, other: PgConnection, group: &str, body: Value) -> Answer {
    let (sent, path) = (app.clone(), format!("/Groups/{group}"));
    let change: JoinHandle<Answer> = tokio::spawn(async move { sent.patch(&path, body).await });
    committed_when_waited_for(other, change).await
}

const ADD: &str = "insert into members (tenant_id, group_id, user_id) values ($1, $2::uuid, $3::uuid)";
const REMOVE: &str = "delete from members where tenant_id = $1 and group_id = $2::uuid and user_id = $3::uuid";

async fn version(app: &TestApp, group: &str) -> Value {
    app.get(&format!("/Groups/{group}")).await.expect(200).body["meta"]["version"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removal_that_waits_while_another_member_comes_removes_its_own() {
    let app = app().await;
    let (ann, ben) = (app.user("ann").await, app.user("ben").await);
    let group = app.group("crew", &[&ann]).await;
    let other = meanwhile(&app, ADD, &group, &ben).await;
    let answer = overtaken(&app, other, &group, change("remove", &ann)).await.expect(204);
    assert_eq!(app.members(&group).await, [ben]);
    assert_eq!(version(&app, &group).await, "W/\"3\"");
    assert_eq!(answer.header("etag"), "W/\"3\"");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removal_whose_member_goes_meanwhile_changes_nothing() {
    let app = app().await;
    let (ann, ben) = (app.user("ann").await, app.user("ben").await);
    let group = app.group("crew", &[&ann, &ben]).await;
    let before = app.events(&group).await.len();
    let other = meanwhile(&app, REMOVE, &group, &ann).await;
    let answer = overtaken(&app, other, &group, change("remove", &ann)).await.expect(204);
    assert_eq!(answer.header("etag"), "W/\"2\"");
    assert_eq!(version(&app, &group).await, "W/\"2\"", "the other's change only");
    assert_eq!(app.events(&group).await.len(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_addition_whose_member_comes_meanwhile_changes_nothing() {
    let app = app().await;
    let ann = app.user("ann").await;
    let group = app.group("crew", &[]).await;
    let before = app.events(&group).await.len();
    let other = meanwhile(&app, ADD, &group, &ann).await;
    overtaken(&app, other, &group, change("add", &ann)).await.expect(204);
    assert_eq!(app.members(&group).await, [ann]);
    assert_eq!(version(&app, &group).await, "W/\"2\"", "the other's change only");
    assert_eq!(app.events(&group).await.len(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_addition_to_a_group_that_goes_meanwhile_is_not_found() {
    let app = app().await;
    let ann = app.user("ann").await;
    let group = app.group("crew", &[]).await;
    let gone = "delete from groups where tenant_id = $1 and id = $2::uuid and $3 <> ''";
    let other = meanwhile(&app, gone, &group, &ann).await;
    overtaken(&app, other, &group, change("add", &ann)).await.refused(404, "");
}

#[tokio::test]
async fn users_and_groups_come_and_go_each_with_a_version_and_an_event() {
    let app = app().await;
    let (ann, inner, group) = (app.user("ann").await, app.group("inner", &[]).await, app.group("crew", &[]).await);
    let path = format!("/Groups/{group}");
    let nobody = json!([]);
    let mut expected = 1;
    for id in [&ann, &inner] {
        for (op, added, removed) in [("add", &json!([id]), &nobody), ("remove", &nobody, &json!([id]))] {
            expected += 1;
            // The second time there is nothing to do.
            for _ in 0..2 {
                let answer = app.patch(&path, change(op, id)).await.expect(204);
                assert_eq!(answer.header("etag"), format!("W/\"{expected}\""), "{op} {id}");
            }
            let (kind, outcome, change) = app.events(&group).await.pop().unwrap();
            assert_eq!((kind.as_str(), outcome.as_str()), ("group_update_provision", "success"));
            assert_eq!(change["members"], json!({ "added": added, "removed": removed }));
        }
    }
    assert_eq!(app.events(&group).await.len(), expected);
}

/// Not even a lock, which PostgreSQL notes in the row.
#[tokio::test]
async fn a_member_who_is_one_already_costs_no_write() {
    let app = app().await;
    let (ann, ben) = (app.user("ann").await, app.user("ben").await);
    let group = app.group("crew", &[&ann]).await;
    let mut session = observer().await;
    let mut row = async || -> (String, String) {
        sqlx::query_as("select xmin::text, xmax::text from groups where tenant_id = $1 and id = $2::uuid")
            .bind(app.tenant.id)
            .bind(&group)
            .fetch_one(&mut session)
            .await
            .unwrap()
    };
    let before = row().await;
    app.patch(&format!("/Groups/{group}"), change("add", &ann)).await.expect(204);
    app.patch(&format!("/Groups/{group}"), change("remove", &ben)).await.expect(204);
    assert_eq!(row().await, before);
}

#[tokio::test]
async fn who_is_nobody_is_refused_and_who_is_in_another_tenant_too() {
    let (app, other) = (crate::app::app().await, crate::app::app().await);
    let group = app.group("crew", &[]).await;
    let path = format!("/Groups/{group}");
    for id in [other.user("ann").await, other.group("crew", &[]).await, "01890000-0000-7000-8000-000000000000".into()] {
        let refused = app.patch(&path, change("add", &id)).await.refused(400, "invalidValue");
        assert!(refused.detail().contains(&id), "{}", refused.detail());
    }
    app.patch(&path, change("add", &group)).await.refused(400, "invalidValue");
    other.patch(&path, change("add", &other.user("ben").await)).await.refused(404, "");
    assert_eq!(version(&app, &group).await, "W/\"1\"");
}
