//! Where a field's value comes from: an ordered list of sources, of which the first that yields a value wins, and the
//! transforms that are applied to it. `""` and white space are no value. Borrows from the document wherever it can.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::path::Path;
use crate::scim::catalog::USER;
use crate::scim::error::quote;

/// How a source names an attribute that is in no schema.
pub(super) const ALIAS_PREFIX: &str = "unmapped:";

/// What a mapping reads: the canonical document, and what arrived and is in no schema.
#[derive(Debug, Clone, Copy)]
pub(super) struct Input<'a> {
    pub(super) document: &'a Map<String, Value>,
    pub(super) unmapped: &'a Map<String, Value>,
}

/// The sources of one field, in order, and what is done to the value found.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Sources {
    pub(super) list: Vec<Source>,
    pub(super) transforms: Vec<Transform>,
}

/// One source.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Source {
    /// A single value.
    Part(Part),
    /// The parts that have a value, with a text between them.
    Join { parts: Vec<Part>, with: String },
}

/// A single value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Part {
    /// In the document.
    Path(Path),
    /// Among what is in no schema.
    Alias(Alias),
    /// In the mapping.
    Literal(String),
}

/// What can be done to a value; trimming is always done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transform {
    /// White space around the value goes.
    Trim,
    /// The scheme `tel:` (RFC 3966) goes.
    StripTel,
    /// Lower case.
    Lower,
    /// Upper case.
    Upper,
}

/// The name of an attribute that is in no schema, or is not where its schema puts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Alias {
    /// The whole name: a key at top level.
    name: String,
    /// The extension's URN and the key inside it, when the name is written with one.
    within: Option<(String, String)>,
}

impl Sources {
    /// The first value, transformed.
    pub(super) fn first<'a>(&'a self, input: Input<'a>) -> Option<Cow<'a, str>> {
        self.list.iter().find_map(|source| {
            let found = source.find(input)?;
            let value = self.transforms.iter().fold(found, |value, transform| transform.apply(value));
            trimmed(value)
        })
    }

    /// Whether there is anything to look for.
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

impl Source {
    fn find<'a>(&'a self, input: Input<'a>) -> Option<Cow<'a, str>> {
        match self {
            Self::Part(part) => part.find(input),
            Self::Join { parts, with } => {
                let found: Vec<_> = parts.iter().filter_map(|part| part.find(input)).collect();
                if found.is_empty() { None } else { Some(Cow::Owned(found.join(with))) }
            }
        }
    }
}

impl Part {
    /// Reads a path or an alias. The error is the sentence to show.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text.strip_prefix(ALIAS_PREFIX) {
            Some(name) => Alias::parse(name).map(Self::Alias),
            None => Path::parse(text).map(Self::Path),
        }
    }

    fn find<'a>(&'a self, input: Input<'a>) -> Option<Cow<'a, str>> {
        match self {
            Self::Path(path) => path.find(input.document),
            Self::Alias(alias) => alias.find(input.unmapped),
            Self::Literal(text) => Some(Cow::Borrowed(text)),
        }
    }
}

impl Transform {
    /// The transforms by their names in a mapping.
    pub(super) const NAMED: [(&'static str, Self); 4] =
        [("trim", Self::Trim), ("strip_tel", Self::StripTel), ("lower", Self::Lower), ("upper", Self::Upper)];

    fn apply(self, value: Cow<'_, str>) -> Cow<'_, str> {
        match self {
            Self::Trim => value,
            Self::StripTel => strip_tel(value),
            Self::Lower => Cow::Owned(value.to_lowercase()),
            Self::Upper => Cow::Owned(value.to_uppercase()),
        }
    }
}

impl Alias {
    /// An alias for a key; spaces inside it count. The error is the sentence to show.
    pub(super) fn parse(name: &str) -> Result<Self, String> {
        let name = name.trim();
        if name.is_empty() {
            return Err(format!("{} is followed by no name", quote(ALIAS_PREFIX)));
        }
        let within = match name.rsplit_once(':') {
            Some((urn, key)) if urn.get(..4).is_some_and(|head| head.eq_ignore_ascii_case("urn:")) && !key.is_empty() => {
                Some((urn.to_owned(), key.to_owned()))
            }
            _ => None,
        };
        Ok(Self { name: name.to_owned(), within })
    }

    /// The first value that is not blank: at top level, then inside the extensions of User (Okta puts custom attributes
    /// there), or inside the extension the name is written with.
    fn find<'a>(&self, unmapped: &'a Map<String, Value>) -> Option<Cow<'a, str>> {
        if unmapped.is_empty() {
            return None;
        }
        value_at(unmapped, &self.name).or_else(|| {
            unmapped.iter().find_map(|(key, value)| {
                let name = match &self.within {
                    Some((urn, name)) if same(key, urn) => name,
                    None if USER.extension(key).is_some() => &self.name,
                    _ => return None,
                };
                value_at(value.as_object()?, name)
            })
        })
    }
}

fn value_at<'a>(object: &'a Map<String, Value>, name: &str) -> Option<Cow<'a, str>> {
    object.iter().filter(|(key, _)| same(key, name)).find_map(|(_, value)| loose(value))
}

