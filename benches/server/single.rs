//! What is measured of Frontdesk alone: memory, exports, scans beside lookups, starts. And that what was seeded is what Frontdesk
//! itself would have written.

use std::cell::Cell;
use std::process::Stdio;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::Value;
use sqlx::{Connection as _, PgConnection};
use tokio::io::AsyncReadExt as _;

use crate::contest::{grouped, middle};
use crate::load::{Connection, Load, Request, Target, Turn, round};
use crate::process::{forget_peak, memory};
use crate::reads::{BASE, filter};
use crate::{Bench, Outcome, seed, servers};

/// Starts of which the median counts.
const STARTS: usize = 100;

/// Scans at a time.
const SCANS: usize = 4;

/// What an export may take of memory, however many employees there are: a server's growth, or a command as a whole.
const EXPORT_MIB: f64 = 32.0;

/// How long a server is left alone before its idle memory is read.
const IDLE: Duration = Duration::from_secs(3);

/// How long until PostgreSQL has taken up another setting, or written its log.
const SETTLE: Duration = Duration::from_millis(300);

const MIB: f64 = 1024.0;

/// The rows that were copied in are those that requests would have made: sending a user again changes nothing, and computing the
/// employees again does not either.
pub(crate) async fn seeded_as_written(bench: &Bench) -> Outcome<()> {
    let mut connection = Connection::open(&bench.frontdesk.target).await?;
    let id = bench.users[7];
    let request = Request::with_body("PUT", format!("{BASE}/Users/{id}"), &seed::user(7));
    let status = connection.exchange(&request).await?;
    let answer: Value = serde_json::from_slice(&connection.body)?;
    if status != 200 || answer["meta"]["version"] != "W/\"1\"" {
        return Err(format!("a seeded user was changed by sending it again: {status} {answer}").into());
    }
    let output = servers::command(&bench.postgres, "127.0.0.1:0").args(["reproject", "--dry-run"]).stdout(Stdio::piped()).output().await?;
    crate::progress(&format!("reproject --dry-run: {}", String::from_utf8_lossy(&output.stdout).trim()));
    Ok(())
}

/// Lookups while scans run, against lookups alone.
pub(crate) async fn scans(bench: &mut Bench) -> Outcome<()> {
    if !bench.settings.wants("scan") {
        return Ok(());
    }
    let users = bench.users.len();
    let ids = Rc::clone(&bench.users);
    let gets = bench.frontdesk.reading("userName", move |turn| Request::get(format!("{BASE}/Users/{}", ids[turn.random.below(users)])));
    let (mut alone, mut beside, mut scanned, mut too_long) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for _ in 0..bench.settings.rounds() {
        let watched = bench.frontdesk.watched;
        alone.push(round(&gets, 16, bench.settings.length(), &watched).await?.p99_ms);
        let over = Rc::new(Cell::new(false));
        let scanning: Vec<_> =
            (0..SCANS).map(|_| tokio::task::spawn_local(scan(bench.frontdesk.target.clone(), Rc::clone(&over)))).collect();
        beside.push(round(&gets, 16, bench.settings.length(), &watched).await?.p99_ms);
        over.set(true);
        for scans in scanning {
            for (status, took) in scans.await?? {
                match status {
                    200 => scanned.push(took),
                    503 => too_long += 1,
                    other => return Err(format!("a scan was answered {other}").into()),
                }
            }
        }
    }
    let (alone, beside) = (middle(alone), middle(beside));
    let scans = format!("scans took {:.0} ms, {too_long} were told 503", middle(scanned));
    let measured = format!("{:.1}x ({beside:.1} ms, alone {alone:.1} ms); {scans}", beside / alone);
    let data = format!("{} users, {SCANS} scans", grouped(users));
    bench.results.judge("GET p99 while filters scan", &data, "<= 3x of p99 alone", measured, Some(beside <= 3.0 * alone));
    Ok(())
}

