//! Frontdesk: a SCIM 2.0 service provider with a workplace directory behind it.
//!
//! The floors, from the bottom up; imports go down only (a test reads them):
//! `scim` the protocol, pure; `workplace` from user to employee, pure; `directory` the use cases on PostgreSQL; `http` the only
//! one that knows axum; `cluster`, `config` and `log` beside the program. `simulate` stands apart: it plays the identity providers.

pub mod cluster;
pub mod config;
pub mod directory;
pub mod http;
pub mod log;
pub mod scim;
pub mod simulate;
pub mod workplace;
