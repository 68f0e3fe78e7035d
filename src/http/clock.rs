//! The clocks of a connection: one on what the client sends ([`ReadTimed`]), one on what it takes ([`WriteTimed`]). They lie below
//! hyper, because hyper's own header clock has two gaps: it starts only after the protocol is known (a client that sends one byte
//! waits for ever), and it also runs on an idle kept-alive connection. With TLS the first lies above it, where requests can be
//! told from each other, and the second below, where it can be seen that a client takes bytes.
//! Not here: the time limits of handshakes, bodies and handlers.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// What every HTTP/2 connection starts with (RFC 9113 §3.4).
const HTTP2_PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How many requests of a connection are in progress, and since when there are none.
pub(super) struct Activity(Mutex<(usize, Instant)>);

impl Activity {
    pub(super) fn new() -> Self {
        Self(Mutex::new((0, Instant::now())))
    }

    /// The end of the last request; `None` while one is in progress.
    fn idle_since(&self) -> Option<Instant> {
        let (requests, since) = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (requests == 0).then_some(since)
    }
}

/// A request in progress: from its head to the end of its answer's body.
pub(super) struct Busy(Arc<Activity>);

impl Busy {
    pub(super) fn begin(activity: &Arc<Activity>) -> Self {
        activity.0.lock().unwrap_or_else(PoisonError::into_inner).0 += 1;
        Self(Arc::clone(activity))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut state = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody is woken: the clock ends soon enough, and a task that is woken while it runs goes on in another thread.
        *state = (state.0 - 1, Instant::now());
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

/// A stream of plain text whose reads fail when the client lets the time for a head, or an idle connection's, pass.
pub(super) struct ReadTimed<S> {
    stream: S,
    activity: Arc<Activity>,
    head: Duration,
    idle: Duration,
    phase: Phase,
    /// How much of the HTTP/2 preface has come; `None` when the connection is HTTP/1.1.
    preface: Option<usize>,
    /// When the phase has lasted too long.
    deadline: Instant,
    /// Never runs longer than the shorter of the two times, so it ends no later than any deadline, and is set again only when it
    /// ends, also while a request is in progress: setting it for every request would wake another thread for each.
    clock: Pin<Box<Sleep>>,
}

impl<S> ReadTimed<S> {
    /// `head` is the longest from the first byte of a request (or from now) to the end of its head, `idle` how long the connection
    /// may be without a request.
    pub(super) fn new(stream: S, activity: Arc<Activity>, head: Duration, idle: Duration) -> Self {
        let (deadline, clock) = (Instant::now() + head, Box::pin(tokio::time::sleep(head.min(idle))));
        Self { stream, activity, head, idle, phase: Phase::Head, preface: Some(0), deadline, clock }
    }

    fn is_idle_since(&mut self, since: Instant) {
        (self.phase, self.deadline) = (Phase::Idle, since + self.idle);
    }

    /// Follows the requests.
    fn look(&mut self) {
        match (self.activity.idle_since(), self.phase) {
            (None, Phase::Head | Phase::Idle) => self.phase = Phase::Request,
            (Some(since), Phase::Request) => self.is_idle_since(since),
            _ => {}
        }
    }

    /// Ready when the deadline has passed.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.clock.as_mut().poll(cx));
            // What was a request when this stream was last asked may have ended since.
            self.look();
            let (now, longest) = (Instant::now(), self.head.min(self.idle));
            let next = if self.phase == Phase::Request { now + longest } else { self.deadline.min(now + longest) };
            if now >= next {
                return Poll::Ready(());
            }
            self.clock.as_mut().reset(next);
        }
    }

    fn is_http2(&self) -> bool {
        self.preface == Some(HTTP2_PREFACE.len())
    }

    /// Bytes came while no request is in progress.
    fn received(&mut self, bytes: &[u8]) {
        if self.is_http2() {
            // Pings and window updates are no requests: an HTTP/2 connection is idle until a head is complete.
            return;
        }
        if self.phase == Phase::Idle {
            (self.phase, self.deadline) = (Phase::Head, Instant::now() + self.head);
        }
        if let Some(seen) = self.preface {
            let rest = &HTTP2_PREFACE[seen..];
            let compared = rest.len().min(bytes.len());
            self.preface = (rest[..compared] == bytes[..compared]).then_some(seen + compared);
            if self.is_http2() {
                self.is_idle_since(Instant::now());
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ReadTimed<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.look();
        let before = buf.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        let bytes = &buf.filled()[before..];
        if this.phase != Phase::Request && !bytes.is_empty() {
            this.received(bytes);
        }
        if read.is_pending() { this.poll_deadline(cx).map(|()| Err(io::ErrorKind::TimedOut.into())) } else { read }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ReadTimed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
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

/// A stream whose writes fail when the client takes not one byte for a time.
pub(super) struct WriteTimed<S> {
    stream: S,
    patience: Duration,
    clock: Option<Pin<Box<Sleep>>>,
}

impl<S> WriteTimed<S> {
    /// `patience` counts from the last byte that the client took.
    pub(super) fn new(stream: S, patience: Duration) -> Self {
        Self { stream, patience, clock: None }
    }

    fn timed(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.clock = None;
            return written;
        }
        let patience = self.patience;
        let clock = self.clock.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        clock.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WriteTimed<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteTimed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.timed(cx, written)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.timed(cx, written)
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
