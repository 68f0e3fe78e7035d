//! PATCH (RFC 7644 §3.5.2): reading a PatchOp. Every operation is resolved against the schema and every value read before
//! anything is touched, so a fault in the last operation leaves no trace of the first. `patch_apply` changes a document with
//! the result. A group's `members` are rows of their own: operations on them become [`MembersChange`]s.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::scim::catalog::{self, PATCH_OP_URN};
use crate::scim::document::{is_unassigned, parse_id, read_members, read_members_to_remove};
use crate::scim::error::{ScimError, quote, quote_json};
use crate::scim::filter::{Filter, Literal, Operator, Target};
use crate::scim::json::take;
use crate::scim::path::{Path, Place};
use crate::scim::quirks;
use crate::scim::reader::Reader;
use crate::scim::schema::{Attribute, Kind, Mutability, ResourceType, Returned, Schema};
use crate::scim::secret::Secret;
use crate::scim::value::{read_parts, read_singular, read_value};

/// A change of a group's members, as one set operation.
#[derive(Debug, Clone, PartialEq)]
pub enum MembersChange {
    /// These too.
    Add(Vec<Uuid>),
    /// Not these.
    Remove(Vec<Uuid>),
    /// Not those that match.
    RemoveWhere(Filter),
    /// Exactly these.
    Replace(Vec<Uuid>),
    /// None.
    Clear,
}

/// A PatchOp, resolved.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Patch {
    pub(crate) operations: Vec<Operation>,
    /// What happens to a group's members, in order.
    pub members: Vec<MembersChange>,
    /// A new password; `Some(None)` unassigns it.
    pub password: Option<Option<Secret>>,
}

/// How a value is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Add,
    Replace,
}

