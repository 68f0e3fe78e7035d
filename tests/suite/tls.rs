//! TLS of the accept loop: what is negotiated, handshakes that stall, certificates that are exchanged while the server runs.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use frontdesk::http::health_probe::probe;
use frontdesk::http::serve::ServeLimits;
use frontdesk::http::tls::Tls;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::accept_loop::{LONG, PATIENCE, SHORT, Server, answer, rest, start_with};

/// A certificate for `localhost` and its key in files, as an administrator has them.
pub struct Files {
    _directory: tempfile::TempDir,
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Files {
    pub fn new() -> (Self, CertificateDer<'static>) {
        let directory = tempfile::tempdir().unwrap();
        let (certificate, key) = (directory.path().join("chain.pem"), directory.path().join("key.pem"));
        let files = Self { _directory: directory, certificate, key };
        let made = files.renew();
        (files, made)
    }

    /// Another certificate with another key under the same names.
    pub fn renew(&self) -> CertificateDer<'static> {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(&self.certificate, cert.pem()).unwrap();
        fs::write(&self.key, signing_key.serialize_pem()).unwrap();
        cert.der().clone()
    }

    fn open(&self, handshake_timeout: Duration) -> Tls {
        Tls::open(&self.certificate, &self.key, handshake_timeout).unwrap()
    }
}

/// A client that trusts one certificate and offers these protocols.
pub async fn connect(
    addr: std::net::SocketAddr,
    trusted: &CertificateDer<'static>,
    protocols: &[&[u8]],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let mut config = builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let stream = TcpStream::connect(addr).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await
}

async fn asks(server: &Server, trusted: &CertificateDer<'static>) {
    let mut client = connect(server.addr, trusted, &[]).await.unwrap();
    client.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    answer(&mut client, "ok").await;
}

#[tokio::test]
async fn alpn_chooses_between_http2_and_http1() {
    let (files, certificate) = Files::new();
    let server = start_with(LONG, Some(files.open(PATIENCE))).await;
    for (offered, chosen) in [(&[&b"http/1.1"[..], b"h2"][..], Some(&b"h2"[..])), (&[b"http/1.1"], Some(b"http/1.1")), (&[], None)] {
        let mut client = connect(server.addr, &certificate, offered).await.unwrap();
        assert_eq!(client.get_ref().1.alpn_protocol(), chosen);
        if chosen == Some(b"h2") {
            let io = hyper_util::rt::TokioIo::new(client);
            let (mut sender, connection) = hyper::client::conn::http2::handshake(hyper_util::rt::TokioExecutor::new(), io).await.unwrap();
            tokio::spawn(connection);
            let request = hyper::Request::get("https://localhost/livez").body(axum::body::Body::empty()).unwrap();
            assert_eq!(sender.send_request(request).await.unwrap().status(), 200);
        } else {
            client.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
            answer(&mut client, "ok").await;
        }
    }
    assert!(connect(server.addr, &certificate, &[b"spdy/3"]).await.is_err(), "no protocol in common");
}

#[tokio::test]
async fn handshakes_that_stall_cost_their_connections_and_nothing_else() {
    let (files, certificate) = Files::new();
    let server = start_with(LONG, Some(files.open(SHORT * 5))).await;
    let mut stalled = Vec::new();
    // Nothing; the beginning of a ClientHello.
    for beginning in [&b""[..], &[22, 3, 1, 1, 0, 1]] {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        stream.write_all(beginning).await.unwrap();
        stalled.push(stream);
    }
    asks(&server, &certificate).await;
    for mut stream in stalled {
        assert_eq!(rest(&mut stream).await, "");
    }
    asks(&server, &certificate).await;
}

#[tokio::test]
async fn a_stalled_handshake_does_not_hold_up_the_drain() {
    let (files, _) = Files::new();
    let server = start_with(LONG, Some(files.open(PATIENCE * 10))).await;
    let mut stalled = TcpStream::connect(server.addr).await.unwrap();
    server.shutdown.send(()).unwrap();
    assert_eq!(rest(&mut stalled).await, "");
    timeout(PATIENCE, server.ended).await.expect("nothing is waited for").unwrap().unwrap();
}

/// HTTP-009.
#[tokio::test]
async fn plain_http_on_a_port_with_tls_is_answered_with_nothing_of_it() {
    let (files, certificate) = Files::new();
    let server = start_with(LONG, Some(files.open(PATIENCE))).await;
    let mut plain = TcpStream::connect(server.addr).await.unwrap();
    plain.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer fd_secret\r\n\r\n").await.unwrap();
    let told = rest(&mut plain).await;
    assert!(!told.contains("HTTP") && !told.contains("fd_secret"), "{told:?}");
    asks(&server, &certificate).await;
}

#[tokio::test]
async fn a_client_that_does_not_take_its_answer_over_tls_is_cut() {
    let (files, certificate) = Files::new();
    let server = start_with(ServeLimits { write_timeout: SHORT, ..LONG }, Some(files.open(PATIENCE))).await;
    let mut client = connect(server.addr, &certificate, &[]).await.unwrap();
    client.write_all(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    timeout(PATIENCE, server.given_up.notified()).await.expect("the answer is given up");
    assert!(rest(&mut client).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_renewed_certificate_is_for_new_connections_and_a_broken_one_for_none() {
    let (files, first) = Files::new();
    let tls = files.open(PATIENCE);
    let server = start_with(LONG, Some(tls.clone())).await;
    let mut kept = connect(server.addr, &first, &[]).await.unwrap();
    let second = files.renew();
    asks(&server, &first).await;
    tls.reload().unwrap();
    asks(&server, &second).await;
    assert!(connect(server.addr, &first, &[]).await.is_err());
    kept.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    answer(&mut kept, "ok").await;

    let key = fs::read(&files.key).unwrap();
    files.renew();
    fs::write(&files.key, key).unwrap();
    let mismatch = tls.reload().unwrap_err().to_string();
    assert!(mismatch.contains("chain.pem") && mismatch.contains("key.pem") && mismatch.contains("cannot be used together"), "{mismatch}");
    fs::write(&files.certificate, "no certificate").unwrap();
    let none = tls.reload().unwrap_err().to_string();
    assert!(none.contains("chain.pem: no usable certificate"), "{none}");
    fs::remove_file(&files.key).unwrap();
    fs::write(&files.certificate, "").unwrap();
    assert!(!tls.reload().unwrap_err().to_string().contains('\n'));
    asks(&server, &second).await;
}

#[tokio::test]
async fn a_certificate_without_its_key_is_told_at_the_start() {
    let (files, _) = Files::new();
    fs::copy(&files.certificate, &files.key).unwrap();
    let error = Tls::open(&files.certificate, &files.key, PATIENCE).err().unwrap().to_string();
    assert!(error.contains("key.pem: no usable private key"), "{error}");
}

#[tokio::test]
async fn the_probe_speaks_tls_whatever_name_the_certificate_has() {
    let (files, _) = Files::new();
    let server = start_with(LONG, Some(files.open(PATIENCE))).await;
    assert!(probe(server.addr, true).await.unwrap());
    assert!(probe(server.addr, false).await.is_err());
}
