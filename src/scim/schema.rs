//! What a schema is (RFC 7643 §2, §6, §7): attributes with their characteristics, the resource types made of them, and the
//! one place where an attribute's name is looked up. The tables themselves are in `catalog`; parsing, filters, PATCH,
//! projection and the `/Schemas` answer all read these types, so nothing about an attribute is written twice.

use std::fmt;

use crate::scim::aside::Alias;

/// The data type of an attribute (RFC 7643 §2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A sequence of Unicode characters (§2.3.1).
    String,
    /// `true` or `false` (§2.3.2).
    Boolean,
    /// A real number (§2.3.3).
    Decimal,
    /// A whole number (§2.3.4).
    Integer,
    /// An instant, `xsd:dateTime` (§2.3.5).
    DateTime,
    /// Base64 (§2.3.6).
    Binary,
    /// A URI (§2.3.7).
    Reference,
    /// An object of sub-attributes (§2.3.8).
    Complex,
}

impl Kind {
    /// The name in a published schema (RFC 7643 §7).
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Boolean => "boolean",
            Self::Decimal => "decimal",
            Self::Integer => "integer",
            Self::DateTime => "dateTime",
            Self::Binary => "binary",
            Self::Reference => "reference",
            Self::Complex => "complex",
        }
    }
}

/// When a client may set a value (RFC 7643 §7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutability {
    /// Never: what a client sends is ignored.
    ReadOnly,
    /// At any time.
    ReadWrite,
    /// Once.
    Immutable,
    /// At any time, and it is never returned.
    WriteOnly,
}

impl Mutability {
    /// The name in a published schema.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ReadOnly => "readOnly",
            Self::ReadWrite => "readWrite",
            Self::Immutable => "immutable",
            Self::WriteOnly => "writeOnly",
        }
    }
}

/// When a value is part of an answer (RFC 7643 §7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Returned {
    /// In every answer.
    Always,
    /// In no answer.
    Never,
    /// Unless `attributes` or `excludedAttributes` say otherwise.
    Default,
    /// Only when `attributes` names it.
    Request,
}

impl Returned {
    /// The name in a published schema.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::Never => "never",
            Self::Default => "default",
            Self::Request => "request",
        }
    }
}

/// Whether two resources may have the same value (RFC 7643 §7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uniqueness {
    /// They may.
    None,
    /// Not within one tenant.
    Server,
    /// Not anywhere.
    Global,
}

impl Uniqueness {
    /// The name in a published schema.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Server => "server",
            Self::Global => "global",
        }
    }
}

/// One attribute and its characteristics. Built in `catalog` from [`attribute`], which starts at the defaults of
/// RFC 7643 §2.2.
#[derive(Debug, PartialEq, Eq)]
pub struct Attribute {
    /// The name in its canonical spelling.
    pub name: &'static str,
    /// The data type.
    pub kind: Kind,
    /// An array of values.
    pub multi_valued: bool,
    /// A resource cannot be without it.
    pub required: bool,
    /// Upper and lower case are different values.
    pub case_exact: bool,
    /// When a client may set it.
    pub mutability: Mutability,
    /// When it is returned.
    pub returned: Returned,
    /// Whether it repeats.
    pub uniqueness: Uniqueness,
    /// Suggested values.
    pub canonical_values: &'static [&'static str],
    /// What a reference may point to.
    pub reference_types: &'static [&'static str],
    /// For a person.
    pub description: &'static str,
    /// The parts of a complex attribute.
    pub sub_attributes: &'static [Attribute],
}

/// An attribute with the default characteristics of RFC 7643 §2.2: optional, singular, caseExact false, readWrite,
/// returned by default, not unique.
#[must_use]
pub const fn attribute(name: &'static str, kind: Kind, description: &'static str) -> Attribute {
    Attribute {
        name,
        kind,
        multi_valued: false,
        required: false,
        case_exact: false,
        mutability: Mutability::ReadWrite,
        returned: Returned::Default,
        uniqueness: Uniqueness::None,
        canonical_values: &[],
        reference_types: &[],
        description,
        sub_attributes: &[],
    }
}

impl Attribute {
    /// The sub-attribute of this name, in any letter case (RFC 7643 §2.1).
    #[must_use]
    pub fn sub(&self, name: &str) -> Option<&'static Attribute> {
        find(self.sub_attributes, name)
    }

    /// Whether comparisons fold case: only text that is not `caseExact` does.
    #[must_use]
    pub fn folds_case(&self) -> bool {
        matches!(self.kind, Kind::String | Kind::Reference) && !self.case_exact
    }
}

/// A set of attributes under a URN (RFC 7643 §7).
#[derive(Debug, PartialEq, Eq)]
pub struct Schema {
    /// The URN.
    pub id: &'static str,
    /// For a person.
    pub name: &'static str,
    /// For a person.
    pub description: &'static str,
    /// The attributes, in the order in which a resource shows them.
    pub attributes: &'static [Attribute],
    /// Whether a tenant declared it: its attributes are texts of their provider's making.
    pub declared: bool,
}

