//! The resource as we keep it (RFC 7643 §2, §3), and the one door into it.
//!
//! Behind [`Document::read`] names have their canonical spelling, only known attributes remain, each value has its declared
//! kind, multi-valued attributes are arrays, there is no null and no empty array, at most one value is primary and dateTimes
//! are in UTC. So equality means "nothing changed" and no later step checks again.
//!
//! What a client may not write is not in a document: `id`, `meta`, a user's `groups`, a group's `members` (rows of their own),
//! `password`.

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::scim::catalog;
use crate::scim::declared;
use crate::scim::error::{ScimError, quote, quote_json};
use crate::scim::quirks;
use crate::scim::reader::Reader;
use crate::scim::schema::{Attribute, Kind, Mutability, ResourceType, Returned};
use crate::scim::secret::Secret;
use crate::scim::text::{self, KEY_MAX_BYTES, LONG_VALUE_MAX_CHARS, TEXT_MAX_CHARS};
use crate::scim::value::read_value;

/// Most bytes of unknown attributes that are kept aside for one resource, as JSON.
pub const UNMAPPED_MAX_BYTES: usize = 65_536;

/// A user or group in canonical form.
#[derive(Debug, Clone, PartialEq)]
pub struct Document(Map<String, Value>);

/// What came through the door.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The resource.
    pub document: Document,
    /// What is in no schema: kept aside, never echoed.
    pub unmapped: Map<String, Value>,
    /// The members of a group; `None` when the body does not speak of them.
    pub members: Option<Vec<Uuid>>,
    /// The password of a user.
    pub password: Option<Secret>,
}

impl Document {
    /// Reads a whole resource, as POST and PUT send it.
    ///
    /// # Errors
    /// 400 naming the attribute, the value and the rule.
    pub fn read(resource_type: &'static ResourceType, mut body: Map<String, Value>, reader: &mut Reader) -> Result<Reading, ScimError> {
        check_schemas(resource_type, crate::scim::json::take(&mut body, "schemas"), reader)?;
        let password = read_password(resource_type, &mut body, reader)?;
        let members = match crate::scim::json::take(&mut body, "members") {
            Some(value) if is_group(resource_type) => Some(read_members(value, reader)?),
            Some(value) => {
                body.insert("members".into(), value);
                None
            }
            None => None,
        };
        let mut unmapped = Map::new();
        let mut map = Map::with_capacity(body.len());
        let mut extensions = Vec::new();
        for schema in resource_type.extensions {
            if let Some(value) = crate::scim::json::take(&mut body, schema.id) {
                extensions.push((*schema, value));
            }
        }
        read_attributes(resource_type.common, &mut body, "", &mut map, reader)?;
        read_attributes(resource_type.schema.attributes, &mut body, "", &mut map, reader)?;
        set_aside("", body, &mut unmapped, reader)?;
        for (schema, value) in extensions {
            let prefix = format!("{}:", schema.id);
            let Value::Object(mut object) = value else {
                let is_nothing = match &value {
                    Value::String(text) => quirks::entra_clears_with_an_empty_string(text, schema.id, reader),
                    other => is_unassigned(other),
                };
                if is_nothing {
                    continue;
                }
                return Err(ScimError::invalid_value(format!("{} is {}; an object is expected", schema.id, quote_json(&value))));
            };
            if schema.declared {
                for (name, value) in &mut object {
                    *value = quirks::okta_sends_a_custom_attribute_of_another_type(value.take(), &format!("{prefix}{name}"), reader);
                }
            }
            let mut inner = Map::with_capacity(object.len());
            read_attributes(schema.attributes, &mut object, &prefix, &mut inner, reader)?;
            let mut unknown = Map::new();
            set_aside(&prefix, object, &mut unknown, reader)?;
            if !inner.is_empty() {
                map.insert(schema.id.into(), Value::Object(inner));
            }
            if !unknown.is_empty() {
                unmapped.insert(schema.id.into(), Value::Object(unknown));
            }
        }
        quirks::jumpcloud_leaves_out_active(resource_type, &mut map, reader);
        quirks::keycloak_reads_display_name_unguarded(resource_type, &mut map, reader);
        check_unmapped(&unmapped)?;
        if !resource_type.declared.is_empty() {
            declared::supersede(resource_type, &map, &mut unmapped);
            declared::take_in(resource_type, &mut map, &mut unmapped);
        }
        let document = Self::settle(resource_type, map)?;
        Ok(Reading { document, unmapped, members, password })
    }

