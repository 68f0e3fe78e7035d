//! The client side of a measurement: HTTP/1.1 over some kept-alive connections, as many requests as the server answers, every
//! answer checked. It shares the processors with the server, so it does no more than it must: no TLS, no redirects, no HTTP/2.

use std::cell::Cell;
use std::fmt::Write as _;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::Outcome;
use crate::process::{Cpu, Watched};

/// How long requests run before they count: connections are opened, statements prepared, the caller is remembered.
const WARM_UP: Duration = Duration::from_millis(300);

/// Of how much of a body the expected text is looked for, in bytes.
const LOOKED_AT: usize = 2_048;

/// The longest any single answer may take, the largest export included.
const PATIENCE: Duration = Duration::from_secs(300);

/// Where requests go.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) port: u16,
    /// Empty for the floor, which asks for none.
    pub(crate) token: String,
}

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self { method: "GET", path: path.into(), body: String::new() }
    }

    pub(crate) fn with_body(method: &'static str, path: impl Into<String>, body: &serde_json::Value) -> Self {
        Self { method, path: path.into(), body: body.to_string() }
    }
}

/// Random enough to spread requests over rows, and the same in every run (splitmix64).
#[derive(Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % bound.max(1) as u64).unwrap_or_default()
    }
}

/// Whose turn it is.
#[derive(Debug)]
pub(crate) struct Turn {
    /// The connection, from 0.
    pub(crate) connection: usize,
    /// How many requests it has sent in this round.
    pub(crate) number: usize,
    pub(crate) random: Random,
}

/// What is sent, and what must come back.
#[derive(Clone)]
pub(crate) struct Load {
    pub(crate) target: Target,
    pub(crate) make: Rc<dyn Fn(&mut Turn) -> Request>,
    /// The statuses that are right.
    pub(crate) statuses: &'static [u16],
    /// What stands in the first 2 KiB of a right body.
    pub(crate) contains: &'static str,
}

/// What came of a round.
#[derive(Debug, Clone, Default)]
pub(crate) struct Measured {
    /// Requests answered.
    pub(crate) requests: usize,
    pub(crate) per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// Processor time a request, in microseconds.
    pub(crate) server_us: f64,
    pub(crate) postgres_us: f64,
    /// The server's resident memory at its highest since it started, in KiB.
    pub(crate) peak_kib: u64,
}

/// What the connections of a round share.
struct Round {
    load: Load,
    measuring: Cell<bool>,
    stopped: Cell<bool>,
}

/// Sends as many requests as are answered in `length`, on so many connections.
pub(crate) async fn round(load: &Load, connections: usize, length: Duration, watched: &Watched) -> Outcome<Measured> {
    thread_local!(static ROUNDS: Cell<u64> = const { Cell::new(0) });
    ROUNDS.set(ROUNDS.get() + 1);
    let round = Rc::new(Round { load: load.clone(), measuring: Cell::new(false), stopped: Cell::new(false) });
    let workers: Vec<_> = (0..connections)
        .map(|connection| {
            let random = Random(ROUNDS.get() << 32 | connection as u64);
            tokio::task::spawn_local(work(Rc::clone(&round), Turn { connection, number: 0, random }))
        })
        .collect();
    tokio::time::sleep(WARM_UP).await;
    let before = Cpu::of(watched)?;
    let since = Instant::now();
    round.measuring.set(true);
    tokio::time::sleep(length).await;
    round.measuring.set(false);
    let seconds = since.elapsed().as_secs_f64();
    let after = Cpu::of(watched)?;
    round.stopped.set(true);
    let mut latencies = Vec::new();
    for worker in workers {
        latencies.append(&mut worker.await??);
    }
    latencies.sort_unstable();
    let requests = latencies.len().max(1) as f64;
    Ok(Measured {
        requests: latencies.len(),
        per_second: latencies.len() as f64 / seconds,
        p50_ms: quantile(&latencies, 0.5),
        p99_ms: quantile(&latencies, 0.99),
        server_us: (after.server - before.server).as_secs_f64() * 1e6 / requests,
        postgres_us: (after.postgres - before.postgres).as_secs_f64() * 1e6 / requests,
        peak_kib: crate::process::memory(watched.server)?.peak_kib,
    })
}

/// The value that so much of sorted microseconds does not exceed, in milliseconds.
fn quantile(sorted: &[u32], share: f64) -> f64 {
    let at = (sorted.len() as f64 * share) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).map_or(0.0, |us| f64::from(*us) / 1000.0)
}

/// One connection's requests; gives what those took that were answered while it counted, in microseconds.
async fn work(round: Rc<Round>, mut turn: Turn) -> Outcome<Vec<u32>> {
    let load = &round.load;
    let mut connection = Connection::open(&load.target).await?;
    let mut latencies = Vec::new();
    while !round.stopped.get() {
        let request = (load.make)(&mut turn);
        let since = Instant::now();
        let status = connection.exchange(&request).await?;
        let took = since.elapsed();
        let head = &connection.body[..connection.body.len().min(LOOKED_AT)];
        if !load.statuses.contains(&status) || (status < 400 && !contains(head, load.contains.as_bytes())) {
            let head = String::from_utf8_lossy(head);
            return Err(format!("{} {} was answered {status}: {head}", request.method, request.path).into());
        }
        if round.measuring.get() {
            latencies.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
        }
        turn.number += 1;
    }
    Ok(latencies)
}

