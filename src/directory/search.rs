//! Queries on users and groups (RFC 7644 §3.4.2): filter, order, page and the total in one statement. A statement is put together
//! from static parts; whatever comes from a client is bound. So no name and no value can become SQL.
//!
//! Results have one total order: the sort key, the type, the order of creation. A page is found by its place in that order (keyset)
//! or by counting (offset). Without filter and sort each type's index on (tenant_id, seq) is that order, so a page behind a place
//! costs the same at any depth. Else the hits are materialized before they are ordered: the planner's estimate for a jsonpath is
//! poor, and the total needs them all anyway.

use std::cmp::Ordering;
use std::time::Instant;

use sqlx::postgres::PgRow;
use sqlx::{Encode, Postgres, QueryBuilder, Row as _, Type};
use uuid::Uuid;

use super::conditions::{Lookup, Memberships, Uses, has_equality, write_filter, write_searchable};
use super::memberships::{all_groups, direct_groups, groups_json, members_of_group, members_of_listed_group, weight_of_group};
use super::{Directory, Error, Stored};
use crate::scim::catalog;
use crate::scim::cursor::{Position, SORT_KEY_CHARS};
use crate::scim::filter::Filter;
use crate::scim::jsonpath::value_path;
use crate::scim::schema::{AttrPath, Kind, ResourceType};

/// A query: one resource type, or several in one total order (RFC 7644 §3.4.3, at the root).
#[derive(Debug, Clone)]
pub struct Search {
    /// The resource types, in their order.
    pub parts: Vec<Part>,
    /// Whether the results are sorted; in the order of creation else, one type after the other.
    pub sorted: bool,
    /// Descending instead of ascending.
    pub descending: bool,
}

/// What a query asks of one resource type.
#[derive(Debug, Clone)]
pub struct Part {
    /// The type.
    pub resource_type: &'static ResourceType,
    /// Which resources; all when absent.
    pub filter: Option<Filter>,
    /// The attribute to sort by; a type that lacks it has no value there.
    pub sort: Option<AttrPath>,
    /// Whether `groups` or `members` are shown.
    pub with_memberships: bool,
}

/// Where a page lies in the results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Behind so many results.
    Offset(i64),
    /// Behind a position.
    After(Position),
    /// Before a position.
    Before(Position),
}

impl Place {
    fn position(&self) -> Option<&Position> {
        match self {
            Self::Offset(_) => None,
            Self::After(position) | Self::Before(position) => Some(position),
        }
    }

    fn is_backward(&self) -> bool {
        matches!(self, Self::Before(_))
    }
}

/// One result, with its place in the results.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its type.
    pub resource_type: &'static ResourceType,
    /// Where it stands.
    pub position: Position,
    /// The resource.
    pub stored: Stored,
}

/// A page of results.
#[derive(Debug, Clone)]
pub struct Page {
    /// The results, in the order of the query.
    pub found: Vec<Found>,
    /// Whether there is a result beyond the page, in the direction in which it was looked for.
    pub more: bool,
    /// How many resources match, where finding the page told.
    pub total: Option<i64>,
}

impl Directory {
    /// Finds a page of at most `limit` results.
    ///
    /// # Errors
    /// `Unavailable` when it takes longer than the statement timeout.
    pub async fn page(&self, tenant_id: Uuid, base: &str, search: &Search, place: &Place, limit: i64) -> Result<Page, Error> {
        let mut statement = Statement::new(tenant_id, base);
        // One more than wanted tells whether there is more.
        let limit_and_one = limit.saturating_add(1);
        let by_index = write_by_index(search, place, limit_and_one, &mut statement);
        if !by_index {
            write(search, place, limit_and_one, &mut statement);
        }
        // A plan that is kept would have been made for the few that there were: only what one index answers stays the same.
        let rows = statement.0.build().persistent(by_index).fetch_all(&self.pool).await?;
        let total = rows.first().map(|row| row.try_get::<Option<i64>, _>("total")).transpose()?.flatten();
        // A page without results is one row that holds the total alone.
        let mut found = rows.iter().filter_map(|row| found(search, base, row).transpose()).collect::<Result<Vec<_>, sqlx::Error>>()?;
        self.complete_groups(tenant_id, base, search, &mut found).await?;
        let wanted = usize::try_from(limit).unwrap_or_default();
        let more = found.len() > wanted;
        found.truncate(wanted);
        if place.is_backward() {
            found.reverse();
        }
        Ok(Page { found, more, total })
    }

