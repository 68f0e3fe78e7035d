-- Keys that all processes of a deployment share, one row a purpose. They belong to the server and to no tenant, hence no tenant_id.
-- The first process that needs a key makes it. Deleting a row makes a new key: what the old one sealed is refused from then on.
create table server_keys (
    -- cursors: seals the cursors of RFC 9865, see src/scim/cursor.rs
    purpose text primary key,
    key bytea not null,
    created_at timestamptz not null default now()
);
