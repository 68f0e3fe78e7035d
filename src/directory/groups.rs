//! Groups: the use cases behind `/Groups`. A change of members is a set operation under the group's row lock (`members`); the
//! document, the members and the event change in one transaction.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use sqlx::types::Json;
use uuid::Uuid;

use super::events::{Kind, with_notes};
use super::members::{self, Difference};
use super::memberships::{members_of_group, members_of_small_group};
use super::one_member::{self, OneMember};
use super::resource::Before;
use super::{Directory, Error, Origin, Pool, Session, Stored, ambiguous, constraint};
use crate::scim::ScimError;
use crate::scim::catalog::GROUP;
use crate::scim::document::{Document, Reading, unique_key};
use crate::scim::error::quote;
use crate::scim::etag::{Condition, check_if_match};
use crate::scim::patch::{MembersChange, Patch};
use crate::scim::reader::Reader;

/// Members read in one statement while a large group is sent: about 1 MB. Such statements are planned anew each time
/// (`persistent(false)`): a plan that was kept since the group was small takes seconds.
const MEMBERS_PAGE: i64 = 5_000;

/// A place in the list of a group's members: behind this user, or behind this group. The nil UUID is before all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MembersPlace {
    /// Among the users, who come first.
    Users(Uuid),
    /// Among the groups.
    Groups(Uuid),
}

/// How much of a group's members a use case gives back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Members {
    /// Nothing.
    Hidden,
    /// All of them, unless they are more than a page: then they are left to [`Directory::members_page`].
    Paged,
}

/// Some of a group's members.
#[derive(Debug, Clone)]
pub struct MembersPage {
    /// Each as a JSON object.
    pub members: Vec<String>,
    /// Where the next page begins.
    pub next: Option<MembersPlace>,
}

/// The columns of a group that are derived from the document.
struct Projection {
    folded: Value,
    display_name: String,
    name_key: String,
    /// The key again when the tenant keeps names unique.
    name_claim: Option<String>,
    external_id: Option<String>,
}

impl Projection {
    fn of(origin: &Origin, id: Uuid, document: &Document) -> Result<Self, Error> {
        let display_name = document.text("displayName").unwrap_or_default().to_owned();
        let name_key = unique_key("displayName", &display_name)?;
        Ok(Self {
            folded: document.folded(&GROUP, id),
            name_claim: origin.caller.settings.unique_group_names.then(|| name_key.clone()),
            name_key,
            display_name,
            external_id: document.text("externalId").map(str::to_owned),
        })
    }
}

impl Directory {
    /// Creates a group with its members.
    ///
    /// # Errors
    /// 409 `uniqueness` when the name is taken, 400 `invalidValue` when a member is not in the tenant; then nothing is written.
    pub async fn create_group(&self, origin: &Origin, reading: Reading, members: Members, notes: Value) -> Result<Stored, Error> {
        let id = Uuid::now_v7();
        let projection = Projection::of(origin, id, &reading.document)?;
        let work = Arc::new((origin.clone(), reading, projection, notes));
        self.unit(move |pool| {
            let work = Arc::clone(&work);
            async move {
                let (origin, reading, projection, notes) = &*work;
                let change = creation(reading, notes);
                if reading.members.as_ref().is_none_or(Vec::is_empty) {
                    let mut connection = pool.acquire().await?;
                    let outcome = insert(&mut connection, origin, id, reading, projection, &change).await;
                    let stored = settled(connection.finish_after(outcome).await, &pool, origin, id).await?;
                    return Ok(Stored { memberships: Some("[]".into()), ..stored });
                }
                let mut transaction = pool.begin().await?;
                let mut stored = insert(&mut transaction, origin, id, reading, projection, &change).await?;
                add_members(&mut transaction, origin, id, reading).await?;
                stored.memberships = members_json(&mut transaction, origin, id, members).await?;
                ambiguous::commit(transaction, &pool, origin, &[id]).await?;
                Ok(stored)
            }
        })
        .await
    }