    /// Reads the groups of those users whose groups are in groups: in one statement for all of them.
    async fn complete_groups(&self, tenant_id: Uuid, base: &str, search: &Search, found: &mut [Found]) -> Result<(), Error> {
        let wanted = |found: &&mut Found| {
            let part = search.parts.iter().find(|part| part.is_user() && part.with_memberships);
            found.stored.memberships.is_none() && part.is_some_and(|part| std::ptr::eq(part.resource_type, found.resource_type))
        };
        let mut incomplete: Vec<&mut Found> = found.iter_mut().filter(wanted).collect();
        if incomplete.is_empty() {
            return Ok(());
        }
        let ids: Vec<Uuid> = incomplete.iter().map(|found| found.stored.id).collect();
        let mut groups = all_groups(&self.pool, tenant_id, base, &ids).await?;
        for found in &mut incomplete {
            found.stored.memberships = groups.remove(&found.stored.id);
        }
        Ok(())
    }

    /// Counts the results of a query.
    ///
    /// # Errors
    /// `Unavailable` when it takes longer than the statement timeout.
    pub async fn count(&self, tenant_id: Uuid, base: &str, search: &Search) -> Result<i64, Error> {
        let counted = match &search.parts[..] {
            [part] if part.filter.is_none() => Some((tenant_id, part.is_user())),
            _ => None,
        };
        if let Some(count) = counted.and_then(|counted| self.counts.recall(counted)) {
            return Ok(count);
        }
        let asked_at = Instant::now();
        let mut statement = Statement::new(tenant_id, base);
        statement.sql("select (");
        for (rank, part) in search.parts.iter().enumerate() {
            let user = part.is_user();
            statement.sql(if rank == 0 { "select " } else { ") + (select " });
            statement.sql(if user {
                "count(*) from users r where r.tenant_id = $1"
            } else {
                "count(*) from groups r where r.tenant_id = $1"
            });
            if let Some(filter) = &part.filter {
                write_filter(user, filter, &mut statement);
            }
        }
        statement.sql(")");
        let count = statement.0.build_query_scalar().fetch_one(&self.pool).await?;
        if let Some(counted) = counted {
            self.counts.remember(counted, count, asked_at);
        }
        Ok(count)
    }
}

fn found(search: &Search, base: &str, row: &PgRow) -> Result<Option<Found>, sqlx::Error> {
    let Some(id) = row.try_get::<Option<Uuid>, _>("id")? else { return Ok(None) };
    let position = Position { rank: row.try_get("rank")?, sort: row.try_get("sort")?, seq: row.try_get("seq")? };
    let part = usize::try_from(position.rank).ok().and_then(|rank| search.parts.get(rank));
    let resource_type = part.expect("the statement numbers the parts").resource_type;
    let groups: Option<Vec<Option<String>>> = row.try_get("groups")?;
    let memberships = match groups {
        Some(groups) => groups_json(base, &groups),
        None => row.try_get("memberships")?,
    };
    let stored = Stored {
        id,
        version: row.try_get("version")?,
        document: row.try_get("document")?,
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
        memberships,
    };
    Ok(Some(Found { resource_type, position, stored }))
}

/// A statement in the making. `sql` takes only text of this program.
pub(super) struct Statement(pub(super) QueryBuilder<Postgres>);

impl Statement {
    /// `$1` is the tenant and `$2` the base in every statement.
    pub(super) fn new(tenant_id: Uuid, base: &str) -> Self {
        let mut statement = Self(QueryBuilder::new("with request as (select "));
        statement.bind(tenant_id).sql("::uuid as tenant_id, ").bind(base.to_owned()).sql("::text as base) ");
        statement
    }

    pub(super) fn sql(&mut self, part: &'static str) -> &mut Self {
        self.0.push(part);
        self
    }

    pub(super) fn bind<T: 'static + Encode<'static, Postgres> + Type<Postgres> + Send>(&mut self, value: T) -> &mut Self {
        self.0.push_bind(value);
        self
    }
}

impl Search {
    /// Whether the order of the results is that of an index, and all resources are results.
    fn is_browsing(&self) -> bool {
        !self.sorted && self.parts.iter().all(|part| part.filter.is_none())
    }

