//! The protocol floor: SCIM 2.0 as pure functions (RFC 7643, RFC 7644). No I/O, no clock, nothing of ours below it.

pub mod catalog;
pub mod discovery;
pub mod error;
pub mod schema;

pub use error::{ScimError, ScimType};
