//! `/api/v1/departments`, `/teams`, `/locations`, `/cost-centers`: the names in use, with their heads.

use axum::extract::State;
use axum::response::Response;
use serde_json::json;

use super::App;
use super::auth::Call;
use super::employees::json_answer;
use super::error::Failure;
use super::parameters::Parameters;
use crate::directory::Unit;
use crate::scim::text::forbidden_control;
use crate::scim::{ScimError, ScimType};

pub(super) async fn departments(State(app): State<App>, call: Call, parameters: Parameters) -> Result<Response, Failure> {
    list(&app, &call, parameters, Unit::Department).await
}

pub(super) async fn teams(State(app): State<App>, call: Call, parameters: Parameters) -> Result<Response, Failure> {
    list(&app, &call, parameters, Unit::Team).await
}

pub(super) async fn locations(State(app): State<App>, call: Call, parameters: Parameters) -> Result<Response, Failure> {
    list(&app, &call, parameters, Unit::Location).await
}

pub(super) async fn cost_centers(State(app): State<App>, call: Call, parameters: Parameters) -> Result<Response, Failure> {
    list(&app, &call, parameters, Unit::CostCenter).await
}

/// The cursor is the last name of the page before.
async fn list(app: &App, call: &Call, mut parameters: Parameters, unit: Unit) -> Result<Response, Failure> {
    let limit = parameters.take_count(&call.reader.limits)?;
    let cursor = parameters.take_cursor();
    parameters.finish()?;
    if cursor.as_deref().and_then(forbidden_control).is_some() {
        return Err(ScimError::bad(ScimType::InvalidCursor, "the cursor holds a control character; no page gave it").into());
    }
    let page = app.directory().head_counts(call.tenant_id(), unit, cursor.as_deref(), limit).await?;
    Ok(json_answer(&json!({ unit.list(): page.names, "total": page.total, "next": page.next })))
}
