//! A proxy between Frontdesk and PostgreSQL that breaks the network on purpose. It reads just enough of the wire protocol
//! (PostgreSQL, "Message Formats") to know its messages apart and to see which one commits a change, which is what writes an event: the
//! simple query `COMMIT` of its transaction, or the Sync behind it outside of one. Not here: TLS, which the tests turn off on this way.

use std::collections::HashMap;
use std::str::FromStr;
use std::time::Duration;

use frontdesk::directory::{Directory, PoolSettings};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::support::url;

/// What is wrong with the network, for every connection and both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// Each message waits so long, and up to so much longer.
    Latency {
        least: Duration,
        jitter: Duration,
    },
    /// So many bytes a second.
    Bandwidth(u32),
    /// Each byte is a packet.
    Slices,
    /// Nothing arrives any more, and nobody is told. What was on its way then stays lost.
    BlackHole,
    /// PostgreSQL's next answer ends after so many bytes, and with it the connection.
    Torn(usize),
    /// Connections are cut, and refused.
    Down,
    /// PostgreSQL ends new sessions with this SQLSTATE.
    Refused(&'static str),
}

/// What happens to a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AtCommit {
    /// Whether PostgreSQL executes it.
    pub reaches: bool,
    /// What Frontdesk sees of it.
    pub answer: CommitAnswer,
}

/// What comes back instead of PostgreSQL's answer to a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitAnswer {
    /// The end of the connection.
    Cut,
    /// An error with this SQLSTATE, and the end of the connection.
    Error(&'static str),
    /// Nothing, and the connection stays.
    Silence,
}

#[derive(Debug, Clone, Copy)]
struct State {
    fault: Fault,
    /// The connections from before are cut when it rises.
    resets: u64,
    at_commit: AtCommit,
    /// How many commits that still happens to.
    commits: u32,
    listening: bool,
}

/// A running proxy; it ends with its test's runtime.
pub struct Proxy {
    state: watch::Sender<State>,
    options: PgConnectOptions,
    _directory: tempfile::TempDir,
    _accepting: JoinHandle<()>,
}

impl Proxy {
    /// A proxy in front of the shared database.
    pub async fn start() -> Self {
        Self::before(PgConnectOptions::from_str(url().await).expect("the tests' database has an address")).await
    }

    /// A proxy in front of a database.
    pub async fn before(upstream: PgConnectOptions) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let at_commit = AtCommit { reaches: true, answer: CommitAnswer::Cut };
        let (state, _) = watch::channel(State { fault: Fault::None, resets: 0, at_commit, commits: 0, listening: false });
        let options = upstream.clone().socket(directory.path()).ssl_mode(PgSslMode::Disable);
        let path = directory.path().join(format!(".s.PGSQL.{}", options.get_port()));
        let accepting = tokio::spawn(accept(path, upstream, state.clone()));
        let proxy = Self { state, options, _directory: directory, _accepting: accepting };
        proxy.listening(true).await;
        proxy
    }

    /// A directory that reaches its database through this proxy.
    pub async fn directory(&self, settings: &PoolSettings) -> Directory {
        Directory::connect(self.options.clone(), settings).await.expect("the proxy lets through")
    }

    /// Sets what is wrong from now on.
    pub async fn set(&self, fault: Fault) {
        self.state.send_modify(|state| {
            state.fault = fault;
            state.resets += u64::from(fault == Fault::Down);
        });
        self.listening(fault != Fault::Down).await;
    }

    /// Cuts every connection.
    pub fn reset(&self) {
        self.state.send_modify(|state| state.resets += 1);
    }

    /// Lets this happen to the next commits, so many of them.
    pub fn at_commits(&self, at_commit: AtCommit, commits: u32) {
        self.state.send_modify(|state| (state.at_commit, state.commits) = (at_commit, commits));
    }

    /// Whether it has happened to all of them.
    pub fn is_done(&self) -> bool {
        self.state.borrow().commits == 0
    }

    async fn listening(&self, wanted: bool) {
        self.state.subscribe().wait_for(|state| state.listening == wanted).await.expect("the proxy runs");
    }
}

