//! `/Bulk` (RFC 7644 §3.7). `attributes` and `excludedAttributes` have nothing to choose from: a result holds no resource.

use std::sync::Arc;

use axum::extract::State;
use axum::http::Method;
use axum::response::Response;
use uuid::Uuid;

use super::App;
use super::answer;
use super::auth::{Call, kind_of};
use super::body::JsonObject;
use super::error::Failure;
use crate::directory::Refusal;
use crate::scim::ScimError;
use crate::scim::bulk::{BulkRequest, Operation, bulk_response};

pub(super) async fn bulk(State(app): State<App>, mut call: Call, JsonObject(body): JsonObject) -> Result<Response, Failure> {
    let request = Arc::new(BulkRequest::read(body, call.types(), call.base(), &call.reader, Uuid::now_v7)?);
    let outcomes = app.directory().bulk(&call.origin, &request).await?;
    let mut results = Vec::with_capacity(outcomes.len());
    for (operation, outcome) in request.operations.iter().zip(outcomes) {
        operation.reader.notes().iter().for_each(|note| call.reader.note(note.quirk, &note.at));
        match outcome {
            None => {}
            Some(Ok(version)) => results.push(operation.result(call.base(), Ok(version))),
            Some(Err(error)) => {
                let error = Failure::from(error).told();
                results.push(operation.result(call.base(), Err(&error)));
                record(&app, &call, operation, error);
            }
        }
    }
    Ok(answer::json(bulk_response(results).to_string()))
}

/// A refused operation is recorded as a refused request is.
fn record(app: &App, call: &Call, operation: &Operation, error: ScimError) {
    let method = operation.method.as_deref().and_then(|method| Method::from_bytes(method.as_bytes()).ok());
    let kind = method.and_then(|method| kind_of(&method, operation.path.as_deref().unwrap_or_default()));
    if let Some(kind) = kind.filter(|kind| kind.is_change()) {
        let resource_id = operation.change.as_ref().ok().map(|change| change.id).filter(|_| operation.method.as_deref() != Some("POST"));
        let notes = operation.reader.notes_json();
        app.directory().record_refusal(Refusal { origin: call.origin.clone(), kind, resource_id, error, notes });
    }
}
