//! The accept loop. `axum::serve` sets no time limit on the head of a request, no bound on connections and none on a drain, so a
//! few hundred slow clients would end the service; this loop has all three, for HTTP/1.1 and for HTTP/2 with prior knowledge.
//! Not here: TLS (a reverse proxy's work), and the time limits of bodies and handlers, which belong to the request.
//!
//! The clock of a connection lies below hyper, in `Timed`, because hyper's own header clock has two gaps: it starts only after
//! the protocol is known (a client that sends one byte waits for ever), and it also runs on an idle kept-alive connection.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep};
use tower::ServiceExt;

/// How long accepting pauses when it fails for want of files or memory: others must give something back first.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// The most bytes of an HTTP/1.1 request buffered before the handler takes them, and so the longest head. A filter of 16,384
/// characters is at most four times as long in UTF-8 and three times that in a URL; http itself ends a URL at 64 KiB.
const HTTP1_BUFFER_BYTES: usize = 128 * 1024;

/// The same for the head of an HTTP/2 request, whose default of 16 KiB is shorter than a filter may be.
const HTTP2_HEADER_BYTES: u32 = 128 * 1024;

/// The most requests at once on one HTTP/2 connection: more would let one client take the whole pool of connections.
const HTTP2_STREAMS: u32 = 100;

/// What every HTTP/2 connection starts with (RFC 9113 §3.4).
const HTTP2_PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

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

/// Serves `app` until `shutdown` is ready, then lets the requests in progress finish, for at most [`ServeLimits::drain`].
/// A handler finds the client's address in `ConnectInfo<SocketAddr>`.
///
/// # Errors
/// None at present: failures to accept pass, and are logged.
pub async fn serve(listener: TcpListener, app: Router, limits: ServeLimits, shutdown: impl Future<Output = ()>) -> io::Result<()> {
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
                    connections.spawn(connection(stream, peer, app.clone(), limits, draining.clone()));
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

/// One connection from its first byte to its last.
async fn connection(stream: TcpStream, peer: SocketAddr, app: Router, limits: ServeLimits, mut draining: watch::Receiver<()>) {
    // An answer is written at once: waiting for more of it (Nagle) only delays the client.
    let _ = stream.set_nodelay(true);
    let activity = Arc::new(Activity::default());
    let io = TokioIo::new(Timed::new(stream, Arc::clone(&activity), limits));
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        let busy = Busy::begin(&activity);
        request.extensions_mut().insert(ConnectInfo(peer));
        let app = app.clone();
        async move {
            let response: Response<Body> = app.oneshot(request.map(Body::new)).await?;
            Ok::<_, Infallible>(response.map(|body| BusyBody { body, _busy: busy }))
        }
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

/// How many requests of a connection are in progress, and whom to wake when there are none.
#[derive(Default)]
struct Activity(Mutex<(usize, Option<Waker>)>);

impl Activity {
    /// Whether a request is in progress. If so, the task is woken at the end of the last one: with HTTP/2 nothing else would
    /// have it look at its clock.
    fn is_busy(&self, cx: &Context<'_>) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.0 > 0 && !state.1.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            state.1 = Some(cx.waker().clone());
        }
        state.0 > 0
    }
}

/// A request in progress: from its head to the end of its answer's body.
struct Busy(Arc<Activity>);

impl Busy {
    fn begin(activity: &Arc<Activity>) -> Self {
        activity.0.lock().unwrap_or_else(PoisonError::into_inner).0 += 1;
        Self(Arc::clone(activity))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut state = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.0 -= 1;
        let waker = if state.0 == 0 { state.1.take() } else { None };
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// An answer's body that counts as a request in progress.
struct BusyBody {
    body: Body,
    _busy: Busy,
}

impl http_body::Body for BusyBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What a connection is waiting for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The rest of a head, or the first byte of all.
    Head,
    /// The next request.
    Idle,
    /// An answer of ours.
    Request,
}

/// A TCP stream whose reads and writes fail when the client lets its time pass.
struct Timed {
    stream: TcpStream,
    activity: Arc<Activity>,
    limits: ServeLimits,
    phase: Phase,
    /// How much of the HTTP/2 preface has come; `None` when the connection is HTTP/1.1.
    preface: Option<usize>,
    read_clock: Pin<Box<Sleep>>,
    write_clock: Option<Pin<Box<Sleep>>>,
}

impl Timed {
    fn new(stream: TcpStream, activity: Arc<Activity>, limits: ServeLimits) -> Self {
        let read_clock = Box::pin(tokio::time::sleep(limits.header_timeout));
        Self { stream, activity, limits, phase: Phase::Head, preface: Some(0), read_clock, write_clock: None }
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        let patience = match phase {
            Phase::Head => self.limits.header_timeout,
            Phase::Idle => self.limits.idle_timeout,
            Phase::Request => return,
        };
        self.read_clock.as_mut().reset(Instant::now() + patience);
    }

    /// Bytes came while no request is in progress.
    fn received(&mut self, bytes: &[u8]) {
        let is_http2 = self.preface == Some(HTTP2_PREFACE.len());
        if is_http2 {
            // Pings and window updates are no requests: an HTTP/2 connection is idle until a head is complete.
            return;
        }
        if self.phase == Phase::Idle {
            self.enter(Phase::Head);
        }
        if let Some(seen) = self.preface {
            let rest = &HTTP2_PREFACE[seen..];
            let compared = rest.len().min(bytes.len());
            self.preface = (rest[..compared] == bytes[..compared]).then_some(seen + compared);
            if self.preface == Some(HTTP2_PREFACE.len()) {
                self.enter(Phase::Idle);
            }
        }
    }

    /// Lets a write wait for as long as the limit says, counted from the last byte the client took.
    fn timed_write(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.write_clock = None;
            return written;
        }
        let patience = self.limits.write_timeout;
        let clock = self.write_clock.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        clock.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Timed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let busy = this.activity.is_busy(cx);
        match (busy, this.phase) {
            (true, Phase::Head | Phase::Idle) => this.enter(Phase::Request),
            (false, Phase::Request) => this.enter(Phase::Idle),
            _ => {}
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        if busy {
            return read;
        }
        let bytes = &buf.filled()[before..];
        if !bytes.is_empty() {
            this.received(bytes);
        }
        if read.is_pending() { this.read_clock.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into())) } else { read }
    }
}

impl AsyncWrite for Timed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.timed_write(cx, written)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.timed_write(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
