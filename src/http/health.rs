//! `/livez` and `/readyz`, for balancers and orchestrators. Neither needs a token nor tells anything but yes or no.

use axum::extract::State;
use axum::http::StatusCode;

use super::App;

/// The process answers. Never touches the database: restarting a process does not bring a database back.
pub(super) async fn livez() -> &'static str {
    "ok\n"
}

/// The server can work: it is not leaving, and its database answers with the schema it needs.
pub(super) async fn readyz(State(app): State<App>) -> (StatusCode, &'static str) {
    if app.is_leaving() {
        return (StatusCode::SERVICE_UNAVAILABLE, "leaving\n");
    }
    match app.directory().ready().await {
        Ok(()) => (StatusCode::OK, "ok\n"),
        Err(error) => {
            tracing::warn!(%error, "not ready");
            (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
        }
    }
}
