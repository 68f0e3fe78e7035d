//! Several loads in turn: each round measures one after the other, so that what changes on the machine meanwhile meets all of them.
//! What counts is the median over the rounds. Each round goes to a CSV file as it is measured.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;

use crate::load::{Load, Measured, round};
use crate::process::Watched;
use crate::{Bench, Outcome, progress};

/// The connections that goals speak of, and one alone.
pub(crate) const CONNECTIONS: [usize; 2] = [16, 1];

/// What is wanted of an entry, mostly in relation to another one of the contest.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Goal {
    /// At least so much of the other's rate.
    Rate(f64),
    /// A median latency of at most so many times the other's.
    P50(f64),
    /// A median latency of at most so many milliseconds.
    Milliseconds(f64),
}

/// A load of a contest.
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) load: Load,
    pub(crate) watched: Watched,
    /// Goals at 16 connections, and the entry that each refers to.
    pub(crate) goals: Vec<(String, Goal)>,
}

/// Loads that are measured in turn.
pub(crate) struct Contest {
    /// The name for `--only`.
    pub(crate) key: &'static str,
    pub(crate) connections: &'static [usize],
    pub(crate) entries: Vec<Entry>,
}

/// The median of an entry's rounds.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) key: &'static str,
    /// How many users there were.
    pub(crate) users: usize,
    pub(crate) entry: String,
    /// The entry of the floor for the same, of which the ratio is told.
    pub(crate) floor: Option<String>,
    pub(crate) connections: usize,
    pub(crate) median: Measured,
}

/// A goal and what was measured.
#[derive(Debug, Clone)]
pub(crate) struct Verdict {
    pub(crate) scenario: String,
    pub(crate) data: String,
    pub(crate) goal: String,
    pub(crate) measured: String,
    pub(crate) met: Option<bool>,
}

/// A line of a plot.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    /// The plot.
    pub(crate) plot: &'static str,
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

/// All that was measured.
#[derive(Debug)]
pub(crate) struct Results {
    pub(crate) rows: Vec<Row>,
    pub(crate) verdicts: Vec<Verdict>,
    pub(crate) series: Vec<Series>,
    rounds: File,
}

impl Results {
    /// Begins the file of the rounds.
    pub(crate) fn new() -> Outcome<Self> {
        let path = target_directory()?.join("bench-rounds.csv");
        let mut rounds = File::create(&path)?;
        writeln!(rounds, "scenario,users,entry,connections,round,requests,per_second,p50_ms,p99_ms,server_us,postgres_us,peak_kib")?;
        progress(&format!("the rounds go to {}", path.display()));
        Ok(Self { rows: Vec::new(), verdicts: Vec::new(), series: Vec::new(), rounds })
    }

    /// The median of an entry at so many users and connections.
    pub(crate) fn row(&self, key: &str, users: usize, entry: &str, connections: usize) -> Option<&Row> {
        let is_it = |row: &&Row| row.key == key && row.users == users && row.entry == entry && row.connections == connections;
        self.rows.iter().find(is_it)
    }

    pub(crate) fn judge(&mut self, scenario: &str, data: &str, goal: &str, measured: String, met: Option<bool>) {
        let verdict = if met == Some(false) { " (missed)" } else { "" };
        progress(&format!("{scenario}, {data}: {measured}; goal {goal}{verdict}"));
        self.verdicts.push(Verdict { scenario: scenario.into(), data: data.into(), goal: goal.into(), measured, met });
    }

    fn note(&mut self, contest: &Contest, users: usize, entry: &str, connections: usize, round: usize, m: &Measured) -> Outcome<()> {
        let Measured { requests, per_second, p50_ms, p99_ms, server_us, postgres_us, peak_kib } = m;
        let key = contest.key;
        Ok(writeln!(
            self.rounds,
            "{key},{users},\"{entry}\",{connections},{round},{requests},{per_second:.1},{p50_ms:.3},{p99_ms:.3},{server_us:.1},{postgres_us:.1},{peak_kib}"
        )?)
    }
}

