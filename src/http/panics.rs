//! What a panic leaves behind: 500 for the client and its place in the log, under the request's id. Its message is told to
//! nobody, because a message that shows a value may show a person. The process goes on; what the request held is dropped, its
//! transaction among it.

use std::any::Any;

use axum::body::Body;
use axum::response::Response;

use super::error::{fault, scim};

/// From now on a panic in this process is logged with its place and without its message.
pub fn log_their_place_only() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "a panic, which is a fault of the program");
    }));
}

/// The answer to a request whose handler panicked.
pub(super) fn answer(_: Box<dyn Any + Send + 'static>) -> Response<Body> {
    scim(fault())
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::extract::Request;
    use axum::http::StatusCode;
    use axum::routing::get;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;
    use tower_http::catch_panic::CatchPanicLayer;

    use super::*;

    async fn panics() -> &'static str {
        panic!("jsnow@example.com has no name")
    }

    #[tokio::test]
    async fn a_panic_is_answered_500_without_its_message_and_the_next_request_is_served() {
        let router =
            Router::new().route("/panics", get(panics)).route("/serves", get(async || "served")).layer(CatchPanicLayer::custom(answer));
        let send = |path: &str| router.clone().oneshot(Request::get(path).body(Body::empty()).expect("the request is well formed"));
        let answered = send("/panics").await.expect("the router always answers");
        assert_eq!(answered.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = answered.into_body().collect().await.expect("the body is in memory").to_bytes();
        let body = String::from_utf8(body.to_vec()).expect("answers are UTF-8");
        assert!(body.contains("api:messages:2.0:Error") && !body.contains("jsnow") && !body.contains("panic"), "{body}");
        assert_eq!(send("/serves").await.expect("the router always answers").status(), StatusCode::OK);
    }
}
