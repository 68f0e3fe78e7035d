//! The clocks of a connection: one on what the client sends ([`ReadTimed`]), one on what it takes ([`WriteTimed`]). They lie below
//! hyper, because hyper's own header clock has two gaps: it starts only after the protocol is known (a client that sends one byte
//! waits for ever), and it also runs on an idle kept-alive connection. With TLS the first lies above it, where requests can be
//! told from each other, and the second below, where it can be seen that a client takes bytes.
//! Not here: the time limits of handshakes, bodies and handlers.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// What every HTTP/2 connection starts with (RFC 9113 §3.4).
const HTTP2_PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How many requests of a connection are in progress, and whom to wake when there are none.
#[derive(Default)]
pub(super) struct Activity(Mutex<(usize, Option<Waker>)>);

impl Activity {
    /// Whether a request is in progress. If so, the task is woken at the end of the last one: nothing else would have it look at
    /// its clock.
    fn is_busy(&self, cx: &Context<'_>) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.0 > 0 && !state.1.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            state.1 = Some(cx.waker().clone());
        }
        state.0 > 0
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
        state.0 -= 1;
        let waker = if state.0 == 0 { state.1.take() } else { None };
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
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
    /// ends: setting it for every request would wake another thread for each.
    clock: Pin<Box<Sleep>>,
}

impl<S> ReadTimed<S> {
    /// `head` is the longest from the first byte of a request (or from now) to the end of its head, `idle` how long the connection
    /// may be without a request.
    pub(super) fn new(stream: S, activity: Arc<Activity>, head: Duration, idle: Duration) -> Self {
        let (deadline, clock) = (Instant::now() + head, Box::pin(tokio::time::sleep(head.min(idle))));
        Self { stream, activity, head, idle, phase: Phase::Head, preface: Some(0), deadline, clock }
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        let patience = match phase {
            Phase::Head => self.head,
            Phase::Idle => self.idle,
            Phase::Request => return,
        };
        self.deadline = Instant::now() + patience;
    }

    /// Ready when the deadline has passed.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.clock.as_mut().poll(cx));
            let now = Instant::now();
            if now >= self.deadline {
                return Poll::Ready(());
            }
            self.clock.as_mut().reset(self.deadline.min(now + self.head.min(self.idle)));
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
            self.enter(Phase::Head);
        }
        if let Some(seen) = self.preface {
            let rest = &HTTP2_PREFACE[seen..];
            let compared = rest.len().min(bytes.len());
            self.preface = (rest[..compared] == bytes[..compared]).then_some(seen + compared);
            if self.is_http2() {
                self.enter(Phase::Idle);
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ReadTimed<S> {
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
