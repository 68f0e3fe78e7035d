//! Bulk (RFC 7644 §3.7): reading a BulkRequest, the references between its operations, the order in which they are done, and
//! the shape of the answer. No I/O; ids of what is to be created come from the caller, before anything is done, so that
//! `bulkId:x` has its final value everywhere at once: forwards, backwards and in circles.
//!
//! The order: an operation is done in its place, and what it refers to before it. Operations that refer to each other in a
//! circle (§3.7.1) are one unit, done as a whole or not at all. So only a POST is ever done before its place, and other
//! operations keep their order.
//!
//! `bulkId:x` stands for an id where it is a whole string in `data`, or the id of a `path`. Inside a longer string, such as the
//! filter of a PATCH path, it is text.

use std::collections::HashMap;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::scim::components::components;
use crate::scim::document::{Document, Reading, parse_id};
use crate::scim::error::{ScimError, quote, quote_json};
use crate::scim::etag::{Condition, etag};
use crate::scim::json::take;
use crate::scim::patch::Patch;
use crate::scim::reader::Reader;
use crate::scim::schema::ResourceType;

/// The schema URI of a bulk request (RFC 7644 §8.2).
pub const BULK_REQUEST_URN: &str = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";

/// The schema URI of a bulk response (RFC 7644 §8.2).
pub const BULK_RESPONSE_URN: &str = "urn:ietf:params:scim:api:messages:2.0:BulkResponse";

/// The longest method, path and bulkId of an operation, in characters. The answer repeats them, and a URL or a name that somebody
/// made is far shorter.
pub const LABEL_MAX_CHARS: usize = 1_024;

/// What a reference begins with (RFC 7644 §3.7.2).
const REFERENCE: &str = "bulkId:";

/// A bulk request with every reference resolved.
#[derive(Debug, Clone)]
pub struct BulkRequest {
    /// After so many errors nothing more is done.
    pub fail_on_errors: Option<usize>,
    /// The operations in the order of the request.
    pub operations: Vec<Operation>,
}

/// One operation: what the answer repeats of it, and what is to be done or why it cannot be.
#[derive(Debug, Clone)]
pub struct Operation {
    /// The method as it was sent.
    pub method: Option<String>,
    /// The client's name for the operation.
    pub bulk_id: Option<String>,
    /// The path as it was sent.
    pub path: Option<String>,
    /// What is to be done.
    pub change: Result<Change, ScimError>,
    /// The operations that create what this one refers to, in the order of the request.
    pub needs: Vec<usize>,
    /// How it is read and what was noted: each operation has notes of its own.
    pub reader: Reader,
}

/// A change of one resource.
#[derive(Debug, Clone)]
pub struct Change {
    /// Its type.
    pub resource_type: &'static ResourceType,
    /// Its id; of a new one, the id it will have.
    pub id: Uuid,
    /// The version that the client knows.
    pub if_match: Option<Condition>,
    /// What happens to it.
    pub action: Action,
}

/// What happens to a resource.
#[derive(Debug, Clone)]
pub enum Action {
    /// POST.
    Create(Reading),
    /// PUT.
    Replace(Reading),
    /// PATCH.
    Patch(Patch),
    /// DELETE.
    Delete,
}

/// The methods of RFC 7644 §3.7.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Post,
    Put,
    Patch,
    Delete,
}

/// What the answer repeats of an operation.
struct Label {
    method: Option<String>,
    bulk_id: Option<String>,
    path: Option<String>,
}

/// What an operation asks for, its references not resolved yet.
struct Asked {
    method: Method,
    resource_type: &'static ResourceType,
    /// The id in the path, or a reference; of a POST, nothing.
    place: Option<String>,
    if_match: Option<Condition>,
    data: Map<String, Value>,
}

