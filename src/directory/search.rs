//! Queries on users and groups (RFC 7644 §3.4.2): filter, order, page and the total in one statement. A statement is put together
//! from static parts; whatever comes from a client is bound. So no name and no value can become SQL.
//!
//! How a filter is answered: a single `eq` on an indexed column by its B-tree; everything else as one jsonpath on the folded
//! document, where the GIN index finds equalities. What lies in other tables or columns (memberships, `meta`) is merged into the
//! folded document for the comparison, restricted to the ids that the filter names. The hits are materialized before they are
//! ordered: the planner's estimate for a jsonpath is poor, and the total needs them all anyway.

use sqlx::postgres::PgRow;
use sqlx::{Encode, Postgres, QueryBuilder, Row as _, Type};
use uuid::Uuid;

use super::memberships::{groups_of_user, members_of_group};
use super::{Directory, Error, Stored};
use crate::scim::catalog;
use crate::scim::document::parse_id;
use crate::scim::filter::{Filter, Literal, Operator, Target};
use crate::scim::jsonpath::value_path;
use crate::scim::schema::{AttrPath, Kind, ResourceType};

/// A query on one resource type.
#[derive(Debug, Clone)]
pub struct Search {
    /// The type.
    pub resource_type: &'static ResourceType,
    /// Which resources; all when absent.
    pub filter: Option<Filter>,
    /// By which attribute, and whether descending; in the order of creation when absent.
    pub sort: Option<(AttrPath, bool)>,
    /// Results to skip.
    pub offset: i64,
    /// Results wanted.
    pub limit: i64,
    /// Whether `groups` or `members` are shown.
    pub with_memberships: bool,
}

/// A page of results.
#[derive(Debug, Clone)]
pub struct Page {
    /// How many resources match.
    pub total: i64,
    /// Those on this page.
    pub resources: Vec<Stored>,
}

impl Directory {
    /// Answers a query.
    ///
    /// # Errors
    /// `Unavailable` when it takes longer than the statement timeout.
    pub async fn search(&self, tenant_id: Uuid, base: &str, search: &Search) -> Result<Page, Error> {
        let mut statement = Statement::new(tenant_id, base);
        write(search, &mut statement);
        let rows = statement.0.build().fetch_all(&self.pool).await?;
        let total = rows.first().map(|row| row.try_get("total")).transpose()?.unwrap_or(0);
        // A page behind the end is one row that holds the total alone.
        let resources = rows.iter().filter_map(|row| stored(row).transpose()).collect::<Result<_, sqlx::Error>>()?;
        Ok(Page { total, resources })
    }
}

fn stored(row: &PgRow) -> Result<Option<Stored>, sqlx::Error> {
    let Some(id) = row.try_get::<Option<Uuid>, _>("id")? else { return Ok(None) };
    Ok(Some(Stored {
        id,
        version: row.try_get("version")?,
        document: row.try_get("document")?,
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
        memberships: row.try_get("memberships")?,
    }))
}

/// A statement in the making. `sql` takes only text of this program.
struct Statement(QueryBuilder<Postgres>);

impl Statement {
    /// `$1` is the tenant and `$2` the base in every statement.
    fn new(tenant_id: Uuid, base: &str) -> Self {
        let mut statement = Self(QueryBuilder::new("with request as (select "));
        statement.bind(tenant_id).sql("::uuid as tenant_id, ").bind(base.to_owned()).sql("::text as base) ");
        statement
    }

    fn sql(&mut self, part: &'static str) -> &mut Self {
        self.0.push(part);
        self
    }

    fn bind<T: 'static + Encode<'static, Postgres> + Type<Postgres> + Send>(&mut self, value: T) -> &mut Self {
        self.0.push_bind(value);
        self
    }
}

fn is_user(search: &Search) -> bool {
    std::ptr::eq(search.resource_type, &raw const catalog::USER)
}

fn write(search: &Search, statement: &mut Statement) {
    let user = is_user(search);
    // r is the resource in every part below.
    statement.sql(", hits as materialized (select r.id, r.seq");
    if let Some((path, _)) = search.sort {
        write_sort_keys(user, path, statement);
    }
    statement.sql(if user { " from users r where r.tenant_id = $1" } else { " from groups r where r.tenant_id = $1" });
    if let Some(filter) = &search.filter {
        write_filter(user, filter, statement);
    }
    statement.sql("), page as (select * from hits order by ");
    write_order(search.sort, statement);
    statement.sql(" offset ").bind(search.offset).sql(" limit ").bind(search.limit);
    statement.sql(") select (select count(*) from hits) as total, listed.* from (select 1) one left join lateral (");
    statement.sql(match (user, search.with_memberships) {
        (true, true) => concat!(
            "select u.id, u.version, u.document::text as document, u.created_at, u.updated_at, ",
            groups_of_user!(),
            " as memberships from page hits join users u on u.tenant_id = $1 and u.id = hits.id order by "
        ),
        (true, false) => {
            "select u.id, u.version, u.document::text as document, u.created_at, u.updated_at, null::text as memberships
             from page hits join users u on u.tenant_id = $1 and u.id = hits.id order by "
        }
        (false, true) => concat!(
            "select g.id, g.version, g.document::text as document, g.created_at, g.updated_at, ",
            members_of_group!(),
            " as memberships from page hits join groups g on g.tenant_id = $1 and g.id = hits.id order by "
        ),
        (false, false) => {
            "select g.id, g.version, g.document::text as document, g.created_at, g.updated_at, null::text as memberships
             from page hits join groups g on g.tenant_id = $1 and g.id = hits.id order by "
        }
    });
    write_order(search.sort, statement);
    statement.sql(") listed on true");
}

