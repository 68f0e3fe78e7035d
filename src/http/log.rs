//! The request id and the one line that a request leaves in the log. The line names the route, not the path: a path holds ids
//! and a query string names people.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use uuid::Uuid;

use super::App;
use super::metrics::method_label;
use crate::directory::Caller;
use crate::log;

/// The header in which a request id comes and goes.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest request id accepted from a client or proxy, in characters.
const REQUEST_ID_MAX_CHARS: usize = 64;

/// The id of a request, in its answer, its log lines and its events.
#[derive(Debug, Clone)]
pub(super) struct RequestId {
    /// A client may have chosen it.
    pub(super) text: Arc<str>,
    /// This is ours, and no other request's.
    pub(super) unit: Uuid,
}

/// Who the request was from, for the log line: an answer carries it out to here.
#[derive(Debug, Clone)]
pub(super) struct Known(pub(super) Arc<Caller>);

/// The route that a request took, for the log line.
#[derive(Debug, Clone)]
struct Took(MatchedPath);

/// Carries the route out to the log line: only inside the router is it known.
pub(super) async fn route<F: Future<Output = Response>>(request: Request, next: impl FnOnce(Request) -> F) -> Response {
    let took = request.extensions().get::<MatchedPath>().cloned();
    let mut response = next(request).await;
    if let Some(took) = took {
        response.extensions_mut().insert(Took(took));
    }
    response
}

/// Gives the request an id, logs its end and counts it. A method that HTTP does not have is not repeated: it may be any text.
pub(super) async fn request<F: Future<Output = Response>>(app: &App, mut request: Request, next: impl FnOnce(Request) -> F) -> Response {
    let started = Instant::now();
    let id = request_id(&request);
    request.extensions_mut().insert(id.clone());
    let id = id.text;
    let method = request.method().clone();
    let mut response = log::of_request(Arc::clone(&id), next(request)).await;
    let caller = response.extensions_mut().remove::<Known>();
    let route = response.extensions_mut().remove::<Took>();
    let route = route.as_ref().map_or("-", |route| route.0.as_str());
    let duration = started.elapsed();
    app.metrics().observe(route, &method, response.status(), duration);
    tracing::info!(
        method = method_label(&method),
        route,
        status = response.status().as_u16(),
        duration_ms = (duration.as_secs_f64() * 1e6).round() / 1e3,
        tenant.slug = caller.as_ref().map(|caller| caller.0.tenant_slug.as_str()),
        connection.name = caller.as_ref().map(|caller| caller.0.connection_name.as_str()),
        request.id = &*id,
        "answered"
    );
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// A client's own id when it is harmless, else a new one.
fn request_id(request: &Request) -> RequestId {
    let given = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(|id| {
        !id.is_empty()
            && id.len() <= REQUEST_ID_MAX_CHARS
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    });
    let unit = Uuid::now_v7();
    RequestId { text: given.map_or_else(|| unit.to_string().into(), Into::into), unit }
}
