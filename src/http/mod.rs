//! The HTTP floor, the only one that knows axum: the router, what every request passes on its way in and out, and the handlers.
//!
//! A request under one of the [`BASES`] passes, in this order: a request id and the log line (`log`), the time limit and the net
//! for panics, one spelling of the path, the bounds on what is in progress (`admission`), the bearer token (`auth`), its handler. Handlers extract, call one use case of the
//! directory and answer; errors become SCIM errors in `error`.

pub mod address;
mod admission;
mod answer;
mod auth;
mod body;
mod bulk;
mod changes;
mod clock;
mod discovery;
mod employees;
mod error;
mod groups;
mod health;
pub mod health_probe;
mod held;
mod log;
mod metrics;
pub mod openapi;
mod organization;
pub mod panics;
mod parameters;
mod rates;
pub mod routes;
mod search;
pub mod serve;
pub mod tls;
mod users;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::Uri;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::get;
use tokio::sync::watch;
use tower::Layer as _;
use tower::util::MapRequest;
use tower_http::catch_panic::CatchPanicLayer;

use crate::config::{Config, Http};
use crate::directory::Directory;
use crate::scim::reader::Limits;

/// The bases under which SCIM is served, all with the same meaning: ours, SpaceIQ's, OfficeSpace's.
pub const BASES: [&str; 3] = ["/scim/v2", "/scim", "/api/scim/v2"];

/// The base of the workplace product's API.
pub const API_BASE: &str = "/api/v1";

/// What every handler can reach. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Shared>);

struct Shared {
    directory: Directory,
    public_url: String,
    limits: Limits,
    body_bytes: usize,
    cursor_timeout: Duration,
    http: Http,
    leaving: watch::Sender<bool>,
    waiters: changes::Waiters,
    metrics: metrics::Metrics,
    admission: admission::Admission,
    readiness: health::Readiness,
}

impl App {
    /// An application on a directory. `public_url` is what references are built from, without a trailing slash.
    #[must_use]
    pub fn new(directory: Directory, config: &Config, public_url: String) -> Self {
        Self(Arc::new(Shared {
            directory,
            public_url,
            limits: config.limits.reading(),
            body_bytes: config.limits.body_bytes,
            cursor_timeout: config.limits.cursor_timeout,
            http: config.http.clone(),
            leaving: watch::Sender::new(false),
            waiters: changes::Waiters::default(),
            metrics: metrics::Metrics::default(),
            admission: admission::Admission::new(config),
            readiness: health::Readiness::default(),
        }))
    }

    /// From now on `/readyz` says no, so that a balancer sends requests elsewhere, and nobody waits for changes.
    pub fn leave(&self) {
        self.0.leaving.send_replace(true);
    }

    fn is_leaving(&self) -> bool {
        *self.0.leaving.borrow()
    }

    fn directory(&self) -> &Directory {
        &self.0.directory
    }

    fn metrics(&self) -> &metrics::Metrics {
        &self.0.metrics
    }

    fn admission(&self) -> &admission::Admission {
        &self.0.admission
    }
}

/// The whole application.
pub fn router(app: App) -> Router {
    let mut inner = Router::new();
    for route in routes::SCIM {
        for base in BASES {
            inner = inner.route(&format!("{base}{}", route.path), (route.handler)());
        }
    }
    for route in routes::API {
        inner = inner.route(&format!("{API_BASE}{}", route.path), (route.handler)());
    }
    let inner = inner.fallback(error::no_such_path).layer(from_fn(routed)).with_state(app.clone());
    // The token is asked for around the whole router that owns the handlers: no path leads to one of them past it. Not with
    // `Router::layer`, which goes inside: the router would add `Allow` to a 401 and so tell anybody which paths there are.
    let inner = from_fn_with_state(app.clone(), admitted).layer(inner);
    Router::new()
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(metrics::metrics))
        .route(openapi::PATH, get(openapi::document))
        .fallback_service(MapRequest::new(inner, one_spelling))
        .layer(CatchPanicLayer::custom(panics::answer))
        .layer(from_fn_with_state(app.clone(), every_request))
        .with_state(app)
}

/// What every request passes. One layer and not one for each, as below: a layer is boxed and copied for every request.
async fn every_request(State(app): State<App>, request: Request, next: Next) -> Response {
    let version = request.version();
    let mut response = log::request(&app, request, |request| error::in_time(&app, next.run(request))).await;
    answer::add_common_headers(&app, version, response.headers_mut());
    response
}

/// What a request passes that is not for health or metrics.
async fn admitted(State(app): State<App>, request: Request, next: Next) -> Response {
    admission::in_flight(&app, request, |request| auth::authenticate(&app, request, next)).await
}

/// What lies around every handler.
async fn routed(request: Request, next: Next) -> Response {
    log::route(request, |request| error::in_scim_form(request, next)).await
}

/// Doubled and trailing slashes are tolerated: administrators paste the Base URL with one, clients append `/Users`.
fn one_spelling(mut request: Request) -> Request {
    let path = request.uri().path();
    let odd = path.contains("//") || (path.len() > 1 && path.ends_with('/'));
    if !odd {
        return request;
    }
    let mut clean: String =
        path.split('/').filter(|segment| !segment.is_empty()).fold(String::new(), |clean, segment| clean + "/" + segment);
    if clean.is_empty() {
        clean.push('/');
    }
    if let Some(query) = request.uri().query() {
        clean.push('?');
        clean.push_str(query);
    }
    if let Ok(uri) = clean.parse::<Uri>() {
        *request.uri_mut() = uri;
    }
    request
}
