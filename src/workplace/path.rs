//! A SCIM path as a source of a mapping: `name.givenName`, `phoneNumbers[type eq "work"].value`, an attribute behind its
//! schema's URN. Checked against the schema when the mapping is loaded; finding the value parses nothing.
//!
//! A value filter here knows `eq` and `and`, not the grammar of RFC 7644 §3.4.2.2: choosing one value of several needs no
//! more, and "else" is what the list of sources is for.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::scim::aside::{same, scalar};
use crate::scim::catalog::USER;
use crate::scim::error::{quote, quote_json};
use crate::scim::schema::{AttrPath, Attribute, Kind, Mutability, Name, Returned};

/// A checked path to values of a user's document.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Path {
    extension: Option<&'static str>,
    attribute: &'static str,
    multi_valued: bool,
    conditions: Vec<Condition>,
    sub: Option<&'static str>,
}

/// A comparison of a value filter as it is written: the sub-attribute's name and the literal.
type Comparison<'t> = (&'t str, Value);

/// A checked comparison of a value filter.
#[derive(Debug, Clone, PartialEq)]
struct Condition {
    attribute: &'static str,
    literal: Value,
    folds_case: bool,
}

impl Path {
    /// Reads a path and checks it against the schemas of User. The error is the sentence to show.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (head, comparisons, tail) = match text.split_once('[') {
            None => (text, Vec::new(), ""),
            Some((head, rest)) => {
                let (comparisons, tail) = value_filter(rest)?;
                (head, comparisons, tail)
            }
        };
        if !tail.is_empty() && !tail.starts_with('.') {
            return Err(format!("after the value filter of {} stands {}, where only a sub-attribute may follow", quote(head), quote(tail)));
        }
        let path = resolve(&format!("{head}{tail}"))?;
        check_readable(&path)?;
        if !comparisons.is_empty() && !path.attribute.multi_valued {
            return Err(format!("{} has one value, so it takes no value filter", path.attribute.name));
        }
        let conditions =
            comparisons.into_iter().map(|comparison| Condition::check(path.attribute, comparison)).collect::<Result<_, _>>()?;
        Ok(Self {
            extension: path.extension.map(|schema| schema.id),
            attribute: path.attribute.name,
            multi_valued: path.attribute.multi_valued,
            conditions,
            sub: path.sub.map(|sub| sub.name),
        })
    }

    /// The first selected value that is not blank.
    pub(super) fn find<'a>(&self, document: &'a Map<String, Value>) -> Option<Cow<'a, str>> {
        let home = match self.extension {
            None => document,
            Some(urn) => document.get(urn)?.as_object()?,
        };
        let value = home.get(self.attribute)?;
        if !self.multi_valued {
            return self.leaf(value);
        }
        value.as_array()?.iter().filter(|element| self.selects(element)).find_map(|element| self.leaf(element))
    }

    fn selects(&self, element: &Value) -> bool {
        self.conditions.iter().all(|condition| condition.holds(element))
    }

    fn leaf<'a>(&self, value: &'a Value) -> Option<Cow<'a, str>> {
        match self.sub {
            None => scalar(value),
            Some(sub) => scalar(value.get(sub)?),
        }
    }
}

impl Condition {
    fn check(attribute: &'static Attribute, (name, literal): Comparison<'_>) -> Result<Self, String> {
        let sub = attribute.sub(name).ok_or_else(|| unknown_sub(attribute, name))?;
        let (fits, expected) = match sub.kind {
            Kind::Boolean => (literal.is_boolean(), "true or false"),
            Kind::Integer | Kind::Decimal => (literal.is_number(), "a number"),
            Kind::String | Kind::Reference | Kind::DateTime | Kind::Binary => (literal.is_string(), "a text in double quotes"),
            Kind::Complex => (false, "no comparison"),
        };
        if !fits {
            return Err(format!("{}.{} takes {expected}, not {}", attribute.name, sub.name, quote_json(&literal)));
        }
        Ok(Self { attribute: sub.name, literal, folds_case: sub.folds_case() })
    }

