//! What the server says of itself (RFC 7644 §4), made from the tables that it enforces; and the endpoints of RFC 7644 §3.2 that
//! it does not have, which answer 501 as the RFC asks.

use axum::extract::{Path, State};
use axum::response::Response;

use super::App;
use super::answer;
use super::auth::Call;
use super::error::Failure;
use crate::scim::ScimError;
use crate::scim::discovery::{
    Bulk, Supported, find_resource_type, find_schema, resource_type_document, resource_type_location, resource_types_list, schema_document,
    schema_location, schemas_list,
};

pub(super) async fn service_provider_config(State(app): State<App>, call: Call) -> Result<Response, Failure> {
    refuse_filter(&call)?;
    let supported = Supported {
        patch: true,
        bulk: Some(Bulk { max_operations: app.0.limits.bulk_operations, max_payload_size: app.0.body_bytes }),
        filter_max_results: app.0.limits.page_size_max,
        change_password: false,
        sort: true,
        etag: true,
        cursor: None,
    };
    let location = format!("{}/ServiceProviderConfig", call.base());
    Ok(answer::json(crate::scim::discovery::service_provider_config(&supported, &location).to_string()))
}

pub(super) async fn resource_types(call: Call) -> Result<Response, Failure> {
    refuse_filter(&call)?;
    Ok(answer::json(resource_types_list(call.base()).to_string()))
}

pub(super) async fn resource_type(call: Call, Path(id): Path<String>) -> Result<Response, Failure> {
    let found = find_resource_type(&id).ok_or_else(|| ScimError::not_found("ResourceType", &id))?;
    Ok(answer::json(resource_type_document(found, &resource_type_location(call.base(), found)).to_string()))
}

pub(super) async fn schemas(call: Call) -> Result<Response, Failure> {
    refuse_filter(&call)?;
    Ok(answer::json(schemas_list(call.base()).to_string()))
}

pub(super) async fn schema(call: Call, Path(id): Path<String>) -> Result<Response, Failure> {
    let found = find_schema(&id).ok_or_else(|| ScimError::not_found("Schema", &id))?;
    Ok(answer::json(schema_document(found, &schema_location(call.base(), found)).to_string()))
}

/// RFC 7644 §3.11: a token of a connection stands for an identity provider, not for a user.
pub(super) async fn me() -> Failure {
    ScimError::new(501, "/Me is not available: this token stands for an identity provider, not for a user").into()
}

pub(super) async fn root_search() -> Failure {
    ScimError::new(501, "a query over all resource types is not supported; use Users/.search or Groups/.search").into()
}

/// RFC 7644 §4: "If a "filter" is provided, the service provider SHOULD respond with HTTP status code 403 (Forbidden)".
fn refuse_filter(call: &Call) -> Result<(), ScimError> {
    match call.query.filter {
        Some(_) => Err(ScimError::new(403, "discovery resources cannot be filtered")),
        None => Ok(()),
    }
}
