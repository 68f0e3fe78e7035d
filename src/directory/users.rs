//! Users: the use cases behind `/Users` but for changes (`user_changes`). A write is one transaction: document, searchable copy,
//! employee and event together.

use std::borrow::Cow;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use sqlx::postgres::PgArguments;
use sqlx::query::QueryAs;
use sqlx::types::Json;
use sqlx::{Postgres, Row as _};
use uuid::Uuid;

use super::employee_search::lookup_key;
use super::events::{Kind, with_notes};
use super::memberships::{all_groups, direct_groups, groups_json};
use super::new_users::new_user_columns;
use super::passwords::PasswordChange;
use super::{Caller, Directory, Error, Origin, Pool, Session, Stored, ambiguous, constraint};
use crate::scim::ScimError;
use crate::scim::declared::conform;
use crate::scim::document::{Document, Reading, unique_key};
use crate::scim::error::quote;
use crate::scim::etag::{Condition, check_if_match};
use crate::workplace::{Employee, Settings};

/// The columns of a user that are derived from the document.
pub(super) struct Projection {
    pub(super) folded: Value,
    pub(super) user_name: String,
    pub(super) user_name_key: String,
    pub(super) display_name: String,
    pub(super) external_id: Option<String>,
    pub(super) active: bool,
    pub(super) employee: Employee,
}

impl Projection {
    pub(super) fn of(caller: &Caller, id: Uuid, document: &Document, unmapped: &Map<String, Value>) -> Result<Self, Error> {
        let user_name = document.text("userName").unwrap_or_default().to_owned();
        let employee = employee_of(caller, document, unmapped);
        if caller.settings.require_complete && !employee.complete() {
            let missing = employee.missing.join(", ");
            return Err(ScimError::invalid_value(format!("{} has no {missing}, which this tenant requires", quote(&user_name))).into());
        }
        Ok(Self {
            folded: document.folded(caller.user(), id),
            user_name_key: unique_key("userName", &user_name)?,
            display_name: document.text("displayName").unwrap_or(&user_name).to_owned(),
            external_id: document.text("externalId").map(str::to_owned),
            active: document.is_active(),
            employee,
            user_name,
        })
    }
}

/// The employee of a user, as the caller's tenant maps it.
pub(super) fn employee_of(caller: &Caller, document: &Document, unmapped: &Map<String, Value>) -> Employee {
    let settings = Settings { division_is_department: caller.settings.division_is_department };
    caller.mapping.mapping.employee(document.as_map(), unmapped, &settings)
}

impl Directory {
    /// Creates a user.
    ///
    /// # Errors
    /// 409 `uniqueness` when the user name is taken, 400 when a derived value is not usable.
    pub async fn create_user(&self, origin: &Origin, reading: Reading, notes: Value) -> Result<Stored, Error> {
        let id = Uuid::now_v7();
        let password = PasswordChange::of(&origin.caller, reading.password.as_ref().map(Some)).await?;
        let work = Arc::new((reading, password, notes));
        self.unit_as_mapped(origin, move |pool, origin| {
            let work = Arc::clone(&work);
            async move {
                let (reading, password, notes) = &*work;
                let mut connection = pool.acquire().await?;
                let outcome = create(&mut connection, &origin, id, reading, password, notes).await;
                settled(connection.finish_after(outcome).await, &pool, &origin, id).await
            }
        })
        .await
    }

    /// The user with this id; `groups` only when they are wanted.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn user(&self, tenant_id: Uuid, id: Uuid, base: &str, with_groups: bool) -> Result<Option<Stored>, Error> {
        find(&self.pool, tenant_id, id, base, with_groups).await
    }

    /// Deletes a user (RFC 7644 §3.6): gone from every group, the name free again.
    ///
    /// # Errors
    /// 404, 412.
    pub async fn delete_user(&self, origin: &Origin, id: Uuid, if_match: Option<Condition>) -> Result<(), Error> {
        let work = Arc::new((origin.clone(), if_match));
        self.unit(move |pool| {
            let work = Arc::clone(&work);
            async move {
                let (origin, if_match) = &*work;
                let mut transaction = pool.begin().await?;
                delete(&mut transaction, origin, id, if_match.as_ref()).await?;
                ambiguous::commit(transaction, &pool, origin, &[id]).await
            }
        })
        .await
    }
}

