//! Queries: GET on `/Users`, `/Groups` and the base itself (RFC 7644 §3.4.2), and the same by POST on `.search` (§3.4.3). By index
//! or, when the client sends a cursor, by cursor (RFC 9865).

use axum::extract::State;
use axum::response::Response;
use chrono::Utc;

use super::App;
use super::answer::{self, Gap};
use super::auth::Call;
use super::body::JsonObject;
use super::error::Failure;
use crate::directory::{self, Found, Part, Place, Search};
use crate::scim::ScimError;
use crate::scim::catalog::GROUP;
use crate::scim::cursor::{self, Cursor, NONCE_BYTES, Position, Scope, SealingKey};
use crate::scim::error::quote;
use crate::scim::filter::Filter;
use crate::scim::query::Query;
use crate::scim::schema::{AttrPath, Kind, Name, ResourceType, Returned};
use crate::scim::view::{Projection, list_response};

/// What a query is about.
#[derive(Debug, Clone, Copy)]
enum Over {
    Users,
    Groups,
    Everything,
}

impl Over {
    /// The endpoint that stands for it.
    fn endpoint(self) -> &'static str {
        match self {
            Self::Users => "/Users",
            Self::Groups => "/Groups",
            Self::Everything => "/",
        }
    }

    /// Its types, of both.
    fn of<'t>(self, types: &'t [&'static ResourceType; 2]) -> &'t [&'static ResourceType] {
        match self {
            Self::Users => &types[..1],
            Self::Groups => &types[1..],
            Self::Everything => types,
        }
    }
}

pub(super) async fn users(State(app): State<App>, mut call: Call) -> Result<Response, Failure> {
    let query = std::mem::take(&mut call.query);
    search(&app, call, Over::Users, query).await
}

pub(super) async fn groups(State(app): State<App>, mut call: Call) -> Result<Response, Failure> {
    let query = std::mem::take(&mut call.query);
    search(&app, call, Over::Groups, query).await
}

pub(super) async fn everything(State(app): State<App>, mut call: Call) -> Result<Response, Failure> {
    let query = std::mem::take(&mut call.query);
    search(&app, call, Over::Everything, query).await
}

pub(super) async fn users_by_post(State(app): State<App>, call: Call, JsonObject(body): JsonObject) -> Result<Response, Failure> {
    let query = Query::from_body(body, &call.reader)?;
    search(&app, call, Over::Users, query).await
}

pub(super) async fn groups_by_post(State(app): State<App>, call: Call, JsonObject(body): JsonObject) -> Result<Response, Failure> {
    let query = Query::from_body(body, &call.reader)?;
    search(&app, call, Over::Groups, query).await
}

pub(super) async fn everything_by_post(State(app): State<App>, call: Call, JsonObject(body): JsonObject) -> Result<Response, Failure> {
    let query = Query::from_body(body, &call.reader)?;
    search(&app, call, Over::Everything, query).await
}

async fn search(app: &App, mut call: Call, over: Over, query: Query) -> Result<Response, Failure> {
    let (endpoint, both) = (over.endpoint(), call.types());
    let types = over.of(&both);
    let projections: Vec<Projection> = types.iter().map(|resource_type| Projection::read(resource_type, &query)).collect();
    let search = read(types, &projections, &query, &mut call)?;
    let scope = Scope::of(call.tenant_id(), call.origin.caller.connection_id, endpoint, &query);
    let limit = query.page_size(&call.reader.limits);
    let shown = |found: &[Found]| Shown::of(found, types, &projections, call.base());
    // A client that sends both asks for cursors: startIndex has a default, a cursor has none (RFC 9865 §2.4).
    let (text, shown) = if let Some(text) = &query.cursor {
        let page = by_cursor(app, &call, &search, scope, limit, text).await?;
        let shown = shown(&page.found);
        (cursor::list_response(page.total, page.previous.as_deref(), page.next.as_deref(), &shown.texts), shown)
    } else {
        let page = app.directory().walk(call.tenant_id(), call.base(), &search, scope, query.first(), limit).await?;
        let shown = shown(&page.found);
        (list_response(page.total, query.first(), &shown.texts), shown)
    };
    let gaps = shown.gaps(text.len());
    let rank_of_groups = types.iter().position(|known| known.name == GROUP.name).unwrap_or_default();
    Ok(answer::json(answer::filled(app, &call, text, &gaps, &projections[rank_of_groups])))
}

/// The resources of a page as JSON texts, with the gaps of groups whose members are more than a page has room for.
struct Shown {
    texts: Vec<String>,
    /// Which text, and where in it.
    gaps: Vec<(usize, Gap)>,
}

