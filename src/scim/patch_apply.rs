//! PATCH applied to a document (RFC 7644 §3.5.2.1 to §3.5.2.3): in order, each operation on the result of the one before. Pure:
//! the caller compares the result with what it had and writes only when they differ.

use serde_json::{Map, Value};

use crate::scim::aside::Alias;
use crate::scim::catalog::{self, CUSTOM_URN};
use crate::scim::declared::take_in;
use crate::scim::document::{Document, check_unmapped, is_unassigned};
use crate::scim::error::ScimError;
use crate::scim::filter::{Filter, Literal, Operator, Target};
use crate::scim::patch::{Change, Operation, Patch, Verb};
use crate::scim::path::Place;
use crate::scim::quirks;
use crate::scim::reader::Reader;
use crate::scim::schema::{Attribute, Kind, ResourceType};
use crate::scim::value::{keep_one_of_each, read_parts, read_singular, says_something};

/// A document after a PATCH.
#[derive(Debug, Clone, PartialEq)]
pub struct Patched {
    /// The resource.
    pub document: Document,
    /// What is kept aside.
    pub unmapped: Map<String, Value>,
}

impl Patch {
    /// Applies the operations on the document; those on members and password are the caller's.
    ///
    /// # Errors
    /// 400 `noTarget` when a value path selects nothing, 400 `invalidValue` when the result lacks a required attribute.
    pub fn apply(
        &self,
        resource_type: &'static ResourceType,
        document: &Document,
        unmapped: &Map<String, Value>,
        reader: &mut Reader,
    ) -> Result<Patched, ScimError> {
        let mut map = document.as_map().clone();
        let mut aside = unmapped.clone();
        for operation in &self.operations {
            match operation {
                Operation::Set { verb, place, change } => {
                    supersede(resource_type, &mut aside, place);
                    set(&mut map, *verb, place, change, reader)?;
                }
                Operation::Remove { place, listed } => {
                    supersede(resource_type, &mut aside, place);
                    remove(&mut map, place, listed.as_deref(), reader)?;
                }
                Operation::RemoveExtension(schema) => {
                    map.shift_remove(schema.id);
                    aside.shift_remove(schema.id);
                    schema.attributes.iter().for_each(|attribute| forget(&mut aside, attribute.name));
                    let of_schema = resource_type.declared.iter().filter(|declared| declared.schema.id == schema.id);
                    of_schema.for_each(|declared| declared.forget_elsewhere(&mut aside));
                }
                Operation::SetAside { name, value } => {
                    set_aside(resource_type, &mut aside, name, value);
                    drop_declared(resource_type, &mut map, name);
                }
            }
        }
        take_in(resource_type, &mut map, &mut aside);
        drop_labels(resource_type, &mut map);
        check_unmapped(&aside)?;
        quirks::jumpcloud_leaves_out_active(resource_type, &mut map, reader);
        if self.touches_display_name() {
            quirks::keycloak_reads_display_name_unguarded(resource_type, &mut map, reader);
        } else {
            let_display_name_follow(resource_type, document, &mut map, reader);
        }
        Ok(Patched { document: Document::settle(resource_type, map)?, unmapped: aside })
    }

    fn touches_display_name(&self) -> bool {
        self.operations.iter().any(|operation| {
            let (Operation::Set { place, .. } | Operation::Remove { place, .. }) = operation else { return false };
            place.path.extension.is_none() && place.path.attribute.name == "displayName"
        })
    }
}

/// A display name that we made from the name is made again when the name changes.
fn let_display_name_follow(resource_type: &ResourceType, before: &Document, after: &mut Map<String, Value>, reader: &Reader) {
    let stays = ["name", "userName"].into_iter().all(|made_from| before.as_map().get(made_from) == after.get(made_from));
    if stays || !reader.is_lenient() || resource_type.name != catalog::USER.name {
        return;
    }
    let ours = quirks::default_display_name(before.as_map());
    if ours.is_some()
        && ours.as_deref() == before.text("displayName")
        && let Some(name) = quirks::default_display_name(after)
    {
        after.insert("displayName".into(), name.into());
    }
}

