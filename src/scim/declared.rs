//! A user in the form that the tenant's declared attributes give it. What is declared lies in the document, what is not is kept
//! aside, so declaring an attribute later, or no more, loses nothing.
//!
//! What was taken in from another place stays there too, as it does for the mapping, until the attribute is changed by its own
//! name; so taking in is deriving, and can be done again at any time with the same result.

use serde_json::{Map, Value};

use crate::scim::ScimError;
use crate::scim::aside::{Alias, is_urn, loose, same};
use crate::scim::catalog::CUSTOM_URN;
use crate::scim::document::{Document, check_text};
use crate::scim::schema::{Declared, ResourceType, Schema};

/// A user and what is kept aside of it.
pub type Form = (Document, Map<String, Value>);

/// The user in the form of a resource type; `None` when it has it already.
///
/// # Errors
/// None for a document that came through the door.
pub fn conform(resource_type: &'static ResourceType, document: &Document, aside: &Map<String, Value>) -> Result<Option<Form>, ScimError> {
    let is_foreign = |key: &String| is_urn(key) && resource_type.extension(key).is_none_or(|schema| schema.declared);
    if resource_type.declared.is_empty() && !document.as_map().keys().any(is_foreign) {
        return Ok(None);
    }
    let (mut map, mut rest) = (document.as_map().clone(), aside.clone());
    put_aside(resource_type, &mut map, &mut rest);
    take_in(resource_type, &mut map, &mut rest);
    let document_after = Document::settle(resource_type, map)?;
    let is_same = document_after == *document && rest == *aside;
    Ok((!is_same).then_some((document_after, rest)))
}

/// Takes in what arrived for declared attributes in other places. A value that can be no text stays where it is.
pub(crate) fn take_in(resource_type: &ResourceType, map: &mut Map<String, Value>, aside: &mut Map<String, Value>) {
    for declared in resource_type.declared {
        let own = take_own(declared, aside);
        if has(map, declared) {
            continue;
        }
        let found = declared.aliases.iter().find_map(|alias| alias.find(aside)).or_else(|| own.as_ref().and_then(loose));
        let found = found.filter(|text| check_text(declared.attribute, text, declared.attribute.name).is_ok());
        match (found.map(|text| Value::from(text.into_owned())), own) {
            (Some(value), _) => insert(map, declared.schema, declared.attribute.name, value),
            (None, Some(own)) => insert(aside, declared.schema, declared.attribute.name, own),
            (None, None) => {}
        }
    }
}

/// What was said of declared attributes by their own names supersedes what arrived in other places.
pub(crate) fn supersede(resource_type: &ResourceType, map: &Map<String, Value>, aside: &mut Map<String, Value>) {
    if !aside.is_empty() {
        let said = resource_type.declared.iter().filter(|declared| has(map, declared));
        said.for_each(|declared| declared.forget_elsewhere(aside));
    }
}

/// Puts aside what lies under URNs that the resource type does not have, and attributes that are declared no more.
fn put_aside(resource_type: &ResourceType, map: &mut Map<String, Value>, aside: &mut Map<String, Value>) {
    let urns: Vec<String> = map.keys().filter(|key| is_urn(key)).cloned().collect();
    for urn in urns {
        let schema = resource_type.extension(&urn);
        if schema.is_some_and(|schema| !schema.declared) {
            continue;
        }
        let Some(Value::Object(object)) = map.shift_remove(&urn) else { continue };
        for (name, value) in object {
            match schema.and_then(|schema| Some((schema, schema.attributes.iter().find(|known| known.name.eq_ignore_ascii_case(&name))?))) {
                Some((schema, attribute)) => insert(map, schema, attribute.name, value),
                None if is_there(aside, &urn, &name, &value) => {}
                None => insert_under(aside, &urn, &name, value),
            }
        }
    }
}

/// Whether a value of our own schema is kept aside as it arrived, under its bare name.
fn is_there(aside: &Map<String, Value>, urn: &str, name: &str, value: &Value) -> bool {
    let alias = Alias::parse(name).filter(|_| urn == CUSTOM_URN);
    alias.is_some_and(|alias| alias.find(aside).as_deref() == value.as_str())
}

fn has(map: &Map<String, Value>, declared: &Declared) -> bool {
    map.get(declared.schema.id).and_then(Value::as_object).is_some_and(|object| object.contains_key(declared.attribute.name))
}

/// Takes out what is kept aside under the attribute's own name.
fn take_own(declared: &Declared, aside: &mut Map<String, Value>) -> Option<Value> {
    let urn = aside.keys().find(|key| key.eq_ignore_ascii_case(declared.schema.id)).cloned()?;
    let object = aside.get_mut(&urn)?.as_object_mut()?;
    let key = object.keys().find(|key| same(key, declared.attribute.name)).cloned()?;
    let value = object.shift_remove(&key);
    if object.is_empty() {
        aside.shift_remove(&urn);
    }
    value
}

fn insert(map: &mut Map<String, Value>, schema: &Schema, name: &str, value: Value) {
    insert_under(map, schema.id, name, value);
}

fn insert_under(map: &mut Map<String, Value>, urn: &str, name: &str, value: Value) {
    if let Value::Object(object) = map.entry(urn).or_insert_with(|| Value::Object(Map::new())) {
        object.insert(name.to_owned(), value);
    }
}

impl Declared {
    /// Drops what is kept aside for the attribute.
    pub(crate) fn forget_elsewhere(&self, aside: &mut Map<String, Value>) {
        self.aliases.iter().for_each(|alias| alias.forget(aside));
        take_own(self, aside);
    }
}
