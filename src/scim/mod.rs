//! The protocol floor: SCIM 2.0 as pure functions (RFC 7643, RFC 7644). No I/O, no clock, nothing of ours below it.

pub mod aside;
pub mod bulk;
pub mod catalog;
pub(crate) mod components;
pub mod cursor;
pub mod declared;
pub mod discovery;
pub mod document;
pub mod error;
pub mod etag;
pub mod eval;
pub mod filter;
mod filter_parser;
pub mod json;
pub mod jsonpath;
pub mod patch;
pub mod patch_apply;
pub mod path;
pub mod query;
pub mod quirks;
pub mod reader;
pub mod schema;
pub mod secret;
pub mod text;
pub mod value;
pub mod view;

pub use error::{ScimError, ScimType};
