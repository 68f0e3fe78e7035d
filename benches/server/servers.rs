//! The processes that are measured: PostgreSQL, the floor and Frontdesk. They end with the bench, however it ends.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use frontdesk::cluster::{Cluster, Mode};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use uuid::Uuid;

use crate::load::{Connection, Request, Target};
use crate::process::Watched;
use crate::{Outcome, floor};

/// What the private cluster is started with, beside what every private cluster of Frontdesk has.
pub(crate) const POSTGRES: [(&str, &str); 3] = [("shared_buffers", "512MB"), ("fsync", "on"), ("synchronous_commit", "on")];

/// How long a server may take to start.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// One private cluster with a database for each of the two.
#[derive(Debug)]
pub(crate) struct Postgres {
    cluster: Cluster,
    directory: TempDir,
    pub(crate) pid: u32,
}

impl Postgres {
    pub(crate) async fn start() -> Outcome<Self> {
        let directory = tempfile::Builder::new().prefix("frontdesk-bench.").permissions(Permissions::from_mode(0o711)).tempdir()?;
        let mut cluster = Cluster::open_with(directory.path(), Mode::Serve, &POSTGRES).await?;
        cluster.stop_with_this_process()?;
        let pid_file = fs::read_to_string(cluster.pgdata().join("postmaster.pid"))?;
        let pid = pid_file.lines().next().and_then(|line| line.trim().parse().ok()).ok_or("postmaster.pid has another form")?;
        let postgres = Self { cluster, directory, pid };
        let mut connection = PgConnection::connect(&postgres.frontdesk()).await?;
        sqlx::raw_sql("create database floor").execute(&mut connection).await?;
        sqlx::raw_sql(floor::TABLES).execute(&mut PgConnection::connect(&postgres.floor()).await?).await?;
        Ok(postgres)
    }

    pub(crate) fn floor(&self) -> String {
        self.cluster.url_of("floor")
    }

    pub(crate) fn frontdesk(&self) -> String {
        self.cluster.url()
    }

    /// Where PostgreSQL logs.
    pub(crate) fn log(&self) -> PathBuf {
        self.cluster.pgdata().with_file_name("server.log")
    }

    pub(crate) async fn stop(self) -> Outcome<()> {
        self.cluster.stop().await?;
        Ok(self.directory.close()?)
    }
}

/// A server that is measured.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    pub(crate) target: Target,
    pub(crate) watched: Watched,
}

impl Server {
    /// This program once more, as the floor.
    pub(crate) async fn floor(postgres: &Postgres) -> Outcome<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("floor").arg(postgres.floor()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("stdout is a pipe")?).lines();
        let line = tokio::time::timeout(START_PATIENCE, lines.next_line()).await??.ok_or("the floor did not start")?;
        Self::of(child, Target { port: line.trim().parse()?, token: String::new() }, postgres)
    }

    /// Frontdesk with its default settings. The token of the first start serves the later ones as well.
    pub(crate) async fn frontdesk(postgres: &Postgres, token: Option<&str>) -> Outcome<Self> {
        let mut child = command(postgres, "127.0.0.1:0").arg("serve").stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("stdout is a pipe")?).lines();
        let (mut port, mut shown) = (None, token.map(str::to_owned));
        let reading = async {
            while let Some(line) = lines.next_line().await? {
                if let Some(url) = line.trim().strip_prefix("Base URL:") {
                    let address = url.trim().trim_start_matches("http://127.0.0.1:");
                    port = address.split('/').next().and_then(|port| port.parse().ok());
                } else if let Some(token) = line.trim().strip_prefix("Token Key:") {
                    shown = Some(token.trim().to_owned());
                }
                if port.is_some() && shown.is_some() {
                    break;
                }
            }
            Ok::<_, std::io::Error>(())
        };
        tokio::time::timeout(START_PATIENCE, reading).await??;
        // The rest of what it prints is not waited for, and must not stop it either.
        tokio::task::spawn_local(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let (Some(port), Some(token)) = (port, shown) else { return Err("frontdesk did not start".into()) };
        Self::of(child, Target { port, token }, postgres)
    }

    fn of(child: Child, target: Target, postgres: &Postgres) -> Outcome<Self> {
        let server = child.id().ok_or("the server ended at once")?;
        Ok(Self { child, target, watched: Watched { server, postgres: postgres.pid } })
    }

    /// Asks it to stop and waits for it.
    pub(crate) async fn stop(mut self) -> Outcome<()> {
        terminate(&self.child)?;
        self.child.wait().await?;
        Ok(())
    }
}

/// Frontdesk on the cluster's database, with default settings: the release build of this checkout, or the one that `FRONTDESK_BIN`
/// names. Its log goes nowhere, at the default level.
pub(crate) fn command(postgres: &Postgres, listen: &str) -> Command {
    let binary = std::env::var_os("FRONTDESK_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_frontdesk").into());
    let mut command = Command::new(binary);
    command.env_clear().env("DATABASE_URL", postgres.frontdesk()).env("FRONTDESK_LISTEN", listen);
    // All requests come by one connection, and faster than any provider sends.
    command.env("FRONTDESK_LIMITS_CONNECTION_REQUESTS_PER_SECOND", "0");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn terminate(child: &Child) -> Outcome<()> {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw).ok_or("the server has ended")?;
    Ok(kill_process(pid, Signal::TERM)?)
}

/// How long it takes from the start of the process until `/readyz` says yes, in milliseconds.
pub(crate) async fn time_to_ready(postgres: &Postgres) -> Outcome<f64> {
    // A port that was just free; the test of it is that the server starts.
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let since = Instant::now();
    let mut child = command(postgres, &format!("127.0.0.1:{port}")).arg("serve").kill_on_drop(true).spawn()?;
    let target = Target { port, token: String::new() };
    loop {
        if let Ok(mut connection) = Connection::open(&target).await
            && connection.exchange(&Request::get("/readyz")).await.is_ok_and(|status| status == 200)
        {
            break;
        }
        if since.elapsed() > START_PATIENCE || child.try_wait()?.is_some() {
            return Err("frontdesk did not get ready".into());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let took = since.elapsed().as_secs_f64() * 1000.0;
    terminate(&child)?;
    child.wait().await?;
    Ok(took)
}

/// The tenant of the first start.
pub(crate) async fn tenant(postgres: &Postgres) -> Outcome<Uuid> {
    let mut connection = PgConnection::connect(&postgres.frontdesk()).await?;
    Ok(sqlx::query_scalar("select id from tenants where slug = 'default'").fetch_one(&mut connection).await?)
}
