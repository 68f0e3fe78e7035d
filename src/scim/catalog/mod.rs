//! The schemas Frontdesk serves (RFC 7643 §3.1, §4.1-§4.3), as tables. The characteristics are those published in §8.7.1
//! with the verified errata applied (5368, 6004, 8471, 8472) and with references and binaries caseExact, as §2.3.6 and
//! §2.3.7 require. Where a table differs otherwise, it gives the reason, and a test lists every difference.
//! Parsing, filters, PATCH, projection and the `/Schemas` answer read these tables and nothing else.

mod declared;
mod enterprise;
mod group;
mod user;

use crate::scim::schema::{Attribute, Kind, Mutability, ResourceType, Returned, Schema, Uniqueness, attribute};

pub use declared::{Declaration, user_with};
pub use enterprise::ENTERPRISE_USER_SCHEMA;
pub use group::GROUP_SCHEMA;
pub use user::USER_SCHEMA;

/// The core schema of a user (RFC 7643 §4.1).
pub const USER_URN: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
/// The core schema of a group (RFC 7643 §4.2).
pub const GROUP_URN: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
/// The enterprise extension of a user (RFC 7643 §4.3).
pub const ENTERPRISE_URN: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
/// The extension that holds the attributes a tenant declares without a URN of their own. The name is this program's.
pub const CUSTOM_URN: &str = "urn:frontdesk:custom:2.0:User";

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
    declared: &[],
};

