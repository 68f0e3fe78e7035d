//! The embedded default: a private PostgreSQL cluster under the data directory, made and started by ourselves from the
//! installed programs when no `DATABASE_URL` is set. It listens on a Unix socket only, in a directory closed to other accounts.
//! Not here: installing PostgreSQL (`scripts/setup`), migrations, and anything that a database elsewhere would need as well.
//!
//! Several processes may use one cluster (a server, and commands beside it). Three locks in the data directory order them; the
//! operating system drops them when their process dies, however it dies:
//!
//! | file | held | by |
//! |---|---|---|
//! | `serve.lock` | exclusively, for its life | the server, so that there is one |
//! | `users.lock` | shared, for its life | everyone who uses the cluster |
//! | `transition.lock` | exclusively, while starting or stopping it | whoever does that |
//!
//! The last one out, who gets `users.lock` exclusively, stops PostgreSQL. After a kill -9 the next process adopts the PostgreSQL
//! that still runs, or starts it again over what is left.

mod place;
mod programs;

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use place::{Account, PORT, Place, existing_version};
use programs::Programs;

/// The role and the database of the server.
const NAME: &str = "frontdesk";

/// How long a start may take: after a crash PostgreSQL first replays its log.
const START_TIMEOUT: Duration = Duration::from_secs(300);

/// How long a stop may take: a fast shutdown ends the sessions and writes a checkpoint.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a second server waits for the first one, which may be about to end (a restart), before it is refused.
const SERVE_LOCK_PATIENCE: Duration = Duration::from_secs(3);

/// How long a PostgreSQL that runs may have no socket before it is started again: it was just started, or somebody removed it.
const SOCKET_PATIENCE: Duration = Duration::from_secs(5);

/// How often a state that another process changes is looked at again.
const POLL: Duration = Duration::from_millis(20);

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

/// Who opens the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The server: alone on its data directory.
    Serve,
    /// A command: uses the server's cluster while there is one, and else its own for as long as it runs.
    Command,
}

/// Why there is no cluster. Each is one sentence for the administrator.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// Nothing to start.
    #[error(
        "no PostgreSQL server programs of version {} or newer were found: install them with `{}`, or set DATABASE_URL",
        programs::OLDEST_MAJOR,
        if cfg!(target_os = "macos") { "brew install postgresql@17" } else { "apt-get install postgresql" }
    )]
    NoPrograms,
    /// A cluster is readable by its own major version only.
    #[error(
        "the database in {cluster} was made by PostgreSQL {wanted}, and only PostgreSQL {found} is installed: install PostgreSQL {wanted} too"
    )]
    OtherVersion {
        /// The cluster's directory.
        cluster: PathBuf,
        /// The version that made it.
        wanted: u32,
        /// The version that is there.
        found: u32,
    },
    /// PostgreSQL refuses root, and there is nobody else.
    #[error(
        "PostgreSQL does not run as root, and this machine has no account for it (postgres or nobody): start as another user, or set DATABASE_URL"
    )]
    NoAccount,
    /// A directory above the cluster is closed to the account that PostgreSQL runs under.
    #[error(
        "the account {account}, under which PostgreSQL runs, cannot reach {dir}: open the directories above it (chmod a+x) or set FRONTDESK_DATA_DIR"
    )]
    Unreachable {
        /// The cluster's directory.
        dir: PathBuf,
        /// The account.
        account: String,
    },
    /// Another server has the data directory.
    #[error(
        "another frontdesk server (process {pid}) uses the data directory {data_dir}: stop it, or set FRONTDESK_DATA_DIR to another one"
    )]
    InUse {
        /// The data directory.
        data_dir: PathBuf,
        /// The other server's process id, or `unknown`.
        pid: String,
    },
    /// Another process holds the transition lock for longer than a transition takes.
    #[error("another process has been starting or stopping the database in {data_dir} for more than {} s", START_TIMEOUT.as_secs())]
    Busy {
        /// The data directory.
        data_dir: PathBuf,
    },
    /// The path cannot be written into PostgreSQL's settings.
    #[error("the data directory {0:?} has a name that is not UTF-8 or has a line break in it: set FRONTDESK_DATA_DIR to another one")]
    BadPath(PathBuf),
    /// One of PostgreSQL's programs failed.
    #[error("{program} failed: {reason} (see {log})")]
    Program {
        /// Which one.
        program: &'static str,
        /// Its last words.
        reason: String,
        /// Where the rest of them are.
        log: PathBuf,
    },
    /// A file or directory could not be used.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file or directory.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

