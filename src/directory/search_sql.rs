//! The statements that find a page of users and groups. A statement is put together from static parts; whatever comes from a
//! client is bound. So no name and no value can become SQL. What a query is, and how its rows are read, is in `search`.
//!
//! Without filter and sort each type's index on (tenant_id, seq) is the order of the results, so a page behind a place costs the
//! same at any depth. Else the hits are materialized before they are ordered: the planner's estimate for a jsonpath is poor, and
//! the total needs them all anyway.

use sqlx::{Encode, Postgres, QueryBuilder, Type};
use uuid::Uuid;

use super::conditions::{Lookup, Memberships, Uses, has_equality, write_filter, write_searchable};
use super::memberships::{direct_groups, members_of_group, members_of_listed_group, weight_of_group};
use super::search::{Part, Place, Search};
use crate::scim::cursor::{Position, SORT_KEY_CHARS};
use crate::scim::jsonpath::value_path;
use crate::scim::schema::{AttrPath, Kind};

/// A statement in the making. `sql` takes only text of this program.
pub(super) struct Statement {
    pub(super) query: QueryBuilder<Postgres>,
    /// Whether PostgreSQL may keep its plan: only what one index answers stays the same when a directory grows.
    pub(super) keeps_plan: bool,
}

impl Statement {
    /// `$1` is the tenant and `$2` the base in every statement.
    pub(super) fn new(tenant_id: Uuid, base: &str) -> Self {
        let mut statement = Self { query: QueryBuilder::new("with request as (select "), keeps_plan: false };
        statement.bind(tenant_id).sql("::uuid as tenant_id, ").bind(base.to_owned()).sql("::text as base) ");
        statement
    }

    pub(super) fn sql(&mut self, part: &'static str) -> &mut Self {
        self.query.push(part);
        self
    }

    /// Binds a number that the planner does not get to see. PostgreSQL keeps a plan only while it is no dearer than plans for the
    /// numbers of the moment, and pages differ in just these: it would plan for every page, which takes as long as finding it.
    pub(super) fn unknown(&mut self, number: i64) -> &mut Self {
        self.sql("(select ").bind(number).sql("::bigint)")
    }

    /// Binds a jsonpath. Where the plan is to be kept it is read once, out of the planner's sight: else PostgreSQL reckons with reading it
    /// again for each of the many rows that it expects, and plans every time for the path of the moment.
    pub(super) fn jsonpath(&mut self, path: String) -> &mut Self {
        let (before, after) = if self.keeps_plan { ("(select ", "::jsonpath)") } else { ("", "::jsonpath") };
        self.sql(before).bind(path).sql(after)
    }

    pub(super) fn bind<T: 'static + Encode<'static, Postgres> + Type<Postgres> + Send>(&mut self, value: T) -> &mut Self {
        self.query.push_bind(value);
        self
    }
}

macro_rules! few {
    () => {
        10
    };
}

/// Results that are fewer are read by a small statement of their own ([`write_few`]): providers look for one resource before each of
/// their changes.
pub(super) const FEW: usize = few!();

/// Writes the statement that finds up to [`FEW`] results, without their order and their total, where an index finds them. Gives whether
/// one does; if not, nothing was written.
pub(super) fn write_few(search: &Search, statement: &mut Statement) -> bool {
    let ([part], false) = (&search.parts[..], search.sorted) else { return false };
    let Some(filter) = &part.filter else { return false };
    let lookup = Lookup::of(part.is_user(), filter);
    if lookup.is_none() && !has_equality(part.is_user(), filter) {
        return false;
    }
    statement.keeps_plan = true;
    let resources = if part.is_user() { "users r where r.tenant_id = $1" } else { "groups r where r.tenant_id = $1" };
    if lookup.is_some_and(|lookup| lookup.is_unique()) {
        statement.sql("select null::bigint as total");
        write_shown(part, statement);
        statement.sql("select r.* from ").sql(resources);
        write_filter(part.is_user(), filter, statement);
    } else {
        // Out of sight of the limit: else PostgreSQL may look at one resource after the other, since it needs so few.
        statement.sql(", hits as materialized (select r.id, r.seq, r.version, r.document, r.created_at, r.updated_at from ").sql(resources);
        write_filter(part.is_user(), filter, statement);
        statement.sql(") select null::bigint as total");
        write_shown(part, statement);
        statement.sql(concat!("select * from hits limit ", few!()));
    }
    statement.sql(if part.is_user() { ") u" } else { ") g" });
    true
}

/// Writes the statement of a page whose resources one index finds: all of a type in the order of creation, or the hits of a lookup or
/// an equality. Gives whether it is such a page; if not, nothing was written.
pub(super) fn write_by_index(search: &Search, place: &Place, limit: i64, statement: &mut Statement) -> bool {
    let ([part], false, false) = (&search.parts[..], search.sorted, place.is_backward()) else { return false };
    let hits = match &part.filter {
        None => None,
        Some(filter) if Lookup::of(part.is_user(), filter).is_some() || has_equality(part.is_user(), filter) => Some(filter),
        Some(_) => return false,
    };
    statement.keeps_plan = true;
    let (after, offset) =
        (place.position().map_or(i64::MIN, |position| position.seq), if let Place::Offset(offset) = place { *offset } else { 0 });
    let resources = if part.is_user() { "users r where r.tenant_id = $1" } else { "groups r where r.tenant_id = $1" };
    if let Some(filter) = hits {
        // Without resources around the ids, since there may be many; the page's resources are then looked up one by one (`offset 0`
        // keeps PostgreSQL from reading all of them instead).
        statement.sql(", hits as materialized (select r.id, r.seq from ").sql(resources);
        write_filter(part.is_user(), filter, statement);
        statement.sql(") select (select count(*) from hits) as total");
        write_shown(part, statement);
        statement.sql("select r.* from (select id, seq from hits where seq > ").unknown(after);
        statement.sql(" order by seq limit ").unknown(limit).sql(" offset ").unknown(offset);
        statement.sql(") page, lateral (select * from ").sql(resources).sql(" and r.id = page.id offset 0) r");
    } else {
        statement.sql("select null::bigint as total");
        write_shown(part, statement);
        statement.sql("select r.* from ").sql(resources).sql(" and r.seq > ").unknown(after);
        statement.sql(" order by r.seq limit ").unknown(limit).sql(" offset ").unknown(offset);
    }
    statement.sql(if part.is_user() { ") u order by u.seq" } else { ") g order by g.seq" });
    true
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
pub(super) fn write(search: &Search, place: &Place, limit: i64, statement: &mut Statement) {
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
        ", hits.rank, hits.sort::text as sort, hits.id, hits.seq, version, document, created_at, updated_at, memberships, groups from (",
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
