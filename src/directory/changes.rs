//! What changed, for the workplace product: a feed of the changes of a tenant's employees and groups, and one employee's history.
//!
//! The feed's order. Events are numbered when they are inserted and become visible when their transaction commits, which need
//! not be the same order: who reads "up to number 7" skips a 6 that commits later. So an event gets its place in the feed only
//! after it is committed: whoever reads first places what has become visible since, in the order of the events' ids, under the
//! lock of the tenant's row in `feeds`. A place is never filled in behind a reader's back, and a cursor is a place.
//!
//! Two events of one resource keep their order. The later one is inserted while its transaction holds the resource's row lock,
//! so after the earlier one's commit: it has the greater id, and a snapshot that sees it sees the earlier one, too. Ordering by
//! the transactions' ids instead would not do: a transaction gets its id with its first lock, which may be another row's.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::FromRow;
use uuid::Uuid;

use super::events::Kind;
use super::{Directory, Error, Pool, Session};
use crate::scim::error::quote;
use crate::scim::{ScimError, ScimType};

/// Events placed in one transaction: some 50 ms under the lock.
const PLACED_MAX: i64 = 2_000;

/// Where reading begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// At the oldest change that is kept.
    Beginning,
    /// Now: only what changes from here on.
    Latest,
    /// Behind a place.
    Place(i64),
}

impl After {
    /// Reads a cursor, `latest`, or nothing for the beginning.
    ///
    /// # Errors
    /// 400 `invalidCursor`.
    pub fn parse(text: Option<&str>) -> Result<Self, ScimError> {
        match text {
            None | Some("") => Ok(Self::Beginning),
            Some("latest") => Ok(Self::Latest),
            Some(cursor) => {
                let place = cursor.strip_prefix('p').and_then(|place| place.parse().ok()).filter(|place| *place >= 0);
                let refused = || ScimError::bad(ScimType::InvalidCursor, format!("after is {}, which no answer gave", quote(cursor)));
                place.map(Self::Place).ok_or_else(refused)
            }
        }
    }
}

fn cursor(place: i64) -> String {
    format!("p{place}")
}

/// A change of an employee or a group. It holds no person's data: whoever wants that reads the resource.
#[derive(Debug, Clone, Serialize)]
pub struct Change {
    /// The number of its event, for whoever wants to recognize a repetition.
    pub id: i64,
    /// `after` for what follows this change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// When it was made.
    pub at: DateTime<Utc>,
    /// `employee` or `group`.
    pub resource: &'static str,
    /// The id of the employee or group.
    pub resource_id: Uuid,
    /// `created`, `updated`, `deactivated`, `reactivated` or `deleted`.
    pub kind: &'static str,
    /// What changed in it: columns of an employee, attributes of a group.
    pub fields: Vec<String>,
    /// Of a group: the ids that were added to the members and those that were removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members: Option<Value>,
    /// Of a deleted employee: the groups that lost a member by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<Value>,
}

/// A part of the feed.
#[derive(Debug, Clone)]
pub struct Changes {
    /// The changes, oldest first.
    pub changes: Vec<Change>,
    /// `after` for what follows.
    pub next: String,
    /// Whether more is there already.
    pub more: bool,
}

/// An entry in an employee's history.
#[derive(Debug, Clone, Serialize)]
pub struct History {
    /// What changed.
    #[serde(flatten)]
    pub change: Change,
    /// The connection whose token made the change; none when a changed mapping did.
    pub connection: Option<String>,
    /// The id of the request, as in the log.
    pub request_id: Option<String>,
}

#[derive(FromRow)]
struct EventRow {
    id: i64,
    at: DateTime<Utc>,
    kind: String,
    resource_id: Option<Uuid>,
    change: Value,
}

impl EventRow {
    /// The event as a change; `None` for an event of a kind that changes no resource.
    fn change(mut self, place: Option<i64>) -> Option<Change> {
        let kind = Kind::ALL.into_iter().find(|kind| kind.name() == self.kind);
        let (resource, word) = match kind {
            Some(Kind::UserCreate) => ("employee", "created"),
            Some(Kind::UserUpdate) if self.change["active"] == true => ("employee", "reactivated"),
            Some(Kind::UserUpdate | Kind::UserMapping) => ("employee", "updated"),
            Some(Kind::UserDeprovision) => ("employee", "deactivated"),
            Some(Kind::UserDelete) => ("employee", "deleted"),
            Some(Kind::GroupCreate) => ("group", "created"),
            Some(Kind::GroupUpdate) => ("group", "updated"),
            Some(Kind::GroupDelete) => ("group", "deleted"),
            _ => return None,
        };
        let changed = !matches!(word, "created" | "deleted");
        let fields = if changed { fields_of(resource, &self.change) } else { Vec::new() };
        let mut take = |name: &str| self.change.get_mut(name).map(Value::take).filter(|value| !value.is_null());
        Some(Change {
            id: self.id,
            cursor: place.map(cursor),
            at: self.at,
            resource,
            resource_id: self.resource_id?,
            kind: word,
            fields,
            members: take("members"),
            groups: take("groups"),
        })
    }
}