/// Reads a user; `groups` only when they are wanted.
async fn find(pool: &Pool, tenant_id: Uuid, id: Uuid, base: &str, with_groups: bool) -> Result<Option<Stored>, Error> {
    let statement = if with_groups {
        concat!(
            "select u.version, u.document::text, u.created_at, u.updated_at, ",
            direct_groups!(),
            " from users u where u.tenant_id = $1 and u.id = $2"
        )
    } else {
        "select u.version, u.document::text, u.created_at, u.updated_at, null::text[] from users u where u.tenant_id = $1 and u.id = $2"
    };
    let Some(row) = sqlx::query(statement).bind(tenant_id).bind(id).fetch_optional(pool).await? else { return Ok(None) };
    let groups: Option<Vec<Option<String>>> = row.try_get(4)?;
    let memberships = match groups.as_deref().map(|groups| groups_json(base, groups)) {
        Some(None) => all_groups(pool, tenant_id, base, &[id]).await?.remove(&id),
        direct => direct.flatten(),
    };
    let (version, document) = (row.try_get(0)?, row.try_get(1)?);
    Ok(Some(Stored { id, version, document, created_at: row.try_get(2)?, updated_at: row.try_get(3)?, memberships }))
}

/// What became of a change made outside a transaction, also when its answer was lost (`ambiguous`).
pub(super) async fn settled(outcome: Result<Stored, Error>, pool: &Pool, origin: &Origin, id: Uuid) -> Result<Stored, Error> {
    match outcome {
        Err(lost) if lost.leaves_open() => {
            ambiguous::settle(lost, pool, origin, &[id]).await?;
            let found = find(pool, origin.tenant_id(), id, &origin.base, true).await?;
            found.ok_or_else(|| ScimError::not_found("User", &id.to_string()).into())
        }
        outcome => outcome,
    }
}

/// Creates a user under an id that was chosen beforehand, on the caller's connection.
pub(super) async fn create(
    connection: &mut Session,
    origin: &Origin,
    id: Uuid,
    reading: &Reading,
    password: &PasswordChange,
    notes: &Value,
) -> Result<Stored, Error> {
    let New { document, unmapped, projection, change, .. } = New::of(origin, id, reading, password, notes)?;
    let row =
        Row { origin, id, document: &document, unmapped: &unmapped, projection: &projection, kind: Kind::UserCreate, change: &change };
    let saved = insert(connection, row, password).await?;
    Ok(Stored { id, version: saved.version, document, created_at: saved.created_at, updated_at: saved.updated_at, memberships: None })
}

/// A user that is to be created, with all that is derived from the document.
pub(super) struct New<'a> {
    pub(super) id: Uuid,
    pub(super) document: String,
    pub(super) unmapped: Cow<'a, Map<String, Value>>,
    pub(super) projection: Projection,
    pub(super) password: &'a PasswordChange,
    /// What the event says.
    pub(super) change: Value,
}

impl<'a> New<'a> {
    pub(super) fn of(origin: &Origin, id: Uuid, reading: &'a Reading, password: &'a PasswordChange, notes: &Value) -> Result<Self, Error> {
        let (document, unmapped) = match conform(origin.caller.user(), &reading.document, &reading.unmapped)? {
            Some((document, unmapped)) => (Cow::Owned(document), Cow::Owned(unmapped)),
            None => (Cow::Borrowed(&reading.document), Cow::Borrowed(&reading.unmapped)),
        };
        let projection = Projection::of(&origin.caller, id, &document, &unmapped)?;
        let change = with_notes(json!({ "active": projection.active, "employee": filled(&projection.employee) }), notes);
        Ok(Self { id, document: document.to_text(), unmapped, projection, password, change })
    }
}

#[derive(sqlx::FromRow)]
pub(super) struct Times {
    pub(super) version: i64,
    pub(super) created_at: DateTime<Utc>,
    pub(super) updated_at: DateTime<Utc>,
}

/// What both statements that write a user bind first, as `$1` to `$29`: whose user it is, all that is derived from the document,
/// and the event.
pub(super) struct Row<'a> {
    pub(super) origin: &'a Origin,
    pub(super) id: Uuid,
    pub(super) document: &'a str,
    pub(super) unmapped: &'a Map<String, Value>,
    pub(super) projection: &'a Projection,
    pub(super) kind: Kind,
    pub(super) change: &'a Value,
}