/// Groups, under `/Groups`.
pub static GROUP: ResourceType = ResourceType {
    name: "Group",
    endpoint: "/Groups",
    description: "A named set of users and groups.",
    schema: &GROUP_SCHEMA,
    extensions: &[],
    common: COMMON,
    declared: &[],
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scim::schema::Name;

    // The attributes of RFC 7643 §8.7.1, in its order, with every characteristic that is not the default of §2.2.
    const RFC_USER: &str = "\
        userName: string required unique:server
        name: complex
        name.formatted: string
        name.familyName: string
        name.givenName: string
        name.middleName: string
        name.honorificPrefix: string
        name.honorificSuffix: string
        displayName: string
        nickName: string
        profileUrl: reference ->external
        title: string
        userType: string
        preferredLanguage: string
        locale: string
        timezone: string
        active: boolean
        password: string writeOnly returned:never
        emails: complex multi
        emails.value: string
        emails.display: string
        emails.type: string [work,home,other]
        emails.primary: boolean
        phoneNumbers: complex multi
        phoneNumbers.value: string
        phoneNumbers.display: string
        phoneNumbers.type: string [work,home,mobile,fax,pager,other]
        phoneNumbers.primary: boolean
        ims: complex multi
        ims.value: string
        ims.display: string
        ims.type: string [aim,gtalk,icq,xmpp,msn,skype,qq,yahoo]
        ims.primary: boolean
        photos: complex multi
        photos.value: reference ->external
        photos.display: string
        photos.type: string [photo,thumbnail]
        photos.primary: boolean
        addresses: complex multi
        addresses.formatted: string
        addresses.streetAddress: string
        addresses.locality: string
        addresses.region: string
        addresses.postalCode: string
        addresses.country: string
        addresses.type: string [work,home,other]
        groups: complex multi readOnly
        groups.value: string readOnly
        groups.$ref: reference readOnly ->User,Group
        groups.display: string readOnly
        groups.type: string readOnly [direct,indirect]
        entitlements: complex multi
        entitlements.value: string
        entitlements.display: string
        entitlements.type: string
        entitlements.primary: boolean
        roles: complex multi
        roles.value: string
        roles.display: string
        roles.type: string
        roles.primary: boolean
        x509Certificates: complex multi
        x509Certificates.value: binary
        x509Certificates.display: string
        x509Certificates.type: string
        x509Certificates.primary: boolean";

    const RFC_GROUP: &str = "\
        displayName: string
        members: complex multi
        members.value: string immutable
        members.$ref: reference immutable ->User,Group
        members.type: string immutable [User,Group]";

    const RFC_ENTERPRISE: &str = "\
        employeeNumber: string
        costCenter: string
        organization: string
        division: string
        department: string
        manager: complex
        manager.value: string
        manager.$ref: reference ->User
        manager.displayName: string readOnly";

    // What the tables say otherwise: the published line (none where we add an attribute), ours, and why.
    const DIFFERENCES: &[(&str, &str, &str)] = &[
        ("profileUrl: reference ->external", "profileUrl: reference caseExact ->external", "§2.3.7: a reference is case exact"),
        ("photos.value: reference ->external", "photos.value: reference caseExact ->external", "§2.3.7"),
        ("", "addresses.primary: boolean", "§2.4, §8.2"),
        ("groups.value: string readOnly", "groups.value: string caseExact readOnly", "§3.1: an id is case exact"),
        ("groups.$ref: reference readOnly ->User,Group", "groups.$ref: reference caseExact readOnly ->Group", "§2.3.7, erratum 8471"),
        ("x509Certificates.value: binary", "x509Certificates.value: binary caseExact", "§2.3.6: a binary is case exact"),
        ("manager.value: string", "manager.value: string caseExact", "erratum 8472"),
        ("manager.$ref: reference ->User", "manager.$ref: reference caseExact ->User", "§2.3.7"),
        ("displayName: string", "displayName: string required unique:server", "erratum 5368; unique within a tenant"),
        ("members.value: string immutable", "members.value: string caseExact immutable", "§3.1"),
        ("members.$ref: reference immutable ->User,Group", "members.$ref: reference caseExact immutable ->User,Group", "§2.3.7"),
        ("", "members.display: string readOnly", "§2.4"),
    ];

    fn lines(attributes: &[Attribute]) -> Vec<String> {
        let mut lines = Vec::new();
        for attribute in attributes {
            lines.push(format!("{}: {}", attribute.name, characteristics(attribute)));
            for sub in attribute.sub_attributes {
                lines.push(format!("{}.{}: {}", attribute.name, sub.name, characteristics(sub)));
            }
        }
        lines
    }

    fn characteristics(attribute: &Attribute) -> String {
        let mut words = vec![attribute.kind.name().to_owned()];
        for (holds, word) in [(attribute.multi_valued, "multi"), (attribute.required, "required"), (attribute.case_exact, "caseExact")] {
            if holds {
                words.push(word.into());
            }
        }
        if attribute.mutability != Mutability::ReadWrite {
            words.push(attribute.mutability.name().into());
        }
        if attribute.returned != Returned::Default {
            words.push(format!("returned:{}", attribute.returned.name()));
        }
        if attribute.uniqueness != Uniqueness::None {
            words.push(format!("unique:{}", attribute.uniqueness.name()));
        }
        if !attribute.canonical_values.is_empty() {
            words.push(format!("[{}]", attribute.canonical_values.join(",")));
        }
        if !attribute.reference_types.is_empty() {
            words.push(format!("->{}", attribute.reference_types.join(",")));
        }
        words.join(" ")
    }

    fn names<'a>(lines: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
        lines.into_iter().filter_map(|line| line.split_once(':')).map(|(name, _)| name).collect()
    }

    /// N22-N24, N28: every attribute of the RFC is there, in its order; only the listed differences exist.
    #[test]
    fn the_tables_are_those_of_the_rfc_but_for_the_listed_differences() {
        let mut differences = Vec::new();
        for (schema, rfc) in [(&USER_SCHEMA, RFC_USER), (&ENTERPRISE_USER_SCHEMA, RFC_ENTERPRISE), (&GROUP_SCHEMA, RFC_GROUP)] {
            let ours = lines(schema.attributes);
            let published: Vec<&str> = rfc.lines().map(str::trim).collect();
            let expected = names(published.iter().copied());
            let mut found = names(ours.iter().map(String::as_str));
            found.retain(|name| expected.contains(name));
            assert_eq!(found, expected, "{}", schema.id);
            for line in &ours {
                let name = names([line.as_str()])[0];
                let theirs = published.iter().find(|published| names([**published])[0] == name).copied().unwrap_or("");
                if theirs != line {
                    differences.push((theirs.to_owned(), line.clone()));
                }
            }
        }
        let listed: Vec<_> = DIFFERENCES.iter().map(|(theirs, ours, _)| ((*theirs).to_owned(), (*ours).to_owned())).collect();
        assert_eq!(differences, listed);
    }

    /// N14-N16, N19: RFC 7643 §3.1.
    #[test]
    fn the_common_attributes_have_the_characteristics_of_the_rfc() {
        assert_eq!(
            lines(COMMON),
            [
                "schemas: reference multi required caseExact returned:always ->uri",
                "id: string caseExact readOnly returned:always unique:server",
                "externalId: string caseExact",
                "meta: complex readOnly",
                "meta.resourceType: string caseExact readOnly",
                "meta.created: dateTime readOnly",
                "meta.lastModified: dateTime readOnly",
                "meta.location: reference caseExact readOnly ->uri",
                "meta.version: string caseExact readOnly",
            ]
        );
    }

    #[test]
    fn every_attribute_is_described_and_no_name_repeats() {
        fn check(attributes: &[Attribute]) {
            for (index, attribute) in attributes.iter().enumerate() {
                assert!(attribute.description.ends_with('.'), "{}", attribute.name);
                assert!(attributes[..index].iter().all(|other| !other.name.eq_ignore_ascii_case(attribute.name)), "{}", attribute.name);
                assert_eq!(attribute.kind == Kind::Complex, !attribute.sub_attributes.is_empty(), "{}", attribute.name);
                check(attribute.sub_attributes);
            }
        }
        for resource_type in RESOURCE_TYPES {
            check(resource_type.common);
            check(resource_type.schema.attributes);
            // A bare name finds the core attribute first: an extension must not be hidden behind it.
            for extension in resource_type.extensions {
                check(extension.attributes);
                assert!(extension.attributes.iter().all(|attribute| resource_type.core_attribute(attribute.name).is_none()));
            }
        }
    }

    fn resolved(resource_type: &ResourceType, name: &str) -> String {
        match resource_type.resolve(name) {
            Name::Attribute(path) => path.to_string(),
            Name::Core => "the core schema".into(),
            Name::Extension(schema) => format!("the extension {}", schema.name),
            Name::Unknown(part) => format!("unknown: {part}"),
        }
    }

    /// N1, N53: RFC 7643 §2.1, RFC 7644 §3.10.
    #[test]
    fn names_are_found_in_every_form_that_clients_write() {
        for (name, expected) in [
            ("userName", "userName"),
            ("USERNAME", "userName"),
            ("name.givenName", "name.givenName"),
            ("Name.GIVENNAME", "name.givenName"),
            ("emails.value", "emails.value"),
            ("addresses.primary", "addresses.primary"),
            ("groups.$ref", "groups.$ref"),
            ("id", "id"),
            ("schemas", "schemas"),
            ("externalid", "externalId"),
            ("meta.lastModified", "meta.lastModified"),
            ("urn:ietf:params:scim:schemas:core:2.0:User:userName", "userName"),
            ("URN:ietf:params:SCIM:schemas:core:2.0:user:NAME.familyName", "name.familyName"),
            ("urn:ietf:params:scim:schemas:core:2.0:User.title", "title"),
            ("urn:ietf:params:scim:schemas:core:2.0:User", "the core schema"),
            ("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User", "the extension EnterpriseUser"),
            (
                "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department",
                "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department",
            ),
            (
                "urn:ietf:params:scim:schemas:extension:enterprise:2.0:user:MANAGER.displayname",
                "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.displayName",
            ),
            (
                "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User.manager",
                "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager",
            ),
            ("costCenter", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:costCenter"),
            ("manager.value", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value"),
        ] {
            assert_eq!(resolved(&USER, name), expected, "{name}");
        }
        assert_eq!(resolved(&GROUP, "Members.Value"), "members.value");
        assert_eq!(resolved(&GROUP, "urn:ietf:params:scim:schemas:core:2.0:Group:displayName"), "displayName");
    }

    #[test]
    fn what_is_not_known_is_named() {
        for (name, expected) in [
            ("shoeSize", "unknown: shoeSize"),
            ("", "unknown: "),
            ("name.shoeSize", "unknown: shoeSize"),
            ("userName.value", "unknown: value"),
            ("name.givenName.first", "unknown: givenName.first"),
            ("manager.shoeSize", "unknown: shoeSize"),
            ("urn:ietf:params:scim:schemas:core:2.0:User:shoeSize", "unknown: shoeSize"),
            ("urn:ietf:params:scim:schemas:core:2.0:User:department", "unknown: department"),
            ("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:userName", "unknown: userName"),
            ("urn:ietf:params:scim:schemas:core:2.0:UserX", "unknown: urn:ietf:params:scim:schemas:core:2.0:UserX"),
            ("members", "unknown: members"),
        ] {
            assert_eq!(resolved(&USER, name), expected, "{name}");
        }
        assert_eq!(resolved(&GROUP, "userName"), "unknown: userName");
        assert_eq!(resolved(&GROUP, "department"), "unknown: department");
    }

    #[test]
    fn the_leaf_of_a_path_is_what_it_selects() {
        let Name::Attribute(path) = USER.resolve("emails.primary") else { panic!("emails.primary is known") };
        assert_eq!((path.attribute.name, path.leaf().name, path.leaf().kind), ("emails", "primary", Kind::Boolean));
        let Name::Attribute(path) = USER.resolve("department") else { panic!("department is known") };
        assert_eq!((path.extension, path.leaf().name), (Some(&ENTERPRISE_USER_SCHEMA), "department"));
    }
}
