//! What the exercises run on: a private PostgreSQL that can be killed and started, tenants with tokens, and the directory for the
//! logs of the run. Everything is on this machine and goes away with the run.

use std::error::Error;
use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr as _;
use std::time::{Duration, Instant};

use frontdesk::cluster::{Cluster, Mode};
use frontdesk::directory::{Directory, PoolSettings, Profile, Provider};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tempfile::TempDir;
use uuid::Uuid;

/// What an exercise returns: a violation, or a fault of the run itself, is a sentence.
pub type Fallible<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// How our own sessions call themselves, to be told from the servers'.
const OBSERVER: &str = "torture";

/// How long whatever must happen by itself may take: an end of sessions, a recovery, a balancer's check.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How often a state is looked at again.
pub const POLL: Duration = Duration::from_millis(10);

/// PostgreSQL for eight servers at once.
const SETTINGS: [(&str, &str); 1] = [("max_connections", "300")];

/// The same on a small file system, whose log of changes must not fill it by itself.
const SMALL_SETTINGS: [(&str, &str); 3] = [("max_connections", "300"), ("min_wal_size", "32MB"), ("max_wal_size", "48MB")];

/// The size of a small file system: four times an empty cluster.
const SMALL_MIB: u64 = 192;

/// What takes the rest of a small file system.
const BALLAST: &str = "ballast";

/// A private PostgreSQL and a directory.
pub struct World {
    /// Where PostgreSQL is, when that is a file system of its own. Unmounted before the directory is removed.
    small: Option<Mounted>,
    dir: TempDir,
    settings: &'static [(&'static str, &'static str)],
    /// Stops PostgreSQL at the end, whoever started it last.
    keeper: Cluster,
    /// Who started it last.
    current: Option<Cluster>,
}

/// A tenant with a token.
#[derive(Debug, Clone)]
pub struct Tenancy {
    pub tenant_id: Uuid,
    pub slug: String,
    pub token: String,
}

impl World {
    pub async fn new() -> Fallible<Self> {
        Self::made(directory()?, None, &SETTINGS).await
    }

    /// One whose PostgreSQL is on a file system that can be filled. `None` when this account may not mount one.
    pub async fn small() -> Fallible<Option<Self>> {
        let dir = directory()?;
        let Some(small) = Mounted::tmpfs(dir.path().join("small"), SMALL_MIB)? else { return Ok(None) };
        Self::made(dir, Some(small), &SMALL_SETTINGS).await.map(Some)
    }

