//! Requests at the same moment: the database decides who was first, nobody's change is lost, and no collision is the client's
//! problem.

use std::collections::BTreeSet;
use std::future::Future;

use axum::http::header::IF_MATCH;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::app::{Answer, TestApp, app};
use crate::support::observer;

/// Runs requests at the same time and gives their answers.
async fn at_once<F: Future<Output = Answer> + Send + 'static>(requests: impl IntoIterator<Item = F>) -> Vec<Answer> {
    let mut running = JoinSet::new();
    requests.into_iter().for_each(|request| drop(running.spawn(request)));
    running.join_all().await
}

/// A request that can be sent from a task of its own.
fn send(app: &TestApp, method: &'static str, path: String, body: Option<Value>) -> impl Future<Output = Answer> + Send + 'static {
    let app = app.clone();
    async move { app.request(method, &path, body).await }
}

fn statuses(answers: &[Answer], status: u16) -> usize {
    answers.iter().filter(|answer| answer.status.as_u16() == status).count()
}

#[track_caller]
fn assert_no_fault(answers: &[Answer]) {
    for answer in answers {
        assert!(!answer.status.is_server_error(), "{}: {}", answer.status, answer.text);
    }
}

async fn users(app: &TestApp, count: usize) -> Vec<String> {
    let created =
        at_once((0..count).map(|n| send(app, "POST", "/Users".into(), Some(json!({ "userName": format!("user-{n:03}") }))))).await;
    let mut ids: Vec<String> = created.into_iter().map(|answer| answer.expect(201).id()).collect();
    ids.sort();
    ids
}

fn change_member(op: &str, id: &str) -> Value {
    json!({ "Operations": [{ "op": op, "path": "members", "value": [{ "value": id }] }] })
}

/// CON-001, N37.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_64_identical_creates_one_succeeds_and_63_are_told_so() {
    let app = app().await;
    for round in 0..3 {
        let spellings = [format!("jsnow{round}"), format!("JSNOW{round}"), format!("Ｊsnow{round}"), format!("jsnow{round}")];
        let user = |n: usize| json!({ "userName": spellings[n % 4], "externalId": format!("E-{round}") });
        let group = |n: usize| json!({ "displayName": spellings[n % 4] });
        let users = at_once((0..64).map(|n| send(&app, "POST", "/Users".into(), Some(user(n))))).await;
        let groups = at_once((0..64).map(|n| send(&app, "POST", "/Groups".into(), Some(group(n))))).await;
        for (answers, path, attribute) in [(users, "/Users", "userName"), (groups, "/Groups", "displayName")] {
            assert_eq!((statuses(&answers, 201), statuses(&answers, 409)), (1, 63), "{path}");
            let mut made = String::new();
            for answer in answers {
                match answer.status.as_u16() {
                    201 => made = answer.id(),
                    _ => assert!(answer.refused(409, "uniqueness").detail().contains(attribute)),
                }
            }
            let found = app.get(&format!("{path}?filter={attribute} eq \"jsnow{round}\"")).await.expect(200);
            assert_eq!(found.ids(), [made.as_str()]);
            let created: i64 =
                sqlx::query_scalar("select count(*) from events where tenant_id = $1 and resource_id = $2::uuid and outcome = 'success'")
                    .bind(app.tenant.id)
                    .bind(&made)
                    .fetch_one(&mut observer().await)
                    .await
                    .unwrap();
            assert_eq!(created, 1);
        }
    }
}

/// CON-002: a create and a rename to the same name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn creates_and_renames_to_one_name_leave_one_owner() {
    let app = app().await;
    let ids = users(&app, 20).await;
    let rename = json!({ "Operations": [{ "op": "replace", "path": "userName", "value": "Wanted" }] });
    let renames = ids.iter().map(|id| send(&app, "PATCH", format!("/Users/{id}"), Some(rename.clone())));
    let creates = (0..20).map(|_| send(&app, "POST", "/Users".into(), Some(json!({ "userName": "wanted" }))));
    let mut running = JoinSet::new();
    renames.for_each(|request| drop(running.spawn(request)));
    creates.for_each(|request| drop(running.spawn(request)));
    let answers = running.join_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.status.is_success()).count(), 1);
    assert_eq!(statuses(&answers, 409), 39);
    assert_eq!(app.get("/Users?filter=userName eq \"wanted\"").await.expect(200).body["totalResults"], 1);
}