fn set(map: &mut Map<String, Value>, verb: Verb, place: &Place, change: &Change, reader: &mut Reader) -> Result<(), ScimError> {
    let attribute = place.path.attribute;
    let holder = holder(map, place);
    match (&place.filter, place.sub) {
        (Some(filter), _) => set_selected(holder, verb, place, filter, change, reader)?,
        (None, Some(sub)) if attribute.multi_valued => set_in_all(holder, attribute, sub, change),
        (None, Some(sub)) => {
            let mut object = taken_object(holder, attribute);
            merge(attribute, &mut object, &[(sub, whole(change).cloned())]);
            put_back(holder, attribute, object);
        }
        (None, None) => match change {
            Change::Parts(parts) => {
                let mut object = taken_object(holder, attribute);
                merge(attribute, &mut object, parts);
                put_back(holder, attribute, object);
            }
            Change::Whole(Some(Value::Array(values))) if verb == Verb::Add && attribute.multi_valued => {
                append(holder, attribute, values, reader)?;
            }
            Change::Whole(Some(value)) => {
                holder.insert(attribute.name.into(), value.clone());
            }
            // Adding nothing changes nothing.
            Change::Whole(None) if verb == Verb::Add && attribute.multi_valued => {}
            Change::Whole(None) => {
                holder.shift_remove(attribute.name);
            }
        },
    }
    if place.sub.is_some() && attribute.multi_valued {
        read_json_texts(holder, attribute, &place.text, reader)?;
    }
    drop_empty_extension(map, place);
    Ok(())
}

/// What a path sets may be a role as JSON text, too (`entra_sends_a_role_as_json_text`). It is read as in a whole resource, so
/// that it reads the same when it is sent back.
fn read_json_texts(holder: &mut Map<String, Value>, attribute: &'static Attribute, at: &str, reader: &mut Reader) -> Result<(), ScimError> {
    let may_be = |value: &Value| value.get("value").and_then(Value::as_str).is_some_and(|text| text.starts_with('{'));
    let mut values = Vec::new();
    for value in taken_array(holder, attribute) {
        if may_be(&value) {
            values.extend(read_singular(attribute, value, at, reader)?);
        } else {
            values.push(value);
        }
    }
    put_back_array(holder, attribute, values);
    Ok(())
}

/// §3.5.2.1: "If the target location specifies a multi-valued attribute, a new value is added to the attribute." A value that is
/// there already is not added again.
fn append(holder: &mut Map<String, Value>, attribute: &'static Attribute, new: &[Value], reader: &Reader) -> Result<(), ScimError> {
    let mut values = taken_array(holder, attribute);
    let mut primary = None;
    for value in new {
        // The value itself comes before one that has only type and value in common with it.
        let same = |old: &Value| is_same_value(attribute, old, value);
        let index = match values.iter().position(|old| old == value).or_else(|| values.iter().position(same)) {
            Some(index) => {
                if let (Some(old), Some(new)) = (values[index].as_object_mut(), value.as_object()) {
                    old.extend(new.iter().map(|(name, value)| (name.clone(), value.clone())));
                }
                index
            }
            None => {
                values.push(value.clone());
                values.len() - 1
            }
        };
        if is_primary(value) {
            primary = Some(index);
        }
    }
    reader.check_count(attribute.name, values.len(), reader.limits.values_per_attribute)?;
    keep_primary(&mut values, primary);
    put_back_array(holder, attribute, values);
    Ok(())
}

/// RFC 7643 §2.4 names a value by its (type, value) pair.
fn is_same_value(attribute: &'static Attribute, old: &Value, new: &Value) -> bool {
    let part = |value: &Value, name: &str| match (attribute.sub(name), value.get(name)) {
        (Some(sub), Some(Value::String(text))) => Some(crate::scim::document::fold_text(sub, text)),
        _ => None,
    };
    old == new || (part(new, "value").is_some() && part(old, "value") == part(new, "value") && part(old, "type") == part(new, "type"))
}

/// Whether a value that is listed to be removed means this one: by its (type, value) pair, or by its value when it says no type.
fn is_meant(attribute: &'static Attribute, old: &Value, listed: &Value) -> bool {
    let without_type = |value: &Value| {
        let mut value = value.clone();
        value.as_object_mut().map(|object| object.shift_remove("type"));
        value
    };
    is_same_value(attribute, old, listed) || (listed.get("type").is_none() && is_same_value(attribute, &without_type(old), listed))
}