/// A kind of resource (RFC 7643 §6).
#[derive(Debug, PartialEq, Eq)]
pub struct ResourceType {
    /// The name and id, `User`.
    pub name: &'static str,
    /// The path under a base, `/Users`.
    pub endpoint: &'static str,
    /// For a person.
    pub description: &'static str,
    /// The core schema.
    pub schema: &'static Schema,
    /// Schema extensions; none of ours is required.
    pub extensions: &'static [&'static Schema],
    /// `id`, `externalId`, `meta` and `schemas` (RFC 7643 §3.1): in every resource, in no published schema.
    pub common: &'static [Attribute],
    /// The attributes that a tenant declared, and where else their values may arrive.
    pub declared: &'static [Declared],
}

/// An attribute that a tenant declared.
#[derive(Debug, PartialEq, Eq)]
pub struct Declared {
    /// The extension it lies in.
    pub schema: &'static Schema,
    /// The attribute.
    pub attribute: &'static Attribute,
    /// The names under which its value arrives in other places, in the order in which they are looked up.
    pub aliases: &'static [Alias],
}

/// A resolved attribute name: where the value lies in a resource and what the schema says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttrPath {
    /// The extension's schema when the attribute lies under an extension's URN.
    pub extension: Option<&'static Schema>,
    /// The attribute.
    pub attribute: &'static Attribute,
    /// The sub-attribute, when one is named.
    pub sub: Option<&'static Attribute>,
}

impl AttrPath {
    /// The attribute whose values the path selects: the sub-attribute when one is named.
    #[must_use]
    pub fn leaf(&self) -> &'static Attribute {
        self.sub.unwrap_or(self.attribute)
    }
}

impl fmt::Display for AttrPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(schema) = self.extension {
            write!(f, "{}:", schema.id)?;
        }
        f.write_str(self.attribute.name)?;
        match self.sub {
            Some(sub) => write!(f, ".{}", sub.name),
            None => Ok(()),
        }
    }
}

/// What a name stands for in a resource type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name<'a> {
    /// An attribute or sub-attribute.
    Attribute(AttrPath),
    /// The whole core schema, named by its URN.
    Core,
    /// A whole extension, named by its URN.
    Extension(&'static Schema),
    /// Nothing: the part of the name that is not known.
    Unknown(&'a str),
}

impl ResourceType {
    /// Looks up a name as it stands in a filter, a PATCH path, `attributes` or a path-less PATCH key: letter case is
    /// free (RFC 7643 §2.1), a schema URN may stand in front (RFC 7644 §3.10), and an attribute of an extension may be
    /// named without its URN when the core schema has none of that name (Entra ID sends `manager`).
    #[must_use]
    pub fn resolve<'a>(&self, name: &'a str) -> Name<'a> {
        if let Some(rest) = strip_urn(name, self.schema.id) {
            if rest.is_empty() {
                return Name::Core;
            }
            return self.resolve_in(None, rest).unwrap_or(Name::Unknown(rest));
        }
        for extension in self.extensions {
            if let Some(rest) = strip_urn(name, extension.id) {
                if rest.is_empty() {
                    return Name::Extension(extension);
                }
                return self.resolve_in(Some(extension), rest).unwrap_or(Name::Unknown(rest));
            }
        }
        self.resolve_in(None, name)
            .or_else(|| self.extensions.iter().find_map(|schema| self.resolve_in(Some(schema), name)))
            .unwrap_or(Name::Unknown(name))
    }

    /// Whether a dot stands between a schema URN of this type and the attribute behind it.
    #[must_use]
    pub fn has_dot_behind_urn(&self, name: &str) -> bool {
        let dotted =
            |urn: &str| name.get(..urn.len()).is_some_and(|head| head.eq_ignore_ascii_case(urn)) && name[urn.len()..].starts_with('.');
        dotted(self.schema.id) || self.extensions.iter().any(|schema| dotted(schema.id))
    }

    /// The core or common attribute of this name, in any letter case.
    #[must_use]
    pub fn core_attribute(&self, name: &str) -> Option<&'static Attribute> {
        find(self.schema.attributes, name).or_else(|| find(self.common, name))
    }

    /// The extension whose URN this is, in any letter case.
    #[must_use]
    pub fn extension(&self, urn: &str) -> Option<&'static Schema> {
        self.extensions.iter().find(|schema| schema.id.eq_ignore_ascii_case(urn)).copied()
    }

    fn resolve_in<'a>(&self, extension: Option<&'static Schema>, name: &'a str) -> Option<Name<'a>> {
        let (first, rest) = match name.split_once('.') {
            Some((first, rest)) => (first, Some(rest)),
            None => (name, None),
        };
        let attribute = match extension {
            Some(schema) => find(schema.attributes, first)?,
            None => self.core_attribute(first)?,
        };
        let sub = match rest {
            None => None,
            Some(rest) => match attribute.sub(rest) {
                Some(sub) => Some(sub),
                None => return Some(Name::Unknown(rest)),
            },
        };
        Some(Name::Attribute(AttrPath { extension, attribute, sub }))
    }
}

/// What follows a schema URN at the start of a name: after a colon, or after the dot that Entra ID's old connector writes
/// (`urn:…:User.manager`). Empty when the name is the URN alone.
fn strip_urn<'a>(name: &'a str, urn: &str) -> Option<&'a str> {
    let head = name.get(..urn.len())?;
    if !head.eq_ignore_ascii_case(urn) {
        return None;
    }
    let rest = &name[urn.len()..];
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix([':', '.']) }
}

fn find(attributes: &'static [Attribute], name: &str) -> Option<&'static Attribute> {
    attributes.iter().find(|attribute| attribute.name.eq_ignore_ascii_case(name))
}
