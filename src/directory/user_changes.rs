//! Changes of a user: PUT and PATCH. A change is planned from what is stored and then written, unless there is nothing to write: most of
//! what a synchronization sends is there already, and costs little more than reading it.
//!
//! Reading and planning tear nothing when the client goes away, so they are no unit of work; what writes is one.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::employee_search::lookup_key;
use super::events::{Kind, with_notes};
use super::memberships::{all_groups, direct_groups, groups_json};
use super::passwords::PasswordChange;
use super::resource::Before;
use super::users::{Projection, Row, Times, employee_of, refusal, settled};
use super::{Directory, Error, Origin, Session, Stored, ambiguous};
use crate::scim::ScimError;
use crate::scim::declared::conform;
use crate::scim::document::{Document, Reading};
use crate::scim::etag::{Condition, check_if_match};
use crate::scim::patch::Patch;
use crate::scim::reader::Reader;
use crate::scim::schema::ResourceType;

impl Directory {
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
        self.change_user(origin, id, move |origin, user| {
            replaced(origin, id, user, &reading, &Terms { password: &password, if_match: if_match.as_ref() }, &notes)
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
        let read_as = origin.caller.user();
        self.change_user(origin, id, move |origin, user| {
            patched(origin, id, user, (&patch, read_as), &Terms { password: &password, if_match: if_match.as_ref() }, reader.clone())
        })
        .await
    }

    /// Two statements and no transaction around them, one when there is nothing to write. When somebody else wrote the user in between,
    /// the plan is made again under the row's lock.
    async fn change_user<P>(&self, origin: &Origin, id: Uuid, plan: P) -> Result<Stored, Error>
    where
        P: Fn(&Origin, User) -> Result<Plan, Error> + Send + Sync + 'static,
    {
        let mut connection = self.pool.acquire().await?;
        let user = read(&mut connection, origin, id, Hold::Nothing).await;
        let user = connection.finish_after(user).await?;
        let change = match plan(origin, user)? {
            Plan::Nothing(stored) => return Ok(stored),
            Plan::Change(change) => change,
        };
        let work = Arc::new((plan, Mutex::new(Some(change))));
        self.unit_as_mapped(origin, move |pool, origin| {
            let work = Arc::clone(&work);
            async move {
                let (plan, first) = &*work;
                let planned = first.lock().unwrap_or_else(PoisonError::into_inner).take();
                if let Some(change) = planned {
                    let mut connection = pool.acquire().await?;
                    let outcome = write(&mut connection, &origin, id, *change, Hold::Nothing).await;
                    let outcome = connection.finish_after(outcome).await;
                    if !outcome.as_ref().is_err_and(Error::is_overtaken) {
                        return settled(outcome, &pool, &origin, id).await;
                    }
                }
                let mut transaction = pool.begin().await?;
                let stored = change_locked(&mut transaction, &origin, id, plan).await?;
                ambiguous::commit(transaction, &pool, &origin, &[id]).await?;
                Ok(stored)
            }
        })
        .await
    }
}

/// Changes a user in the caller's transaction.
pub(super) async fn change_locked(
    connection: &mut Session,
    origin: &Origin,
    id: Uuid,
    plan: impl FnOnce(&Origin, User) -> Result<Plan, Error>,
) -> Result<Stored, Error> {
    let user = read(connection, origin, id, Hold::Row).await?;
    match plan(origin, user)? {
        Plan::Nothing(stored) => Ok(stored),
        Plan::Change(change) => write(connection, origin, id, *change, Hold::Row).await,
    }
}

/// Under which terms a user is changed.
pub(super) struct Terms<'a> {
    pub(super) password: &'a PasswordChange,
    pub(super) if_match: Option<&'a Condition>,
}

/// What keeps others from changing a user between the moment it is read and the write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hold {
    /// Nothing: the write finds out and writes nothing then ([`Error::overtaken`]).
    Nothing,
    /// The row's lock, in a transaction. Others may make the user a member meanwhile (`no key`): a change of a user and one of a
    /// group do not wait for each other.
    Row,
}

/// A user that is to be changed, and who wrote it.
#[derive(sqlx::FromRow)]
pub(super) struct User {
    #[sqlx(flatten)]
    before: Before,
    /// As `direct_groups` gives them.
    groups: Vec<Option<String>>,
    xmin: String,
}

/// What is to be done about a user.
pub(super) enum Plan {
    /// Nothing; the user as it is.
    Nothing(Stored),
    /// This.
    Change(Box<Change>),
}

/// A change to be written, with all that is derived from the document.
pub(super) struct Change {
    document: String,
    unmapped: Map<String, Value>,
    projection: Projection,
    password: PasswordChange,
    kind: Kind,
    /// What the event says.
    event: Value,
    /// What is added to the version.
    bump: i64,
    /// The transaction that wrote the row which the plan was made from.
    xmin: String,
    memberships: Option<String>,
}

/// Reads a user that is to be changed. `xmin` is the transaction that wrote the row: another one when anything of it was written since.
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
        Hold::Nothing => sqlx::query_as::<_, User>(statement!("")),
        Hold::Row => sqlx::query_as(statement!(" for no key update of u")),
    };
    let read = query.bind(origin.tenant_id()).bind(id).fetch_optional(&mut *connection).await?;
    let mut user = read.ok_or_else(|| ScimError::not_found("User", &id.to_string()))?;
    user.before.memberships = match groups_json(&origin.base, &user.groups) {
        Some(groups) => Some(groups),
        None => all_groups(connection, origin.tenant_id(), &origin.base, &[id]).await?.remove(&id),
    };
    Ok(user)
}