async fn accept(path: std::path::PathBuf, upstream: PgConnectOptions, state: watch::Sender<State>) {
    let mut changes = state.subscribe();
    loop {
        let _ = changes.wait_for(|state| state.fault != Fault::Down).await;
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).expect("the directory is the proxy's own");
        state.send_modify(|state| state.listening = true);
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let (client, _) = accepted.expect("the listener is open");
                    tokio::spawn(connect(client, upstream.clone(), state.clone()));
                }
                _ = changes.wait_for(|state| state.fault == Fault::Down) => break,
            }
        }
        drop(listener);
        state.send_modify(|state| state.listening = false);
    }
}

async fn connect(client: UnixStream, upstream: PgConnectOptions, state: watch::Sender<State>) {
    let socket = match upstream.get_socket() {
        Some(directory) => Some(directory.display().to_string()),
        None => Some(upstream.get_host().to_owned()).filter(|host| host.starts_with('/')),
    };
    match socket {
        Some(directory) => {
            let server = UnixStream::connect(format!("{directory}/.s.PGSQL.{}", upstream.get_port())).await;
            carry(client, server.expect("PostgreSQL runs"), state).await;
        }
        None => {
            let server = TcpStream::connect((upstream.get_host(), upstream.get_port())).await;
            carry(client, server.expect("PostgreSQL runs"), state).await;
        }
    }
}

/// Carries messages to and fro until one side ends or the proxy cuts.
async fn carry<S: AsyncRead + AsyncWrite>(client: UnixStream, server: S, state: watch::Sender<State>) {
    let (mut resets, before) = (state.subscribe(), state.borrow().resets);
    let (from_client, to_client) = tokio::io::split(client);
    let (from_server, to_server) = tokio::io::split(server);
    let (session, watched) = watch::channel(Session { idle: false, cut: None });
    let there = Requests { state: state.clone(), session: session.clone(), statements: HashMap::new(), changes: false };
    tokio::select! {
        () = there.carry(from_client, to_server) => {}
        () = answers(from_server, to_client, &state, &session) => {}
        _ = resets.wait_for(|state| state.resets > before) => {}
    }
    drop(watched);
}

/// What both directions of a connection know of it.
#[derive(Debug, Clone, Copy)]
struct Session {
    /// Outside a transaction, as PostgreSQL's last ReadyForQuery said.
    idle: bool,
    /// The connection ends with PostgreSQL's next ReadyForQuery.
    cut: Option<AtCommit>,
}

/// Frontdesk's messages on the way to PostgreSQL.
struct Requests {
    state: watch::Sender<State>,
    session: watch::Sender<Session>,
    /// The prepared statements by name.
    statements: HashMap<Vec<u8>, String>,
    /// A change was bound and not committed yet. Behind a pooler reading is committed, too, and is none.
    changes: bool,
}

impl Requests {
    async fn carry<R: AsyncRead, W: AsyncWrite>(mut self, mut from: ReadHalf<R>, mut to: WriteHalf<W>) {
        // The start-up message is the only one without a type.
        let Some(startup) = message(&mut from, false).await else { return };
        let fault = self.state.borrow().fault;
        if let Fault::Refused(code) = fault {
            self.session.send_modify(|session| session.cut = Some(AtCommit { reaches: false, answer: CommitAnswer::Error(code) }));
            return std::future::pending().await;
        }
        if pass(&self.state, &mut to, &startup).await.is_none() {
            return;
        }
        while let Some(bytes) = message(&mut from, true).await {
            if self.commits(&bytes)
                && let Some(at_commit) = self.taken()
            {
                self.session.send_modify(|session| session.cut = Some(at_commit));
                if !at_commit.reaches {
                    return std::future::pending().await;
                }
            }
            if pass(&self.state, &mut to, &bytes).await.is_none() {
                return;
            }
        }
    }

    /// Takes one of the commits to which something happens.
    fn taken(&self) -> Option<AtCommit> {
        let mut taken = None;
        self.state.send_if_modified(|state| {
            taken = (state.commits > 0).then_some(state.at_commit);
            state.commits = state.commits.saturating_sub(1);
            taken.is_some()
        });
        taken
    }

