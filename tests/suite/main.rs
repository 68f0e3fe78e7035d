//! The integration tests: one binary, on a real PostgreSQL.

mod support;
mod tenants;
mod tokens;
mod units;
