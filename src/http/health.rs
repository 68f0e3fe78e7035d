//! `/livez` and `/readyz`, for balancers and orchestrators. Neither needs a token nor tells anything but yes or no.

use std::time::Instant;

use axum::extract::State;
use axum::http::StatusCode;
use tokio::sync::Mutex;

use super::App;
use crate::directory::Directory;

/// The process answers. Never touches the database: restarting a process does not bring a database back.
pub(super) async fn livez() -> &'static str {
    "ok\n"
}

/// The server can work: it is not leaving, and its database answers with the schema it needs.
pub(super) async fn readyz(State(app): State<App>) -> (StatusCode, &'static str) {
    if app.is_leaving() {
        return (StatusCode::SERVICE_UNAVAILABLE, "leaving\n");
    }
    match app.0.readiness.ask(app.directory()).await {
        true => (StatusCode::OK, "ok\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
    }
}

/// The last question to the database whether it is ready: when it was asked, and the answer. One question at a time serves all who
/// came before it was asked, since anybody may ask, and many who do must not take the connections of requests.
#[derive(Default)]
pub(super) struct Readiness(Mutex<Option<(Instant, bool)>>);

impl Readiness {
    async fn ask(&self, directory: &Directory) -> bool {
        let came_at = Instant::now();
        let mut last = self.0.lock().await;
        if let Some((_, ready)) = last.filter(|(asked_at, _)| *asked_at >= came_at) {
            return ready;
        }
        let asked_at = Instant::now();
        let ready = directory.ready().await.inspect_err(|error| tracing::warn!(%error, "not ready")).is_ok();
        *last = Some((asked_at, ready));
        ready
    }
}