/// §3.5.2: "setting one primary true clears the others": all but the one at `keep`.
fn keep_primary(values: &mut [Value], keep: Option<usize>) {
    let Some(keep) = keep else { return };
    for (index, value) in values.iter_mut().enumerate() {
        if index != keep
            && let Some(primary) = value.get_mut("primary")
        {
            *primary = Value::Bool(false);
        }
    }
}

fn is_primary(value: &Value) -> bool {
    value.get("primary") == Some(&Value::Bool(true))
}

/// `emails.value` without a filter: the sub-attribute of every value; of a first one when there is none.
fn set_in_all(holder: &mut Map<String, Value>, attribute: &'static Attribute, sub: &'static Attribute, change: &Change) {
    let mut values = taken_array(holder, attribute);
    if values.is_empty() && whole(change).is_some() {
        values.push(Value::Object(Map::new()));
    }
    for object in values.iter_mut().filter_map(Value::as_object_mut) {
        merge(attribute, object, &[(sub, whole(change).cloned())]);
    }
    if sub.name == "primary" && whole(change) == Some(&Value::Bool(true)) {
        keep_primary(&mut values, Some(0));
    }
    put_back_array(holder, attribute, values);
}

/// Sets what a value path selects. When it selects nothing, a value is made from the filter's `eq` clauses.
fn set_selected(
    holder: &mut Map<String, Value>,
    verb: Verb,
    place: &Place,
    filter: &Filter,
    change: &Change,
    reader: &mut Reader,
) -> Result<(), ScimError> {
    let attribute = place.path.attribute;
    let mut values = taken_array(holder, attribute);
    let mut selected: Vec<usize> = (0..values.len()).filter(|index| filter.matches_element(&values[*index])).collect();
    let unassigns = whole(change).is_none() && matches!(change, Change::Whole(_));
    if selected.is_empty() && unassigns && quirks::removing_what_is_not_there_succeeds(&place.text, reader) {
        put_back_array(holder, attribute, values);
        return Ok(());
    }
    if selected.is_empty() {
        // §3.5.2.3: "If the target location is a multi-valued attribute for which a value selection filter ("valuePath") has been
        // supplied and no record match was made, the service provider SHALL indicate failure by returning HTTP status code 400".
        let seed = seed_of(filter).filter(|_| verb == Verb::Add || quirks::entra_replaces_what_is_not_there(&place.text, reader));
        let seed = seed.map(|seed| read_seed(attribute, seed, &place.text, reader)).transpose()?;
        // A seed that its own filter does not select (`type eq "a" and type eq "b"`) is no value that was meant.
        let Some(seed) = seed.filter(|seed| filter.matches_element(seed)) else {
            return Err(ScimError::no_target(format!("{} selects no value", place.text)));
        };
        values.push(seed);
        selected.push(values.len() - 1);
        reader.check_count(attribute.name, values.len(), reader.limits.values_per_attribute)?;
    }
    let parts: Vec<(&'static Attribute, Option<Value>)> = match (place.sub, change) {
        (Some(sub), change) => vec![(sub, whole(change).cloned())],
        (None, Change::Parts(parts)) => parts.clone(),
        (None, Change::Whole(_)) => {
            let mut index = 0;
            values.retain(|_| {
                index += 1;
                !selected.contains(&(index - 1))
            });
            put_back_array(holder, attribute, values);
            return Ok(());
        }
    };
    for index in &selected {
        if let Some(object) = values[*index].as_object_mut() {
            merge(attribute, object, &parts);
        }
    }
    let primary = selected.iter().copied().find(|index| is_primary(&values[*index]));
    keep_primary(&mut values, primary);
    put_back_array(holder, attribute, values);
    Ok(())
}

