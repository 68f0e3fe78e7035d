//! The program from its start to its end: what it refuses to start with, and how it stops.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::accept_loop::{PATIENCE, answer, rest};
use crate::support;
use crate::tls::{Files, connect};

fn frontdesk(arguments: &[&str], settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_frontdesk"));
    command.args(arguments).env_clear().envs(settings.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

struct Running {
    process: Child,
    addr: std::net::SocketAddr,
    log: tokio::io::Lines<BufReader<tokio::process::ChildStderr>>,
    /// Kept open: a server that cannot tell where it listens ends.
    _told: tokio::io::Lines<BufReader<tokio::process::ChildStdout>>,
}

/// A server on the tests' database that has told where it listens.
async fn start(settings: &[(&str, &str)]) -> Running {
    let mut command = frontdesk(&["serve"], settings);
    let mut process = command.envs(support::environment().await).env("FRONTDESK_LISTEN", "127.0.0.1:0").spawn().unwrap();
    let mut told = BufReader::new(process.stdout.take().unwrap()).lines();
    let log = BufReader::new(process.stderr.take().unwrap()).lines();
    let addr = loop {
        let line = timeout(PATIENCE, told.next_line()).await.expect("the server starts").unwrap().expect("the server tells its address");
        if let Some((_, url)) = line.split_once("://") {
            break url.split('/').next().unwrap().parse().unwrap();
        }
    };
    Running { process, addr, log, _told: told }
}

impl Running {
    fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.process.id().expect("it runs")).unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    async fn ended(&mut self) -> std::process::ExitStatus {
        timeout(PATIENCE, self.process.wait()).await.expect("the server ends").unwrap()
    }

    async fn logs(&mut self, text: &str) {
        timeout(PATIENCE, async {
            while let Some(line) = self.log.next_line().await.unwrap() {
                if line.contains(text) {
                    return;
                }
            }
            panic!("the log ended without {text:?}; the process ended with {:?}", self.process.wait().await);
        })
        .await
        .expect("the line comes");
    }

    /// Waits until it is ready: on a busy machine the database may miss the time that `/readyz` gives it.
    async fn is_ready(&self) {
        timeout(PATIENCE, async { while !self.get("/readyz").await.starts_with("HTTP/1.1 200") {} }).await.expect("the server gets ready");
    }

    async fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).await.unwrap();
        rest(&mut stream).await
    }
}

#[tokio::test]
async fn listening_for_others_without_tls_needs_a_word() {
    let refused = frontdesk(&["serve"], &[("FRONTDESK_LISTEN", "0.0.0.0:0")]).output().await.unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(told.starts_with("frontdesk: listening on 0.0.0.0:0 without TLS would"), "{told}");
    assert!(told.contains("--insecure-http") && told.contains("tls.certificate") && told.trim_end().lines().count() == 1, "{told}");
    assert!(refused.stdout.is_empty());
}

/// LIF-001, and LIF-002 for a server that is leaving.
#[tokio::test]
async fn a_server_that_is_asked_to_stop_says_so_first_and_ends_well() {
    let mut server = start(&[("FRONTDESK_HTTP_DRAIN_DELAY_MS", "3000")]).await;
    server.is_ready().await;
    let mut kept = TcpStream::connect(server.addr).await.unwrap();
    kept.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let before = answer(&mut kept, "ok\n").await;
    assert!(!before.contains("connection: close"), "{before}");
    server.signal(rustix::process::Signal::TERM);
    server.logs("stopping").await;
    // It still accepts, so that a balancer can learn it and no request meets a closed port.
    assert!(server.get("/readyz").await.starts_with("HTTP/1.1 503"));
    assert!(server.get("/livez").await.starts_with("HTTP/1.1 200"));
    // A connection that is kept is served once more, and told to end.
    kept.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let last = rest(&mut kept).await;
    assert!(last.starts_with("HTTP/1.1 200") && last.contains("connection: close"), "{last}");
    assert_eq!(server.ended().await.code(), Some(0));
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let mut server = start(&[("FRONTDESK_HTTP_DRAIN_DELAY_MS", "3600000")]).await;
    server.signal(rustix::process::Signal::TERM);
    server.logs("stopping").await;
    server.signal(rustix::process::Signal::TERM);
    assert_eq!(server.ended().await.code(), Some(1));
}

/// LIF-007.
#[tokio::test]
async fn a_hangup_reads_the_certificate_again_and_a_broken_one_changes_nothing() {
    let (files, first) = Files::new();
    let (certificate, key) = (files.certificate.to_str().unwrap(), files.key.to_str().unwrap());
    let mut server = start(&[("FRONTDESK_TLS_CERTIFICATE", certificate), ("FRONTDESK_TLS_KEY", key)]).await;
    connect(server.addr, &first, &[]).await.unwrap();
    let second = files.renew();
    server.signal(rustix::process::Signal::HUP);
    server.logs("the certificate was read again").await;
    connect(server.addr, &second, &[]).await.unwrap();
    std::fs::write(&files.key, "no key").unwrap();
    server.signal(rustix::process::Signal::HUP);
    server.logs("the certificate stays as it was").await;
    connect(server.addr, &second, &[]).await.unwrap();
    server.signal(rustix::process::Signal::TERM);
    assert_eq!(server.ended().await.code(), Some(0));
}

#[tokio::test]
async fn a_hangup_ends_no_server_without_a_certificate() {
    let mut server = start(&[]).await;
    server.signal(rustix::process::Signal::HUP);
    server.logs("there is no certificate to read again").await;
    assert!(server.get("/livez").await.starts_with("HTTP/1.1 200"));
    server.signal(rustix::process::Signal::INT);
    assert_eq!(server.ended().await.code(), Some(0));
}
