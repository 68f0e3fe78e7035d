//! The real server as a process of its own: started, waited for, killed, stopped, started again on the same port. What it logs
//! goes into the run's directory and is searched for panics.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use crate::client::Client;
use crate::world::{Fallible, PATIENCE, POLL};

/// The program, which cargo builds beside this one. `FRONTDESK_BIN` names another, as for `scripts/conformance`.
const PROGRAM: &str = env!("CARGO_BIN_EXE_frontdesk");

/// A server process.
pub struct Server {
    pub port: u16,
    log: PathBuf,
    command: Settings,
    child: Child,
}

struct Settings {
    url: String,
    environment: Vec<(&'static str, String)>,
}

impl Server {
    /// Starts a server and waits until it is ready.
    pub async fn start(dir: &Path, name: &str, url: &str, environment: &[(&'static str, &str)]) -> Fallible<Self> {
        let mut server = Self::spawn(dir, name, url, environment)?;
        server.wait_ready().await?;
        Ok(server)
    }

    /// Starts a server.
    pub fn spawn(dir: &Path, name: &str, url: &str, environment: &[(&'static str, &str)]) -> Fallible<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let environment = environment.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let command = Settings { url: url.into(), environment };
        let log = dir.join(format!("{name}.log"));
        let child = command.run(port, &log)?;
        Ok(Self { port, log, command, child })
    }

    /// Waits until `/readyz` says yes.
    pub async fn wait_ready(&mut self) -> Fallible<()> {
        let client = Client::new(self.port, "");
        let deadline = Instant::now() + PATIENCE;
        loop {
            if client.is_ready().await {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("the server ended with {status}: {}", self.last_words()).into());
            }
            if Instant::now() > deadline {
                return Err(format!("the server does not get ready: {}", self.last_words()).into());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// kill -9.
    pub async fn kill(&mut self) -> Fallible<()> {
        self.child.kill().await?;
        Ok(())
    }

    /// SIGTERM, and how it then ended.
    pub async fn stop(&mut self) -> Fallible<ExitStatus> {
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw) {
            kill_process(pid, Signal::TERM)?;
        }
        Ok(tokio::time::timeout(PATIENCE, self.child.wait()).await.map_err(|_| "the server does not stop")??)
    }

    /// Starts it again, with the same settings on the same port.
    pub fn start_again(&mut self) -> Fallible<()> {
        self.child = self.command.run(self.port, &self.log)?;
        Ok(())
    }

    /// The same, and waits until it is ready.
    pub async fn restart(&mut self) -> Fallible<()> {
        self.start_again()?;
        self.wait_ready().await
    }

    /// Stops it at the end of an exercise: the exit status must be 0, and there must have been no panic.
    pub async fn finish(mut self) -> Fallible<()> {
        let status = self.stop().await?;
        let log = fs::read_to_string(&self.log)?;
        if !status.success() || log.contains("panicked") {
            return Err(format!("the server ended with {status}: {}", self.last_words()).into());
        }
        Ok(())
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Settings {
    fn run(&self, port: u16, log: &Path) -> Fallible<Child> {
        let log = File::options().create(true).append(true).open(log)?;
        let mut command = program();
        command.arg("serve").env("DATABASE_URL", &self.url).env("FRONTDESK_LISTEN", format!("127.0.0.1:{port}"));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        Ok(command.stdout(log.try_clone()?).stderr(log).kill_on_drop(true).spawn()?)
    }
}

/// The program with nothing of our environment that could bend it.
pub fn program() -> Command {
    let mut command = Command::new(std::env::var_os("FRONTDESK_BIN").unwrap_or_else(|| PROGRAM.into()));
    command.env_clear().env("FRONTDESK_LOG", "warn").stdin(Stdio::null());
    command
}
