//! TLS of the accept loop (rustls): a certificate chain and its key as PEM files, read again on demand. What is read anew holds for
//! connections that come then; a file that cannot be used changes nothing.
//! Not here: certificates of clients (a bearer token says who they are), and how certificates are renewed.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};

/// What is offered in ALPN, the best first: HTTP/2 and HTTP/1.1 (RFC 7301, RFC 9113 §3.2).
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Why a certificate and key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or there is no PEM of the kind in it.
    #[error("{}: no usable {what}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is looked for in it.
        what: &'static str,
        /// Why it is not found.
        reason: String,
    },
    /// The two do not fit together, or the key is of a kind that is not supported.
    #[error("the certificate {} and the key {} cannot be used together: {reason}", certificate.display(), key.display())]
    Pair {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// What rustls says.
        reason: rustls::Error,
    },
}

/// The certificate and key in use, and where they come from. Cheap to clone; the clones share what is in use.
#[derive(Clone)]
pub struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    /// The longest a client may take for its handshake.
    pub(super) handshake_timeout: Duration,
    current: Arc<RwLock<TlsAcceptor>>,
}

impl Tls {
    /// Reads the certificate chain (the server's own first) and its key.
    ///
    /// # Errors
    /// A file that cannot be read or used.
    pub fn open(certificate: &Path, key: &Path, handshake_timeout: Duration) -> Result<Self, TlsError> {
        let current = Arc::new(RwLock::new(acceptor(certificate, key)?));
        Ok(Self { certificate: certificate.to_owned(), key: key.to_owned(), handshake_timeout, current })
    }

    /// Reads both files again. On an error what was in use stays in use.
    ///
    /// # Errors
    /// As [`Tls::open`].
    pub fn reload(&self) -> Result<(), TlsError> {
        let fresh = acceptor(&self.certificate, &self.key)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// What takes the next handshake.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor, TlsError> {
    let unusable = |path: &Path, what, reason: String| TlsError::File { path: path.to_owned(), what, reason };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unusable(certificate, "certificate", error.to_string()))?;
    if chain.is_empty() {
        return Err(unusable(certificate, "certificate", "there is no PEM block CERTIFICATE in it".into()));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(key, "private key", error.to_string()))?;
    let pair = |reason| TlsError::Pair { certificate: certificate.to_owned(), key: key.to_owned(), reason };
    // The provider by name: a process-wide default is whichever crate came first.
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(pair)?
        .with_no_client_auth()
        // Compares the public key of the first certificate with the private one.
        .with_single_cert(chain, private)
        .map_err(pair)?;
    config.alpn_protocols = PROTOCOLS.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(TlsAcceptor::from(Arc::new(config)))
}