/// Plans a PUT.
pub(super) fn replaced(origin: &Origin, id: Uuid, user: User, reading: &Reading, terms: &Terms<'_>, notes: &Value) -> Result<Plan, Error> {
    check_if_match(terms.if_match, user.before.version)?;
    let form = conform(origin.caller.user(), &reading.document, &reading.unmapped)?;
    let (document, unmapped) = form.as_ref().map_or((&reading.document, &reading.unmapped), |(document, unmapped)| (document, unmapped));
    let text = document.to_text();
    // The stored text is then not even read.
    if text == user.before.document && *unmapped == user.before.unmapped.0 && !terms.password.is_change() {
        return Ok(Plan::Nothing(user.before.unchanged(id)));
    }
    let before = user.before.document()?;
    planned(origin, id, (user, &before), Next { document, unmapped, text: Some(text) }, terms.password, notes)
}

/// Plans a PATCH. The operations were read as changes of `read_as`; the tenant may have declared other attributes since, and the
/// stored user may be of a mapping before.
pub(super) fn patched(
    origin: &Origin,
    id: Uuid,
    user: User,
    (patch, read_as): (&Patch, &'static ResourceType),
    terms: &Terms<'_>,
    mut reader: Reader,
) -> Result<Plan, Error> {
    check_if_match(terms.if_match, user.before.version)?;
    let before = user.before.document()?;
    let patched = match conform(read_as, &before, &user.before.unmapped)? {
        None => patch.apply(read_as, &before, &user.before.unmapped, &mut reader)?,
        Some((document, unmapped)) => patch.apply(read_as, &document, &unmapped, &mut reader)?,
    };
    let form = conform(origin.caller.user(), &patched.document, &patched.unmapped)?;
    let (document, unmapped) = form.unwrap_or((patched.document, patched.unmapped));
    let next = Next { document: &document, unmapped: &unmapped, text: None };
    planned(origin, id, (user, &before), next, terms.password, &reader.notes_json())
}

/// What a user is to become.
struct Next<'a> {
    document: &'a Document,
    unmapped: &'a Map<String, Value>,
    /// The document's text, where it is known.
    text: Option<String>,
}

/// The change from one document to another, when they, the password or what is kept aside differ.
fn planned(
    origin: &Origin,
    id: Uuid,
    (user, before): (User, &Document),
    Next { document, unmapped, text }: Next<'_>,
    password: &PasswordChange,
    notes: &Value,
) -> Result<Plan, Error> {
    let mut attributes = before.changed_attributes(document);
    // What is kept aside and the password are not part of the resource as it is shown: they leave its version alone.
    let bump = i64::from(!attributes.is_empty());
    if password.is_change() {
        attributes.push("password".into());
    }
    if attributes.is_empty() && *unmapped == user.before.unmapped.0 {
        return Ok(Plan::Nothing(user.before.unchanged(id)));
    }
    let projection = Projection::of(&origin.caller, id, document, unmapped)?;
    let fields = employee_of(&origin.caller, before, &user.before.unmapped).changed_fields(&projection.employee);
    let mut event = json!({ "attributes": attributes, "employee": fields });
    if before.is_active() != projection.active {
        event["active"] = projection.active.into();
    }
    let kind = if before.is_active() && !projection.active { Kind::UserDeprovision } else { Kind::UserUpdate };
    Ok(Plan::Change(Box::new(Change {
        document: text.unwrap_or_else(|| document.to_text()),
        unmapped: unmapped.clone(),
        projection,
        password: password.clone(),
        kind,
        event: with_notes(event, notes),
        bump,
        xmin: user.xmin,
        memberships: user.before.memberships,
    })))
}

/// Writes a change: only while the mapping is the tenant's, as `users::create` does, and only over what the plan was made from.
async fn write(connection: &mut Session, origin: &Origin, id: Uuid, change: Change, hold: Hold) -> Result<Stored, Error> {
    let employee = &change.projection.employee;
    let row = Row {
        origin,
        id,
        document: &change.document,
        unmapped: &change.unmapped,
        projection: &change.projection,
        kind: change.kind,
        change: &change.event,
    };
    let saved = row
        .bind_to(sqlx::query_as::<_, Times>(
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
        .bind(change.bump)
        .bind(change.password.is_change())
        .bind(change.password.hash())
        .bind(origin.caller.mapping.version)
        .bind(lookup_key(employee.email.as_deref()))
        .bind(lookup_key(employee.manager_id.as_deref()))
        .bind(&change.xmin)
        .bind(origin.unit)
        .fetch_optional(connection)
        .await
        .map_err(|error| refusal(error, &change.projection.user_name))?;
    let Some(Times { version, created_at, updated_at }) = saved else {
        // Under the lock only the mapping can have changed.
        return Err(if hold == Hold::Row { Error::mapping_changed() } else { Error::overtaken() });
    };
    Ok(Stored { id, version, document: change.document, created_at, updated_at, memberships: change.memberships })
}