/// A value as it may come under a name no schema knows: plain, `{"value": ..}`, or either in an array.
fn loose(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Array(elements) => elements.iter().find_map(single),
        other => single(other),
    }
}

fn single(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Object(object) => object.iter().filter(|(key, _)| key.eq_ignore_ascii_case("value")).find_map(|(_, value)| scalar(value)),
        other => scalar(other),
    }
}

/// A text without the white space around it, a number or a boolean as text; nothing for a blank text and all other values.
pub(super) fn scalar(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => trimmed(Cow::Borrowed(text)),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        Value::Bool(true) => Some(Cow::Borrowed("true")),
        Value::Bool(false) => Some(Cow::Borrowed("false")),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Whether two texts differ in letter case at most.
pub(super) fn same(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b) || (!(a.is_ascii() && b.is_ascii()) && caseless::default_caseless_match_str(a, b))
}

fn trimmed(text: Cow<'_, str>) -> Option<Cow<'_, str>> {
    let text = match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) if text.trim().len() == text.len() => Cow::Owned(text),
        Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
    };
    if text.is_empty() { None } else { Some(text) }
}

/// RFC 3966 §3: "scheme names are case-insensitive".
fn strip_tel(value: Cow<'_, str>) -> Cow<'_, str> {
    const SCHEME: &str = "tel:";
    if !value.get(..SCHEME.len()).is_some_and(|head| head.eq_ignore_ascii_case(SCHEME)) {
        return value;
    }
    match value {
        Cow::Borrowed(text) => Cow::Borrowed(&text[SCHEME.len()..]),
        Cow::Owned(text) => Cow::Owned(text[SCHEME.len()..].to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

    fn alias(name: &str, unmapped: &Value) -> Option<String> {
        Alias::parse(name).unwrap().find(unmapped.as_object().unwrap()).map(Cow::into_owned)
    }

    #[test]
    fn an_alias_finds_a_key_in_any_letter_case_at_top_level_then_in_the_enterprise_extension() {
        let unmapped = json!({
            "CostCenter": "CC-1", "job Title": "Chef", "Straße": "x", "empty": " ", "EMPTY": "full",
            ENTERPRISE.to_uppercase(): {"badge_number": 77, "costcenter": "CC-2", "nested": "in"},
            "nested": "",
            "urn:acme:2.0:Badge": {"Color": "red"},
            "urn:acme:2.0:Badge:size": "L",
        });
        for (name, expected) in [
            ("costcenter", Some("CC-1")),
            ("Job title", Some("Chef")),
            ("jobTitle", None),
            ("STRASSE", Some("x")),
            ("empty", Some("full")),
            ("BADGE_number", Some("77")),
            ("nested", Some("in")),
            ("color", None),
            ("urn:acme:2.0:badge:color", Some("red")),
            ("urn:acme:2.0:badge:size", Some("L")),
            ("urn:acme:2.0:badge", None),
            ("urn:x:color", None),
        ] {
            assert_eq!(alias(name, &unmapped).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn a_value_in_no_schema_may_have_any_shape() {
        for (value, expected) in [
            (json!("  a b "), Some("a b")),
            (json!(""), None),
            (json!("\u{a0}\t\n"), None),
            (json!(12), Some("12")),
            (json!(1.5), Some("1.5")),
            (json!(true), Some("true")),
            (json!(false), Some("false")),
            (json!(null), None),
            (json!({"value": "m"}), Some("m")),
            (json!({"Value": 5}), Some("5")),
            (json!({"$ref": "x"}), None),
            (json!({"value": {"value": "x"}}), None),
            (json!(["m"]), Some("m")),
            (json!(["", {"value": "m"}]), Some("m")),
            (json!([]), None),
            (json!([["x"]]), None),
        ] {
            assert_eq!(alias("key", &json!({ "Key": value })).as_deref(), expected, "{value}");
        }
    }

    #[test]
    fn transforms_are_applied_before_a_value_counts_as_blank() {
        let sources = |transforms: Vec<Transform>| Sources {
            list: ["displayName", "nickName"].map(|path| Source::Part(Part::parse(path).unwrap())).into(),
            transforms,
        };
        let first = |sources: &Sources, document: Value| {
            let (document, unmapped) = (document.as_object().unwrap().clone(), Map::new());
            sources.first(Input { document: &document, unmapped: &unmapped }).map(Cow::into_owned)
        };
        let strip = sources(vec![Transform::StripTel]);
        assert_eq!(first(&strip, json!({"displayName": "TEL:", "nickName": "tel: 1"})).as_deref(), Some("1"));
        assert_eq!(first(&strip, json!({"displayName": "tél:1"})).as_deref(), Some("tél:1"));
        let upper = sources(vec![Transform::StripTel, Transform::Upper]);
        assert_eq!(first(&upper, json!({"displayName": " tel:a"})).as_deref(), Some("A"));
        let lower = sources(vec![Transform::Lower, Transform::StripTel]);
        assert_eq!(first(&lower, json!({"displayName": "Tel:Ä"})).as_deref(), Some("ä"));
    }
}