    /// Brings attributes that are canonical one by one into the canonical whole: required ones present, `schemas` naming what is
    /// there, the order of the schema. PATCH ends here.
    ///
    /// # Errors
    /// 400 `invalidValue` when a required attribute is missing.
    pub fn settle(resource_type: &'static ResourceType, mut map: Map<String, Value>) -> Result<Self, ScimError> {
        for attribute in resource_type.schema.attributes {
            if attribute.required && !map.contains_key(attribute.name) {
                return Err(ScimError::invalid_value(format!("{} is missing; a {} must have one", attribute.name, resource_type.name)));
            }
        }
        let mut schemas = vec![Value::from(resource_type.schema.id)];
        schemas.extend(resource_type.extensions.iter().filter(|schema| map.contains_key(schema.id)).map(|schema| schema.id.into()));
        let mut ordered = Map::with_capacity(map.len() + 1);
        ordered.insert("schemas".into(), Value::Array(schemas));
        let names = resource_type.common.iter().chain(resource_type.schema.attributes).map(|attribute| attribute.name);
        for name in names.chain(resource_type.extensions.iter().map(|schema| schema.id)).filter(|name| *name != "schemas") {
            // What is left over is dropped, so its order does not matter.
            if let Some((name, value)) = map.swap_remove_entry(name) {
                ordered.insert(name, value);
            }
        }
        Ok(Self(ordered))
    }

    /// A document that this server stored.
    ///
    /// # Errors
    /// The parser's message when the text is not a JSON object: the database was changed from outside.
    pub fn from_stored(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text).map(Self)
    }

    /// The attributes.
    #[must_use]
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }

    /// The attributes, for changing.
    #[must_use]
    pub fn into_map(self) -> Map<String, Value> {
        self.0
    }

    /// Canonical JSON text, as it is stored and sent.
    #[must_use]
    pub fn to_text(&self) -> String {
        serde_json::to_string(&self.0).expect("a map of JSON values is JSON")
    }

    /// A singular text attribute of the core schema.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    /// Whether the user may work: absent means yes.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.0.get("active").and_then(Value::as_bool).unwrap_or(true)
    }

    /// The names of the attributes in which two documents differ; inside an extension with its URN.
    #[must_use]
    pub fn changed_attributes(&self, other: &Self) -> Vec<String> {
        let mut changed = Vec::new();
        let names = |a: &Map<String, Value>, b: &Map<String, Value>| -> Vec<String> {
            let all = a.keys().chain(b.keys().filter(|name| !a.contains_key(*name)));
            all.filter(|name| a.get(*name) != b.get(*name)).cloned().collect()
        };
        for name in names(&self.0, &other.0).into_iter().filter(|name| name != "schemas") {
            if name.starts_with("urn:") {
                let object = |document: &Self| document.0.get(&name).and_then(Value::as_object).cloned().unwrap_or_default();
                changed.extend(names(&object(self), &object(other)).into_iter().map(|inner| format!("{name}:{inner}")));
            } else {
                changed.push(name);
            }
        }
        changed
    }

    /// The document once more for searching: lower-case names, folded text wherever the schema says `caseExact` false,
    /// dateTimes in one width.
    #[must_use]
    pub fn folded(&self, resource_type: &ResourceType, id: Uuid) -> Value {
        let mut folded = Map::with_capacity(self.0.len() + 1);
        folded.insert("id".into(), id.to_string().into());
        for (name, value) in &self.0 {
            if let Some(attribute) = resource_type.core_attribute(name) {
                folded.insert(name.to_ascii_lowercase(), fold_value(attribute, value));
            } else if let (Some(schema), Value::Object(object)) = (resource_type.extension(name), value) {
                folded.insert(name.to_ascii_lowercase(), fold_object(schema.attributes, object));
            }
        }
        Value::Object(folded)
    }
}

