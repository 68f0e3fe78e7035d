//! The bearer token (RFC 6750, RFC 7644 §2): no handler runs without one. What the caller may see follows from it alone.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, Path, Request};
use axum::http::header::{AUTHORIZATION, IF_MATCH, IF_NONE_MATCH, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use super::admission::{Admitted, Excess, PAUSE, admitted, refused, refused_for};
use super::error::{Failure, scim};
use super::log::{Known, RequestId};
use super::{API_BASE, App, BASES, routes};
use crate::directory::{Caller, Kind, Origin, Refusal, Scope, Token};
use crate::scim::ScimError;
use crate::scim::catalog::GROUP;
use crate::scim::document::parse_id;
use crate::scim::etag::{Condition, check_if_match};
use crate::scim::query::Query;
use crate::scim::reader::Reader;
use crate::scim::schema::ResourceType;

/// What a handler knows of its request beside the body: who asks, how their requests are read, and the query string.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) origin: Origin,
    pub(super) reader: Reader,
    pub(super) query: Query,
    if_match: Option<String>,
    if_none_match: Option<String>,
}

impl Call {
    /// The tenant that the token belongs to.
    pub(super) fn tenant_id(&self) -> Uuid {
        self.origin.tenant_id()
    }

    /// User as the tenant has it.
    pub(super) fn user(&self) -> &'static ResourceType {
        self.origin.caller.user()
    }

    /// The tenant's resource types.
    pub(super) fn types(&self) -> [&'static ResourceType; 2] {
        [self.user(), &GROUP]
    }

    /// The URL of the base that the request came by.
    pub(super) fn base(&self) -> &str {
        &self.origin.base
    }

    /// What the headers of a change demand of the version (RFC 7644 §3.14).
    pub(super) fn condition(&self) -> Result<Option<Condition>, ScimError> {
        Condition::of_headers(self.if_match.as_deref(), self.if_none_match.as_deref())
    }

    /// What the headers of a read ask: `If-Match` fails with 412, and `If-None-Match` with 304 (RFC 9110 §13.2.2). Gives whether
    /// the client has this version already.
    pub(super) fn has_already(&self, version: i64) -> Result<bool, ScimError> {
        check_if_match(Condition::of_headers(self.if_match.as_deref(), None)?.as_ref(), version)?;
        let known = self.if_none_match.as_deref().map(Condition::parse).transpose()?;
        Ok(known.is_some_and(|known| known.holds(version)))
    }
}

/// A header that is a list, its lines put together (RFC 9110 §5.3). What is not text is no tag of ours.
fn listed(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    let lines: Vec<_> = headers.get_all(name).iter().map(|line| String::from_utf8_lossy(line.as_bytes())).collect();
    (!lines.is_empty()).then(|| lines.join(","))
}

impl FromRequestParts<App> for Call {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Response> {
        let origin = parts.extensions.get::<Origin>().cloned().expect("the token's layer lies around every handler");
        let query = Query::parse(parts.uri.query().unwrap_or_default()).map_err(scim)?;
        let reader = parts.extensions.get::<Reader>().cloned().expect("the token's layer gives every request its reader");
        let (if_match, if_none_match) = (listed(&parts.headers, IF_MATCH), listed(&parts.headers, IF_NONE_MATCH));
        Ok(Self { origin, reader, query, if_match, if_none_match })
    }
}

/// An id in a path. What is no id of ours is an unknown id.
pub(super) fn id_of(resource_type: &str, Path(id): &Path<String>) -> Result<Uuid, ScimError> {
    parse_id(id).ok_or_else(|| ScimError::not_found(resource_type, id))
}

/// The URL of the base that a request came by, for what answers without a token.
#[derive(Debug, Clone)]
pub(super) struct BaseUrl(pub(super) Arc<str>);

/// Lets a request with a live token pass, records what is then refused and counts what was coerced or set aside in it. Without any
/// token only a public route is open; a token that is wrong is told on every route.
pub(super) async fn authenticate<F: Future<Output = Response>>(
    app: &App,
    mut request: Request,
    next: impl FnOnce(Request) -> F,
) -> Response {
    let base: Arc<str> = format!("{}{}", app.0.public_url, base_of(request.uri().path())).into();
    request.extensions_mut().insert(BaseUrl(Arc::clone(&base)));
    if !request.headers().contains_key(AUTHORIZATION) && is_public(&request) {
        return next(request).await;
    }
    let admitted = admitted(&request);
    let caller = match caller(app, request.headers(), &admitted).await {
        Ok(Some(caller)) => caller,
        // Only what fails is limited: a good token is never refused for what others behind the same address do.
        Ok(None) => return app.admission().failure(&request).map_or_else(|excess| refused_for(app, excess), |()| unauthorized()),
        Err(response) => return response,
    };
    if let Err(excess) = admit(app, &admitted, &caller) {
        let mut response = refused_for(app, excess);
        response.extensions_mut().insert(Known(caller));
        return response;
    }
    let RequestId { text: request_id, unit } =
        request.extensions().get::<RequestId>().cloned().expect("the layer of the log lies around every handler");
    let origin = Origin { caller: Arc::clone(&caller), request_id, unit, base };
    let kind = kind_of(request.method(), request.uri().path());
    let resource_id = request.uri().path().rsplit('/').next().and_then(parse_id);
    let reader = Reader::new(caller.conformance, app.0.limits);
    let scope = scope_of(request.uri().path());
    let mut response = if caller.scopes.contains(&scope) {
        request.extensions_mut().insert(origin.clone());
        // Its clone in the handler writes into the same notes, so they are here also when the handler refuses.
        request.extensions_mut().insert(reader.clone());
        next(request).await
    } else {
        out_of_scope(scope)
    };
    if let (Some(kind), Some(error)) = (kind, response.extensions().get::<ScimError>()) {
        // A lookup that finds nothing is no failure; neither is a fault of ours a fault of the request.
        if kind.is_change() || error.status != 404 {
            let error = error.clone();
            app.directory().record_refusal(Refusal { origin, kind, resource_id, error, notes: reader.notes_json() });
        }
    }
    app.metrics().count_quirks(&caller, &reader.notes());
    response.extensions_mut().insert(Known(caller));
    response
}

