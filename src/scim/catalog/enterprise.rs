//! The enterprise extension of a user (RFC 7643 §4.3).

use crate::scim::schema::{Attribute, Kind, Mutability, Schema, attribute};

use super::ENTERPRISE_URN;

/// The enterprise extension of a user.
pub static ENTERPRISE_USER_SCHEMA: Schema = Schema {
    id: ENTERPRISE_URN,
    name: "EnterpriseUser",
    description: "What an employer records about a user.",
    attributes: &[
        attribute("employeeNumber", Kind::String, "The number or code by which the organization knows the person."),
        attribute("costCenter", Kind::String, "The cost center the person is charged to."),
        attribute("organization", Kind::String, "The organization the person belongs to."),
        attribute("division", Kind::String, "The division the person belongs to."),
        attribute("department", Kind::String, "The department the person belongs to."),
        Attribute { sub_attributes: MANAGER, ..attribute("manager", Kind::Complex, "The person's manager, another user.") },
    ],
    declared: false,
};

const MANAGER: &[Attribute] = &[
    // Erratum 8472: published without caseExact, but it is the id of a user, and ids are caseExact.
    Attribute { case_exact: true, ..attribute("value", Kind::String, "The id of the manager's user.") },
    Attribute { case_exact: true, reference_types: &["User"], ..attribute("$ref", Kind::Reference, "The URI of the manager's user.") },
    Attribute { mutability: Mutability::ReadOnly, ..attribute("displayName", Kind::String, "The display name of the manager's user.") },
];