    /// The group with this id; `members` only when they are wanted and not more than a page. Those of a larger group are read with
    /// [`Directory::members_page`].
    ///
    /// # Errors
    /// Only the database's.
    pub async fn group(&self, tenant_id: Uuid, id: Uuid, base: &str, members: Members) -> Result<Option<Stored>, Error> {
        let query = match members {
            Members::Paged => sqlx::query_as::<_, Stored>(concat!(
                "select g.id, g.version, g.document::text as document, g.created_at, g.updated_at, ",
                members_of_small_group!(),
                " as memberships from groups g where g.tenant_id = $1 and g.id = $3"
            )),
            Members::Hidden => sqlx::query_as(
                "select g.id, g.version, g.document::text as document, g.created_at, g.updated_at, null as memberships
                 from groups g where g.tenant_id = $1 and $2::text is not null and g.id = $3",
            ),
        };
        let planned_anew = members != Members::Hidden;
        Ok(query.bind(tenant_id).bind(base).bind(id).persistent(!planned_anew).fetch_optional(&self.pool).await?)
    }

    /// The members of a group behind a place, as JSON objects, in the order in which [`Directory::group`] lists them. A page is
    /// one statement: no connection waits for the client between two pages.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn members_page(&self, tenant_id: Uuid, group_id: Uuid, base: &str, place: MembersPlace) -> Result<MembersPage, Error> {
        let (query, after) = match place {
            MembersPlace::Users(after) => (
                sqlx::query_as::<_, (Uuid, String)>(
                    "select m.user_id, '{\"value\":\"' || m.user_id || '\",\"$ref\":\"' || $2 || '/Users/' || m.user_id
                         || '\",\"display\":' || to_json((select n.display_name from users n where n.tenant_id = $1 and n.id = m.user_id))
                         || ',\"type\":\"User\"}'
                     from members m
                     where m.tenant_id = $1 and m.group_id = $3 and m.user_id > $4
                     order by m.user_id limit $5",
                ),
                after,
            ),
            MembersPlace::Groups(after) => (
                sqlx::query_as(
                    "select s.child_id, '{\"value\":\"' || s.child_id || '\",\"$ref\":\"' || $2 || '/Groups/' || s.child_id
                         || '\",\"display\":' || to_json((select h.display_name from groups h where h.tenant_id = $1 and h.id = s.child_id))
                         || ',\"type\":\"Group\"}'
                     from subgroups s
                     where s.tenant_id = $1 and s.group_id = $3 and s.child_id > $4
                     order by s.child_id limit $5",
                ),
                after,
            ),
        };
        let query = query.bind(tenant_id).bind(base).bind(group_id).bind(after).bind(MEMBERS_PAGE);
        let rows = query.persistent(false).fetch_all(&self.pool).await?;
        let full = i64::try_from(rows.len()).unwrap_or(i64::MAX) >= MEMBERS_PAGE;
        let next = match (place, rows.last().filter(|_| full)) {
            (MembersPlace::Users(_), Some((id, _))) => Some(MembersPlace::Users(*id)),
            (MembersPlace::Groups(_), Some((id, _))) => Some(MembersPlace::Groups(*id)),
            (MembersPlace::Users(_), None) => Some(MembersPlace::Groups(Uuid::nil())),
            (MembersPlace::Groups(_), None) => None,
        };
        Ok(MembersPage { members: rows.into_iter().map(|(_, member)| member).collect(), next })
    }

    /// Replaces a group (RFC 7644 §3.5.1). A body without `members` leaves them: JumpCloud renames with a minimal body, and an
    /// emptied group locks people out. `[]` and null empty it.
    ///
    /// # Errors
    /// 404, 409 `uniqueness`, 412, 400 `invalidValue` when a member is not in the tenant.
    pub async fn replace_group(
        &self,
        origin: &Origin,
        id: Uuid,
        reading: Reading,
        if_match: Option<Condition>,
        members: Members,
        notes: Value,
    ) -> Result<Stored, Error> {
        let work = Arc::new((origin.clone(), reading, if_match, notes));
        self.unit(move |pool| {
            let work = Arc::clone(&work);
            async move {
                let (origin, reading, if_match, notes) = &*work;
                let mut transaction = pool.begin().await?;
                let mut stored = replace(&mut transaction, origin, id, reading, if_match.as_ref(), notes).await?;
                stored.memberships = members_json(&mut transaction, origin, id, members).await?;
                ambiguous::commit(transaction, &pool, origin, &[id]).await?;
                Ok(stored)
            }
        })
        .await
    }

    /// Changes a group (RFC 7644 §3.5.2). A change that changes nothing writes nothing.
    ///
    /// # Errors
    /// 404, 409 `uniqueness`, 412, 400 `invalidValue` when a member is not in the tenant, and what [`Patch::apply`] refuses.
    pub async fn patch_group(
        &self,
        origin: &Origin,
        id: Uuid,
        patch: Patch,
        if_match: Option<Condition>,
        members: Members,
        reader: Reader,
    ) -> Result<Stored, Error> {
        let work = Arc::new((origin.clone(), patch, if_match, reader));
        self.unit(move |pool| {
            let work = Arc::clone(&work);
            async move {
                let (origin, patch, if_match, reader) = &*work;
                if let Some(member) = OneMember::of(patch, id).filter(|_| if_match.is_none() && members == Members::Hidden) {
                    let mut connection = pool.acquire().await?;
                    let outcome = one_member::change(&mut connection, origin, id, member, reader).await;
                    let outcome = connection.finish_after(outcome).await;
                    if !outcome.as_ref().is_err_and(Error::is_overtaken) {
                        return settled(outcome, &pool, origin, id).await;
                    }
                }
                let mut transaction = pool.begin().await?;
                let mut stored = self::patch(&mut transaction, origin, id, patch, if_match.as_ref(), reader.clone()).await?;
                stored.memberships = members_json(&mut transaction, origin, id, members).await?;
                ambiguous::commit(transaction, &pool, origin, &[id]).await?;
                Ok(stored)
            }
        })
        .await
    }

    /// Deletes a group: its members stay, their memberships go.
    ///
    /// # Errors
    /// 404, 412.
    pub async fn delete_group(&self, origin: &Origin, id: Uuid, if_match: Option<Condition>) -> Result<(), Error> {
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

/// What became of a change made outside a transaction, also when its answer was lost (`ambiguous`).
async fn settled(outcome: Result<Stored, Error>, pool: &Pool, origin: &Origin, id: Uuid) -> Result<Stored, Error> {
    match outcome {
        Err(lost) if lost.leaves_open() => {
            ambiguous::settle(lost, pool, origin, &[id]).await?;
            written(pool, origin, id).await
        }
        outcome => outcome,
    }
}

/// A group that was written, for an answer; its members are not read.
async fn written(pool: &Pool, origin: &Origin, id: Uuid) -> Result<Stored, Error> {
    let found = sqlx::query_as::<_, Stored>(
        "select id, version, document::text as document, created_at, updated_at, null as memberships
         from groups where tenant_id = $1 and id = $2",
    )
    .bind(origin.tenant_id())
    .bind(id)
    .fetch_optional(pool)
    .await?;
    found.ok_or_else(|| ScimError::not_found("Group", &id.to_string()).into())
}

/// Creates a group under an id that was chosen beforehand, in the caller's transaction; [`add_members`] adds its members.
pub(super) async fn create(connection: &mut Session, origin: &Origin, id: Uuid, reading: &Reading, notes: &Value) -> Result<Stored, Error> {
    let projection = Projection::of(origin, id, &reading.document)?;
    insert(connection, origin, id, reading, &projection, &creation(reading, notes)).await
}

/// What the event of a creation says.
fn creation(reading: &Reading, notes: &Value) -> Value {
    let added = reading.members.iter().flatten().copied().collect();
    with_notes(json!({ "members": Difference { added, ..Difference::default() }.to_json() }), notes)
}

/// Adds the members that a new group has.
pub(super) async fn add_members(connection: &mut Session, origin: &Origin, id: Uuid, reading: &Reading) -> Result<(), Error> {
    let ids = reading.members.clone().unwrap_or_default();
    members::apply(connection, origin.tenant_id(), id, &[MembersChange::Add(ids)]).await?;
    Ok(())
}

/// PUT in the caller's transaction.
pub(super) async fn replace(
    connection: &mut Session,
    origin: &Origin,
    id: Uuid,
    reading: &Reading,
    if_match: Option<&Condition>,
    notes: &Value,
) -> Result<Stored, Error> {
    let locked = lock(connection, origin, id).await?;
    check_if_match(if_match, locked.version)?;
    let changes: Vec<MembersChange> = reading.members.clone().map(MembersChange::Replace).into_iter().collect();
    let next = Next { document: &reading.document, unmapped: &reading.unmapped, members: &changes };
    save(connection, origin, id, locked, next, notes).await
}

/// PATCH in the caller's transaction.
pub(super) async fn patch(
    connection: &mut Session,
    origin: &Origin,
    id: Uuid,
    patch: &Patch,
    if_match: Option<&Condition>,
    mut reader: Reader,
) -> Result<Stored, Error> {
    let locked = lock(connection, origin, id).await?;
    check_if_match(if_match, locked.version)?;
    let patched = patch.apply(&GROUP, &locked.document()?, &locked.unmapped, &mut reader)?;
    let next = Next { document: &patched.document, unmapped: &patched.unmapped, members: &patch.members };
    save(connection, origin, id, locked, next, &reader.notes_json()).await
}

#[derive(sqlx::FromRow)]
struct Times {
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl Times {
    fn stored(self, id: Uuid, document: String) -> Stored {
        let Self { version, created_at, updated_at } = self;
        Stored { id, version, document, created_at, updated_at, memberships: None }
    }
}

async fn insert(
    connection: &mut Session,
    origin: &Origin,
    id: Uuid,
    reading: &Reading,
    projection: &Projection,
    change: &Value,
) -> Result<Stored, Error> {
    let document = reading.document.to_text();
    let saved = sqlx::query_as::<_, Times>(
        "with saved as (
             insert into groups (tenant_id, id, document, folded, unmapped, display_name, name_key, name_claim, external_id,
                 created_at, updated_at)
             values ($1, $2, $3::json, $4, $5, $6, $7, $8, $9, date_trunc('milliseconds', now()), date_trunc('milliseconds', now()))
             returning version, created_at, updated_at
         ), recorded as (
             insert into events (tenant_id, connection_id, token_id, request_id, kind, resource_type, resource_id, outcome, change,
                 unit)
             select $1, $10, $11, $12, $13, 'Group', $2, 'success', $14, $15 from saved
         )
         select version, created_at, updated_at from saved",
    )
    .bind(origin.tenant_id())
    .bind(id)
    .bind(&document)
    .bind(&projection.folded)
    .bind(Json(&reading.unmapped))
    .bind(&projection.display_name)
    .bind(&projection.name_key)
    .bind(&projection.name_claim)
    .bind(&projection.external_id)
    .bind(origin.caller.connection_id)
    .bind(origin.caller.token_id)
    .bind(&*origin.request_id)
    .bind(Kind::GroupCreate.name())
    .bind(change)
    .bind(origin.unit)
    .fetch_one(connection)
    .await
    .map_err(|error| refusal(error, &projection.display_name))?;
    Ok(saved.stored(id, document))
}

/// Others may make the group a member meanwhile (`no key`): two groups that are put into each other do not wait in a circle.
async fn lock(connection: &mut Session, origin: &Origin, id: Uuid) -> Result<Before, Error> {
    let locked = sqlx::query_as::<_, Before>(
        "select version, document::text as document, unmapped, created_at, updated_at, null as memberships
         from groups where tenant_id = $1 and id = $2 for no key update",
    )
    .bind(origin.tenant_id())
    .bind(id)
    .fetch_optional(connection)
    .await?;
    locked.ok_or_else(|| ScimError::not_found("Group", &id.to_string()).into())
}

async fn members_json(connection: &mut Session, origin: &Origin, id: Uuid, members: Members) -> Result<Option<String>, Error> {
    let query = match members {
        Members::Hidden => return Ok(None),
        Members::Paged => {
            sqlx::query_scalar(concat!("select ", members_of_small_group!(), " from groups g where g.tenant_id = $1 and g.id = $3"))
        }
    };
    let members = query.bind(origin.tenant_id()).bind(&*origin.base).bind(id).persistent(false).fetch_one(connection).await?;
    Ok(members)
}

/// What a group is to become.
struct Next<'a> {
    document: &'a Document,
    unmapped: &'a Map<String, Value>,
    members: &'a [MembersChange],
}