    async fn made(dir: TempDir, small: Option<Mounted>, settings: &'static [(&'static str, &'static str)]) -> Fallible<Self> {
        let mut keeper = Cluster::open_with(small.as_ref().map_or(dir.path(), |small| &small.0), Mode::Command, settings).await?;
        keeper.stop_with_this_process()?;
        let world = Self { small, dir, settings, keeper, current: None };
        let directory = world.directory().await?;
        directory.migrate().await?;
        directory.close().await;
        Ok(world)
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn url(&self) -> String {
        self.keeper.url()
    }

    /// A new, empty database and its address.
    pub async fn new_database(&self, name: &str) -> Fallible<String> {
        sqlx::raw_sql(AssertSqlSafe(format!("create database {name}"))).execute(&mut self.session().await?).await?;
        Ok(self.keeper.url_of(name))
    }

    pub async fn drop_database(&self, name: &str) -> Fallible<()> {
        sqlx::raw_sql(AssertSqlSafe(format!("drop database {name} with (force)"))).execute(&mut self.session().await?).await?;
        Ok(())
    }

    /// Frontdesk's own use cases, to make tenants.
    async fn directory(&self) -> Fallible<Directory> {
        let settings = PoolSettings {
            pool_size: 1,
            acquire_timeout: Duration::from_secs(10),
            statement_timeout: Duration::ZERO,
            lock_timeout: Duration::ZERO,
            idle_in_transaction_timeout: Duration::ZERO,
            statement_cache: 100,
            transaction_pooler: false,
        };
        let options = PgConnectOptions::from_str(&self.url())?.application_name(OBSERVER);
        Ok(Directory::connect(options, &settings).await?)
    }

    /// A new tenant.
    pub async fn tenant(&self) -> Fallible<Tenancy> {
        let directory = self.directory().await?;
        let slug = format!("t-{}", Uuid::now_v7().simple());
        let tenant = directory.create_tenant(&slug, None, Profile::SpaceIq).await?;
        let connection = directory.create_connection(tenant.id, "jumpcloud", Provider::JumpCloud, Default::default()).await?;
        let token = directory.create_token(&connection, None, None).await?;
        directory.close().await;
        Ok(Tenancy { tenant_id: tenant.id, slug, token: token.reveal().into() })
    }

    /// A session beside the servers'.
    pub async fn session(&self) -> Fallible<PgConnection> {
        session(&self.url()).await
    }

    /// Kills PostgreSQL as a power cut would: all its processes, with no chance to say or write anything.
    pub fn kill_database(&self) -> Fallible<()> {
        let file = self.keeper.pgdata().join("postmaster.pid");
        let line = fs::read_to_string(file)?.lines().next().unwrap_or_default().trim().parse()?;
        let postmaster = Pid::from_raw(line).ok_or("postmaster.pid names no process")?;
        // Stopped first, so that it has no child that is not listed.
        kill_process(postmaster, Signal::STOP)?;
        let children = children_of(postmaster)?;
        for process in children.into_iter().chain([postmaster]) {
            // One that has ended by itself is as dead.
            let _ = kill_process(process, Signal::KILL);
        }
        Ok(())
    }

    /// Starts PostgreSQL over what is left.
    pub async fn start_database(&mut self) -> Fallible<()> {
        let place = self.small.as_ref().map_or(self.dir.path(), |small| &small.0);
        self.current = Some(Cluster::open_with(place, Mode::Command, self.settings).await?);
        Ok(())
    }

    /// Takes all the room that is left on a small file system.
    pub fn fill_disk(&self) -> Fallible<()> {
        let mut ballast = File::create(self.ballast()?)?;
        // In steps, so that the last of them takes what is left to a page.
        for step in [1024 * 1024, 4096] {
            while ballast.write_all(&vec![0; step]).is_ok() {}
        }
        Ok(())
    }

    /// Gives it back.
    pub fn free_disk(&self) -> Fallible<()> {
        Ok(fs::remove_file(self.ballast()?)?)
    }

    fn ballast(&self) -> Fallible<PathBuf> {
        Ok(self.small.as_ref().ok_or("this world is not small")?.0.join(BALLAST))
    }

    /// Waits until no session of a server is left: what a killed server had sent is then done or undone for good.
    pub async fn wait_for_quiet(&self) -> Fallible<()> {
        let mut session = self.session().await?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let sql = "select count(*) from pg_stat_activity where backend_type = 'client backend' and application_name <> $1";
            let left: i64 = sqlx::query_scalar(sql).bind(OBSERVER).fetch_one(&mut session).await?;
            if left == 0 {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("{left} sessions of a killed server do not end").into());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Stops PostgreSQL and leaves the directory, for whoever looks for the cause of a violation; a small file system is gone.
    pub async fn keep(self) -> Fallible<PathBuf> {
        drop(self.current);
        self.keeper.stop().await?;
        Ok(self.dir.keep())
    }

    /// Stops PostgreSQL and removes the directory.
    pub async fn close(self) -> Fallible<()> {
        drop(self.current);
        self.keeper.stop().await?;
        drop(self.small);
        Ok(self.dir.close()?)
    }
}

/// PostgreSQL runs under another account when we are root, and must reach its directory.
fn directory() -> Fallible<TempDir> {
    Ok(tempfile::Builder::new().prefix("frontdesk-torture.").permissions(Permissions::from_mode(0o711)).tempdir()?)
}

/// A file system in memory, unmounted when dropped.
struct Mounted(PathBuf);

impl Mounted {
    fn tmpfs(at: PathBuf, mib: u64) -> Fallible<Option<Self>> {
        fs::create_dir(&at)?;
        let options = format!("size={mib}m,mode=0711");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&at).stderr(Stdio::null()).status()?;
        Ok(mounted.success().then_some(Self(at)))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Also when something still runs on it: it goes away with the last of them.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// A session of ours in a database.
pub async fn session(url: &str) -> Fallible<PgConnection> {
    Ok(PgConnection::connect_with(&PgConnectOptions::from_str(url)?.application_name(OBSERVER)).await?)
}

/// The processes whose parent this is; none where there is no `/proc`, and there they end by themselves.
fn children_of(parent: Pid) -> Fallible<Vec<Pid>> {
    let mut children = Vec::new();
    let Ok(processes) = fs::read_dir("/proc") else { return Ok(children) };
    for process in processes {
        let name = process?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw) else { continue };
        let Ok(status) = fs::read_to_string(format!("/proc/{pid}/stat", pid = pid.as_raw_nonzero())) else { continue };
        // Behind the name in parentheses: the state, then the parent.
        let of = status.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse::<i32>().ok());
        if of == Some(parent.as_raw_nonzero().get()) {
            children.push(pid);
        }
    }
    Ok(children)
}
