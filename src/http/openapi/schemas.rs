//! The schemas of bodies and answers: SCIM's resources from the catalog, employees from their columns, and the few that are
//! written out.

use serde_json::{Map, Value, json};

use super::reference;
use crate::directory::{COLUMNS, ColumnKind};
use crate::scim::catalog::{
    BULK_REQUEST_URN, BULK_RESPONSE_URN, ENTERPRISE_USER_SCHEMA, GROUP, LIST_RESPONSE_URN, PATCH_OP_URN, SEARCH_REQUEST_URN, USER,
};
use crate::scim::error::ERROR_URN;
use crate::scim::schema::{Attribute, Kind, Mutability, ResourceType};

/// Every schema by its name.
pub(super) fn all() -> Value {
    let mut schemas = Map::new();
    schemas.insert("User".into(), resource(&USER));
    schemas.insert("EnterpriseUser".into(), object(ENTERPRISE_USER_SCHEMA.attributes));
    schemas.insert("Group".into(), resource(&GROUP));
    for (name, schema) in messages().into_iter().chain(answers()) {
        schemas.insert(name.into(), schema);
    }
    Value::Object(schemas)
}

/// A resource of SCIM; letter case of names is free, and unknown attributes are kept aside.
fn resource(resource_type: &ResourceType) -> Value {
    let mut schema = object(resource_type.schema.attributes);
    schema["description"] = resource_type.description.into();
    for attribute in resource_type.common {
        schema["properties"][attribute.name] = property(attribute);
    }
    for extension in resource_type.extensions {
        schema["properties"][extension.id] = reference(extension.name);
    }
    schema
}

