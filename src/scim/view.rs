//! A resource as an answer shows it: the stored document with `id`, `meta` and the memberships put in, and only the attributes
//! that were asked for (RFC 7644 §3.4.2.5, §3.9). Without a projection the stored text is sent as it lies, not parsed again.

use std::fmt::{self, Write};

use chrono::{DateTime, Utc};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::scim::catalog::LIST_RESPONSE_URN;
use crate::scim::etag::etag;
use crate::scim::path::Path;
use crate::scim::query::Query;
use crate::scim::reader::Reader;
use crate::scim::schema::{Attribute, ResourceType, Returned, Schema};
use crate::scim::text::format_date_time;

/// The server's part of a resource (RFC 7643 §3.1).
#[derive(Debug, Clone, Copy)]
pub struct Meta<'a> {
    /// The type.
    pub resource_type: &'static ResourceType,
    /// The id.
    pub id: Uuid,
    /// When it was created.
    pub created: DateTime<Utc>,
    /// When it was last changed.
    pub last_modified: DateTime<Utc>,
    /// Counts changes.
    pub version: i64,
    /// The URL of the base that the request came by, without a trailing slash.
    pub base: &'a str,
}

impl Meta<'_> {
    /// The resource's URL.
    #[must_use]
    pub fn location(&self) -> String {
        format!("{}{}/{}", self.base, self.resource_type.endpoint, self.id)
    }

    /// The weak entity tag (RFC 7644 §3.14).
    #[must_use]
    pub fn etag(&self) -> String {
        etag(self.version)
    }

    /// As JSON text. The base is a URL that stands in JSON as it is, and so are the types' names and endpoints.
    fn write(self, out: &mut String) {
        let Self { resource_type, id, version, base, .. } = self;
        let (created, last_modified) = (format_date_time(self.created), format_date_time(self.last_modified));
        let (name, endpoint) = (resource_type.name, resource_type.endpoint);
        let _ = write!(
            out,
            "{{\"resourceType\":\"{name}\",\"created\":\"{created}\",\"lastModified\":\"{last_modified}\",\
             \"location\":\"{base}{endpoint}/{id}\",\"version\":\"W/\\\"{version}\\\"\"}}"
        );
    }

    fn to_json(self) -> Value {
        let mut text = String::new();
        self.write(&mut text);
        serde_json::from_str(&text).expect("what was just written is JSON")
    }
}

/// A resource as it comes from the database.
#[derive(Debug, Clone, Copy)]
pub struct Resource<'a> {
    /// The server's part.
    pub meta: Meta<'a>,
    /// The document's stored text.
    pub document: &'a str,
    /// `groups` of a user or `members` of a group, as JSON text of an array; `None` when it was not read.
    pub memberships: Option<&'a str>,
}

impl Resource<'_> {
    /// The resource as JSON text.
    ///
    /// # Panics
    /// When the stored document is no JSON object: it came through the door.
    #[must_use]
    pub fn render(&self, projection: &Projection) -> String {
        if projection.is_default() {
            return self.splice();
        }
        if projection.hides_memberships_alone(self.meta.resource_type) {
            return Self { memberships: None, ..*self }.splice();
        }
        let mut map = projection.read_shown(self.meta.resource_type, self.document);
        map.insert("id".into(), self.meta.id.to_string().into());
        let shown = self.memberships.filter(|memberships| *memberships != "[]" && projection.shows_memberships(self.meta.resource_type));
        if let Some(memberships) = shown {
            map.insert(
                memberships_name(self.meta.resource_type).into(),
                serde_json::from_str(memberships).expect("memberships are written by the database"),
            );
        }
        map.insert("meta".into(), self.meta.to_json());
        Value::Object(projection.of(self.meta.resource_type, map)).to_string()
    }

    /// The resource as JSON text with an empty array of memberships, and the place between its brackets: for a group whose members
    /// are read while it is sent.
    #[must_use]
    pub fn render_with_gap(&self, projection: &Projection) -> (String, usize) {
        let mut text = Self { memberships: None, ..*self }.render(projection);
        // No attribute of ours but the resource's own is named meta, and inside a string the quotes would be escaped.
        let end = text.rfind(",\"meta\":{").unwrap_or(text.len() - 1);
        let array = format!(",\"{}\":[]", memberships_name(self.meta.resource_type));
        text.insert_str(end, &array);
        (text, end + array.len() - 1)
    }

    /// `schemas` stands first in a stored document, and no schema URI holds a bracket.
    fn splice(&self) -> String {
        let document = self.document.trim();
        let after_schemas = document.find(']').expect("a stored document begins with schemas") + 1;
        let end = document.rfind('}').expect("a stored document is an object");
        let mut text = String::with_capacity(document.len() + self.memberships.map_or(0, str::len) + 400);
        text.push_str(&document[..after_schemas]);
        let _ = write!(text, ",\"id\":\"{}\"", self.meta.id);
        text.push_str(&document[after_schemas..end]);
        if let Some(memberships) = self.memberships.filter(|memberships| *memberships != "[]") {
            let _ = write!(text, ",\"{}\":{memberships}", memberships_name(self.meta.resource_type));
        }
        text.push_str(",\"meta\":");
        self.meta.write(&mut text);
        text.push('}');
        text
    }
}