impl BulkRequest {
    /// Reads the body of a request. `base` is the URL of the base it came by, `types` are the tenant's resource types; `new_id` makes the id of a resource to be created.
    ///
    /// # Errors
    /// 413 when there are too many operations, 400 when the body is no bulk request. What is wrong with one operation is told
    /// in its [`Operation::change`].
    pub fn read(
        mut body: Map<String, Value>,
        types: [&'static ResourceType; 2],
        base: &str,
        reader: &Reader,
        new_id: impl FnMut() -> Uuid,
    ) -> Result<Self, ScimError> {
        let schemas = take(&mut body, "schemas");
        let named = |uri: &Value| uri.as_str().is_some_and(|uri| uri.eq_ignore_ascii_case(BULK_REQUEST_URN));
        if !reader.is_lenient() && !schemas.as_ref().and_then(Value::as_array).is_some_and(|uris| uris.iter().any(named)) {
            return Err(ScimError::invalid_syntax(format!("schemas does not name {BULK_REQUEST_URN}")));
        }
        let fail_on_errors = read_fail_on_errors(take(&mut body, "failOnErrors"))?;
        let operations = match take(&mut body, "Operations") {
            Some(Value::Array(operations)) if !operations.is_empty() => operations,
            Some(Value::Array(_) | Value::Null) | None => {
                return Err(ScimError::invalid_value("Operations is missing or empty; one or more operations are expected"));
            }
            Some(other) => return Err(ScimError::invalid_syntax(format!("Operations is {}; an array is expected", quote_json(&other)))),
        };
        // RFC 7644 §3.7.4: "The returned response MUST specify the limit exceeded in the body of the error response."
        let (count, max) = (operations.len(), reader.limits.bulk_operations);
        if count > max {
            return Err(ScimError::new(413, format!("the bulk request has {count} operations; maxOperations is {max}")));
        }
        let (labels, asked) = operations.into_iter().map(|operation| read_operation(operation, types, base)).unzip();
        Ok(Self { fail_on_errors, operations: resolve(labels, asked, reader, new_id) })
    }

    /// The operations in units that are done as a whole, in the order in which they are done.
    #[must_use]
    pub fn plan(&self) -> Vec<Vec<usize>> {
        let needs: Vec<&[usize]> = self.operations.iter().map(|operation| operation.needs.as_slice()).collect();
        components(&needs)
    }

    /// The refusal of an operation that refers to one that failed.
    #[must_use]
    pub fn failed_reference(&self, needed: usize) -> ScimError {
        let name = self.operations[needed].bulk_id.as_deref().unwrap_or_default();
        ScimError::new(409, format!("the operation refers to {}, whose operation failed", quote(&format!("{REFERENCE}{name}"))))
    }

    /// The refusal of an operation in a circle of references of which another one failed.
    #[must_use]
    pub fn failed_circle(&self, failed: usize) -> ScimError {
        let name = self.operations[failed].bulk_id.as_deref().unwrap_or_default();
        let reference = quote(&format!("{REFERENCE}{name}"));
        ScimError::new(
            409,
            format!("the operation and {reference} refer to each other in a circle, and the operation of {reference} failed"),
        )
    }
}

fn read_fail_on_errors(value: Option<Value>) -> Result<Option<usize>, ScimError> {
    let value = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(value) => value,
    };
    match value.as_u64().and_then(|number| usize::try_from(number).ok()).filter(|number| *number > 0) {
        Some(number) => Ok(Some(number)),
        None => Err(ScimError::invalid_value(format!("failOnErrors is {}; a number from 1 is expected", quote_json(&value)))),
    }
}

fn read_operation(operation: Value, types: [&'static ResourceType; 2], base: &str) -> (Label, Result<Asked, ScimError>) {
    let Value::Object(mut object) = operation else {
        let fault = ScimError::invalid_syntax(format!("the operation is {}; an object is expected", quote_json(&operation)));
        return (Label { method: None, bulk_id: None, path: None }, Err(fault));
    };
    let mut fault = None;
    let mut text = |name: &str| match take(&mut object, name) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) if text.chars().nth(LABEL_MAX_CHARS).is_some() => {
            let rule = format!("at most {LABEL_MAX_CHARS} characters are read");
            fault.get_or_insert(ScimError::invalid_value(format!("{name} is {}; {rule}", quote(&text))));
            None
        }
        Some(Value::String(text)) => Some(text),
        Some(other) => {
            fault.get_or_insert(ScimError::invalid_syntax(format!("{name} is {}; a string is expected", quote_json(&other))));
            None
        }
    };
    let label = Label { method: text("method"), bulk_id: text("bulkId"), path: text("path") };
    let version = text("version");
    let asked = match fault {
        Some(fault) => Err(fault),
        None => Asked::read(&label, version.as_deref(), take(&mut object, "data"), types, base),
    };
    (label, asked)
}

impl Label {
    /// The name that this operation gives to what it creates.
    fn defines(&self) -> Option<&str> {
        self.bulk_id.as_deref().filter(|_| self.method.as_deref() == Some("POST"))
    }
}

