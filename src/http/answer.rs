//! What answers share: media type, entity tag, location, the headers that every answer has.

use std::future::ready;
use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONNECTION, CONTENT_LOCATION, CONTENT_TYPE, ETAG, LOCATION, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Version};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt as _, stream};
use uuid::Uuid;

use super::App;
use super::auth::Call;
use crate::directory::{self, Directory, MembersPlace, Stored};
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

/// A place in a text where the members of a group belong.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gap {
    /// In bytes.
    pub(super) at: usize,
    pub(super) group_id: Uuid,
}

/// A group as an answer; the members of a large one are read and sent page by page.
pub(super) fn group(app: &App, call: &Call, status: StatusCode, stored: Stored, projection: &Projection) -> Response {
    let mut response = resource(status, &stored, &GROUP, call.base(), projection);
    if stored.memberships.is_none() && projection.shows_memberships(&GROUP) {
        let (text, at) = stored.resource(&GROUP, call.base()).render_with_gap(projection);
        *response.body_mut() = filled(app, call, text, &[Gap { at, group_id: stored.id }], projection);
    }
    response
}

/// A body whose gaps, in the order of their places, are filled while it is sent, so the size of a group is no matter of memory; a
/// fault in the middle breaks the connection off, so that nobody takes a part for the whole.
pub(super) fn filled(app: &App, call: &Call, mut text: String, gaps: &[Gap], projection: &Projection) -> Body {
    if gaps.is_empty() {
        return text.into();
    }
    let mut parts = Vec::with_capacity(gaps.len());
    for gap in gaps.iter().rev() {
        parts.push((gap.group_id, text.split_off(gap.at)));
    }
    let (directory, tenant_id, base) = (app.directory().clone(), call.tenant_id(), Arc::clone(&call.origin.base));
    let projection = projection.clone();
    let filled = stream::iter(parts.into_iter().rev()).flat_map(move |(group_id, behind)| {
        let members = members(directory.clone(), tenant_id, Arc::clone(&base), group_id, projection.clone());
        members.chain(stream::once(ready(Ok(behind))))
    });
    Body::from_stream(stream::once(ready(Ok(text))).chain(filled))
}

/// The members of a group as the inside of a JSON array, a page at a time.
fn members(
    directory: Directory,
    tenant_id: Uuid,
    base: Arc<str>,
    group_id: Uuid,
    projection: Projection,
) -> impl Stream<Item = Result<String, directory::Error>> {
    let first = (Some(MembersPlace::Users(Uuid::nil())), "");
    stream::try_unfold(first, move |(place, separator)| {
        let (directory, base, projection) = (directory.clone(), Arc::clone(&base), projection.clone());
        async move {
            let Some(place) = place else { return Ok(None) };
            let page = directory.members_page(tenant_id, group_id, &base, place).await?;
            let shown: Vec<_> = page.members.into_iter().filter_map(|member| projection.membership(&GROUP, member)).collect();
            if shown.is_empty() {
                return Ok(Some((String::new(), (page.next, separator))));
            }
            Ok(Some((format!("{separator}{}", shown.join(",")), (page.next, ","))))
        }
    })
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
pub(super) fn json(body: impl Into<Body>) -> Response {
    let body: Body = body.into();
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
pub(super) fn add_common_headers(app: &App, version: Version, headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if version <= Version::HTTP_11 && app.is_leaving() {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
}
