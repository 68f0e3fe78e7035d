//! The accept loop against clients that are slow, gone, or in the middle of a request when the server stops.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::get;
use frontdesk::http::health_probe::probe;
use frontdesk::http::serve::{ServeLimits, serve};
use frontdesk::http::tls::Tls;
use futures_util::FutureExt as _;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tower::ServiceExt as _;

/// Far longer than anything here takes, so that only a hang ends a test.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A time limit that a test waits out.
pub const SHORT: Duration = Duration::from_millis(200);

pub const LONG: ServeLimits =
    ServeLimits { header_timeout: PATIENCE, idle_timeout: PATIENCE, write_timeout: PATIENCE, max_connections: 100, drain: PATIENCE };

pub struct Server {
    pub addr: SocketAddr,
    /// Tells that the handler of `/held` has begun.
    pub begun: Arc<Notify>,
    /// Lets it end.
    pub release: Arc<Notify>,
    /// Tells that the answer of `/endless` was given up.
    pub given_up: Arc<Notify>,
    pub shutdown: oneshot::Sender<()>,
    pub ended: JoinHandle<std::io::Result<()>>,
}

/// Part of an answer; tells when the answer is dropped.
struct Watched(Arc<Notify>);

impl Watched {
    fn bytes(&self) -> Bytes {
        Bytes::from_static(&[b'x'; 64 * 1024])
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// An answer without an end, which only giving it up ends.
fn endless(given_up: &Arc<Notify>) -> Body {
    let watched = Watched(Arc::clone(given_up));
    Body::from_stream(futures_util::stream::repeat_with(move || Ok::<_, Infallible>(watched.bytes())))
}

async fn start(limits: ServeLimits) -> Server {
    start_with(limits, None).await
}

pub async fn start_with(limits: ServeLimits, tls: Option<Tls>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (begun, release, given_up) = (Arc::new(Notify::new()), Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell, wait) = (Arc::clone(&begun), Arc::clone(&release));
    let held = || async move {
        tell.notify_one();
        wait.notified().await;
        "held"
    };
    let told = Arc::clone(&given_up);
    let endless = || async move { endless(&told) };
    let app = Router::new().route("/livez", get(|| async { "ok" })).route("/held", get(held)).route("/endless", get(endless));
    let answer = move |request| app.clone().oneshot(request).map(|answered| answered.unwrap_or_else(|never: Infallible| match never {}));
    let (shutdown, asked) = oneshot::channel();
    let ended = tokio::spawn(serve(listener, tls, answer, limits, async {
        let _ = asked.await;
    }));
    Server { addr, begun, release, given_up, shutdown, ended }
}

async fn send(addr: SocketAddr, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

/// Everything until the server closes; a reset counts as a close.
pub async fn rest(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("the server closes");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The bytes of one answer whose body is known.
pub async fn answer(stream: &mut (impl AsyncRead + Unpin), body: &str) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(body.as_bytes()) {
        let read = timeout(PATIENCE, stream.read_buf(&mut bytes)).await.expect("an answer comes").unwrap();
        assert!(read > 0, "closed after {:?}", String::from_utf8_lossy(&bytes));
    }
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn a_client_that_does_not_finish_its_head_is_cut() {
    let server = start(ServeLimits { header_timeout: SHORT, ..LONG }).await;
    // Nothing; what may become the preface of HTTP/2; the middle of a head.
    for beginning in ["", "P", "PRI * HTTP/2", "GET /livez HTTP/1.1\r\nHost: x\r\nX-Slow: "] {
        let begin = Instant::now();
        let mut slow = send(server.addr, beginning).await;
        assert_eq!(rest(&mut slow).await, "", "{beginning:?}");
        assert!(begin.elapsed() >= SHORT / 2 && begin.elapsed() < PATIENCE / 2, "{beginning:?}: {:?}", begin.elapsed());
    }
}

#[tokio::test]
async fn a_client_that_sends_its_head_drop_by_drop_is_cut() {
    let server = start(ServeLimits { header_timeout: SHORT, ..LONG }).await;
    let (mut read, mut write) = send(server.addr, "GET /livez HTTP/1.1\r\nX: ").await.into_split();
    let drip = tokio::spawn(async move {
        while write.write_all(b"x").await.is_ok() {
            tokio::time::sleep(SHORT / 10).await;
        }
    });
    let mut bytes = Vec::new();
    let _ = timeout(PATIENCE, read.read_to_end(&mut bytes)).await.expect("the server closes");
    timeout(PATIENCE, drip).await.expect("the client notices").unwrap();
}

#[tokio::test]
async fn an_idle_connection_outlives_the_header_time_and_not_the_idle_time() {
    let server = start(ServeLimits { header_timeout: SHORT, idle_timeout: SHORT * 10, ..LONG }).await;
    let mut client = send(server.addr, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await;
    answer(&mut client, "ok").await;
    tokio::time::sleep(SHORT * 2).await;
    client.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    answer(&mut client, "ok").await;
    let begin = Instant::now();
    assert_eq!(rest(&mut client).await, "");
    assert!(begin.elapsed() >= SHORT * 5 && begin.elapsed() < PATIENCE / 2, "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_handler_may_take_longer_than_the_times_of_the_client() {
    let server = start(ServeLimits { header_timeout: SHORT, idle_timeout: SHORT, ..LONG }).await;
    let mut client = send(server.addr, "GET /held HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    server.begun.notified().await;
    tokio::time::sleep(SHORT * 2).await;
    server.release.notify_one();
    assert!(rest(&mut client).await.ends_with("held"));
}

#[tokio::test]
async fn a_client_that_does_not_take_its_answer_is_cut() {
    let server = start(ServeLimits { write_timeout: SHORT, ..LONG }).await;
    let mut client = send(server.addr, "GET /endless HTTP/1.1\r\nHost: x\r\n\r\n").await;
    timeout(PATIENCE, server.given_up.notified()).await.expect("the answer is given up");
    assert!(rest(&mut client).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn above_the_cap_a_connection_waits_for_another_to_end() {
    let server = start(ServeLimits { max_connections: 1, ..LONG }).await;
    let mut first = send(server.addr, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await;
    answer(&mut first, "ok").await;
    let mut second = send(server.addr, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let early = timeout(SHORT, second.read_u8()).await;
    assert!(early.is_err(), "answered above the cap: {early:?}");
    drop(first);
    answer(&mut second, "ok").await;
}

#[tokio::test]
async fn a_request_in_progress_finishes_during_the_drain() {
    let server = start(LONG).await;
    let mut busy = send(server.addr, "GET /held HTTP/1.1\r\nHost: x\r\n\r\n").await;
    server.begun.notified().await;
    let mut idle = send(server.addr, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await;
    answer(&mut idle, "ok").await;
    let mut silent = TcpStream::connect(server.addr).await.unwrap();
    server.shutdown.send(()).unwrap();
    // Connections without a request end at once, although their own time is not over.
    assert_eq!(rest(&mut idle).await, "");
    assert_eq!(rest(&mut silent).await, "");
    assert!(TcpStream::connect(server.addr).await.is_err(), "the port is closed");
    assert!(!server.ended.is_finished());
    server.release.notify_one();
    let last = rest(&mut busy).await;
    assert!(last.ends_with("held") && last.contains("connection: close"), "{last}");
    timeout(PATIENCE, server.ended).await.expect("the drain ends with the last request").unwrap().unwrap();
}

#[tokio::test]
async fn the_drain_is_bounded() {
    let server = start(ServeLimits { drain: SHORT, ..LONG }).await;
    let mut stuck = send(server.addr, "GET /held HTTP/1.1\r\nHost: x\r\n\r\n").await;
    server.begun.notified().await;
    let begin = Instant::now();
    server.shutdown.send(()).unwrap();
    timeout(PATIENCE, server.ended).await.expect("the drain is bounded").unwrap().unwrap();
    assert!(begin.elapsed() >= SHORT && begin.elapsed() < PATIENCE / 2);
    assert_eq!(rest(&mut stuck).await, "");
}

#[tokio::test]
async fn http2_is_spoken_and_an_idle_connection_of_it_is_closed() {
    let server = start(ServeLimits { header_timeout: SHORT, idle_timeout: SHORT * 10, ..LONG }).await;
    let stream = TcpStream::connect(server.addr).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(stream);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
    let connection = tokio::spawn(connection);
    for _ in 0..2 {
        let request = hyper::Request::get(format!("http://{}/livez", server.addr)).body(axum::body::Body::empty()).unwrap();
        let response = timeout(PATIENCE, sender.send_request(request)).await.expect("an answer comes").unwrap();
        assert_eq!(response.status(), 200);
        drop(response);
        tokio::time::sleep(SHORT * 2).await;
    }
    let _ = timeout(PATIENCE, connection).await.expect("the server closes").unwrap();
}

#[tokio::test]
async fn an_http2_connection_finishes_its_request_during_the_drain_and_ends_well() {
    let server = start(LONG).await;
    let io = hyper_util::rt::TokioIo::new(TcpStream::connect(server.addr).await.unwrap());
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
    let connection = tokio::spawn(connection);
    let get = |path: &str| hyper::Request::get(format!("http://{}{path}", server.addr)).body(axum::body::Body::empty()).unwrap();
    let held = tokio::spawn(sender.send_request(get("/held")));
    server.begun.notified().await;
    server.shutdown.send(()).unwrap();
    server.release.notify_one();
    assert_eq!(held.await.unwrap().unwrap().status(), 200);
    timeout(PATIENCE, server.ended).await.expect("the drain ends with the last request").unwrap().unwrap();
    timeout(PATIENCE, connection).await.expect("the connection ends").unwrap().unwrap();
}

#[tokio::test]
async fn the_probe_knows_a_live_server_from_none() {
    let server = start(LONG).await;
    assert!(probe(server.addr, false).await.unwrap());
    server.shutdown.send(()).unwrap();
    server.ended.await.unwrap().unwrap();
    assert!(probe(server.addr, false).await.is_err());
}
