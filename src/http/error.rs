//! From a failure to an answer: what the client may read in SCIM form (RFC 7644 §3.12), and for everything else one line in the
//! log and a sentence that says nothing of the cause.

use std::error::Error as _;

use axum::extract::Request;
use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::App;
use super::answer::SCIM_JSON;
use crate::directory;
use crate::scim::ScimError;

/// How long a client is asked to wait when the database is away, in seconds.
const RETRY_AFTER_SECONDS: &str = "2";

/// A failed request.
#[derive(Debug)]
pub(super) enum Failure {
    /// The client's fault.
    Scim(ScimError),
    /// The database's, or ours.
    Directory(directory::Error),
}

impl From<ScimError> for Failure {
    fn from(error: ScimError) -> Self {
        Self::Scim(error)
    }
}

impl From<directory::Error> for Failure {
    fn from(error: directory::Error) -> Self {
        match error {
            directory::Error::Scim(error) => Self::Scim(error),
            other => Self::Directory(other),
        }
    }
}

impl Failure {
    /// What the client may read of it; the rest goes into the log.
    pub(super) fn told(self) -> ScimError {
        match self {
            Self::Scim(error) => error,
            Self::Directory(error) => {
                let cause = error.source().map(chain).unwrap_or_default();
                if matches!(error, directory::Error::Unsettled(_)) {
                    tracing::warn!(cause, "a request lost the database during its commit");
                    return ScimError::new(
                        503,
                        "the server's database was lost while this was being written, and it is not known whether it was; please look, \
                         or try again",
                    );
                }
                if matches!(error, directory::Error::Unavailable(_)) {
                    tracing::warn!(cause, "a request found the database unavailable");
                    return ScimError::new(503, "the server's database is not available or too busy; please try again");
                }
                tracing::error!(cause, "a request failed");
                fault()
            }
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let error = self.told();
        let unavailable = error.status == 503;
        let mut response = scim(error);
        if unavailable {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
        }
        response
    }
}

/// What a client reads of a fault of ours.
pub(super) fn fault() -> ScimError {
    ScimError::new(500, "the server could not do this; its log says why under this request's id")
}

/// The messages of an error and of what is behind it.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

/// An error as a SCIM answer. The error goes along in the extensions, for the record of refused requests.
pub(super) fn scim(error: ScimError) -> Response {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, [(CONTENT_TYPE, SCIM_JSON)], error.body().to_string()).into_response();
    response.extensions_mut().insert(error);
    response
}

/// The answer for a path that leads nowhere. RFC 7644 §3.13: a version other than ours is refused as such.
pub(super) async fn no_such_path(request: Request) -> Response {
    let path = request.uri().path();
    let version = path.strip_prefix("/scim/").or_else(|| path.strip_prefix("/api/scim/")).and_then(|rest| rest.split('/').next());
    let other = version.filter(|version| *version != "v2" && is_version(version));
    scim(match other {
        Some(_) => ScimError::bad(crate::scim::ScimType::InvalidVers, "this server speaks SCIM version 2 only"),
        None => {
            ScimError::new(404, "there is nothing at this path; a base of this server is followed by Users, Groups, Schemas and the like")
        }
    })
}

fn is_version(segment: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    segment.strip_prefix(['v', 'V']).is_some_and(|number| number.split('.').all(digits))
}

/// Gives answers that axum makes itself the form of a SCIM error: 405, and 400 for an id that is not UTF-8, which is an unknown
/// one like any other that we did not issue.
pub(super) async fn in_scim_form(request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let response = next.run(request).await;
    match response.status() {
        StatusCode::METHOD_NOT_ALLOWED => {}
        StatusCode::BAD_REQUEST if response.extensions().get::<ScimError>().is_none() => {
            return scim(ScimError::new(404, "there is nothing at this path: it is not UTF-8"));
        }
        _ => return response,
    }
    let mut refused = scim(ScimError::new(405, format!("this resource has no method {method}; the header Allow lists those it has")));
    if let Some(allow) = response.headers().get(ALLOW) {
        refused.headers_mut().insert(ALLOW, allow.clone());
    }
    refused
}

/// A request has a bound. What it does in the directory goes on in a task of its own, so nothing is torn.
pub(super) async fn in_time(app: &App, answer: impl Future<Output = Response>) -> Response {
    match tokio::time::timeout(app.0.http.request_timeout, answer).await {
        Ok(response) => response,
        Err(_) => {
            tracing::warn!("a request took too long");
            let mut response = scim(ScimError::new(503, "the server did not answer in time; please try again"));
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
            response
        }
    }
}