impl Shown {
    fn of(found: &[Found], types: &[&'static ResourceType], projections: &[Projection], base: &str) -> Self {
        let mut shown = Self { texts: Vec::with_capacity(found.len()), gaps: Vec::new() };
        for (index, found) in found.iter().enumerate() {
            let rank = types.iter().position(|known| std::ptr::eq(*known, found.resource_type)).unwrap_or_default();
            let (resource, projection) = (found.stored.resource(found.resource_type, base), &projections[rank]);
            let is_left_out = found.stored.memberships.is_none() && found.resource_type.name == GROUP.name;
            if is_left_out && projection.shows_memberships(&GROUP) {
                let (text, at) = resource.render_with_gap(projection);
                shown.texts.push(text);
                shown.gaps.push((index, Gap { at, group_id: found.stored.id }));
            } else {
                shown.texts.push(resource.render(projection));
            }
        }
        shown
    }

    /// The gaps in a list response of this length, which ends with the resources and `]}`.
    fn gaps(self, length: usize) -> Vec<Gap> {
        let resources: usize = self.texts.iter().map(|text| text.len() + 1).sum();
        let mut starts = Vec::with_capacity(self.texts.len());
        // A comma stands before each resource but the first.
        let mut start = (length + 1).saturating_sub("]}".len() + resources);
        for text in &self.texts {
            starts.push(start);
            start += text.len() + 1;
        }
        self.gaps.into_iter().map(|(index, gap)| Gap { at: starts[index] + gap.at, ..gap }).collect()
    }
}

/// A page of cursor pagination.
struct CursorPage {
    found: Vec<Found>,
    total: i64,
    previous: Option<String>,
    next: Option<String>,
}

async fn by_cursor(app: &App, call: &Call, search: &Search, scope: Scope, limit: i64, text: &str) -> Result<CursorPage, Failure> {
    let directory = app.directory();
    let now = Utc::now().timestamp();
    let key = directory.cursor_key().await?;
    let opened = if text.is_empty() { None } else { Some(Cursor::open(text, key, scope, limit, now)?) };
    if limit == 0 {
        let total = directory.count(call.tenant_id(), call.base(), search).await?;
        return Ok(CursorPage { found: Vec::new(), total, previous: None, next: None });
    }
    let backward = opened.as_ref().is_some_and(|cursor| cursor.backward);
    let place = match &opened {
        None => Place::Offset(0),
        Some(cursor) if backward => Place::Before(cursor.position.clone()),
        Some(cursor) => Place::After(cursor.position.clone()),
    };
    let page = directory.page(call.tenant_id(), call.base(), search, &place, limit).await?;
    let total = match (page.total, &opened) {
        (Some(total), _) => total,
        (None, Some(cursor)) => cursor.total,
        (None, None) if !page.more => i64::try_from(page.found.len()).unwrap_or(i64::MAX),
        (None, None) => directory.count(call.tenant_id(), call.base(), search).await?,
    };
    let expires = now.saturating_add(i64::try_from(app.0.cursor_timeout.as_secs()).unwrap_or(i64::MAX));
    let seal =
        |position: &Position, backward| sealed(&Cursor { position: position.clone(), backward, count: limit, total, expires }, key, scope);
    // Looking back, what lies beyond the page is in front of it, and behind it is the page that the client came from.
    let (has_previous, has_next) = if backward { (page.more, true) } else { (opened.is_some(), page.more) };
    let previous = page.found.first().filter(|_| has_previous).map(|first| seal(&first.position, true)).transpose()?;
    let next = page.found.last().filter(|_| has_next).map(|last| seal(&last.position, false)).transpose()?;
    Ok(CursorPage { found: page.found, total, previous, next })
}

fn sealed(cursor: &Cursor, key: &SealingKey, scope: Scope) -> Result<String, directory::Error> {
    let mut nonce = [0_u8; NONCE_BYTES];
    getrandom::fill(&mut nonce).map_err(directory::Error::internal)?;
    Ok(cursor.seal(key, scope, nonce))
}

fn read(types: &[&'static ResourceType], projections: &[Projection], query: &Query, call: &mut Call) -> Result<Search, ScimError> {
    let sorts = sorts_of(types, query)?;
    let mut parts = Vec::with_capacity(types.len());
    for ((resource_type, projection), sort) in types.iter().copied().zip(projections).zip(sorts) {
        let filter = filter_of(resource_type, types, query, call)?;
        parts.push(Part { resource_type, filter, sort, with_memberships: projection.shows_memberships(resource_type) });
    }
    Ok(Search { parts, sorted: query.sort_by.is_some(), descending: query.descending })
}

fn filter_of(
    resource_type: &'static ResourceType,
    types: &[&'static ResourceType],
    query: &Query,
    call: &mut Call,
) -> Result<Option<Filter>, ScimError> {
    match &query.filter {
        None => Ok(None),
        // An empty filter is a lookup whose value was lost: answering everybody would have somebody else adopted.
        Some(blank) if blank.trim().is_empty() => Err(ScimError::invalid_filter("the filter is empty")),
        Some(text) => Filter::parse_among(resource_type, types, text, &mut call.reader).map(Some),
    }
}

/// What each type is sorted by. An attribute that a type does not have is without value there; one of them must have it.
fn sorts_of(types: &[&'static ResourceType], query: &Query) -> Result<Vec<Option<AttrPath>>, ScimError> {
    let Some(name) = &query.sort_by else { return Ok(vec![None; types.len()]) };
    let mut sorts = Vec::with_capacity(types.len());
    for resource_type in types {
        sorts.push(match resource_type.resolve(name.trim()) {
            // §3.4.2.3: "If the attribute is complex, the attribute name must be a path to a sub-attribute"; `value` is understood.
            Name::Attribute(path) if path.leaf().kind == Kind::Complex && path.leaf().sub("value").is_none() => {
                let detail = format!("sortBy is {}, which has sub-attributes; one of them is expected", quote(name));
                return Err(ScimError::invalid_value(detail));
            }
            Name::Attribute(path) if path.leaf().returned != Returned::Never => Some(path),
            _ => None,
        });
    }
    if sorts.iter().all(Option::is_none) {
        let names = types.iter().map(|resource_type| resource_type.name).collect::<Vec<_>>().join(" or ");
        return Err(ScimError::invalid_value(format!("sortBy is {}, which is not an attribute of {names}", quote(name))));
    }
    Ok(sorts)
}
