//! The core schema of a user (RFC 7643 §4.1).

use crate::scim::schema::{Attribute, Kind, Mutability, Returned, Schema, Uniqueness, attribute};

use super::USER_URN;

/// The core schema of a user.
pub static USER_SCHEMA: Schema = Schema {
    id: USER_URN,
    name: "User",
    description: "A person with an account.",
    attributes: &[
        Attribute {
            required: true,
            uniqueness: Uniqueness::Server,
            ..attribute("userName", Kind::String, "The name the person signs in with; no other user has the same.")
        },
        Attribute { sub_attributes: NAME, ..attribute("name", Kind::Complex, "The parts of the person's name.") },
        attribute("displayName", Kind::String, "The name to show to other people, usually the full name."),
        attribute("nickName", Kind::String, "What the person is called informally; not the name for signing in."),
        Attribute {
            case_exact: true,
            reference_types: &["external"],
            ..attribute("profileUrl", Kind::Reference, "The address of a page about the person.")
        },
        attribute("title", Kind::String, "The job title."),
        attribute("userType", Kind::String, "How the person relates to the organization, such as Employee or Contractor."),
        attribute("preferredLanguage", Kind::String, "The language the person wants to read, such as en-US."),
        attribute("locale", Kind::String, "Where the person is, for the format of dates, numbers and currency."),
        attribute("timezone", Kind::String, "The time zone by its IANA name, such as Europe/Berlin."),
        attribute("active", Kind::Boolean, "Whether the account may be used."),
        Attribute {
            mutability: Mutability::WriteOnly,
            returned: Returned::Never,
            ..attribute("password", Kind::String, "A new password in clear text; no answer contains it.")
        },
        Attribute { multi_valued: true, sub_attributes: EMAILS, ..attribute("emails", Kind::Complex, "The email addresses.") },
        Attribute { multi_valued: true, sub_attributes: PHONE_NUMBERS, ..attribute("phoneNumbers", Kind::Complex, "The phone numbers.") },
        Attribute { multi_valued: true, sub_attributes: IMS, ..attribute("ims", Kind::Complex, "The instant messaging addresses.") },
        Attribute { multi_valued: true, sub_attributes: PHOTOS, ..attribute("photos", Kind::Complex, "Pictures of the person.") },
        Attribute { multi_valued: true, sub_attributes: ADDRESSES, ..attribute("addresses", Kind::Complex, "The postal addresses.") },
        Attribute {
            multi_valued: true,
            mutability: Mutability::ReadOnly,
            sub_attributes: GROUPS,
            ..attribute("groups", Kind::Complex, "The groups the user is in; they are changed at the group.")
        },
        Attribute {
            multi_valued: true,
            sub_attributes: ENTITLEMENTS,
            ..attribute("entitlements", Kind::Complex, "What the person is entitled to.")
        },
        Attribute { multi_valued: true, sub_attributes: ROLES, ..attribute("roles", Kind::Complex, "The roles the person has.") },
        Attribute {
            multi_valued: true,
            sub_attributes: X509_CERTIFICATES,
            ..attribute("x509Certificates", Kind::Complex, "The certificates issued to the person.")
        },
    ],
    declared: false,
};

const NAME: &[Attribute] = &[
    attribute("formatted", Kind::String, "The whole name as it is written, with titles and suffixes."),
    attribute("familyName", Kind::String, "The family name, the last name in most Western languages."),
    attribute("givenName", Kind::String, "The given name, the first name in most Western languages."),
    attribute("middleName", Kind::String, "The middle name or names."),
    attribute("honorificPrefix", Kind::String, "What stands before the name, such as Dr."),
    attribute("honorificSuffix", Kind::String, "What stands after the name, such as III."),
];

const EMAILS: &[Attribute] = &[attribute("value", Kind::String, "The email address."), DISPLAY, label(&["work", "home", "other"]), PRIMARY];

const PHONE_NUMBERS: &[Attribute] =
    &[attribute("value", Kind::String, "The phone number."), DISPLAY, label(&["work", "home", "mobile", "fax", "pager", "other"]), PRIMARY];

const IMS: &[Attribute] = &[
    attribute("value", Kind::String, "The instant messaging address."),
    DISPLAY,
    label(&["aim", "gtalk", "icq", "xmpp", "msn", "skype", "qq", "yahoo"]),
    PRIMARY,
];

const PHOTOS: &[Attribute] = &[
    Attribute {
        case_exact: true,
        reference_types: &["external"],
        ..attribute("value", Kind::Reference, "The address of the picture file.")
    },
    DISPLAY,
    label(&["photo", "thumbnail"]),
    PRIMARY,
];

const ADDRESSES: &[Attribute] = &[
    attribute("formatted", Kind::String, "The whole address as it is written on a letter; it may have several lines."),
    attribute("streetAddress", Kind::String, "Street, house number and what belongs to them; it may have several lines."),
    attribute("locality", Kind::String, "The city or town."),
    attribute("region", Kind::String, "The state, province or region."),
    attribute("postalCode", Kind::String, "The postal code."),
    attribute("country", Kind::String, "The country, as its two-letter ISO 3166-1 code."),
    label(&["work", "home", "other"]),
    // Not in §8.7.1, but one of the default sub-attributes of §2.4; the example of §8.2 has it and JumpCloud sends it.
    PRIMARY,
];

const GROUPS: &[Attribute] = &[
    // Published without caseExact, but it is the id of a group, and ids are caseExact (§3.1).
    Attribute { case_exact: true, mutability: Mutability::ReadOnly, ..attribute("value", Kind::String, "The id of the group.") },
    // Erratum 8471: published with User too, but it is always a group.
    Attribute {
        case_exact: true,
        mutability: Mutability::ReadOnly,
        reference_types: &["Group"],
        ..attribute("$ref", Kind::Reference, "The URI of the group.")
    },
    Attribute { mutability: Mutability::ReadOnly, ..attribute("display", Kind::String, "The display name of the group.") },
    Attribute {
        mutability: Mutability::ReadOnly,
        canonical_values: &["direct", "indirect"],
        ..attribute("type", Kind::String, "Whether the user is a member of the group itself or of a group within it.")
    },
];

const ENTITLEMENTS: &[Attribute] = &[attribute("value", Kind::String, "The entitlement."), DISPLAY, label(&[]), PRIMARY];

const ROLES: &[Attribute] = &[attribute("value", Kind::String, "The role."), DISPLAY, label(&[]), PRIMARY];

const X509_CERTIFICATES: &[Attribute] =
    &[Attribute { case_exact: true, ..attribute("value", Kind::Binary, "One certificate, DER in base64.") }, DISPLAY, label(&[]), PRIMARY];

const DISPLAY: Attribute = attribute("display", Kind::String, "The value as a person reads it.");

const PRIMARY: Attribute = attribute("primary", Kind::Boolean, "Whether this is the preferred value; at most one is.");

const fn label(canonical_values: &'static [&'static str]) -> Attribute {
    Attribute { canonical_values, ..attribute("type", Kind::String, "What the value is for.") }
}
