//! The workplace floor: from what an identity provider says of a user to what a workplace product wants to know of an
//! employee. Pure: no I/O, no clock, nothing but `scim` below it.
//!
//! A mapping is data, a TOML text that `language` reads and checks. `mapping` applies it, `source` and `path` find the
//! values, `department` is the one rule that is more than a list of sources. `docs/mapping.md` is the language's reference.

pub mod custom;
mod department;
pub mod diff;
pub mod employee;
mod language;
pub mod mapping;
mod path;
pub mod profiles;
#[cfg(test)]
mod recipes;
mod source;

pub use diff::Diff;
pub use employee::{Employee, Field};
pub use mapping::{Mapping, MappingError, Settings};