impl ClusterError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}

/// A running private cluster. Stop it with [`Cluster::stop`]; a dropped one is asked to stop, and nobody waits for it.
#[derive(Debug)]
pub struct Cluster {
    place: Place,
    programs: Programs,
    transition: File,
    users: Option<File>,
    serve: Option<File>,
    watch: Option<std::process::Child>,
}

impl Cluster {
    /// Makes the cluster if there is none, starts it if it does not run, and keeps it running until [`Cluster::stop`].
    ///
    /// # Errors
    /// One sentence that says what is in the way.
    pub async fn open(data_dir: &Path, mode: Mode) -> Result<Self, ClusterError> {
        Self::open_with(data_dir, mode, &[]).await
    }

    /// [`Cluster::open`] with further PostgreSQL settings. They count when this call starts PostgreSQL, not when it runs already.
    ///
    /// # Errors
    /// See [`Cluster::open`].
    pub async fn open_with(data_dir: &Path, mode: Mode, settings: &[(&str, &str)]) -> Result<Self, ClusterError> {
        fs::create_dir_all(data_dir).map_err(ClusterError::io("create", data_dir))?;
        let data_dir = &data_dir.canonicalize().map_err(ClusterError::io("open", data_dir))?;
        if data_dir.to_str().is_none_or(|path| path.contains(['\n', '\r'])) {
            return Err(ClusterError::BadPath(data_dir.clone()));
        }
        let serve = if mode == Mode::Serve { Some(lock_as_server(data_dir).await?) } else { None };
        let transition = open_lock(&data_dir.join("transition.lock"))?;
        lock_transition(&transition, data_dir).await?;
        let place = Place::find(data_dir)?;
        let programs = Programs::find(existing_version(&place.pgdata()), &place.dir)?;
        if existing_version(&place.pgdata()).is_none() {
            make(&place, &programs).await?;
        }
        ensure_running(&place, &programs, settings).await?;
        let users_path = data_dir.join("users.lock");
        let users = open_lock(&users_path)?;
        users.lock_shared().map_err(ClusterError::io("lock", &users_path))?;
        transition.unlock().map_err(ClusterError::io("unlock", data_dir))?;
        Ok(Self { place, programs, transition, users: Some(users), serve, watch: None })
    }

