//! Groups: one member more or less whatever the size, members replaced, a large group read, users in many groups.

use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use crate::contest::{CONNECTIONS, Contest, Entry, Goal, Series, grouped, hold, middle};
use crate::load::{Connection, Load, Request};
use crate::process::{forget_peak, memory};
use crate::reads::{BASE, PAGE, entry};
use crate::seed::Group;
use crate::single::statements;
use crate::writes::{patch, writing};
use crate::{Bench, Outcome, progress, seed};

/// The sizes; each but the first at most a third of the users.
const SIZES: [usize; 3] = [10, 5_000, 100_000];

/// Groups of each size: one a connection.
const GROUPS: usize = CONNECTIONS[0];

/// Members of the group whose members are replaced, and how many of them are others.
const REPLACED: usize = 10_000;
const OTHERS: usize = 10;

/// How often members are replaced, and a large group is read.
const TIMES: usize = 5;

/// Groups of one user, and of each of a page of users.
const GROUPS_OF_ONE: usize = 500;
const GROUPS_OF_EACH: usize = 20;

/// After this time PostgreSQL has counted what its idle sessions did.
const COUNTED_AFTER: Duration = Duration::from_secs(11);

pub(crate) async fn all(bench: &mut Bench) -> Outcome<()> {
    members(bench).await?;
    replaced(bench).await?;
    memberships(bench).await
}

/// Creates a group with these members; gives its id.
async fn create(connection: &mut Connection, name: &str, members: &[Uuid]) -> Outcome<Uuid> {
    let members: Vec<Value> = members.iter().map(|id| json!({ "value": id })).collect();
    let body = json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": name, "members": members });
    let status = connection.exchange(&Request::with_body("POST", format!("{BASE}/Groups?attributes=id"), &body)).await?;
    if status != 201 {
        return Err(format!("POST /Groups was answered {status}: {}", String::from_utf8_lossy(&connection.body)).into());
    }
    let answer: Value = serde_json::from_slice(&connection.body)?;
    Ok(answer["id"].as_str().ok_or("the group has no id")?.parse()?)
}

/// One member added or removed, alternately, each connection in a group of its own.
async fn members(bench: &mut Bench) -> Outcome<()> {
    if !bench.settings.wants("members") && !bench.settings.wants("large-group") {
        return Ok(());
    }
    let users = bench.users.len();
    let mut connection = Connection::open(&bench.frontdesk.target).await?;
    let mut sizes: Vec<(usize, Rc<Vec<Group>>)> = Vec::new();
    for size in SIZES.map(|size| size.min(users / 3)) {
        progress(&format!("seeding {GROUPS} groups of {}", grouped(size)));
        let mut groups = Vec::new();
        for number in 0..GROUPS {
            let id = create(&mut connection, &format!("{size} members, {number}"), &[]).await?;
            groups.push(Group { id, first: number * (users / GROUPS), size });
        }
        let (floor, frontdesk) = (bench.postgres.floor(), bench.postgres.frontdesk());
        seed::load_members(&groups, &bench.users, bench.tenant, &floor, &frontdesk).await?;
        sizes.push((size, Rc::new(groups)));
    }
    let name = |size: usize| format!("add or remove one of {} members", grouped(size));
    let smallest = name(sizes[0].0);
    let mut entries = Vec::new();
    for (size, groups) in &sizes {
        let floor_name = format!("floor, in {} members", grouped(*size));
        entries.push(entry(&floor_name, &bench.floor, in_floor(bench, groups), &[]));
        let mut goals = vec![(floor_name, Goal::Milliseconds(4.0))];
        if name(*size) != smallest {
            goals.push((smallest.clone(), Goal::P50(1.3)));
        }
        let load = in_frontdesk(bench, groups);
        entries.push(Entry { name: name(*size), load, watched: bench.frontdesk.watched, goals });
    }
    hold(bench, Contest { key: "members", connections: &CONNECTIONS, entries }).await?;
    let sizes_measured: Vec<usize> = sizes.iter().map(|(size, _)| *size).collect();
    for (line, entry_of) in
        [("Frontdesk", &name as &dyn Fn(usize) -> String), ("floor", &|size| format!("floor, in {} members", grouped(size)))]
    {
        let point = |size: &usize| Some((*size as f64, bench.results.row("members", users, &entry_of(*size), GROUPS)?.median.p50_ms));
        let points = sizes_measured.iter().filter_map(point).collect();
        bench.results.series.push(Series { plot: "group-size", name: line.into(), points });
    }
    match sizes.last() {
        Some((size, groups)) => large_group(bench, *size, groups[0].id).await,
        None => Ok(()),
    }
}

fn in_frontdesk(bench: &Bench, groups: &Rc<Vec<Group>>) -> Load {
    let (groups, ids) = (Rc::clone(groups), Rc::clone(&bench.users));
    writing(&bench.frontdesk, &[200, 204], "", move |turn| {
        let group = &groups[turn.connection];
        let user = ids[group.stranger(turn.number / 2, ids.len())];
        let operation = if turn.number.is_multiple_of(2) {
            json!({ "op": "add", "path": "members", "value": [{ "value": user }] })
        } else {
            json!({ "op": "remove", "path": format!("members[value eq \"{user}\"]") })
        };
        Request::with_body("PATCH", format!("{BASE}/Groups/{}", group.id), &patch(&operation))
    })
}

fn in_floor(bench: &Bench, groups: &Rc<Vec<Group>>) -> Load {
    let (groups, ids) = (Rc::clone(groups), Rc::clone(&bench.users));
    writing(&bench.floor, &[204], "", move |turn| {
        let group = &groups[turn.connection];
        let user = ids[group.stranger(turn.number / 2, ids.len())];
        let method = if turn.number.is_multiple_of(2) { "PUT" } else { "DELETE" };
        Request { method, ..Request::get(format!("/Groups/{}/members/{user}", group.id)) }
    })
}

