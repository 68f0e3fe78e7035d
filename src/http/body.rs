//! The body of a request: one of the two JSON media types (RFC 7644 §3.8), bounded in size and time, read as a whole before
//! anything else is touched. No database connection is held meanwhile.

use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::Response;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde_json::{Map, Value};

use super::App;
use super::admission::{admitted, refused};
use super::error::scim;
use crate::scim::ScimError;
use crate::scim::error::quote;
use crate::scim::json::parse_object;

/// A body that is a JSON object.
pub(super) struct JsonObject(pub(super) Map<String, Value>);

impl FromRequest<App> for JsonObject {
    type Rejection = Response;

    async fn from_request(request: Request, app: &App) -> Result<Self, Response> {
        let announced = check_headers(request.headers(), app.0.body_bytes).map_err(scim)?;
        let bytes = match tokio::time::timeout(app.0.http.body_timeout, read(app, request, announced)).await {
            Ok(read) => read?,
            Err(_) => return Err(scim(ScimError::new(408, "the body did not arrive in time"))),
        };
        parse_object(&bytes).map(Self).map_err(scim)
    }
}

/// Gives the announced length, 0 when there is none.
fn check_headers(headers: &HeaderMap, limit: usize) -> Result<usize, ScimError> {
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
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok()).unwrap_or_default();
    usize::try_from(announced).ok().filter(|length| *length <= limit).ok_or_else(|| too_large(limit))
}

/// Reads the body within its own bound and that of all bodies together. The memory is taken as announced; without that, as it
/// comes.
async fn read(app: &App, request: Request, announced: usize) -> Result<Vec<u8>, Response> {
    let (admission, admitted) = (app.admission(), admitted(&request));
    admission.body(&admitted, announced).map_err(|excess| refused(app, excess))?;
    let limit = app.0.body_bytes;
    let mut body = Limited::new(request.into_body(), limit);
    let mut bytes = Vec::with_capacity(announced);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| scim(unread(&*error, limit)))?;
        let Ok(data) = frame.into_data() else { continue };
        let unannounced = (bytes.len() + data.len()).saturating_sub(announced.max(bytes.len()));
        admission.body(&admitted, unannounced).map_err(|excess| refused(app, excess))?;
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

fn unread(error: &(dyn std::error::Error + 'static), limit: usize) -> ScimError {
    if error.is::<LengthLimitError>() { too_large(limit) } else { ScimError::invalid_syntax("the body did not arrive as a whole") }
}

fn too_large(limit: usize) -> ScimError {
    ScimError::new(413, format!("the body is larger than {limit} bytes (maxPayloadSize; the setting limits.body_bytes)"))
}
