//! `GET /api/v1/employees`: the workplace product's view of the tenant that the token belongs to.

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::App;
use super::auth::Call;
use super::error::Failure;
use crate::scim::ScimError;
use crate::scim::error::quote;

pub(super) async fn list(State(app): State<App>, call: Call) -> Result<Response, Failure> {
    let after = match call.query.cursor.as_deref() {
        None | Some("") => 0,
        Some(cursor) => cursor.parse().map_err(|_| ScimError::invalid_value(format!("cursor is {}, which no page gave", quote(cursor))))?,
    };
    let limit = call.query.page_size(&call.reader.limits);
    let page = app.directory().employees(call.tenant_id(), after, limit).await?;
    let body = json!({ "employees": page.employees, "total": page.total, "next": page.next.map(|seq| seq.to_string()) });
    Ok(([(CONTENT_TYPE, "application/json")], body.to_string()).into_response())
}