    /// The order of two places in the results, as [`write_order`] says it in SQL.
    pub(super) fn order_of(&self, one: &Position, other: &Position) -> Ordering {
        let number = |position: &Position| position.sort.as_ref().and_then(|sort| sort.parse::<f64>().ok());
        let sorts = match (&one.sort, &other.sort) {
            // Null counts as the largest value.
            (None, _) | (_, None) => one.sort.is_none().cmp(&other.sort.is_none()),
            _ if self.sorts_numbers() => number(one).partial_cmp(&number(other)).unwrap_or(Ordering::Equal),
            (Some(one), Some(other)) => one.cmp(other),
        };
        let sorts = if self.descending { sorts.reverse() } else { sorts };
        sorts.then((one.rank, one.seq).cmp(&(other.rank, other.seq)))
    }

    /// Whether all values that are sorted by are numbers; text else.
    fn sorts_numbers(&self) -> bool {
        self.parts.iter().filter_map(|part| part.sort).all(|path| matches!(path.leaf().kind, Kind::Integer | Kind::Decimal))
    }
}

impl Part {
    fn is_user(&self) -> bool {
        self.resource_type.name == catalog::USER.name
    }
}

/// Writes the statement of a page whose resources one index finds: all of a type in the order of creation, a lookup, or the hits of
/// an equality. Gives whether it is such a page; if not, nothing was written.
fn write_by_index(search: &Search, place: &Place, limit: i64, statement: &mut Statement) -> bool {
    let ([part], false, false) = (&search.parts[..], search.sorted, place.is_backward()) else { return false };
    let found = match &part.filter {
        None => ByIndex::All,
        Some(filter) => match Lookup::of(part.is_user(), filter) {
            Some(lookup) if lookup.is_unique() => ByIndex::One(lookup),
            Some(lookup) => ByIndex::Few(lookup),
            None if has_equality(part.is_user(), filter) => ByIndex::Hits(filter),
            None => return false,
        },
    };
    let (after, offset) =
        (place.position().map_or(i64::MIN, |position| position.seq), if let Place::Offset(offset) = place { *offset } else { 0 });
    let resources = if part.is_user() { "users r where r.tenant_id = $1" } else { "groups r where r.tenant_id = $1" };
    if let ByIndex::Hits(filter) = &found {
        // Without resources around the ids, since there may be many; the page's resources are then looked up one by one (`offset 0`
        // keeps PostgreSQL from reading all of them instead).
        statement.sql(", hits as materialized (select r.id, r.seq from ").sql(resources);
        write_filter(part.is_user(), filter, statement);
        statement.sql(") select (select count(*) from hits) as total");
    } else if let ByIndex::Few(lookup) = &found {
        // First all of them: with the order in the same query PostgreSQL may take the index of the order for them.
        statement.sql(", hits as materialized (select r.id, r.seq, r.version, r.document, r.created_at, r.updated_at from ").sql(resources);
        lookup.write(statement);
        statement.sql(") select null::bigint as total");
    } else {
        statement.sql("select null::bigint as total");
    }
    write_shown(part, statement);
    match &found {
        ByIndex::Hits(_) => {
            statement.sql("select r.* from (select id, seq from hits where seq > ").bind(after).sql(" order by seq limit ").bind(limit);
            statement.sql(" offset ").bind(offset).sql(") page, lateral (select * from ").sql(resources);
            statement.sql(" and r.id = page.id offset 0) r");
        }
        ByIndex::Few(_) => {
            statement.sql("select * from hits where seq > ").bind(after).sql(" order by seq limit ").bind(limit);
            statement.sql(" offset ").bind(offset);
        }
        ByIndex::One(lookup) => {
            statement.sql("select r.* from ").sql(resources);
            lookup.write(statement);
            statement.sql(" and r.seq > ").bind(after).sql(" limit ").bind(limit).sql(" offset ").bind(offset);
        }
        ByIndex::All => {
            statement.sql("select r.* from ").sql(resources).sql(" and r.seq > ").bind(after);
            statement.sql(" order by r.seq limit ").bind(limit).sql(" offset ").bind(offset);
        }
    }
    statement.sql(if part.is_user() { ") u order by u.seq" } else { ") g order by g.seq" });
    true
}

