//! The text of a mapping: it is refused with a line that it has, or it maps every user.

use std::str;

use frontdesk::scim::catalog::USER;
use frontdesk::workplace::custom::from_spaceiq;
use frontdesk::workplace::{Employee, Field, Mapping, MappingError, Settings};
use serde_json::Map;

use super::sample;

/// Any text as a mapping, and as a list of custom attributes in SpaceIQ's syntax.
pub fn mapping(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    if let Err(error) = from_spaceiq(text) {
        check_error(text, &error);
    }
    let mapping = match Mapping::parse("fuzz", text) {
        Ok(mapping) => mapping,
        Err(error) => return check_error(text, &error),
    };
    let reading = &sample::of(&USER).reading;
    for division_is_department in [true, false] {
        let settings = Settings { division_is_department };
        check_employee(&mapping.employee(reading.document.as_map(), &reading.unmapped, &settings));
        check_employee(&mapping.employee(&Map::new(), &Map::new(), &settings));
    }
}

fn check_error(text: &str, error: &MappingError) {
    let lines = text.bytes().filter(|byte| *byte == b'\n').count() + 1;
    assert!((1..=lines).contains(&error.line), "line {} of {lines}: {error}", error.line);
    assert!(!error.detail.trim().is_empty());
    assert!(!error.detail.contains('\n'), "{error}");
}

/// "Every text is trimmed and never blank", and what is missing has no value.
fn check_employee(employee: &Employee) {
    let custom = employee.custom.values().map(|value| value.as_str().expect("custom fields are text"));
    for text in Field::ALL.into_iter().filter_map(|field| employee.get(field)).chain(custom) {
        assert!(!text.is_empty() && text.trim() == text, "{text:?}");
    }
    let missing = |field: &Field| employee.missing.iter().any(|name| name == field.name());
    assert!(Field::ALL.iter().filter(|field| missing(field)).all(|field| employee.get(*field).is_none()));
}
