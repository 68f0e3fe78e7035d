//! PostgreSQL's processes: making a cluster with `initdb`, its settings, and seeing whether its server runs and starting it.
//! All of it happens under the transition lock of `cluster`; nothing here decides who may use or stop the cluster.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::place::{PORT, Place};
use super::programs::Programs;
use super::{ClusterError, NAME, POLL, START_TIMEOUT};

/// How long a PostgreSQL that runs may have no socket before it is started again: it was just started, or somebody removed it.
const SOCKET_PATIENCE: Duration = Duration::from_secs(5);

/// The server log is put aside at a start when it is larger than this: nothing else bounds it.
const LOG_MAX_BYTES: u64 = 10 * 1024 * 1024;

/// The settings of the cluster, beside those that name its place. An administrator's `alter system` overrides them.
const SETTINGS: [(&str, &str); 14] = [
    ("listen_addresses", ""),
    ("unix_socket_permissions", "0700"),
    ("fsync", "on"),
    ("max_connections", "100"),
    ("shared_buffers", "256MB"),
    ("max_wal_size", "2GB"),
    // The statements are short: compiling them takes longer than running them.
    ("jit", "off"),
    // What the disks of today cost; the default is that of a moving arm.
    ("random_page_cost", "1.1"),
    ("timezone", "UTC"),
    ("log_timezone", "UTC"),
    ("log_destination", "stderr"),
    ("logging_collector", "off"),
    // The server logs the errors of its statements itself; PostgreSQL would write personal data beside them.
    ("log_min_messages", "log"),
    ("log_error_verbosity", "terse"),
];

/// Makes the cluster with its database beside its place, then renames it: a crash in between leaves nothing half-made.
pub(super) async fn make(place: &Place, programs: &Programs) -> Result<(), ClusterError> {
    let fresh = place.dir.join("pgdata.new");
    if fresh.exists() {
        fs::remove_dir_all(&fresh).map_err(ClusterError::io("remove", &fresh))?;
    }
    let account = place.account.as_ref();
    let mut initdb = programs.command("initdb", account, &place.dir);
    initdb.arg("-D").arg(&fresh).args([
        "-U",
        NAME,
        "--encoding=UTF8",
        "--locale=C",
        "--auth=peer",
        "--data-checksums",
        "--no-instructions",
    ]);
    run(place, "initdb", initdb.kill_on_drop(true), "initdb.log").await?;

    let main = place.append_to(&fresh.join("postgresql.conf"))?;
    (&main).write_all(b"\ninclude 'frontdesk.conf'\n").map_err(ClusterError::io("write", &fresh))?;
    write_settings(place, &fresh, &[])?;
    place.write(&fresh.join("pg_hba.conf"), &format!("# Written by frontdesk.\nlocal all {NAME} peer map={NAME}\n"))?;

    // A single-user server makes the database: it needs no socket and no client.
    let statement = place.dir.join("create.sql");
    place.write(&statement, &format!("create database {NAME};\n"))?;
    let input = File::open(&statement).map_err(ClusterError::io("open", &statement))?;
    let mut single = programs.command("postgres", account, &place.dir);
    single.arg("--single").arg("-j").arg("-D").arg(&fresh).arg("postgres").stdin(Stdio::from(input));
    run(place, "postgres", single.kill_on_drop(true), "initdb.log").await?;
    fs::remove_file(&statement).map_err(ClusterError::io("remove", &statement))?;

    let pgdata = place.pgdata();
    fs::rename(&fresh, &pgdata).map_err(ClusterError::io("rename", &fresh))?;
    File::open(&place.dir).and_then(|dir| dir.sync_all()).map_err(ClusterError::io("sync", &place.dir))
}

/// What is to be seen of a PostgreSQL from outside.
#[derive(Debug, PartialEq, Eq)]
enum State {
    /// Takes connections.
    Ready,
    /// Replays its log, or shuts down.
    Busy,
    /// There is such a process, without a socket.
    Mute,
    /// `postmaster.pid` names a process that is another program by now, or none.
    Stale,
    /// Nothing runs.
    Down,
}

