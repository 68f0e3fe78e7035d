//! The database away, overloaded or behind a broken network (CRA-003, NET-001, NET-003, NET-004, NET-007): each request is answered
//! with what is true or with 503, in bounded time, and when the database is back everything works again by itself.

use std::pin::Pin;
use std::time::Duration;

use frontdesk::directory::{Conformance, Directory, Error, PoolSettings, Profile, Token};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _};
use tokio::task::JoinSet;

use crate::app::{Answer, TestApp, app_on};
use crate::fault_proxy::{AtCommit, CommitAnswer, Fault, Proxy};
use crate::support::{OwnDatabase, observer, settings, unique, url};

/// Far longer than anything here takes, so that only a hang ends a test.
const PATIENCE: Duration = Duration::from_secs(60);

/// Limits that end what hangs within a few seconds.
fn impatient() -> PoolSettings {
    PoolSettings {
        acquire_timeout: Duration::from_secs(1),
        statement_timeout: Duration::from_secs(1),
        lock_timeout: Duration::from_millis(300),
        ..settings()
    }
}

async fn app_behind(proxy: &Proxy) -> TestApp {
    let settings = [("FRONTDESK_HTTP_REQUEST_TIMEOUT_MS", "3000")];
    app_on(proxy.directory(&impatient()).await, Profile::SpaceIq, Conformance::Lenient, &settings).await
}

/// Waits until requests succeed again; meanwhile they may fail with 503 and with nothing else.
async fn recovered(app: &TestApp) {
    let again = async {
        loop {
            let answers = at_once((0..8).map(|_| send(app, "GET", "/Users?count=1", None))).await;
            if answers.iter().all(|answer| answer.status.as_u16() == 200) {
                return;
            }
            answers.into_iter().filter(|answer| answer.status.as_u16() != 200).for_each(unavailable);
        }
    };
    tokio::time::timeout(PATIENCE, again).await.expect("the server recovers by itself");
}

/// 503 as it must be: worth trying again, and without a word from the database.
#[track_caller]
fn unavailable(answer: Answer) {
    let answer = answer.refused(503, "");
    // Two seconds for a database that is away, one when so many requests wait for it that no more are let in.
    assert!(matches!(answer.header("retry-after"), "1" | "2"), "{:?}", answer.headers);
    assert!(answer.header("www-authenticate").is_empty());
    for secret in ["secret", "internal", "SQLSTATE", "postgres", "socket", "57P", "28P01", "53", "25006", "55P03"] {
        assert!(!answer.detail().contains(secret), "{secret} in {}", answer.text);
    }
}

async fn at_once(requests: impl IntoIterator<Item = Sent>) -> Vec<Answer> {
    let mut running = JoinSet::new();
    requests.into_iter().for_each(|request| drop(running.spawn(request)));
    tokio::time::timeout(PATIENCE, running.join_all()).await.expect("every request is answered in bounded time")
}

type Sent = Pin<Box<dyn Future<Output = Answer> + Send>>;

fn send(app: &TestApp, method: &'static str, path: &str, body: Option<Value>) -> Sent {
    let (app, path) = (app.clone(), path.to_owned());
    Box::pin(async move { app.request(method, &path, body).await })
}