/// An employee's columns that an event names: those the mapping derives, and the three that come straight from the document.
fn fields_of(resource: &str, change: &Value) -> Vec<String> {
    let texts = |name: &str| -> Vec<String> {
        change[name].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let attributes = texts("attributes");
    if resource == "group" {
        let members = change.get("members").map(|_| "members".to_owned());
        return attributes.into_iter().chain(members).collect();
    }
    let straight = [("userName", "user_name"), ("externalId", "external_id"), ("active", "active")];
    let straight = straight.into_iter().filter(|(attribute, _)| attributes.iter().any(|changed| changed == attribute));
    let mut fields: Vec<String> = straight.map(|(_, column)| column.to_owned()).collect();
    fields.extend(texts("employee"));
    fields
}

/// What a look at the feed finds.
#[derive(FromRow)]
struct State {
    last_position: i64,
    pruned_to: i64,
    unplaced: bool,
}

#[derive(FromRow)]
struct Placed {
    last_position: i64,
    pruned_to: i64,
    position: Option<i64>,
    #[sqlx(flatten)]
    event: EventRow,
}

impl Directory {
    /// The changes behind a place, at most `limit`.
    ///
    /// # Errors
    /// 410 `expiredCursor` when changes behind the place are not kept any more, or the place is ahead of the feed.
    pub async fn changes(&self, tenant_id: Uuid, after: After, limit: i64) -> Result<Changes, Error> {
        let mut state = self.feed_state(tenant_id).await?;
        loop {
            let enough = match after {
                After::Latest => false,
                After::Beginning => state.last_position - state.pruned_to >= limit,
                After::Place(place) => state.last_position.saturating_sub(place) >= limit,
            };
            if enough || !state.unplaced {
                break;
            }
            self.place(tenant_id).await?;
            state = self.feed_state(tenant_id).await?;
        }
        match after {
            After::Latest => Ok(Changes { changes: Vec::new(), next: cursor(state.last_position), more: false }),
            After::Place(place) if place == state.last_position => Ok(Changes { changes: Vec::new(), next: cursor(place), more: false }),
            After::Place(place) => self.placed(tenant_id, Some(place), limit).await,
            After::Beginning => self.placed(tenant_id, None, limit).await,
        }
    }

    /// An employee's history, the latest change first, before the event with the number `before`.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn history(&self, tenant_id: Uuid, id: Uuid, before: i64, limit: i64) -> Result<Vec<History>, Error> {
        #[derive(FromRow)]
        struct Row {
            connection: Option<String>,
            request_id: Option<String>,
            #[sqlx(flatten)]
            event: EventRow,
        }
        let rows: Vec<Row> = sqlx::query_as(
            "select e.id, e.at, e.kind, e.resource_id, e.change, e.request_id, c.name as connection
             from events e left join connections c on c.tenant_id = $1 and c.id = e.connection_id
             where e.tenant_id = $1 and e.resource_id = $2 and e.resource_type = 'User' and e.outcome = 'success' and e.id < $3
             order by e.id desc limit $4",
        )
        .bind(tenant_id)
        .bind(id)
        .bind(before)
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        let entry = |row: Row| {
            let Row { connection, request_id, event } = row;
            event.change(None).map(|change| History { change, connection, request_id })
        };
        Ok(rows.into_iter().filter_map(entry).collect())
    }

    /// The order makes the planner take the index of unplaced events, also when its statistics are from before they were placed.
    async fn feed_state(&self, tenant_id: Uuid) -> Result<State, Error> {
        let state = sqlx::query_as(
            "select coalesce(f.last_position, 0) as last_position, coalesce(f.pruned_to, 0) as pruned_to, (
                 select e.id from events e
                 where e.tenant_id = $1 and e.position is null and e.outcome = 'success' and e.resource_type in ('User', 'Group')
                 order by e.id limit 1
             ) is not null as unplaced
             from (select 1) one left join feeds f on f.tenant_id = $1",
        )
        .bind(tenant_id)
        .fetch_one(&self.pool)
        .await?;
        Ok(state)
    }

    /// The bounds of what is kept are read in the same statement as the changes: nothing is pruned between the two.
    async fn placed(&self, tenant_id: Uuid, place: Option<i64>, limit: i64) -> Result<Changes, Error> {
        let rows: Vec<Placed> = sqlx::query_as(
            "select f.last_position, f.pruned_to, e.position, coalesce(e.id, 0) as id, coalesce(e.at, now()) as at,
                 coalesce(e.kind, '') as kind, e.resource_id, coalesce(e.change, '{}') as change
             from feeds f left join lateral (
                 select position, id, at, kind, resource_id, change from events
                 where tenant_id = $1 and position > coalesce($2, f.pruned_to) order by position limit $3
             ) e on true
             where f.tenant_id = $1 order by e.position",
        )
        .bind(tenant_id)
        .bind(place)
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        let (last, pruned_to) = rows.first().map_or((0, 0), |row| (row.last_position, row.pruned_to));
        let start = place.unwrap_or(pruned_to);
        if start < pruned_to {
            return Err(gone("the changes behind this cursor are not kept any more").into());
        }
        if start > last {
            return Err(gone("the cursor is ahead of this feed, as after the restoration of a backup").into());
        }
        let end = rows.iter().filter_map(|row| row.position).max().unwrap_or(start);
        let change = |row: Placed| row.event.change(row.position);
        Ok(Changes { changes: rows.into_iter().filter_map(change).collect(), next: cursor(end), more: end < last })
    }

    /// Gives events that are committed and have no place theirs, behind all that have one; at most [`PLACED_MAX`].
    pub(super) async fn place(&self, tenant_id: Uuid) -> Result<u64, Error> {
        self.unit(move |pool| async move { place(pool, tenant_id).await }).await
    }
}

