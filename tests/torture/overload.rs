//! Overload: what sixteen clients get done is the peak; ten times as many must still get four fifths of it done, and forty times as
//! many, which is more than one tenant may have in progress, must get seven tenths: who is turned away is told 503 with `Retry-After`. Afterwards
//! the sixteen get as much done as before, within the same bound.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::client::{Client, patch, user};
use crate::plan::Budget;
use crate::random::Random;
use crate::server::Server;
use crate::world::{Fallible, World};

/// The clients that make the peak, how many times as many make the overload, and how many times as many are turned away in part.
const CLIENTS: u64 = 16;
const TIMES: u64 = 10;
const TIMES_TOO_MANY: u64 = 40;

/// How long the peak is measured, before and after.
const MEASURED: Duration = Duration::from_secs(15);

/// How long the overload takes when the time allows it, and at least.
const OVERLOAD: Duration = Duration::from_secs(120);
const OVERLOAD_MIN: Duration = Duration::from_secs(15);

/// The users that are read and changed.
const USERS: u64 = 200;

/// The least share of the peak, in percent; and while many are turned away, who are told so by the same processors.
const SHARE_MIN: f64 = 80.0;
const SHARE_MIN_TOO_MANY: f64 = 70.0;

/// How long a client that was turned away waits, which is what `Retry-After` asks.
const PAUSE: Duration = Duration::from_secs(1);

/// What clients got.
#[derive(Debug, Default)]
struct Tally {
    done: u64,
    shed: u64,
    /// Of what was done, in microseconds.
    latencies: Vec<u32>,
}

/// Overloads until the budget is used.
pub async fn run(world: &World, budget: &mut Budget, random: &Random, whole: bool) -> Fallible<String> {
    let server = Server::start(world.dir(), "overload", &world.url(), &[]).await?;
    let tenancy = world.tenant().await?;
    let mut ids = Vec::new();
    let client = Client::new(server.port, &tenancy.token);
    for number in 0..USERS {
        let made = client.send("POST", "/Users", Some(&user(&format!("user-{number}"), "Guide"))).await;
        ids.push(made.filter(|answer| answer.status == 201).ok_or("a user could not be made")?.id());
    }
    let ids = Arc::new(ids);
    let load = |clients: u64, time: Duration, part: u64| load(client.clone(), Arc::clone(&ids), clients, time, random.fork(part));
    let overload = if whole { OVERLOAD } else { (budget.time_left() / 2).clamp(OVERLOAD_MIN, OVERLOAD) };
    // The first load fills the pool and the caches.
    load(CLIENTS, MEASURED / 5, 1).await?;
    let mut seen = String::new();
    while let Some(cycle) = budget.next_cycle() {
        let peak = per_second(&load(CLIENTS, MEASURED, 4 * cycle).await?, MEASURED);
        seen = format!("peak {peak:.0}/s with {CLIENTS} clients");
        let mut enough = true;
        for (part, times, time, least) in [(1, TIMES, overload, SHARE_MIN), (2, TIMES_TOO_MANY, MEASURED, SHARE_MIN_TOO_MANY)] {
            let mut tally = load(CLIENTS * times, time, 4 * cycle + part).await?;
            let good = per_second(&tally, time);
            tally.latencies.sort_unstable();
            let p99 = tally.latencies.get(tally.latencies.len() * 99 / 100).copied().unwrap_or_default();
            let longest = tally.latencies.last().copied().unwrap_or_default();
            let share = 100.0 * good / peak;
            let _ = write!(
                seen,
                "; with {} for {:.0} s {good:.0}/s ({share:.0} %), {} shed, 99 % done within {:.0} ms and all within {:.0}",
                CLIENTS * times,
                time.as_secs_f64(),
                tally.shed,
                f64::from(p99) / 1000.0,
                f64::from(longest) / 1000.0
            );
            if times == TIMES_TOO_MANY && tally.shed == 0 {
                return Err(format!("nobody was turned away: {seen}").into());
            }
            enough &= share >= least;
        }
        let after = per_second(&load(CLIENTS, MEASURED, 4 * cycle + 3).await?, MEASURED);
        let _ = write!(seen, "; afterwards {after:.0}/s");
        if !enough || 100.0 * after / peak < SHARE_MIN {
            return Err(format!("too little of the peak: {seen}").into());
        }
    }
    server.finish().await?;
    Ok(seen)
}

fn per_second(tally: &Tally, time: Duration) -> f64 {
    tally.done as f64 / time.as_secs_f64()
}

/// So many clients, each of which sends its next request when the last one was answered.
async fn load(client: Client, ids: Arc<Vec<String>>, clients: u64, time: Duration, random: Random) -> Fallible<Tally> {
    let deadline = Instant::now() + time;
    let mut running = JoinSet::new();
    for number in 0..clients {
        running.spawn(send(client.clone(), Arc::clone(&ids), deadline, random.fork(number + 1)));
    }
    let mut all = Tally::default();
    for tally in running.join_all().await {
        let tally = tally?;
        all.done += tally.done;
        all.shed += tally.shed;
        all.latencies.extend(tally.latencies);
    }
    Ok(all)
}

/// Seven reads, two lookups and a change in ten.
async fn send(client: Client, ids: Arc<Vec<String>>, deadline: Instant, mut random: Random) -> Fallible<Tally> {
    let mut tally = Tally::default();
    while Instant::now() < deadline {
        let number = random.below(USERS);
        let path = format!("/Users/{}", ids[number as usize]);
        let kind = random.below(10);
        let title = format!("{:016x}", random.draw());
        let began = Instant::now();
        let answer = match kind {
            0 => client.send("PATCH", &path, Some(&patch("replace", "title", title.into()))).await,
            1..3 => client.get(&format!("/Users?filter=userName eq \"user-{number}\"")).await,
            _ => client.get(&path).await,
        };
        match answer {
            Some(answer) if answer.status == 200 => {
                tally.done += 1;
                tally.latencies.push(u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX));
            }
            Some(answer) if answer.status == 503 && answer.retry_after => {
                tally.shed += 1;
                tokio::time::sleep(PAUSE).await;
            }
            answer => return Err(format!("a request in an overload was answered {answer:?}").into()),
        }
    }
    Ok(tally)
}