    /// An absent value equals nothing.
    fn holds(&self, element: &Value) -> bool {
        match (element.get(self.attribute), &self.literal) {
            (Some(Value::String(value)), Value::String(literal)) if self.folds_case => same(value, literal),
            (Some(value), literal) => value == literal,
            (None, _) => false,
        }
    }
}

fn resolve(text: &str) -> Result<AttrPath, String> {
    match USER.resolve(text) {
        Name::Attribute(path) => Ok(path),
        Name::Core | Name::Extension(_) => Err(format!("{} is a whole schema; name one of its attributes", quote(text))),
        Name::Unknown(word) => {
            let before = text.strip_suffix(word).and_then(|before| before.strip_suffix('.'));
            match before.map(|before| USER.resolve(before)) {
                Some(Name::Attribute(path)) => Err(unknown_sub(path.attribute, word)),
                _ => Err(format!(
                    "{} is not an attribute of a SCIM User; one that is in no schema is written \"unmapped:\" and its name",
                    quote(word)
                )),
            }
        }
    }
}

fn unknown_sub(attribute: &Attribute, word: &str) -> String {
    if attribute.sub_attributes.is_empty() {
        return format!("{} has no sub-attributes, so it has no {}", attribute.name, quote(word));
    }
    let known: Vec<_> = attribute.sub_attributes.iter().map(|sub| sub.name).collect();
    format!("{} is not a sub-attribute of {}; it has {}", quote(word), attribute.name, known.join(", "))
}

/// A source must be a text, a number or a boolean that a client sent and that may be read.
fn check_readable(path: &AttrPath) -> Result<(), String> {
    let leaf = path.leaf();
    if leaf.returned == Returned::Never || path.attribute.returned == Returned::Never {
        return Err(format!("{path} is secret, so a mapping does not read it"));
    }
    if leaf.mutability == Mutability::ReadOnly || path.attribute.mutability == Mutability::ReadOnly {
        return Err(format!("{path} is set by this server and not by the identity provider, so a mapping does not read it"));
    }
    if leaf.kind == Kind::Complex {
        let part = leaf.sub("value").or_else(|| leaf.sub_attributes.first()).map_or("value", |sub| sub.name);
        return Err(format!("{path} has sub-attributes; name one of them, for example {path}.{part}"));
    }
    Ok(())
}

/// Reads `type eq "work" and primary eq true]` and gives the comparisons and what follows the bracket.
fn value_filter(text: &str) -> Result<(Vec<Comparison<'_>>, &str), String> {
    let mut comparisons = Vec::new();
    let mut rest = text;
    loop {
        let (name, after) = word(rest);
        if name.is_empty() {
            return Err(format!("the value filter {} names no sub-attribute to compare", quote(text)));
        }
        let (operator, after) = word(after);
        if !operator.eq_ignore_ascii_case("eq") {
            return Err(format!("after {} in a value filter of a mapping stands eq, not {}", quote(name), quote(operator)));
        }
        let (literal, after) = literal(after)?;
        comparisons.push((name, literal));
        let after = after.trim_start();
        if let Some(tail) = after.strip_prefix(']') {
            return Ok((comparisons, tail));
        }
        let (and, after) = word(after);
        if and.is_empty() {
            return Err(format!("the value filter {} has no closing bracket", quote(text)));
        }
        if !and.eq_ignore_ascii_case("and") {
            return Err(format!("comparisons in a value filter of a mapping are joined by and, not by {}", quote(and)));
        }
        rest = after;
    }
}

fn word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    text.split_at(text.find(|c: char| !c.is_ascii_alphanumeric() && !"$-_".contains(c)).unwrap_or(text.len()))
}

