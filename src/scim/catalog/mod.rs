//! The schemas Frontdesk serves (RFC 7643 §3.1, §4.1-§4.3), as tables. The characteristics are those published in §8.7.1
//! with the verified errata applied (5368, 6004, 8471, 8472); where a table says something else, it gives the reason.
//! Parsing, filters, PATCH, projection and the `/Schemas` answer read these tables and nothing else.

mod enterprise;
mod group;
mod user;

use crate::scim::schema::{Attribute, Kind, Mutability, ResourceType, Returned, Schema, Uniqueness, attribute};

pub use enterprise::ENTERPRISE_USER_SCHEMA;
pub use group::GROUP_SCHEMA;
pub use user::USER_SCHEMA;

/// The core schema of a user (RFC 7643 §4.1).
pub const USER_URN: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
/// The core schema of a group (RFC 7643 §4.2).
pub const GROUP_URN: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
/// The enterprise extension of a user (RFC 7643 §4.3).
pub const ENTERPRISE_URN: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// The message around the results of a query (RFC 7644 §3.4.2).
pub const LIST_RESPONSE_URN: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";
/// The message that asks for a query by POST (RFC 7644 §3.4.3).
pub const SEARCH_REQUEST_URN: &str = "urn:ietf:params:scim:api:messages:2.0:SearchRequest";
/// The message of a PATCH (RFC 7644 §3.5.2).
pub const PATCH_OP_URN: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
/// The message of several operations in one (RFC 7644 §3.7).
pub const BULK_REQUEST_URN: &str = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";
/// The answer to several operations in one (RFC 7644 §3.7).
pub const BULK_RESPONSE_URN: &str = "urn:ietf:params:scim:api:messages:2.0:BulkResponse";

/// Users, under `/Users`.
pub static USER: ResourceType = ResourceType {
    name: "User",
    endpoint: "/Users",
    description: "A person with an account.",
    schema: &USER_SCHEMA,
    extensions: &[&ENTERPRISE_USER_SCHEMA],
    common: COMMON,
};

/// Groups, under `/Groups`.
pub static GROUP: ResourceType = ResourceType {
    name: "Group",
    endpoint: "/Groups",
    description: "A named set of users and groups.",
    schema: &GROUP_SCHEMA,
    extensions: &[],
    common: COMMON,
};

/// Every resource type.
pub static RESOURCE_TYPES: [&ResourceType; 2] = [&USER, &GROUP];

/// Every published schema.
pub static SCHEMAS: [&Schema; 3] = [&USER_SCHEMA, &ENTERPRISE_USER_SCHEMA, &GROUP_SCHEMA];

/// The attributes of every resource (RFC 7643 §3, §3.1). They belong to no schema of their own and are not published.
pub const COMMON: &[Attribute] = &[
    Attribute {
        multi_valued: true,
        required: true,
        case_exact: true,
        returned: Returned::Always,
        reference_types: &["uri"],
        ..attribute("schemas", Kind::Reference, "The URNs of the schemas whose attributes the resource has.")
    },
    Attribute {
        case_exact: true,
        mutability: Mutability::ReadOnly,
        returned: Returned::Always,
        uniqueness: Uniqueness::Server,
        ..attribute("id", Kind::String, "The identifier the server gave the resource; it never changes.")
    },
    Attribute {
        case_exact: true,
        ..attribute("externalId", Kind::String, "The identifier the provisioning client knows the resource by.")
    },
    Attribute {
        mutability: Mutability::ReadOnly,
        sub_attributes: META,
        ..attribute("meta", Kind::Complex, "What the server records about the resource.")
    },
];

const META: &[Attribute] = &[
    Attribute {
        case_exact: true,
        mutability: Mutability::ReadOnly,
        ..attribute("resourceType", Kind::String, "The name of the resource type.")
    },
    Attribute { mutability: Mutability::ReadOnly, ..attribute("created", Kind::DateTime, "When the resource was created.") },
    Attribute { mutability: Mutability::ReadOnly, ..attribute("lastModified", Kind::DateTime, "When the resource last changed.") },
    Attribute {
        case_exact: true,
        mutability: Mutability::ReadOnly,
        reference_types: &["uri"],
        ..attribute("location", Kind::Reference, "The URI of the resource.")
    },
    Attribute {
        case_exact: true,
        mutability: Mutability::ReadOnly,
        ..attribute("version", Kind::String, "The entity-tag of the resource as it is now.")
    },
];
