//! One value of one attribute, from what a client sent to its canonical form (RFC 7643 §2.3, §2.4, §2.5). Used by the door of
//! a document for whole resources and by PATCH for single values, so both accept and refuse the same.

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::scim::document::check_text;
use crate::scim::error::{ScimError, quote, quote_json};
use crate::scim::quirks;
use crate::scim::reader::Reader;
use crate::scim::schema::{Attribute, Kind, Mutability};
use crate::scim::text::{format_date_time, parse_date_time};

/// Reads the value of an attribute; `None` is "unassigned" (null, the empty array, and on a lenient connection empty text).
/// `at` names the attribute in errors and notes.
///
/// # Errors
/// 400 `invalidValue` naming attribute, value and rule.
pub fn read_value(attribute: &'static Attribute, value: Value, at: &str, reader: &mut Reader) -> Result<Option<Value>, ScimError> {
    if !attribute.multi_valued {
        return read_singular(attribute, value, at, reader);
    }
    let values = match value {
        Value::Null => return Ok(None),
        Value::Array(values) => values,
        Value::String(text) if quirks::entra_clears_with_an_empty_string(&text, at, reader) => return Ok(None),
        one => quirks::onelogin_sends_one_value_for_a_list(one, at, reader)
            .map_err(|value| ScimError::invalid_value(format!("{at} is {}; an array is expected", quote_json(&value))))?,
    };
    reader.check_count(at, values.len(), reader.limits.values_per_attribute)?;
    let mut read: Vec<Value> = Vec::with_capacity(values.len());
    for (index, value) in values.into_iter().enumerate() {
        read.extend(read_singular(attribute, value, &format!("{at}[{index}]"), reader)?);
    }
    keep_one_of_each(&mut read);
    if keep_one_primary(&mut read, at, reader)? {
        // Values that differed by `primary` alone are the same now.
        keep_one_of_each(&mut read);
    }
    Ok((!read.is_empty()).then_some(Value::Array(read)))
}

/// Reads one value: a singular attribute's, or one element of a multi-valued one.
///
/// # Errors
/// 400 `invalidValue`.
pub fn read_singular(attribute: &'static Attribute, value: Value, at: &str, reader: &mut Reader) -> Result<Option<Value>, ScimError> {
    let value = match quirks::entra_wraps_a_singular_value_in_an_array(attribute, &value, at, reader) {
        Some(unwrapped) => unwrapped,
        None => value,
    };
    if value.is_null() || matches!(&value, Value::Array(values) if values.is_empty()) {
        return Ok(None);
    }
    if let Value::String(text) = &value
        && quirks::entra_clears_with_an_empty_string(text, at, reader)
    {
        return Ok(None);
    }
    match attribute.kind {
        Kind::Complex => read_complex(attribute, value, at, reader),
        Kind::Boolean => match value {
            Value::Bool(_) => Ok(Some(value)),
            other => quirks::entra_sends_booleans_as_strings(&other, at, reader)
                .map(|boolean| Some(boolean.into()))
                .ok_or_else(|| wrong_type(attribute, &other, at)),
        },
        Kind::Integer if value.is_i64() || value.is_u64() => Ok(Some(value)),
        Kind::Decimal if value.is_number() => Ok(Some(value)),
        Kind::String | Kind::Reference | Kind::DateTime | Kind::Binary => read_text(attribute, value, at).map(Some),
        Kind::Integer | Kind::Decimal => Err(wrong_type(attribute, &value, at)),
    }
}

fn read_text(attribute: &'static Attribute, value: Value, at: &str) -> Result<Value, ScimError> {
    let Value::String(text) = value else { return Err(wrong_type(attribute, &value, at)) };
    check_text(attribute, &text, at)?;
    match attribute.kind {
        Kind::DateTime => match parse_date_time(&text) {
            Some(instant) => Ok(format_date_time(instant).into()),
            None => Err(ScimError::invalid_value(format!("{at} is {}; a dateTime like 2026-01-31T08:00:00Z is expected", quote(&text)))),
        },
        Kind::Binary if !is_base64(&text) => Err(ScimError::invalid_value(format!("{at} is not base64"))),
        _ => Ok(Value::String(text)),
    }
}