impl Asked {
    fn read(
        label: &Label,
        version: Option<&str>,
        data: Option<Value>,
        types: [&'static ResourceType; 2],
        base: &str,
    ) -> Result<Self, ScimError> {
        let missing = |what| ScimError::invalid_syntax(format!("{what} is expected, and missing"));
        let word = label.method.as_deref().ok_or_else(|| missing("method (POST, PUT, PATCH or DELETE)"))?;
        let path = label.path.as_deref().ok_or_else(|| missing("path (such as /Users, or /Users/ and an id)"))?;
        let (resource_type, place) = read_path(path, types, base)?;
        let method = match (word, place) {
            ("POST", None) => Method::Post,
            ("PUT", Some(_)) => Method::Put,
            ("PATCH", Some(_)) => Method::Patch,
            ("DELETE", Some(_)) => Method::Delete,
            _ => {
                return Err(ScimError::new(
                    405,
                    format!("method is {}, which path {} does not have in a bulk request", quote(word), quote(path)),
                ));
            }
        };
        // RFC 7644 §3.7: bulkId is "REQUIRED when "method" is "POST"".
        if method == Method::Post && label.bulk_id.as_deref().is_none_or(str::is_empty) {
            return Err(ScimError::invalid_value("bulkId is missing; a POST must have one"));
        }
        let if_match = version.filter(|_| method != Method::Post).map(Condition::parse).transpose()?;
        let data = match data {
            Some(Value::Object(data)) => data,
            _ if method == Method::Delete => Map::new(),
            None | Some(Value::Null) => return Err(ScimError::invalid_syntax(format!("data is missing; a {word} must have it"))),
            Some(other) => return Err(ScimError::invalid_syntax(format!("data is {}; an object is expected", quote_json(&other)))),
        };
        Ok(Self { method, resource_type, place: place.map(str::to_owned), if_match, data })
    }

    /// The change, with every reference replaced by its id.
    fn resolve(mut self, own: Uuid, names: &Names<'_>, needs: &mut Vec<usize>, reader: &mut Reader) -> Result<Change, ScimError> {
        let id = match self.place.as_deref() {
            None => own,
            Some(place) => match place.strip_prefix(REFERENCE) {
                Some(name) => names.find(name, needs)?,
                None => parse_id(place).ok_or_else(|| ScimError::not_found(self.resource_type.name, place))?,
            },
        };
        // Not by recursion: how deep `data` nests is the client's choice.
        let mut unread: Vec<&mut Value> = self.data.values_mut().collect();
        while let Some(value) = unread.pop() {
            match value {
                Value::Array(values) => unread.extend(values),
                Value::Object(object) => unread.extend(object.values_mut()),
                Value::String(text) => {
                    if let Some(name) = text.strip_prefix(REFERENCE) {
                        *text = names.find(name, needs)?.to_string();
                    }
                }
                _ => {}
            }
        }
        let action = match self.method {
            Method::Post => Action::Create(Document::read(self.resource_type, self.data, reader)?),
            Method::Put => Action::Replace(Document::read(self.resource_type, self.data, reader)?),
            Method::Patch => Action::Patch(Patch::read(self.resource_type, self.data, reader)?),
            Method::Delete => Action::Delete,
        };
        Ok(Change { resource_type: self.resource_type, id, if_match: self.if_match, action })
    }
}

/// The resource type of a path and the id in it. The path is relative to the base (§3.7); with the base before it, it means
/// the same.
fn read_path<'a>(
    path: &'a str,
    types: [&'static ResourceType; 2],
    base: &str,
) -> Result<(&'static ResourceType, Option<&'a str>), ScimError> {
    let base_path = base.split_once("://").and_then(|(_, rest)| rest.find('/').map(|slash| &rest[slash..])).unwrap_or_default();
    let under = |prefix: &str| path.strip_prefix(prefix).filter(|rest| !prefix.is_empty() && rest.starts_with('/'));
    let relative = under(base).or_else(|| under(base_path)).unwrap_or(path).trim_matches('/');
    let (endpoint, place) = match relative.split_once('/') {
        Some((endpoint, place)) => (endpoint, Some(place.trim_start_matches('/'))),
        None => (relative, None),
    };
    let resource_type = types.into_iter().find(|resource_type| resource_type.endpoint.strip_prefix('/') == Some(endpoint));
    let unknown = || ScimError::new(404, format!("path {} is no endpoint of a bulk request; /Users and /Groups are", quote(path)));
    Ok((resource_type.ok_or_else(unknown)?, place))
}

/// What the names of a request stand for.
struct Names<'a> {
    /// The operation that a name belongs to; `None` when several have it.
    operations: HashMap<&'a str, Option<usize>>,
    ids: Vec<Uuid>,
}

impl Names<'_> {
    /// The id that a reference stands for; the operation that creates it is noted as needed.
    fn find(&self, name: &str, needs: &mut Vec<usize>) -> Result<Uuid, ScimError> {
        let reference = quote(&format!("{REFERENCE}{name}"));
        match self.operations.get(name) {
            Some(Some(index)) => {
                needs.push(*index);
                Ok(self.ids[*index])
            }
            Some(None) => Err(ScimError::invalid_value(format!("the operation refers to {reference}, which several operations have"))),
            None => Err(ScimError::invalid_value(format!("the operation refers to {reference}, which no POST of this request has"))),
        }
    }
}

