//! Measures a release build of Frontdesk against the floor (`floor`) on the same machine and the same PostgreSQL, alternately in one
//! run, and writes the tables and plots of docs/performance.md. `scripts/bench` starts it. Not here: the pure parts, which need no
//! server.
//!
//! | file | what is there |
//! |---|---|
//! | `servers`, `process` | the processes that are measured, and what the system says of them |
//! | `seed` | users and members, the same for both |
//! | `load` | the client |
//! | `contest` | several loads in turn, with a goal for each |
//! | `reads`, `writes`, `groups` | the contests |
//! | `single` | what is measured of Frontdesk alone |
//! | `report`, `plot` | tables, plots, rounds as CSV |

mod contest;
mod floor;
mod groups;
mod load;
mod plot;
mod process;
mod reads;
mod report;
mod seed;
mod servers;
mod single;
mod writes;

use std::io::Write as _;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::Parser as _;
use tokio::signal::unix::{SignalKind, signal};
use uuid::Uuid;

use contest::Results;
use servers::{Postgres, Server};

/// What a step gives; what is wrong ends the bench with one line.
pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Users of the first stage.
pub(crate) const FIRST_STAGE: usize = 10_000;

/// Measures Frontdesk against the floor and writes docs/performance.md.
#[derive(Debug, Clone, clap::Parser)]
#[command(name = "scripts/bench")]
pub(crate) struct Settings {
    /// A few minutes with less data and shorter rounds: shows that everything works, and no figure worth citing
    #[arg(long)]
    quick: bool,
    /// Only the scenarios whose name contains this; docs/performance.md is left alone
    #[arg(long, value_name = "SCENARIO")]
    only: Option<String>,
    /// Users of the last stage [default: 1000000, quick: 30000]
    #[arg(long, value_name = "N")]
    users: Option<usize>,
    /// Rounds of every measurement [default: 5, quick: 3]
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// How long a round is, in seconds [default: 2, quick: 0.5]
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<f64>,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

impl Settings {
    fn users(&self) -> usize {
        self.users.unwrap_or(if self.quick { 30_000 } else { 1_000_000 }).max(FIRST_STAGE)
    }

    fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick { 3 } else { 5 }).max(1)
    }

    fn length(&self) -> Duration {
        Duration::from_secs_f64(self.seconds.unwrap_or(if self.quick { 0.5 } else { 2.0 }))
    }

    /// Whether a scenario is to be measured.
    pub(crate) fn wants(&self, scenario: &str) -> bool {
        self.only.as_ref().is_none_or(|only| scenario.contains(only.as_str()))
    }

    /// The numbers of users at which is measured: tenfold each.
    fn stages(&self) -> Vec<usize> {
        let last = self.users();
        let smaller = std::iter::successors(Some(FIRST_STAGE), |users| users.checked_mul(10));
        smaller.take_while(|users| *users < last).chain([last]).collect()
    }
}

/// What every scenario works with.
pub(crate) struct Bench {
    pub(crate) settings: Settings,
    pub(crate) postgres: Postgres,
    pub(crate) floor: Server,
    pub(crate) frontdesk: Server,
    pub(crate) tenant: Uuid,
    /// The ids of the seeded users, by number.
    pub(crate) users: Rc<Vec<Uuid>>,
    pub(crate) results: Results,
    since: Instant,
}

impl Bench {
    /// Stops Frontdesk and starts it again, for what depends on a server that has done nothing yet.
    pub(crate) async fn restart(&mut self) -> Outcome<()> {
        let token = self.frontdesk.target.token.clone();
        let fresh = Server::frontdesk(&self.postgres, Some(&token)).await?;
        std::mem::replace(&mut self.frontdesk, fresh).stop().await
    }
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    if let (Some("floor"), Some(url)) = (arguments.next().as_deref(), arguments.next()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        return ended(runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(floor::serve(&url))));
    }
    let settings = Settings::parse();
    // The client has one thread, so that it takes at most one of the processors.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    ended(runtime.map_err(Into::into).and_then(|runtime| tokio::task::LocalSet::new().block_on(&runtime, until_signal(settings))))
}

fn ended(outcome: Outcome<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nbench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whatever is dropped at a signal stops by itself: the servers are killed, the cluster is stopped.
async fn until_signal(settings: Settings) -> Outcome<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        outcome = measure(settings) => outcome,
        _ = interrupt.recv() => Err("interrupted".into()),
        _ = terminate.recv() => Err("terminated".into()),
    }
}

async fn measure(settings: Settings) -> Outcome<()> {
    let since = Instant::now();
    let postgres = Postgres::start().await?;
    let frontdesk = Server::frontdesk(&postgres, None).await?;
    let tenant = servers::tenant(&postgres).await?;
    let floor = Server::floor(&postgres).await?;
    let results = Results::new()?;
    let mut bench = Bench { settings, postgres, floor, frontdesk, tenant, users: Rc::default(), results, since };
    let stages = bench.settings.stages();
    for (at, users) in stages.iter().enumerate() {
        let mut ids = Rc::unwrap_or_clone(std::mem::take(&mut bench.users));
        seed::load(&mut ids, *users, bench.tenant, &bench.postgres.floor(), &bench.postgres.frontdesk()).await?;
        bench.users = Rc::new(ids);
        reads::lookups(&mut bench).await?;
        if at == 0 {
            single::seeded_as_written(&bench).await?;
            writes::all(&mut bench).await?;
        }
    }
    reads::same_at_all_sizes(&mut bench);
    reads::attributes(&mut bench).await?;
    reads::lists(&mut bench).await?;
    single::scans(&mut bench).await?;
    single::memory_rows(&mut bench).await?;
    single::exports(&mut bench).await?;
    groups::all(&mut bench).await?;
    single::starts(&mut bench).await?;
    progress(&format!("done in {} s", bench.since.elapsed().as_secs()));
    report::write(&bench)?;
    let Bench { postgres, floor, frontdesk, .. } = bench;
    frontdesk.stop().await?;
    floor.stop().await?;
    postgres.stop().await
}

/// Tells how far it is; what cannot be told is not needed.
pub(crate) fn progress(text: &str) {
    let _ = writeln!(std::io::stderr(), "bench: {text}");
}