/// Whether a request reads what is open to everybody. The path is compared as it came: an odd spelling of it is not open.
fn is_public(request: &Request) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD) && routes::is_public(request.uri().path())
}

async fn caller(app: &App, headers: &HeaderMap, admitted: &Admitted) -> Result<Option<Arc<Caller>>, Response> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Ok(None) };
    let Some((scheme, token)) = value.to_str().ok().and_then(|value| value.split_once(' ')) else { return Ok(None) };
    let Some(token) = Token::parse(token).filter(|_| scheme.eq_ignore_ascii_case("bearer")) else { return Ok(None) };
    // Before the database is asked, so that one tenant's flood does not wait for it in the place of others.
    let tenant_id = app.directory().remembered_tenant(&token);
    app.admission().enter(admitted, tenant_id).map_err(|excess| refused(app, excess))?;
    app.directory().authenticate(&token).await.map_err(|error| Failure::from(error).into_response())
}

/// Counts the request as one of its tenant and its connection.
fn admit(app: &App, admitted: &Admitted, caller: &Caller) -> Result<(), (Excess, Duration)> {
    app.admission().enter(admitted, Some(caller.tenant_id)).map_err(|excess| (excess, PAUSE))?;
    app.admission().connection(caller.connection_id)
}

/// The same answer whatever is wrong with the token: a guesser learns nothing.
fn unauthorized() -> Response {
    let mut response = scim(ScimError::new(401, "a valid bearer token is required: Authorization: Bearer <token>"));
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"frontdesk\""));
    response
}

/// What a token must be allowed for a path.
fn scope_of(path: &str) -> Scope {
    match path.strip_prefix(API_BASE) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => Scope::WorkplaceRead,
        _ => Scope::Scim,
    }
}

/// RFC 6750 §3.1: "insufficient_scope: The request requires higher privileges than provided by the access token. The resource
/// server SHOULD respond with the HTTP 403 (Forbidden) status code and MAY include the "scope" attribute".
fn out_of_scope(needed: Scope) -> Response {
    let detail = match needed {
        Scope::Scim => "this token may not provision: it lacks the scope scim (frontdesk token create --scope scim)",
        Scope::WorkplaceRead => {
            "this token may not read the workplace API: it lacks the scope workplace:read (frontdesk token create --scope workplace:read)"
        }
    };
    let mut response = scim(ScimError::new(403, detail));
    let challenge = match needed {
        Scope::Scim => "Bearer realm=\"frontdesk\", error=\"insufficient_scope\", scope=\"scim\"",
        Scope::WorkplaceRead => "Bearer realm=\"frontdesk\", error=\"insufficient_scope\", scope=\"workplace:read\"",
    };
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    response
}

/// The base that a path begins with; the longest one, since one base begins another.
fn base_of(path: &str) -> &'static str {
    let begins = |base: &&&str| path.strip_prefix(**base).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    BASES.iter().filter(begins).max_by_key(|base| base.len()).copied().unwrap_or(BASES[0])
}

/// What a request is in the record of events; `None` when it is not about users or groups.
pub(super) fn kind_of(method: &Method, path: &str) -> Option<Kind> {
    let is = |segment: &str| path.split('/').any(|part| part == segment);
    let (create, update, delete, lookup) = if is("Users") {
        (Kind::UserCreate, Kind::UserUpdate, Kind::UserDelete, Kind::UserLookup)
    } else if is("Groups") {
        (Kind::GroupCreate, Kind::GroupUpdate, Kind::GroupDelete, Kind::GroupLookup)
    } else {
        return None;
    };
    match *method {
        Method::POST if is(".search") => Some(lookup),
        Method::POST => Some(create),
        Method::PUT | Method::PATCH => Some(update),
        Method::DELETE => Some(delete),
        Method::GET | Method::HEAD => Some(lookup),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_base_wins() {
        assert_eq!(base_of("/scim/v2/Users"), "/scim/v2");
        assert_eq!(base_of("/scim/Users/1"), "/scim");
        assert_eq!(base_of("/api/scim/v2/Groups"), "/api/scim/v2");
    }
}
