//! `/api/v1/employees`: the workplace product's view of the tenant that the token belongs to, one by one, by search, and as
//! streams of all of them.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use uuid::Uuid;

use super::App;
use super::auth::{Call, id_of};
use super::error::Failure;
use super::parameters::Parameters;
use crate::directory::{EmployeeRow, EmployeeSearch, Employees, Format};
use crate::scim::error::quote;
use crate::scim::{ScimError, ScimType};

/// What the id in a path names.
const EMPLOYEE: &str = "Employee";

pub(super) async fn list(State(app): State<App>, call: Call, mut parameters: Parameters) -> Result<Response, Failure> {
    let limit = parameters.take_count(&call.reader.limits)?;
    let cursor = parameters.take_cursor();
    let mut search = EmployeeSearch::default();
    if let Some(sort) = parameters.take("sort").filter(|sort| !sort.is_empty()) {
        search.sort(&sort)?;
    }
    parameters.take_filters(&mut search)?;
    parameters.finish()?;
    Ok(page(app.directory().search_employees(call.tenant_id(), &search, cursor.as_deref(), limit).await?))
}

pub(super) async fn read(State(app): State<App>, call: Call, id: Path<String>, parameters: Parameters) -> Result<Response, Failure> {
    parameters.finish()?;
    let employee = employee(&app, &call, &id).await?;
    Ok(json_answer(&json!(employee)))
}

pub(super) async fn reports(State(app): State<App>, call: Call, id: Path<String>, mut parameters: Parameters) -> Result<Response, Failure> {
    let limit = parameters.take_count(&call.reader.limits)?;
    let cursor = parameters.take_cursor();
    parameters.finish()?;
    let manager = employee(&app, &call, &id).await?;
    let search = EmployeeSearch::reports_of(manager.id);
    Ok(page(app.directory().search_employees(call.tenant_id(), &search, cursor.as_deref(), limit).await?))
}

/// The history of an employee is kept longer than the employee.
pub(super) async fn history(State(app): State<App>, call: Call, id: Path<String>, mut parameters: Parameters) -> Result<Response, Failure> {
    let limit = parameters.take_count(&call.reader.limits)?;
    let before = match parameters.take_cursor() {
        None => i64::MAX,
        Some(cursor) => cursor
            .parse()
            .map_err(|_| ScimError::bad(ScimType::InvalidCursor, format!("cursor is {}, which no page gave", quote(&cursor))))?,
    };
    parameters.finish()?;
    let employee_id = id_of(EMPLOYEE, &id)?;
    let mut history = app.directory().history(call.tenant_id(), employee_id, before, limit + 1).await?;
    if history.is_empty() && before == i64::MAX {
        employee(&app, &call, &id).await?;
    }
    let size = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = history.len() > size;
    history.truncate(size);
    let next = history.last().filter(|_| more).map(|last| last.change.id.to_string());
    Ok(json_answer(&json!({ "history": history, "next": next })))
}

pub(super) async fn csv(State(app): State<App>, call: Call, parameters: Parameters) -> Result<Response, Failure> {
    streamed(&app, &call, parameters, "text/csv; charset=utf-8", Format::Csv)
}

pub(super) async fn ndjson(State(app): State<App>, call: Call, parameters: Parameters) -> Result<Response, Failure> {
    streamed(&app, &call, parameters, "application/x-ndjson", Format::NdJson)
}

/// Streams all that the filters select. The accept loop ends a client that takes nothing at all. A fault in the middle breaks the
/// connection off: what arrived is then visibly not the whole.
fn streamed(app: &App, call: &Call, mut parameters: Parameters, content_type: &'static str, format: Format) -> Result<Response, Failure> {
    let mut search = EmployeeSearch::default();
    parameters.take_filters(&mut search)?;
    parameters.finish()?;
    let texts = app.directory().export_employees(call.tenant_id(), search, format);
    Ok(([(CONTENT_TYPE, content_type)], Body::from_stream(texts)).into_response())
}

async fn employee(app: &App, call: &Call, id: &Path<String>) -> Result<EmployeeRow, Failure> {
    let uuid: Uuid = id_of(EMPLOYEE, id)?;
    let found = app.directory().employee(call.tenant_id(), uuid).await?;
    Ok(found.ok_or_else(|| ScimError::not_found(EMPLOYEE, id))?)
}

fn page(page: Employees) -> Response {
    json_answer(&json!({ "employees": page.employees, "total": page.total, "next": page.next }))
}

/// JSON of the workplace API as an answer.
pub(super) fn json_answer(body: &Value) -> Response {
    ([(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}
