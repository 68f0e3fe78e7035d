//! What must hold of the parsers, whatever they are given: one function for each fuzz target, which panics when it does not.
//! The fuzz targets call them with what the engine makes up, and the test suite with the seeds and with everything that ever
//! failed (tests/suite/fuzz_replay.rs). They know the library's public interface and nothing else.

mod cursor;
mod document;
mod filter;
mod jsonpath;
mod mapping;
mod normal_form;
mod patch;
mod path;
mod query;
mod sample;
mod token;

use frontdesk::scim::ScimError;
use frontdesk::scim::error::DETAIL_MAX_CHARS;
use frontdesk::scim::reader::{Conformance, Limits, Reader};

pub use self::{
    cursor::cursor, document::document, filter::filter, mapping::mapping, patch::patch, path::path, query::query, token::token,
};

/// An oracle with the name of its target.
pub type Target = (&'static str, fn(&[u8]));

/// Every one.
pub const ALL: [Target; 8] = [
    ("filter", filter),
    ("path", path),
    ("patch", patch),
    ("document", document),
    ("query", query),
    ("token", token),
    ("cursor", cursor),
    ("mapping", mapping),
];

/// A reader for one request.
fn reader(conformance: Conformance) -> Reader {
    Reader::new(conformance, Limits::default())
}

/// A refusal tells the client what to change: 400, a keyword, one sentence of bounded length.
fn check_refusal(error: &ScimError) {
    assert_eq!(error.status, 400, "{error}");
    assert!(error.scim_type.is_some(), "{error} has no keyword");
    let length = error.detail.chars().count();
    assert!((1..=DETAIL_MAX_CHARS).contains(&length), "a detail of {length} characters: {}", error.detail);
}
