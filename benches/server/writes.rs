//! Writing users: created, changed, and sent again as they are.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};

use crate::contest::{CONNECTIONS, Contest, Goal, grouped, hold, middle};
use crate::load::{Connection, Load, Request, Turn};
use crate::reads::{BASE, entry};
use crate::servers::Server;
use crate::{Bench, Outcome, seed};

/// Operations of a bulk request: the most that the default settings allow.
const BULK: usize = 1_000;

/// Bulk requests in a row.
const BULK_REQUESTS: usize = 5;

/// Requests of which is counted what they write.
const NO_OPS: usize = 100;

/// How often they are sent.
const ATTEMPTS: usize = 3;

/// What PostgreSQL itself may log meanwhile (a snapshot of what runs, the note of a token's use), in bytes a request.
const LOG_NOISE: f64 = 16.0;

/// After this time PostgreSQL has counted what its idle sessions did.
const COUNTED_AFTER: Duration = Duration::from_secs(11);

const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

/// A PATCH of one operation.
pub(crate) fn patch(operation: &Value) -> Value {
    json!({ "schemas": [PATCH], "Operations": [operation] })
}

fn set_active(active: bool) -> Value {
    patch(&json!({ "op": "replace", "path": "active", "value": active }))
}

/// A load that writes.
pub(crate) fn writing(
    server: &Server,
    status: &'static [u16],
    contains: &'static str,
    make: impl Fn(&mut Turn) -> Request + 'static,
) -> Load {
    Load { target: server.target.clone(), make: Rc::new(make), statuses: status, contains }
}

/// All contests of writing. The first half of the users is changed; the second half is sent as it is.
pub(crate) async fn all(bench: &mut Bench) -> Outcome<()> {
    changes(bench).await?;
    no_ops(bench).await?;
    no_op_writes(bench).await?;
    creates(bench).await?;
    seed::delete_created(&bench.postgres.floor(), &bench.postgres.frontdesk()).await?;
    bulk(bench).await?;
    seed::delete_created(&bench.postgres.floor(), &bench.postgres.frontdesk()).await
}

async fn changes(bench: &mut Bench) -> Outcome<()> {
    let half = bench.users.len() / 2;
    let toggling = |server: &Server, base: &'static str| {
        let (ids, active) = (Rc::clone(&bench.users), RefCell::new(vec![true; half]));
        writing(server, &[200], "userName", move |turn| {
            let user = turn.random.below(half);
            let active = &mut active.borrow_mut()[user];
            *active = !*active;
            Request::with_body("PATCH", format!("{base}/Users/{}", ids[user]), &set_active(*active))
        })
    };
    let replacing = |server: &Server, base: &'static str| {
        let (ids, count) = (Rc::clone(&bench.users), Cell::new(0));
        writing(server, &[200], "userName", move |turn| {
            let user = turn.random.below(half);
            count.set(count.get() + 1);
            let mut body = seed::user(user);
            body["title"] = format!("Title {} anew", count.get()).into();
            Request::with_body("PUT", format!("{base}/Users/{}", ids[user]), &body)
        })
    };
    let (floor, frontdesk) = (&bench.floor, &bench.frontdesk);
    let contest = Contest {
        key: "change",
        connections: &CONNECTIONS,
        entries: vec![
            entry("floor, read-modify-write of active", floor, toggling(floor, ""), &[]),
            entry("PATCH active", frontdesk, toggling(frontdesk, BASE), &[("floor, read-modify-write of active", Goal::Rate(0.6))]),
            entry("floor, read-modify-write of all", floor, replacing(floor, ""), &[]),
            entry("PUT with one change", frontdesk, replacing(frontdesk, BASE), &[("floor, read-modify-write of all", Goal::Rate(0.6))]),
        ],
    };
    hold(bench, contest).await
}

/// A request that changes nothing. It is held against a GET, so its body is made beforehand: making one would be counted with it.
fn no_op(bench: &Bench, method: &'static str) -> Load {
    let half = bench.users.len() / 2;
    let ids = Rc::clone(&bench.users);
    let bodies: Vec<String> = match method {
        "PUT" => (half..bench.users.len()).map(|user| seed::user(user).to_string()).collect(),
        _ => vec![set_active(true).to_string()],
    };
    writing(&bench.frontdesk, &[200], "userName", move |turn| {
        let user = turn.random.below(half);
        Request { method, path: format!("{BASE}/Users/{}", ids[half + user]), body: bodies[user % bodies.len()].clone() }
    })
}

async fn no_ops(bench: &mut Bench) -> Outcome<()> {
    let users = bench.users.len();
    let ids = Rc::clone(&bench.users);
    let frontdesk = &bench.frontdesk;
    let get = frontdesk.reading("userName", move |turn| Request::get(format!("{BASE}/Users/{}", ids[turn.random.below(users)])));
    let goal = [("GET /Users/{id}", Goal::Rate(0.8))];
    let contest = Contest {
        key: "no-op",
        connections: &CONNECTIONS,
        entries: vec![
            entry("GET /Users/{id}", frontdesk, get, &[]),
            entry("PATCH no-op", frontdesk, no_op(bench, "PATCH"), &goal),
            entry("PUT without change", frontdesk, no_op(bench, "PUT"), &goal),
        ],
    };
    hold(bench, contest).await
}

