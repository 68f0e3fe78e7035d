//! Users: the use cases behind `/Users`. A write is one transaction: document, searchable copy, employee and event together.

use std::borrow::Cow;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use sqlx::Postgres;
use sqlx::postgres::PgArguments;
use sqlx::query::QueryAs;
use sqlx::types::Json;
use uuid::Uuid;

use super::employee_search::lookup_key;
use super::events::{Kind, with_notes};
use super::memberships::{all_groups, direct_groups, groups_json};
use super::new_users::new_user_columns;
use super::passwords::PasswordChange;
use super::resource::Before;
use super::{Caller, Directory, Error, Origin, Pool, Session, Stored, ambiguous, constraint};
use crate::scim::ScimError;
use crate::scim::declared::conform;
use crate::scim::document::{Document, Reading, unique_key};
use crate::scim::error::quote;
use crate::scim::etag::{Condition, check_if_match};
use crate::scim::patch::Patch;
use crate::scim::reader::Reader;
use crate::scim::schema::ResourceType;
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
    fn of(caller: &Caller, id: Uuid, document: &Document, unmapped: &Map<String, Value>) -> Result<Self, Error> {
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

    /// Replaces a user (RFC 7644 §3.5.1): what the body leaves out is unassigned. A body that changes nothing writes nothing.
    ///
    /// # Errors
    /// 404, 409 `uniqueness`, 412 when `if_match` names another version.
    pub async fn replace_user(
        &self,
        origin: &Origin,
        id: Uuid,
        reading: Reading,
        if_match: Option<Condition>,
        notes: Value,
    ) -> Result<Stored, Error> {
        let password = PasswordChange::of(&origin.caller, reading.password.as_ref().map(Some)).await?;
        let work = Arc::new((reading, password, if_match, notes));
        self.unit_as_mapped(origin, move |pool, origin| {
            let work = Arc::clone(&work);
            async move {
                let (reading, password, if_match, notes) = &*work;
                let mut terms = Terms { password, if_match: if_match.as_ref(), hold: Hold::Nothing };
                let mut connection = pool.acquire().await?;
                let outcome = replace(&mut connection, &origin, id, reading, &terms, notes).await;
                let outcome = connection.finish_after(outcome).await;
                if !outcome.as_ref().is_err_and(Error::is_overtaken) {
                    return settled(outcome, &pool, &origin, id).await;
                }
                terms.hold = Hold::Row;
                let mut transaction = pool.begin().await?;
                let stored = replace(&mut transaction, &origin, id, reading, &terms, notes).await?;
                ambiguous::commit(transaction, &pool, &origin, &[id]).await?;
                Ok(stored)
            }
        })
        .await
    }

    /// Changes a user (RFC 7644 §3.5.2). A change that changes nothing writes nothing.
    ///
    /// # Errors
    /// 404, 409 `uniqueness`, 412, and what [`Patch::apply`] refuses.
    pub async fn patch_user(
        &self,
        origin: &Origin,
        id: Uuid,
        patch: Patch,
        if_match: Option<Condition>,
        reader: Reader,
    ) -> Result<Stored, Error> {
        let password = PasswordChange::of(&origin.caller, patch.password.as_ref().map(Option::as_ref)).await?;
        let work = Arc::new((patch, origin.caller.user(), password, if_match, reader));
        self.unit_as_mapped(origin, move |pool, origin| {
            let work = Arc::clone(&work);
            async move {
                let (patch, read_as, password, if_match, reader) = &*work;
                let mut terms = Terms { password, if_match: if_match.as_ref(), hold: Hold::Nothing };
                let mut connection = pool.acquire().await?;
                let outcome = self::patch(&mut connection, &origin, id, (patch, read_as), &terms, reader.clone()).await;
                let outcome = connection.finish_after(outcome).await;
                if !outcome.as_ref().is_err_and(Error::is_overtaken) {
                    return settled(outcome, &pool, &origin, id).await;
                }
                terms.hold = Hold::Row;
                let mut transaction = pool.begin().await?;
                let stored = self::patch(&mut transaction, &origin, id, (patch, read_as), &terms, reader.clone()).await?;
                ambiguous::commit(transaction, &pool, &origin, &[id]).await?;
                Ok(stored)
            }
        })
        .await
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
    if !with_groups {
        let query = sqlx::query_as(
            "select u.id, u.version, u.document::text as document, u.created_at, u.updated_at from users u where u.tenant_id = $1 and u.id = $2",
        );
        return Ok(query.bind(tenant_id).bind(id).fetch_optional(pool).await?);
    }
    let query = sqlx::query_as(concat!(
        "select u.id, u.version, u.document::text as document, u.created_at, u.updated_at, ",
        direct_groups!(),
        " as groups from users u where u.tenant_id = $1 and u.id = $2"
    ));
    let found: Option<WithGroups<Stored>> = query.bind(tenant_id).bind(id).fetch_optional(pool).await?;
    let Some(WithGroups { row: mut stored, groups }) = found else { return Ok(None) };
    stored.memberships = match groups_json(base, &groups) {
        Some(groups) => Some(groups),
        None => all_groups(pool, tenant_id, base, &[id]).await?.remove(&id),
    };
    Ok(Some(stored))
}

/// What became of a change made outside a transaction, also when its answer was lost (`ambiguous`).
async fn settled(outcome: Result<Stored, Error>, pool: &Pool, origin: &Origin, id: Uuid) -> Result<Stored, Error> {
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

/// PUT on the caller's connection; with [`Hold::Row`] in the caller's transaction.
pub(super) async fn replace(
    connection: &mut Session,
    origin: &Origin,
    id: Uuid,
    reading: &Reading,
    terms: &Terms<'_>,
    notes: &Value,
) -> Result<Stored, Error> {
    let before = read(connection, origin, id, terms.hold).await?;
    check_if_match(terms.if_match, before.version)?;
    let form = conform(origin.caller.user(), &reading.document, &reading.unmapped)?;
    let (document, unmapped) = form.as_ref().map_or((&reading.document, &reading.unmapped), |(document, unmapped)| (document, unmapped));
    let next = Next { document, unmapped, password: terms.password };
    save(connection, origin, id, (before, None), next, notes, terms.hold).await
}

/// PATCH, as [`replace`]. The operations were read as changes of `read_as`; the tenant may have declared other attributes since,
/// and the stored user may be of a mapping before.
pub(super) async fn patch(
    connection: &mut Session,
    origin: &Origin,
    id: Uuid,
    (patch, read_as): (&Patch, &'static ResourceType),
    terms: &Terms<'_>,
    mut reader: Reader,
) -> Result<Stored, Error> {
    let before = read(connection, origin, id, terms.hold).await?;
    check_if_match(terms.if_match, before.version)?;
    let stored = before.document()?;
    let patched = match conform(read_as, &stored, &before.unmapped)? {
        None => patch.apply(read_as, &stored, &before.unmapped, &mut reader)?,
        Some((document, unmapped)) => patch.apply(read_as, &document, &unmapped, &mut reader)?,
    };
    let form = conform(origin.caller.user(), &patched.document, &patched.unmapped)?;
    let (document, unmapped) = form.unwrap_or((patched.document, patched.unmapped));
    let next = Next { document: &document, unmapped: &unmapped, password: terms.password };
    save(connection, origin, id, (before, Some(stored)), next, &reader.notes_json(), terms.hold).await
}

#[derive(sqlx::FromRow)]
struct Times {
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// What both statements that write a user bind first, as `$1` to `$29`: whose user it is, all that is derived from the document,
/// and the event.
struct Row<'a> {
    origin: &'a Origin,
    id: Uuid,
    document: &'a str,
    unmapped: &'a Map<String, Value>,
    projection: &'a Projection,
    kind: Kind,
    change: &'a Value,
}

impl<'q> Row<'q> {
    fn bind_to(&self, query: QueryAs<'q, Postgres, Times, PgArguments>) -> QueryAs<'q, Postgres, Times, PgArguments> {
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

/// Under which terms a user is changed.
pub(super) struct Terms<'a> {
    pub(super) password: &'a PasswordChange,
    pub(super) if_match: Option<&'a Condition>,
    pub(super) hold: Hold,
}

/// What keeps others from changing a user between the moment it is read and the write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hold {
    /// Nothing: the write finds out and writes nothing then ([`Error::overtaken`]). Two statements and no transaction around them,
    /// one when there is nothing to write.
    Nothing,
    /// The row's lock, in a transaction. Others may make the user a member meanwhile (`no key`): a change of a user and one of a
    /// group do not wait for each other.
    Row,
}

/// A user that is to be changed. `xmin` is the transaction that wrote the row: another one when anything of it was written since.
async fn read(connection: &mut Session, origin: &Origin, id: Uuid, hold: Hold) -> Result<User, Error> {
    macro_rules! statement {
        ($lock:literal) => {
            concat!(
                "select u.version, u.document::text as document, u.unmapped, u.created_at, u.updated_at, ",
                direct_groups!(),
                " as groups, u.xmin::text as xmin from users u where u.tenant_id = $1 and u.id = $2",
                $lock
            )
        };
    }
    let query = match hold {
        Hold::Nothing => sqlx::query_as::<_, WithGroups<User>>(statement!("")),
        Hold::Row => sqlx::query_as(statement!(" for no key update of u")),
    };
    let read = query.bind(origin.tenant_id()).bind(id).fetch_optional(&mut *connection).await?;
    let WithGroups { row: mut user, groups } = read.ok_or_else(|| ScimError::not_found("User", &id.to_string()))?;
    user.before.memberships = match groups_json(&origin.base, &groups) {
        Some(groups) => Some(groups),
        None => all_groups(connection, origin.tenant_id(), &origin.base, &[id]).await?.remove(&id),
    };
    Ok(user)
}

/// A row of users, and the groups as `direct_groups` gives them.
#[derive(sqlx::FromRow)]
struct WithGroups<T> {
    #[sqlx(flatten)]
    row: T,
    groups: Vec<Option<String>>,
}

/// A user that is to be changed, and who wrote it.
#[derive(sqlx::FromRow)]
struct User {
    #[sqlx(flatten)]
    before: Before,
    xmin: String,
}

impl std::ops::Deref for User {
    type Target = Before;

    fn deref(&self) -> &Before {
        &self.before
    }
}

/// What a user is to become.
struct Next<'a> {
    document: &'a Document,
    unmapped: &'a Map<String, Value>,
    password: &'a PasswordChange,
}

/// Writes a user, when the document, the password or what is kept aside differs from what is stored. The stored document comes
/// along when the caller has read it.
async fn save(
    connection: &mut Session,
    origin: &Origin,
    id: Uuid,
    (user, before): (User, Option<Document>),
    next: Next<'_>,
    notes: &Value,
    hold: Hold,
) -> Result<Stored, Error> {
    let text = next.document.to_text();
    // Most of what a synchronization sends is there already; the stored text is then not even read.
    if text == user.document && *next.unmapped == user.unmapped.0 && !next.password.is_change() {
        return Ok(user.before.unchanged(id));
    }
    let before = before.map_or_else(|| user.document(), Ok)?;
    let mut attributes = before.changed_attributes(next.document);
    // What is kept aside and the password are not part of the resource as it is shown: they leave its version alone.
    let bump = i64::from(!attributes.is_empty());
    if next.password.is_change() {
        attributes.push("password".into());
    }
    if attributes.is_empty() && *next.unmapped == user.unmapped.0 {
        return Ok(user.before.unchanged(id));
    }
    let projection = Projection::of(&origin.caller, id, next.document, next.unmapped)?;
    let fields = employee_of(&origin.caller, &before, &user.unmapped).changed_fields(&projection.employee);
    let mut change = json!({ "attributes": attributes, "employee": fields });
    if before.is_active() != projection.active {
        change["active"] = projection.active.into();
    }
    let kind = if before.is_active() && !projection.active { Kind::UserDeprovision } else { Kind::UserUpdate };
    let change = with_notes(change, notes);
    let row = Row { origin, id, document: &text, unmapped: next.unmapped, projection: &projection, kind, change: &change };
    let saved = update(connection, row, next.password, bump, &user.xmin).await?;
    let Some(saved) = saved else {
        // Under the lock only the mapping can have changed.
        return Err(if hold == Hold::Row { Error::mapping_changed() } else { Error::overtaken() });
    };
    Ok(Stored {
        id,
        version: saved.version,
        document: text,
        created_at: saved.created_at,
        updated_at: saved.updated_at,
        memberships: user.before.memberships,
    })
}

/// Writes a changed user; as [`insert`], only while the mapping is the tenant's, and only what the transaction `xmin` wrote.
async fn update(connection: &mut Session, row: Row<'_>, password: &PasswordChange, bump: i64, xmin: &str) -> Result<Option<Times>, Error> {
    let employee = &row.projection.employee;
    row.bind_to(sqlx::query_as::<_, Times>(
        "with mapped as (
             select id from tenants where id = $1 and mapping_version = $33 for key share
         ), saved as (
             update users set document = $3::json, folded = $4, unmapped = $5, user_name = $6, user_name_key = $7, display_name = $8,
                 external_id = $9, active = $10, first_name = $11, last_name = $12, name = $13, title = $14, email = $15, phone = $16,
                 location = $17, cost_center = $18, employment_type = $19, department_name = $20, team_name = $21, manager_id = $22,
                 custom = $23, missing = $24, email_key = $34, manager_key = $35,
                 password_hash = case when $31 then $32 else password_hash end, mapping_version = $33, version = version + $30,
                 updated_at = case when $30 = 0 then updated_at
                     else greatest(date_trunc('milliseconds', clock_timestamp()), updated_at + interval '1 millisecond') end
             from mapped where users.tenant_id = $1 and users.id = $2 and users.xmin::text = $36
             returning users.version, users.created_at, users.updated_at
         ), recorded as (
             insert into events (tenant_id, connection_id, token_id, request_id, kind, resource_type, resource_id, outcome, change,
                 unit)
             select $1, $25, $26, $27, $28, 'User', $2, 'success', $29, $37 from saved
         )
         select version, created_at, updated_at from saved",
    ))
    .bind(bump)
    .bind(password.is_change())
    .bind(password.hash())
    .bind(row.origin.caller.mapping.version)
    .bind(lookup_key(employee.email.as_deref()))
    .bind(lookup_key(employee.manager_id.as_deref()))
    .bind(xmin)
    .bind(row.origin.unit)
    .fetch_optional(connection)
    .await
    .map_err(|error| refusal(error, &row.projection.user_name))
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

fn refusal(error: sqlx::Error, user_name: &str) -> Error {
    match constraint(&error) {
        Some("users_user_name_unique") => ScimError::uniqueness(format!("userName {} is already in use", quote(user_name))).into(),
        Some("users_tenant_id_fkey") => ScimError::new(404, "the tenant of this token does not exist any more").into(),
        _ => error.into(),
    }
}
