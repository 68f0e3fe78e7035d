//! A mapping applied to many employees: beside provisioning, beside another one, and after the process that did it was killed.
//!
//! `FRONTDESK_TEST_EMPLOYEES=50000` runs these with as many.

use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use frontdesk::directory::{Applied, MappingState, Progress};
use frontdesk::workplace::Mapping;
use serde_json::json;
use sqlx::{Connection as _, PgConnection};
use tokio::process::Command;

use crate::app::{TestApp, app};
use crate::mapping::title_from;
use crate::support;

fn employees() -> i32 {
    std::env::var("FRONTDESK_TEST_EMPLOYEES").map_or(5000, |count| count.parse().expect("a number of employees"))
}

impl TestApp {
    /// Users with a title and a nickname, in one statement, and their employees.
    async fn crowd(&self, count: i32) {
        sqlx::query(
            "insert into users (tenant_id, id, document, folded, user_name, user_name_key, display_name, active, title, missing,
                 created_at, updated_at)
             select $1, gen_random_uuid(), json_build_object('schemas', json_build_array('urn:ietf:params:scim:schemas:core:2.0:User'),
                     'userName', 'p' || n, 'nickName', 'Nick ' || n, 'title', 'Title ' || n),
                 jsonb_build_object('username', 'p' || n, 'nickname', 'nick ' || n, 'title', 'title ' || n),
                 'p' || n, 'p' || n, 'p' || n, true, 'Title ' || n, '{name,email,location,department_name}', now(), now()
             from generate_series(1, $2) as n",
        )
        .bind(self.tenant.id)
        .bind(count)
        .execute(&mut support::observer().await)
        .await
        .unwrap();
        let done = self.directory.reproject(&self.tenant, true).await.unwrap();
        assert_eq!((done.total, done.changed), (u64::from(count.unsigned_abs()), 0), "the crowd is what the shipped profile makes of it");
    }

    /// How many employees each version has computed.
    async fn versions(&self) -> Vec<(i64, i64)> {
        sqlx::query_as("select mapping_version, count(*) from users where tenant_id = $1 group by 1 order by 1")
            .bind(self.tenant.id)
            .fetch_all(&mut support::observer().await)
            .await
            .unwrap()
    }

    /// Locks an employee in the middle of the crowd, so that whoever computes gets there and no further.
    async fn hold_the_middle(&self, count: i32) -> PgConnection {
        let mut holder = support::observer().await;
        sqlx::raw_sql("begin").execute(&mut holder).await.unwrap();
        sqlx::query(
            "select from users where tenant_id = $1 and seq = (select seq from users where tenant_id = $1 order by seq offset $2 limit 1)
             for update",
        )
        .bind(self.tenant.id)
        .bind(i64::from(count / 2))
        .execute(&mut holder)
        .await
        .unwrap();
        holder
    }

    /// Waits until the application has noted a place that this holds of.
    async fn until_noted(&self, holds: impl Fn(i64) -> bool) {
        let mut observer = support::observer().await;
        loop {
            let noted: Option<i64> = sqlx::query_scalar("select max(done_seq) from mappings where tenant_id = $1 and state = 'applying'")
                .bind(self.tenant.id)
                .fetch_one(&mut observer)
                .await
                .unwrap();
            if noted.is_some_and(&holds) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn record(&self, text: &str) {
        self.directory.record_mapping(&self.tenant, "test.toml", text, "test").await.unwrap();
    }

    /// Every employee is of this version and is what the mapping makes of the user.
    async fn assert_applied(&self, version: i64, text: &str) {
        let versions = self.versions().await;
        assert_eq!(versions.iter().map(|(version, _)| *version).collect::<Vec<_>>(), [version], "{versions:?}");
        let mapping = Mapping::parse("test.toml", text).unwrap();
        let diff = self.directory.preview_mapping(&self.tenant, &mapping, |_| ()).await.unwrap();
        assert_eq!((diff.changed, diff.fields), (0, vec![]));
        let newest = &self.directory.mapping_history(self.tenant.id).await.unwrap()[0];
        assert_eq!((newest.version, newest.state), (version, MappingState::Applied));
    }

    /// `frontdesk` on the tests' database.
    async fn frontdesk(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_frontdesk"));
        command.args(arguments).env_clear().envs(support::environment().await).env("USER", "anna");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    async fn run(&self, arguments: &[&str]) -> (bool, String, String) {
        let Output { status, stdout, stderr } = self.frontdesk(arguments).await.output().await.unwrap();
        (status.success(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_was_dropped_in_the_middle_is_taken_up_where_it_stopped() {
    let (app, count) = (app().await, employees());
    app.crowd(count).await;
    let text = title_from("nickName");
    app.record(&text).await;
    let holder = app.hold_the_middle(count).await;
    tokio::select! {
        _ = app.finish() => panic!("it cannot pass the middle"),
        () = app.until_noted(|place| place > 0) => {}
    }
    drop(holder);
    let (done, left) = match app.versions().await[..] {
        [(0, left), (1, done)] => (done, left),
        ref other => panic!("some are done and some are left, but here is {other:?}"),
    };
    assert_eq!(done + left, i64::from(count));
    assert!(app.directory.tenants_to_recompute().await.unwrap().contains(&app.tenant.id));
    assert!(app.directory.mapping_history(app.tenant.id).await.unwrap()[0].state == MappingState::Applying);
    let other = app.other_server().await;
    let mut first = None;
    let applied = other.directory.apply_mapping(app.tenant.id, |progress| first = first.or(Some(progress))).await.unwrap();
    assert_eq!(applied, Applied::Done(1));
    let Progress { done: begun_at, total } = first.unwrap();
    assert!(begun_at >= done.unsigned_abs() && total == u64::from(count.unsigned_abs()), "{begun_at} {done} {total}");
    app.assert_applied(1, &text).await;
    assert_eq!(app.directory.mapping_history(app.tenant.id).await.unwrap()[0].changed, i64::from(count));
    assert!(!app.directory.tenants_to_recompute().await.unwrap().contains(&app.tenant.id));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_killed_in_the_middle_is_resumed() {
    let (app, count) = (app().await, employees());
    app.crowd(count).await;
    let text = title_from("nickName");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("acme.toml");
    std::fs::write(&file, &text).unwrap();
    let (slug, file) = (app.tenant.slug.as_str(), file.to_str().unwrap());
    let holder = app.hold_the_middle(count).await;
    let mut command = app.frontdesk(&["mapping", "apply", "--tenant", slug, file]).await.spawn().unwrap();
    app.until_noted(|place| place > 0).await;
    // SIGKILL.
    command.kill().await.unwrap();
    holder.close().await.unwrap();
    assert_eq!(app.versions().await.len(), 2, "some are done and some are left");
    let (success, stdout, stderr) = app.run(&["mapping", "apply", "--tenant", slug, "--resume"]).await;
    assert!(success, "{stderr}");
    assert_eq!(stdout, format!("Every employee of tenant {slug} is computed with version 1 of its mapping.\n"));
    assert!(stderr.ends_with(&format!("{count} of {count} employees\n")), "{stderr}");
    app.assert_applied(1, &text).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn provisioning_goes_on_during_an_application_and_loses_nothing() {
    let (app, count) = (app().await, employees());
    app.crowd(count).await;
    let ids: Vec<String> = sqlx::query_scalar("select id::text from users where tenant_id = $1 order by seq")
        .bind(app.tenant.id)
        .fetch_all(&mut support::observer().await)
        .await
        .unwrap();
    let over = std::sync::Arc::new(AtomicBool::new(false));
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..4 {
        let (app, over, ids) = (app.other_server().await, std::sync::Arc::clone(&over), ids.clone());
        writers.spawn(async move {
            let mut written = Vec::new();
            while !over.load(Ordering::Relaxed) || written.len() < 4 {
                let round = written.len();
                let (title, nick) = (format!("T{writer}.{round}"), format!("N{writer}.{round}"));
                let id = if round % 2 == 0 {
                    app.person(&format!("new{writer}.{round}"), json!({ "title": title, "nickName": nick })).await
                } else {
                    let id = ids[(round * 97 * 4 + writer) % ids.len()].clone();
                    let value = json!({ "title": title, "nickName": nick });
                    let patch = json!({ "Operations": [{ "op": "replace", "value": value }] });
                    app.patch(&format!("/Users/{id}"), patch).await.expect(200);
                    id
                };
                written.push((id, title, nick));
            }
            written
        });
    }
    // Three versions, one after the other, the second one before the first is applied everywhere.
    app.record(&title_from("nickName")).await;
    tokio::select! {
        _ = app.finish() => {}
        () = app.until_noted(|place| place > 0) => {}
    }
    app.record(&title_from("userName")).await;
    assert_eq!(app.finish().await, Applied::Done(2));
    let text = title_from("nickName");
    app.record(&text).await;
    assert_eq!(app.finish().await, Applied::Done(3));
    over.store(true, Ordering::Relaxed);
    let mut last = std::collections::HashMap::new();
    for written in writers.join_all().await {
        last.extend(written.into_iter().map(|(id, title, nick)| (id, (title, nick))));
    }
    app.assert_applied(3, &text).await;
    let rows: Vec<(String, String, String)> = sqlx::query_as(
        "select id::text, document->>'title', title from users where tenant_id = $1 and document->>'title' not like 'Title %'",
    )
    .bind(app.tenant.id)
    .fetch_all(&mut support::observer().await)
    .await
    .unwrap();
    let found: std::collections::HashMap<_, _> = rows.into_iter().map(|(id, title, employee)| (id, (title, employee))).collect();
    assert_eq!(found.len(), last.len());
    assert_eq!(found, last, "each user is as its last writer left it, and so is the employee");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_whose_insert_is_still_uncommitted_when_the_mapping_changes_is_not_left_behind() {
    let app = app().await;
    app.crowd(3).await;
    let text = title_from("nickName");
    let mut late = support::observer().await;
    sqlx::raw_sql("begin").execute(&mut late).await.unwrap();
    sqlx::query(
        "with mapped as (
             select id from tenants where id = $1 and mapping_version = 0 for key share
         )
         insert into users (tenant_id, id, document, folded, user_name, user_name_key, display_name, active, title, created_at, updated_at)
         select id, gen_random_uuid(), '{\"userName\":\"late\",\"nickName\":\"Nick\",\"title\":\"Title\"}', '{}', 'late', 'late', 'late',
             true, 'Title', now(), now()
         from mapped",
    )
    .bind(app.tenant.id)
    .execute(&mut late)
    .await
    .unwrap();
    app.record(&text).await;
    let applying = tokio::spawn({
        let app = app.clone();
        async move { app.finish().await }
    });
    // The three that can be seen are done.
    let mut observer = support::observer().await;
    while sqlx::query_scalar::<_, i64>("select count(*) from users where tenant_id = $1 and mapping_version = 1")
        .bind(app.tenant.id)
        .fetch_one(&mut observer)
        .await
        .unwrap()
        < 3
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(!applying.is_finished());
    sqlx::raw_sql("commit").execute(&mut late).await.unwrap();
    assert_eq!(applying.await.unwrap(), Applied::Done(1));
    app.assert_applied(1, &text).await;
    assert_eq!(app.versions().await, [(1, 4)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_mappings_applied_at_once_one_is_the_last_for_everybody() {
    let (app, count) = (app().await, employees().min(5000));
    app.crowd(count).await;
    let texts = [title_from("nickName"), title_from("userName")];
    let mut appliers = tokio::task::JoinSet::new();
    for text in texts.clone() {
        let app = app.other_server().await;
        appliers.spawn(async move {
            app.record(&text).await;
            app.finish().await
        });
    }
    let outcomes = appliers.join_all().await;
    assert!(outcomes.contains(&Applied::Done(2)), "{outcomes:?}");
    assert_eq!(app.finish().await, Applied::Done(2));
    let (_, text) = app.directory.mapping_text(&app.tenant, None).await.unwrap();
    assert!(texts.contains(&text));
    app.assert_applied(2, &text).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_that_apply_the_same_mapping_share_the_work() {
    let (app, count) = (app().await, employees().min(5000));
    app.crowd(count).await;
    let text = title_from("nickName");
    app.record(&text).await;
    let other = app.other_server().await;
    assert_eq!(tokio::join!(app.finish(), other.finish()), (Applied::Done(1), Applied::Done(1)));
    app.assert_applied(1, &text).await;
    let changed = app.directory.mapping_history(app.tenant.id).await.unwrap()[0].changed;
    assert_eq!(changed, i64::from(count), "each employee was changed once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mapping_s_whole_life_on_the_command_line() {
    let app = app().await;
    let id = app.person("cook", json!({ "title": "Cook", "nickName": "Chef", "name": { "formatted": "A B" } })).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("acme.toml");
    std::fs::write(&file, "required = [\"title\"]\n[fields]\ntitle = \"nickName\"\n").unwrap();
    let (slug, file) = (app.tenant.slug.as_str(), file.to_str().unwrap());
    let out = async |arguments: &[&str]| {
        let (success, stdout, stderr) = app.run(arguments).await;
        assert!(success, "{stderr}");
        stdout
    };
    assert_eq!(out(&["mapping", "history", "--tenant", slug]).await, format!("Tenant {slug} has its shipped profile, spaceiq.\n"));
    assert!(out(&["mapping", "show", "--tenant", slug]).await.starts_with("# How SpaceIQ reads a SCIM user."));
    assert_eq!(out(&["mapping", "validate", file]).await, format!("{file} is a valid mapping.\n"));
    let preview = out(&["mapping", "preview", "--tenant", slug, file]).await;
    for line in [
        "1 of 1 employees would change.".to_owned(),
        format!("title: 1\n  {id}  \"Cook\" -> \"Chef\""),
        format!("name: 1\n  {id}  \"A B\" -> nothing"),
        format!("become complete: 1\n  {id}  lacked email, location, department_name"),
    ] {
        assert!(preview.contains(&line), "{preview}");
    }
    assert_eq!(app.employee(&id).await["title"], "Cook");
    let applied = out(&["mapping", "apply", "--tenant", slug, file]).await;
    assert_eq!(applied, format!("Every employee of tenant {slug} is computed with version 1 of its mapping.\n"));
    assert_eq!(app.employee(&id).await["title"], "Chef");
    assert_eq!(out(&["mapping", "show", "--tenant", slug]).await, std::fs::read_to_string(file).unwrap());
    assert_eq!(out(&["mapping", "preview", "--tenant", slug]).await, "0 of 1 employees would change.\n");
    out(&["mapping", "rollback", "--tenant", slug, "--by", "Bob from IT"]).await;
    assert_eq!(app.employee(&id).await["title"], "Cook");
    assert_eq!(out(&["mapping", "validate", "--tenant", slug]).await, format!("The mapping of tenant {slug}, version 2, is valid.\n"));
    let history = out(&["mapping", "history", "--tenant", slug]).await;
    let lines: Vec<_> = history.lines().collect();
    assert!(lines[1].starts_with("2 ") && lines[1].contains("Bob from IT") && lines[1].ends_with("rollback to version 0"), "{history}");
    assert!(lines[2].starts_with("1 ") && lines[2].contains("anna"), "{history}");
}

#[tokio::test]
async fn validate_names_the_line_and_needs_no_database() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("acme.toml");
    std::fs::write(&file, "[fields]\n\ntitle = \"titel\"\n").unwrap();
    let file = file.to_str().unwrap();
    let validate = Command::new(env!("CARGO_BIN_EXE_frontdesk")).args(["mapping", "validate", file]).env_clear().output().await.unwrap();
    assert!(!validate.status.success());
    let sentence = String::from_utf8(validate.stderr).unwrap();
    assert!(sentence.starts_with(&format!("frontdesk: {file}, line 3: \"titel\" is not an attribute")), "{sentence}");
    assert!(validate.stdout.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_starts_finishes_what_was_left() {
    let app = app().await;
    app.crowd(3).await;
    let text = title_from("nickName");
    app.record(&text).await;
    let mut command = app.frontdesk(&["serve"]).await;
    let mut server = command.env("FRONTDESK_LISTEN", "127.0.0.1:0").spawn().unwrap();
    while app.directory.mapping_history(app.tenant.id).await.unwrap()[0].state != MappingState::Applied {
        assert!(server.try_wait().unwrap().is_none(), "the server ended");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    server.kill().await.unwrap();
    app.assert_applied(1, &text).await;
}
