//! One question to a server on this machine: is it alive? It is what `frontdesk healthcheck` asks inside a container image that
//! has no curl. HTTP/1.1, plain or over TLS; no redirects, no body.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

/// A server that needs longer than this to say that it is alive, is not.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The start of every good answer.
const ALIVE: &[u8] = b"HTTP/1.1 200 ";

/// Asks `GET /livez`, over TLS when `tls` says so; true for a 200. `addr` must be one that can be connected to
/// (`config::reachable`).
///
/// # Errors
/// When nobody listens, or no answer comes within two seconds.
pub async fn probe(addr: SocketAddr, tls: bool) -> io::Result<bool> {
    let asked = async {
        let stream = TcpStream::connect(addr).await?;
        if !tls {
            return ask(stream, addr).await;
        }
        let connector = TlsConnector::from(Arc::new(client().map_err(io::Error::other)?));
        ask(connector.connect(ServerName::from(addr.ip()), stream).await?, addr).await
    };
    tokio::time::timeout(TIMEOUT, asked).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, addr: SocketAddr) -> io::Result<bool> {
    stream.write_all(format!("GET /livez HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n").as_bytes()).await?;
    stream.flush().await?;
    let mut start = [0; ALIVE.len()];
    stream.read_exact(&mut start).await?;
    Ok(start == ALIVE)
}

fn client() -> Result<ClientConfig, Error> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate(provider))).with_no_client_auth())
}

/// Takes any certificate: it is for the public name, and the question goes to this machine's own port, holds no secret, and believes
/// the answer nothing but that somebody is alive.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