/// What requests that change nothing write: rows by PostgreSQL's own count, and bytes of its log.
async fn no_op_writes(bench: &mut Bench) -> Outcome<()> {
    if !bench.settings.wants("no-op") {
        return Ok(());
    }
    let mut session = PgConnection::connect(&bench.postgres.frontdesk()).await?;
    for method in ["PATCH", "PUT"] {
        tokio::time::sleep(COUNTED_AFTER).await;
        let load = no_op(bench, method);
        let mut connection = Connection::open(&load.target).await?;
        let mut turn = Turn { connection: 0, number: 0, random: crate::load::Random(1) };
        let before = written(&mut session).await?;
        // The least of some attempts: in the others PostgreSQL may have done something of its own, such as vacuuming.
        let mut log = f64::INFINITY;
        for _ in 0..ATTEMPTS {
            let since = written(&mut session).await?.1;
            for _ in 0..NO_OPS {
                connection.exchange(&(load.make)(&mut turn)).await?;
            }
            log = log.min((written(&mut session).await?.1 - since) as f64 / NO_OPS as f64);
        }
        tokio::time::sleep(COUNTED_AFTER).await;
        let rows = written(&mut session).await?.0 - before.0;
        let measured = format!("{rows} rows, {log:.0} bytes of log a request");
        bench.results.judge(
            &format!("{method} that changes nothing"),
            &format!("{} requests", ATTEMPTS * NO_OPS),
            "no write at all",
            measured,
            Some(rows == 0 && log <= LOG_NOISE),
        );
    }
    Ok(())
}

/// Rows written in any table of tenants, and the place in the write-ahead log.
async fn written(session: &mut PgConnection) -> Outcome<(i64, i64)> {
    let statement = "select coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint, (pg_current_wal_insert_lsn() - '0/0')::bigint
         from pg_stat_user_tables where relname in ('users', 'groups', 'members', 'events')";
    Ok(sqlx::query_as(statement).fetch_one(session).await?)
}

/// A load that creates users, each time another one; of both servers with the same numbers.
fn creating(server: &Server, base: &'static str) -> Load {
    thread_local!(static CREATED: Cell<usize> = const { Cell::new(seed::FIRST_CREATED) });
    writing(server, &[201], "userName", move |_| {
        CREATED.set(CREATED.get() + 1);
        Request::with_body("POST", format!("{base}/Users"), &seed::user(CREATED.get()))
    })
}

async fn creates(bench: &mut Bench) -> Outcome<()> {
    let (floor, frontdesk) = (&bench.floor, &bench.frontdesk);
    let contest = Contest {
        key: "create",
        connections: &CONNECTIONS,
        entries: vec![
            entry("floor, insert", floor, creating(floor, ""), &[]),
            entry("POST /Users", frontdesk, creating(frontdesk, BASE), &[("floor, insert", Goal::Rate(0.6))]),
        ],
    };
    hold(bench, contest).await
}

/// A thousand creates in one request, against as many requests on one connection.
async fn bulk(bench: &mut Bench) -> Outcome<()> {
    if !bench.settings.wants("bulk") {
        return Ok(());
    }
    let mut connection = Connection::open(&bench.frontdesk.target).await?;
    // Behind those that `creating` makes.
    let mut number = seed::FIRST_CREATED + 5_000_000;
    let (mut single, mut together) = (Vec::new(), Vec::new());
    for _ in 0..BULK_REQUESTS {
        let since = std::time::Instant::now();
        for _ in 0..BULK / 2 {
            number += 1;
            let status = connection.exchange(&Request::with_body("POST", format!("{BASE}/Users"), &seed::user(number))).await?;
            if status != 201 {
                return Err(format!("POST /Users was answered {status}").into());
            }
        }
        single.push(BULK as f64 / 2.0 / since.elapsed().as_secs_f64());
        let operations: Vec<Value> = (1..=BULK)
            .map(|at| json!({ "method": "POST", "path": "/Users", "bulkId": at.to_string(), "data": seed::user(number + at) }))
            .collect();
        number += BULK;
        let body = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": operations });
        let request = Request::with_body("POST", format!("{BASE}/Bulk"), &body);
        let since = std::time::Instant::now();
        let status = connection.exchange(&request).await?;
        together.push(BULK as f64 / since.elapsed().as_secs_f64());
        let answer: Value = serde_json::from_slice(&connection.body)?;
        let created = answer["Operations"].as_array().map_or(0, |all| all.iter().filter(|one| one["status"] == "201").count());
        if status != 200 || created != BULK {
            return Err(format!("a bulk request was answered {status}, with {created} of {BULK} created").into());
        }
    }
    let (single, together) = (middle(single), middle(together));
    let times = together / single;
    let measured = format!("{times:.1}x ({together:.0}/s, single {single:.0}/s)");
    let data = format!("{} in one request", grouped(BULK));
    bench.results.judge("Bulk of creates, one connection", &data, ">= 5x of single creates", measured, Some(times >= 5.0));
    Ok(())
}
