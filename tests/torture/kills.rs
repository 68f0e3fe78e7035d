//! kill -9 in the middle of sixty-four writes: of the server, or of PostgreSQL with all its processes; or a disk that is full.
//! Afterwards every acknowledged write must be in the database, and every other one wholly or not at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::check;
use crate::client::Client;
use crate::notebook::settle;
use crate::plan::Budget;
use crate::random::Random;
use crate::server::Server;
use crate::world::{Fallible, PATIENCE, POLL, Tenancy, World};
use crate::writers::{Writers, Writing};

/// The fewest requests that must be on their way at a kill.
const IN_FLIGHT_MIN: usize = 50;

/// The most writes that are acknowledged before a kill is due.
const ACKNOWLEDGED_MAX: u64 = 500;

/// How long PostgreSQL stays away at most, in milliseconds.
const AWAY_MS: u64 = 1_000;

/// A new tenant after so many kills, so that the checks stay fast.
const KILLS_PER_TENANT: u64 = 10;

/// More connections than the default, so that many writes are inside the database at a kill.
const SETTINGS: [(&str, &str); 1] = [("FRONTDESK_DATABASE_POOL_SIZE", "32")];

/// What is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Victim {
    Server,
    Database,
    /// The room on PostgreSQL's disk. Where its log of changes finds none, PostgreSQL ends by itself.
    Disk,
}

/// The figures of a run.
#[derive(Default)]
struct Figures {
    acknowledged: u64,
    unanswered: u64,
    in_flight_min: Option<usize>,
    recovery_max: Duration,
}

/// Kills until the budget is used.
pub async fn run(world: &mut World, budget: &mut Budget, random: &Random, victim: Victim) -> Fallible<String> {
    let name = match victim {
        Victim::Server => "kills",
        Victim::Database => "database-kills",
        Victim::Disk => "full-disk",
    };
    let mut server = Server::start(world.dir(), name, &world.url(), &SETTINGS).await?;
    let mut figures = Figures::default();
    let mut on: Option<(Tenancy, Writers)> = None;
    while let Some(cycle) = budget.next_cycle() {
        if (cycle - 1).is_multiple_of(KILLS_PER_TENANT) {
            finish_tenant(world, on.take(), &mut figures).await?;
        }
        let (tenancy, writers) = match on.take() {
            Some(on) => on,
            None => {
                let tenancy = world.tenant().await?;
                let writers = Writers::new(server.port, &tenancy).await?;
                (tenancy, writers)
            }
        };
        let mut random = random.fork(cycle);
        let writing = writers.start(&random);
        let in_flight = wait_for_load(&writing, &mut random).await?;
        figures.in_flight_min = Some(figures.in_flight_min.map_or(in_flight, |least| least.min(in_flight)));
        let began = Instant::now();
        let mut writers = match victim {
            Victim::Server => kill_server(world, &mut server, writing).await?,
            Victim::Database => kill_database(world, &mut server, writing, &tenancy, &mut random).await?,
            Victim::Disk => fill_disk(world, &mut server, writing, &tenancy).await?,
        };
        figures.recovery_max = figures.recovery_max.max(began.elapsed());
        figures.unanswered += writers.notebooks.iter().map(|notebook| notebook.pending.len() as u64).sum::<u64>();
        let mut session = world.session().await?;
        let stored = check::people(&mut session, tenancy.tenant_id).await?;
        settle(&mut writers.notebooks, &stored).map_err(|lost| format!("cycle {cycle}: {lost}"))?;
        check::invariants(&mut session, tenancy.tenant_id).await.map_err(|broken| format!("cycle {cycle}: {broken}"))?;
        on = Some((tenancy, writers));
    }
    finish_tenant(world, on, &mut figures).await?;
    server.finish().await?;
    Ok(format!(
        "{} {} under at least {} requests in flight: {} writes acknowledged, 0 lost; {} without an answer, each whole or absent; \
         longest recovery {:.1} s",
        budget.done(),
        if victim == Victim::Disk { "times a full disk" } else { "kills" },
        figures.in_flight_min.unwrap_or_default(),
        figures.acknowledged,
        figures.unanswered,
        figures.recovery_max.as_secs_f64()
    ))
}

