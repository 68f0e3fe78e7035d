//! Where a request ends, on raw sockets through the accept loop and the real router (HTTP-006): what two readers could take for
//! different requests is refused and its connection closed, so nothing behind it is ever done. And how long a head may be (LIM-010).

use std::future::pending;
use std::net::SocketAddr;

use axum::body::Body;
use frontdesk::http::serve::serve;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::accept_loop::{LONG, PATIENCE, rest};
use crate::app::{TestApp, app};

/// The longest URL that http reads, in bytes.
const URL_BYTES: usize = 65_534;

/// The longest head, in bytes.
const HEAD_BYTES: usize = 128 * 1024;

/// The most headers of an HTTP/1.1 request.
const HEADERS: usize = 100;

/// A tenant with a user, and its server on a port.
struct Served {
    app: TestApp,
    user: String,
    addr: SocketAddr,
}

async fn served() -> Served {
    let app = app().await;
    let user = app.user("jsnow").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let service = app.service.clone();
    let answer = move |request| service.clone().answer(request);
    tokio::spawn(serve(listener, None, answer, LONG, pending()));
    Served { app, user, addr }
}

impl Served {
    /// A query with a token and these further lines of the head, each with its end.
    fn query(&self, lines: &str) -> String {
        let token = &self.app.token;
        format!(
            "POST /scim/v2/Users/.search HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/scim+json\r\n{lines}\r\n"
        )
    }

    /// What must not be done: the deletion of the user, with a good token.
    fn behind(&self) -> String {
        format!("DELETE /scim/v2/Users/{} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n", self.user, self.app.token)
    }

    /// Everything that is answered until the server closes the connection.
    async fn answered(&self, sent: impl AsRef<[u8]>) -> String {
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        // The server may close before it has taken everything.
        let _ = stream.write_all(sent.as_ref()).await;
        rest(&mut stream).await
    }

    /// Sends something with a deletion behind it: it is answered with one of the statuses, the connection is closed, and nothing
    /// else was done.
    async fn ends_with(&self, sent: &str, allowed: &[u16]) {
        let answered = self.answered(format!("{sent}{}", self.behind())).await;
        let is_one = matches!(statuses(&answered)[..], [status] if allowed.contains(&status));
        assert!(is_one, "{sent:.300}: {answered}");
        self.app.get(&format!("/Users/{}", self.user)).await.expect(200);
    }
}

/// The statuses of what was answered on a connection.
fn statuses(answered: &str) -> Vec<u16> {
    answered.split("HTTP/1.1 ").skip(1).map(|answer| answer[..3].parse().unwrap()).collect()
}

#[tokio::test]
async fn a_length_that_can_be_read_in_two_ways_is_refused() {
    let served = served().await;
    for lines in [
        "Content-Length: 2\r\nContent-Length: 60\r\n",
        "Content-Length: 60\r\nContent-Length: 2\r\n",
        "Content-Length: 2, 60\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: +2\r\n",
        "Content-Length: 0x2\r\n",
        "Content-Length: 2 2\r\n",
        "Content-Length: 2.0\r\n",
        "Content-Length: \r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Content-Length : 2\r\n",
        " Content-Length: 2\r\n",
        "X: y\r\n Content-Length: 60\r\n",
        "X: y\r\n\tz\r\nContent-Length: 2\r\n",
        "X: y\rContent-Length: 60\r\n",
        "X: y\0\r\nContent-Length: 2\r\n",
        ": y\r\nContent-Length: 2\r\n",
        "Content-Length\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: \u{b}chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding:\r\n chunked\r\n",
        "Transfer-Encoding : chunked\r\nContent-Length: 2\r\n",
        "Content-Length: 2\r\nTransfer-Encoding: identity\r\n",
    ] {
        served.ends_with(&format!("{}{{}}", served.query(lines)), &[400]).await;
    }
    let earlier = served.query("Transfer-Encoding: chunked\r\n").replace("HTTP/1.1", "HTTP/1.0");
    served.ends_with(&format!("{earlier}2\r\n{{}}\r\n0\r\n\r\n"), &[400]).await;
    // Legal numbers that no body has.
    for lines in ["Content-Length: 18446744073709551615\r\n", "Content-Length: 18446744073709551613\r\n"] {
        served.ends_with(&served.query(lines), &[400, 413, 431]).await;
    }
}

/// RFC 9112 §6.1: a server may "process such a request in accordance with the Transfer-Encoding alone. Regardless, the server MUST
/// close the connection after responding to such a request".
#[tokio::test]
async fn behind_a_request_with_both_lengths_nothing_is_read() {
    let served = served().await;
    for lines in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Content-Length: 12\r\nTransfer-Encoding: chunked\r\nContent-Length: 500\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\nConnection: keep-alive\r\n",
    ] {
        served.ends_with(&format!("{}2\r\n{{}}\r\n0\r\n\r\n", served.query(lines)), &[200]).await;
    }
}