fn literal(text: &str) -> Result<(Value, &str), String> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    match values.next() {
        Some(Ok(value @ (Value::String(_) | Value::Bool(_) | Value::Number(_)))) => Ok((value, &text[values.byte_offset()..])),
        _ => Err(format!(
            "in a value filter, eq is followed by a text in double quotes, a number, true or false, not by {}",
            quote(text.trim())
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn find(path: &str, document: Value) -> Option<String> {
        Path::parse(path).unwrap().find(document.as_object().unwrap()).map(Cow::into_owned)
    }

    #[test]
    fn a_path_finds_the_first_selected_value_that_is_not_blank() {
        let document = json!({
            "userName": " jsnow ", "active": true, "name": {"givenName": "Jon", "familyName": ""},
            "phoneNumbers": [{"value": " ", "type": "home"}, {"value": "1", "type": "home"}, {"value": "2", "type": "WORK"},
                             {"value": "3", "type": "work", "primary": true}],
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"department": "Sales", "manager": {"value": "m"}},
        });
        for (path, expected) in [
            ("userName", Some("jsnow")),
            ("USERNAME", Some("jsnow")),
            ("active", Some("true")),
            ("name.givenName", Some("Jon")),
            ("name.familyName", None),
            ("displayName", None),
            ("phoneNumbers.value", Some("1")),
            ("phoneNumbers[type eq \"work\"].value", Some("2")),
            ("phoneNumbers[ TYPE EQ \"Work\" ].value", Some("2")),
            ("phoneNumbers[primary eq true].value", Some("3")),
            ("phoneNumbers[primary eq false].value", None),
            ("phoneNumbers[type eq \"work\" and primary eq true].value", Some("3")),
            ("phoneNumbers[type eq \"home\" and primary eq true].value", None),
            ("phoneNumbers[type eq \"a]b\"].value", None),
            ("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department", Some("Sales")),
            ("urn:ietf:params:scim:schemas:core:2.0:User:name.givenName", Some("Jon")),
            ("department", Some("Sales")),
            ("manager.value", Some("m")),
        ] {
            assert_eq!(find(path, document.clone()).as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn a_wrong_path_is_refused_with_the_word() {
        for (path, expected) in [
            (
                "nickname2",
                "\"nickname2\" is not an attribute of a SCIM User; one that is in no schema is written \"unmapped:\" and its name",
            ),
            ("", "\"\" is not an attribute of a SCIM User; one that is in no schema is written \"unmapped:\" and its name"),
            (
                "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:dept",
                "\"dept\" is not an attribute of a SCIM User; one that is in no schema is written \"unmapped:\" and its name",
            ),
            (
                "urn:ietf:params:scim:schemas:core:2.0:User",
                "\"urn:ietf:params:scim:schemas:core:2.0:User\" is a whole schema; name one of its attributes",
            ),
            (
                "name.first",
                "\"first\" is not a sub-attribute of name; it has formatted, familyName, givenName, middleName, honorificPrefix, honorificSuffix",
            ),
            ("title.value", "title has no sub-attributes, so it has no \"value\""),
            ("emails", "emails has sub-attributes; name one of them, for example emails.value"),
            ("name", "name has sub-attributes; name one of them, for example name.formatted"),
            ("password", "password is secret, so a mapping does not read it"),
            ("groups.value", "groups.value is set by this server and not by the identity provider, so a mapping does not read it"),
            ("title[type eq \"work\"]", "title has one value, so it takes no value filter"),
            (
                "emails[type eq \"work\"]value",
                "after the value filter of \"emails\" stands \"value\", where only a sub-attribute may follow",
            ),
            ("emails[type eq \"work\"", "the value filter \"type eq \\\"work\\\"\" has no closing bracket"),
            ("emails[]", "the value filter \"]\" names no sub-attribute to compare"),
            ("emails[type co \"w\"].value", "after \"type\" in a value filter of a mapping stands eq, not \"co\""),
            (
                "emails[type eq \"w\" or primary eq true].value",
                "comparisons in a value filter of a mapping are joined by and, not by \"or\"",
            ),
            ("emails[primary eq \"true\"].value", "emails.primary takes true or false, not \"true\""),
            ("emails[type eq true].value", "emails.type takes a text in double quotes, not true"),
            (
                "emails[type eq work].value",
                "in a value filter, eq is followed by a text in double quotes, a number, true or false, not by \"work].value\"",
            ),
        ] {
            assert_eq!(Path::parse(path).unwrap_err(), expected, "{path}");
        }
        let error = Path::parse("emails[kind eq \"work\"].value").unwrap_err();
        assert!(error.starts_with("\"kind\" is not a sub-attribute of emails; it has value, "), "{error}");
    }
}