/// The value that a filter of `eq` clauses joined by `and` describes; the literals are typed, so `primary eq "True"` seeds `true`.
fn seed_of(filter: &Filter) -> Option<Map<String, Value>> {
    let mut seed = Map::new();
    for clause in filter.conjuncts() {
        let Filter::Compare(Target::Element(attribute), Operator::Eq, literal) = clause else { return None };
        let value = match literal {
            Literal::Boolean(boolean) => Value::Bool(*boolean),
            Literal::Number(number) => Value::Number(number.clone()),
            Literal::Text(text) => text.given.as_str().into(),
        };
        seed.insert(attribute.name.into(), value);
    }
    Some(seed)
}

/// A seed is a client's value like any other: it comes through the same door.
fn read_seed(attribute: &'static Attribute, seed: Map<String, Value>, at: &str, reader: &mut Reader) -> Result<Value, ScimError> {
    let parts = read_parts(attribute, Value::Object(seed), at, reader)?;
    Ok(Value::Object(parts.into_iter().filter_map(|(sub, value)| Some((sub.name.to_owned(), value?))).collect()))
}

fn remove(map: &mut Map<String, Value>, place: &Place, listed: Option<&[Value]>, reader: &mut Reader) -> Result<(), ScimError> {
    let attribute = place.path.attribute;
    let holder = holder(map, place);
    match (&place.filter, place.sub, listed) {
        (Some(filter), sub, _) => {
            let mut values = taken_array(holder, attribute);
            let selected = values.iter().any(|value| filter.matches_element(value));
            match sub {
                Some(sub) => {
                    values.iter_mut().filter(|value| filter.matches_element(value)).filter_map(Value::as_object_mut).for_each(|object| {
                        object.shift_remove(sub.name);
                    })
                }
                None => values.retain(|value| !filter.matches_element(value)),
            }
            put_back_array(holder, attribute, values);
            if !selected && !quirks::removing_what_is_not_there_succeeds(&place.text, reader) {
                return Err(ScimError::no_target(format!("{} selects no value", place.text)));
            }
        }
        (None, Some(sub), _) if attribute.multi_valued => {
            set_in_all(holder, attribute, sub, &Change::Whole(None));
        }
        (None, Some(sub), _) => {
            let mut object = taken_object(holder, attribute);
            merge(attribute, &mut object, &[(sub, None)]);
            put_back(holder, attribute, object);
        }
        (None, None, Some(listed)) => {
            let mut values = taken_array(holder, attribute);
            values.retain(|value| !listed.iter().any(|gone| is_meant(attribute, value, gone)));
            put_back_array(holder, attribute, values);
        }
        (None, None, None) => {
            holder.shift_remove(attribute.name);
        }
    }
    drop_empty_extension(map, place);
    Ok(())
}

fn whole(change: &Change) -> Option<&Value> {
    match change {
        Change::Whole(value) => value.as_ref(),
        Change::Parts(_) => None,
    }
}

/// Sets and unassigns sub-attributes; the others stay. A reference that does not come with its new value would point to the old one.
fn merge(attribute: &Attribute, object: &mut Map<String, Value>, parts: &[(&'static Attribute, Option<Value>)]) {
    let names = |name: &str| parts.iter().any(|(sub, _)| sub.name == name);
    let new_value = parts.iter().find(|(sub, _)| sub.name == "value").map(|(_, value)| value.as_ref());
    if new_value.is_some_and(|new| new != object.get("value")) && !names("$ref") && attribute.sub("$ref").is_some() {
        object.shift_remove("$ref");
    }
    for (sub, value) in parts {
        match value {
            Some(value) => object.insert(sub.name.into(), value.clone()),
            None => object.shift_remove(sub.name),
        };
    }
}

fn holder<'m>(map: &'m mut Map<String, Value>, place: &Place) -> &'m mut Map<String, Value> {
    match place.path.extension {
        None => map,
        Some(schema) => map
            .entry(schema.id)
            .or_insert_with(|| Value::Object(Map::new()))
            .as_object_mut()
            .expect("the door of a document keeps extensions as objects"),
    }
}

fn drop_empty_extension(map: &mut Map<String, Value>, place: &Place) {
    if let Some(schema) = place.path.extension
        && map.get(schema.id).and_then(Value::as_object).is_some_and(Map::is_empty)
    {
        map.shift_remove(schema.id);
    }
}