    /// The address of the database, as sqlx and psql read it. No variable of the environment (`PGPORT` ...) can bend it.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of(NAME)
    }

    /// The address of another database of the cluster (tests make their own).
    #[must_use]
    pub fn url_of(&self, database: &str) -> String {
        let directory = percent_encode(&self.place.sockets);
        format!("postgres://{NAME}@localhost:{PORT}/{database}?host={directory}&sslmode=disable")
    }

    /// The directory with PostgreSQL's data, for a message or a test.
    #[must_use]
    pub fn pgdata(&self) -> PathBuf {
        self.place.pgdata()
    }

    /// Stops PostgreSQL unless another process still uses it, and waits until it has written everything.
    ///
    /// # Errors
    /// When PostgreSQL does not stop within a minute; it then goes on trying.
    pub async fn stop(mut self) -> Result<(), ClusterError> {
        lock_transition(&self.transition, &self.place.dir).await?;
        if !self.is_last_user() {
            return Ok(());
        }
        let wait = STOP_TIMEOUT.as_secs().to_string();
        let mut command = self.programs.command("pg_ctl", self.place.account.as_ref(), &self.place.dir);
        command.arg("stop").arg("-D").arg(self.place.pgdata()).args(["-s", "-m", "fast", "-w", "-t", &wait]);
        run(&self.place, "pg_ctl", &mut command, "pg_ctl.log").await?;
        if let Some(mut watch) = self.watch.take() {
            // Its work is done. When it has ended by itself there is nothing to kill.
            let _ = watch.kill().and_then(|()| watch.wait());
        }
        Ok(())
    }

    /// Has PostgreSQL stopped when this process ends, whichever way: for one that ends without unwinding, such as a test binary
    /// whose statics are never dropped. The locks of a server are kept until PostgreSQL is down.
    ///
    /// # Errors
    /// When no further process can be started.
    pub fn stop_with_this_process(&mut self) -> io::Result<()> {
        use std::os::unix::process::CommandExt;
        let mut command = std::process::Command::new("/bin/sh");
        programs::prepare(&mut command, self.place.account.as_ref(), &self.place.dir);
        // The pipe on stdin ends with this process; the lock travels as stdout, whose open file it is.
        command
            .args(["-c", r#"cat >&2; exec "$0" stop -D "$1" -s -m fast -w"#])
            .arg(self.programs.bin.join("pg_ctl"))
            .arg(self.place.pgdata());
        let lock = self.serve.as_ref().map(File::try_clone).transpose()?;
        command.stdin(Stdio::piped()).stdout(lock.map_or_else(Stdio::null, Stdio::from)).stderr(Stdio::null()).process_group(0);
        self.watch = Some(command.spawn()?);
        Ok(())
    }

    /// Gives up the shared lock; true when nobody else has it. To be called under the transition lock.
    fn is_last_user(&mut self) -> bool {
        let Some(users) = self.users.take() else { return false };
        users.unlock().is_ok() && users.try_lock().is_ok()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Somebody who is starting or stopping the cluster right now decides about it himself.
        if self.users.is_none() || self.transition.try_lock().is_err() || !self.is_last_user() {
            return;
        }
        let mut command = std::process::Command::new(self.programs.bin.join("pg_ctl"));
        programs::prepare(&mut command, self.place.account.as_ref(), &self.place.dir);
        command.arg("stop").arg("-D").arg(self.place.pgdata()).args(["-s", "-m", "fast", "-W"]);
        let _ = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

/// The server's own lock, with its process id inside for the one who is refused.
async fn lock_as_server(data_dir: &Path) -> Result<File, ClusterError> {
    let path = data_dir.join("serve.lock");
    let mut file = open_lock(&path)?;
    if !lock_within(&file, SERVE_LOCK_PATIENCE).await.map_err(ClusterError::io("lock", &path))? {
        let pid = fs::read_to_string(&path).ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        return Err(ClusterError::InUse { data_dir: data_dir.to_owned(), pid: pid.unwrap_or_else(|| "unknown".into()) });
    }
    file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(ClusterError::io("write", &path))?;
    Ok(file)
}

async fn lock_transition(transition: &File, data_dir: &Path) -> Result<(), ClusterError> {
    let locked = lock_within(transition, START_TIMEOUT + STOP_TIMEOUT).await.map_err(ClusterError::io("lock", data_dir))?;
    if locked { Ok(()) } else { Err(ClusterError::Busy { data_dir: data_dir.to_owned() }) }
}

fn open_lock(path: &Path) -> Result<File, ClusterError> {
    File::options().read(true).write(true).create(true).truncate(false).open(path).map_err(ClusterError::io("open", path))
}

/// Waits without holding a thread; false when the patience is over.
async fn lock_within(file: &File, patience: Duration) -> io::Result<bool> {
    let deadline = Instant::now() + patience;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) if Instant::now() >= deadline => return Ok(false),
            Err(TryLockError::WouldBlock) => tokio::time::sleep(POLL).await,
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

/// Makes the cluster with its database beside its place, then renames it: a crash in between leaves nothing half-made.
async fn make(place: &Place, programs: &Programs) -> Result<(), ClusterError> {
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
async fn ensure_running(place: &Place, programs: &Programs, settings: &[(&str, &str)]) -> Result<(), ClusterError> {
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
    let line = lines().find(|line| line.contains("FATAL:") || line.contains("error:")).or_else(|| lines().last())?;
    let reason = line.split_once("FATAL:").or_else(|| line.split_once("error:")).map_or(line, |(_, reason)| reason);
    Some(reason.trim().to_owned())
}

/// Runs a program to its end with its output in a log of the cluster's directory.
async fn run(place: &Place, program: &'static str, command: &mut tokio::process::Command, log: &str) -> Result<(), ClusterError> {
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

/// A path as a value in the query of a URL.
fn percent_encode(path: &Path) -> String {
    let byte = |byte: u8| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    path.as_os_str().as_encoded_bytes().iter().copied().map(byte).collect()
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
    fn values_in_settings_and_urls_cannot_end_early() {
        assert_eq!(quoted(r"a'b\c", '\''), r"'a''b\\c'");
        assert_eq!(percent_encode(Path::new("/a b/&c")), "%2Fa%20b%2F%26c");
    }

    #[test]
    fn a_missing_installation_is_answered_with_the_command_that_makes_one() {
        let sentence = ClusterError::NoPrograms.to_string();
        assert!(sentence.contains("install postgresql") && !sentence.contains('\n'), "{sentence}");
    }
}
