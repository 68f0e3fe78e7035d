//! The two views of a membership, read in the statement that reads the resources: never a query per row of the answer. Fragments of static SQL; `$1` is the tenant and `$2` the URL of the base, ready to stand inside a JSON string.

use std::collections::HashMap;
use std::fmt::Write as _;

use sqlx::PgExecutor;
use uuid::Uuid;

/// A UUID as PostgreSQL writes it.
const UUID_CHARS: usize = 36;

/// `groups` of the user `u` (RFC 7643 §4.1.2) as an array of text: an id and a name each, for [`groups_json`]. Null stands for a group
/// that is in another one: then [`all_groups`] has to look. Most directories have no nested groups, and looking for them upwards
/// costs more than all the rest of reading a user. Names are looked up by a subselect, as in `members_of_group`.
macro_rules! direct_groups {
    () => {
        "array(select case when exists (select from subgroups s where s.tenant_id = $1 and s.child_id = m.group_id) then null
                   else m.group_id::text || (select h.display_name from groups h where h.tenant_id = $1 and h.id = m.group_id) end
               from members m where m.tenant_id = $1 and m.user_id = u.id order by m.group_id)"
    };
}

/// What `direct_groups` gives, as JSON text. `None` when a group is in another one.
pub(super) fn groups_json(base: &str, groups: &[Option<String>]) -> Option<String> {
    let mut text = String::with_capacity(2 + groups.len() * (200 + base.len()));
    text.push('[');
    for (index, group) in groups.iter().enumerate() {
        // A group that was deleted while the statement ran has no name any more, and looking again does not find it.
        let (id, name) = group.as_ref()?.split_at_checked(UUID_CHARS)?;
        let name = serde_json::Value::from(name);
        let separator = if index == 0 { "" } else { "," };
        let _ = write!(text, "{separator}{{\"value\":\"{id}\",\"$ref\":\"{base}/Groups/{id}\",\"display\":{name},\"type\":\"direct\"}}");
    }
    text.push(']');
    Some(text)
}

/// `groups` of users as JSON text: direct ones and those that hold them. `union` makes circles end.
///
/// # Errors
/// Only the database's.
pub(super) async fn all_groups<'e>(
    executor: impl PgExecutor<'e>,
    tenant_id: Uuid,
    base: &str,
    users: &[Uuid],
) -> Result<HashMap<Uuid, String>, sqlx::Error> {
    let rows: Vec<(Uuid, String)> = sqlx::query_as(
        "select u.id, (
             with recursive up as (
                 select m.group_id, true as direct from members m where m.tenant_id = $1 and m.user_id = u.id
                 union
                 select s.group_id, false from up join subgroups s on s.tenant_id = $1 and s.child_id = up.group_id
             ), held as (
                 select group_id, bool_or(direct) as direct from up group by group_id
             )
             select '[' || coalesce(string_agg('{\"value\":\"' || h.id || '\",\"$ref\":\"' || $2 || '/Groups/' || h.id
                 || '\",\"display\":' || to_json(h.display_name) || ',\"type\":\"' || case when held.direct then 'direct' else 'indirect' end
                 || '\"}', ',' order by h.id), '') || ']'
             from held join groups h on h.tenant_id = $1 and h.id = held.group_id
         ) from unnest($3::uuid[]) as u (id)",
    )
    .bind(tenant_id)
    .bind(base)
    .bind(users)
    .fetch_all(executor)
    .await?;
    Ok(rows.into_iter().collect())
}

/// `members` of the group `g` (RFC 7643 §4.2): users first, then groups, each in the order of their ids. Names are looked up by a
/// subselect and not by a join: where PostgreSQL takes a large tenant for a small one it plans the join as a loop over the tenant's
/// users for each member, and ten thousand members take many seconds.
macro_rules! members_of_group {
    () => {
        "(select '[' || coalesce(string_agg(member, ',' order by rank, id), '') || ']' from (
              select 1 as rank, m.user_id as id, '{\"value\":\"' || m.user_id || '\",\"$ref\":\"' || $2 || '/Users/' || m.user_id
                  || '\",\"display\":' || to_json((select n.display_name from users n where n.tenant_id = $1 and n.id = m.user_id))
                  || ',\"type\":\"User\"}' as member
              from members m
              where m.tenant_id = $1 and m.group_id = g.id
              union all
              select 2, s.child_id, '{\"value\":\"' || s.child_id || '\",\"$ref\":\"' || $2 || '/Groups/' || s.child_id
                  || '\",\"display\":' || to_json((select h.display_name from groups h where h.tenant_id = $1 and h.id = s.child_id))
                  || ',\"type\":\"Group\"}'
              from subgroups s
              where s.tenant_id = $1 and s.group_id = g.id
          ) listed)"
    };
}

/// The same for a group of up to 5,000 users; null for a larger one, whose members are read page by page while the answer is
/// sent (`groups::Directory::members_page`). The probe reads the index at most up to that place.
macro_rules! members_of_small_group {
    () => {
        concat!(
            "case when (select true from members p where p.tenant_id = $1 and p.group_id = g.id order by p.user_id offset 5000 limit 1)
                 then null else ",
            members_of_group!(),
            " end"
        )
    };
}

/// How many members the group `g` has, counted up to 1,001.
macro_rules! weight_of_group {
    () => {
        "(select count(*) from (
              select from members m where m.tenant_id = $1 and m.group_id = g.id
              union all
              select from subgroups s where s.tenant_id = $1 and s.group_id = g.id
              limit 1001
          ) weighed)"
    };
}

/// `members` of the group `g` in a list: of groups of up to 1,000 members, as long as those of the page are 10,000 together, about
/// 2 MB. Null for the others, whose members are read page by page while the answer is sent.
macro_rules! members_of_listed_group {
    () => {
        concat!(
            "case when ",
            weight_of_group!(),
            " <= 1000 and sum(",
            weight_of_group!(),
            ") over (order by g.seq) <= 10000 then ",
            members_of_group!(),
            " end"
        )
    };
}

pub(super) use {direct_groups, members_of_group, members_of_listed_group, members_of_small_group, weight_of_group};
