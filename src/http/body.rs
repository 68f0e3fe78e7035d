//! The body of a request: one of the two JSON media types (RFC 7644 §3.8), bounded in size and time, read as a whole before
//! anything else is touched. No database connection is held meanwhile.

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::Response;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde_json::{Map, Value};

use super::App;
use super::error::scim;
use crate::scim::ScimError;
use crate::scim::error::quote;
use crate::scim::json::parse_object;

/// A body that is a JSON object.
pub(super) struct JsonObject(pub(super) Map<String, Value>);

impl FromRequest<App> for JsonObject {
    type Rejection = Response;

    async fn from_request(request: Request, app: &App) -> Result<Self, Response> {
        check_headers(request.headers(), app.0.body_bytes).map_err(scim)?;
        let bytes = match tokio::time::timeout(app.0.http.body_timeout, read(request.into_body(), app.0.body_bytes)).await {
            Ok(read) => read.map_err(scim)?,
            Err(_) => return Err(scim(ScimError::new(408, "the body did not arrive in time"))),
        };
        parse_object(&bytes).map(Self).map_err(scim)
    }
}

fn check_headers(headers: &HeaderMap, limit: usize) -> Result<(), ScimError> {
    if let Some(encoding) = headers.get(CONTENT_ENCODING).filter(|encoding| *encoding != "identity") {
        let encoding = String::from_utf8_lossy(encoding.as_bytes());
        return Err(ScimError::new(415, format!("a body with Content-Encoding {} is not accepted", quote(&encoding))));
    }
    if let Some(content_type) = headers.get(CONTENT_TYPE) {
        let content_type = String::from_utf8_lossy(content_type.as_bytes());
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        if !["application/scim+json", "application/json"].iter().any(|known| essence.eq_ignore_ascii_case(known)) {
            return Err(ScimError::new(
                415,
                format!("Content-Type is {}; application/scim+json or application/json is expected", quote(essence)),
            ));
        }
    }
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(too_large(limit));
    }
    Ok(())
}

async fn read(body: Body, limit: usize) -> Result<axum::body::Bytes, ScimError> {
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.downcast_ref::<LengthLimitError>().is_some() => Err(too_large(limit)),
        Err(_) => Err(ScimError::invalid_syntax("the body did not arrive as a whole")),
    }
}

fn too_large(limit: usize) -> ScimError {
    ScimError::new(413, format!("the body is larger than {limit} bytes (maxPayloadSize; the setting limits.body_bytes)"))
}