fn read_complex(attribute: &'static Attribute, value: Value, at: &str, reader: &mut Reader) -> Result<Option<Value>, ScimError> {
    let parts = read_parts(attribute, value, at, reader)?;
    let mut read = Map::with_capacity(parts.len());
    read.extend(parts.into_iter().filter_map(|(sub, value)| Some((sub.name.to_owned(), value?))));
    Ok(Some(Value::Object(read)).filter(says_something))
}

/// `{"type":"work","primary":true}` labels a value that is not there; Entra's `{"value": ""}` for the manager means "none".
pub(crate) fn says_something(value: &Value) -> bool {
    value.as_object().is_some_and(|object| object.keys().any(|name| !matches!(name.as_str(), "type" | "primary")))
}

/// The sub-attributes that an object names, in the schema's order; `None` for those that it unassigns. PATCH merges these.
///
/// # Errors
/// 400 `invalidValue`.
pub fn read_parts(
    attribute: &'static Attribute,
    value: Value,
    at: &str,
    reader: &mut Reader,
) -> Result<Vec<(&'static Attribute, Option<Value>)>, ScimError> {
    let value = match quirks::entra_sends_a_bare_string_for_a_complex_value(attribute, &value, at, reader) {
        Some(object) => object,
        None => value,
    };
    let Value::Object(mut object) = value else { return Err(wrong_type(attribute, &value, at)) };
    quirks::entra_sends_a_role_as_json_text(attribute, &mut object, at, reader);
    let mut parts = Vec::with_capacity(object.len());
    for sub in attribute.sub_attributes {
        let Some(value) = crate::scim::json::take(&mut object, sub.name) else { continue };
        if sub.mutability == Mutability::ReadOnly {
            continue;
        }
        parts.push((sub, read_value(sub, value, &[at, ".", sub.name].concat(), reader)?));
    }
    for name in object.keys() {
        let unknown = format!("{at}.{name}");
        if !quirks::jumpcloud_sends_unknown_attributes(&unknown, reader) {
            return Err(ScimError::invalid_syntax(format!("{} is not an attribute of this resource", quote(&unknown))));
        }
    }
    Ok(parts)
}

/// RFC 7643 §2.4: "Service providers SHOULD NOT return the same (type, value) combination more than once".
pub(crate) fn keep_one_of_each(values: &mut Vec<Value>) {
    if values.len() < 2 {
        return;
    }
    let mut seen = HashSet::with_capacity(values.len());
    let is_new: Vec<bool> = values.iter().map(|value| seen.insert(value)).collect();
    let mut is_new = is_new.into_iter();
    values.retain(|_| is_new.next() == Some(true));
}

/// RFC 7643 §2.4: "The primary attribute value 'true' MUST appear no more than once." Says whether a value lost it.
fn keep_one_primary(values: &mut [Value], at: &str, reader: &mut Reader) -> Result<bool, ScimError> {
    let mut found = false;
    let mut lost = false;
    for value in values {
        let Some(primary) = value.get_mut("primary") else { continue };
        if *primary == Value::Bool(true) {
            if found {
                if !quirks::templates_mark_two_values_primary(at, reader) {
                    return Err(ScimError::invalid_value(format!("{at} has two values with primary true; one is allowed")));
                }
                *primary = Value::Bool(false);
                lost = true;
            }
            found = true;
        }
    }
    Ok(lost)
}

fn wrong_type(attribute: &Attribute, value: &Value, at: &str) -> ScimError {
    let expected = match attribute.kind {
        Kind::Complex => "an object",
        Kind::Boolean => "true or false",
        Kind::Integer => "a whole number",
        Kind::Decimal => "a number",
        Kind::String | Kind::Reference | Kind::DateTime | Kind::Binary => "a string",
    };
    ScimError::invalid_value(format!("{at} is {}; {expected} is expected", quote_json(value)))
}

/// Base64 in the standard or the URL alphabet, padded or not (RFC 7643 §2.3.6, RFC 4648 §4, §5), white space between lines ignored.
fn is_base64(text: &str) -> bool {
    let mut digits = 0_usize;
    let mut padding = 0_usize;
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' | b'-' | b'_' if padding == 0 => digits += 1,
            b'=' => padding += 1,
            b'\r' | b'\n' | b' ' => {}
            _ => return false,
        }
    }
    padding <= 2 && digits % 4 != 1 && (padding == 0 || (digits + padding).is_multiple_of(4))
}