/// Writes a group that is locked, when anything of it differs from what is stored.
async fn save(connection: &mut Session, origin: &Origin, id: Uuid, locked: Before, next: Next<'_>, notes: &Value) -> Result<Stored, Error> {
    let difference = members::apply(connection, origin.tenant_id(), id, next.members).await?;
    let attributes = locked.document()?.changed_attributes(next.document);
    if attributes.is_empty() && difference.is_empty() && *next.unmapped == locked.unmapped.0 {
        return Ok(locked.unchanged(id));
    }
    let projection = Projection::of(origin, id, next.document)?;
    let bump = i64::from(!attributes.is_empty() || !difference.is_empty());
    let mut change = json!({ "attributes": attributes });
    if !difference.is_empty() {
        change["members"] = difference.to_json();
    }
    update(connection, origin, id, next, &projection, bump, &with_notes(change, notes)).await
}

async fn update(
    connection: &mut Session,
    origin: &Origin,
    id: Uuid,
    next: Next<'_>,
    projection: &Projection,
    bump: i64,
    change: &Value,
) -> Result<Stored, Error> {
    let document = next.document.to_text();
    let saved = sqlx::query_as::<_, Times>(
        "with saved as (
             update groups set document = $3::json, folded = $4, unmapped = $5, display_name = $6, name_key = $7, name_claim = $8,
                 external_id = $9, version = version + $15,
                 updated_at = case when $15 = 0 then updated_at
                     else greatest(date_trunc('milliseconds', clock_timestamp()), updated_at + interval '1 millisecond') end
             where tenant_id = $1 and id = $2
             returning version, created_at, updated_at
         ), recorded as (
             insert into events (tenant_id, connection_id, token_id, request_id, kind, resource_type, resource_id, outcome, change,
                 unit)
             select $1, $10, $11, $12, $13, 'Group', $2, 'success', $14, $16 from saved
         )
         select version, created_at, updated_at from saved",
    )
    .bind(origin.tenant_id())
    .bind(id)
    .bind(&document)
    .bind(&projection.folded)
    .bind(Json(next.unmapped))
    .bind(&projection.display_name)
    .bind(&projection.name_key)
    .bind(&projection.name_claim)
    .bind(&projection.external_id)
    .bind(origin.caller.connection_id)
    .bind(origin.caller.token_id)
    .bind(&*origin.request_id)
    .bind(Kind::GroupUpdate.name())
    .bind(change)
    .bind(bump)
    .bind(origin.unit)
    .fetch_one(connection)
    .await
    .map_err(|error| refusal(error, &projection.display_name))?;
    Ok(saved.stored(id, document))
}