/// Reads every attribute of a table out of an object and leaves what the table does not know.
fn read_attributes(
    attributes: &'static [Attribute],
    input: &mut Map<String, Value>,
    prefix: &str,
    output: &mut Map<String, Value>,
    reader: &mut Reader,
) -> Result<(), ScimError> {
    for attribute in attributes {
        let Some(value) = crate::scim::json::take(input, attribute.name) else { continue };
        // RFC 7644 §3.3: "Attributes whose mutability is 'readOnly' ... SHALL be ignored".
        if attribute.mutability == Mutability::ReadOnly || attribute.returned == Returned::Never {
            continue;
        }
        if let Some(value) = read_value(attribute, value, &[prefix, attribute.name].concat(), reader)? {
            output.insert(attribute.name.into(), value);
        }
    }
    Ok(())
}

/// Keeps unknown attributes aside, or refuses them on a strict connection.
fn set_aside(prefix: &str, unknown: Map<String, Value>, aside: &mut Map<String, Value>, reader: &mut Reader) -> Result<(), ScimError> {
    for (name, value) in unknown {
        let at = format!("{prefix}{name}");
        if !quirks::jumpcloud_sends_unknown_attributes(&at, reader) {
            return Err(ScimError::invalid_syntax(format!("{} is not an attribute of this resource", quote(&at))));
        }
        if !is_unassigned(&value) {
            aside.insert(name, value);
        }
    }
    Ok(())
}