fn memberships_name(resource_type: &ResourceType) -> &'static str {
    if resource_type.core_attribute("members").is_some() { "members" } else { "groups" }
}

/// A ListResponse (RFC 7644 §3.4.2) around resources that are rendered already.
#[must_use]
pub fn list_response(total: i64, start_index: i64, resources: &[String]) -> String {
    let size = resources.iter().map(|resource| resource.len() + 1).sum::<usize>();
    let mut text = String::with_capacity(size + 200);
    let _ = write!(
        text,
        "{{\"schemas\":[\"{LIST_RESPONSE_URN}\"],\"totalResults\":{total},\"startIndex\":{start_index},\"itemsPerPage\":{},\"Resources\":[",
        resources.len()
    );
    for (index, resource) in resources.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push_str(resource);
    }
    text.push_str("]}");
    text
}

/// Which attributes an answer shows.
#[derive(Debug, Clone, Default)]
pub struct Projection {
    only: Option<Vec<Selector>>,
    except: Vec<Selector>,
}

/// One name of `attributes` or `excludedAttributes`.
#[derive(Debug, Clone, Copy)]
enum Selector {
    Core,
    Extension(&'static Schema),
    Attribute { attribute: &'static Attribute, sub: Option<&'static Attribute> },
}

/// How much of an attribute is selected.
enum Selected {
    Nothing,
    Subs(Vec<&'static str>),
    Everything,
}

impl Projection {
    /// Reads `attributes` and `excludedAttributes`. Names that are no attribute select nothing.
    #[must_use]
    pub fn read(resource_type: &'static ResourceType, query: &Query) -> Self {
        let selectors = |names: &[String]| -> Vec<Selector> {
            let mut reader = Reader::default();
            let mut selector = |name: &String| match Path::parse(resource_type, name, &mut reader).ok()? {
                Path::Core => Some(Selector::Core),
                Path::Extension(schema) => Some(Selector::Extension(schema)),
                Path::Place(place) => Some(Selector::Attribute { attribute: place.path.attribute, sub: place.sub }),
                Path::Unknown => None,
            };
            names.iter().filter_map(&mut selector).collect()
        };
        let only = (!query.attributes.is_empty()).then(|| selectors(&query.attributes));
        Self { only, except: selectors(&query.excluded_attributes) }
    }

    /// Whether everything that is returned by default is shown.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.only.is_none() && self.except.is_empty()
    }

    /// Whether everything that is returned by default is shown but the memberships: `excludedAttributes=members`, which most
    /// identity providers ask for.
    fn hides_memberships_alone(&self, resource_type: &ResourceType) -> bool {
        let Some(memberships) = resource_type.core_attribute(memberships_name(resource_type)) else { return false };
        let is_memberships =
            |selector: &Selector| matches!(selector, Selector::Attribute { attribute, sub: None } if std::ptr::eq(*attribute, memberships));
        self.only.is_none() && self.except.iter().all(is_memberships)
    }

