//! What answers share: media type, entity tag, location, the headers that every answer has.

use std::future::ready;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONNECTION, CONTENT_LOCATION, CONTENT_TYPE, ETAG, LOCATION, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Version};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt as _, stream};
use uuid::Uuid;

use super::App;
use super::auth::Call;
use crate::directory::{self, MembersPlace, Stored};
use crate::scim::catalog::GROUP;
use crate::scim::schema::ResourceType;
use crate::scim::view::Projection;

/// The media type of every answer under a SCIM base (RFC 7644 §3.8), whatever `Accept` says: clients send anything.
pub(super) const SCIM_JSON: HeaderValue = HeaderValue::from_static("application/scim+json");

/// A resource as an answer, with its version and place.
pub(super) fn resource(
    status: StatusCode,
    stored: &Stored,
    resource_type: &'static ResourceType,
    base: &str,
    projection: &Projection,
) -> Response {
    let resource = stored.resource(resource_type, base);
    let body = resource.render(projection);
    let mut response = (status, [(CONTENT_TYPE, SCIM_JSON)], body).into_response();
    let headers = response.headers_mut();
    insert(headers, ETAG, &resource.meta.etag());
    let place = if status == StatusCode::CREATED { LOCATION } else { CONTENT_LOCATION };
    insert(headers, place, &resource.meta.location());
    response
}

/// A group as an answer. The members of a large one are read and sent page by page, so its size is no matter of memory; a fault
/// in the middle breaks the connection off, so that nobody takes a part for the whole.
pub(super) fn group(app: &App, call: &Call, status: StatusCode, stored: Stored, projection: &Projection) -> Response {
    let streams = stored.memberships.is_none() && projection.is_default();
    let mut response = resource(status, &stored, &GROUP, call.base(), projection);
    if !streams {
        return response;
    }
    let (head, tail) = stored.resource(&GROUP, call.base()).around_memberships();
    let (directory, tenant_id, base) = (app.directory().clone(), call.tenant_id(), Arc::clone(&call.origin.base));
    let first = (Some(MembersPlace::Users(Uuid::nil())), "");
    let pages = stream::try_unfold(first, move |(place, separator)| {
        let (directory, base) = (directory.clone(), Arc::clone(&base));
        async move {
            let Some(place) = place else { return Ok::<_, directory::Error>(None) };
            let page = directory.members_page(tenant_id, stored.id, &base, place).await?;
            if page.members.is_empty() {
                return Ok(Some((String::new(), (page.next, separator))));
            }
            Ok(Some((format!("{separator}{}", page.members.join(",")), (page.next, ","))))
        }
    });
    let parts = stream::once(ready(Ok(head))).chain(pages).chain(stream::once(ready(Ok(tail))));
    *response.body_mut() = Body::from_stream(parts);
    response
}

/// 204 with the version, where RFC 7644 §3.5.2 lets the body be left out.
pub(super) fn no_content(stored: &Stored) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    insert(response.headers_mut(), ETAG, &crate::scim::etag::etag(stored.version));
    response
}

/// 304 with the version (RFC 7644 §3.14).
pub(super) fn not_modified(stored: &Stored) -> Response {
    let mut response = StatusCode::NOT_MODIFIED.into_response();
    insert(response.headers_mut(), ETAG, &crate::scim::etag::etag(stored.version));
    response
}

/// JSON text as an answer.
pub(super) fn json(body: String) -> Response {
    ([(CONTENT_TYPE, SCIM_JSON)], body).into_response()
}

fn insert(headers: &mut HeaderMap, name: axum::http::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// Answers hold personal data: nothing on the way keeps them, and no browser guesses what they are. A server that is leaving asks
/// clients and balancers to come again by another connection, so that none is cut when it closes them (RFC 9112 §9.6; HTTP/2 has
/// GOAWAY for it).
pub(super) async fn common_headers(State(app): State<App>, request: Request, next: Next) -> Response {
    let has_connection_header = request.version() <= Version::HTTP_11;
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if has_connection_header && app.is_leaving() {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