/// CON-003.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_adds_and_removes_of_members_lose_none() {
    let app = app().await;
    let ids = users(&app, 100).await;
    let group = app.group("Sales", &[]).await;
    let path = format!("/Groups/{group}");
    let added = at_once(ids.iter().map(|id| send(&app, "PATCH", path.clone(), Some(change_member("add", id))))).await;
    assert_eq!(statuses(&added, 204), 100);
    assert_eq!(app.members(&group).await, ids);

    let (stay, go) = ids.split_at(50);
    let refill = at_once(go.iter().map(|id| {
        let by_filter = json!({ "Operations": [{ "op": "remove", "path": format!("members[value eq \"{id}\"]") }] });
        send(&app, "PATCH", path.clone(), Some(by_filter))
    }))
    .await;
    assert_eq!(statuses(&refill, 204), 50);
    assert_eq!(app.members(&group).await, stay);

    // Both at once, on sets that have nobody in common.
    let both = stay.iter().map(|id| ("remove", id)).chain(go.iter().map(|id| ("add", id)));
    let mixed = at_once(both.map(|(op, id)| send(&app, "PATCH", path.clone(), Some(change_member(op, id))))).await;
    assert_eq!(statuses(&mixed, 204), 100);
    assert_eq!(app.members(&group).await, go);
    // Each change of the group is one version: 1, then 100, 50 and 100 changes.
    assert_eq!(app.get(&path).await.body["meta"]["version"], "W/\"251\"");
}

/// CON-004: what makes deadlocks elsewhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_in_opposite_orders_in_crossing_groups_are_no_fault() {
    let app = app().await;
    let ids = users(&app, 60).await;
    let groups = [app.group("A", &[]).await, app.group("B", &[]).await, app.group("C", &[]).await];
    let list = |ids: &mut dyn Iterator<Item = &String>| ids.map(|id| json!({ "value": id })).collect::<Vec<_>>();
    for _ in 0..5 {
        let (up, down) = (list(&mut ids.iter()), list(&mut ids.iter().rev()));
        let mut requests = Vec::new();
        for (index, group) in groups.iter().chain(groups.iter().rev()).enumerate() {
            let members = if index % 2 == 0 { &up } else { &down };
            let children: Vec<Value> = groups.iter().filter(|other| *other != group).map(|id| json!({ "value": id })).collect();
            for operations in [
                json!([{ "op": "add", "path": "members", "value": members }]),
                json!([{ "op": "add", "path": "members", "value": children }]),
                json!([{ "op": "remove", "path": "members" }, { "op": "add", "path": "members", "value": members }]),
                json!([{ "op": "replace", "path": "members", "value": members }]),
            ] {
                requests.push(send(&app, "PATCH", format!("/Groups/{group}"), Some(json!({ "Operations": operations }))));
            }
        }
        let answers = at_once(requests).await;
        assert_no_fault(&answers);
        assert_eq!(statuses(&answers, 204), answers.len());
    }
}

/// Two writers of one user: the outcome is one of both orders, never a mixture.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patch_and_a_put_of_one_user_happen_one_after_the_other() {
    let app = app().await;
    for round in 0..30 {
        let id = app.user(&format!("jsnow{round}")).await;
        let path = format!("/Users/{id}");
        let put = json!({ "userName": format!("jsnow{round}"), "title": "put", "nickName": "put", "locale": "put" });
        let patch = json!({ "Operations": [{ "op": "replace", "value": { "title": "patch", "nickName": "patch" } }, { "op": "replace", "path": "timezone", "value": "patch" }] });
        let answers = at_once([send(&app, "PUT", path.clone(), Some(put)), send(&app, "PATCH", path.clone(), Some(patch))]).await;
        assert_eq!(statuses(&answers, 200), 2);
        let read = app.get(&path).await.expect(200);
        let seen = ["title", "nickName", "locale", "timezone"].map(|name| read.body[name].as_str().unwrap_or("-").to_owned());
        let orders = [["put", "put", "put", "-"], ["patch", "patch", "put", "patch"]];
        assert!(orders.iter().any(|order| seen.iter().eq(order)), "{seen:?}");
        assert_eq!(read.body["meta"]["version"], "W/\"3\"");
        // What was answered last is what is there, and the employee is the one of the document.
        assert!(answers.iter().any(|answer| answer.body["meta"]["version"] == "W/\"3\"" && answer.body["title"] == read.body["title"]));
        assert_eq!(app.employee(&id).await["title"], read.body["title"]);
    }
}

/// CON-007, N84.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_puts_that_name_the_same_version_exactly_one_succeeds() {
    let app = app().await;
    for round in 0..20 {
        let id = app.user(&format!("jsnow{round}")).await;
        let path = format!("/Users/{id}");
        let version = app.get(&path).await.header("etag").to_owned();
        let requests = (0..4).map(|writer| {
            let (app, path, version) = (app.clone(), path.clone(), version.clone());
            let body =
                json!({ "userName": format!("jsnow{round}"), "title": format!("writer {writer}"), "nickName": format!("writer {writer}") });
            async move { app.send(app.builder("PUT", &path).header(IF_MATCH, version), body.to_string()).await }
        });
        let answers = at_once(requests).await;
        assert_eq!((statuses(&answers, 200), statuses(&answers, 412)), (1, 3));
        let winner = answers.iter().find(|answer| answer.status.as_u16() == 200).unwrap();
        let read = app.get(&path).await.expect(200);
        assert_eq!((&read.body["title"], &read.body["nickName"]), (&winner.body["title"], &winner.body["title"]));
    }
}

