-- The workplace product's contract: what a token may do, whom a reference to a manager means, and the feed of changes.

-- What a token may do: scim (provisioning), workplace:read (reading /api/v1), or both. Tokens made before could do both.
alter table tokens add column scopes text[] not null default '{scim,workplace:read}' constraint tokens_scopes check (cardinality(scopes) > 0);

-- The e-mail address and the reference to the manager once more, folded by the application as user_name_key is; null when they
-- are longer than an index can hold. Rows from before get the nearest that PostgreSQL can do, exact for ASCII; the next change
-- of the user writes the rest.
alter table users
    add column email_key text,
    add column manager_key text;
update users set
    email_key = case when octet_length(lower(email)) <= 2048 then lower(email) end,
    manager_key = case when octet_length(lower(manager_id)) <= 2048 then lower(manager_id) end
where email is not null or manager_id is not null;
create index users_email_key on users (tenant_id, email_key) where email_key is not null;
create index users_manager_key on users (tenant_id, manager_key) where manager_key is not null;
-- Read by updated_since and by sort=updated_at.
create index users_updated_at on users (tenant_id, updated_at, seq);

-- The feed of changes. An event gets its place in the feed after it was committed (see src/directory/changes.rs), so a place is
-- never filled in behind a reader's back; null until then, and for ever on what is no change.
alter table events add column position bigint;
create unique index events_position on events (tenant_id, position) where position is not null;
create index events_unplaced on events (tenant_id, id)
    where position is null and outcome = 'success' and resource_type in ('User', 'Group');
-- Read by the retention.
create index events_at on events (tenant_id, at);

-- One row a tenant; its lock lets one writer at a time hand out places.
create table feeds (
    tenant_id uuid primary key references tenants (id) on delete cascade,
    -- the last place handed out
    last_position bigint not null default 0,
    -- the last place whose event the retention has deleted
    pruned_to bigint not null default 0
);

-- What happened before this migration comes first, in the order in which it was recorded.
update events e set position = numbered.position
from (
    select tenant_id, id, row_number() over (partition by tenant_id order by id) as position
    from events
    where outcome = 'success' and resource_type in ('User', 'Group')
) numbered
where e.tenant_id = numbered.tenant_id and e.id = numbered.id;
insert into feeds (tenant_id, last_position) select tenant_id, max(position) from events where position is not null group by tenant_id;

-- manager_id is the manager's employee id when the provider's reference leads to somebody: by SCIM id, else by external id (of
-- several, an active one before the others, then the oldest), else by user name. Else it is the reference itself. Computed when
-- it is read, so a reference resolves by itself when that person arrives.
create or replace view employees as
select
    t.slug as tenant,
    u.tenant_id,
    u.id,
    u.user_name,
    u.external_id,
    u.active,
    u.first_name,
    u.last_name,
    u.name,
    u.title,
    u.email,
    u.phone,
    u.location,
    u.cost_center,
    u.employment_type,
    u.department_name,
    u.team_name,
    coalesce(m.id::text, u.manager_id) as manager_id,
    u.custom,
    u.complete,
    u.missing,
    u.created_at,
    u.updated_at,
    m.id is not null as manager_resolved
from users u
join tenants t on t.id = u.tenant_id
left join lateral (
    select coalesce(
        (
            select by_id.id from users by_id
            where by_id.tenant_id = u.tenant_id
                and by_id.id = case when u.manager_key ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then u.manager_key::uuid end
        ),
        (
            select by_external_id.id from users by_external_id
            where by_external_id.tenant_id = u.tenant_id and by_external_id.external_id = u.manager_id
            order by by_external_id.active desc, by_external_id.seq
            limit 1
        ),
        (
            select by_name.id from users by_name
            where by_name.tenant_id = u.tenant_id and by_name.user_name_key = u.manager_key
        )
    ) as id
) m on u.manager_id is not null;