/// Scans again and again; gives the statuses and what each took, in milliseconds.
async fn scan(target: Target, over: Rc<Cell<bool>>) -> Outcome<Vec<(u16, f64)>> {
    let mut connection = Connection::open(&target).await?;
    let request = Request::get(filter("title co \"no such title\""));
    let mut scans = Vec::new();
    while !over.get() {
        let since = Instant::now();
        let status = connection.exchange(&request).await?;
        scans.push((status, since.elapsed().as_secs_f64() * 1000.0));
    }
    Ok(scans)
}

/// The memory of a server that has done nothing, and of one that has done everything at once.
pub(crate) async fn memory_rows(bench: &mut Bench) -> Outcome<()> {
    if !bench.settings.wants("memory") {
        return Ok(());
    }
    bench.restart().await?;
    tokio::time::sleep(IDLE).await;
    let users = bench.users.len();
    let data = format!("{} users in the database", grouped(users));
    let watched = bench.frontdesk.watched;
    let idle = memory(watched.server)?.now_kib as f64 / MIB;
    bench.results.judge("memory, idle", &data, "<= 30 MiB", format!("{idle:.1} MiB"), Some(idle <= 30.0));
    let ids = Rc::clone(&bench.users);
    let make = move |turn: &mut Turn| {
        let user = turn.random.below(users);
        match turn.number % 4 {
            0 => Request::get(format!("{BASE}/Users/{}", ids[user])),
            1 => Request::get(filter(&format!("userName eq \"{}\"", seed::user_name(user)))),
            2 => Request::get(format!("{BASE}/Users?startIndex=1&count=100")),
            _ => Request::with_body("PUT", format!("{BASE}/Users/{}", ids[user]), &seed::user(user)),
        }
    };
    let load = Load { target: bench.frontdesk.target.clone(), make: Rc::new(make), statuses: &[200], contains: "" };
    let measured = round(&load, 16, bench.settings.length() * 3, &watched).await?;
    let loaded = measured.peak_kib as f64 / MIB;
    bench.results.judge(
        "memory, loaded",
        &data,
        "<= 100 MiB at 16 connections",
        format!("{loaded:.1} MiB at its peak"),
        Some(loaded <= 100.0),
    );
    Ok(())
}

/// All employees by HTTP and by the command.
pub(crate) async fn exports(bench: &mut Bench) -> Outcome<()> {
    if !bench.settings.wants("export") {
        return Ok(());
    }
    let users = bench.users.len();
    let pid = bench.frontdesk.watched.server;
    for (form, header) in [("csv", 1), ("ndjson", 0)] {
        let mut connection = Connection::open(&bench.frontdesk.target).await?;
        let before = memory(pid)?.now_kib;
        forget_peak(pid)?;
        let mut lines = 0;
        let since = Instant::now();
        let request = Request::get(format!("/api/v1/employees.{form}"));
        let status = connection.exchange_with(&request, |part| lines += count_lines(part)).await?;
        let seconds = since.elapsed().as_secs_f64();
        if status != 200 || lines - header != users {
            return Err(format!("the export had status {status} and {lines} lines for {users} users").into());
        }
        let grown = memory(pid)?.peak_kib.saturating_sub(before) as f64 / MIB;
        judge_export(bench, &format!("export by HTTP, {form}"), users, seconds, "grew by", grown);
    }
    let since = Instant::now();
    let mut child = servers::command(&bench.postgres, "127.0.0.1:0")
        .args(["employees", "export", "--tenant", "default", "--format", "csv"])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut out = child.stdout.take().ok_or("stdout is a pipe")?;
    let pid = child.id().ok_or("the export ended at once")?;
    // How much there is when the first part has come, and the most.
    let (mut first, mut peak) = (None, 0);
    let (mut lines, mut part) = (0, vec![0; 64 * 1024]);
    loop {
        let count = out.read(&mut part).await?;
        if count == 0 {
            break;
        }
        lines += count_lines(&part[..count]);
        // It may have ended already; what counts is the largest that was seen.
        if (first.is_none() || lines % 1_000 < 50)
            && let Ok(memory) = memory(pid)
        {
            first.get_or_insert(memory.now_kib);
            peak = memory.peak_kib.max(peak);
        }
    }
    let seconds = since.elapsed().as_secs_f64();
    if !child.wait().await?.success() || lines - 1 != users {
        return Err(format!("frontdesk employees export wrote {lines} lines for {users} users").into());
    }
    let grown = peak.saturating_sub(first.unwrap_or_default()) as f64 / MIB;
    judge_export(
        bench,
        "export by the command, csv",
        users,
        seconds,
        &format!("was at most {:.1} MiB and grew by", peak as f64 / MIB),
        grown,
    );
    Ok(())
}

