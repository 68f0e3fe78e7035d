//! Requests whose client goes away at any moment (DESIGN section 4, sqlx issues 4385 and 4393), through the router: no pooled
//! connection stays inside a transaction, what was acknowledged is there, and what was not is there as a whole or not at all.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::str::FromStr;
use std::task::Poll;
use std::time::{Duration, Instant};

use frontdesk::directory::{Conformance, Directory, PoolSettings, Profile};
use serde_json::{Value, json};
use sqlx::PgConnection;
use sqlx::postgres::PgConnectOptions;
use uuid::Uuid;

use crate::app::{Answer, TestApp, app_on};
use crate::support::{observer, settings, unique, url};

const ROUNDS: u64 = 480;

/// A small generator (SplitMix64), so that a run can be repeated from its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % below
    }
}

/// Polls a future so many times and drops it when it is not done by then.
async fn polled<F: Future>(future: F, mut left: u64) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(move |context| {
        let output = future.as_mut().poll(context);
        left -= 1;
        match output {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// What a cancelled request tried, and how to see whether it was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Try {
    Create,
    Replace,
    Patch,
    Delete,
    Join,
}

#[derive(Debug)]
struct Attempt {
    what: Try,
    request_id: String,
    name: String,
    user: Option<Uuid>,
    group: Option<Uuid>,
    acknowledged: bool,
}

/// One round: what is needed is made and acknowledged, then one request is cancelled at a random poll or moment.
async fn round(app: &TestApp, random: &mut Random) -> Attempt {
    let what = [Try::Create, Try::Replace, Try::Patch, Try::Delete, Try::Join][usize::try_from(random.below(5)).unwrap()];
    let name = unique("user");
    let user = if what == Try::Create { None } else { Some(app.user(&name).await) };
    let group = match &user {
        Some(user) if what == Try::Delete => Some(app.group(&unique("group"), &[user]).await),
        Some(_) if what == Try::Join => Some(app.group(&unique("group"), &[]).await),
        _ => None,
    };
    let path = |kind: &str, id: &Option<String>| format!("/{kind}/{}", id.as_deref().unwrap_or_default());
    let (method, path, body) = match what {
        Try::Create => ("POST", "/Users".to_owned(), json!({ "userName": name, "title": "after" })),
        Try::Replace => ("PUT", path("Users", &user), json!({ "userName": name, "title": "after" })),
        Try::Patch => ("PATCH", path("Users", &user), json!({ "Operations": [{ "op": "replace", "path": "title", "value": "after" }] })),
        Try::Delete => ("DELETE", path("Users", &user), Value::Null),
        Try::Join => {
            ("PATCH", path("Groups", &group), json!({ "Operations": [{ "op": "add", "path": "members", "value": [{ "value": user }] }] }))
        }
    };
    let request_id = unique("r");
    let request = app.send(app.builder(method, &path).header("x-request-id", &request_id), body.to_string());
    let answer: Option<Answer> = if random.below(2) == 0 {
        polled(request, 1 + random.below(10)).await
    } else {
        tokio::time::timeout(Duration::from_micros(random.below(6_000)), request).await.ok()
    };
    if let Some(answer) = &answer {
        assert!(answer.status.is_success(), "{what:?}: {} {}", answer.status, answer.text);
    }
    let id = |text: Option<String>| text.map(|text| text.parse().unwrap());
    Attempt { what, request_id, name, user: id(user), group: id(group), acknowledged: answer.is_some() }
}

/// The title in the document, in its searchable copy and of the employee, and the version.
type User = (Option<String>, Option<String>, Option<String>, i64);

/// The traces that one request leaves when it is done, as an independent session sees them. All of them or none must be there.
async fn traces(observer: &mut PgConnection, app: &TestApp, attempt: &Attempt) -> Vec<(&'static str, bool)> {
    let event: i64 = sqlx::query_scalar("select count(*) from events where tenant_id = $1 and request_id = $2 and outcome = 'success'")
        .bind(app.tenant.id)
        .bind(&attempt.request_id)
        .fetch_one(&mut *observer)
        .await
        .unwrap();
    assert!(event <= 1, "{attempt:?} wrote {event} events");
    let user: Option<User> = sqlx::query_as(
        "select document ->> 'title', folded ->> 'title', title, version from users where tenant_id = $1 and user_name = $2",
    )
    .bind(app.tenant.id)
    .bind(&attempt.name)
    .fetch_optional(&mut *observer)
    .await
    .unwrap();
    let joined: Option<(i64, i64)> = sqlx::query_as(
        "select g.version, (select count(*) from members m where m.tenant_id = $1 and m.group_id = g.id and m.user_id = $3)
         from groups g where g.tenant_id = $1 and g.id = $2",
    )
    .bind(app.tenant.id)
    .bind(attempt.group)
    .bind(attempt.user)
    .fetch_optional(observer)
    .await
    .unwrap();
    let mut traces = vec![("event", event == 1)];
    let after = |title: &Option<String>| title.as_deref() == Some("after");
    match attempt.what {
        Try::Delete => {
            let (version, members) = joined.expect("the acknowledged group is there");
            traces.extend([("no user", user.is_none()), ("no member", members == 0), ("the group's version", version == 2)]);
        }
        Try::Join => {
            assert!(user.is_some(), "the acknowledged user of {attempt:?} is lost");
            let (version, members) = joined.expect("the acknowledged group is there");
            traces.extend([("member", members == 1), ("the group's version", version == 2)]);
        }
        Try::Create => {
            let titles = user.map(|(document, folded, employee, _)| (after(&document), after(&folded), after(&employee)));
            let (document, folded, employee) = titles.unwrap_or_default();
            traces.extend([("document", document), ("folded", folded), ("employee", employee)]);
        }
        Try::Replace | Try::Patch => {
            let (document, folded, employee, version) = user.unwrap_or_else(|| panic!("the acknowledged user of {attempt:?} is lost"));
            traces.extend([
                ("document", after(&document)),
                ("folded", after(&folded)),
                ("employee", after(&employee)),
                ("version", version == 2),
            ]);
        }
    }
    traces
}

async fn sessions_in_a_transaction(observer: &mut PgConnection, name: &str) -> i64 {
    sqlx::query_scalar("select count(*) from pg_stat_activity where application_name = $1 and state like 'idle in transaction%'")
        .bind(name)
        .fetch_one(observer)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_cancelled_at_any_point_are_done_as_a_whole_or_not_at_all() {
    let name = unique("cancelled");
    let options = PgConnectOptions::from_str(url().await).unwrap().application_name(&name);
    // Few connections, so that each is borrowed again soon after a cancelled request.
    let directory = Directory::connect(options, &PoolSettings { pool_size: 3, ..settings() }).await.unwrap();
    let app = app_on(directory.clone(), Profile::SpaceIq, Conformance::Lenient, &[]).await;
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| u64::from(std::process::id()) << 20);
    println!("SEED={seed}");

    let mut workers = tokio::task::JoinSet::new();
    for worker in 0..4 {
        let app = app.clone();
        workers.spawn(async move {
            let mut random = Random(seed + worker);
            let mut attempts = Vec::new();
            for _ in 0..ROUNDS / 4 {
                attempts.push(round(&app, &mut random).await);
            }
            attempts
        });
    }
    let attempts: Vec<Attempt> = workers.join_all().await.into_iter().flatten().collect();
    let cancelled = attempts.iter().filter(|attempt| !attempt.acknowledged).count();
    println!("{cancelled} of {} requests were cancelled", attempts.len());
    assert!(cancelled > 0, "none of {} requests was cancelled", attempts.len());

    // Units whose client is gone may still be at work; none may stay inside its transaction.
    let mut observer = observer().await;
    let since = Instant::now();
    while sessions_in_a_transaction(&mut observer, &name).await > 0 {
        assert!(since.elapsed() < Duration::from_secs(10), "a session stays inside a transaction");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    directory.close().await;

    let (mut done, mut not_done) = (0, 0);
    for attempt in &attempts {
        let traces = traces(&mut observer, &app, attempt).await;
        let is_done = traces[0].1;
        assert!(traces.iter().all(|(_, there)| *there == is_done), "half done: {traces:?} of {attempt:?}");
        assert!(is_done || !attempt.acknowledged, "the acknowledged {attempt:?} is lost");
        if !attempt.acknowledged {
            if is_done { done += 1 } else { not_done += 1 }
        }
    }
    println!("of the cancelled ones {done} were done as a whole and {not_done} not at all");
}

/// A list is read outside a transaction: a reader who goes away leaves a connection that the next one can use.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_go_away_leave_connections_that_work() {
    let directory = Directory::open(url().await, &PoolSettings { pool_size: 2, ..settings() }).await.unwrap();
    let app = app_on(directory, Profile::SpaceIq, Conformance::Lenient, &[]).await;
    let user = app.user("jsnow").await;
    let seed = u64::from(std::process::id()) << 20;
    println!("SEED={seed}");
    let mut random = Random(seed);
    for _ in 0..200 {
        let path = ["/Users".to_owned(), format!("/Users/{user}"), "/Users?filter=emails.value co \"jsnow\"".into()]
            [usize::try_from(random.below(3)).unwrap()]
        .clone();
        let _ = polled(app.get(&path), 1 + random.below(6)).await;
        let read = app.get(&format!("/Users/{user}")).await.expect(200);
        assert_eq!(read.id(), user);
    }
}