/// Adopts the PostgreSQL that runs, or starts it. Called under the transition lock.
pub(super) async fn ensure_running(place: &Place, programs: &Programs, settings: &[(&str, &str)]) -> Result<(), ClusterError> {
    let deadline = Instant::now() + START_TIMEOUT;
    let mut mute_since = None;
    loop {
        let state = observe(place);
        if state != State::Mute {
            mute_since = None;
        }
        match state {
            State::Ready => return Ok(()),
            State::Mute if mute_since.get_or_insert_with(Instant::now).elapsed() > SOCKET_PATIENCE => {
                tracing::warn!("PostgreSQL runs without its socket, so it is started again");
                let mut command = programs.command("pg_ctl", place.account.as_ref(), &place.dir);
                command.arg("stop").arg("-D").arg(place.pgdata()).args(["-s", "-m", "fast", "-w"]);
                run(place, "pg_ctl", &mut command, "pg_ctl.log").await?;
            }
            State::Busy | State::Mute if Instant::now() < deadline => tokio::time::sleep(POLL).await,
            State::Busy | State::Mute => return Err(failed("postgres", place.dir.join("server.log"), u64::MAX, "it does not get ready")),
            State::Stale => {
                let pid_file = place.pgdata().join("postmaster.pid");
                fs::remove_file(&pid_file).map_err(ClusterError::io("remove", &pid_file))?;
            }
            State::Down => match start(place, programs, settings).await {
                // Sessions of a PostgreSQL that was killed end a moment after it, and it shares memory with them.
                Err(ClusterError::Program { reason, .. }) if reason.contains("still in use") && Instant::now() < deadline => {
                    tokio::time::sleep(POLL * 10).await;
                }
                result => result?,
            },
        }
    }
}

fn observe(place: &Place) -> State {
    let pid_file = fs::read_to_string(place.pgdata().join("postmaster.pid")).unwrap_or_default();
    let mut lines = pid_file.lines();
    let pid = lines.next().and_then(|line| line.trim().parse::<i32>().ok());
    if UnixStream::connect(place.socket()).is_ok() {
        // The eighth line is the status that pg_ctl waits for too.
        return if lines.nth(6).is_some_and(|status| status.trim() == "ready") { State::Ready } else { State::Busy };
    }
    let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) else { return State::Down };
    match rustix::process::test_kill_process(pid) {
        Err(rustix::io::Errno::SRCH) => State::Down,
        _ if is_postgres_of(pid.as_raw_nonzero().get(), &place.pgdata()) => State::Mute,
        _ => State::Stale,
    }
}

/// Whether the process is a PostgreSQL on this directory, which its command line names.
fn is_postgres_of(pid: i32, pgdata: &Path) -> bool {
    let command_line = if Path::new("/proc/self/cmdline").exists() {
        fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default()
    } else {
        let ps = std::process::Command::new("ps").args(["-ww", "-o", "args=", "-p", &pid.to_string()]).output();
        ps.map(|output| output.stdout).unwrap_or_default()
    };
    let line = String::from_utf8_lossy(&command_line);
    line.contains("postgres") && line.contains(&*pgdata.to_string_lossy())
}

