//! Queries: GET on `/Users` and `/Groups` (RFC 7644 §3.4.2), and the same by POST on `.search` (§3.4.3).

use axum::extract::State;
use axum::response::Response;

use super::App;
use super::answer;
use super::auth::Call;
use super::body::JsonObject;
use super::error::Failure;
use crate::directory::Search;
use crate::scim::ScimError;
use crate::scim::catalog::{GROUP, USER};
use crate::scim::error::quote;
use crate::scim::filter::Filter;
use crate::scim::query::Query;
use crate::scim::schema::{AttrPath, Kind, Name, ResourceType, Returned};
use crate::scim::view::{Projection, list_response};

pub(super) async fn users(State(app): State<App>, call: Call) -> Result<Response, Failure> {
    let query = call.query.clone();
    search(&app, call, &USER, query).await
}

pub(super) async fn groups(State(app): State<App>, call: Call) -> Result<Response, Failure> {
    let query = call.query.clone();
    search(&app, call, &GROUP, query).await
}

pub(super) async fn users_by_post(State(app): State<App>, call: Call, JsonObject(body): JsonObject) -> Result<Response, Failure> {
    search(&app, call, &USER, Query::from_body(body)?).await
}

pub(super) async fn groups_by_post(State(app): State<App>, call: Call, JsonObject(body): JsonObject) -> Result<Response, Failure> {
    search(&app, call, &GROUP, Query::from_body(body)?).await
}

async fn search(app: &App, mut call: Call, resource_type: &'static ResourceType, query: Query) -> Result<Response, Failure> {
    let projection = Projection::read(resource_type, &query);
    let search = Search {
        resource_type,
        filter: filter_of(resource_type, &query, &mut call)?,
        sort: sort_of(resource_type, &query)?,
        offset: query.first() - 1,
        limit: query.page_size(&call.reader.limits),
        with_memberships: projection.shows_memberships(resource_type),
    };
    let page = app.directory().search(call.tenant_id(), call.base(), &search).await?;
    let base = call.base();
    let rendered: Vec<String> = page.resources.iter().map(|stored| stored.resource(resource_type, base).render(&projection)).collect();
    Ok(answer::json(list_response(page.total, query.first(), &rendered)))
}

fn filter_of(resource_type: &'static ResourceType, query: &Query, call: &mut Call) -> Result<Option<Filter>, ScimError> {
    match &query.filter {
        None => Ok(None),
        // An empty filter is a lookup whose value was lost: answering everybody would have somebody else adopted.
        Some(blank) if blank.trim().is_empty() => Err(ScimError::invalid_filter("the filter is empty")),
        Some(text) => Filter::parse(resource_type, text, &mut call.reader).map(Some),
    }
}

fn sort_of(resource_type: &'static ResourceType, query: &Query) -> Result<Option<(AttrPath, bool)>, ScimError> {
    let Some(name) = &query.sort_by else { return Ok(None) };
    match resource_type.resolve(name.trim()) {
        // §3.4.2.3: "If the attribute is complex, the attribute name must be a path to a sub-attribute"; `value` is understood.
        Name::Attribute(path) if path.leaf().kind == Kind::Complex && path.leaf().sub("value").is_none() => {
            Err(ScimError::invalid_value(format!("sortBy is {}, which has sub-attributes; one of them is expected", quote(name))))
        }
        Name::Attribute(path) if path.leaf().returned != Returned::Never => Ok(Some((path, query.descending))),
        _ => Err(ScimError::invalid_value(format!("sortBy is {}, which is not an attribute of {}", quote(name), resource_type.name))),
    }
}
