//! SpaceIQ's own way to declare custom attributes, as an administrator has it in the field "SCIM schema custom
//! attributes": `{"CostCenter*.*Cost_Center","Department*.*Department"}`. Each pair is the SCIM name, the separator `*.*`
//! and the custom field's name. It looks like JSON and is not: there are no escapes.

use super::mapping::{Custom, MappingError};
use super::path::Path;
use super::source::{Aside, Part, Source, Sources};
use crate::scim::catalog::USER;
use crate::scim::error::quote;
use crate::scim::schema::{Kind, Name};

const SEPARATOR: &str = "*.*";

/// The longest name of a custom field, in characters: it is a column heading in the product.
pub(super) const NAME_MAX_CHARS: usize = 64;

/// The most custom fields of a mapping: each is looked for on every write. OfficeSpace has 35.
pub(super) const CUSTOM_MAX: usize = 100;

/// Reads SpaceIQ's syntax. A value is looked for where the schema has the name, then at top level and inside the
/// enterprise extension under that name, in any letter case.
///
/// # Errors
/// What is not a pair, or a name that stands for no single value, with the line in `text`.
pub fn from_spaceiq(text: &str) -> Result<Vec<Custom>, MappingError> {
    let error = |rest: &str, detail: String| MappingError {
        mapping: "SpaceIQ custom attributes".to_owned(),
        line: line_at(text, text.len() - rest.len()),
        detail,
    };
    let mut declared: Vec<Custom> = Vec::new();
    let mut rest = expect(text, '{').map_err(|found| error(found, format!("the list begins with {{, not with {}", opening(found))))?;
    if let Ok(after) = expect(rest, '}') {
        return end(after).map_err(|found| error(found, format!("nothing follows the closing }}, but here is {}", opening(found))));
    }
    loop {
        let inside = expect(rest, '"').map_err(|found| {
            error(found, format!("a pair begins with a double quote, as in \"Badge*.*Badge_Number\", not with {}", opening(found)))
        })?;
        let Some((pair, after)) = inside.split_once('"') else {
            return Err(error(inside, format!("the pair {} has no closing double quote", quote(inside))));
        };
        let custom = pair_to_custom(pair).map_err(|detail| error(inside, detail))?;
        add(&mut declared, custom).map_err(|detail| error(inside, detail))?;
        if let Ok(after) = expect(after, ',') {
            rest = after;
            continue;
        }
        let after =
            expect(after, '}').map_err(|found| error(found, format!("a pair is followed by , or }}, not by {}", opening(found))))?;
        return match end(after) {
            Ok(_) => Ok(declared),
            Err(found) => Err(error(found, format!("nothing follows the closing }}, but here is {}", opening(found)))),
        };
    }
}

/// Adds a custom field after checking its name and the number of fields.
pub(super) fn add(declared: &mut Vec<Custom>, custom: Custom) -> Result<(), String> {
    let name = custom.name.as_str();
    if name.is_empty() || name.trim() != name || name.chars().count() > NAME_MAX_CHARS || name.chars().any(char::is_control) {
        return Err(format!(
            "{} is not a custom field's name: 1 to {NAME_MAX_CHARS} characters, no white space around them, no control characters",
            quote(name)
        ));
    }
    if declared.iter().any(|other| other.name == name) {
        return Err(format!("the custom field {} is declared twice", quote(name)));
    }
    if declared.len() == CUSTOM_MAX {
        return Err(format!("the custom field {} is one too many: a mapping has at most {CUSTOM_MAX}", quote(name)));
    }
    declared.push(custom);
    Ok(())
}

fn pair_to_custom(pair: &str) -> Result<Custom, String> {
    let Some((scim, field)) = pair.split_once(SEPARATOR) else {
        return Err(format!("{} has no {SEPARATOR} between the SCIM name and the custom field's name", quote(pair)));
    };
    let (scim, field) = (scim.trim(), field.trim());
    if scim.is_empty() {
        return Err(format!("{} has no SCIM name before {SEPARATOR}", quote(pair)));
    }
    let mut list = Vec::new();
    if let Name::Attribute(path) = USER.resolve(scim) {
        let values = path.leaf().kind == Kind::Complex && path.leaf().sub("value").is_some();
        let path = if values { format!("{scim}.value") } else { scim.to_owned() };
        list.push(Source::Part(Part::Path(Path::parse(&path)?)));
    }
    list.push(Source::Part(Part::Alias(Aside::parse(scim)?)));
    Ok(Custom { name: field.to_owned(), sources: Sources { list, transforms: Vec::new() } })
}

