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
use axum::extract::Request;
use axum::http::Uri;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::get;
use tokio::sync::watch;
use tower::ServiceExt as _;

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

/// The whole application: what hyper calls for every request. Cheap to clone.
#[derive(Clone)]
pub struct Service {
    app: App,
    /// Health, metrics and the description of the API: without a token.
    open: Router,
    /// Everything else.
    guarded: Router,
}

impl Service {
    /// The application, ready to answer.
    #[must_use]
    pub fn new(app: App) -> Self {
        let open = Router::new()
            .route("/livez", get(health::livez))
            .route("/readyz", get(health::readyz))
            .route("/metrics", get(metrics::metrics))
            .route(openapi::PATH, get(openapi::document))
            .with_state(app.clone());
        let mut guarded = Router::new();
        for route in routes::SCIM {
            for base in BASES {
                guarded = guarded.route(&format!("{base}{}", route.path), (route.handler)());
            }
        }
        for route in routes::API {
            guarded = guarded.route(&format!("{API_BASE}{}", route.path), (route.handler)());
        }
        let guarded = guarded.fallback(error::no_such_path).layer(from_fn(routed)).with_state(app.clone());
        Self { app, open, guarded }
    }

    /// Answers a request. What every request passes is called here and is no layer of a router, which would be boxed and copied for
    /// every request.
    pub async fn answer(self, request: Request) -> Response {
        let (app, version) = (self.app.clone(), request.version());
        let mut response = log::request(&app, request, |request| error::in_time(&app, panics::caught(self.admitted(request)))).await;
        answer::add_common_headers(&app, version, response.headers_mut());
        response
    }

    /// The token is asked for around the whole router that owns the handlers: no path leads to one of them past it. Not with
    /// `Router::layer`, which goes inside: the router would add `Allow` to a 401 and so tell anybody which paths there are.
    async fn admitted(self, request: Request) -> Response {
        let Self { app, open, guarded } = self;
        if matches!(request.uri().path(), "/livez" | "/readyz" | "/metrics" | openapi::PATH) {
            return routed_by(open, request).await;
        }
        admission::in_flight(&app, one_spelling(request), |request| {
            auth::authenticate(&app, request, |request| routed_by(guarded, request))
        })
        .await
    }
}

async fn routed_by(router: Router, request: Request) -> Response {
    let Ok(response) = router.oneshot(request).await;
    response
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