/// A large group is sent without being held.
async fn large_group(bench: &mut Bench, size: usize, group: Uuid) -> Outcome<()> {
    if !bench.settings.wants("large-group") {
        return Ok(());
    }
    let mut connection = Connection::open(&bench.frontdesk.target).await?;
    let pid = bench.frontdesk.watched.server;
    let before = memory(pid)?.now_kib;
    forget_peak(pid)?;
    let (mut took, mut bytes) = (Vec::new(), 0);
    for _ in 0..TIMES {
        let since = Instant::now();
        bytes = 0;
        let status = connection.exchange_with(&Request::get(format!("{BASE}/Groups/{group}")), |part| bytes += part.len()).await?;
        took.push(since.elapsed().as_secs_f64() * 1000.0);
        if status != 200 || bytes < size * 36 {
            return Err(format!("a group of {size} members was answered {status} with {bytes} bytes").into());
        }
    }
    let grown = memory(pid)?.peak_kib.saturating_sub(before) as f64 / 1024.0;
    let measured = format!("{grown:.1} MiB; {:.0} ms for {:.1} MB", middle(took), bytes as f64 / 1e6);
    let goal = "memory grows by less than 32 MiB";
    bench.results.judge("GET a large group", &format!("{} members", grouped(size)), goal, measured, Some(grown < 32.0));
    Ok(())
}

/// All members sent again, a few of them others.
async fn replaced(bench: &mut Bench) -> Outcome<()> {
    if !bench.settings.wants("replace-members") {
        return Ok(());
    }
    let users: Vec<Uuid> = bench.users.iter().copied().take(2 * REPLACED).collect();
    let count = REPLACED.min(users.len() - OTHERS);
    let mut connection = Connection::open(&bench.frontdesk.target).await?;
    let group = create(&mut connection, "replaced", &users[..count]).await?;
    let mut session = PgConnection::connect(&bench.postgres.frontdesk()).await?;
    tokio::time::sleep(COUNTED_AFTER).await;
    let before = member_rows(&mut session).await?;
    let mut took = Vec::new();
    for time in 0..TIMES {
        // Now some others, now the first ones again.
        let skipped = if time % 2 == 0 { OTHERS } else { 0 };
        let members: Vec<Value> = users[skipped..skipped + count].iter().map(|id| json!({ "value": id })).collect();
        let body = json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "replaced", "members": members });
        let request = Request::with_body("PUT", format!("{BASE}/Groups/{group}?attributes=id"), &body);
        let since = Instant::now();
        let status = connection.exchange(&request).await?;
        took.push(since.elapsed().as_secs_f64() * 1000.0);
        if status != 200 {
            return Err(format!("PUT /Groups was answered {status}").into());
        }
    }
    tokio::time::sleep(COUNTED_AFTER).await;
    let (inserted, deleted) = member_rows(&mut session).await?;
    let (inserted, deleted) = ((inserted - before.0) as f64 / TIMES as f64, (deleted - before.1) as f64 / TIMES as f64);
    let ms = middle(took);
    let data = format!("{} members, {OTHERS} changed", grouped(count));
    let measured = format!("{inserted} rows inserted, {deleted} deleted; {ms:.0} ms");
    let met = inserted <= OTHERS as f64 && deleted <= OTHERS as f64 && ms <= 300.0;
    bench.results.judge("replace the members", &data, "only the changed rows written, <= 300 ms", measured, Some(met));
    Ok(())
}

async fn member_rows(session: &mut PgConnection) -> Outcome<(i64, i64)> {
    let statement = "select n_tup_ins, n_tup_del from pg_stat_user_tables where relname = 'members'";
    Ok(sqlx::query_as(statement).fetch_one(session).await?)
}

/// Users in many groups: the statements that it takes to tell which.
async fn memberships(bench: &mut Bench) -> Outcome<()> {
    if !bench.settings.wants("memberships") {
        return Ok(());
    }
    let mut connection = Connection::open(&bench.frontdesk.target).await?;
    // A page of users behind the first ones, and one further user.
    let first = 2 * PAGE;
    let page: Vec<Uuid> = bench.users[first..first + PAGE].to_vec();
    let one = bench.users[first + PAGE];
    for number in 0..GROUPS_OF_ONE {
        create(&mut connection, &format!("of one, {number}"), &[one]).await?;
    }
    for number in 0..GROUPS_OF_EACH {
        create(&mut connection, &format!("of each, {number}"), &page).await?;
    }
    let scenarios = [
        ("GET a user in groups", format!("{GROUPS_OF_ONE} groups"), format!("{BASE}/Users/{one}")),
        (
            "list users in groups",
            format!("{PAGE} users, {GROUPS_OF_EACH} groups each"),
            format!("{BASE}/Users?startIndex={}&count={PAGE}", first + 1),
        ),
    ];
    for (scenario, data, path) in scenarios {
        let request = Request::get(path);
        let mut took = Vec::new();
        for _ in 0..TIMES * TIMES {
            let since = Instant::now();
            let status = connection.exchange(&request).await?;
            took.push(since.elapsed().as_secs_f64() * 1000.0);
            if status != 200 {
                return Err(format!("{} was answered {status}", request.path).into());
            }
        }
        let said = statements(bench, &mut connection, &request).await?;
        let naming = said.iter().filter(|statement| statement.contains("members")).count();
        let measured = format!("{naming} of {} statements; p50 {:.2} ms", said.len(), middle(took));
        bench.results.judge(scenario, &data, "one statement for the memberships", measured, Some(naming == 1));
    }
    Ok(())
}
