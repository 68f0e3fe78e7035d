//! Where a field's value comes from: an ordered list of sources, of which the first that yields a value wins, and the
//! transforms that are applied to it. `""` and white space are no value. Borrows from the document wherever it can.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::path::Path;
use crate::scim::aside::{Alias, scalar};
use crate::scim::error::quote;
use crate::scim::schema::{Declared, ResourceType};

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
    Alias(Aside),
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

/// A name that no schema has, and the declared attribute that holds its value when a client gave it by the attribute's name.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Aside {
    pub(super) alias: Alias,
    attribute: Option<(&'static str, &'static str)>,
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

    /// Lets names that are declared as attributes be found in those, too.
    pub(super) fn bind(&mut self, user: &'static ResourceType) {
        for source in &mut self.list {
            let parts = match source {
                Source::Part(part) => std::slice::from_mut(part),
                Source::Join { parts, .. } => parts,
            };
            for part in parts {
                if let Part::Alias(alias) = part {
                    alias.bind(user);
                }
            }
        }
    }

    /// The names that the value itself may arrive under. Empty when the schemas have an attribute for it.
    pub(super) fn aliases(&self) -> Vec<Alias> {
        let mut aliases = Vec::new();
        for source in &self.list {
            match source {
                Source::Part(Part::Path(_)) => return Vec::new(),
                Source::Part(Part::Alias(aside)) => aliases.push(aside.alias.clone()),
                Source::Part(Part::Literal(_)) | Source::Join { .. } => {}
            }
        }
        aliases
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
            Some(name) => Aside::parse(name).map(Self::Alias),
            None => Path::parse(text).map(Self::Path),
        }
    }

    fn find<'a>(&'a self, input: Input<'a>) -> Option<Cow<'a, str>> {
        match self {
            Self::Path(path) => path.find(input.document),
            Self::Alias(alias) => alias.find(input),
            Self::Literal(text) => Some(Cow::Borrowed(text)),
        }
    }
}

impl Aside {
    /// Reads the name behind `unmapped:`. The error is the sentence to show.
    pub(super) fn parse(name: &str) -> Result<Self, String> {
        let alias = Alias::parse(name).ok_or_else(|| format!("{} is followed by no name", quote(ALIAS_PREFIX)))?;
        Ok(Self { alias, attribute: None })
    }

    fn find<'a>(&self, input: Input<'a>) -> Option<Cow<'a, str>> {
        self.alias.find(input.unmapped).or_else(|| {
            let (urn, name) = self.attribute?;
            scalar(input.document.get(urn)?.get(name)?)
        })
    }

    fn bind(&mut self, user: &'static ResourceType) {
        let takes = |declared: &&Declared| declared.aliases.iter().any(|alias| alias.is_same(&self.alias));
        self.attribute = user.declared.iter().find(takes).map(|declared| (declared.schema.id, declared.attribute.name));
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