impl<'q> Row<'q> {
    pub(super) fn bind_to(&self, query: QueryAs<'q, Postgres, Times, PgArguments>) -> QueryAs<'q, Postgres, Times, PgArguments> {
        let employee = &self.projection.employee;
        query
            .bind(self.origin.tenant_id())
            .bind(self.id)
            .bind(self.document)
            .bind(&self.projection.folded)
            .bind(Json(self.unmapped))
            .bind(&self.projection.user_name)
            .bind(&self.projection.user_name_key)
            .bind(&self.projection.display_name)
            .bind(&self.projection.external_id)
            .bind(self.projection.active)
            .bind(&employee.first_name)
            .bind(&employee.last_name)
            .bind(&employee.name)
            .bind(&employee.title)
            .bind(&employee.email)
            .bind(&employee.phone)
            .bind(&employee.location)
            .bind(&employee.cost_center)
            .bind(&employee.employment_type)
            .bind(&employee.department_name)
            .bind(&employee.team_name)
            .bind(&employee.manager_id)
            .bind(Json(&employee.custom))
            .bind(&employee.missing)
            .bind(self.origin.caller.connection_id)
            .bind(self.origin.caller.token_id)
            .bind(&*self.origin.request_id)
            .bind(self.kind.name())
            .bind(self.change)
    }
}

/// Writes a new user. The tenant's row is held `for key share`, as the foreign key would hold it anyway, and nothing is written
/// unless the mapping is the tenant's: `recompute` says why.
async fn insert(connection: &mut Session, row: Row<'_>, password: &PasswordChange) -> Result<Times, Error> {
    let employee = &row.projection.employee;
    row.bind_to(sqlx::query_as::<_, Times>(concat!(
        "with mapped as (
             select id from tenants where id = $1 and mapping_version = $31 for key share
         ), saved as (
             insert into users (tenant_id, ",
        new_user_columns!(),
        ")
             select $1, $2, $3::json, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $30,
                 $31, $32, $33, date_trunc('milliseconds', now()), date_trunc('milliseconds', now())
             from mapped
             returning version, created_at, updated_at
         ), recorded as (
             insert into events (tenant_id, connection_id, token_id, request_id, kind, resource_type, resource_id, outcome, change,
                 unit)
             select $1, $25, $26, $27, $28, 'User', $2, 'success', $29, $34 from saved
         )
         select version, created_at, updated_at from saved",
    )))
    .bind(password.hash())
    .bind(row.origin.caller.mapping.version)
    .bind(lookup_key(employee.email.as_deref()))
    .bind(lookup_key(employee.manager_id.as_deref()))
    .bind(row.origin.unit)
    .fetch_optional(connection)
    .await
    .map_err(|error| refusal(error, &row.projection.user_name))?
    .ok_or_else(Error::mapping_changed)
}

/// Groups are locked before the user, in the order of their ids, as a change of members locks them: so neither waits for the
/// other in a circle. A group that the user came into meanwhile is seen by the last statement: with the user's lock nobody adds
/// them any more.
pub(super) async fn delete(connection: &mut Session, origin: &Origin, id: Uuid, if_match: Option<&Condition>) -> Result<(), Error> {
    sqlx::query(
        "select from groups g
         where g.tenant_id = $1 and g.id in (select m.group_id from members m where m.tenant_id = $1 and m.user_id = $2)
         order by g.id for no key update",
    )
    .bind(origin.tenant_id())
    .bind(id)
    .execute(&mut *connection)
    .await?;
    let version: Option<i64> = sqlx::query_scalar("select version from users where tenant_id = $1 and id = $2 for update")
        .bind(origin.tenant_id())
        .bind(id)
        .fetch_optional(&mut *connection)
        .await?;
    let version = version.ok_or_else(|| ScimError::not_found("User", &id.to_string()))?;
    check_if_match(if_match, version)?;
    sqlx::query(
        "with touched as (
             update groups set version = version + 1,
                 updated_at = greatest(date_trunc('milliseconds', clock_timestamp()), updated_at + interval '1 millisecond')
             where tenant_id = $1 and id in (select group_id from members where tenant_id = $1 and user_id = $2)
             returning id
         ), gone as (
             delete from users where tenant_id = $1 and id = $2 returning id
         )
         insert into events (tenant_id, connection_id, token_id, request_id, kind, resource_type, resource_id, outcome, change, unit)
         select $1, $3, $4, $5, $6, 'User', id, 'success', jsonb_build_object('groups', array(select id from touched order by id)), $7
         from gone",
    )
    .bind(origin.tenant_id())
    .bind(id)
    .bind(origin.caller.connection_id)
    .bind(origin.caller.token_id)
    .bind(&*origin.request_id)
    .bind(Kind::UserDelete.name())
    .bind(origin.unit)
    .execute(connection)
    .await?;
    Ok(())
}

/// The fields of an employee that have a value.
fn filled(employee: &Employee) -> Vec<&'static str> {
    Employee::default().changed_fields(employee)
}

pub(super) fn refusal(error: sqlx::Error, user_name: &str) -> Error {
    match constraint(&error) {
        Some("users_user_name_unique") => ScimError::uniqueness(format!("userName {} is already in use", quote(user_name))).into(),
        Some("users_tenant_id_fkey") => ScimError::new(404, "the tenant of this token does not exist any more").into(),
        _ => error.into(),
    }
}
