//! How a conversation reaches its server: over HTTP or HTTPS, or within this process.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// The largest answer read, in bytes: a group of 100,000 members has about 20 MB.
const ANSWER_MAX_BYTES: usize = 64 * 1024 * 1024;

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The media type; empty when there is none.
    pub content_type: String,
    /// The body.
    pub body: Bytes,
}

type Answering = Pin<Box<dyn Future<Output = Result<Answer, String>> + Send>>;

/// The way to a server. A failure is a sentence for the operator.
pub enum Transport {
    /// Over the network.
    Http(Box<Client<HttpsConnector<HttpConnector>, Full<Bytes>>>),
    /// To a server in this process.
    Within(Box<dyn Fn(Request<Full<Bytes>>) -> Answering + Send + Sync>),
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http(_) => "Http",
            Self::Within(_) => "Within",
        })
    }
}

impl Transport {
    /// Over HTTP/1.1, with TLS for https and the operating system's root certificates.
    ///
    /// # Errors
    /// The root certificates cannot be read.
    pub fn http() -> std::io::Result<Self> {
        let connector = HttpsConnectorBuilder::new().with_native_roots()?.https_or_http().enable_http1().build();
        Ok(Self::Http(Box::new(Client::builder(TokioExecutor::new()).build(connector))))
    }

    /// Sends one request and reads the answer as a whole.
    ///
    /// # Errors
    /// No answer came, with the reason.
    pub(super) async fn send(&self, request: Request<Full<Bytes>>) -> Result<Answer, String> {
        match self {
            Self::Within(answer) => answer(request).await,
            Self::Http(client) => {
                let response = client.request(request).await.map_err(|error| reason(&error))?;
                let (parts, body) = response.into_parts();
                let body = Limited::new(body, ANSWER_MAX_BYTES).collect().await.map_err(|error| reason(error.as_ref()))?;
                let content_type = parts.headers.get(hyper::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
                Ok(Answer { status: parts.status.as_u16(), content_type: content_type.unwrap_or_default().into(), body: body.to_bytes() })
            }
        }
    }
}

/// An error with what is behind it.
fn reason(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