/// The last look at a tenant.
async fn finish_tenant(world: &World, on: Option<(Tenancy, Writers)>, figures: &mut Figures) -> Fallible<()> {
    let Some((tenancy, writers)) = on else { return Ok(()) };
    figures.acknowledged += writers.acknowledged();
    check::projections(&world.url(), &tenancy).await
}

/// Lets the writers write until some writes were acknowledged and enough requests are on their way.
async fn wait_for_load(writing: &Writing, random: &mut Random) -> Fallible<usize> {
    let due = 1 + random.below(ACKNOWLEDGED_MAX);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let in_flight = writing.in_flight();
        if in_flight >= IN_FLIGHT_MIN && writing.acknowledged() >= due {
            return Ok(in_flight);
        }
        if Instant::now() > deadline {
            return Err(format!("only {in_flight} writers write, and {} writes were done", writing.acknowledged()).into());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn kill_server(world: &World, server: &mut Server, writing: Writing) -> Fallible<Writers> {
    server.kill().await?;
    let writers = writing.join().await?;
    world.wait_for_quiet().await?;
    server.restart().await?;
    Ok(writers)
}

/// The server must recover by itself, and must not take the absence of its database for a wrong token.
async fn kill_database(
    world: &mut World,
    server: &mut Server,
    writing: Writing,
    tenancy: &Tenancy,
    random: &mut Random,
) -> Fallible<Writers> {
    let probe = Probe::start(server.port, tenancy);
    world.kill_database()?;
    tokio::time::sleep(Duration::from_millis(random.below(AWAY_MS))).await;
    world.start_database().await?;
    server.wait_ready().await?;
    let writers = writing.join().await?;
    if probe.finish().await? == 0 {
        return Err("nobody was told that the database was away".into());
    }
    answers_again(server, tenancy).await?;
    Ok(writers)
}

/// Writers are refused with 503 until all of them give up, readers are answered as long as PostgreSQL is there, and when there is room
/// again everything goes on.
async fn fill_disk(world: &mut World, server: &mut Server, writing: Writing, tenancy: &Tenancy) -> Fallible<Writers> {
    let probe = Probe::start(server.port, tenancy);
    world.fill_disk()?;
    let deadline = Instant::now() + PATIENCE;
    while !writing.has_ended() {
        if Instant::now() > deadline {
            return Err(format!("{} writers still write on a full disk", writing.in_flight()).into());
        }
        tokio::time::sleep(POLL).await;
    }
    world.free_disk()?;
    world.start_database().await?;
    server.wait_ready().await?;
    let writers = writing.join().await?;
    probe.finish().await?;
    answers_again(server, tenancy).await?;
    Ok(writers)
}

async fn answers_again(server: &Server, tenancy: &Tenancy) -> Fallible<()> {
    let answer = Client::new(server.port, &tenancy.token).get("/Users?count=1").await;
    if answer.as_ref().is_none_or(|answer| answer.status != 200) {
        return Err(format!("the server is ready and answers {answer:?}").into());
    }
    Ok(())
}

/// Reads all the time, and wants 200 or 503.
struct Probe {
    stop: Arc<AtomicBool>,
    unavailable: Arc<AtomicU64>,
    reading: JoinHandle<Fallible<()>>,
}

impl Probe {
    fn start(port: u16, tenancy: &Tenancy) -> Self {
        let (stop, unavailable) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&unavailable));
        let client = Client::new(port, &tenancy.token);
        let reading = tokio::spawn(async move {
            while !stopped.load(Ordering::SeqCst) {
                match client.get("/Users?count=1").await {
                    Some(answer) if answer.status == 200 => {}
                    Some(answer) if answer.status == 503 && answer.retry_after => drop(counted.fetch_add(1, Ordering::SeqCst)),
                    answer => return Err(format!("a read while the database is away was answered {answer:?}").into()),
                }
                tokio::time::sleep(POLL).await;
            }
            Ok(())
        });
        Self { stop, unavailable, reading }
    }

    /// How often it was told that the database was away.
    async fn finish(self) -> Fallible<u64> {
        self.stop.store(true, Ordering::SeqCst);
        self.reading.await??;
        Ok(self.unavailable.load(Ordering::SeqCst))
    }
}