/// RFC 7643 §2.5: null and the empty array are "unassigned".
#[must_use]
pub(crate) fn is_unassigned(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(values) => values.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

/// Refuses unknown attributes when they are too many.
///
/// # Errors
/// 400 `invalidValue`.
pub(crate) fn check_unmapped(unmapped: &Map<String, Value>) -> Result<(), ScimError> {
    if unmapped.is_empty() {
        return Ok(());
    }
    let text = serde_json::to_string(unmapped).expect("a map of JSON values is JSON");
    if text.len() > UNMAPPED_MAX_BYTES {
        return Err(ScimError::invalid_value(format!(
            "the attributes that are in no schema take {} bytes; the limit is {UNMAPPED_MAX_BYTES}",
            text.len()
        )));
    }
    Ok(())
}

fn no_uris(value: &Value) -> ScimError {
    ScimError::invalid_value(format!("schemas is {}; an array of schema URIs is expected", quote_json(value)))
}

/// RFC 7643 §3: `schemas` names the type's own URIs, at least one, none twice.
fn check_schemas(resource_type: &ResourceType, value: Option<Value>, reader: &mut Reader) -> Result<(), ScimError> {
    let listed = match value {
        Some(Value::Array(listed)) => listed,
        None | Some(Value::Null) if quirks::onelogin_lists_unknown_schemas("schemas", reader) => return Ok(()),
        None | Some(Value::Null) => return Err(ScimError::invalid_syntax("schemas is missing")),
        Some(one @ Value::String(_)) => quirks::onelogin_sends_one_value_for_a_list(one, "schemas", reader).map_err(|one| no_uris(&one))?,
        Some(other) => return Err(no_uris(&other)),
    };
    let mut seen = Vec::new();
    for uri in &listed {
        if uri.is_null() && quirks::onelogin_lists_unknown_schemas("schemas", reader) {
            continue;
        }
        let Some(uri) = uri.as_str() else {
            return Err(ScimError::invalid_value(format!("schemas holds {}; schema URIs are expected", quote_json(uri))));
        };
        let known = resource_type.schema.id.eq_ignore_ascii_case(uri) || resource_type.extension(uri).is_some();
        if !known && !quirks::onelogin_lists_unknown_schemas(uri, reader) {
            return Err(ScimError::invalid_syntax(format!(
                "schemas names {}, which is not a schema of {}",
                quote(uri),
                resource_type.name
            )));
        }
        if !reader.is_lenient() && seen.iter().any(|other: &&str| other.eq_ignore_ascii_case(uri)) {
            return Err(ScimError::invalid_syntax(format!("schemas names {} twice", quote(uri))));
        }
        seen.push(uri);
    }
    if !reader.is_lenient() && !seen.iter().any(|uri| uri.eq_ignore_ascii_case(resource_type.schema.id)) {
        return Err(ScimError::invalid_syntax(format!("schemas does not name {}", resource_type.schema.id)));
    }
    Ok(())
}

fn read_password(resource_type: &ResourceType, body: &mut Map<String, Value>, reader: &mut Reader) -> Result<Option<Secret>, ScimError> {
    let Some(attribute) = resource_type.core_attribute("password") else { return Ok(None) };
    let Some(value) = crate::scim::json::take(body, attribute.name) else { return Ok(None) };
    match value {
        Value::Null => Ok(None),
        // RFC 7643 §2.5: an empty array is no value, too.
        Value::Array(values) if values.is_empty() => Ok(None),
        Value::String(text) if quirks::entra_clears_with_an_empty_string(&text, attribute.name, reader) => Ok(None),
        Value::String(text) if text.chars().count() > TEXT_MAX_CHARS => {
            Err(ScimError::invalid_value(format!("password is longer than {TEXT_MAX_CHARS} characters")))
        }
        Value::String(text) => Ok(Some(Secret::new(text))),
        // The value is not quoted: it may be a secret of the wrong type.
        _ => Err(ScimError::invalid_value("password is not a string")),
    }
}

fn is_group(resource_type: &ResourceType) -> bool {
    resource_type.name == catalog::GROUP.name
}

/// Reads members as POST, PUT and PATCH list them: `[{"value": id, …}]`. What else stands there is ours to say, not the client's.
///
/// # Errors
/// 400 `invalidValue` naming the element.
pub(crate) fn read_members(value: Value, reader: &mut Reader) -> Result<Vec<Uuid>, ScimError> {
    read_member_ids(value, reader, &|id| Err(unknown_member(id)))
}

/// Reads members to be removed: what is no id cannot be a member, and removing it has already happened.
///
/// # Errors
/// 400 `invalidValue` naming the element when it has no `value`.
pub(crate) fn read_members_to_remove(value: Value, reader: &mut Reader) -> Result<Vec<Uuid>, ScimError> {
    read_member_ids(value, reader, &|_| Ok(()))
}

fn read_member_ids(value: Value, reader: &mut Reader, no_id: &dyn Fn(&str) -> Result<(), ScimError>) -> Result<Vec<Uuid>, ScimError> {
    let values = match value {
        Value::Null => return Ok(Vec::new()),
        Value::Array(values) => values,
        one => match quirks::onelogin_sends_one_value_for_a_list(one, "members", reader) {
            Ok(values) => values,
            Err(value) => {
                return Err(ScimError::invalid_value(format!(
                    "members is {}; an array of objects with value is expected",
                    quote_json(&value)
                )));
            }
        },
    };
    reader.check_count("members", values.len(), reader.limits.members)?;
    let attribute = catalog::GROUP.core_attribute("members").expect("the catalog has members");
    let mut ids = Vec::with_capacity(values.len());
    for (index, value) in values.into_iter().enumerate() {
        let at = || format!("members[{index}]");
        let object = match value {
            Value::Object(object) => object,
            Value::Null => continue,
            other => match quirks::entra_sends_a_bare_string_for_a_complex_value(attribute, &other, "members", reader) {
                Some(Value::Object(object)) => object,
                _ => return Err(ScimError::invalid_value(format!("{} is {}; an object is expected", at(), quote_json(&other)))),
            },
        };
        let text = member_text(&object, &at)?;
        match parse_id(text) {
            Some(id) => ids.push(id),
            None => no_id(text)?,
        }
    }
    // Sorted, so that two requests that add the same members lock them in the same order.
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

fn member_text<'a>(object: &'a Map<String, Value>, at: &dyn Fn() -> String) -> Result<&'a str, ScimError> {
    let named = |name: &str| object.iter().find(|(key, value)| key.eq_ignore_ascii_case(name) && !value.is_null()).map(|(_, value)| value);
    match (named("value"), named("$ref")) {
        (Some(Value::String(id)), _) => Ok(id.as_str()),
        (Some(other), _) => {
            Err(ScimError::invalid_value(format!("{}.value is {}; the id of a user or group is expected", at(), quote_json(other))))
        }
        (None, Some(Value::String(reference))) => Ok(reference.rsplit('/').next().unwrap_or_default()),
        (None, _) => Err(ScimError::invalid_value(format!("{}.value is missing", at()))),
    }
}

