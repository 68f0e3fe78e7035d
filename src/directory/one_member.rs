//! One member more or less, what identity providers send most: one statement, without a transaction around it, whatever the size of
//! the group. Everything else about members is in `members`.
//!
//! A statement sees the moment of its beginning. So it first compares the group it saw with the one it holds the lock of: every
//! change of members is a version of the group. Where they differ somebody was faster, nothing is written, and the caller does it
//! again under the lock ([`Error::overtaken`]). Where nothing is to be changed nothing is locked either.

use serde_json::json;
use sqlx::FromRow;
use uuid::Uuid;

use super::events::{Kind, with_notes};
use super::members::{self, Difference};
use super::{Error, Origin, Session, Stored};
use crate::scim::ScimError;
use crate::scim::document::unknown_member;
use crate::scim::patch::{MembersChange, Patch};
use crate::scim::reader::Reader;

/// A user or group that is to be a member, or none any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OneMember {
    Add(Uuid),
    Remove(Uuid),
}

impl OneMember {
    /// What a PATCH of this group asks for, when that is all it asks for. That a group is no member of itself is told elsewhere.
    pub(super) fn of(patch: &Patch, group_id: Uuid) -> Option<Self> {
        if !patch.operations.is_empty() {
            return None;
        }
        match patch.members.as_slice() {
            [MembersChange::Add(ids)] if ids.len() == 1 && ids[0] != group_id => Some(Self::Add(ids[0])),
            [MembersChange::Remove(ids)] if ids.len() == 1 => Some(Self::Remove(ids[0])),
            _ => None,
        }
    }

    fn id(self) -> Uuid {
        match self {
            Self::Add(id) | Self::Remove(id) => id,
        }
    }

    fn difference(self) -> Difference {
        match self {
            Self::Add(id) => Difference { added: [id].into(), ..Difference::default() },
            Self::Remove(id) => Difference { removed: [id].into(), ..Difference::default() },
        }
    }
}

/// What became of it.
#[derive(FromRow)]
struct Outcome {
    #[sqlx(flatten)]
    stored: Stored,
    /// Whether there is such a user or group.
    is_known: bool,
    was_member: bool,
    is_written: bool,
}

/// The statement around what is done to `members` and `subgroups`, whose rows are `changed_users` and `changed_groups`.
macro_rules! statement {
    ($is_to_do:literal, $changes:literal) => {
        concat!(
            "with seen as (
                 select id, version, document, created_at, updated_at,
                     exists (select from members where tenant_id = $1 and group_id = $2 and user_id = $3)
                         or exists (select from subgroups where tenant_id = $1 and group_id = $2 and child_id = $3) as was_member
                 from groups where tenant_id = $1 and id = $2
             ), held as (
                 select version from groups where tenant_id = $1 and id = $2 and ",
            $is_to_do,
            " for no key update
             ), current as (
                 select from held join seen on seen.version = held.version
             ), ",
            $changes,
            ", saved as (
                 update groups g set version = g.version + 1,
                     updated_at = greatest(date_trunc('milliseconds', clock_timestamp()), g.updated_at + interval '1 millisecond')
                 from (select from changed_users union all select from changed_groups) changed
                 where g.tenant_id = $1 and g.id = $2
                 returning g.version, g.updated_at
             ), recorded as (
                 insert into events (tenant_id, connection_id, token_id, request_id, kind, resource_type, resource_id, outcome, change,
                     unit)
                 select $1, $4, $5, $6, $7, 'Group', $2, 'success', $8, $9 from saved
             )
             select seen.id, coalesce(saved.version, seen.version) as version, seen.document::text as document, seen.created_at,
                 coalesce(saved.updated_at, seen.updated_at) as updated_at, null as memberships, seen.was_member,
                 saved.version is not null as is_written,
                 exists (select from users where tenant_id = $1 and id = $3)
                     or exists (select from groups where tenant_id = $1 and id = $3) as is_known
             from seen left join saved on true"
        )
    };
}

const ADD: &str = statement!(
    "not (select was_member from seen)",
    "changed_users as (
         insert into members (tenant_id, group_id, user_id)
         select $1, $2, u.id from current, users u where u.tenant_id = $1 and u.id = $3
         on conflict do nothing returning user_id
     ), changed_groups as (
         insert into subgroups (tenant_id, group_id, child_id)
         select $1, $2, h.id from current, groups h where h.tenant_id = $1 and h.id = $3
         on conflict do nothing returning child_id
     )"
);

const REMOVE: &str = statement!(
    "(select was_member from seen)",
    "changed_users as (
         delete from members m using current where m.tenant_id = $1 and m.group_id = $2 and m.user_id = $3 returning m.user_id
     ), changed_groups as (
         delete from subgroups s using current where s.tenant_id = $1 and s.group_id = $2 and s.child_id = $3 returning s.child_id
     )"
);

/// Adds or removes the member, outside a transaction.
///
/// # Errors
/// 404, 400 `invalidValue` when the new member is not in the tenant, [`Error::overtaken`].
pub(super) async fn change(
    connection: &mut Session,
    origin: &Origin,
    group_id: Uuid,
    member: OneMember,
    reader: &Reader,
) -> Result<Stored, Error> {
    let (id, is_addition) = (member.id(), matches!(member, OneMember::Add(_)));
    let event = with_notes(json!({ "attributes": [], "members": member.difference().to_json() }), &reader.notes_json());
    let outcome: Option<Outcome> = sqlx::query_as(if is_addition { ADD } else { REMOVE })
        .bind(origin.tenant_id())
        .bind(group_id)
        .bind(id)
        .bind(origin.caller.connection_id)
        .bind(origin.caller.token_id)
        .bind(&*origin.request_id)
        .bind(Kind::GroupUpdate.name())
        .bind(event)
        .bind(origin.unit)
        .fetch_optional(connection)
        .await
        .map_err(|error| members::refusal(error, &[id]))?;
    match outcome {
        None => Err(ScimError::not_found("Group", &group_id.to_string()).into()),
        Some(Outcome { stored, is_written, was_member, .. }) if is_written || was_member == is_addition => Ok(stored),
        Some(Outcome { is_known: false, .. }) if is_addition => Err(unknown_member(&id.to_string()).into()),
        Some(_) => Err(Error::overtaken()),
    }
}