fn object(attributes: &[Attribute]) -> Value {
    let properties: Map<String, Value> = attributes.iter().map(|one| (one.name.to_owned(), property(one))).collect();
    let required: Vec<&str> = attributes.iter().filter(|one| one.required).map(|one| one.name).collect();
    let mut schema = json!({ "type": "object", "properties": properties });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

/// An attribute with what JSON Schema has words for. Canonical values are suggestions (RFC 7643 §7), so they are no `enum`.
fn property(attribute: &Attribute) -> Value {
    let mut schema = match attribute.kind {
        Kind::Complex => object(attribute.sub_attributes),
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::Decimal => json!({ "type": "number" }),
        Kind::Integer => json!({ "type": "integer" }),
        Kind::DateTime => json!({ "type": "string", "format": "date-time" }),
        Kind::Reference => json!({ "type": "string", "format": "uri-reference" }),
        Kind::Binary => json!({ "type": "string", "contentEncoding": "base64" }),
        Kind::String => json!({ "type": "string" }),
    };
    if !attribute.canonical_values.is_empty() {
        schema["examples"] = json!(attribute.canonical_values);
    }
    if attribute.multi_valued {
        schema = json!({ "type": "array", "items": schema });
    }
    schema["description"] = attribute.description.into();
    match attribute.mutability {
        Mutability::ReadOnly => schema["readOnly"] = true.into(),
        Mutability::WriteOnly => schema["writeOnly"] = true.into(),
        Mutability::ReadWrite | Mutability::Immutable => {}
    }
    schema
}

fn message(urn: &str, properties: Value, required: &[&str]) -> Value {
    let mut schema = json!({ "type": "object", "properties": properties, "required": required });
    schema["properties"]["schemas"] = json!({ "type": "array", "items": { "type": "string" }, "examples": [[urn]] });
    schema
}

/// The messages of RFC 7644.
fn messages() -> Vec<(&'static str, Value)> {
    let (text, number) = (json!({ "type": "string" }), json!({ "type": "integer" }));
    let names = json!({ "type": "array", "items": text });
    let list = json!({ "totalResults": number, "startIndex": number, "itemsPerPage": number,
        "Resources": { "type": "array", "items": { "type": "object" } } });
    let search = json!({ "filter": text, "sortBy": text, "sortOrder": text, "startIndex": number, "count": number,
        "attributes": names, "excludedAttributes": names });
    let patch = json!({ "type": "object", "required": ["op"], "properties": {
        "op": { "type": "string", "examples": ["add", "remove", "replace"] }, "path": text, "value": {} } });
    let bulk = json!({ "type": "object", "required": ["method", "path"], "properties": {
        "method": { "type": "string", "enum": ["POST", "PUT", "PATCH", "DELETE"] }, "path": text, "bulkId": text, "version": text,
        "data": { "type": "object" } } });
    let done = json!({ "type": "object", "properties": { "method": text, "bulkId": text, "version": text, "location": text,
        "status": text, "response": { "type": "object" } } });
    let several = |item: Value| json!({ "type": "array", "items": item });
    vec![
        ("ListResponse", message(LIST_RESPONSE_URN, list, &["schemas", "totalResults"])),
        ("SearchRequest", message(SEARCH_REQUEST_URN, search, &[])),
        ("PatchOp", message(PATCH_OP_URN, json!({ "Operations": several(patch) }), &["Operations"])),
        ("BulkRequest", message(BULK_REQUEST_URN, json!({ "failOnErrors": number, "Operations": several(bulk) }), &["Operations"])),
        ("BulkResponse", message(BULK_RESPONSE_URN, json!({ "Operations": several(done) }), &["Operations"])),
        ("Error", message(ERROR_URN, json!({ "status": text, "scimType": text, "detail": text }), &["schemas", "status"])),
        ("Discovery", json!({ "type": "object", "description": "RFC 7643 §5 to §7." })),
    ]
}

/// The answers of the workplace API.
fn answers() -> Vec<(&'static str, Value)> {
    let (number, cursor) = (json!({ "type": "integer" }), json!({ "type": ["string", "null"] }));
    let employees = json!({ "employees": { "type": "array", "items": reference("Employee") }, "total": number, "next": cursor });
    let history = json!({ "history": { "type": "array", "items": reference("HistoryEntry") }, "next": cursor });
    let changes = json!({ "changes": { "type": "array", "items": reference("Change") }, "next": { "type": "string" },
        "more": { "type": "boolean" } });
    let head_count = closed(json!({ "name": { "type": "string" }, "active": number, "total": number }));
    let actor = json!({ "connection": { "type": ["string", "null"] }, "request_id": { "type": ["string", "null"] } });
    vec![
        ("Text", json!({ "type": "string" })),
        ("Employee", employee()),
        ("Employees", closed(employees)),
        ("HistoryEntry", json!({ "allOf": [reference("Change"), closed(actor)] })),
        ("History", closed(history)),
        ("Change", change()),
        ("Changes", closed(changes)),
        ("HeadCount", head_count),
        (
            "HeadCounts",
            json!({ "type": "object", "required": ["total", "next"],
                "description": "The list has the name of the path, with an underscore for a hyphen.",
                "properties": { "total": number, "next": cursor },
                "additionalProperties": { "type": "array", "items": reference("HeadCount") } }),
        ),
    ]
}

/// An object that always has all of its properties.
fn closed(properties: Value) -> Value {
    let required: Vec<&String> = properties.as_object().map(|properties| properties.keys().collect()).unwrap_or_default();
    json!({ "type": "object", "required": required, "properties": properties })
}

fn employee() -> Value {
    let properties: Map<String, Value> = COLUMNS
        .iter()
        .map(|column| {
            let kind = |name: &str| if column.required { json!(name) } else { json!([name, "null"]) };
            let mut schema = match column.kind {
                ColumnKind::Flag => json!({ "type": kind("boolean") }),
                ColumnKind::Time => json!({ "type": kind("string"), "format": "date-time" }),
                ColumnKind::Id => json!({ "type": kind("string"), "format": "uuid" }),
                ColumnKind::Names => json!({ "type": "array", "items": { "type": "string" } }),
                ColumnKind::Custom => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
                ColumnKind::Constant | ColumnKind::Text | ColumnKind::Folded(_) | ColumnKind::Manager => json!({ "type": kind("string") }),
            };
            schema["description"] = column.description.into();
            (column.name.to_owned(), schema)
        })
        .collect();
    closed(Value::Object(properties))
}

fn change() -> Value {
    let ids = json!({ "type": "array", "items": { "type": "string", "format": "uuid" } });
    let mut schema = closed(json!({
        "id": { "type": "integer", "description": "The event's number; a repeated change has the same." },
        "at": { "type": "string", "format": "date-time" },
        "resource": { "type": "string", "enum": ["employee", "group"] },
        "resource_id": { "type": "string", "format": "uuid" },
        "kind": { "type": "string", "enum": ["created", "updated", "deactivated", "reactivated", "deleted"] },
        "fields": { "type": "array", "items": { "type": "string" }, "description": "What changed in it." },
    }));
    schema["properties"]["cursor"] = json!({ "type": "string", "description": "after for what follows this change." });
    schema["properties"]["members"] = closed(json!({ "added": ids, "removed": ids }));
    schema["properties"]["groups"] = ids;
    schema
}