/// Where cargo builds; nothing in it is committed.
pub(crate) fn target_directory() -> Outcome<PathBuf> {
    let directory = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    fs::create_dir_all(&directory)?;
    Ok(directory)
}

/// Holds a contest, if it is wanted.
pub(crate) async fn hold(bench: &mut Bench, contest: Contest) -> Outcome<()> {
    if !bench.settings.wants(contest.key) {
        return Ok(());
    }
    let users = bench.users.len();
    for connections in contest.connections.iter().copied() {
        let mut rounds: Vec<Vec<Measured>> = contest.entries.iter().map(|_| Vec::new()).collect();
        for number in 0..bench.settings.rounds() {
            for (entry, measured) in contest.entries.iter().zip(&mut rounds) {
                let one = round(&entry.load, connections, bench.settings.length(), &entry.watched).await?;
                bench.results.note(&contest, users, &entry.name, connections, number, &one)?;
                measured.push(one);
            }
        }
        for (entry, measured) in contest.entries.iter().zip(&rounds) {
            let median = median(measured);
            progress(&format!(
                "{}, {users} users, {connections} connections: {}: {:.0}/s, p50 {:.2} ms, p99 {:.2} ms",
                contest.key, entry.name, median.per_second, median.p50_ms, median.p99_ms
            ));
            let floor = entry.goals.iter().map(|(other, _)| other).find(|other| other.starts_with("floor")).cloned();
            bench.results.rows.push(Row { key: contest.key, users, entry: entry.name.clone(), floor, connections, median });
        }
    }
    judge(bench, &contest, users);
    Ok(())
}

/// Holds every entry against its goals.
fn judge(bench: &mut Bench, contest: &Contest, users: usize) {
    let connections = contest.connections[0];
    for entry in &contest.entries {
        for (other, goal) in &entry.goals {
            let find = |name: &str| bench.results.row(contest.key, users, name, connections).map(|row| row.median.clone());
            let Some(own) = find(&entry.name) else { continue };
            let other_one = find(other).unwrap_or_default();
            let (goal, measured, met) = match goal {
                Goal::Rate(least) => {
                    let ratio = own.per_second / other_one.per_second;
                    // Cut off and not rounded: 0.80 is what meets a goal of 0.80.
                    (format!(">= {least:.2} of the rate of: {other}"), format!("{:.2}", (ratio * 100.0).floor() / 100.0), ratio >= *least)
                }
                Goal::P50(most) => {
                    let ratio = own.p50_ms / other_one.p50_ms;
                    (format!("p50 <= {most:.1}x of: {other}"), format!("{ratio:.2}x"), ratio <= *most)
                }
                Goal::Milliseconds(most) => (format!("p50 <= {most:.0} ms"), format!("{:.2} ms", own.p50_ms), own.p50_ms <= *most),
            };
            bench.results.judge(&entry.name, &format!("{} users", grouped(users)), &goal, measured, Some(met));
        }
    }
}

/// The median of each figure; the peak is the highest.
fn median(rounds: &[Measured]) -> Measured {
    let of = |figure: fn(&Measured) -> f64| middle(rounds.iter().map(figure).collect());
    Measured {
        requests: rounds.iter().map(|round| round.requests).sum(),
        per_second: of(|round| round.per_second),
        p50_ms: of(|round| round.p50_ms),
        p99_ms: of(|round| round.p99_ms),
        server_us: of(|round| round.server_us),
        postgres_us: of(|round| round.postgres_us),
        peak_kib: rounds.iter().map(|round| round.peak_kib).max().unwrap_or_default(),
    }
}

/// The median of some figures; of two in the middle their mean.
pub(crate) fn middle(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    let count = figures.len();
    if count == 0 { f64::NAN } else { f64::midpoint(figures[(count - 1) / 2], figures[count / 2]) }
}

/// A number with commas between the thousands.
pub(crate) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
