//! What the server says of itself (RFC 7644 §4), made from the tables that it enforces; and the endpoints of RFC 7644 §3.2 that
//! it does not have, which answer 501 as the RFC asks.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::response::Response;

use super::App;
use super::answer;
use super::auth::BaseUrl;
use super::error::{Failure, scim};
use crate::directory::Origin;
use crate::scim::ScimError;
use crate::scim::catalog::{GROUP, RESOURCE_TYPES};
use crate::scim::discovery::{
    Bulk, Pagination, Supported, find_resource_type, find_schema, resource_type_document, resource_type_location, resource_types_list,
    schema_document, schema_location, schemas_list,
};
use crate::scim::query::Query;
use crate::scim::schema::ResourceType;

/// A request for what the server says of itself. RFC 7644 §4: sorting and paging are ignored, and "If a "filter" is provided, the
/// service provider SHOULD respond with HTTP status code 403 (Forbidden)".
pub(super) struct Discovery {
    base: Arc<str>,
    /// Whether the tenant keeps passwords; without a token nobody's are.
    keeps_passwords: bool,
    /// The tenant's resource types, with what it declares.
    types: [&'static ResourceType; 2],
}

impl<S: Sync> FromRequestParts<S> for Discovery {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        if Query::names_a_filter(parts.uri.query().unwrap_or_default()) {
            return Err(scim(ScimError::new(403, "discovery resources cannot be filtered")));
        }
        let BaseUrl(base) = parts.extensions.get().cloned().expect("the token's layer lies around every handler");
        let caller = parts.extensions.get::<Origin>().map(|origin| &origin.caller);
        let keeps_passwords = caller.is_some_and(|caller| caller.settings.keep_passwords);
        let types = caller.map_or(RESOURCE_TYPES, |caller| [caller.user(), &GROUP]);
        Ok(Self { base, keeps_passwords, types })
    }
}

pub(super) async fn service_provider_config(State(app): State<App>, asked: Discovery) -> Response {
    let (default_page_size, max_page_size) = (app.0.limits.page_size_default, app.0.limits.page_size_max);
    let supported = Supported {
        patch: true,
        bulk: Some(Bulk { max_operations: app.0.limits.bulk_operations, max_payload_size: app.0.body_bytes }),
        filter_max_results: max_page_size,
        change_password: asked.keeps_passwords,
        sort: true,
        etag: true,
        cursor: Some(Pagination { default_page_size, max_page_size, cursor_timeout_s: app.0.cursor_timeout.as_secs() }),
    };
    let location = format!("{}/ServiceProviderConfig", asked.base);
    answer::json(crate::scim::discovery::service_provider_config(&supported, &location).to_string())
}

pub(super) async fn resource_types(asked: Discovery) -> Response {
    answer::json(resource_types_list(asked.types, &asked.base).to_string())
}

pub(super) async fn resource_type(asked: Discovery, Path(id): Path<String>) -> Result<Response, Failure> {
    let found = find_resource_type(asked.types, &id).ok_or_else(|| ScimError::not_found("ResourceType", &id))?;
    Ok(answer::json(resource_type_document(found, &resource_type_location(&asked.base, found)).to_string()))
}

pub(super) async fn schemas(asked: Discovery) -> Response {
    answer::json(schemas_list(asked.types, &asked.base).to_string())
}

pub(super) async fn schema(asked: Discovery, Path(id): Path<String>) -> Result<Response, Failure> {
    let found = find_schema(asked.types, &id).ok_or_else(|| ScimError::not_found("Schema", &id))?;
    Ok(answer::json(schema_document(found, &schema_location(&asked.base, found)).to_string()))
}

/// RFC 7644 §3.11: a token of a connection stands for an identity provider, not for a user.
pub(super) async fn me() -> Failure {
    ScimError::new(501, "/Me is not available: this token stands for an identity provider, not for a user").into()
}