fn taken_object(holder: &mut Map<String, Value>, attribute: &Attribute) -> Map<String, Value> {
    match holder.get_mut(attribute.name) {
        Some(Value::Object(object)) => std::mem::take(object),
        _ => Map::new(),
    }
}

fn put_back(holder: &mut Map<String, Value>, attribute: &Attribute, object: Map<String, Value>) {
    if object.is_empty() {
        holder.shift_remove(attribute.name);
    } else {
        holder.insert(attribute.name.into(), Value::Object(object));
    }
}

fn taken_array(holder: &mut Map<String, Value>, attribute: &Attribute) -> Vec<Value> {
    match holder.get_mut(attribute.name) {
        Some(Value::Array(values)) => std::mem::take(values),
        _ => Vec::new(),
    }
}

/// What has lost its value, or never got one, is no value: an address without its parts, an e-mail without its address. Only
/// after the last operation: `roles[primary eq true].type` may be set before `.value`.
fn drop_labels(resource_type: &ResourceType, map: &mut Map<String, Value>) {
    for attribute in resource_type.schema.attributes.iter().filter(|attribute| attribute.multi_valued && attribute.kind == Kind::Complex) {
        let mut values = taken_array(map, attribute);
        values.retain(says_something);
        put_back_array(map, attribute, values);
    }
}

fn put_back_array(holder: &mut Map<String, Value>, attribute: &Attribute, mut values: Vec<Value>) {
    keep_one_of_each(&mut values);
    if values.is_empty() {
        holder.shift_remove(attribute.name);
    } else {
        holder.insert(attribute.name.into(), Value::Array(values));
    }
}

/// An operation on an enterprise attribute speaks for the one that JumpCloud put at top level, too: it must not come back
/// through the mapping after it was changed or removed.
fn supersede(resource_type: &ResourceType, aside: &mut Map<String, Value>, place: &Place) {
    let Some(schema) = place.path.extension.filter(|_| !aside.is_empty()) else { return };
    if !schema.declared {
        return forget(aside, place.path.attribute.name);
    }
    let named = resource_type.declared.iter().filter(|declared| std::ptr::eq(declared.attribute, place.path.attribute));
    named.for_each(|declared| declared.forget_elsewhere(aside));
}

/// What is now said of a declared attribute in another place is its value: it is taken in again after the last operation.
fn drop_declared(resource_type: &ResourceType, map: &mut Map<String, Value>, name: &str) {
    for declared in resource_type.declared.iter().filter(|declared| declared.aliases.iter().any(|alias| alias.is_meant_by(name))) {
        if let Some(Value::Object(object)) = map.get_mut(declared.schema.id) {
            object.shift_remove(declared.attribute.name);
            if object.is_empty() {
                map.shift_remove(declared.schema.id);
            }
        }
    }
}

/// Keeps what an operation said of an unknown attribute; under its extension's URN when it has one, as the door does.
fn set_aside(resource_type: &ResourceType, aside: &mut Map<String, Value>, name: &str, value: &Value) {
    let extension = resource_type.extensions.iter().map(|schema| schema.id).chain([CUSTOM_URN]).find_map(|urn| {
        let head = name.get(..urn.len())?;
        let rest = name[urn.len()..].strip_prefix([':', '.'])?;
        head.eq_ignore_ascii_case(urn).then_some((urn, rest))
    });
    let Some((urn, name)) = extension else { return put_aside(aside, name, value) };
    // The schema of ours has no other meaning than the bare name.
    if let Some(alias) = Alias::parse(name).filter(|_| urn == CUSTOM_URN) {
        alias.forget(aside);
    }
    let entry = aside.entry(urn).or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(inner) = entry {
        put_aside(inner, name, value);
        if inner.is_empty() {
            aside.shift_remove(urn);
        }
    }
}

fn put_aside(aside: &mut Map<String, Value>, name: &str, value: &Value) {
    forget(aside, name);
    if !is_unassigned(value) {
        aside.insert(name.to_owned(), value.clone());
    }
}

/// Drops what was kept aside under a name, in any letter case.
fn forget(aside: &mut Map<String, Value>, name: &str) {
    let key = aside.keys().find(|key| key.eq_ignore_ascii_case(name)).cloned();
    if let Some(key) = key {
        aside.shift_remove(&key);
    }
}