/// IDP-004: deleting users while they are added to groups. Whoever is deleted is in no group.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleting_users_while_they_are_added_to_groups_leaves_no_trace_of_them() {
    let app = app().await;
    let ids = users(&app, 60).await;
    let groups = [app.group("A", &[]).await, app.group("B", &[&ids[0]]).await];
    let all: Vec<Value> = ids.iter().map(|id| json!({ "value": id })).collect();
    let mut requests = Vec::new();
    for (index, id) in ids.iter().enumerate() {
        for group in &groups {
            requests.push(send(&app, "PATCH", format!("/Groups/{group}"), Some(change_member("add", id))));
        }
        if index % 2 == 0 {
            requests.push(send(&app, "DELETE", format!("/Users/{id}"), None));
        }
        if index % 10 == 0 {
            let replace = json!({ "Operations": [{ "op": "replace", "path": "members", "value": all }] });
            requests.push(send(&app, "PATCH", format!("/Groups/{}", groups[0]), Some(replace)));
        }
    }
    let answers = at_once(requests).await;
    assert_no_fault(&answers);
    for answer in &answers {
        // A member who is deleted already is unknown: 400. Nothing else may be refused.
        assert!(matches!(answer.status.as_u16(), 204 | 400), "{}", answer.text);
    }
    let left: BTreeSet<&String> = ids.iter().skip(1).step_by(2).collect();
    for group in &groups {
        let members = app.members(group).await;
        assert!(members.iter().all(|id| left.contains(id)), "a deleted user is a member");
    }
    let orphans: i64 = sqlx::query_scalar(
        "select count(*) from members m where m.tenant_id = $1 and not exists (select from users u where u.tenant_id = $1 and u.id = m.user_id)",
    )
    .bind(app.tenant.id)
    .fetch_one(&mut observer().await)
    .await
    .unwrap();
    assert_eq!(orphans, 0);
}

/// The same with groups in groups, which are deleted from both ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleting_groups_while_they_are_nested_is_no_fault() {
    let app = app().await;
    let mut groups = Vec::new();
    for n in 0..12 {
        groups.push(app.group(&format!("G{n}"), &[]).await);
    }
    let mut requests = Vec::new();
    for (index, group) in groups.iter().enumerate() {
        for other in groups.iter().filter(|other| *other != group) {
            requests.push(send(&app, "PATCH", format!("/Groups/{group}"), Some(change_member("add", other))));
        }
        if index % 2 == 0 {
            requests.push(send(&app, "DELETE", format!("/Groups/{group}"), None));
        }
    }
    let answers = at_once(requests).await;
    assert_no_fault(&answers);
    for group in groups.iter().skip(1).step_by(2) {
        let members = app.members(group).await;
        assert!(members.iter().all(|id| groups.iter().skip(1).step_by(2).any(|left| left == id)), "a deleted group is a member");
    }
}

/// The deletion has looked for the user's groups and waits for the user when another transaction makes them a member.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_a_user_came_into_while_being_deleted_has_another_version() {
    let app = app().await;
    let user = app.user("ann").await;
    let group = app.group("crew", &[]).await;
    let before = app.get(&format!("/Groups/{group}")).await.expect(200).header("etag").to_owned();
    let mut other = observer().await;
    sqlx::raw_sql("begin").execute(&mut other).await.unwrap();
    sqlx::query("insert into members (tenant_id, group_id, user_id) values ($1, $2::text::uuid, $3::text::uuid)")
        .bind(app.tenant.id)
        .bind(&group)
        .bind(&user)
        .execute(&mut other)
        .await
        .unwrap();
    let deletion = tokio::spawn(send(&app, "DELETE", format!("/Users/{user}"), None));
    let waits = "select exists (select from pg_stat_activity where pg_backend_pid() = any (pg_blocking_pids(pid)))";
    while !sqlx::query_scalar::<_, bool>(waits).fetch_one(&mut other).await.unwrap() {
        tokio::task::yield_now().await;
    }
    sqlx::raw_sql("commit").execute(&mut other).await.unwrap();
    deletion.await.unwrap().expect(204);
    let after = app.get(&format!("/Groups/{group}")).await.expect(200);
    assert_ne!(after.header("etag"), before, "the group lost a member");
    let (_, _, change) = app.events(&user).await.pop().unwrap();
    assert_eq!(change["groups"], json!([group]));
}
