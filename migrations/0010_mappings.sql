-- A tenant's own mappings, by version. Version 0 is not here: it is the shipped profile of tenants.profile.
--
-- A version is effective from the moment tenants.mapping_version names it, in every server: a write of a user computes the
-- employee, and its statement writes nothing unless the version it computed with is still the tenant's. What was written
-- before is recomputed in batches behind it: users.mapping_version says with which version an employee was computed, and
-- never decreases.
create table mappings (
    tenant_id uuid not null references tenants (id) on delete cascade,
    version bigint not null check (version > 0),
    -- null: the tenant's shipped profile, as the program has it
    text text,
    made_by text not null,
    -- such as "rollback to version 3"
    note text,
    created_at timestamptz not null default now(),
    -- superseded: a later version came before every employee was recomputed
    state text not null default 'applying' check (state in ('applying', 'applied', 'superseded')),
    -- the employees up to this place were recomputed; where the work is taken up again
    done_seq bigint not null default 0,
    -- employees that differ from what they were
    changed bigint not null default 0,
    applied_at timestamptz,
    primary key (tenant_id, version)
);

alter table tenants add column mapping_version bigint not null default 0;
alter table users add column mapping_version bigint not null default 0;