    /// The top-level attributes of a stored document of which any part may be shown. What is not shown is not read.
    fn read_shown(&self, resource_type: &'static ResourceType, document: &str) -> Map<String, Value> {
        let mut deserializer = serde_json::Deserializer::from_str(document);
        ShownAttributes { projection: self, resource_type }.deserialize(&mut deserializer).expect("a stored document is a JSON object")
    }

    /// Whether any part of a core attribute is shown: what is not shown need not be read.
    #[must_use]
    pub fn shows(&self, attribute: &'static Attribute) -> bool {
        self.shows_in(None, attribute)
    }

    fn shows_in(&self, extension: Option<&'static Schema>, attribute: &'static Attribute) -> bool {
        let included = match &self.only {
            None => true,
            Some(only) => !matches!(selected(only, extension, attribute), Selected::Nothing),
        };
        included && !matches!(selected(&self.except, extension, attribute), Selected::Everything)
    }

    /// Whether `groups` of a user or `members` of a group are shown.
    #[must_use]
    pub fn shows_memberships(&self, resource_type: &ResourceType) -> bool {
        resource_type.core_attribute(memberships_name(resource_type)).is_some_and(|attribute| self.shows(attribute))
    }

    /// One membership, as JSON text, as far as it is shown.
    #[must_use]
    pub fn membership(&self, resource_type: &'static ResourceType, text: String) -> Option<String> {
        if self.is_default() {
            return Some(text);
        }
        let attribute = resource_type.core_attribute(memberships_name(resource_type))?;
        let value = serde_json::from_str(&text).expect("memberships are written by the database");
        match self.of_value(None, attribute, Value::Array(vec![value]))? {
            Value::Array(values) => values.first().map(Value::to_string),
            _ => None,
        }
    }

    /// The attributes of a resource that are shown.
    fn of(&self, resource_type: &ResourceType, map: Map<String, Value>) -> Map<String, Value> {
        let mut shown = Map::new();
        for (name, value) in map {
            if let Some(schema) = resource_type.extensions.iter().find(|schema| schema.id == name) {
                let Value::Object(inner) = value else { continue };
                let inner = inner.into_iter().filter_map(|(name, value)| {
                    let attribute = schema.attributes.iter().find(|attribute| attribute.name == name)?;
                    Some((name, self.of_value(Some(schema), attribute, value)?))
                });
                let inner: Map<String, Value> = inner.collect();
                if !inner.is_empty() {
                    shown.insert(schema.id.into(), Value::Object(inner));
                }
            } else if let Some(attribute) = resource_type.core_attribute(&name)
                && let Some(value) = self.of_value(None, attribute, value)
            {
                shown.insert(name, value);
            }
        }
        shown
    }

    /// RFC 7643 §7: "always" is shown whatever is asked, "request" only when it is named.
    fn of_value(&self, extension: Option<&'static Schema>, attribute: &'static Attribute, value: Value) -> Option<Value> {
        if attribute.returned == Returned::Always {
            return Some(value);
        }
        let value = match &self.only {
            None if attribute.returned == Returned::Request => return None,
            None => value,
            Some(only) => match selected(only, extension, attribute) {
                Selected::Nothing => return None,
                Selected::Everything => value,
                Selected::Subs(names) => keep_subs(value, &|name| names.contains(&name))?,
            },
        };
        match selected(&self.except, extension, attribute) {
            Selected::Nothing => Some(value),
            Selected::Everything => None,
            Selected::Subs(names) => keep_subs(value, &|name| !names.contains(&name)),
        }
    }
}

/// Reads an object's attributes as far as a projection can show any of them.
struct ShownAttributes<'a> {
    projection: &'a Projection,
    resource_type: &'static ResourceType,
}

