//! One question to a server on this machine: is it alive? It is what `frontdesk healthcheck` asks inside a container image that
//! has no curl. Plain HTTP/1.1 over TCP; no redirects, no body.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A server that needs longer than this to say that it is alive, is not.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The start of every good answer.
const ALIVE: &[u8] = b"HTTP/1.1 200 ";

/// Asks `GET /livez`; true for a 200. `addr` must be one that can be connected to (`config::reachable`).
///
/// # Errors
/// When nobody listens, or no answer comes within two seconds.
pub async fn probe(addr: SocketAddr) -> io::Result<bool> {
    tokio::time::timeout(TIMEOUT, ask(addr)).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

async fn ask(addr: SocketAddr) -> io::Result<bool> {
    let mut stream = TcpStream::connect(addr).await?;
    stream.write_all(format!("GET /livez HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n").as_bytes()).await?;
    let mut start = [0; ALIVE.len()];
    stream.read_exact(&mut start).await?;
    Ok(start == ALIVE)
}