fn title(title: &str) -> Value {
    json!({ "Operations": [{ "op": "replace", "path": "title", "value": title }] })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_down_is_503_and_never_401() {
    let proxy = Proxy::start().await;
    let app = app_behind(&proxy).await;
    let never_seen = app.directory.create_token(&app.connection, None, None).await.unwrap();
    let unknown = TestApp { token: Token::generate().unwrap().reveal().into(), ..app.clone() };
    let never_seen = TestApp { token: never_seen.reveal().into(), ..app.clone() };
    let id = app.user("jsnow").await;
    proxy.set(Fault::Down).await;
    // Just remembered, never asked for, and one of nobody: the database alone knows, and it does not answer.
    for caller in [&app, &never_seen, &unknown] {
        let answers = at_once([
            send(caller, "GET", &format!("/Users/{id}"), None),
            send(caller, "GET", "/Users?filter=userName eq \"jsnow\"", None),
            send(caller, "POST", "/Users", Some(json!({ "userName": "other" }))),
            send(caller, "PATCH", &format!("/Users/{id}"), Some(title("new"))),
            send(caller, "DELETE", &format!("/Users/{id}"), None),
            send(caller, "POST", "/Bulk", Some(json!({ "Operations": [{ "method": "DELETE", "path": format!("/Users/{id}") }] }))),
        ])
        .await;
        answers.into_iter().for_each(unavailable);
    }
    // What is no token at all is told without the database.
    TestApp { token: "nonsense".into(), ..app.clone() }.get("/Users").await.refused(401, "");
    proxy.set(Fault::None).await;
    recovered(&app).await;
    never_seen.get(&format!("/Users/{id}")).await.expect(200);
    unknown.get(&format!("/Users/{id}")).await.refused(401, "");
    assert_eq!(app.get("/Users").await.expect(200).body["totalResults"], 1);
}

/// Whatever the network does: an answer in bounded time, 2xx or 503, and what was acknowledged is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_network_costs_answers_and_no_truth() {
    let proxy = Proxy::start().await;
    let app = app_behind(&proxy).await;
    let ms = Duration::from_millis;
    let faults = [
        Fault::Latency { least: ms(5), jitter: ms(10) },
        Fault::Slices,
        Fault::Bandwidth(10_000),
        Fault::Latency { least: ms(1_000), jitter: ms(0) },
        Fault::Torn(0),
        Fault::Torn(3),
        Fault::Torn(40),
        Fault::BlackHole,
        Fault::Down,
    ];
    for fault in faults {
        let before = app.user(&unique("user")).await;
        proxy.set(fault).await;
        let names: Vec<String> = (0..6).map(|_| unique("user")).collect();
        let creations = names.iter().map(|name| send(&app, "POST", "/Users", Some(json!({ "userName": name }))));
        let mut requests: Vec<Sent> = creations.collect();
        requests.push(send(&app, "PATCH", &format!("/Users/{before}"), Some(title("new"))));
        requests.push(send(&app, "GET", &format!("/Users/{before}"), None));
        let mut created = Vec::new();
        for answer in at_once(requests).await {
            match answer.status.as_u16() {
                200 => assert_eq!(answer.id(), before),
                201 => created.push(answer.id()),
                _ => unavailable(answer),
            }
        }
        let harmless = matches!(fault, Fault::Slices | Fault::Latency { .. }) && fault != faults[3];
        assert!(!harmless || created.len() == names.len(), "{fault:?} is slow and breaks nothing");
        proxy.set(Fault::None).await;
        // What the network swallowed stays silent: those connections are given up without being told.
        recovered(&app).await;
        for id in &created {
            app.get(&format!("/Users/{id}")).await.expect(200);
        }
        // Whoever repeats what was not acknowledged meets itself at most once.
        for name in &names {
            let again = app.post("/Users", json!({ "userName": name })).await;
            assert!(matches!(again.status.as_u16(), 201 | 409), "{}", again.text);
            assert_eq!(app.get(&format!("/Users?filter=userName eq \"{name}\"")).await.expect(200).body["totalResults"], 1);
        }
    }
    let (_, open) = app.directory.pool_connections();
    assert!(open <= 4, "{open} connections of 4");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_postgresql_refuses_are_503_without_its_words() {
    let proxy = Proxy::start().await;
    let app = app_behind(&proxy).await;
    // Too many connections, a rotated password, starting up, shutting down, restored under its name.
    for code in ["53300", "28P01", "57P03", "57P01", "3D000"] {
        proxy.set(Fault::Refused(code)).await;
        proxy.reset();
        let requests = (0..4).map(|_| send(&app, "POST", "/Users", Some(json!({ "userName": unique("user") }))));
        at_once(requests).await.into_iter().for_each(unavailable);
        proxy.set(Fault::None).await;
        recovered(&app).await;
    }
    // A full disk at the commit.
    for path in ["/Users", "/Groups"] {
        let (user, name) = (app.user(&unique("user")).await, unique("name"));
        proxy.at_commits(AtCommit { reaches: false, answer: CommitAnswer::Error("53100") }, 1);
        let body = json!({ "userName": name, "displayName": name, "members": [{ "value": user }] });
        let body = if path == "/Users" { json!({ "userName": name }) } else { body };
        unavailable(app.post(path, body.clone()).await);
        app.post(path, body).await.expect(201);
    }
}

/// A primary that has become a standby reads and does not write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_database_is_read_and_not_written() {
    let database = OwnDatabase::create().await;
    let directory = database.directory_with(&PoolSettings { pool_size: 1, ..impatient() }).await;
    directory.migrate().await.unwrap();
    let app = app_on(directory, Profile::SpaceIq, Conformance::Lenient, &[]).await;
    let id = app.user("jsnow").await;
    let mut session = database.session().await;
    for (value, status) in [("on", 503), ("off", 201)] {
        let name: String = sqlx::query_scalar("select current_database()").fetch_one(&mut session).await.unwrap();
        let set = format!("alter database \"{name}\" set default_transaction_read_only = {value}");
        let ended = "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()";
        sqlx::raw_sql("set default_transaction_read_only = off").execute(&mut session).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(set)).execute(&mut session).await.unwrap();
        sqlx::raw_sql(ended).execute(&mut session).await.unwrap();
        recovered(&app).await;
        app.get(&format!("/Users/{id}")).await.expect(200);
        let created = app.post("/Users", json!({ "userName": "other" })).await;
        if status == 503 { unavailable(created) } else { drop(created.expect(201)) }
    }
    app.directory.close().await;
    session.close().await.unwrap();
    database.drop().await;
}

