//! What a client reads to learn what the server can do (RFC 7643 §5-§7, RFC 7644 §4, RFC 9865 §4): the documents under
//! `/Schemas`, `/ResourceTypes` and `/ServiceProviderConfig`, made from the tables of `catalog`. The schemas that describe
//! these documents themselves (RFC 7643 §8.7.2) are fixed by the RFC and not published.

use serde_json::{Map, Value, json};

use crate::scim::catalog::LIST_RESPONSE_URN;
use crate::scim::schema::{Attribute, Kind, ResourceType, Schema};

/// The schema of a schema (RFC 7643 §7).
pub const SCHEMA_URN: &str = "urn:ietf:params:scim:schemas:core:2.0:Schema";
/// The schema of a resource type (RFC 7643 §6).
pub const RESOURCE_TYPE_URN: &str = "urn:ietf:params:scim:schemas:core:2.0:ResourceType";
/// The schema of the service provider configuration (RFC 7643 §5).
pub const SERVICE_PROVIDER_CONFIG_URN: &str = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig";

/// What the server supports and where its limits are. Filters, index paging and bearer tokens are always supported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Supported {
    /// PATCH (RFC 7644 §3.5.2).
    pub patch: bool,
    /// Bulk operations (RFC 7644 §3.7).
    pub bulk: Option<Bulk>,
    /// The most resources in one answer to a query.
    pub filter_max_results: usize,
    /// Setting a user's password.
    pub change_password: bool,
    /// `sortBy` and `sortOrder` (RFC 7644 §3.4.2.3).
    pub sort: bool,
    /// Entity-tags and conditional requests (RFC 7644 §3.14).
    pub etag: bool,
    /// Cursor paging (RFC 9865).
    pub cursor: Option<Pagination>,
}

/// The limits of a bulk request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bulk {
    /// The most operations in one request.
    pub max_operations: usize,
    /// The longest request body, in bytes.
    pub max_payload_size: usize,
}

/// The limits of cursor paging.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pagination {
    /// The resources on a page when the client names no `count`.
    pub default_page_size: usize,
    /// The most resources on a page, whatever `count` says.
    pub max_page_size: usize,
    /// How long a cursor is accepted at least, in seconds.
    pub cursor_timeout_s: u64,
}

