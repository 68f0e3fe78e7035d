//! `/Users` and `/Users/{id}` (RFC 7644 §3.3 to §3.6).

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::App;
use super::answer;
use super::auth::{Call, id_of};
use super::body::JsonObject;
use super::error::Failure;
use crate::scim::ScimError;
use crate::scim::catalog::USER;
use crate::scim::document::Document;
use crate::scim::patch::Patch;
use crate::scim::view::Projection;

pub(super) async fn create(State(app): State<App>, mut call: Call, JsonObject(body): JsonObject) -> Result<Response, Failure> {
    let reading = Document::read(call.user(), body, &mut call.reader)?;
    let stored = app.directory().create_user(&call.origin, reading, call.reader.notes_json()).await?;
    Ok(answer::resource(StatusCode::CREATED, &stored, call.user(), call.base(), &Projection::read(call.user(), &call.query)))
}

pub(super) async fn read(State(app): State<App>, call: Call, id: Path<String>) -> Result<Response, Failure> {
    let uuid = id_of(USER.name, &id)?;
    let projection = Projection::read(call.user(), &call.query);
    let groups = projection.shows_memberships(call.user());
    let found = app.directory().user(call.tenant_id(), uuid, call.base(), groups).await?;
    let stored = found.ok_or_else(|| ScimError::not_found(USER.name, &id))?;
    if call.has_already(stored.version)? {
        return Ok(answer::not_modified(&stored));
    }
    Ok(answer::resource(StatusCode::OK, &stored, call.user(), call.base(), &projection))
}

pub(super) async fn replace(
    State(app): State<App>,
    mut call: Call,
    id: Path<String>,
    JsonObject(body): JsonObject,
) -> Result<Response, Failure> {
    let uuid = id_of(USER.name, &id)?;
    let reading = Document::read(call.user(), body, &mut call.reader)?;
    let condition = call.condition()?;
    let stored = app.directory().replace_user(&call.origin, uuid, reading, condition, call.reader.notes_json()).await?;
    Ok(answer::resource(StatusCode::OK, &stored, call.user(), call.base(), &Projection::read(call.user(), &call.query)))
}

pub(super) async fn patch(
    State(app): State<App>,
    mut call: Call,
    id: Path<String>,
    JsonObject(body): JsonObject,
) -> Result<Response, Failure> {
    let uuid = id_of(USER.name, &id)?;
    let patch = Patch::read(call.user(), body, &mut call.reader)?;
    let condition = call.condition()?;
    let stored = app.directory().patch_user(&call.origin, uuid, patch, condition, call.reader.clone()).await?;
    Ok(answer::resource(StatusCode::OK, &stored, call.user(), call.base(), &Projection::read(call.user(), &call.query)))
}

pub(super) async fn delete(State(app): State<App>, call: Call, id: Path<String>) -> Result<Response, Failure> {
    let uuid = id_of(USER.name, &id)?;
    app.directory().delete_user(&call.origin, uuid, call.condition()?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