/// The new value of a place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Change {
    /// The whole value; `None` unassigns it.
    Whole(Option<Value>),
    /// Some sub-attributes; the others stay (§3.5.2.3).
    Parts(Vec<(&'static Attribute, Option<Value>)>),
}

/// One operation on a document.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Operation {
    Set { verb: Verb, place: Place, change: Change },
    Remove { place: Place, listed: Option<Vec<Value>> },
    RemoveExtension(&'static Schema),
    SetAside { name: String, value: Value },
}

impl Patch {
    /// Reads the body of a PATCH.
    ///
    /// # Errors
    /// 400: `invalidSyntax`, `invalidPath`, `noTarget`, `mutability` or `invalidValue`.
    pub fn read(resource_type: &'static ResourceType, mut body: Map<String, Value>, reader: &mut Reader) -> Result<Self, ScimError> {
        if !reader.is_lenient() && !names_patch_op(take(&mut body, "schemas").as_ref()) {
            return Err(ScimError::invalid_syntax(format!("schemas does not name {PATCH_OP_URN}")));
        }
        let operations = match take(&mut body, "Operations") {
            Some(Value::Array(operations)) => operations,
            Some(one @ Value::Object(_)) => quirks::onelogin_sends_one_value_for_a_list(one, "Operations", reader)
                .map_err(|_| ScimError::invalid_syntax("Operations is an object; an array is expected"))?,
            Some(other) => return Err(ScimError::invalid_syntax(format!("Operations is {}; an array is expected", quote_json(&other)))),
            None => return Err(ScimError::invalid_syntax("Operations is missing")),
        };
        if operations.is_empty() && !quirks::microsoft_sends_empty_operations(reader) {
            return Err(ScimError::invalid_value("Operations is empty; one or more operations are expected"));
        }
        reader.check_count("Operations", operations.len(), reader.limits.patch_operations)?;
        let mut patch = Self::default();
        for (index, operation) in operations.into_iter().enumerate() {
            patch.read_operation(resource_type, operation, reader).map_err(|error| error.at(&format!("Operations[{index}]")))?;
        }
        patch.check_members(reader)?;
        Ok(patch)
    }

    fn read_operation(&mut self, resource_type: &'static ResourceType, operation: Value, reader: &mut Reader) -> Result<(), ScimError> {
        let Value::Object(mut operation) = operation else { return Err(ScimError::invalid_syntax("an object is expected")) };
        let op = match take(&mut operation, "op") {
            Some(Value::String(op)) => op,
            _ => return Err(ScimError::invalid_syntax("op is missing; add, replace or remove is expected")),
        };
        let value = take(&mut operation, "value");
        let path = match take(&mut operation, "path") {
            None | Some(Value::Null) => None,
            Some(Value::String(path)) => Some(path),
            Some(other) => return Err(ScimError::invalid_path(format!("path is {}; a string is expected", quote_json(&other)))),
        };
        let verb = match op.to_ascii_lowercase().as_str() {
            "add" => Verb::Add,
            "replace" => Verb::Replace,
            "remove" => {
                // §3.5.2.2: "If "path" is unspecified, the operation fails with HTTP status code 400 and a scimType error code of noTarget."
                let path = path.ok_or_else(|| ScimError::no_target("a remove operation needs a path"))?;
                return self.read_remove(resource_type, &path, value, reader);
            }
            _ => return Err(ScimError::invalid_syntax(format!("op is {}; add, replace or remove is expected", quote(&op)))),
        };
        let value = match value {
            Some(value) => value,
            // Clearing clients leave it out; add with nothing to add is a fault.
            None if verb == Verb::Replace && path.is_some() => Value::Null,
            None => return Err(ScimError::invalid_value(format!("value is missing; {op} needs one"))),
        };
        match path {
            Some(path) => match Path::parse(resource_type, &path, reader)? {
                Path::Place(place) => self.read_set(verb, place, value, reader),
                Path::Core => self.read_keys(resource_type, verb, "", value, reader),
                Path::Extension(schema) => self.read_extension(resource_type, verb, schema, value, reader),
                Path::Unknown => self.read_unknown(resource_type, &path, value, reader),
            },
            None => self.read_keys(resource_type, verb, "", value, reader),
        }
    }

    /// A value without a path: an object of attributes, whose keys may be dotted, carry a URN or be a whole extension.
    fn read_keys(
        &mut self,
        resource_type: &'static ResourceType,
        verb: Verb,
        prefix: &str,
        value: Value,
        reader: &mut Reader,
    ) -> Result<(), ScimError> {
        let Value::Object(object) = value else {
            return Err(ScimError::invalid_value(format!(
                "value is {}; without a path an object of attributes is expected",
                quote_json(&value)
            )));
        };
        for (key, value) in object {
            // Every resource and message carries `schemas` (RFC 7643 §3); here, too, it only says what the other keys are.
            if key.eq_ignore_ascii_case("schemas") {
                continue;
            }
            let name = format!("{prefix}{key}");
            let path = match Path::parse(resource_type, &name, reader) {
                // A key that could be no attribute's name is unknown, as it is in a whole resource.
                Err(_) if !name.contains('[') => Path::Unknown,
                parsed => parsed?,
            };
            match path {
                Path::Place(place) if is_read_only(&place) => {
                    if !quirks::okta_repeats_read_only_attributes(&name, reader) {
                        return Err(read_only(&name));
                    }
                }
                Path::Place(place) => self.read_set(verb, place, value, reader)?,
                Path::Core => self.read_keys(resource_type, verb, "", value, reader)?,
                Path::Extension(schema) => self.read_extension(resource_type, verb, schema, value, reader)?,
                Path::Unknown => {
                    if !quirks::jumpcloud_sends_unknown_attributes(&name, reader) {
                        return Err(ScimError::invalid_syntax(format!("{} is not an attribute of {}", quote(&name), resource_type.name)));
                    }
                    self.operations.push(Operation::SetAside { name, value });
                }
            }
        }
        Ok(())
    }

    fn read_extension(
        &mut self,
        resource_type: &'static ResourceType,
        verb: Verb,
        schema: &'static Schema,
        value: Value,
        reader: &mut Reader,
    ) -> Result<(), ScimError> {
        if is_unassigned(&value) {
            self.operations.push(Operation::RemoveExtension(schema));
            return Ok(());
        }
        self.read_keys(resource_type, verb, &format!("{}:", schema.id), value, reader)
    }

    fn read_unknown(
        &mut self,
        resource_type: &'static ResourceType,
        path: &str,
        value: Value,
        reader: &mut Reader,
    ) -> Result<(), ScimError> {
        if !quirks::entra_patches_unknown_attributes(path, reader) {
            return Err(ScimError::invalid_path(format!("{} is not an attribute of {}", quote(path), resource_type.name)));
        }
        self.operations.push(Operation::SetAside { name: path.to_owned(), value });
        Ok(())
    }

    fn read_set(&mut self, verb: Verb, place: Place, value: Value, reader: &mut Reader) -> Result<(), ScimError> {
        if place.path.attribute.name == "schemas" {
            // The server lists the schemas that a resource uses (RFC 7643 §3); what a client says of them changes nothing.
            // So a strict connection takes it, too, but has nothing to note.
            quirks::okta_repeats_read_only_attributes("schemas", reader);
            return Ok(());
        }
        if is_read_only(&place) {
            return Err(read_only(&place.text));
        }
        if is_members(&place) {
            return self.read_members_set(verb, &place, value, reader);
        }
        if place.path.attribute.returned == Returned::Never {
            return self.read_password(value, reader);
        }
        let value = match place.path.extension {
            Some(schema) if schema.declared => quirks::okta_sends_a_custom_attribute_of_another_type(value, &place.text, reader),
            _ => value,
        };
        let change = read_change(&place, value, reader)?;
        if place.path.attribute.required && place.sub.is_none() && change == Change::Whole(None) {
            return Err(ScimError::invalid_value(format!("{} is empty; it must have a value", place.text)));
        }
        self.operations.push(Operation::Set { verb, place, change });
        Ok(())
    }

    fn read_remove(
        &mut self,
        resource_type: &'static ResourceType,
        path: &str,
        value: Option<Value>,
        reader: &mut Reader,
    ) -> Result<(), ScimError> {
        let place = match Path::parse(resource_type, path, reader)? {
            Path::Place(place) => place,
            Path::Extension(schema) => {
                self.operations.push(Operation::RemoveExtension(schema));
                return Ok(());
            }
            Path::Core => return Err(ScimError::mutability("a resource cannot be without its core schema")),
            Path::Unknown => return self.read_unknown(resource_type, path, Value::Null, reader),
        };
        if is_read_only(&place) {
            return Err(read_only(&place.text));
        }
        // §3.5.2.2: "If the attribute is required ..., the server SHALL return ... a "scimType" error code of "mutability"."
        if place.path.attribute.required && place.sub.is_none() {
            return Err(ScimError::mutability(format!("{} must have a value and cannot be removed", place.text)));
        }
        if is_members(&place) {
            return self.read_members_remove(&place, value, reader);
        }
        if place.path.attribute.returned == Returned::Never {
            self.password = Some(None);
            return Ok(());
        }
        let listed = match value {
            Some(value) if place.path.attribute.multi_valued && place.filter.is_none() && place.sub.is_none() && !value.is_null() => {
                let values = read_value(place.path.attribute, value, &place.text, reader)?;
                Some(values.and_then(|values| values.as_array().cloned()).unwrap_or_default())
            }
            _ => None,
        };
        self.operations.push(Operation::Remove { place, listed });
        Ok(())
    }

    fn read_password(&mut self, value: Value, reader: &mut Reader) -> Result<(), ScimError> {
        self.password = match value {
            Value::Null => Some(None),
            Value::Array(values) if values.is_empty() => Some(None),
            Value::String(text) if quirks::entra_clears_with_an_empty_string(&text, "password", reader) => Some(None),
            Value::String(text) if text.chars().count() <= crate::scim::text::TEXT_MAX_CHARS => Some(Some(Secret::new(text))),
            // The value is not quoted: it may be a secret.
            _ => return Err(ScimError::invalid_value("password is not a string, or is too long")),
        };
        Ok(())
    }

    fn read_members_set(&mut self, verb: Verb, place: &Place, value: Value, reader: &mut Reader) -> Result<(), ScimError> {
        if place.filter.is_some() || place.sub.is_some() {
            // RFC 7643 §4.2: "The values of the sub-attributes are immutable".
            return Err(ScimError::mutability(format!("{} cannot be changed; members are added and removed", place.text)));
        }
        let value = quirks::salesforce_wraps_members(&value, reader).unwrap_or(value);
        let ids = read_members(value, reader)?;
        self.members.push(match verb {
            Verb::Add => MembersChange::Add(ids),
            Verb::Replace => MembersChange::Replace(ids),
        });
        Ok(())
    }

    fn read_members_remove(&mut self, place: &Place, value: Option<Value>, reader: &mut Reader) -> Result<(), ScimError> {
        if place.sub.is_some() {
            return Err(ScimError::mutability(format!("{} cannot be changed; members are added and removed", place.text)));
        }
        let change = match (&place.filter, value) {
            (Some(filter), _) => match ids_of(filter) {
                Some(ids) => MembersChange::Remove(ids),
                None => MembersChange::RemoveWhere(filter.clone()),
            },
            (None, None | Some(Value::Null)) => MembersChange::Clear,
            // JumpCloud and Entra ID list the members to remove; taking this for "all" wipes the group.
            (None, Some(value)) => {
                let value = quirks::salesforce_wraps_members(&value, reader).unwrap_or(value);
                MembersChange::Remove(read_members_to_remove(value, reader)?)
            }
        };
        self.members.push(change);
        Ok(())
    }

    /// One operation per member adds up (authentik); the limit counts them all. However additions and removals alternate, they
    /// become one statement each: all that were added at some time, without those whose last operation is a removal.
    fn check_members(&mut self, reader: &Reader) -> Result<(), ScimError> {
        let mut merged = Vec::new();
        let mut single = Single::default();
        let mut named = 0;
        for change in std::mem::take(&mut self.members) {
            match change {
                MembersChange::Add(ids) => single.add(ids),
                MembersChange::Remove(ids) => single.remove(ids),
                other => {
                    named += single.flush(&mut merged);
                    if let MembersChange::Replace(ids) = &other {
                        named += ids.len();
                    }
                    merged.push(other);
                }
            }
        }
        named += single.flush(&mut merged);
        reader.check_count("members", named, reader.limits.members)?;
        self.members = merged;
        Ok(())
    }
}

/// Additions and removals of single members in a row.
#[derive(Default)]
struct Single(BTreeMap<Uuid, Ends>);

/// How a member comes out of them.
#[derive(Default)]
struct Ends {
    /// It was added at some time, so it must exist.
    added: bool,
    /// The last operation removes it.
    removed: bool,
}

impl Single {
    fn add(&mut self, ids: Vec<Uuid>) {
        for id in ids {
            self.0.insert(id, Ends { added: true, removed: false });
        }
    }

    fn remove(&mut self, ids: Vec<Uuid>) {
        for id in ids {
            self.0.entry(id).or_default().removed = true;
        }
    }

    /// Moves them over, the ids in order; gives how many members they name.
    fn flush(&mut self, merged: &mut Vec<MembersChange>) -> usize {
        let ends = std::mem::take(&mut self.0);
        let those = |is: fn(&Ends) -> bool| -> Vec<Uuid> { ends.iter().filter(|(_, ends)| is(ends)).map(|(id, _)| *id).collect() };
        let (added, removed) = (those(|ends| ends.added), those(|ends| ends.removed));
        if !added.is_empty() {
            merged.push(MembersChange::Add(added));
        }
        if !removed.is_empty() {
            merged.push(MembersChange::Remove(removed));
        }
        ends.len()
    }
}

fn names_patch_op(schemas: Option<&Value>) -> bool {
    let named = |value: &Value| value.as_str().is_some_and(|uri| uri.eq_ignore_ascii_case(PATCH_OP_URN));
    schemas.and_then(Value::as_array).is_some_and(|uris| uris.iter().any(named))
}

fn is_members(place: &Place) -> bool {
    std::ptr::eq(place.path.attribute, catalog::GROUP.core_attribute("members").expect("the catalog has members"))
}

fn is_read_only(place: &Place) -> bool {
    let read_only = |attribute: &Attribute| attribute.mutability == Mutability::ReadOnly;
    read_only(place.path.attribute) || place.sub.is_some_and(read_only) && !is_members(place)
}

fn read_only(name: &str) -> ScimError {
    ScimError::mutability(format!("{} is readOnly", quote(name)))
}

fn read_change(place: &Place, value: Value, reader: &mut Reader) -> Result<Change, ScimError> {
    let attribute = place.path.attribute;
    let at = place.text.as_str();
    match place.sub {
        Some(sub) if attribute.multi_valued => read_singular(sub, value, at, reader).map(Change::Whole),
        Some(sub) => read_value(sub, value, at, reader).map(Change::Whole),
        None if attribute.kind == Kind::Complex && (!attribute.multi_valued || place.filter.is_some()) => {
            let value = quirks::entra_wraps_a_singular_value_in_an_array(attribute, &value, at, reader).unwrap_or(value);
            let clears = match &value {
                Value::String(text) => quirks::entra_clears_with_an_empty_string(text, at, reader),
                other => is_unassigned(other),
            };
            if clears { Ok(Change::Whole(None)) } else { read_parts(attribute, value, at, reader).map(Change::Parts) }
        }
        None => read_value(attribute, value, at, reader).map(Change::Whole),
    }
}

/// The ids that a filter like `value eq "…" or value eq "…"` names; `None` when it says anything else.
fn ids_of(filter: &Filter) -> Option<Vec<Uuid>> {
    match filter {
        Filter::Compare(Target::Element(attribute), Operator::Eq, Literal::Text(text)) if attribute.name == "value" => {
            Some(parse_id(&text.given).into_iter().collect())
        }
        Filter::Or(filters) => {
            let mut ids = Vec::new();
            for filter in filters {
                ids.extend(ids_of(filter)?);
            }
            ids.sort_unstable();
            ids.dedup();
            Some(ids)
        }
        _ => None,
    }
}
