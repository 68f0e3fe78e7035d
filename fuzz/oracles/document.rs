//! The door of a document: what comes through is canonical, so it comes through again unchanged, and it is found by what it says.

use frontdesk::scim::catalog::{GROUP, RESOURCE_TYPES};
use frontdesk::scim::document::{Document, Reading, UNMAPPED_MAX_BYTES, unique_key};
use frontdesk::scim::filter::Filter;
use frontdesk::scim::json;
use frontdesk::scim::reader::{Conformance, Limits};
use frontdesk::scim::schema::{Kind, ResourceType};
use frontdesk::scim::text::{LONG_VALUE_MAX_CHARS, fold};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{check_refusal, reader};

/// Any bytes as the body that makes a user and a group.
pub fn document(data: &[u8]) {
    let body = match json::parse_object(data) {
        Ok(body) => body,
        Err(error) => return check_refusal(&error),
    };
    for conformance in [Conformance::Lenient, Conformance::Strict] {
        for resource_type in RESOURCE_TYPES {
            match Document::read(resource_type, body.clone(), &mut reader(conformance)) {
                Ok(reading) => check(resource_type, conformance, data.len(), &reading),
                Err(error) => check_refusal(&error),
            }
        }
    }
}

fn check(resource_type: &'static ResourceType, conformance: Conformance, body_bytes: usize, reading: &Reading) {
    comes_through_unchanged(resource_type, conformance, &reading.document);
    assert!(conformance == Conformance::Lenient || reading.unmapped.is_empty());
    assert!(reading.members.is_none() || resource_type.name == GROUP.name);

    // What is kept aside comes back with the document that it came with, and is kept aside again.
    let mut whole = reading.document.as_map().clone();
    for (name, value) in &reading.unmapped {
        match (whole.get_mut(name), value) {
            (Some(Value::Object(extension)), Value::Object(unknown)) => extension.extend(unknown.clone()),
            _ => drop(whole.insert(name.clone(), value.clone())),
        }
    }
    let again = Document::read(resource_type, whole, &mut reader(conformance)).expect("it came through before");
    assert_eq!((&again.document, &again.unmapped), (&reading.document, &reading.unmapped));

    // A text grows by its escapes, a bare value by the object around it, a user by a display name made of the name.
    let bytes = reading.document.to_text().len();
    assert!(bytes <= 16 * body_bytes + 8_192, "{body_bytes} bytes have become {bytes}");
    assert!(Value::Object(reading.unmapped.clone()).to_string().len() <= UNMAPPED_MAX_BYTES);
    check_folded(&reading.document.folded(resource_type, Uuid::max()));
    is_found(resource_type, reading.document.as_map());
}

/// A document is in the one form that the door gives it, and within its limits.
pub fn comes_through_unchanged(resource_type: &'static ResourceType, conformance: Conformance, document: &Document) {
    let again = match Document::read(resource_type, document.as_map().clone(), &mut reader(conformance)) {
        Ok(again) => again,
        Err(error) => panic!("{error}: {}", document.to_text()),
    };
    assert_eq!(again.document, *document);
    assert!(again.unmapped.is_empty() && again.members.is_none() && again.password.is_none());
    assert!(document.changed_attributes(&again.document).is_empty());
    let parsed = json::parse_object(document.to_text().as_bytes()).expect("a document is JSON");
    assert_eq!(&parsed, document.as_map());
    check_bounds(document.as_map().values());
}

fn check_bounds<'v>(values: impl Iterator<Item = &'v Value>) {
    for value in values {
        match value {
            Value::Null => panic!("a document holds null"),
            Value::String(text) => assert!(text.chars().count() <= LONG_VALUE_MAX_CHARS),
            Value::Array(values) => {
                assert!((1..=Limits::default().values_per_attribute).contains(&values.len()), "{} values", values.len());
                assert!(values.iter().filter(|value| value["primary"] == true).count() <= 1, "two values are primary");
                check_bounds(values.iter());
            }
            Value::Object(object) => {
                assert!(!object.is_empty(), "a document holds an empty object");
                check_bounds(object.values());
            }
            Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

fn check_folded(value: &Value) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                assert_eq!(*name, name.to_ascii_lowercase());
                check_folded(value);
            }
        }
        Value::Array(values) => values.iter().for_each(check_folded),
        _ => {}
    }
}

/// Whoever looks up a text that a resource has finds it; and folding, which decides that, has an end.
fn is_found(resource_type: &'static ResourceType, document: &Map<String, Value>) {
    for attribute in resource_type.schema.attributes.iter().filter(|attribute| attribute.kind == Kind::String) {
        let Some(Value::String(text)) = document.get(attribute.name) else { continue };
        let filter = format!("{} eq {}", attribute.name, Value::from(text.as_str()));
        let filter = Filter::parse(resource_type, &filter, &mut reader(Conformance::Strict)).expect("a text can be looked up");
        assert!(filter.matches(document), "{} is not found by {text:?}", attribute.name);
        let folded = fold(text);
        assert_eq!(fold(&folded), folded, "folding {text:?} twice");
        if let Ok(key) = unique_key(attribute.name, text) {
            assert_eq!(unique_key(attribute.name, &key), Ok(key.clone()));
        }
    }
}
