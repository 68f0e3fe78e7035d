//! The tests from outside, in one binary (linking one is faster than linking many): the real router, a real PostgreSQL.

#![expect(unreachable_pub, reason = "what the tests share is public within this one binary")]
#![expect(clippy::unwrap_used, reason = "a test that unwraps fails with the value it met, in its steps as in its body")]

mod accept_loop;
mod app;
mod cases;
mod cluster;
mod large_groups;
mod passwords;
mod documents;
mod filter_agreement;
mod lookups;
mod smoke;
mod support;
mod tenants;
mod tokens;
mod units;
