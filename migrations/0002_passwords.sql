-- A password that a tenant keeps, as an Argon2id PHC string; null when there is none or the tenant does not keep them (the default).
alter table users add column password_hash text;
