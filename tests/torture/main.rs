//! `scripts/torture MINUTES [SEED]`: the long tests, on the real program as processes and a PostgreSQL of their own. Each exercise
//! is a file; `docs/reliability.md` says what each shows. The seed decides the operations and is printed first. The first violation
//! ends the run with what differed and the command that repeats it.
//!
//! Not here: the tests that fit into a minute (`tests/suite`), among them those of the two checkers, `notebook` and `linear`.

#![expect(unreachable_pub, reason = "what the exercises share is public within this one program")]

mod alternation;
mod backup;
mod check;
mod client;
mod histories;
mod kills;
mod linear;
mod notebook;
mod overload;
mod plan;
mod races;
mod random;
mod rolling;
mod server;
mod starts;
mod world;
mod writers;

use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use self::kills::Victim;
use self::plan::Budget;
use self::races::Race;
use self::random::Random;
use self::world::{Fallible, World};

/// The exercises, and how the time is divided among them.
const EXERCISES: [(&str, u32); 11] = [
    ("kills", 5),
    ("database-kills", 4),
    ("full-disk", 1),
    ("creates", 4),
    ("members", 3),
    ("histories", 4),
    ("rolling", 3),
    ("overload", 3),
    ("alternation", 1),
    ("starts", 2),
    ("backup", 1),
];

/// The long tests: kills, races, restarts, overload.
#[derive(Debug, Parser)]
#[command(name = "scripts/torture")]
struct Arguments {
    /// How long all exercises take together, about
    #[arg(default_value_t = 30.0)]
    minutes: f64,
    /// Decides which operations are chosen [default: from the clock]
    #[arg(conflicts_with = "seed_option")]
    seed: Option<u64>,
    /// The same, where the minutes are left out
    #[arg(long = "seed", value_name = "SEED")]
    seed_option: Option<u64>,
    /// These exercises only
    #[arg(long, value_delimiter = ',', value_parser = EXERCISES.map(|(name, _)| name))]
    only: Vec<String>,
    /// So many cycles of each exercise, however long they take
    #[arg(long)]
    cycles: Option<u64>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let seed = arguments.seed.or(arguments.seed_option).unwrap_or_else(seed_of_the_clock);
    println!("seed {seed}");
    // Whoever ends the run ends its processes too: they end when what holds them is dropped.
    let outcome = tokio::select! {
        outcome = run_all(&arguments, seed) => outcome,
        () = interrupted() => Err("interrupted".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("torture: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Waits for SIGINT or SIGTERM.
async fn interrupted() {
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

fn seed_of_the_clock() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

async fn run_all(arguments: &Arguments, seed: u64) -> Fallible<()> {
    let chosen: Vec<_> =
        EXERCISES.iter().filter(|(name, _)| arguments.only.is_empty() || arguments.only.iter().any(|only| only == name)).collect();
    let shares: u32 = chosen.iter().map(|(_, share)| share).sum();
    let time = Duration::try_from_secs_f64(arguments.minutes * 60.0)?;
    let mut world = World::new().await?;
    let mut rows = Vec::new();
    for (name, share) in chosen {
        let mut budget = Budget::new(arguments.cycles, time * *share / shares);
        let began = Instant::now();
        let seen = match run(name, &mut world, &mut budget, &Random::new(seed), arguments.cycles.is_some()).await {
            Ok(seen) => seen,
            Err(violation) => {
                let (cycles, logs) = (budget.done(), world.keep().await?);
                let repeat = format!("scripts/torture --only {name} --cycles {cycles} --seed {seed}");
                let logs = logs.display();
                return Err(format!("{name}, seed {seed}, cycle {cycles}: {violation}\nto repeat: {repeat}\nlogs: {logs}").into());
            }
        };
        println!("{name}: {seen} ({:.0} s)", began.elapsed().as_secs_f64());
        rows.push(format!("| {name} | {seen} | {seed} |"));
    }
    world.close().await?;
    println!("\n| exercise | seen | seed |\n|---|---|---|\n{}", rows.join("\n"));
    Ok(())
}

async fn run(name: &str, world: &mut World, budget: &mut Budget, random: &Random, counted: bool) -> Fallible<String> {
    match name {
        "kills" => kills::run(world, budget, random, Victim::Server).await,
        "database-kills" => kills::run(world, budget, random, Victim::Database).await,
        "full-disk" => match World::small().await? {
            Some(mut small) => {
                let seen = kills::run(&mut small, budget, random, Victim::Disk).await?;
                small.close().await?;
                Ok(seen)
            }
            None => Ok("left out: this account may not mount a small file system".into()),
        },
        "creates" => races::run(world, budget, random, Race::Creates).await,
        "members" => races::run(world, budget, random, Race::Members).await,
        "histories" => histories::run(world, budget, random).await,
        "rolling" => rolling::run(world, budget, random).await,
        "overload" => overload::run(world, budget, random, counted).await,
        "alternation" => alternation::run(world, budget, random).await,
        "starts" => starts::run(world, budget, random).await,
        "backup" => backup::run(world, budget, random).await,
        _ => Err(format!("there is no exercise {name}").into()),
    }
}