fn resolve(labels: Vec<Label>, asked: Vec<Result<Asked, ScimError>>, reader: &Reader, mut new_id: impl FnMut() -> Uuid) -> Vec<Operation> {
    let mut names = Names { operations: HashMap::new(), ids: labels.iter().map(|_| new_id()).collect() };
    for (index, label) in labels.iter().enumerate() {
        if let Some(name) = label.defines() {
            names.operations.entry(name).and_modify(|operation| *operation = None).or_insert(Some(index));
        }
    }
    let mut resolved = Vec::with_capacity(labels.len());
    for (index, (label, asked)) in labels.iter().zip(asked).enumerate() {
        let mut needs = Vec::new();
        let mut reader = Reader::new(reader.conformance, reader.limits);
        let change = asked.and_then(|asked| {
            // RFC 7644 §3.7: bulkId is "unique within a bulk request".
            if let Some(name) = label.defines().filter(|name| names.operations[name].is_none()) {
                return Err(ScimError::invalid_value(format!("bulkId {} stands at several operations", quote(name))));
            }
            asked.resolve(names.ids[index], &names, &mut needs, &mut reader)
        });
        needs.sort_unstable();
        needs.dedup();
        resolved.push((change, needs, reader));
    }
    let operations = labels.into_iter().zip(resolved).map(|(label, (change, needs, reader))| {
        let Label { method, bulk_id, path } = label;
        Operation { method, bulk_id, path, change, needs, reader }
    });
    operations.collect()
}

impl Operation {
    /// The result of the operation, as the answer lists it (RFC 7644 §3.7.3). `version` is the one that was written.
    #[must_use]
    pub fn result(&self, base: &str, outcome: Result<Option<i64>, &ScimError>) -> Value {
        let mut result = Map::new();
        if let Some(location) = self.location(base, outcome.is_ok()) {
            result.insert("location".into(), location.into());
        }
        for (name, value) in [("method", &self.method), ("bulkId", &self.bulk_id)] {
            if let Some(value) = value {
                result.insert(name.into(), value.as_str().into());
            }
        }
        if let Ok(Some(version)) = outcome {
            result.insert("version".into(), etag(version).into());
        }
        let status = outcome.map_or_else(|error| error.status, |_| self.status());
        result.insert("status".into(), status.to_string().into());
        if let Err(error) = outcome {
            result.insert("response".into(), error.body());
        }
        Value::Object(result)
    }

    /// "The "location" attribute ... MUST be returned for all operations except for failed POST operations". Of a resource
    /// that does not exist it is what the client called it.
    fn location(&self, base: &str, done: bool) -> Option<String> {
        match &self.change {
            Ok(change) if done => Some(format!("{base}{}/{}", change.resource_type.endpoint, change.id)),
            _ if self.method.as_deref() == Some("POST") => None,
            _ => self
                .path
                .as_deref()
                .map(|path| if path.starts_with(base) { path.to_owned() } else { format!("{base}/{}", path.trim_start_matches('/')) }),
        }
    }

    /// "the HTTP response code that would have been returned if a single HTTP request would have been used".
    fn status(&self) -> u16 {
        match &self.change {
            Ok(Change { action: Action::Create(_), .. }) => 201,
            Ok(Change { action: Action::Delete, .. }) => 204,
            Ok(Change { action: Action::Patch(_), resource_type, .. }) if resource_type.core_attribute("members").is_some() => 204,
            _ => 200,
        }
    }
}

/// A BulkResponse around the results.
#[must_use]
pub fn bulk_response(results: Vec<Value>) -> Value {
    json!({ "schemas": [BULK_RESPONSE_URN], "Operations": results })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scim::catalog::RESOURCE_TYPES;

    const BASE: &str = "https://scim.example.com/scim/v2";

    #[test]
    fn a_path_is_relative_to_the_base_or_begins_with_it() {
        let ends = ["/Users/1", "Users/1", "/Users//1", "/Users/1/", "/scim/v2/Users/1", "https://scim.example.com/scim/v2/Users/1"];
        for path in ends {
            let (resource_type, place) = read_path(path, RESOURCE_TYPES, BASE).expect(path);
            assert_eq!((resource_type.name, place), ("User", Some("1")), "{path}");
        }
        assert_eq!(
            read_path("/Groups", RESOURCE_TYPES, BASE).map(|(resource_type, place)| (resource_type.name, place)),
            Ok(("Group", None))
        );
        for path in ["", "/", "/users/1", "/Bulk", "/Me", "https://other.example.com/Users/1", "/scim/v2x/Users/1", "/scim/v2"] {
            assert_eq!(read_path(path, RESOURCE_TYPES, BASE).map_err(|error| error.status), Err(404), "{path}");
        }
    }
}