fn expect(text: &str, mark: char) -> Result<&str, &str> {
    let text = text.trim_start();
    text.strip_prefix(mark).ok_or(text)
}

fn end(text: &str) -> Result<Vec<Custom>, &str> {
    let text = text.trim();
    if text.is_empty() { Ok(Vec::new()) } else { Err(text) }
}

fn opening(text: &str) -> String {
    text.chars().next().map_or_else(|| "the end".to_owned(), |c| quote(c.encode_utf8(&mut [0; 4])))
}

/// The line of a byte offset, from 1.
pub(super) fn line_at(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::workplace::source::Input;

    const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

    fn custom(text: &str, document: Value, unmapped: Value) -> Map<String, Value> {
        let (document, unmapped) = (document.as_object().unwrap(), unmapped.as_object().unwrap());
        let declared = from_spaceiq(text).unwrap();
        let values =
            declared.iter().filter_map(|custom| Some((custom.name.clone(), json!(custom.sources.first(Input { document, unmapped })?))));
        values.collect()
    }

    #[test]
    fn a_name_is_looked_up_in_the_schema_at_top_level_and_in_the_extension() {
        let text =
            r#"{"CostCenter*.*Cost_Center","Department*.*Department", "badge_number *.* Badge","Emails*.*Mail","name.givenName*.*Given"}"#;
        for (document, unmapped, expected) in [
            (json!({ENTERPRISE: {"costCenter": "1"}}), json!({"costcenter": "2"}), json!({"Cost_Center": "1"})),
            (json!({}), json!({"costcenter": "2", "DEPARTMENT": "d"}), json!({"Cost_Center": "2", "Department": "d"})),
            (json!({}), json!({ENTERPRISE: {"Badge_Number": 7}}), json!({"Badge": "7"})),
            (json!({"emails": [{"value": "e"}], "name": {"givenName": "g"}}), json!({}), json!({"Mail": "e", "Given": "g"})),
        ] {
            assert_eq!(Value::Object(custom(text, document, unmapped)), expected);
        }
    }

    #[test]
    fn an_empty_list_declares_nothing() {
        assert_eq!(from_spaceiq(" { } "), Ok(Vec::new()));
    }

    #[test]
    fn a_wrong_list_is_refused_with_the_line_and_the_word() {
        for (text, expected) in [
            ("", "line 1: the list begins with {, not with the end"),
            ("\"a*.*b\"", "line 1: the list begins with {, not with \"\\\"\""),
            ("{\n a*.*b}", "line 2: a pair begins with a double quote, as in \"Badge*.*Badge_Number\", not with \"a\""),
            ("{\"a*.*b\",}", "line 1: a pair begins with a double quote, as in \"Badge*.*Badge_Number\", not with \"}\""),
            ("{\"a*.*b", "line 1: the pair \"a*.*b\" has no closing double quote"),
            ("{\"a.b\"}", "line 1: \"a.b\" has no *.* between the SCIM name and the custom field's name"),
            ("{\" *.*b\"}", "line 1: \" *.*b\" has no SCIM name before *.*"),
            ("{\"name*.*b\"}", "line 1: name has sub-attributes; name one of them, for example name.formatted"),
            ("{\"password*.*b\"}", "line 1: password is secret, so a mapping does not read it"),
            (
                "{\"a*.*\"}",
                "line 1: \"\" is not a custom field's name: 1 to 64 characters, no white space around them, no control characters",
            ),
            ("{\"a*.*b\" \"c*.*d\"}", "line 1: a pair is followed by , or }, not by \"\\\"\""),
            ("{\"a*.*b\"} x", "line 1: nothing follows the closing }, but here is \"x\""),
            ("{} x", "line 1: nothing follows the closing }, but here is \"x\""),
            ("{\"a*.*b\",\n\"c*.*b\"}", "line 2: the custom field \"b\" is declared twice"),
        ] {
            assert_eq!(from_spaceiq(text).unwrap_err().to_string(), format!("SpaceIQ custom attributes, {expected}"), "{text}");
        }
    }

    #[test]
    fn the_number_of_custom_fields_is_limited() {
        let pairs: Vec<_> = (0..=CUSTOM_MAX).map(|n| format!("\"a{n}*.*b{n}\"")).collect();
        let error = from_spaceiq(&format!("{{{}}}", pairs.join(","))).unwrap_err();
        assert_eq!(error.detail, "the custom field \"b100\" is one too many: a mapping has at most 100");
    }
}
