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
mod postmaster;
mod programs;

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use place::{Account, PORT, Place, existing_version};
use postmaster::{ensure_running, make, run};
use programs::Programs;

/// The role and the database of the server.
const NAME: &str = "frontdesk";

/// How long a start may take: after a crash PostgreSQL first replays its log.
const START_TIMEOUT: Duration = Duration::from_secs(300);

/// How long a stop may take: a fast shutdown ends the sessions and writes a checkpoint.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a second server waits for the first one, which may be about to end (a restart), before it is refused.
const SERVE_LOCK_PATIENCE: Duration = Duration::from_secs(3);

/// How often a state that another process changes is looked at again.
const POLL: Duration = Duration::from_millis(20);

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

    /// Whether PostgreSQL's programs are installed here.
    #[must_use]
    pub fn is_installed() -> bool {
        Programs::find(None, Path::new("")).is_ok()
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

/// A path as a value in the query of a URL.
fn percent_encode(path: &Path) -> String {
    let byte = |byte: u8| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    path.as_os_str().as_encoded_bytes().iter().copied().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_in_a_url_cannot_end_early() {
        assert_eq!(percent_encode(Path::new("/a b/&c")), "%2Fa%20b%2F%26c");
    }

    #[test]
    fn a_missing_installation_is_answered_with_the_command_that_makes_one() {
        let sentence = ClusterError::NoPrograms.to_string();
        assert!(sentence.contains("install postgresql") && !sentence.contains('\n'), "{sentence}");
    }
}
