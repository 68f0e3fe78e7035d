//! What a panic leaves behind: 500 for the client and its place in the log, under the request's id. Its message is told to
//! nobody, because a message that shows a value may show a person. The process goes on; what the request held is dropped, its
//! transaction among it.

use std::panic::AssertUnwindSafe;

use axum::response::Response;
use futures_util::FutureExt as _;

use super::error::{fault, scim};

/// From now on a panic in this process is logged with its place and without its message.
pub fn log_their_place_only() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "a panic, which is a fault of the program");
    }));
}

/// An answer, or that to a request whose handler panicked.
pub(super) async fn caught(answer: impl Future<Output = Response>) -> Response {
    // What the handler held is not used again.
    AssertUnwindSafe(answer).catch_unwind().await.unwrap_or_else(|_| scim(fault()))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::StatusCode;
    use axum::response::IntoResponse as _;
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_answered_500_without_its_message() {
        let answered = caught(async { panic!("jsnow@example.com has no name") }).await;
        assert_eq!(answered.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = answered.into_body().collect().await.expect("the body is in memory").to_bytes();
        let body = String::from_utf8(body.to_vec()).expect("answers are UTF-8");
        assert!(body.contains("api:messages:2.0:Error") && !body.contains("jsnow") && !body.contains("panic"), "{body}");
        assert_eq!(caught(async { Body::from("served").into_response() }).await.status(), StatusCode::OK);
    }
}
