//! The members of a group, as set operations under the group's row lock: one statement each, whatever the size of the group.
//! A change of one member touches one row; nothing is read and written back.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sqlx::FromRow;
use uuid::Uuid;

use super::{Error, Session, constraint};
use crate::scim::ScimError;
use crate::scim::document::unknown_member;
use crate::scim::filter::Filter;
use crate::scim::patch::MembersChange;

/// Who came and who went.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) added: BTreeSet<Uuid>,
    pub(super) removed: BTreeSet<Uuid>,
}

impl Difference {
    pub(super) fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }

    /// Folds a later change in: who is added and removed again has not changed.
    fn then(&mut self, later: Self) {
        for id in later.added {
            if !self.removed.remove(&id) {
                self.added.insert(id);
            }
        }
        for id in later.removed {
            if !self.added.remove(&id) {
                self.removed.insert(id);
            }
        }
    }

    pub(super) fn to_json(&self) -> Value {
        json!({ "added": self.added, "removed": self.removed })
    }
}

/// Applies changes in order to a group whose row is locked.
pub(super) async fn apply(
    connection: &mut Session,
    tenant_id: Uuid,
    group_id: Uuid,
    changes: &[MembersChange],
) -> Result<Difference, Error> {
    let mut difference = Difference::default();
    for change in changes {
        difference.then(match change {
            MembersChange::Add(ids) => add(connection, tenant_id, group_id, ids).await?,
            MembersChange::Remove(ids) => remove(connection, tenant_id, group_id, ids).await?,
            MembersChange::RemoveWhere(filter) => {
                let ids = matching(connection, tenant_id, group_id, filter).await?;
                remove(connection, tenant_id, group_id, &ids).await?
            }
            MembersChange::Replace(ids) => replace(connection, tenant_id, group_id, ids).await?,
            MembersChange::Clear => replace(connection, tenant_id, group_id, &[]).await?,
        });
    }
    Ok(difference)
}

#[derive(FromRow)]
struct Added {
    added: Vec<Uuid>,
    unknown: Option<Uuid>,
}

/// Adds those who are not members yet. Ids come sorted, so that two requests insert in the same order.
async fn add(connection: &mut Session, tenant_id: Uuid, group_id: Uuid, ids: &[Uuid]) -> Result<Difference, Error> {
    if ids.is_empty() {
        return Ok(Difference::default());
    }
    if ids.contains(&group_id) {
        return Err(ScimError::invalid_value(format!("members names {group_id}, the group itself")).into());
    }
    let added = sqlx::query_as::<_, Added>(
        "with wanted as (
             select w.id, exists (select from users u where u.tenant_id = $1 and u.id = w.id) as is_user,
                 exists (select from groups g where g.tenant_id = $1 and g.id = w.id) as is_group
             from unnest($3::uuid[]) as w (id)
         ), new_users as (
             insert into members (tenant_id, group_id, user_id)
             select $1, $2, id from wanted where is_user order by id
             on conflict do nothing returning user_id
         ), new_groups as (
             insert into subgroups (tenant_id, group_id, child_id)
             select $1, $2, id from wanted where is_group order by id
             on conflict do nothing returning child_id
         )
         select array(select user_id from new_users union all select child_id from new_groups) as added,
             (select id from wanted where not is_user and not is_group order by id limit 1) as unknown",
    )
    .bind(tenant_id)
    .bind(group_id)
    .bind(ids)
    .fetch_one(connection)
    .await
    .map_err(|error| refusal(error, ids))?;
    match added.unknown {
        Some(id) => Err(unknown_member(&id.to_string()).into()),
        None => Ok(Difference { added: added.added.into_iter().collect(), ..Difference::default() }),
    }
}

/// Planned anew each time (`persistent(false)`): a plan that is kept for any number of ids compares each member with each id.
async fn remove(connection: &mut Session, tenant_id: Uuid, group_id: Uuid, ids: &[Uuid]) -> Result<Difference, Error> {
    if ids.is_empty() {
        return Ok(Difference::default());
    }
    let removed: Vec<Uuid> = sqlx::query_scalar(
        "with gone_users as (
             delete from members where tenant_id = $1 and group_id = $2 and user_id = any ($3) returning user_id
         ), gone_groups as (
             delete from subgroups where tenant_id = $1 and group_id = $2 and child_id = any ($3) returning child_id
         )
         select user_id from gone_users union all select child_id from gone_groups",
    )
    .bind(tenant_id)
    .bind(group_id)
    .bind(ids)
    .persistent(false)
    .fetch_all(connection)
    .await?;
    Ok(Difference { removed: removed.into_iter().collect(), ..Difference::default() })
}

/// Makes the members exactly these: who is one already is not touched. The difference is found here and not by an anti-join,
/// which PostgreSQL plans as a nested loop where it knows little of the table: 10,000 members take seconds then.
async fn replace(connection: &mut Session, tenant_id: Uuid, group_id: Uuid, ids: &[Uuid]) -> Result<Difference, Error> {
    let current: Vec<Uuid> = sqlx::query_scalar(
        "select user_id from members where tenant_id = $1 and group_id = $2
         union all
         select child_id from subgroups where tenant_id = $1 and group_id = $2",
    )
    .bind(tenant_id)
    .bind(group_id)
    .fetch_all(&mut *connection)
    .await?;
    let (current, wanted): (BTreeSet<Uuid>, BTreeSet<Uuid>) = (current.into_iter().collect(), ids.iter().copied().collect());
    let gone: Vec<Uuid> = current.difference(&wanted).copied().collect();
    let new: Vec<Uuid> = wanted.difference(&current).copied().collect();
    let mut difference = remove(connection, tenant_id, group_id, &gone).await?;
    difference.then(add(connection, tenant_id, group_id, &new).await?);
    Ok(difference)
}

/// The members that a value filter selects, for filters that say more than ids.
async fn matching(connection: &mut Session, tenant_id: Uuid, group_id: Uuid, filter: &Filter) -> Result<Vec<Uuid>, Error> {
    let members: Vec<(Uuid, String, bool)> = sqlx::query_as(
        "select m.user_id, (select u.display_name from users u where u.tenant_id = $1 and u.id = m.user_id), true from members m
         where m.tenant_id = $1 and m.group_id = $2
         union all
         select s.child_id, (select g.display_name from groups g where g.tenant_id = $1 and g.id = s.child_id), false from subgroups s
         where s.tenant_id = $1 and s.group_id = $2",
    )
    .bind(tenant_id)
    .bind(group_id)
    .fetch_all(connection)
    .await?;
    let matches = members.into_iter().filter(|(id, display, is_user)| {
        let kind = if *is_user { "User" } else { "Group" };
        filter.matches_element(&json!({ "value": id, "display": display, "type": kind }))
    });
    Ok(matches.map(|(id, ..)| id).collect())
}

/// A member that was deleted between the check and the insert is unknown, too: the foreign key says so.
pub(super) fn refusal(error: sqlx::Error, ids: &[Uuid]) -> Error {
    match constraint(&error) {
        Some(name) if name.starts_with("members_") || name.starts_with("subgroups_") => match ids {
            [one] => unknown_member(&one.to_string()).into(),
            _ => ScimError::invalid_value("members names a user or group that was deleted in this moment").into(),
        },
        _ => error.into(),
    }
}
