-- The house: tenants and their identity providers, the directory (users, groups, memberships) and the record of what happened.
--
-- tenant_id comes first in every key, index and where clause, and it comes from the token. So a membership cannot cross
-- tenants (its foreign keys carry the tenant), and the tables can be distributed by tenant when one machine is not enough.
--
-- The documents are the truth, the other columns are projections of them:
--   document  what clients get, as canonical JSON text; type json, because jsonb would have to be printed again for every answer
--   folded    the document once more for searching: lower-case keys, case-folded text where the schema says caseExact false
--   unmapped  what arrived and is in no schema; never echoed, never lost, read by the workplace mapping

-- A GIN index that begins with tenant_id needs an operator class for uuid. The extension is trusted: the database's owner may create it.
create extension if not exists btree_gin;

create table tenants (
    id uuid primary key,
    slug text not null unique,
    name text not null,
    -- the workplace mapping's shipped profile: spaceiq or officespace
    profile text not null,
    -- deviations from the defaults, by name; see docs/operations.md
    settings jsonb not null default '{}',
    created_at timestamptz not null default now()
);

-- One identity provider pointed at one tenant.
create table connections (
    tenant_id uuid not null references tenants (id) on delete cascade,
    id uuid not null,
    name text not null,
    provider text not null,
    conformance text not null default 'lenient' check (conformance in ('lenient', 'strict')),
    state text not null default 'active' check (state in ('active', 'paused')),
    created_at timestamptz not null default now(),
    primary key (tenant_id, id),
    constraint connections_name_unique unique (tenant_id, name)
);

-- The token itself is never stored, only its SHA-256 digest. Revocation is one-way.
create table tokens (
    id uuid primary key,
    tenant_id uuid not null,
    connection_id uuid not null,
    digest bytea not null unique,
    label text,
    created_at timestamptz not null default now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz,
    foreign key (tenant_id, connection_id) references connections (tenant_id, id) on delete cascade
);
create index tokens_connection on tokens (tenant_id, connection_id);

create table users (
    tenant_id uuid not null references tenants (id) on delete cascade,
    id uuid not null,
    -- the total order of lists
    seq bigint generated always as identity,
    -- counts changes; the weak ETag
    version bigint not null default 1,
    document json not null,
    folded jsonb not null,
    unmapped jsonb not null default '{}',
    user_name text not null,
    -- NFKC and case folding done by the application: lower() depends on the collation
    user_name_key text not null,
    -- what a group shows of a member: the display name, else the user name
    display_name text not null,
    -- indexed, not unique: SpaceIQ maps the employee id onto it, which may be absent or repeated
    external_id text,
    active boolean not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    -- the employee, what the workplace product reads
    first_name text,
    last_name text,
    name text,
    title text,
    email text,
    phone text,
    location text,
    cost_center text,
    employment_type text,
    department_name text,
    team_name text,
    -- the manager as the provider refers to them; the view employees resolves it
    manager_id text,
    custom jsonb not null default '{}',
    -- the required employee fields without a value
    missing text[] not null default '{}',
    complete boolean not null generated always as (cardinality(missing) = 0) stored,
    primary key (tenant_id, id),
    constraint users_seq_unique unique (tenant_id, seq),
    constraint users_user_name_unique unique (tenant_id, user_name_key)
);
create index users_external_id on users (tenant_id, external_id) where external_id is not null;
create index users_folded on users using gin (tenant_id, folded jsonb_path_ops);

create table groups (
    tenant_id uuid not null references tenants (id) on delete cascade,
    id uuid not null,
    seq bigint generated always as identity,
    version bigint not null default 1,
    document json not null,
    folded jsonb not null,
    unmapped jsonb not null default '{}',
    display_name text not null,
    name_key text not null,
    -- name_key again when the tenant keeps group names unique (the default), null when it does not
    name_claim text,
    external_id text,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (tenant_id, id),
    constraint groups_seq_unique unique (tenant_id, seq),
    constraint groups_name_unique unique (tenant_id, name_claim)
);
create index groups_name on groups (tenant_id, name_key);
create index groups_external_id on groups (tenant_id, external_id) where external_id is not null;
create index groups_folded on groups using gin (tenant_id, folded jsonb_path_ops);

-- Users as members of groups.
create table members (
    tenant_id uuid not null,
    group_id uuid not null,
    user_id uuid not null,
    primary key (tenant_id, group_id, user_id),
    foreign key (tenant_id, group_id) references groups (tenant_id, id) on delete cascade,
    foreign key (tenant_id, user_id) references users (tenant_id, id) on delete cascade
);
create index members_user on members (tenant_id, user_id, group_id);

-- Groups as members of groups. Circles are legal (RFC 7644 §3.7.1); only a group in itself is not.
create table subgroups (
    tenant_id uuid not null,
    group_id uuid not null,
    child_id uuid not null,
    primary key (tenant_id, group_id, child_id),
    foreign key (tenant_id, group_id) references groups (tenant_id, id) on delete cascade,
    foreign key (tenant_id, child_id) references groups (tenant_id, id) on delete cascade,
    constraint subgroups_not_itself check (group_id <> child_id)
);
create index subgroups_child on subgroups (tenant_id, child_id, group_id);

-- Every change writes its event in its own transaction; refused requests are recorded too. Kinds are JumpCloud's Directory
-- Insights names, so that both logs can be laid side by side. `change` names what changed and never holds a person's data.
create table events (
    tenant_id uuid not null references tenants (id) on delete cascade,
    id bigint generated always as identity,
    at timestamptz not null default now(),
    connection_id uuid,
    token_id uuid,
    request_id text,
    kind text not null,
    resource_type text,
    resource_id uuid,
    -- success, or failure with change.status and change.detail
    outcome text not null check (outcome in ('success', 'failure')),
    change jsonb not null default '{}',
    primary key (tenant_id, id)
);
create index events_resource on events (tenant_id, resource_id, id);

-- The read contract of the workplace product. Columns are only ever added.
create view employees as
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
    u.manager_id,
    u.custom,
    u.complete,
    u.missing,
    u.created_at,
    u.updated_at
from users u
join tenants t on t.id = u.tenant_id;