/// Ties are broken by `seq`, so the order is total. PostgreSQL's own rule for nulls is RFC 7644's (§3.4.2.3): last ascending,
/// first descending.
fn write_order(sort: Option<(AttrPath, bool)>, statement: &mut Statement) {
    statement.sql(match sort {
        None => "hits.seq",
        Some((_, false)) => "hits.sort_number, hits.sort_text collate \"C\", hits.seq",
        Some((_, true)) => "hits.sort_number desc, hits.sort_text collate \"C\" desc, hits.seq",
    });
}

/// The value to sort by: of several, the primary one or the first (RFC 7644 §3.4.2.3). Text in the order of code points.
fn write_sort_keys(user: bool, path: AttrPath, statement: &mut Statement) {
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
    let numeric = matches!(path.leaf().kind, Kind::Integer | Kind::Decimal);
    let uses = Uses { meta: path.attribute.name == "meta", memberships: Memberships::None };
    statement.sql(if numeric {
        ", (coalesce(jsonb_path_query_first("
    } else {
        ", null::numeric as sort_number, (coalesce(jsonb_path_query_first("
    });
    write_searchable(user, &uses, statement);
    statement.sql(", ").bind(primary).sql("::jsonpath), jsonb_path_query_first(");
    write_searchable(user, &uses, statement);
    statement.sql(", ").bind(first).sql("::jsonpath)) #>> '{}')");
    statement.sql(if numeric { "::numeric as sort_number, null::text as sort_text" } else { " as sort_text" });
}

fn write_filter(user: bool, filter: &Filter, statement: &mut Statement) {
    if write_lookup(user, filter, statement) {
        return;
    }
    let uses = Uses::of(filter);
    for conjunct in filter.conjuncts() {
        write_narrowing(user, conjunct, statement);
    }
    statement.sql(" and ");
    write_searchable(user, &uses, statement);
    statement.sql(" @@ ").bind(filter.to_jsonpath()).sql("::jsonpath");
}

/// A lookup: one `eq` on a column with a B-tree. Every client sends these before anything else.
fn write_lookup(user: bool, filter: &Filter, statement: &mut Statement) -> bool {
    let Filter::Compare(Target::Resource(path), Operator::Eq, Literal::Text(text)) = filter else { return false };
    if path.extension.is_some() || path.sub.is_some() {
        return false;
    }
    match (user, path.attribute.name) {
        (true, "userName") => statement.sql(" and r.user_name_key = ").bind(text.folded.clone()),
        (false, "displayName") => statement.sql(" and r.name_key = ").bind(text.folded.clone()),
        (_, "externalId") => statement.sql(" and r.external_id = ").bind(text.folded.clone()),
        (_, "id") => statement.sql(" and r.id = ").bind(parse_id(&text.folded)).sql("::uuid"),
        _ => return false,
    };
    true
}

/// A condition on one membership finds its few resources by the index on memberships; the jsonpath then checks the rest.
fn write_narrowing(user: bool, conjunct: &Filter, statement: &mut Statement) {
    let Memberships::Ids(ids) = Uses::of(conjunct).memberships else { return };
    if !requires_membership(conjunct) {
        return;
    }
    if user {
        statement
            .sql(
                " and r.id in (with recursive down as (
                     select unnest(",
            )
            .bind(ids)
            .sql(
                "::uuid[]) as group_id
                     union
                     select s.child_id from down join subgroups s on s.tenant_id = $1 and s.group_id = down.group_id
                 ) select m.user_id from down join members m on m.tenant_id = $1 and m.group_id = down.group_id)",
            );
    } else {
        statement
            .sql(" and r.id in (select m.group_id from members m where m.tenant_id = $1 and m.user_id = any (")
            .bind(ids.clone())
            .sql("::uuid[]) union all select s.group_id from subgroups s where s.tenant_id = $1 and s.child_id = any (")
            .bind(ids)
            .sql("::uuid[]))");
    }
}

/// Whether a filter can only match a resource that has one of the memberships it names.
fn requires_membership(filter: &Filter) -> bool {
    match filter {
        Filter::Compare(Target::Resource(path), Operator::Eq, _) => is_membership(*path),
        Filter::Any(path, inner) => is_membership(*path) && inner.conjuncts().iter().any(names_an_id),
        _ => false,
    }
}

fn is_membership(path: AttrPath) -> bool {
    path.extension.is_none() && matches!(path.attribute.name, "members" | "groups")
}

