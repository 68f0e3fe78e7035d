-- The unit of work that wrote an event: all events of one transaction have the same. When the connection breaks during a commit,
-- its events are looked for by it (see src/directory/ambiguous.rs). Null on what was recorded before, on refusals, and on what the
-- operator did.
alter table events add column unit uuid;
