//! The filter grammar: whatever is read can be written in the RFC's own words and read back as the same tree, keeps the limits,
//! and means the same in memory and as a jsonpath.

use std::str;

use frontdesk::scim::ScimType;
use frontdesk::scim::catalog::RESOURCE_TYPES;
use frontdesk::scim::filter::Filter;
use frontdesk::scim::reader::{Conformance, Limits, Reader};
use frontdesk::scim::schema::ResourceType;

use super::{check_refusal, jsonpath, normal_form, reader, sample};

/// Any text as the filter of a query for users and for groups.
pub fn filter(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    for resource_type in RESOURCE_TYPES {
        let lenient = Filter::parse(resource_type, text, &mut reader(Conformance::Lenient));
        let strict = Filter::parse(resource_type, text, &mut reader(Conformance::Strict));
        match &lenient {
            Ok(filter) => check(resource_type, text, filter),
            Err(error) => {
                check_refusal(error);
                assert_eq!(error.scim_type, Some(ScimType::InvalidFilter), "{error}");
            }
        }
        // Leniency adds: what the RFC's grammar has means the same on every connection.
        if let Ok(strict) = strict {
            assert_eq!(Ok(strict), lenient);
        }
    }
}

fn check(resource_type: &'static ResourceType, text: &str, filter: &Filter) {
    let limits = Limits::default();
    assert!(depth(text) <= limits.filter_depth, "deeper than the limit");
    let mut terms = 0;
    filter.each_term(&mut |_, _| terms += 1);
    assert!((1..=limits.filter_terms).contains(&terms), "{terms} comparisons");

    let written = normal_form::filter(filter);
    let again = Filter::parse(resource_type, &written, &mut strict_without_limits());
    assert_eq!(again.as_ref(), Ok(filter), "{written}");

    let sample = sample::of(resource_type);
    let compiled = filter.to_jsonpath();
    assert_eq!(filter.matches(&sample.resource), jsonpath::holds(&compiled, &sample.folded), "{compiled}");
}

/// The normal form has more characters and, where a comparison stood behind a value path, more levels.
pub fn strict_without_limits() -> Reader {
    let limits = Limits { filter_chars: usize::MAX, filter_depth: 1_000, ..Limits::default() };
    Reader::new(Conformance::Strict, limits)
}

/// How deep the parentheses and brackets outside of strings nest.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for c in text.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if in_string => escaped = true,
            '"' => in_string = !in_string,
            _ if in_string => {}
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}