fn names_an_id(filter: &Filter) -> bool {
    matches!(filter, Filter::Compare(Target::Element(attribute), Operator::Eq, _) if attribute.name == "value")
}

/// What a filter looks at beside the folded document.
struct Uses {
    meta: bool,
    memberships: Memberships,
}

/// Which memberships can decide a filter.
enum Memberships {
    /// None.
    None,
    /// Those with these ids.
    Ids(Vec<Uuid>),
    /// Any.
    All,
}

impl Uses {
    fn of(filter: &Filter) -> Self {
        let mut uses = Self { meta: false, memberships: Memberships::None };
        uses.look(filter);
        uses
    }

    fn look(&mut self, filter: &Filter) {
        match filter {
            Filter::And(filters) | Filter::Or(filters) => filters.iter().for_each(|filter| self.look(filter)),
            Filter::Not(filter) => self.look(filter),
            Filter::Present(Target::Resource(path)) => self.look_at(*path, None),
            Filter::Compare(Target::Resource(path), operator, literal) => {
                let names_id = *operator == Operator::Eq && path.sub.is_some_and(|sub| sub.name == "value");
                self.look_at(*path, names_id.then_some(literal));
            }
            Filter::Any(path, inner) => {
                let id = inner.conjuncts().iter().find(|conjunct| names_an_id(conjunct));
                let literal = if let Some(Filter::Compare(_, _, literal)) = id { Some(literal) } else { None };
                self.look_at(*path, literal);
            }
            Filter::Present(Target::Element(_)) | Filter::Compare(Target::Element(_), ..) => {}
        }
    }

    fn look_at(&mut self, path: AttrPath, id: Option<&Literal>) {
        self.meta |= path.extension.is_none() && path.attribute.name == "meta";
        if !is_membership(path) {
            return;
        }
        let id = match id {
            Some(Literal::Text(text)) => parse_id(&text.folded),
            _ => return self.memberships = Memberships::All,
        };
        match &mut self.memberships {
            Memberships::None => self.memberships = Memberships::Ids(id.into_iter().collect()),
            Memberships::Ids(ids) => ids.extend(id),
            Memberships::All => {}
        }
    }
}

/// The folded document with what the filter needs beside it.
fn write_searchable(user: bool, uses: &Uses, statement: &mut Statement) {
    let ids = match &uses.memberships {
        Memberships::None if !uses.meta => {
            statement.sql("r.folded");
            return;
        }
        Memberships::None => Some(Vec::new()),
        Memberships::Ids(ids) => Some(ids.clone()),
        Memberships::All => None,
    };
    statement.sql(if user {
        "(r.folded || jsonb_build_object('meta', jsonb_build_object('resourcetype', 'User', 'created',
             to_char(r.created_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"000Z\"'), 'lastmodified',
             to_char(r.updated_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"000Z\"')))"
    } else {
        "(r.folded || jsonb_build_object('meta', jsonb_build_object('resourcetype', 'Group', 'created',
             to_char(r.created_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"000Z\"'), 'lastmodified',
             to_char(r.updated_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"000Z\"')))"
    });
    if matches!(uses.memberships, Memberships::None) {
        statement.sql(")");
        return;
    }
    if user {
        statement
            .sql(
                " || coalesce((
                 with recursive up as (
                     select m.group_id, true as direct from members m where m.tenant_id = $1 and m.user_id = r.id
                     union
                     select s.group_id, false from up join subgroups s on s.tenant_id = $1 and s.child_id = up.group_id
                 )
                 select jsonb_build_object('groups', jsonb_agg(jsonb_build_object('value', h.id, 'display', h.name_key,
                     'type', case when held.direct then 'direct' else 'indirect' end)))
                 from (select group_id, bool_or(direct) as direct from up group by group_id) held
                 join groups h on h.tenant_id = $1 and h.id = held.group_id
                 where ",
            )
            .bind(ids.clone())
            .sql("::uuid[] is null or h.id = any (")
            .bind(ids)
            .sql("::uuid[]) having count(*) > 0), '{}'))");
    } else {
        statement
            .sql(
                " || coalesce((
                 select jsonb_build_object('members', jsonb_agg(jsonb_build_object('value', one.id, 'display', one.display, 'type', one.type)))
                 from (
                     select n.id, coalesce(n.folded ->> 'displayname', n.user_name_key) as display, 'user' as type
                     from members m join users n on n.tenant_id = $1 and n.id = m.user_id
                     where m.tenant_id = $1 and m.group_id = r.id and (",
            )
            .bind(ids.clone())
            .sql("::uuid[] is null or m.user_id = any (")
            .bind(ids.clone())
            .sql(
                "::uuid[]))
                     union all
                     select h.id, h.name_key, 'group'
                     from subgroups s join groups h on h.tenant_id = $1 and h.id = s.child_id
                     where s.tenant_id = $1 and s.group_id = r.id and (",
            )
            .bind(ids.clone())
            .sql("::uuid[] is null or s.child_id = any (")
            .bind(ids)
            .sql("::uuid[]))) one having count(*) > 0), '{}'))");
    }
}