    /// Whether PostgreSQL commits a change of users or groups when it gets this message.
    fn commits(&mut self, message: &[u8]) -> bool {
        let (kind, body) = (message[0], &message[5..]);
        let mut strings = body.split(|byte| *byte == 0);
        let mut string = || strings.next().unwrap_or_default();
        match kind {
            b'Q' => {
                let statement = string().to_ascii_lowercase();
                // Nothing is left of a transaction before this one.
                self.changes &= !statement.starts_with(b"begin");
                statement == b"commit" && std::mem::take(&mut self.changes)
            }
            b'P' => {
                let name = string().to_vec();
                self.statements.insert(name, String::from_utf8_lossy(string()).into_owned());
                false
            }
            b'B' => {
                let (_portal, name) = (string(), string());
                let statement = self.statements.get(name).map_or("", String::as_str).trim_start();
                // What begins with it is the record of refusals.
                self.changes |= statement.contains("insert into events") && !statement.starts_with("insert into events");
                false
            }
            b'S' if self.session.borrow().idle => std::mem::take(&mut self.changes),
            _ => false,
        }
    }
}

/// PostgreSQL's messages on the way to Frontdesk.
async fn answers<R: AsyncRead, W: AsyncWrite>(
    mut from: ReadHalf<R>,
    mut to: WriteHalf<W>,
    state: &watch::Sender<State>,
    session: &watch::Sender<Session>,
) {
    let mut told = session.subscribe();
    loop {
        let bytes = tokio::select! {
            bytes = message(&mut from, true) => bytes,
            // Only what does not reach PostgreSQL; else its answer is waited for and kept.
            _ = told.wait_for(|session| session.cut.is_some_and(|cut| !cut.reaches)) => None,
        };
        let cut = session.borrow().cut;
        let ready = bytes.as_ref().is_some_and(|bytes| bytes[0] == b'Z');
        match (bytes, cut) {
            (Some(_), Some(_)) if !ready => {}
            (_, Some(AtCommit { answer, .. })) => {
                match answer {
                    CommitAnswer::Cut => {}
                    CommitAnswer::Error(code) => {
                        let _ = to.write_all(&error(code)).await;
                    }
                    CommitAnswer::Silence => return std::future::pending().await,
                }
                return;
            }
            (None, None) => return,
            (Some(bytes), None) => {
                if ready {
                    session.send_modify(|session| session.idle = bytes[5] == b'I');
                }
                let fault = state.borrow().fault;
                if let Fault::Torn(length) = fault {
                    let _ = to.write_all(&bytes[..length.min(bytes.len() - 1)]).await;
                    return;
                }
                if pass(state, &mut to, &bytes).await.is_none() {
                    return;
                }
            }
        }
    }
}

/// One message: a type where it has one, its length, its body.
async fn message<R: AsyncRead>(from: &mut ReadHalf<R>, typed: bool) -> Option<Vec<u8>> {
    let mut bytes = vec![0; if typed { 5 } else { 4 }];
    from.read_exact(&mut bytes).await.ok()?;
    let length = u32::from_be_bytes(bytes[bytes.len() - 4..].try_into().expect("four bytes"));
    let rest = bytes.len();
    bytes.resize(rest + length as usize - 4, 0);
    from.read_exact(&mut bytes[rest..]).await.ok()?;
    Some(bytes)
}

/// Passes a message on, as the fault lets it.
async fn pass<W: AsyncWrite>(state: &watch::Sender<State>, to: &mut WriteHalf<W>, bytes: &[u8]) -> Option<()> {
    let fault = state.borrow().fault;
    match fault {
        Fault::Latency { least, jitter } => {
            let random = getrandom::u32().expect("the system has random numbers");
            tokio::time::sleep(least + jitter.mul_f64(f64::from(random) / f64::from(u32::MAX))).await;
        }
        Fault::Bandwidth(rate) => tokio::time::sleep(Duration::from_secs_f64(bytes.len() as f64 / f64::from(rate))).await,
        Fault::Slices => {
            for byte in bytes {
                to.write_all(std::slice::from_ref(byte)).await.ok()?;
                to.flush().await.ok()?;
                tokio::task::yield_now().await;
            }
            return Some(());
        }
        Fault::BlackHole => return std::future::pending().await,
        Fault::None | Fault::Torn(_) | Fault::Down | Fault::Refused(_) => {}
    }
    to.write_all(bytes).await.ok()
}

/// An ErrorResponse that ends a session. Nothing of its text may reach a client.
fn error(code: &str) -> Vec<u8> {
    let fields = format!("SFATAL\0VFATAL\0C{code}\0Msecret text of db.internal\0\0");
    let length = u32::try_from(fields.len() + 4).expect("it is short");
    [b"E".as_slice(), &length.to_be_bytes(), fields.as_bytes()].concat()
}
