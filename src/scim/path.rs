//! The path of a PATCH operation (RFC 7644 §3.5.2, figure 7): `attrPath / valuePath [subAttr]`, resolved against the schema.

use crate::scim::error::{ScimError, ScimType, quote};
use crate::scim::filter::Filter;
use crate::scim::quirks;
use crate::scim::reader::Reader;
use crate::scim::schema::{AttrPath, Attribute, Kind, Name, ResourceType, Schema};

/// Longest path without its filter, in characters.
const NAME_MAX_CHARS: usize = 1_024;

/// Where an operation works.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// The attribute; its `sub` is always `None`.
    pub path: AttrPath,
    /// Selects values of a multi-valued attribute.
    pub filter: Option<Filter>,
    /// The part of the attribute, or of each selected value.
    pub sub: Option<&'static Attribute>,
    /// The path as the client wrote it.
    pub text: String,
}

/// A parsed path.
#[derive(Debug, Clone, PartialEq)]
pub enum Path {
    /// Something in the schema.
    Place(Place),
    /// All of the core schema, by its URN.
    Core,
    /// A whole extension, by its URN.
    Extension(&'static Schema),
    /// Well formed, but nothing of this resource type.
    Unknown,
}

impl Path {
    /// Parses and resolves a path.
    ///
    /// # Errors
    /// 400 `invalidPath` when it is malformed.
    pub fn parse(resource_type: &'static ResourceType, text: &str, reader: &mut Reader) -> Result<Self, ScimError> {
        let text = text.trim();
        let (name, bracket) = match text.find('[') {
            Some(at) => (text[..at].trim_end(), Some(&text[at + 1..])),
            None => (text, None),
        };
        check_name(name, text)?;
        let path = match (resource_type.resolve(name), bracket) {
            _ if resource_type.has_dot_behind_urn(name) && !quirks::entra_writes_a_dot_behind_a_urn(name, reader) => {
                return Ok(Self::Unknown);
            }
            (Name::Attribute(path), _) if is_short(&path, name) && !quirks::entra_names_extensions_without_their_urn(name, reader) => {
                return Ok(Self::Unknown);
            }
            (Name::Attribute(path), _) => path,
            (Name::Core, None) => return Ok(Self::Core),
            (Name::Extension(schema), None) => return Ok(Self::Extension(schema)),
            (Name::Unknown(_), _) => return Ok(Self::Unknown),
            (Name::Core | Name::Extension(_), Some(_)) => return Err(invalid(text, "a schema has no values to filter")),
        };
        let Some(bracket) = bracket else {
            let sub = path.sub;
            return Ok(Self::Place(Place { path: AttrPath { sub: None, ..path }, filter: None, sub, text: text.to_owned() }));
        };
        if path.sub.is_some() || !path.attribute.multi_valued || path.attribute.kind != Kind::Complex {
            return Err(invalid(text, "only a multi-valued attribute with sub-attributes can be filtered"));
        }
        let (filter, rest) = Filter::parse_in_brackets(resource_type, path, bracket, reader)
            .map_err(|error| ScimError { scim_type: Some(ScimType::InvalidPath), ..error })?;
        let sub = match rest.strip_prefix('.') {
            None if rest.is_empty() => None,
            None => return Err(invalid(text, "nothing but a sub-attribute can follow the bracket")),
            // figure 7: subAttr = "." ATTRNAME, one name and no more.
            Some(name) if !is_attribute_name(name) => return Err(invalid(text, "a sub-attribute is expected behind the bracket")),
            Some(name) => match path.attribute.sub(name) {
                Some(sub) => Some(sub),
                None => return Ok(Self::Unknown),
            },
        };
        Ok(Self::Place(Place { path, filter: Some(filter), sub, text: text.to_owned() }))
    }
}

/// An attribute of an extension that is named without the extension's URN.
pub(crate) fn is_short(path: &AttrPath, name: &str) -> bool {
    path.extension.is_some() && !name.contains(':')
}

/// `ATTRNAME = ALPHA *(nameChar)`, `$ref` aside, at most one sub-attribute, a URN in front (RFC 7644 §3.10).
fn check_name(name: &str, text: &str) -> Result<(), ScimError> {
    if name.chars().count() > NAME_MAX_CHARS {
        return Err(invalid(text, &format!("a path is at most {NAME_MAX_CHARS} characters long")));
    }
    let (urn, local) = match name.rsplit_once(':') {
        Some((urn, local)) => (Some(urn), local),
        None => (None, name),
    };
    let is_urn =
        urn.is_none_or(|urn| !urn.is_empty() && urn.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '"' | '[' | ']' | '(' | ')')));
    let mut parts = local.split('.');
    // A version such as `2.0` may stand in a URN that ends with it.
    let well_formed = urn.is_some() || (parts.clone().count() <= 2 && parts.all(is_attribute_name));
    if !is_urn || !well_formed || local.is_empty() {
        return Err(invalid(text, "an attribute name is expected"));
    }
    Ok(())
}

fn is_attribute_name(name: &str) -> bool {
    let name = if name == "$ref" { "ref" } else { name };
    // Mappings of Entra ID and OneLogin hold names with blanks (`job Title`): well formed enough to be set aside.
    name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | ' '))
}

fn invalid(text: &str, why: &str) -> ScimError {
    ScimError::invalid_path(format!("the path {} is not valid: {why}", quote(text)))
}
