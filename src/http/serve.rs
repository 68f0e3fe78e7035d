//! The accept loop. `axum::serve` sets no time limit on the head of a request, no bound on connections and none on a drain, so a
//! few hundred slow clients would end the service; this loop has all three, for HTTP/1.1 and for HTTP/2, over TLS (where ALPN
//! chooses) or in the clear (HTTP/2 then with prior knowledge).
//! Not here: the clocks of a connection (`clock`), certificates (`tls`), and the time limits of bodies and handlers, which belong to
//! the request.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::clock::{Activity, Busy, ReadTimed, WriteTimed};
use super::held::Held;
use super::tls::Tls;

/// How long accepting pauses when it fails for want of files or memory: others must give something back first.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// The most bytes of an HTTP/1.1 request buffered before the handler takes them, and so the longest head. A filter of 16,384
/// characters is at most four times as long in UTF-8 and three times that in a URL; http itself ends a URL at 64 KiB.
const HTTP1_BUFFER_BYTES: usize = 128 * 1024;

/// The same for the head of an HTTP/2 request, whose default of 16 KiB is shorter than a filter may be.
const HTTP2_HEADER_BYTES: u32 = 128 * 1024;

/// The most requests at once on one HTTP/2 connection: more would let one client take the whole pool of connections.
const HTTP2_STREAMS: u32 = 100;

/// The bounds of the accept loop.
#[derive(Debug, Clone, Copy)]
pub struct ServeLimits {
    /// The longest from the first byte of a request (or from the connection) to the end of its head.
    pub header_timeout: Duration,
    /// How long a connection is kept without a request.
    pub idle_timeout: Duration,
    /// The longest a client may take not one byte of an answer.
    pub write_timeout: Duration,
    /// The most connections at once; beyond it nothing is accepted.
    pub max_connections: usize,
    /// How long connections may take to finish at a shutdown.
    pub drain: Duration,
}

/// Has requests answered, over TLS when there is a certificate, until `shutdown` is ready, then lets the requests in progress finish, for at most [`ServeLimits::drain`].
/// A handler finds the client's address in `ConnectInfo<SocketAddr>`.
///
/// # Errors
/// None at present: failures to accept pass, and are logged.
pub async fn serve<A, R>(
    listener: TcpListener,
    tls: Option<Tls>,
    answer: A,
    limits: ServeLimits,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()>
where
    A: Fn(Request<Body>) -> R + Clone + Send + 'static,
    R: Future<Output = Response<Body>> + Send + 'static,
{
    let mut shutdown = pin!(shutdown);
    let (drain, draining) = watch::channel(());
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(ended) = connections.join_next() => log_panic(ended),
            accepted = listener.accept(), if connections.len() < limits.max_connections => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(connection(stream, peer, tls.clone(), answer.clone(), limits, draining.clone()));
                }
                Err(error) if is_the_clients(&error) => {}
                Err(error) => {
                    tracing::error!(%error, "cannot accept connections");
                    tokio::select! {
                        () = &mut shutdown => break,
                        () = tokio::time::sleep(ACCEPT_PAUSE) => {}
                    }
                }
            },
        }
    }
    // Closes the port, so that clients turn to another server at once.
    drop(listener);
    drain.send_replace(());
    let finished = tokio::time::timeout(limits.drain, async {
        while let Some(ended) = connections.join_next().await {
            log_panic(ended);
        }
    });
    if finished.await.is_err() {
        tracing::warn!(connections = connections.len(), "requests were cut: they did not finish within the drain time");
        connections.shutdown().await;
    }
    Ok(())
}

/// One connection from its first byte to its last. A handshake is part of it, so one that stalls holds up nobody else.
async fn connection<A, R>(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<Tls>,
    answer: A,
    limits: ServeLimits,
    mut draining: watch::Receiver<()>,
) where
    A: Fn(Request<Body>) -> R + Clone + Send + 'static,
    R: Future<Output = Response<Body>> + Send + 'static,
{
    // An answer is written at once: waiting for more of it (Nagle) only delays the client.
    let _ = stream.set_nodelay(true);
    let stream = WriteTimed::new(stream, limits.write_timeout);
    let Some(tls) = tls else { return requests(stream, peer, answer, limits, draining).await };
    let handshake = tokio::time::timeout(tls.handshake_timeout, tls.acceptor().accept(stream));
    let handshake = tokio::select! {
        finished = handshake => finished,
        // Nothing was asked yet, so nothing is lost.
        _ = draining.changed() => return,
    };
    match handshake {
        Ok(Ok(stream)) => requests(stream, peer, answer, limits, draining).await,
        Ok(Err(error)) => tracing::debug!(%error, client.address = %peer, "a TLS handshake failed"),
        Err(_) => tracing::debug!(client.address = %peer, "a TLS handshake took too long"),
    }
}

/// The requests of one connection.
async fn requests<S, A, R>(stream: S, peer: SocketAddr, answer: A, limits: ServeLimits, mut draining: watch::Receiver<()>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    A: Fn(Request<Body>) -> R + Clone + Send + 'static,
    R: Future<Output = Response<Body>> + Send + 'static,
{
    let activity = Arc::new(Activity::new());
    let io = TokioIo::new(ReadTimed::new(stream, Arc::clone(&activity), limits.header_timeout, limits.idle_timeout));
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        let busy = Busy::begin(&activity);
        request.extensions_mut().insert(ConnectInfo(peer));
        let answered = answer(request.map(Body::new));
        async move { Ok::<_, Infallible>(answered.await.map(|body| Held::new(body, busy))) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().header_read_timeout(None).max_buf_size(HTTP1_BUFFER_BYTES);
    builder.http2().max_header_list_size(HTTP2_HEADER_BYTES).max_concurrent_streams(HTTP2_STREAMS);
    let mut served = pin!(builder.serve_connection(io, service));
    let result = tokio::select! {
        result = served.as_mut() => result,
        _ = draining.changed() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(error = &*error, client.address = %peer, "a connection ended early");
    }
}

/// Failures of one client's connection between its arrival and our accept.
fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

fn log_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection's task failed");
    }
}
