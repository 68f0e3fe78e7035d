//! What must hold of a tenant's tables at every moment, whatever was killed: asked of PostgreSQL itself, beside the server. And
//! the tenant's users as the notebooks know them.

use std::collections::BTreeMap;

use sqlx::{AssertSqlSafe, FromRow, PgConnection};
use uuid::Uuid;

use crate::notebook::Person;
use crate::server::program;
use crate::world::{Fallible, Tenancy};

/// Each counts the rows that must not be there; `$1` is the tenant.
const NEVER: [(&str, &str); 9] = [
    (
        "memberships without their group or their member",
        "select (select count(*) from members m where m.tenant_id = $1
             and not (exists (select from users u where u.tenant_id = $1 and u.id = m.user_id)
                 and exists (select from groups g where g.tenant_id = $1 and g.id = m.group_id)))
         + (select count(*) from subgroups s where s.tenant_id = $1
             and not (exists (select from groups g where g.tenant_id = $1 and g.id = s.child_id)
                 and exists (select from groups g where g.tenant_id = $1 and g.id = s.group_id)))",
    ),
    (
        "user names that two users have",
        "select count(*) from (select from users where tenant_id = $1 group by user_name_key having count(*) > 1) twice",
    ),
    (
        "group names that two groups have",
        "select count(*) from (select from groups where tenant_id = $1 group by name_key having count(*) > 1) twice",
    ),
    (
        "resources that were not created exactly once",
        "select count(*) from (select id from users where tenant_id = $1 union all select id from groups where tenant_id = $1) r
         where (select count(*) from events e where e.tenant_id = $1 and e.resource_id = r.id and e.outcome = 'success'
             and e.kind in ('user_create_provision', 'group_create_provision')) <> 1",
    ),
    (
        "resources whose creation is recorded, and that are neither there nor deleted exactly once",
        "select count(*) from events e where e.tenant_id = $1 and e.outcome = 'success'
             and e.kind in ('user_create_provision', 'group_create_provision')
             and (select count(*) from users u where u.tenant_id = $1 and u.id = e.resource_id)
                 + (select count(*) from groups g where g.tenant_id = $1 and g.id = e.resource_id)
                 + (select count(*) from events d where d.tenant_id = $1 and d.resource_id = e.resource_id and d.outcome = 'success'
                     and d.kind in ('user_delete_provision', 'group_delete_provision')) <> 1",
    ),
    (
        "users whose version is not the number of their changes",
        "select count(*) from users u where u.tenant_id = $1 and u.version <> (
             select count(*) from events e where e.tenant_id = $1 and e.resource_id = u.id and e.outcome = 'success'
                 and e.kind in ('user_create_provision', 'user_update_provision', 'user_deprovision'))",
    ),
    (
        "groups whose version is not the number of their changes and of the deletions of their members",
        "select count(*) from groups g where g.tenant_id = $1 and g.version <> (
             select count(*) from events e where e.tenant_id = $1 and e.outcome = 'success'
                 and (e.resource_id = g.id and e.kind in ('group_create_provision', 'group_update_provision')
                     or e.kind = 'user_delete_provision' and e.change->'groups' ? g.id::text))",
    ),
    (
        "memberships that differ from what the events say of them",
        "with told as (
             select e.resource_id as group_id, said.id::uuid as user_id, sum(said.sign) as net
             from events e cross join lateral (
                 select jsonb_array_elements_text(e.change->'members'->'added') as id, 1 as sign
                 union all select jsonb_array_elements_text(e.change->'members'->'removed'), -1
             ) said
             where e.tenant_id = $1 and e.outcome = 'success' and e.resource_type = 'Group'
             group by 1, 2
         ), present as (select group_id, user_id from members where tenant_id = $1)
         select count(*) from told full join present using (group_id, user_id)
         where (present.group_id is not null and told.net is distinct from 1)
             or (present.group_id is null and told.net <> 0
                 and exists (select from users u where u.tenant_id = $1 and u.id = told.user_id)
                 and exists (select from groups g where g.tenant_id = $1 and g.id = told.group_id))",
    ),
    (
        "users whose columns differ from their document",
        "select count(*) from users where tenant_id = $1
             and (user_name, title, active, folded->>'title')
             is distinct from (document->>'userName', document->>'title', (document->>'active')::boolean, lower(document->>'title'))",
    ),
];

/// Holds a tenant's tables against what must never be.
pub async fn invariants(session: &mut PgConnection, tenant_id: Uuid) -> Fallible<()> {
    for (what, sql) in NEVER {
        let found: i64 = sqlx::query_scalar(sql).bind(tenant_id).fetch_one(&mut *session).await?;
        if found > 0 {
            return Err(format!("{found} {what}").into());
        }
    }
    Ok(())
}

/// Computes every employee of the tenant again: none may differ from what is stored.
pub async fn projections(url: &str, tenancy: &Tenancy) -> Fallible<()> {
    let output = program().env("DATABASE_URL", url).args(["reproject", "--dry-run", "--tenant", &tenancy.slug]).output().await?;
    let told = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() || !told.starts_with("0 of ") {
        return Err(format!("reproject --dry-run: {told}{}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(())
}

#[derive(FromRow)]
struct Row {
    user_name: String,
    id: String,
    title: Option<String>,
    version: i64,
    groups: Vec<String>,
}

/// The tenant's users by name.
pub async fn people(session: &mut PgConnection, tenant_id: Uuid) -> Fallible<BTreeMap<String, Person>> {
    let rows: Vec<Row> = sqlx::query_as(
        "select u.user_name, u.id::text, u.title, u.version, array(
             select g.display_name from members m join groups g on g.tenant_id = $1 and g.id = m.group_id
             where m.tenant_id = $1 and m.user_id = u.id
         ) as groups
         from users u where u.tenant_id = $1",
    )
    .bind(tenant_id)
    .fetch_all(session)
    .await?;
    let person = |row: Row| {
        let person = Person {
            id: Some(row.id),
            title: row.title.unwrap_or_default(),
            version: row.version,
            groups: row.groups.into_iter().collect(),
        };
        (row.user_name, person)
    };
    Ok(rows.into_iter().map(person).collect())
}

/// How many rows a statement of ours counts.
pub async fn count(session: &mut PgConnection, sql: &'static str) -> Fallible<i64> {
    Ok(sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(session).await?)
}
