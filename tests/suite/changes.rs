//! The feed of changes (issue 5, item 6): nothing missing, nothing out of order, resumable, whatever writers do at once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use frontdesk::config::Config;
use frontdesk::http::{self, API_BASE, App};
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};

use crate::app::{Answer, TestApp, app};
use crate::support::observer;

async fn feed(app: &TestApp, query: &str) -> Answer {
    app.under(API_BASE).get(&format!("/changes?{query}")).await
}

/// Kinds with the fields, in order, until the feed is empty.
async fn kinds(app: &TestApp, after: &str) -> Vec<(String, Value)> {
    let changes = feed(app, &format!("after={after}")).await.expect(200).list("changes");
    changes.iter().map(|change| (format!("{} {}", change["resource"], change["kind"]).replace('"', ""), change["fields"].clone())).collect()
}

fn set_active(active: bool) -> Value {
    json!({ "Operations": [{ "op": "replace", "path": "active", "value": active }] })
}

async fn latest(app: &TestApp) -> String {
    feed(app, "after=latest").await.expect(200).body["next"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn each_change_has_its_kind_and_names_what_changed() {
    let app = app().await;
    let user = app.user("jsnow").await;
    let path = format!("/Users/{user}");
    let rename = json!({ "Operations": [{ "op": "replace", "path": "externalId", "value": "E-1" }, { "op": "add", "path": "title", "value": "King" }] });
    app.patch(&path, rename).await.expect(200);
    app.patch(&path, set_active(false)).await.expect(200);
    app.patch(&path, set_active(true)).await.expect(200);
    let group = app.group("Watch", &[&user]).await;
    app.patch(&format!("/Groups/{group}"), json!({ "Operations": [{ "op": "remove", "path": "members" }] })).await.expect(204);
    app.delete(&format!("/Groups/{group}")).await.expect(204);
    app.delete(&path).await.expect(204);
    assert_eq!(
        kinds(&app, "").await,
        [
            ("employee created".to_owned(), json!([])),
            ("employee updated".to_owned(), json!(["external_id", "title"])),
            ("employee deactivated".to_owned(), json!(["active"])),
            ("employee reactivated".to_owned(), json!(["active"])),
            ("group created".to_owned(), json!([])),
            ("group updated".to_owned(), json!(["members"])),
            ("group deleted".to_owned(), json!([])),
            ("employee deleted".to_owned(), json!([])),
        ]
    );
    let members = &feed(&app, "").await.list("changes")[5]["members"];
    assert_eq!(*members, json!({ "added": [], "removed": [user] }));
}

#[tokio::test]
async fn requests_that_change_nothing_or_are_refused_are_no_changes() {
    let app = app().await;
    let user = app.user("jsnow").await;
    let start = latest(&app).await;
    app.patch(&format!("/Users/{user}"), set_active(true)).await.expect(200);
    app.post("/Users", json!({ "userName": "jsnow" })).await.refused(409, "uniqueness");
    app.get("/Users?filter=nonsense").await.refused(400, "invalidFilter");
    assert!(kinds(&app, &start).await.is_empty());
}

#[tokio::test]
async fn a_recomputation_is_a_change_of_every_employee_that_differs() {
    let app = app().await;
    let enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
    let body = json!({ "schemas": [enterprise], "userName": "jsnow", enterprise: { "division": "North" } });
    let user = app.post("/Users", body).await.expect(201).id();
    app.user("other").await;
    let start = latest(&app).await;
    sqlx::query("update users set title = 'from an older mapping' where tenant_id = $1 and id = $2::uuid")
        .bind(app.tenant.id)
        .bind(&user)
        .execute(&mut observer().await)
        .await
        .unwrap();
    app.directory.reproject(&app.tenant, false).await.unwrap();
    assert_eq!(kinds(&app, &start).await, [("employee updated".to_owned(), json!(["title"]))]);
}

#[tokio::test]
async fn any_cursor_resumes_exactly_behind_it() {
    let app = app().await;
    for n in 0..7 {
        app.user(&format!("user-{n}")).await;
    }
    let all = feed(&app, "").await.expect(200).list("changes");
    assert_eq!(all.len(), 7);
    for (index, change) in all.iter().enumerate() {
        let rest = feed(&app, &format!("after={}", change["cursor"].as_str().unwrap())).await.expect(200);
        assert_eq!(rest.list("changes"), all[index + 1..]);
    }
    let (mut walked, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = feed(&app, &format!("after={cursor}&count=3")).await.expect(200);
        walked.extend(page.list("changes"));
        cursor = page.body["next"].as_str().unwrap().to_owned();
        if page.body["more"] == false {
            break;
        }
    }
    assert_eq!(walked, all);
    assert_eq!(feed(&app, &format!("after={cursor}")).await.body, json!({ "changes": [], "next": cursor, "more": false }));
}

/// Writes the event of a change of a user, as a transaction of the directory does.
async fn record(connection: &mut PgConnection, app: &TestApp, user: &str, kind: &str) {
    sqlx::query("insert into events (tenant_id, kind, resource_type, resource_id, outcome) values ($1, $2, 'User', $3::uuid, 'success')")
        .bind(app.tenant.id)
        .bind(kind)
        .bind(user)
        .execute(connection)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_change_that_commits_late_is_not_skipped() {
    let app = app().await;
    let user = app.user("late").await;
    let start = latest(&app).await;
    let mut late = observer().await;
    let mut transaction = late.begin().await.unwrap();
    record(&mut transaction, &app, &user, "user_update_provision").await;
    app.user("early").await;
    let first = feed(&app, &format!("after={start}")).await.expect(200);
    assert_eq!(first.list("changes").len(), 1);
    assert_eq!(first.list("changes")[0]["kind"], "created");
    transaction.commit().await.unwrap();
    let second = feed(&app, &format!("after={}", first.body["next"].as_str().unwrap())).await.expect(200);
    assert_eq!(second.list("changes")[0]["resource_id"], *user);
    assert_eq!(second.list("changes").len(), 1);
}

/// A deletion locks the groups first, which gives its transaction a number, and then waits for whoever changes the user.
#[tokio::test]
async fn changes_of_one_resource_keep_their_order_whichever_transaction_began_first() {
    let app = app().await;
    let user = app.user("jsnow").await;
    let start = latest(&app).await;
    let mut session = observer().await;
    let mut waiting = session.begin().await.unwrap();
    sqlx::query("select pg_current_xact_id()").execute(&mut *waiting).await.unwrap();
    record(&mut observer().await, &app, &user, "user_deprovision").await;
    record(&mut waiting, &app, &user, "user_delete_provision").await;
    waiting.commit().await.unwrap();
    let kinds: Vec<_> = kinds(&app, &start).await.into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, ["employee deactivated", "employee deleted"]);
}

/// What a consumer knows, from the feed alone.
#[derive(Default)]
struct Mirror {
    /// Whether each employee is active.
    employees: BTreeMap<String, bool>,
    groups: BTreeMap<String, BTreeSet<String>>,
    gone: BTreeSet<String>,
    cursor: String,
}

impl Mirror {
    /// Applies a change, which must follow from what is known.
    fn apply(&mut self, change: &Value) {
        let id = change["resource_id"].as_str().unwrap().to_owned();
        assert!(!self.gone.contains(&id), "a deleted resource changed: {change}");
        let ids =
            |value: &Value| -> Vec<String> { value.as_array().into_iter().flatten().map(|id| id.as_str().unwrap().to_owned()).collect() };
        match (change["resource"].as_str().unwrap(), change["kind"].as_str().unwrap()) {
            ("employee", "created") => assert_eq!(self.employees.insert(id, true), None, "{change}"),
            ("employee", "updated") => assert!(self.employees.contains_key(&id), "{change}"),
            ("employee", "deactivated") => assert_eq!(self.employees.insert(id, false), Some(true), "{change}"),
            ("employee", "reactivated") => assert_eq!(self.employees.insert(id, true), Some(false), "{change}"),
            ("employee", "deleted") => {
                assert!(self.employees.remove(&id).is_some(), "{change}");
                for group in ids(&change["groups"]) {
                    self.groups.get_mut(&group).unwrap().remove(&id);
                }
                self.gone.insert(id);
            }
            ("group", "created") => assert!(self.groups.insert(id, BTreeSet::new()).is_none(), "{change}"),
            ("group", "updated") => {
                let members = self.groups.get_mut(&id).expect("a group changes after it was created");
                members.extend(ids(&change["members"]["added"]));
                for id in ids(&change["members"]["removed"]) {
                    members.remove(&id);
                }
            }
            other => panic!("{other:?}"),
        }
    }

    async fn read(&mut self, app: &TestApp) -> usize {
        let page = feed(app, &format!("after={}&count=20", self.cursor)).await.expect(200);
        let changes = page.list("changes");
        changes.iter().for_each(|change| self.apply(change));
        self.cursor = page.body["next"].as_str().unwrap().to_owned();
        changes.len()
    }
}

/// One writer: users that come, change, join a group and go.
async fn write(app: TestApp, writer: usize, group: String) {
    for n in 0..6 {
        let user = app.user(&format!("user-{writer}-{n}")).await;
        let path = format!("/Users/{user}");
        let member = json!({ "Operations": [{ "op": "add", "path": "members", "value": [{ "value": user }] }] });
        let group = format!("/Groups/{group}");
        let (joined, left) = tokio::join!(app.patch(&group, member), app.patch(&path, set_active(false)));
        joined.expect(204);
        left.expect(200);
        match n % 3 {
            0 => drop(app.delete(&path).await.expect(204)),
            1 => {
                // Whoever wins: an update before the deletion, or one that finds nobody.
                let (deleted, _) = tokio::join!(app.delete(&path), app.patch(&path, set_active(true)));
                deleted.expect(204);
            }
            _ => drop(app.patch(&path, set_active(true)).await.expect(200)),
        }
    }
}

/// Transactions that take their number early and commit late.
async fn linger(app: TestApp, user: String) {
    let mut session = observer().await;
    for n in 0..15 {
        let mut transaction = session.begin().await.unwrap();
        sqlx::query(
            "with pause as materialized (select pg_sleep($3)), recorded as (
                 insert into events (tenant_id, kind, resource_type, resource_id, outcome)
                 values ($1, 'user_update_provision', 'User', $2::uuid, 'success')
             )
             select from pause",
        )
        .bind(app.tenant.id)
        .bind(&user)
        .bind(f64::from(n % 4) * 0.03)
        .execute(&mut *transaction)
        .await
        .unwrap();
        transaction.commit().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_fed_by_the_changes_alone_ends_as_the_directory_does() {
    let app = app().await;
    let lingering = app.user("lingering").await;
    let mut groups = Vec::new();
    for n in 0..3 {
        groups.push(app.group(&format!("group-{n}"), &[]).await);
    }
    let mut writers: Vec<_> = (0..24).map(|writer| tokio::spawn(write(app.clone(), writer, groups[writer % 3].clone()))).collect();
    writers.extend((0..6).map(|_| tokio::spawn(linger(app.clone(), lingering.clone()))));
    let mut mirrors = [Mirror::default(), Mirror::default()];
    while writers.iter().any(|writer| !writer.is_finished()) {
        let [one, other] = &mut mirrors;
        tokio::join!(one.read(&app), other.read(&app));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    for mirror in &mut mirrors {
        while mirror.read(&app).await > 0 {}
        let mut employees = BTreeMap::new();
        let listed = app.under(API_BASE).get("/employees?count=1000").await.expect(200);
        for employee in listed.list("employees") {
            employees.insert(employee["id"].as_str().unwrap().to_owned(), employee["active"] == true);
        }
        assert_eq!(mirror.employees, employees);
        for (group, members) in &mirror.groups {
            assert_eq!(members.iter().cloned().collect::<Vec<_>>(), app.members(group).await);
        }
    }
    let events: i64 = sqlx::query_scalar(
        "select count(*) from events where tenant_id = $1 and outcome = 'success' and resource_type in ('User', 'Group')",
    )
    .bind(app.tenant.id)
    .fetch_one(&mut observer().await)
    .await
    .unwrap();
    let last: i64 = mirrors[0].cursor[1..].parse().unwrap();
    assert_eq!(last, events, "every event has a place, and no place is empty");
}

#[tokio::test]
async fn whoever_waits_is_told_of_the_next_change() {
    let app = app().await;
    let start = latest(&app).await;
    let waiting = tokio::spawn({
        let (app, start) = (app.clone(), start.clone());
        async move { feed(&app, &format!("after={start}&wait=20")).await }
    });
    let user = app.user("jsnow").await;
    let told = waiting.await.unwrap().expect(200);
    assert_eq!(told.list("changes")[0]["resource_id"], *user);
    let since = Instant::now();
    let cursor = told.body["next"].as_str().unwrap();
    let nothing = feed(&app, &format!("after={cursor}&wait=1")).await.expect(200);
    assert!(since.elapsed() >= Duration::from_secs(1), "without a change the wait lasts");
    assert_eq!(nothing.body, json!({ "changes": [], "next": cursor, "more": false }));
}

#[tokio::test]
async fn a_server_that_leaves_lets_nobody_wait() {
    let app = app().await;
    let server = App::new(app.directory.clone(), &Config::load(&BTreeMap::new(), None).unwrap(), "https://scim.test".into());
    let app = TestApp { service: http::Service::new(server.clone()), ..app };
    let start = latest(&app).await;
    let since = Instant::now();
    let waiting = tokio::spawn({
        let app = app.clone();
        async move { feed(&app, &format!("after={start}&wait=20")).await }
    });
    tokio::task::yield_now().await;
    server.leave();
    assert!(waiting.await.unwrap().expect(200).list("changes").is_empty());
    assert!(since.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_cursor_from_before_the_retention_is_gone() {
    let app = app().await;
    for n in 0..4 {
        app.user(&format!("user-{n}")).await;
    }
    let all = feed(&app, "").await.expect(200).list("changes");
    let cursor = |index: usize| all[index]["cursor"].as_str().unwrap().to_owned();
    let old: Vec<i64> = all[..2].iter().map(|change| change["id"].as_i64().unwrap()).collect();
    sqlx::query("update events set at = at - interval '91 days' where tenant_id = $1 and id = any ($2)")
        .bind(app.tenant.id)
        .bind(old)
        .execute(&mut observer().await)
        .await
        .unwrap();
    assert!(app.directory.prune_events(Duration::from_secs(90 * 24 * 3600)).await.unwrap() >= 2);
    let gone = feed(&app, &format!("after={}", cursor(0))).await.refused(410, "expiredCursor");
    assert!(gone.detail().contains("after=latest"), "{}", gone.detail());
    assert_eq!(feed(&app, &format!("after={}", cursor(1))).await.expect(200).list("changes"), all[2..]);
    assert_eq!(feed(&app, "").await.expect(200).list("changes"), all[2..], "without a cursor: from the oldest kept");
    feed(&app, "after=p999").await.refused(410, "expiredCursor");
    feed(&app, "after=nonsense").await.refused(400, "invalidCursor");
    feed(&app, "wait=long").await.refused(400, "invalidValue");
}

#[tokio::test]
async fn the_feed_of_one_tenant_says_nothing_of_another() {
    let (ours, theirs) = (app().await, app().await);
    theirs.user("jsnow").await;
    assert!(feed(&ours, "").await.expect(200).list("changes").is_empty());
    assert_eq!(feed(&theirs, "").await.expect(200).list("changes").len(), 1);
}
