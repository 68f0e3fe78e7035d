//! Queries on users and groups (RFC 7644 §3.4.2): filter, order, page and the total in one statement, which `search_sql` writes; the few
//! results of a lookup by a smaller one before it.
//!
//! Results have one total order: the sort key, the type, the order of creation. A page is found by its place in that order (keyset)
//! or by counting (offset).

use std::cmp::Ordering;
use std::time::Instant;

use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::conditions::{is_found_by_index, write_filter};
use super::memberships::{all_groups, groups_json};
use super::search_sql::{self, FEW, Statement};
use super::{Directory, Error, Stored};
use crate::scim::catalog;
use crate::scim::cursor::Position;
use crate::scim::filter::Filter;
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
    pub(super) fn position(&self) -> Option<&Position> {
        match self {
            Self::Offset(_) => None,
            Self::After(position) | Self::Before(position) => Some(position),
        }
    }

    pub(super) fn is_backward(&self) -> bool {
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
        let wanted = usize::try_from(limit).unwrap_or_default();
        if *place == Place::Offset(0)
            && let Some(mut found) = self.few(tenant_id, base, search).await?
        {
            let (total, more) = (i64::try_from(found.len()).ok(), found.len() > wanted);
            found.truncate(wanted);
            return Ok(Page { found, more, total });
        }
        let mut statement = Statement::new(tenant_id, base);
        // One more than wanted tells whether there is more.
        let limit_and_one = limit.saturating_add(1);
        if !search_sql::write_by_index(search, place, limit_and_one, &mut statement) {
            search_sql::write(search, place, limit_and_one, &mut statement);
        }
        let keeps_plan = statement.keeps_plan;
        let pool = self.pool.clone();
        let finding = async move { Ok(statement.query.build().persistent(keeps_plan).fetch_all(&pool).await?) };
        let rows = if search.is_scan() { self.scans.run(finding).await? } else { finding.await? };
        let total = rows.first().map(|row| row.try_get::<Option<i64>, _>(TOTAL)).transpose()?.flatten();
        // A page without results is one row that holds the total alone.
        let mut found = rows.iter().filter_map(|row| found(search, base, row).transpose()).collect::<Result<Vec<_>, sqlx::Error>>()?;
        self.complete_groups(tenant_id, base, search, &mut found).await?;
        let more = found.len() > wanted;
        found.truncate(wanted);
        if place.is_backward() {
            found.reverse();
        }
        Ok(Page { found, more, total })
    }

    /// All results, where an index finds them and they are fewer than [`FEW`].
    async fn few(&self, tenant_id: Uuid, base: &str, search: &Search) -> Result<Option<Vec<Found>>, Error> {
        let mut statement = Statement::new(tenant_id, base);
        if !search_sql::write_few(search, &mut statement) {
            return Ok(None);
        }
        let rows = statement.query.build().persistent(statement.keeps_plan).fetch_all(&self.pool).await?;
        if rows.len() >= FEW {
            return Ok(None);
        }
        let mut found = rows.iter().filter_map(|row| found(search, base, row).transpose()).collect::<Result<Vec<_>, sqlx::Error>>()?;
        found.sort_unstable_by_key(|found| found.position.seq);
        self.complete_groups(tenant_id, base, search, &mut found).await?;
        Ok(Some(found))
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
        let pool = self.pool.clone();
        let counting = async move { Ok(statement.query.build_query_scalar().fetch_one(&pool).await?) };
        // A count without a filter reads an index alone, and is remembered when it is much.
        let scans = search.parts.iter().any(|part| part.is_scanned(false));
        let count = if scans { self.scans.run(counting).await? } else { counting.await? };
        if let Some(counted) = counted {
            self.counts.remember(counted, count, asked_at);
        }
        Ok(count)
    }
}

/// The column of the total. A row of `search_sql` has its columns in this order: total, rank, sort, id, seq, version, document,
/// created_at, updated_at, memberships, groups.
const TOTAL: usize = 0;

fn found(search: &Search, base: &str, row: &PgRow) -> Result<Option<Found>, sqlx::Error> {
    let Some(id) = row.try_get::<Option<Uuid>, _>(3)? else { return Ok(None) };
    let position = Position { rank: row.try_get(1)?, sort: row.try_get(2)?, seq: row.try_get(4)? };
    let part = usize::try_from(position.rank).ok().and_then(|rank| search.parts.get(rank));
    let resource_type = part.expect("the statement numbers the parts").resource_type;
    let groups: Option<Vec<Option<String>>> = row.try_get(10)?;
    let memberships = match groups {
        Some(groups) => groups_json(base, &groups),
        None => row.try_get(9)?,
    };
    let stored = Stored {
        id,
        version: row.try_get(5)?,
        document: row.try_get(6)?,
        created_at: row.try_get(7)?,
        updated_at: row.try_get(8)?,
        memberships,
    };
    Ok(Some(Found { resource_type, position, stored }))
}

impl Part {
    /// Whether every resource of the type is looked at to find the results.
    fn is_scanned(&self, sorted: bool) -> bool {
        self.filter.as_ref().map_or(sorted, |filter| !is_found_by_index(self.is_user(), filter))
    }
}

impl Search {
    /// Whether no index finds the results.
    fn is_scan(&self) -> bool {
        self.parts.iter().any(|part| part.is_scanned(self.sorted))
    }

    /// Whether the order of the results is that of an index, and all resources are results.
    pub(super) fn is_browsing(&self) -> bool {
        !self.sorted && self.parts.iter().all(|part| part.filter.is_none())
    }

    /// The order of two places in the results, as `search_sql::write_order` says it in SQL.
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
    pub(super) fn sorts_numbers(&self) -> bool {
        self.parts.iter().filter_map(|part| part.sort).all(|path| matches!(path.leaf().kind, Kind::Integer | Kind::Decimal))
    }
}

impl Part {
    pub(super) fn is_user(&self) -> bool {
        self.resource_type.name == catalog::USER.name
    }
}
