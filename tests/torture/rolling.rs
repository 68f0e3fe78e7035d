//! Rolling restarts: two servers behind haproxy, which asks `/readyz`, are stopped with SIGTERM and started in turn while twenty
//! clients send ten requests a second each over kept connections. No request may fail, and every stop is clean.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::check;
use crate::client::{Client, patch, user};
use crate::plan::Budget;
use crate::random::Random;
use crate::server::Server;
use crate::world::{Fallible, PATIENCE, POLL, World};

/// The clients and the pause between two requests of one: 200 requests a second together.
const CLIENTS: u64 = 20;
const PAUSE: Duration = Duration::from_millis(100);

/// haproxy checks every 200 ms; the delay gives it several chances to take a server out, also on a busy machine.
const SETTINGS: [(&str, &str); 1] = [("FRONTDESK_HTTP_DRAIN_DELAY_MS", "2000")];

/// The servers' names, in haproxy's words.
const NAMES: [&str; 2] = ["rolling-1", "rolling-2"];

/// Restarts in turn until the budget is used.
pub async fn run(world: &World, budget: &mut Budget, random: &Random) -> Fallible<String> {
    let mut servers = Vec::new();
    for name in NAMES {
        servers.push(Server::start(world.dir(), name, &world.url(), &SETTINGS).await?);
    }
    let balancer = Balancer::start(world.dir(), &servers).await?;
    let tenancy = world.tenant().await?;
    let stop = Arc::<AtomicBool>::default();
    let sent = Arc::<AtomicU64>::default();
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let client = Client::new(balancer.port, &tenancy.token);
        clients.spawn(send_steadily(client, random.fork(number + 1), Arc::clone(&stop), Arc::clone(&sent)));
    }
    let began = Instant::now();
    while let Some(cycle) = budget.next_cycle() {
        for (server, name) in servers.iter_mut().zip(NAMES) {
            let status = server.stop().await?;
            if !status.success() {
                return Err(format!("cycle {cycle}: {name} ended with {status}").into());
            }
            balancer.wait_for(name, "DOWN").await?;
            server.restart().await?;
            balancer.wait_for(name, "UP").await?;
        }
        if let Some(ended) = clients.try_join_next() {
            ended??;
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    stop.store(true, Ordering::SeqCst);
    for outcome in clients.join_all().await {
        outcome?;
    }
    check::invariants(&mut world.session().await?, tenancy.tenant_id).await?;
    for server in servers {
        server.finish().await?;
    }
    let sent = sent.load(Ordering::SeqCst);
    let rate = sent as f64 / seconds;
    Ok(format!(
        "{} restarts of each of two servers behind haproxy: {sent} requests ({rate:.0}/s), 0 failed, every exit status 0",
        budget.done()
    ))
}

/// Reads, looks up, changes and creates, and wants each answered as without a restart.
async fn send_steadily(client: Client, mut random: Random, stop: Arc<AtomicBool>, sent: Arc<AtomicU64>) -> Fallible<()> {
    let name = format!("client-{:016x}", random.draw());
    let made = client.send("POST", "/Users", Some(&user(&name, "Guide"))).await.ok_or("the first request failed")?;
    let path = format!("/Users/{}", made.id());
    let mut ticks = tokio::time::interval(PAUSE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !stop.load(Ordering::SeqCst) {
        ticks.tick().await;
        let title = format!("{:016x}", random.draw());
        let (answer, wanted) = match random.below(4) {
            0 => (client.get(&path).await, 200),
            1 => (client.get(&format!("/Users?filter=userName eq \"{name}\"")).await, 200),
            2 => (client.send("PATCH", &path, Some(&patch("replace", "title", title.into()))).await, 200),
            _ => (client.send("POST", "/Users", Some(&user(&title, "Guide"))).await, 201),
        };
        sent.fetch_add(1, Ordering::SeqCst);
        if answer.as_ref().is_none_or(|answer| answer.status != wanted) {
            return Err(format!("a request during a rolling restart was answered {answer:?}").into());
        }
    }
    Ok(())
}

/// haproxy in front of the servers.
struct Balancer {
    port: u16,
    socket: PathBuf,
    /// Ends with this.
    _process: Child,
}

impl Balancer {
    async fn start(dir: &Path, servers: &[Server]) -> Fallible<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let (socket, file) = (dir.join("haproxy.sock"), dir.join("haproxy.cfg"));
        let mut settings = format!(
            "global\n  stats socket {} mode 600\ndefaults\n  mode http\n  timeout connect 2s\n  timeout client 60s\n  timeout server 60s\n  timeout check 2s\n\
             frontend clients\n  bind 127.0.0.1:{port}\n  default_backend servers\n\
             backend servers\n  balance roundrobin\n  option httpchk GET /readyz\n  default-server check inter 200ms fall 2 rise 1\n",
            socket.display()
        );
        for (server, name) in servers.iter().zip(NAMES) {
            settings.push_str(&format!("  server {name} 127.0.0.1:{}\n", server.port));
        }
        fs::write(&file, settings)?;
        let log = fs::File::create(dir.join("haproxy.log"))?;
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-f").arg(&file).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).kill_on_drop(true);
        let balancer = Self { port, socket, _process: command.spawn()? };
        for name in NAMES {
            balancer.wait_for(name, "UP").await?;
        }
        Ok(balancer)
    }

    /// Waits until haproxy sees a server so.
    async fn wait_for(&self, name: &str, status: &str) -> Fallible<()> {
        let deadline = Instant::now() + PATIENCE;
        let line = format!("servers,{name},");
        loop {
            // The eighteenth field is the status, such as `UP` or `DOWN`.
            let table = self.ask("show stat\n").await.unwrap_or_default();
            let seen = table.lines().find(|found| found.starts_with(&line)).and_then(|found| found.split(',').nth(17));
            if seen == Some(status) {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("haproxy sees {name} {seen:?} and not {status}").into());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn ask(&self, question: &str) -> Fallible<String> {
        let mut stream = UnixStream::connect(&self.socket).await?;
        stream.write_all(question.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }
}