impl ShownAttributes<'_> {
    fn reads(&self, name: &str) -> bool {
        let reads = |extension, attribute: &'static Attribute| {
            attribute.returned == Returned::Always || self.projection.shows_in(extension, attribute)
        };
        match self.resource_type.extensions.iter().find(|schema| schema.id == name) {
            Some(schema) => schema.attributes.iter().any(|attribute| reads(Some(schema), attribute)),
            None => self.resource_type.core_attribute(name).is_none_or(|attribute| reads(None, attribute)),
        }
    }
}

impl<'de> DeserializeSeed<'de> for ShownAttributes<'_> {
    type Value = Map<String, Value>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ShownAttributes<'_> {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut attributes: A) -> Result<Self::Value, A::Error> {
        let mut shown = Map::new();
        while let Some(name) = attributes.next_key::<String>()? {
            if self.reads(&name) {
                shown.insert(name, attributes.next_value()?);
            } else {
                attributes.next_value::<IgnoredAny>()?;
            }
        }
        Ok(shown)
    }
}

fn selected(selectors: &[Selector], extension: Option<&'static Schema>, attribute: &'static Attribute) -> Selected {
    let mut subs = Vec::new();
    for selector in selectors {
        match selector {
            Selector::Core if extension.is_none() => return Selected::Everything,
            Selector::Extension(schema) if extension.is_some_and(|extension| extension.id == schema.id) => return Selected::Everything,
            Selector::Attribute { attribute: named, sub, .. } if std::ptr::eq(*named, attribute) => match sub {
                None => return Selected::Everything,
                Some(sub) => subs.push(sub.name),
            },
            _ => {}
        }
    }
    if subs.is_empty() { Selected::Nothing } else { Selected::Subs(subs) }
}

fn keep_subs(value: Value, keep: &dyn Fn(&str) -> bool) -> Option<Value> {
    match value {
        Value::Object(object) => {
            let kept: Map<String, Value> = object.into_iter().filter(|(name, _)| keep(name)).collect();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        Value::Array(values) => {
            let kept: Vec<Value> = values.into_iter().filter_map(|value| keep_subs(value, keep)).collect();
            (!kept.is_empty()).then_some(Value::Array(kept))
        }
        other => Some(other),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::scim::catalog::{ENTERPRISE_URN, USER, USER_URN};

    #[test]
    fn what_is_not_read_makes_no_difference_to_what_is_shown() {
        let document = json!({
            "schemas": [USER_URN, ENTERPRISE_URN], "userName": "jon", "name": { "givenName": "Jon", "familyName": "Snow" },
            "emails": [{ "value": "jon@example.com", "type": "work" }, { "value": "jon@example.org" }],
            ENTERPRISE_URN: { "department": "North", "manager": { "value": "m", "displayName": "Jeor" } },
        });
        let document = document.to_string();
        let now = DateTime::UNIX_EPOCH;
        let meta =
            Meta { resource_type: &USER, id: Uuid::max(), created: now, last_modified: now, version: 1, base: "https://example.com" };
        let resource = Resource { meta, document: &document, memberships: Some(r#"[{"value":"g","display":"Watch"}]"#) };
        let object = |text: String| serde_json::from_str::<Map<String, Value>>(&text).expect("a JSON object");
        let everything = object(resource.render(&Projection::default()));
        for query in [
            "attributes=userName",
            "attributes=name.givenName,groups.value",
            "attributes=meta",
            "attributes=nothing",
            "attributes=department",
            &format!("attributes={ENTERPRISE_URN}"),
            &format!("attributes={ENTERPRISE_URN}:manager.displayName,emails.type"),
            &format!("attributes={USER_URN}"),
            "attributes=name,groups&excludedAttributes=name.familyName,groups",
            "excludedAttributes=groups",
            "excludedAttributes=groups,userName",
            "excludedAttributes=groups.display",
            "excludedAttributes=schemas,id,meta",
            &format!("excludedAttributes={ENTERPRISE_URN}"),
            &format!("excludedAttributes={ENTERPRISE_URN}:manager"),
        ] {
            let projection = Projection::read(&USER, &Query::parse(query).expect(query));
            assert_eq!(object(resource.render(&projection)), projection.of(&USER, everything.clone()), "{query}");
        }
    }
}