#[tokio::test]
async fn a_chunk_that_can_be_read_in_two_ways_ends_the_connection() {
    let served = served().await;
    let head = served.query("Transfer-Encoding: chunked\r\n");
    let long = format!("2;{}\r\n{{}}\r\n0\r\n\r\n", "x".repeat(100_000));
    for body in [
        "FFFFFFFFFFFFFFFFF\r\n{}\r\n0\r\n\r\n",
        "10000000000000002\r\n{}\r\n0\r\n\r\n",
        "-2\r\n{}\r\n0\r\n\r\n",
        "0x2\r\n{}\r\n0\r\n\r\n",
        "2 2\r\n{}\r\n0\r\n\r\n",
        "\r\n2\r\n{}\r\n0\r\n\r\n",
        "g\r\n{}\r\n0\r\n\r\n",
        "2\n{}\n0\n\n",
        "2\r{}\r\n0\r\n\r\n",
        "2;a\nb\r\n{}\r\n0\r\n\r\n",
        "2\r\n{}0\r\n\r\n",
        "2\r\n{}xx0\r\n\r\n",
        "1\r\n{}\r\n0\r\n\r\n",
        &long,
    ] {
        served.ends_with(&format!("{head}{body}"), &[400, 413]).await;
    }
}

/// What a body holds is a body, however much it looks like a request.
#[tokio::test]
async fn a_request_in_a_body_is_not_done() {
    let served = served().await;
    let inner = served.behind();
    let last = format!(
        "GET /scim/v2/Users/{} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n",
        served.user, served.app.token
    );
    let sized = served.query(&format!("Content-Length: {}\r\n", inner.len()));
    let chunked = served.query("Transfer-Encoding: chunked\r\n");
    for first in [format!("{sized}{inner}"), format!("{chunked}{:x}\r\n{inner}\r\n0\r\n\r\n", inner.len())] {
        let answered = served.answered(format!("{first}{last}")).await;
        assert_eq!(statuses(&answered), [400, 200], "{answered}");
    }
    // A trailer is no head: it changes neither the request nor the next one.
    let trailer = format!("{chunked}2\r\n{{}}\r\n0\r\nAuthorization: Bearer x\r\n\r\n{last}");
    assert_eq!(statuses(&served.answered(trailer).await), [200, 200]);
}

/// A connection has no identity: each request has that of its own token, or none.
#[tokio::test]
async fn a_pipelined_request_has_the_identity_of_its_own_token() {
    let (ours, theirs) = (served().await, app().await);
    let get = |authorization: &str, end: &str| format!("GET /scim/v2/Users/{} HTTP/1.1\r\nHost: x\r\n{authorization}{end}\r\n", ours.user);
    let [own, other] = [&ours.app, &theirs].map(|app| format!("Authorization: Bearer {}\r\n", app.token));
    let sent = [get(&own, ""), get("", ""), get(&other, ""), get(&own, ""), get("", "Connection: close\r\n")].concat();
    assert_eq!(statuses(&ours.answered(sent).await), [200, 401, 404, 200, 401]);
}

/// LIM-010: each bound of a head, met and passed.
#[tokio::test]
async fn a_head_has_its_length_and_no_more() {
    let served = served().await;
    let close = "Connection: close\r\n";
    let url = |bytes: usize| format!("GET /livez?{} HTTP/1.1\r\nHost: x\r\n{close}\r\n", "x".repeat(bytes - "/livez?".len()));
    let headers = |count: usize| format!("GET /livez HTTP/1.1\r\nHost: x\r\n{close}{}\r\n", "X: y\r\n".repeat(count - 2));
    let padded = |bytes: usize| {
        let (before, after) = ("GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX: ", "\r\n\r\n");
        format!("{before}{}{after}", "y".repeat(bytes - before.len() - after.len()))
    };
    for (sent, status) in [
        (url(URL_BYTES), 200),
        (url(URL_BYTES + 1), 414),
        (url(100 * 1024), 414),
        (headers(HEADERS), 200),
        (headers(HEADERS + 1), 431),
        (headers(1_000), 431),
        (padded(HEAD_BYTES - 1), 200),
        (padded(HEAD_BYTES * 2), 431),
    ] {
        let answered = served.answered(&sent).await;
        assert_eq!(statuses(&answered), [status], "{} bytes, {sent:.100}: {answered}", sent.len());
    }
}

/// Whoever never ends a head is cut when the buffer is full, long before its time is over.
#[tokio::test]
async fn a_head_without_an_end_is_cut() {
    let served = served().await;
    for (start, more) in [
        ("GET /livez HTTP/1.1\r\n", "X: y\r\n".repeat(1_000)),
        ("GET /livez HTTP/1.1\r\nX: ", "y".repeat(6_000)),
        ("GET /", "y".repeat(6_000)),
    ] {
        let mut stream = TcpStream::connect(served.addr).await.unwrap();
        stream.write_all(start.as_bytes()).await.unwrap();
        let sending = async { while stream.write_all(more.as_bytes()).await.is_ok() {} };
        timeout(PATIENCE / 2, sending).await.expect("the server closes");
    }
}

/// The same of HTTP/2, where a list of headers counts 32 bytes for each beside its name and value (RFC 9113 §6.5.2).
#[tokio::test]
async fn a_head_of_http2_has_its_length_and_no_more() {
    let served = served().await;
    for (bytes, status) in [(HEAD_BYTES - 1_024, 200), (HEAD_BYTES + 1, 431)] {
        let io = TokioIo::new(TcpStream::connect(served.addr).await.unwrap());
        let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        let request =
            hyper::Request::get(format!("http://{}/livez", served.addr)).header("x", "y".repeat(bytes)).body(Body::empty()).unwrap();
        let response = timeout(PATIENCE, sender.send_request(request)).await.expect("an answer comes").unwrap();
        assert_eq!(response.status(), status, "{bytes}");
    }
}
