//! The catalogue of the database against the rule that keeps tenants apart: `tenant_id` comes first in every key, foreign key and
//! index of every table. A row of one tenant can then not refer to a row of another, whatever a statement does.

use std::collections::BTreeSet;

use crate::support::observer;

/// Tables that belong to the deployment and to no tenant.
const WITHOUT_TENANT: &[(&str, &str)] = &[
    ("tenants", "the tenants themselves"),
    ("server_keys", "keys of the server, the same for all"),
    ("_sqlx_migrations", "the schema's own history"),
];

/// Keys and indexes of tenants' tables that begin with something else.
const OTHERWISE: &[(&str, &str)] = &[
    ("tokens_pkey", "an administrator revokes a token by its id, of whichever tenant"),
    ("tokens_digest_key", "the tenant follows from the token: nobody knows it before this lookup"),
];

async fn names(query: &'static str) -> Vec<(String, String, String)> {
    sqlx::query_as(query).fetch_all(&mut observer().await).await.unwrap()
}

fn is_without_tenant(table: &str) -> bool {
    WITHOUT_TENANT.iter().any(|(name, _)| *name == table)
}

#[tokio::test]
async fn every_table_of_tenants_has_a_tenant() {
    let tables = names(
        "select c.relname::text, coalesce(a.attname::text, ''), coalesce(a.attnotnull, false)::text
         from pg_class c
         left join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id'
         where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')",
    )
    .await;
    assert!(tables.len() > 10, "{tables:?}");
    for (table, column, not_null) in &tables {
        let expected = if is_without_tenant(table) { ("", "false") } else { ("tenant_id", "true") };
        assert_eq!((column.as_str(), not_null.as_str()), expected, "{table}");
    }
    for (table, reason) in WITHOUT_TENANT {
        assert!(tables.iter().any(|(name, ..)| name == table), "{table} is gone, and {reason} with it");
    }
}

/// Primary keys and unique constraints are indexes, too.
#[tokio::test]
async fn every_index_begins_with_the_tenant() {
    let indexes = names(
        "select t.relname::text, i.relname::text, coalesce(a.attname::text, '')
         from pg_index x
         join pg_class i on i.oid = x.indexrelid
         join pg_class t on t.oid = x.indrelid
         left join pg_attribute a on a.attrelid = t.oid and a.attnum = x.indkey[0]
         where t.relnamespace = 'public'::regnamespace",
    )
    .await;
    let (mut held, mut otherwise) = (0, BTreeSet::new());
    for (table, index, first) in &indexes {
        if is_without_tenant(table) {
            continue;
        }
        if OTHERWISE.iter().any(|(name, _)| name == index) {
            otherwise.insert(index.as_str());
            continue;
        }
        assert_eq!(first, "tenant_id", "the index {index} of {table}");
        held += 1;
    }
    assert!(held > 20, "only {held} indexes begin with the tenant");
    assert_eq!(otherwise, OTHERWISE.iter().map(|(name, _)| *name).collect(), "an exception that is none any more");
}

/// Each foreign key carries the tenant on both sides; the one to the tenants themselves is nothing else.
#[tokio::test]
async fn every_foreign_key_carries_the_tenant() {
    let keys = names(
        "select c.conname::text, f.relname::text, concat_ws(' ', near.attname, far.attname)
         from pg_constraint c
         join pg_class t on t.oid = c.conrelid
         join pg_class f on f.oid = c.confrelid
         join pg_attribute near on near.attrelid = c.conrelid and near.attnum = c.conkey[1]
         join pg_attribute far on far.attrelid = c.confrelid and far.attnum = c.confkey[1]
         where c.contype = 'f' and t.relnamespace = 'public'::regnamespace",
    )
    .await;
    assert!(keys.len() >= 10, "{keys:?}");
    for (key, to, columns) in keys {
        let expected = if to == "tenants" { "tenant_id id" } else { "tenant_id tenant_id" };
        assert_eq!(columns, expected, "the foreign key {key} to {to}");
    }
}