/// The event names who was in the group and which groups it was in: each membership that ends is in the record.
pub(super) async fn delete(connection: &mut Session, origin: &Origin, id: Uuid, if_match: Option<&Condition>) -> Result<(), Error> {
    let version: Option<i64> = sqlx::query_scalar("select version from groups where tenant_id = $1 and id = $2 for update")
        .bind(origin.tenant_id())
        .bind(id)
        .fetch_optional(&mut *connection)
        .await?;
    let version = version.ok_or_else(|| ScimError::not_found("Group", &id.to_string()))?;
    check_if_match(if_match, version)?;
    sqlx::query(
        "with holding as (
             select group_id from subgroups where tenant_id = $1 and child_id = $2
         ), held as (
             select user_id as id from members where tenant_id = $1 and group_id = $2
             union all
             select child_id from subgroups where tenant_id = $1 and group_id = $2
         ), touched as (
             update groups set version = version + 1,
                 updated_at = greatest(date_trunc('milliseconds', clock_timestamp()), updated_at + interval '1 millisecond')
             where tenant_id = $1 and id in (select group_id from holding)
         ), gone as (
             delete from groups where tenant_id = $1 and id = $2 returning id
         )
         insert into events (tenant_id, connection_id, token_id, request_id, kind, resource_type, resource_id, outcome, change, unit)
         select $1, $3, $4, $5, $6, 'Group', id, 'success', jsonb_build_object(
             'members', jsonb_build_object('added', '[]'::jsonb, 'removed', array(select h.id from held h order by h.id)),
             'groups', array(select group_id from holding order by group_id)), $7 from gone",
    )
    .bind(origin.tenant_id())
    .bind(id)
    .bind(origin.caller.connection_id)
    .bind(origin.caller.token_id)
    .bind(&*origin.request_id)
    .bind(Kind::GroupDelete.name())
    .bind(origin.unit)
    .execute(connection)
    .await?;
    Ok(())
}

fn refusal(error: sqlx::Error, display_name: &str) -> Error {
    match constraint(&error) {
        Some("groups_name_unique") => {
            ScimError::uniqueness(format!("displayName {} is already in use by another group", quote(display_name))).into()
        }
        Some("groups_tenant_id_fkey") => ScimError::new(404, "the tenant of this token does not exist any more").into(),
        _ => error.into(),
    }
}
