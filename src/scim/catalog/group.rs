//! The core schema of a group (RFC 7643 §4.2).

use crate::scim::schema::{Attribute, Kind, Mutability, Schema, Uniqueness, attribute};

use super::GROUP_URN;

/// The core schema of a group.
pub static GROUP_SCHEMA: Schema = Schema {
    id: GROUP_URN,
    name: "Group",
    description: "A named set of users and groups.",
    attributes: &[
        // Erratum 5368: published as optional, while §4.2 requires it. Two groups of one tenant do not share a name,
        // so `server` is the truth here although §8.7.1 publishes `none`.
        Attribute {
            required: true,
            uniqueness: Uniqueness::Server,
            ..attribute("displayName", Kind::String, "The name of the group; no other group has the same.")
        },
        Attribute {
            multi_valued: true,
            sub_attributes: MEMBERS,
            ..attribute("members", Kind::Complex, "The members. They are added and removed, never edited in place.")
        },
    ],
    declared: false,
};

const MEMBERS: &[Attribute] = &[
    // Published without caseExact, but it is the id of a resource, and ids are caseExact (§3.1).
    Attribute {
        case_exact: true,
        mutability: Mutability::Immutable,
        ..attribute("value", Kind::String, "The id of the member: a user or a group.")
    },
    Attribute {
        case_exact: true,
        mutability: Mutability::Immutable,
        reference_types: &["User", "Group"],
        ..attribute("$ref", Kind::Reference, "The URI of the member.")
    },
    Attribute {
        mutability: Mutability::Immutable,
        canonical_values: &["User", "Group"],
        ..attribute("type", Kind::String, "The resource type of the member.")
    },
    // Not in §8.7.1, but one of the default sub-attributes of §2.4, and clients show it.
    Attribute { mutability: Mutability::ReadOnly, ..attribute("display", Kind::String, "The display name of the member.") },
];
