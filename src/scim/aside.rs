//! What a client sends under a name that no schema has, or not where its schema puts it, is kept aside. Here it is found again: by
//! its name at top level, then inside the extensions of User that every tenant has, or under the URN that the name is written with.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::scim::catalog::{CUSTOM_URN, ENTERPRISE_URN};

/// The name of something that is kept aside.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Alias {
    /// The whole name: a key at top level.
    name: String,
    /// The extension's URN and the key inside it, when the name is written with one.
    within: Option<(String, String)>,
}

impl Alias {
    /// An alias for a key; spaces inside it count, those around it do not. `None` when nothing is left.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let name = name.trim();
        let within = match name.rsplit_once(':') {
            Some((urn, key)) if is_urn(urn) && !key.is_empty() => Some((urn.to_owned(), key.to_owned())),
            _ => None,
        };
        (!name.is_empty()).then(|| Self { name: name.to_owned(), within })
    }

    /// The URN in front of the name, when it has one, and the name behind it.
    #[must_use]
    pub fn parts(&self) -> (Option<&str>, &str) {
        match &self.within {
            Some((urn, key)) => (Some(urn), key),
            None => (None, &self.name),
        }
    }

    /// Whether both stand for the same key.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        same(&self.name, &other.name)
    }

    /// Whether a path of a PATCH that no schema knows means this key.
    #[must_use]
    pub fn is_meant_by(&self, path: &str) -> bool {
        let inside = || {
            [ENTERPRISE_URN, CUSTOM_URN].into_iter().find_map(|urn| {
                let head = path.get(..urn.len()).filter(|head| head.eq_ignore_ascii_case(urn))?;
                path[head.len()..].strip_prefix([':', '.'])
            })
        };
        same(&self.name, path) || (self.within.is_none() && inside().is_some_and(|name| same(&self.name, name)))
    }

    /// The first value that is not blank, as text.
    #[must_use]
    pub fn find<'a>(&self, aside: &'a Map<String, Value>) -> Option<Cow<'a, str>> {
        if aside.is_empty() {
            return None;
        }
        value_at(aside, &self.name).or_else(|| {
            let mut inside = aside.iter().filter_map(|(key, value)| Some((self.name_inside(key)?, value.as_object()?)));
            inside.find_map(|(name, object)| value_at(object, name))
        })
    }

    /// Drops what [`Alias::find`] looks at.
    pub fn forget(&self, aside: &mut Map<String, Value>) {
        aside.retain(|key, _| !same(key, &self.name));
        aside.retain(|key, value| {
            let (Some(name), Value::Object(object)) = (self.name_inside(key), value) else { return true };
            let before = object.len();
            object.retain(|key, _| !same(key, name));
            object.len() == before || !object.is_empty()
        });
    }

    /// The name to look for in the object under a key, when it may be there.
    fn name_inside(&self, key: &str) -> Option<&str> {
        match &self.within {
            Some((urn, name)) => same(key, urn).then_some(name),
            None => [ENTERPRISE_URN, CUSTOM_URN].iter().any(|urn| key.eq_ignore_ascii_case(urn)).then_some(&self.name),
        }
    }
}

/// Whether a key is a schema's URN and no attribute's name.
#[must_use]
pub fn is_urn(key: &str) -> bool {
    key.get(..4).is_some_and(|head| head.eq_ignore_ascii_case("urn:"))
}

fn value_at<'a>(object: &'a Map<String, Value>, name: &str) -> Option<Cow<'a, str>> {
    object.iter().filter(|(key, _)| same(key, name)).find_map(|(_, value)| loose(value))
}

/// A value as it may come under a name no schema knows, as text: plain, `{"value": ..}`, or either in an array.
#[must_use]
pub fn loose(value: &Value) -> Option<Cow<'_, str>> {
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
#[must_use]
pub fn scalar(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(text.trim()).filter(|text| !text.is_empty()).map(Cow::Borrowed),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        Value::Bool(true) => Some(Cow::Borrowed("true")),
        Value::Bool(false) => Some(Cow::Borrowed("false")),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Whether two texts differ in letter case at most.
#[must_use]
pub fn same(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b) || (!(a.is_ascii() && b.is_ascii()) && caseless::default_caseless_match_str(a, b))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn alias(name: &str, aside: &Value) -> Option<String> {
        Alias::parse(name).unwrap().find(aside.as_object().unwrap()).map(Cow::into_owned)
    }

    fn some() -> Value {
        json!({
            "CostCenter": "CC-1", "job Title": "Chef", "Straße": "x", "empty": " ", "EMPTY": "full",
            ENTERPRISE_URN.to_uppercase(): {"badge_number": 77, "costcenter": "CC-2", "nested": "in"},
            "nested": "",
            "urn:acme:2.0:Badge": {"Color": "red"},
            "urn:acme:2.0:Badge:size": "L",
        })
    }

    #[test]
    fn an_alias_finds_a_key_in_any_letter_case_at_top_level_then_in_the_enterprise_extension() {
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
            assert_eq!(alias(name, &some()).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn what_an_alias_forgets_it_no_longer_finds_and_the_rest_stays() {
        for name in ["costcenter", "Job title", "STRASSE", "empty", "BADGE_number", "nested", "urn:acme:2.0:badge:color", "nothing"] {
            let (before, mut after) = (some(), some());
            Alias::parse(name).unwrap().forget(after.as_object_mut().unwrap());
            assert_eq!(alias(name, &after), None, "{name}");
            assert_eq!(alias("urn:acme:2.0:badge:size", &after).as_deref(), Some("L"));
            assert_eq!(before == after, name == "nothing", "{name}");
            assert!(after.as_object().unwrap().values().all(|value| value != &json!({})), "{name} leaves an empty extension");
        }
    }

    #[test]
    fn a_path_means_an_alias_with_and_without_the_enterprise_extension() {
        let badge = Alias::parse("badge").unwrap();
        for (path, expected) in [("Badge", true), (&*format!("{ENTERPRISE_URN}:BADGE"), true), ("urn:x:badge", false), ("badges", false)] {
            assert_eq!(badge.is_meant_by(path), expected, "{path}");
        }
        assert!(Alias::parse("urn:x:badge").unwrap().is_meant_by("URN:x:Badge"));
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
}