/// NET-003: all connections wait for a table that somebody has locked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exhausted_pool_refuses_in_time_and_recovers() {
    let database = OwnDatabase::create().await;
    // The lock outlasts the wait for a connection, so that both are met.
    let settings =
        PoolSettings { pool_size: 2, lock_timeout: Duration::from_secs(3), statement_timeout: Duration::from_secs(3), ..impatient() };
    let directory = database.directory_with(&settings).await;
    directory.migrate().await.unwrap();
    let app = app_on(directory, Profile::SpaceIq, Conformance::Lenient, &[]).await;
    let id = app.user("jsnow").await;
    let mut session = database.session().await;
    let mut held = session.begin().await.unwrap();
    sqlx::raw_sql("lock table users in access exclusive mode").execute(&mut *held).await.unwrap();
    let requests = (0..300).map(|n| match n % 3 {
        0 => send(&app, "GET", &format!("/Users/{id}"), None),
        1 => send(&app, "PATCH", &format!("/Users/{id}"), Some(title("new"))),
        _ => send(&app, "POST", "/Users", Some(json!({ "userName": unique("user") }))),
    });
    at_once(requests).await.into_iter().for_each(unavailable);
    TestApp { base: "", ..app.clone() }.get("/livez").await.expect(200);
    held.rollback().await.unwrap();
    recovered(&app).await;
    app.patch(&format!("/Users/{id}"), title("after")).await.expect(200);
    app.directory.close().await;
    session.close().await.unwrap();
    database.drop().await;
}

/// NET-006: a pooler that has no connection to give says nothing for as long as its administrator likes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_that_does_not_answer_is_waited_for_no_longer_than_for_a_connection() {
    let proxy = Proxy::start().await;
    let forever = Duration::from_secs(24 * 60 * 60);
    let directory = proxy.directory(&PoolSettings { transaction_pooler: true, statement_timeout: forever, ..impatient() }).await;
    let tenant = crate::support::tenant(&directory).await;
    proxy.set(Fault::BlackHole).await;
    let refused = tokio::time::timeout(PATIENCE, async {
        (directory.connections(tenant.id).await.err(), directory.create_tenant(&unique("tenant"), None, Profile::SpaceIq).await.err())
    });
    let (read, written) = refused.await.expect("the wait is bounded");
    assert!(matches!(read, Some(Error::Unavailable(_))), "{read:?}");
    assert!(matches!(written, Some(Error::Unavailable(_))), "{written:?}");
    proxy.set(Fault::None).await;
    while let Err(error) = directory.connections(tenant.id).await {
        assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    }
}

