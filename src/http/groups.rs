//! `/Groups` and `/Groups/{id}` (RFC 7644 §3.3 to §3.6). A PATCH is answered 204, since the whole of a large group would be
//! most of the work, unless the query asks for attributes (§3.5.2).

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::App;
use super::answer;
use super::auth::{Call, id_of};
use super::body::JsonObject;
use super::error::Failure;
use crate::directory::Members;
use crate::scim::ScimError;
use crate::scim::catalog::GROUP;
use crate::scim::document::Document;
use crate::scim::patch::Patch;
use crate::scim::view::Projection;

pub(super) async fn create(State(app): State<App>, mut call: Call, JsonObject(body): JsonObject) -> Result<Response, Failure> {
    let reading = Document::read(&GROUP, body, &mut call.reader)?;
    let projection = Projection::read(&GROUP, &call.query);
    let members = members_of(&projection);
    let stored = app.directory().create_group(&call.origin, reading, members, call.reader.notes_json()).await?;
    Ok(answer::group(&app, &call, StatusCode::CREATED, stored, &projection))
}

pub(super) async fn read(State(app): State<App>, call: Call, id: Path<String>) -> Result<Response, Failure> {
    let uuid = id_of(GROUP.name, &id)?;
    let projection = Projection::read(&GROUP, &call.query);
    let members = members_of(&projection);
    let found = app.directory().group(call.tenant_id(), uuid, call.base(), members).await?;
    let stored = found.ok_or_else(|| ScimError::not_found(GROUP.name, &id))?;
    if call.has_already(stored.version)? {
        return Ok(answer::not_modified(&stored));
    }
    Ok(answer::group(&app, &call, StatusCode::OK, stored, &projection))
}

pub(super) async fn replace(
    State(app): State<App>,
    mut call: Call,
    id: Path<String>,
    JsonObject(body): JsonObject,
) -> Result<Response, Failure> {
    let uuid = id_of(GROUP.name, &id)?;
    let reading = Document::read(&GROUP, body, &mut call.reader)?;
    let projection = Projection::read(&GROUP, &call.query);
    let members = members_of(&projection);
    let condition = call.condition()?;
    let stored = app.directory().replace_group(&call.origin, uuid, reading, condition, members, call.reader.notes_json()).await?;
    Ok(answer::group(&app, &call, StatusCode::OK, stored, &projection))
}

pub(super) async fn patch(
    State(app): State<App>,
    mut call: Call,
    id: Path<String>,
    JsonObject(body): JsonObject,
) -> Result<Response, Failure> {
    let uuid = id_of(GROUP.name, &id)?;
    let patch = Patch::read(&GROUP, body, &mut call.reader)?;
    let projection = Projection::read(&GROUP, &call.query);
    let answers_resource = call.query.asks_for_attributes();
    let members = if answers_resource { members_of(&projection) } else { Members::Hidden };
    let condition = call.condition()?;
    let stored = app.directory().patch_group(&call.origin, uuid, patch, condition, members, call.reader.clone()).await?;
    if !answers_resource {
        return Ok(answer::no_content(&stored));
    }
    Ok(answer::group(&app, &call, StatusCode::OK, stored, &projection))
}

pub(super) async fn delete(State(app): State<App>, call: Call, id: Path<String>) -> Result<Response, Failure> {
    let uuid = id_of(GROUP.name, &id)?;
    app.directory().delete_group(&call.origin, uuid, call.condition()?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// What is not shown is not read.
fn members_of(projection: &Projection) -> Members {
    if projection.shows_memberships(&GROUP) { Members::Paged } else { Members::Hidden }
}