/// The feed's row is locked by a statement of its own: the next one's snapshot is then younger than the last placing.
async fn place(pool: Pool, tenant_id: Uuid) -> Result<u64, Error> {
    let mut transaction = pool.begin().await?;
    lock_feed(&mut transaction, tenant_id).await?;
    let placed: i64 = sqlx::query_scalar(
        "with unplaced as (
             select id, row_number() over (order by id) as number from (
                 select id from events
                 where tenant_id = $1 and position is null and outcome = 'success' and resource_type in ('User', 'Group')
                 order by id limit $2
             ) first
         ), placed as (
             update events e set position = f.last_position + u.number
             from unplaced u, feeds f
             where e.tenant_id = $1 and e.id = u.id and f.tenant_id = $1
             returning e.id
         ), counted as (
             select count(*) as number from placed
         )
         update feeds f set last_position = f.last_position + counted.number from counted
         where f.tenant_id = $1
         returning counted.number",
    )
    .bind(tenant_id)
    .bind(PLACED_MAX)
    .fetch_optional(&mut *transaction)
    .await?
    .unwrap_or_default();
    transaction.commit().await?;
    Ok(u64::try_from(placed).unwrap_or_default())
}

/// Locks a tenant's feed until the end of the transaction; the first time makes its row.
pub(super) async fn lock_feed(connection: &mut Session, tenant_id: Uuid) -> Result<(), Error> {
    let locked = sqlx::query("select from feeds where tenant_id = $1 for update").bind(tenant_id).execute(&mut *connection).await?;
    if locked.rows_affected() == 0 {
        // Whoever comes second waits here for the first one's commit, and then updates the row, which locks it.
        sqlx::query(
            "insert into feeds (tenant_id) select id from tenants where id = $1
             on conflict (tenant_id) do update set last_position = feeds.last_position",
        )
        .bind(tenant_id)
        .execute(connection)
        .await?;
    }
    Ok(())
}

fn gone(what: &str) -> ScimError {
    let detail = format!("{what}; start again: after=latest gives a cursor, then read all employees, then follow from that cursor");
    ScimError { scim_type: Some(ScimType::ExpiredCursor), ..ScimError::new(410, detail) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_cursor_of_ours_is_a_place() {
        assert_eq!(After::parse(None), Ok(After::Beginning));
        assert_eq!(After::parse(Some("latest")), Ok(After::Latest));
        assert_eq!(After::parse(Some(&cursor(42))), Ok(After::Place(42)));
        for wrong in ["42", "p", "p-1", "px", "p99999999999999999999", "now"] {
            assert_eq!(After::parse(Some(wrong)).unwrap_err().scim_type, Some(ScimType::InvalidCursor), "{wrong}");
        }
    }
}