async fn start(place: &Place, programs: &Programs, settings: &[(&str, &str)]) -> Result<(), ClusterError> {
    let pgdata = place.pgdata();
    write_settings(place, &pgdata, settings)?;
    let mut idents = format!("# Written by frontdesk at every start.\n{NAME} {} {NAME}\n", quoted(&place.system_user, '"'));
    if place.account.is_some() {
        idents.push_str(&format!("{NAME} root {NAME}\n"));
    }
    place.write(&pgdata.join("pg_ident.conf"), &idents)?;

    let log = place.dir.join("server.log");
    let size = fs::metadata(&log).map_or(0, |found| found.len());
    let offset = if size > LOG_MAX_BYTES {
        fs::rename(&log, place.dir.join("server.log.1")).map_err(ClusterError::io("rename", &log))?;
        0
    } else {
        size
    };
    // Nobody listens (see `observe`), so a lock beside the socket is a leftover. PostgreSQL itself would take it for real while its
    // process id is anybody's, even that of a killed PostgreSQL which waits to be collected by its parent.
    for leftover in [place.socket(), place.socket().with_extension(format!("{PORT}.lock"))] {
        let _ = fs::remove_file(leftover);
    }

    let output = place.append_to(&log)?;
    let again = output.try_clone().map_err(ClusterError::io("open", &log))?;
    // Not by `pg_ctl start`, which hands the paths to a shell. A Ctrl-C in our terminal is for us: PostgreSQL is needed until the
    // last request is answered.
    let mut command = programs.command("postgres", place.account.as_ref(), &place.dir);
    command.arg("-D").arg(&pgdata).stdout(output).stderr(again).process_group(0);
    let mut postmaster = command.spawn().map_err(ClusterError::io("run", &programs.bin.join("postgres")))?;
    let deadline = Instant::now() + START_TIMEOUT;
    while observe(place) != State::Ready {
        if postmaster.try_wait().map_err(ClusterError::io("wait for", &pgdata))?.is_some() {
            return Err(failed("postgres", log, offset, "it did not start"));
        }
        if Instant::now() >= deadline {
            return Err(failed("postgres", log, u64::MAX, "it does not get ready"));
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

/// The error of a program, with the reason that it wrote to its log after `offset`.
fn failed(program: &'static str, log: PathBuf, offset: u64, otherwise: &str) -> ClusterError {
    let mut bytes = Vec::new();
    let read = File::open(&log).and_then(|mut file| file.seek(SeekFrom::Start(offset)).and_then(|_| file.read_to_end(&mut bytes)));
    let text = if read.is_ok() { String::from_utf8_lossy(&bytes).into_owned() } else { String::new() };
    ClusterError::Program { program, reason: reason_in(&text).unwrap_or_else(|| otherwise.to_owned()), log }
}

/// The first line that says FATAL or error, or else the last one.
fn reason_in(text: &str) -> Option<String> {
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    let line = lines().find(|line| line.contains("FATAL:") || line.contains("error:")).or_else(|| lines().next_back())?;
    let reason = line.split_once("FATAL:").or_else(|| line.split_once("error:")).map_or(line, |(_, reason)| reason);
    Some(reason.trim().to_owned())
}

/// Runs a program to its end with its output in a log of the cluster's directory.
pub(super) async fn run(
    place: &Place,
    program: &'static str,
    command: &mut tokio::process::Command,
    log: &str,
) -> Result<(), ClusterError> {
    let log = place.dir.join(log);
    let output = place.append_to(&log)?;
    let offset = output.metadata().map_or(0, |found| found.len());
    let again = output.try_clone().map_err(ClusterError::io("open", &log))?;
    let status = command.stdout(output).stderr(again).status().await.map_err(ClusterError::io("run", Path::new(program)))?;
    if status.success() { Ok(()) } else { Err(failed(program, log, offset, &status.to_string())) }
}

fn write_settings(place: &Place, pgdata: &Path, further: &[(&str, &str)]) -> Result<(), ClusterError> {
    // A list of directories: the double quotes keep one with a comma in its name together.
    let sockets = format!("\"{}\"", place.sockets.to_string_lossy().replace('"', "\"\""));
    let port = PORT.to_string();
    let mut text = String::from("# Written by frontdesk at every start: use `alter system` to override a setting.\n");
    for (name, value) in SETTINGS.iter().chain(&[("port", port.as_str()), ("unix_socket_directories", sockets.as_str())]).chain(further) {
        text.push_str(&format!("{name} = {}\n", quoted(value, '\'')));
    }
    place.write(&pgdata.join("frontdesk.conf"), &text)
}

/// A value in PostgreSQL's configuration files.
fn quoted(value: &str, quote: char) -> String {
    format!("{quote}{}{quote}", value.replace('\\', r"\\").replace(quote, &format!("{quote}{quote}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_the_first_fatal_line() {
        let log = "2026-01-01 LOG:  starting\n2026-01-01 FATAL:  lock file \"x\" exists\n2026-01-01 HINT:  look\n";
        assert_eq!(reason_in(log).as_deref(), Some("lock file \"x\" exists"));
        assert_eq!(reason_in("initdb: error: no space\nremoving"), Some("no space".into()));
        assert_eq!(reason_in("one\ntwo\n"), Some("two".into()));
        assert_eq!(reason_in(""), None);
    }

    #[test]
    fn a_value_in_the_settings_cannot_end_early() {
        assert_eq!(quoted(r"a'b\c", '\''), r"'a''b\\c'");
    }
}