fn judge_export(bench: &mut Bench, scenario: &str, users: usize, seconds: f64, memory: &str, mib: f64) {
    let rate = users as f64 / seconds;
    let measured = format!("{} rows/s; memory {memory} {mib:.1} MiB", grouped(rate as usize));
    let (data, goal) = (format!("{} users", grouped(users)), format!(">= 100,000 rows/s, memory grows by at most {EXPORT_MIB:.0} MiB"));
    bench.results.judge(scenario, &data, &goal, measured, Some(rate >= 100_000.0 && mib <= EXPORT_MIB));
}

fn count_lines(part: &[u8]) -> usize {
    part.iter().filter(|byte| **byte == b'\n').count()
}

/// From the start of the process until it is ready, on a database that has the schema.
pub(crate) async fn starts(bench: &mut Bench) -> Outcome<()> {
    if !bench.settings.wants("start") {
        return Ok(());
    }
    let mut took = Vec::new();
    for _ in 0..STARTS {
        took.push(servers::time_to_ready(&bench.postgres).await?);
    }
    let longest = took.iter().copied().fold(0.0, f64::max);
    let ms = middle(took);
    let measured = format!("{ms:.0} ms, the longest {longest:.0} ms");
    bench.results.judge("start to ready", &format!("median of {STARTS}"), "<= 300 ms", measured, Some(ms <= 300.0));
    Ok(())
}

/// The statements that a request of a remembered caller makes, as PostgreSQL logs them. The check of a connection that comes back
/// is none of them.
pub(crate) async fn statements(bench: &Bench, connection: &mut Connection, request: &Request) -> Outcome<Vec<String>> {
    let mut session = PgConnection::connect(&bench.postgres.frontdesk()).await?;
    let own: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut session).await?;
    set_logging(&mut session, "alter system set log_statement = 'all'").await?;
    // The caller is remembered now.
    connection.exchange(request).await?;
    tokio::time::sleep(SETTLE).await;
    let before = std::fs::metadata(bench.postgres.log())?.len();
    connection.exchange(request).await?;
    tokio::time::sleep(SETTLE).await;
    let log = std::fs::read(bench.postgres.log())?;
    set_logging(&mut session, "alter system reset log_statement").await?;
    let text = String::from_utf8_lossy(&log[usize::try_from(before)?.min(log.len())..]).into_owned();
    Ok(logged(&text, own))
}

async fn set_logging(session: &mut PgConnection, statement: &'static str) -> Outcome<()> {
    sqlx::raw_sql(statement).execute(&mut *session).await?;
    sqlx::raw_sql("select pg_reload_conf()").execute(session).await?;
    tokio::time::sleep(SETTLE).await;
    Ok(())
}

/// The statements in a piece of the log; those over several lines begin with the line that names their kind.
fn logged(text: &str, own: i32) -> Vec<String> {
    let mut statements: Vec<String> = Vec::new();
    for line in text.lines() {
        if !line.contains("LOG:  ") && !line.contains("DETAIL:  ") {
            if let Some(last) = statements.last_mut() {
                last.push_str(line);
            }
        } else if line.contains("LOG:  execute ") || line.contains("LOG:  statement: ") {
            statements.push(line.to_owned());
        }
    }
    statements.retain(|statement| !statement.contains(&format!("[{own}]")) && !statement.contains("statement_timestamp()"));
    statements
}
