//! What the system says of a process: its processor time and its memory, read from /proc. So the bench runs on Linux only.

use std::fs;
use std::time::Duration;

use crate::Outcome;

/// The unit of processor time in /proc, the same on every Linux.
const TICK: Duration = Duration::from_millis(10);

/// The processes that a measurement looks at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Watched {
    /// The server that is asked.
    pub(crate) server: u32,
    /// PostgreSQL's first process; the others are its children.
    pub(crate) postgres: u32,
}

/// Processor time used so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cpu {
    pub(crate) server: Duration,
    /// Of all of PostgreSQL's processes, those that have ended included.
    pub(crate) postgres: Duration,
}

impl Cpu {
    pub(crate) fn of(watched: &Watched) -> Outcome<Self> {
        let server = Stat::of(watched.server)?.own;
        let first = Stat::of(watched.postgres)?;
        let mut postgres = first.own + first.ended_children;
        for entry in fs::read_dir("/proc")?.flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            // A process may have ended since it was listed.
            if let Ok(stat) = Stat::of(pid)
                && stat.parent == watched.postgres
            {
                postgres += stat.own;
            }
        }
        Ok(Self { server, postgres })
    }
}

/// The part of /proc/PID/stat that is needed.
struct Stat {
    parent: u32,
    own: Duration,
    ended_children: Duration,
}

impl Stat {
    fn of(pid: u32) -> Outcome<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // Behind the name, which may hold anything: state, parent, and from the twelfth on the times.
        let fields: Vec<&str> = text.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
        let number = |at: usize| fields.get(at).and_then(|field| field.parse::<u32>().ok()).ok_or("/proc/PID/stat has another form");
        Ok(Self { parent: number(1)?, own: TICK * (number(11)? + number(12)?), ended_children: TICK * (number(13)? + number(14)?) })
    }
}

/// Resident memory, in KiB.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    pub(crate) now_kib: u64,
    pub(crate) peak_kib: u64,
}

/// The memory of a process now and at its highest.
pub(crate) fn memory(pid: u32) -> Outcome<Memory> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).ok_or("/proc/PID/status has another form")
    };
    Ok(Memory { now_kib: value("VmRSS:")?, peak_kib: value("VmHWM:")? })
}

/// Lets the highest memory of a process begin anew.
pub(crate) fn forget_peak(pid: u32) -> Outcome<()> {
    Ok(fs::write(format!("/proc/{pid}/clear_refs"), "5")?)
}
