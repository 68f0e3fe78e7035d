//! The measured parts of docs/performance.md, between two markers, and the plots beside it. What people wrote around the markers
//! stays.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::contest::{CONNECTIONS, Row, Series, Verdict, grouped};
use crate::plot::{Labels, svg};
use crate::{Bench, Outcome, progress};

const DOCUMENT: &str = "docs/performance.md";
const PLOTS: &str = "docs/plots";
const BEGIN: &str = "<!-- scripts/bench writes from here -->";
const END: &str = "<!-- scripts/bench writes to here -->";

/// The plots by the name of their file.
const PLOTTED: [(&str, Labels); 3] = [
    ("page-depth", Labels { title: "A page of 100, by how deep it lies", x: "page", y: "p50, ms, one connection", logarithmic: false }),
    (
        "group-size",
        Labels {
            title: "One member added or removed, by the size of the group",
            x: "members",
            y: "p50, ms, 16 connections",
            logarithmic: true,
        },
    ),
    (
        "user-count",
        Labels { title: "Finding one user, by how many there are", x: "users", y: "p50, ms, 16 connections", logarithmic: true },
    ),
];

/// Lookups of one user that the plot of the number of users shows.
const LOOKUPS: [(&str, &str); 6] = [
    ("get", "GET /Users/{id}"),
    ("get", "floor, by id"),
    ("user-name", "filter userName eq"),
    ("user-name", "floor, by user name"),
    ("external-id", "filter externalId eq"),
    ("external-id", "floor, by external id"),
];

/// Writes document and plots after a whole run, and prints the tables after a part of one.
pub(crate) fn write(bench: &Bench) -> Outcome<()> {
    let text = measured(bench)?;
    if bench.settings.only.is_some() {
        println!("{text}");
        return Ok(());
    }
    let document = fs::read_to_string(DOCUMENT)?;
    let parts = document.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) = parts.ok_or_else(|| format!("{DOCUMENT} has no place for the tables, between {BEGIN} and {END}"))?;
    fs::write(DOCUMENT, format!("{before}{BEGIN}\n{text}{END}{after}"))?;
    fs::create_dir_all(PLOTS)?;
    let mut lines = bench.results.series.clone();
    lines.extend(LOOKUPS.map(|(key, entry)| by_users(bench, key, entry)));
    for (name, labels) in &PLOTTED {
        let lines: Vec<&Series> = lines.iter().filter(|line| line.plot == *name && !line.points.is_empty()).collect();
        if !lines.is_empty() {
            fs::write(Path::new(PLOTS).join(format!("{name}.svg")), svg(labels, &lines))?;
        }
    }
    progress(&format!("{DOCUMENT} and {PLOTS} are written"));
    Ok(())
}

fn by_users(bench: &Bench, key: &str, entry: &str) -> Series {
    let rows = bench.results.rows.iter().filter(|row| row.key == key && row.entry == entry && row.connections == CONNECTIONS[0]);
    Series { plot: "user-count", name: entry.into(), points: rows.map(|row| (row.users as f64, row.median.p50_ms)).collect() }
}

fn measured(bench: &Bench) -> Outcome<String> {
    let mut out = String::new();
    if bench.settings.quick {
        out.push_str("\n**A quick run with less data, on a busy machine: it shows the form of the tables, and no figure to cite.**\n");
    }
    let _ = writeln!(out, "\n{}\n", circumstances(bench)?);
    write_verdicts(&mut out, &bench.results.verdicts);
    for connections in CONNECTIONS {
        write_rows(&mut out, bench, connections);
    }
    out.push_str("### Growth\n\n");
    for (name, labels) in &PLOTTED {
        let _ = writeln!(out, "![{}](plots/{name}.svg)\n", labels.title);
    }
    Ok(out)
}

/// Of what, where and how it was measured.
fn circumstances(bench: &Bench) -> Outcome<String> {
    let ask = |program: &str, arguments: &[&str]| -> Outcome<String> {
        let output = Command::new(program).args(arguments).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = ask("git", &["rev-parse", "--short=12", "HEAD"])?;
    let changed = !ask("git", &["status", "--porcelain", "--untracked-files=no", "src", "migrations", "benches", "Cargo.toml"])?.is_empty();
    let information = fs::read_to_string("/proc/cpuinfo")?;
    let model = information.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map_or("unknown", |(_, name)| name);
    let processors = std::thread::available_parallelism()?;
    let major = fs::read_to_string(bench.postgres.log().with_file_name("pgdata").join("PG_VERSION"))?;
    let (rounds, seconds) = (bench.settings.rounds(), bench.settings.length().as_secs_f64());
    Ok(format!(
        "Commit `{commit}`{}; {processors} processors ({model}); PostgreSQL {}; up to {} users; medians of {rounds} rounds of {seconds} s; \
         the whole run took {} minutes.",
        if changed { " with changes" } else { "" },
        major.trim(),
        grouped(bench.settings.users()),
        bench.since.elapsed().as_secs().div_ceil(60),
    ))
}

fn write_verdicts(out: &mut String, verdicts: &[Verdict]) {
    let counted = verdicts.iter().filter(|verdict| verdict.met.is_some()).count();
    let met = verdicts.iter().filter(|verdict| verdict.met == Some(true)).count();
    let _ = writeln!(out, "### Goals\n\n{met} of {counted} met.\n\n| scenario | data | goal | measured | |\n|---|---|---|---|---|");
    for Verdict { scenario, data, goal, measured, met } in verdicts {
        let met = met.map_or("", |met| if met { "met" } else { "**missed**" });
        let _ = writeln!(out, "| {scenario} | {data} | {goal} | {measured} | {met} |");
    }
    out.push('\n');
}

fn write_rows(out: &mut String, bench: &Bench, connections: usize) {
    let plural = if connections == 1 { "One connection" } else { "16 connections" };
    let _ = writeln!(
        out,
        "### {plural}\n\nCPU is processor time a request, of the server and of PostgreSQL; the peak is the server's resident memory.\n\n\
         | scenario | users | ratio to the floor | requests/s | p50 ms | p99 ms | CPU server µs | CPU PostgreSQL µs | peak MiB |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|--:|"
    );
    for row in bench.results.rows.iter().filter(|row| row.connections == connections) {
        let Row { entry, users, median, .. } = row;
        let floor = row.floor.as_ref().and_then(|floor| bench.results.row(row.key, *users, floor, connections));
        let ratio = floor.map_or(String::new(), |floor| format!("{:.2}", median.per_second / floor.median.per_second));
        let _ = writeln!(
            out,
            "| {entry} | {} | {ratio} | {:.0} | {:.2} | {:.2} | {:.0} | {:.0} | {:.1} |",
            grouped(*users),
            median.per_second,
            median.p50_ms,
            median.p99_ms,
            median.server_us,
            median.postgres_us,
            median.peak_kib as f64 / 1024.0
        );
    }
    out.push('\n');
}