/// The refusal of a member that does not exist in the tenant: the same words whether it is no id at all or an unknown one.
#[must_use]
pub fn unknown_member(id: &str) -> ScimError {
    ScimError::invalid_value(format!("members names {}, which is not the id of a user or group", quote(id)))
}

/// An id as we issue it: a UUID in its one canonical spelling. Anything else is an unknown id.
#[must_use]
pub fn parse_id(text: &str) -> Option<Uuid> {
    let id = Uuid::try_parse(text).ok()?;
    (text.len() == 36 && text.bytes().all(|b| !b.is_ascii_uppercase())).then_some(id)
}

/// The key under which an identifier is unique and looked up.
///
/// # Errors
/// 400 `invalidValue` when it is blank or too long.
pub fn unique_key(attribute: &str, value: &str) -> Result<String, ScimError> {
    let key = text::fold(value);
    if key.trim().is_empty() {
        return Err(ScimError::invalid_value(format!("{attribute} is empty")));
    }
    if key.len() > KEY_MAX_BYTES {
        return Err(ScimError::invalid_value(format!("{attribute} is longer than {KEY_MAX_BYTES} bytes")));
    }
    Ok(key)
}

/// Checks the characters and the length of a text value.
///
/// # Errors
/// 400 `invalidValue` naming the attribute and the rule.
pub(crate) fn check_text(attribute: &Attribute, text: &str, at: &str) -> Result<(), ScimError> {
    let max = if matches!(attribute.kind, Kind::Reference | Kind::Binary) { LONG_VALUE_MAX_CHARS } else { TEXT_MAX_CHARS };
    if text.len() > max && text.chars().count() > max {
        return Err(ScimError::invalid_value(format!("{at} is longer than {max} characters")));
    }
    // By the attribute and not by `at`, which a PATCH may spell in any letter case or with a URN.
    let is_identifier = matches!(attribute.name, "userName" | "externalId" | "displayName");
    if attribute.name == "externalId" && text.len() > KEY_MAX_BYTES {
        return Err(ScimError::invalid_value(format!("{at} is longer than {KEY_MAX_BYTES} bytes")));
    }
    let forbidden = if is_identifier { text::forbidden_in_identifier(text) } else { text::forbidden_control(text) };
    match forbidden {
        Some(c) => Err(ScimError::invalid_value(format!("{at} holds the character U+{:04X}, which is not allowed", c as u32))),
        None => Ok(()),
    }
}

fn fold_value(attribute: &Attribute, value: &Value) -> Value {
    match value {
        Value::Array(values) => Value::Array(values.iter().map(|value| fold_value(attribute, value)).collect()),
        Value::Object(object) => fold_object(attribute.sub_attributes, object),
        Value::String(text) => Value::String(fold_text(attribute, text)),
        other => other.clone(),
    }
}

fn fold_object(attributes: &'static [Attribute], object: &Map<String, Value>) -> Value {
    let mut folded = Map::with_capacity(object.len());
    for (name, value) in object {
        if let Some(attribute) = attributes.iter().find(|attribute| attribute.name == name) {
            folded.insert(name.to_ascii_lowercase(), fold_value(attribute, value));
        }
    }
    Value::Object(folded)
}

/// One text value in the form in which it is compared.
#[must_use]
pub(crate) fn fold_text(attribute: &Attribute, value: &str) -> String {
    if attribute.kind == Kind::DateTime {
        return text::parse_date_time(value).map(text::sortable_date_time).unwrap_or_default();
    }
    if attribute.folds_case() { text::fold(value) } else { value.to_owned() }
}