/// NET-007.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_another_session_holds_is_503_and_the_others_are_not_concerned() {
    let directory = Directory::open(url().await, &impatient()).await.unwrap();
    let app = app_on(directory, Profile::SpaceIq, Conformance::Lenient, &[]).await;
    let (held, free, user) = (app.group("Held", &[]).await, app.group("Free", &[]).await, app.user("jsnow").await);
    let mut session = observer().await;
    let mut other = session.begin().await.unwrap();
    sqlx::query("select from groups where tenant_id = $1 and id = $2::uuid for update")
        .bind(app.tenant.id)
        .bind(&held)
        .execute(&mut *other)
        .await
        .unwrap();
    let join = || json!({ "Operations": [{ "op": "add", "path": "members", "value": [{ "value": user }] }] });
    unavailable(app.patch(&format!("/Groups/{held}"), join()).await);
    unavailable(app.delete(&format!("/Groups/{held}")).await);
    app.patch(&format!("/Groups/{free}"), join()).await.expect(204);
    app.get(&format!("/Groups/{held}")).await.expect(200);
    other.rollback().await.unwrap();
    app.patch(&format!("/Groups/{held}"), join()).await.expect(204);
    assert_eq!(app.members(&held).await, [user]);
}

/// CRA-003: sessions end at any moment under load. Each worker changes a user of its own, so it knows what must be there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_are_ended_at_random_cost_503_and_no_acknowledged_change() {
    const CHANGES: usize = 40;
    let name = unique("ended");
    let options: sqlx::postgres::PgConnectOptions = url().await.parse().unwrap();
    let directory = Directory::connect(options.application_name(&name), &settings()).await.unwrap();
    let app = app_on(directory, Profile::SpaceIq, Conformance::Lenient, &[]).await;
    let mut workers = JoinSet::new();
    for worker in 0..4 {
        let app = app.clone();
        workers.spawn(async move {
            let user = json!({ "userName": format!("worker{worker}"), "title": "0" });
            let mut refused = 0;
            // A creation that is not acknowledged may have been done.
            while !matches!(app.post("/Users", user.clone()).await.status.as_u16(), 201 | 409) {}
            let filter = format!("/Users?filter=userName eq \"worker{worker}\"");
            let id = loop {
                let found = app.get(&filter).await;
                if found.status.as_u16() == 200 {
                    break found.ids().pop().expect("the acknowledged user is there");
                }
                unavailable(found);
            };
            let path = format!("/Users/{id}");
            for change in 1..=CHANGES {
                loop {
                    let read = app.get(&path).await;
                    let patched = app.patch(&path, title(&change.to_string())).await;
                    for answer in [&read, &patched] {
                        if !answer.status.is_success() {
                            refused += 1;
                            answer.clone().refused(503, "");
                        }
                    }
                    if read.status.is_success() {
                        let seen: usize = read.body["title"].as_str().unwrap().parse().unwrap();
                        assert!(seen == change || seen == change - 1, "{seen} was read before {change}");
                    }
                    if patched.status.is_success() {
                        assert_eq!(patched.body["title"], change.to_string());
                        break;
                    }
                }
            }
            (id, refused)
        });
    }
    let mut session = observer().await;
    let mut ended = 0_i64;
    let mut done = Vec::new();
    loop {
        tokio::select! {
            joined = workers.join_next() => match joined {
                Some(joined) => done.push(joined.unwrap()),
                None => break,
            },
            () = tokio::time::sleep(Duration::from_millis(20)) => {
                let one = "select count(pg_terminate_backend(pid)) from (
                               select pid from pg_stat_activity where application_name = $1 order by random() limit 1
                           ) as one";
                ended += sqlx::query_scalar::<_, i64>(one).bind(&name).fetch_one(&mut session).await.unwrap();
            }
        }
    }
    println!("{ended} sessions ended, {} requests refused", done.iter().map(|(_, refused)| refused).sum::<usize>());
    assert!(ended > 0);
    recovered(&app).await;
    for (id, _) in done {
        let read = app.get(&format!("/Users/{id}")).await.expect(200);
        assert_eq!(read.body["title"], CHANGES.to_string());
        // Each change was made once, however often it was asked for.
        assert_eq!(read.body["meta"]["version"], format!("W/\"{}\"", CHANGES + 1));
        assert_eq!(app.employee(&id).await["title"], CHANGES.to_string());
    }
}