/// What finds the resources of a page.
enum ByIndex<'a> {
    /// The order of creation.
    All,
    /// A unique key.
    One(Lookup<'a>),
    /// A key that several may have.
    Few(Lookup<'a>),
    /// An equality of any attribute.
    Hits(&'a Filter),
}

/// The columns behind the total, of the resources in the parenthesis that is opened.
fn write_shown(part: &Part, statement: &mut Statement) {
    statement.sql(match (part.is_user(), part.with_memberships) {
        (true, true) => concat!(
            ", 0 as rank, null::text as sort, u.id, u.seq, u.version, u.document::text as document,
                 u.created_at, u.updated_at, null::text as memberships, ",
            direct_groups!(),
            " as groups from ("
        ),
        (true, false) => {
            ", 0 as rank, null::text as sort, u.id, u.seq, u.version, u.document::text as document,
                 u.created_at, u.updated_at, null::text as memberships, null::text[] as groups from ("
        }
        (false, true) => concat!(
            ", 0 as rank, null::text as sort, g.id, g.seq, g.version, g.document::text as document,
                 g.created_at, g.updated_at, ",
            members_of_listed_group!(),
            " as memberships, null::text[] as groups from ("
        ),
        (false, false) => {
            ", 0 as rank, null::text as sort, g.id, g.seq, g.version, g.document::text as document,
                 g.created_at, g.updated_at, null::text as memberships, null::text[] as groups from ("
        }
    });
}

/// Writes the statement of any other page.
fn write(search: &Search, place: &Place, limit: i64, statement: &mut Statement) {
    statement.sql(", hits as materialized (");
    for (rank, part) in (0_i32..).zip(&search.parts) {
        statement.sql(if rank == 0 { "(select " } else { ") union all (select " }).bind(rank).sql("::int as rank, r.id, r.seq, ");
        write_sort_key(search, part, statement);
        statement.sql(if part.is_user() { " from users r where r.tenant_id = $1" } else { " from groups r where r.tenant_id = $1" });
        if let Some(filter) = &part.filter {
            write_filter(part.is_user(), filter, statement);
        }
        if search.is_browsing() {
            write_index_seek(rank, place, limit, statement);
        }
    }
    statement.sql(")), page as (select * from hits");
    if let Some(position) = place.position() {
        write_keyset(search, position, place.is_backward(), statement);
    }
    statement.sql(" order by ");
    write_order(search, place.is_backward(), statement);
    if let Place::Offset(offset) = place {
        statement.sql(" offset ").bind(*offset);
    }
    statement.sql(" limit ").bind(limit);
    statement.sql(if search.is_browsing() { ") select null::bigint as total" } else { ") select (select count(*) from hits) as total" });
    statement.sql(
        ", hits.rank, hits.seq, hits.sort::text as sort, hits.id, version, document, created_at, updated_at, memberships, groups from (",
    );
    for (rank, part) in (0_i32..).zip(&search.parts) {
        statement.sql(if rank == 0 { "" } else { " union all " });
        write_resources(part, statement);
        statement.bind(rank);
    }
    statement.sql(") hits right join (select 1) one on true order by ");
    write_order(search, place.is_backward(), statement);
}

/// The resources of the page, of one type. Ends where the type's number is to be bound.
fn write_resources(part: &Part, statement: &mut Statement) {
    statement.sql(match (part.is_user(), part.with_memberships) {
        (true, true) => concat!(
            "select hits.*, u.version, u.document::text as document, u.created_at, u.updated_at, null::text as memberships, ",
            direct_groups!(),
            " as groups from page hits join users u on u.tenant_id = $1 and u.id = hits.id where hits.rank = "
        ),
        (true, false) => {
            "select hits.*, u.version, u.document::text as document, u.created_at, u.updated_at, null::text as memberships,
                 null::text[] as groups
             from page hits join users u on u.tenant_id = $1 and u.id = hits.id where hits.rank = "
        }
        (false, true) => concat!(
            "select hits.*, g.version, g.document::text as document, g.created_at, g.updated_at, ",
            members_of_listed_group!(),
            " as memberships, null::text[] as groups from page hits join groups g on g.tenant_id = $1 and g.id = hits.id where hits.rank = "
        ),
        (false, false) => {
            "select hits.*, g.version, g.document::text as document, g.created_at, g.updated_at, null::text as memberships,
                 null::text[] as groups
             from page hits join groups g on g.tenant_id = $1 and g.id = hits.id where hits.rank = "
        }
    });
}

/// PostgreSQL's own rule for nulls is RFC 7644's (§3.4.2.3): last ascending, first descending. Backward is the exact reverse.
fn write_order(search: &Search, backward: bool, statement: &mut Statement) {
    statement.sql(match (search.sorted, search.descending, backward) {
        (false, _, false) => "hits.rank, hits.seq",
        (false, _, true) => "hits.rank desc, hits.seq desc",
        (true, false, false) => "hits.sort, hits.rank, hits.seq",
        (true, false, true) => "hits.sort desc, hits.rank desc, hits.seq desc",
        (true, true, false) => "hits.sort desc, hits.rank, hits.seq",
        (true, true, true) => "hits.sort, hits.rank desc, hits.seq desc",
    });
}

/// Restricts the hits to those beyond a position, in the order of [`write_order`].
fn write_keyset(search: &Search, position: &Position, backward: bool, statement: &mut Statement) {
    statement.sql(if backward { " where ((hits.rank, hits.seq) < (" } else { " where ((hits.rank, hits.seq) > (" });
    statement.bind(position.rank).sql("::int, ").bind(position.seq).sql("::bigint)");
    if !search.sorted {
        statement.sql(")");
        return;
    }
    // Null counts as the largest value. Ascending forward and descending backward lead to larger values.
    let larger = search.descending == backward;
    let numbers = search.sorts_numbers();
    match &position.sort {
        None => {
            statement.sql(if larger { " and hits.sort is null)" } else { " and hits.sort is null or hits.sort is not null)" });
        }
        Some(sort) => {
            let cast = if numbers { "::text::numeric" } else { "::text" };
            statement.sql(" and hits.sort = ").bind(sort.clone()).sql(cast);
            statement.sql(if larger { " or hits.sort > " } else { " or hits.sort < " }).bind(sort.clone()).sql(cast);
            statement.sql(if larger { " or hits.sort is null)" } else { ")" });
        }
    }
}

/// Restricts one type of a query for everything to what can stand on the page, by the index on (tenant_id, seq).
fn write_index_seek(rank: i32, place: &Place, limit: i64, statement: &mut Statement) {
    match place {
        Place::After(position) if rank == position.rank => {
            statement.sql(" and r.seq > ").bind(position.seq);
        }
        Place::Before(position) if rank == position.rank => {
            statement.sql(" and r.seq < ").bind(position.seq);
        }
        Place::After(position) if rank < position.rank => {
            statement.sql(" and false");
        }
        Place::Before(position) if rank > position.rank => {
            statement.sql(" and false");
        }
        Place::After(_) | Place::Before(_) | Place::Offset(_) => {}
    }
    statement.sql(if place.is_backward() { " order by r.seq desc limit " } else { " order by r.seq limit " });
    let passed = if let Place::Offset(offset) = place { *offset } else { 0 };
    statement.bind(limit.saturating_add(passed));
}

/// The value to sort by: of several, the primary one or the first (RFC 7644 §3.4.2.3). Text in the order of code points.
fn write_sort_key(search: &Search, part: &Part, statement: &mut Statement) {
    let numbers = search.sorts_numbers();
    let Some(path) = part.sort else {
        statement.sql(if search.sorted && numbers { "null::numeric as sort" } else { "null::text collate \"C\" as sort" });
        return;
    };
    let path = match path.attribute.sub("value") {
        Some(value) if path.sub.is_none() && path.attribute.kind == Kind::Complex => AttrPath { sub: Some(value), ..path },
        _ => path,
    };
    let first = value_path(path);
    let attribute = value_path(AttrPath { sub: None, ..path });
    let primary = match path.attribute.sub("primary") {
        Some(_) => first.replacen(&attribute, &format!("{attribute} ? (@.\"primary\" == true)"), 1),
        None => first.clone(),
    };
    let uses = Uses { meta: path.attribute.name == "meta", memberships: Memberships::None };
    statement.sql(if numbers { "(coalesce(jsonb_path_query_first(" } else { "left(coalesce(jsonb_path_query_first(" });
    write_searchable(part.is_user(), &uses, statement);
    statement.sql(", ").bind(primary).sql("::jsonpath), jsonb_path_query_first(");
    write_searchable(part.is_user(), &uses, statement);
    statement.sql(", ").bind(first).sql("::jsonpath)) #>> '{}'");
    if numbers {
        statement.sql(")::numeric as sort");
    } else {
        statement.sql(", ").bind(SORT_KEY_CHARS).sql(") collate \"C\" as sort");
    }
}
