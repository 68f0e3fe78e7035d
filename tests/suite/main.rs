//! The integration tests: one binary, on a real PostgreSQL.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on may say so by crashing")]

mod support;
mod tenants;
mod tokens;
mod units;
