//! The path of a PATCH operation: whatever names a place can be written in the RFC's own words and names the same place then.

use std::str;

use frontdesk::scim::ScimType;
use frontdesk::scim::catalog::RESOURCE_TYPES;
use frontdesk::scim::path::{Path, Place};
use frontdesk::scim::reader::{Conformance, Limits};
use frontdesk::scim::schema::{Kind, ResourceType};

use super::filter::strict_without_limits;
use super::{check_refusal, normal_form, reader, sample};

/// Any text as the path of an operation on a user and on a group.
pub fn path(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    for resource_type in RESOURCE_TYPES {
        let lenient = Path::parse(resource_type, text, &mut reader(Conformance::Lenient));
        let strict = Path::parse(resource_type, text, &mut reader(Conformance::Strict));
        match &lenient {
            Ok(path) => check(resource_type, text, path),
            Err(error) => {
                check_refusal(error);
                assert_eq!(error.scim_type, Some(ScimType::InvalidPath), "{error}");
            }
        }
        match strict {
            // A quirk: what only a lenient connection finds in the schema. A strict one refuses it, whatever follows.
            Ok(Path::Unknown) => {}
            Ok(strict) => assert_eq!(Ok(strict), lenient),
            Err(_) => {}
        }
    }
}

fn check(resource_type: &'static ResourceType, text: &str, path: &Path) {
    let is_urn = |id: &str| text.trim().get(..id.len()).is_some_and(|head| head.eq_ignore_ascii_case(id));
    match path {
        Path::Place(place) => check_place(resource_type, text, place),
        Path::Core => assert!(is_urn(resource_type.schema.id)),
        Path::Extension(schema) => assert!(is_urn(schema.id)),
        Path::Unknown => {}
    }
}

fn check_place(resource_type: &'static ResourceType, text: &str, place: &Place) {
    assert_eq!(place.text, text.trim());
    assert_eq!(place.path.sub, None);
    assert_eq!(resource_type.extension(place.path.extension.map_or("", |schema| schema.id)), place.path.extension);
    assert!(place.sub.is_none_or(|sub| place.path.attribute.sub(sub.name) == Some(sub)));
    let written = normal_form::place(place);
    let Ok(Path::Place(again)) = Path::parse(resource_type, &written, &mut strict_without_limits()) else {
        panic!("{written} is not a path on a strict connection");
    };
    assert_eq!((&again.path, &again.filter, again.sub), (&place.path, &place.filter, place.sub), "{written}");

    let Some(filter) = &place.filter else { return };
    assert!(place.path.attribute.multi_valued && place.path.attribute.kind == Kind::Complex);
    let mut terms = 0;
    filter.each_term(&mut |_, _| terms += 1);
    assert!((1..=Limits::default().filter_terms).contains(&terms), "{terms} comparisons");
    let values = sample::of(resource_type).resource.get(place.path.attribute.name);
    for value in values.and_then(|values| values.as_array()).into_iter().flatten() {
        let again = again.filter.as_ref().expect("it was compared above");
        assert_eq!(filter.matches_element(value), again.matches_element(value));
    }
}