/// Whether a text stands in another one.
pub(crate) fn contains(text: &[u8], wanted: &[u8]) -> bool {
    wanted.is_empty() || text.windows(wanted.len()).any(|window| window == wanted)
}

/// A kept-alive connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    target: Target,
    /// Received and not yet read from `at` on.
    input: Vec<u8>,
    at: usize,
    /// The body of the last answer.
    pub(crate) body: Vec<u8>,
}

/// How the end of a body is known.
enum Body {
    Length(usize),
    Chunked,
}

impl Connection {
    pub(crate) async fn open(target: &Target) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", target.port)).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, target: target.clone(), input: Vec::with_capacity(16 * 1024), at: 0, body: Vec::new() })
    }

    /// Sends a request and reads the answer; gives its status.
    pub(crate) async fn exchange(&mut self, request: &Request) -> io::Result<u16> {
        let mut body = std::mem::take(&mut self.body);
        body.clear();
        let status = self.exchange_with(request, |part| body.extend_from_slice(part)).await;
        self.body = body;
        status
    }

    /// Sends a request and hands the answer's body on as it comes.
    pub(crate) async fn exchange_with(&mut self, request: &Request, take: impl FnMut(&[u8])) -> io::Result<u16> {
        let late = || io::Error::new(io::ErrorKind::TimedOut, format!("{} {} was not answered in time", request.method, request.path));
        tokio::time::timeout(PATIENCE, self.converse(request, take)).await.map_err(|_| late())?
    }

    async fn converse(&mut self, request: &Request, take: impl FnMut(&[u8])) -> io::Result<u16> {
        let Target { port, token } = &self.target;
        let mut head = String::with_capacity(512 + request.body.len());
        let _ = write!(head, "{} {} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n", request.method, request.path);
        if !token.is_empty() {
            let _ = write!(head, "authorization: Bearer {token}\r\n");
        }
        if !request.body.is_empty() {
            let _ = write!(head, "content-type: application/scim+json\r\ncontent-length: {}\r\n", request.body.len());
        }
        let _ = write!(head, "\r\n{}", request.body);
        self.stream.write_all(head.as_bytes()).await?;
        let (status, body) = self.read_head().await?;
        match body {
            Body::Length(length) => self.read_bytes(length, take).await?,
            Body::Chunked => self.read_chunks(take).await?,
        }
        Ok(status)
    }

    async fn read_head(&mut self) -> io::Result<(u16, Body)> {
        loop {
            let line = self.read_line().await?;
            let status = line.get(9..12).and_then(|digits| digits.parse().ok()).ok_or_else(|| wrong("the status line"))?;
            let mut body = Body::Length(0);
            loop {
                let line = self.read_line().await?;
                let Some((name, value)) = line.split_once(':') else { break };
                if name.eq_ignore_ascii_case("content-length") {
                    body = Body::Length(value.trim().parse().map_err(|_| wrong("content-length"))?);
                } else if name.eq_ignore_ascii_case("transfer-encoding") {
                    body = Body::Chunked;
                }
            }
            // 1xx is not the answer yet.
            if status >= 200 {
                return Ok((status, body));
            }
        }
    }

    async fn read_chunks(&mut self, mut take: impl FnMut(&[u8])) -> io::Result<()> {
        loop {
            let line = self.read_line().await?;
            let length = usize::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16).map_err(|_| wrong("a chunk"))?;
            self.read_bytes(length, &mut take).await?;
            // Behind a chunk, and behind the last one (no server here sends trailers), stands an empty line.
            self.read_line().await?;
            if length == 0 {
                return Ok(());
            }
        }
    }

    async fn read_bytes(&mut self, mut left: usize, mut take: impl FnMut(&[u8])) -> io::Result<()> {
        while left > 0 {
            if self.at == self.input.len() {
                self.fill().await?;
            }
            let part = &self.input[self.at..][..left.min(self.input.len() - self.at)];
            take(part);
            left -= part.len();
            self.at += part.len();
        }
        Ok(())
    }

    async fn read_line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.input[self.at..].iter().position(|byte| *byte == b'\n') {
                let line = String::from_utf8_lossy(&self.input[self.at..self.at + end]).trim_end().to_owned();
                self.at += end + 1;
                return Ok(line);
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> io::Result<()> {
        self.input.drain(..self.at);
        self.at = 0;
        match self.stream.read_buf(&mut self.input).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what} of an answer cannot be read"))
}

/// A value in a query string.
pub(crate) fn encode(text: &str) -> String {
    let byte = |byte: u8| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(byte).collect()
}