/// The schemas of a tenant's resource types: each type's own, then its extensions.
fn schemas(types: [&'static ResourceType; 2]) -> impl Iterator<Item = &'static Schema> {
    types.into_iter().flat_map(|resource_type| std::iter::once(resource_type.schema).chain(resource_type.extensions.iter().copied()))
}

/// The published schema with this URN, in any letter case.
#[must_use]
pub fn find_schema(types: [&'static ResourceType; 2], urn: &str) -> Option<&'static Schema> {
    schemas(types).find(|schema| schema.id.eq_ignore_ascii_case(urn))
}

/// The resource type with this id, in any letter case.
#[must_use]
pub fn find_resource_type(types: [&'static ResourceType; 2], id: &str) -> Option<&'static ResourceType> {
    types.into_iter().find(|resource_type| resource_type.name.eq_ignore_ascii_case(id))
}

/// Where a schema is found under a base such as `https://scim.example.com/scim/v2`.
#[must_use]
pub fn schema_location(base_url: &str, schema: &Schema) -> String {
    format!("{base_url}/Schemas/{}", schema.id)
}

/// Where a resource type is found under a base.
#[must_use]
pub fn resource_type_location(base_url: &str, resource_type: &ResourceType) -> String {
    format!("{base_url}/ResourceTypes/{}", resource_type.name)
}

/// The answer to `GET /Schemas` (RFC 7644 §4).
#[must_use]
pub fn schemas_list(types: [&'static ResourceType; 2], base_url: &str) -> Value {
    list(schemas(types).map(|schema| schema_document(schema, &schema_location(base_url, schema))).collect())
}

/// The answer to `GET /ResourceTypes` (RFC 7644 §4).
#[must_use]
pub fn resource_types_list(types: [&'static ResourceType; 2], base_url: &str) -> Value {
    list(
        types
            .into_iter()
            .map(|resource_type| resource_type_document(resource_type, &resource_type_location(base_url, resource_type)))
            .collect(),
    )
}

/// One schema (RFC 7643 §7).
#[must_use]
pub fn schema_document(schema: &Schema, location: &str) -> Value {
    json!({
        "schemas": [SCHEMA_URN],
        "id": schema.id,
        "name": schema.name,
        "description": schema.description,
        "attributes": attribute_documents(schema.attributes),
        "meta": { "resourceType": "Schema", "location": location },
    })
}

/// One resource type (RFC 7643 §6). A type without extensions has no `schemaExtensions`.
#[must_use]
pub fn resource_type_document(resource_type: &ResourceType, location: &str) -> Value {
    let mut document = json!({
        "schemas": [RESOURCE_TYPE_URN],
        "id": resource_type.name,
        "name": resource_type.name,
        "endpoint": resource_type.endpoint,
        "description": resource_type.description,
        "schema": resource_type.schema.id,
    });
    if !resource_type.extensions.is_empty() {
        document["schemaExtensions"] =
            resource_type.extensions.iter().map(|extension| json!({ "schema": extension.id, "required": false })).collect();
    }
    document["meta"] = json!({ "resourceType": "ResourceType", "location": location });
    document
}

/// The service provider configuration (RFC 7643 §5). `bulk` has its limits even when it is not supported: they are
/// required, and clients read them unasked. Index paging stays the default beside cursors (RFC 9865 §2.4).
#[must_use]
pub fn service_provider_config(supported: &Supported, location: &str) -> Value {
    let bulk = supported.bulk.unwrap_or(Bulk { max_operations: 0, max_payload_size: 0 });
    let mut document = json!({
        "schemas": [SERVICE_PROVIDER_CONFIG_URN],
        "patch": { "supported": supported.patch },
        "bulk": {
            "supported": supported.bulk.is_some(),
            "maxOperations": bulk.max_operations,
            "maxPayloadSize": bulk.max_payload_size,
        },
        "filter": { "supported": true, "maxResults": supported.filter_max_results },
        "changePassword": { "supported": supported.change_password },
        "sort": { "supported": supported.sort },
        "etag": { "supported": supported.etag },
        "authenticationSchemes": [{
            "type": "oauthbearertoken",
            "name": "OAuth Bearer Token",
            "description": "A token of the connection, sent as Authorization: Bearer.",
            "specUri": "https://www.rfc-editor.org/info/rfc6750",
            "primary": true,
        }],
    });
    if let Some(cursor) = supported.cursor {
        document["pagination"] = json!({
            "cursor": true,
            "index": true,
            "defaultPaginationMethod": "index",
            "defaultPageSize": cursor.default_page_size,
            "maxPageSize": cursor.max_page_size,
            "cursorTimeout": cursor.cursor_timeout_s,
        });
    }
    document["meta"] = json!({ "resourceType": "ServiceProviderConfig", "location": location });
    document
}

fn attribute_documents(attributes: &[Attribute]) -> Value {
    attributes.iter().map(attribute_document).collect()
}

/// One attribute with the characteristics that apply to it, in the order of RFC 7643 §8.7.1. Recursion ends at
/// sub-attributes, which have none themselves (§2.3.8).
fn attribute_document(attribute: &Attribute) -> Value {
    let mut document = Map::new();
    document.insert("name".into(), attribute.name.into());
    document.insert("type".into(), attribute.kind.name().into());
    if !attribute.reference_types.is_empty() {
        document.insert("referenceTypes".into(), attribute.reference_types.into());
    }
    document.insert("multiValued".into(), attribute.multi_valued.into());
    document.insert("description".into(), attribute.description.into());
    document.insert("required".into(), attribute.required.into());
    if attribute.kind != Kind::Complex {
        document.insert("caseExact".into(), attribute.case_exact.into());
    }
    if !attribute.canonical_values.is_empty() {
        document.insert("canonicalValues".into(), attribute.canonical_values.into());
    }
    document.insert("mutability".into(), attribute.mutability.name().into());
    document.insert("returned".into(), attribute.returned.name().into());
    if attribute.kind == Kind::Complex {
        // Erratum 6004: a complex attribute has no uniqueness of its own.
        document.insert("subAttributes".into(), attribute_documents(attribute.sub_attributes));
    } else {
        document.insert("uniqueness".into(), attribute.uniqueness.name().into());
    }
    Value::Object(document)
}

fn list(resources: Vec<Value>) -> Value {
    json!({
        "schemas": [LIST_RESPONSE_URN],
        "totalResults": resources.len(),
        "startIndex": 1,
        "itemsPerPage": resources.len(),
        "Resources": resources,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scim::catalog::{
        ENTERPRISE_URN, ENTERPRISE_USER_SCHEMA, GROUP, GROUP_SCHEMA, GROUP_URN, RESOURCE_TYPES, USER, USER_SCHEMA, USER_URN,
    };

    const BASE: &str = "https://scim.example.com/scim/v2";

    fn everything() -> Supported {
        Supported {
            patch: true,
            bulk: Some(Bulk { max_operations: 1000, max_payload_size: 1_048_576 }),
            filter_max_results: 200,
            change_password: false,
            sort: true,
            etag: true,
            cursor: Some(Pagination { default_page_size: 100, max_page_size: 200, cursor_timeout_s: 3600 }),
        }
    }

    fn items(array: &Value) -> &[Value] {
        array.as_array().expect("an array")
    }

    fn attribute<'a>(attributes: &'a Value, name: &str) -> &'a Value {
        items(attributes).iter().find(|attribute| attribute["name"] == name).expect(name)
    }

    /// N25, N26, N97.
    #[test]
    fn the_configuration_says_what_is_supported() {
        assert_eq!(
            service_provider_config(&everything(), "https://scim.example.com/scim/v2/ServiceProviderConfig"),
            json!({
                "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
                "patch": { "supported": true },
                "bulk": { "supported": true, "maxOperations": 1000, "maxPayloadSize": 1048576 },
                "filter": { "supported": true, "maxResults": 200 },
                "changePassword": { "supported": false },
                "sort": { "supported": true },
                "etag": { "supported": true },
                "authenticationSchemes": [{
                    "type": "oauthbearertoken",
                    "name": "OAuth Bearer Token",
                    "description": "A token of the connection, sent as Authorization: Bearer.",
                    "specUri": "https://www.rfc-editor.org/info/rfc6750",
                    "primary": true
                }],
                "pagination": {
                    "cursor": true,
                    "index": true,
                    "defaultPaginationMethod": "index",
                    "defaultPageSize": 100,
                    "maxPageSize": 200,
                    "cursorTimeout": 3600
                },
                "meta": {
                    "resourceType": "ServiceProviderConfig",
                    "location": "https://scim.example.com/scim/v2/ServiceProviderConfig"
                }
            })
        );
    }

    /// N25: the limits are required even then.
    #[test]
    fn unsupported_bulk_has_limits_of_zero_and_without_cursors_there_is_no_pagination() {
        let config = service_provider_config(&Supported { bulk: None, cursor: None, ..everything() }, "x");
        assert_eq!(config["bulk"], json!({ "supported": false, "maxOperations": 0, "maxPayloadSize": 0 }));
        assert_eq!(config.get("pagination"), None);
    }

    /// N88.
    #[test]
    fn the_resource_types_are_a_list_response() {
        assert_eq!(
            resource_types_list(RESOURCE_TYPES, BASE),
            json!({
                "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
                "totalResults": 2,
                "startIndex": 1,
                "itemsPerPage": 2,
                "Resources": [
                    {
                        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],
                        "id": "User",
                        "name": "User",
                        "endpoint": "/Users",
                        "description": "A person with an account.",
                        "schema": "urn:ietf:params:scim:schemas:core:2.0:User",
                        "schemaExtensions": [
                            { "schema": "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User", "required": false }
                        ],
                        "meta": { "resourceType": "ResourceType", "location": "https://scim.example.com/scim/v2/ResourceTypes/User" }
                    },
                    {
                        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],
                        "id": "Group",
                        "name": "Group",
                        "endpoint": "/Groups",
                        "description": "A named set of users and groups.",
                        "schema": "urn:ietf:params:scim:schemas:core:2.0:Group",
                        "meta": { "resourceType": "ResourceType", "location": "https://scim.example.com/scim/v2/ResourceTypes/Group" }
                    }
                ]
            })
        );
    }

    /// N27.
    #[test]
    fn every_schema_of_a_resource_type_is_published() {
        let list = schemas_list(RESOURCE_TYPES, BASE);
        let ids: Vec<&str> = items(&list["Resources"]).iter().filter_map(|schema| schema["id"].as_str()).collect();
        assert_eq!(ids, [USER_URN, ENTERPRISE_URN, GROUP_URN]);
        assert_eq!(list["totalResults"], 3);
        for resource_type in RESOURCE_TYPES {
            assert!(ids.contains(&resource_type.schema.id));
            assert!(resource_type.extensions.iter().all(|extension| ids.contains(&extension.id)));
        }
        for (id, schema) in ids.iter().zip(items(&list["Resources"])) {
            assert_eq!(schema["schemas"], json!(["urn:ietf:params:scim:schemas:core:2.0:Schema"]));
            assert_eq!(schema["meta"], json!({ "resourceType": "Schema", "location": format!("{BASE}/Schemas/{id}") }));
        }
    }

    /// N28.
    #[test]
    fn an_attribute_is_published_with_its_characteristics() {
        let user = schema_document(&USER_SCHEMA, "x");
        assert_eq!(
            *attribute(&user["attributes"], "userName"),
            json!({
                "name": "userName",
                "type": "string",
                "multiValued": false,
                "description": "The name the person signs in with; no other user has the same.",
                "required": true,
                "caseExact": false,
                "mutability": "readWrite",
                "returned": "default",
                "uniqueness": "server"
            })
        );
        let groups = attribute(&user["attributes"], "groups");
        assert_eq!(
            *attribute(&groups["subAttributes"], "$ref"),
            json!({
                "name": "$ref",
                "type": "reference",
                "referenceTypes": ["Group"],
                "multiValued": false,
                "description": "The URI of the group.",
                "required": false,
                "caseExact": true,
                "mutability": "readOnly",
                "returned": "default",
                "uniqueness": "none"
            })
        );
        let emails = attribute(&user["attributes"], "emails");
        assert_eq!(attribute(&emails["subAttributes"], "type")["canonicalValues"], json!(["work", "home", "other"]));
    }

    /// N28, erratum 6004.
    #[test]
    fn complex_attributes_have_parts_and_the_others_have_case_and_uniqueness() {
        fn check(attributes: &Value) {
            for attribute in items(attributes) {
                for key in ["name", "type", "multiValued", "description", "required", "mutability", "returned"] {
                    assert!(attribute.get(key).is_some(), "{key} is missing in {attribute}");
                }
                let complex = attribute["type"] == "complex";
                for key in ["caseExact", "uniqueness"] {
                    assert_eq!(attribute.get(key).is_none(), complex, "{key} in {attribute}");
                }
                assert_eq!(attribute.get("subAttributes").is_some(), complex, "{attribute}");
                assert_eq!(attribute.get("referenceTypes").is_some(), attribute["type"] == "reference", "{attribute}");
                if complex {
                    check(&attribute["subAttributes"]);
                }
            }
        }
        for schema in [&USER_SCHEMA, &ENTERPRISE_USER_SCHEMA, &GROUP_SCHEMA] {
            check(&schema_document(schema, "x")["attributes"]);
        }
    }

    #[test]
    fn lookups_ignore_letter_case() {
        assert_eq!(find_schema(RESOURCE_TYPES, "URN:IETF:params:scim:schemas:core:2.0:group"), Some(&GROUP_SCHEMA));
        assert_eq!(find_schema(RESOURCE_TYPES, "urn:nope"), None);
        assert_eq!(find_schema(RESOURCE_TYPES, ""), None);
        assert_eq!(find_resource_type(RESOURCE_TYPES, "user"), Some(&USER));
        assert_eq!(find_resource_type(RESOURCE_TYPES, "Group"), Some(&GROUP));
        assert_eq!(find_resource_type(RESOURCE_TYPES, "Users"), None);
    }
}
