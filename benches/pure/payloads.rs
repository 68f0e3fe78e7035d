//! The bodies that are measured, in the shape in which identity providers send them, and the same as stored documents.

use frontdesk::scim::catalog::{ENTERPRISE_URN, GROUP_URN, PATCH_OP_URN, USER, USER_URN};
use frontdesk::scim::document::{Document, Reading};
use frontdesk::scim::json::parse_object;
use frontdesk::scim::reader::Reader;
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// The providers whose creates differ in size and shape, each with the body of a POST /Users.
pub(crate) const PROVIDERS: [&str; 3] = ["JumpCloud", "Okta", "Entra ID"];

/// The body with which a provider creates a user.
pub(crate) fn create(provider: &str) -> String {
    match provider {
        "JumpCloud" => jumpcloud(),
        "Okta" => okta(),
        _ => entra(),
    }
    .to_string()
}

/// Enterprise attributes at top level, some of them in no schema, and every list with one primary value: 1.3 KB.
fn jumpcloud() -> Value {
    json!({
        "schemas": [USER_URN, ENTERPRISE_URN], "active": true, "userName": "jon.snow@example.com", "externalId": "5f3c9a1e8d2b4c0017a6e4f2",
        "name": { "givenName": "Jon", "familyName": "Snow", "formatted": "Jon Snow", "middleName": "Aegon" }, "displayName": "Jon Snow",
        "title": "Senior Director of Northern Operations", "userType": "Full time", "locale": "en-US", "preferredLanguage": "en-US",
        "emails": [
            { "primary": true, "type": "work", "value": "jon.snow@example.com" },
            { "primary": false, "type": "home", "value": "jon@snow.example.org" },
        ],
        "phoneNumbers": [
            { "primary": true, "type": "work", "value": "tel:+1-555-555-5555" },
            { "primary": false, "type": "mobile", "value": "+1 555 555 0100" },
        ],
        "addresses": [{
            "primary": true, "type": "work", "streetAddress": "361 Centennial Parkway, Suite 300", "locality": "Louisville",
            "region": "Colorado", "postalCode": "80027", "country": "US",
        }],
        "costcenter": "CC-1200", "department": "Night's Watch", "organization": "Castle Black", "division": "North",
        "employeeType": "Full time", "jobTitle": "Senior Director of Northern Operations", "company": "Example Corporation",
        ENTERPRISE_URN: {
            "employeeNumber": "701984", "costCenter": "CC-1200", "department": "Night's Watch", "organization": "Castle Black",
            "division": "North", "manager": { "value": "01890a5d-ac96-774b-bcce-b302099a8057", "displayName": "Jeor Mormont" },
        },
    })
}

/// A password, an empty list of groups, and little else.
fn okta() -> Value {
    json!({
        "schemas": [USER_URN], "userName": "jon.snow@example.com", "name": { "givenName": "Jon", "familyName": "Snow" },
        "emails": [{ "primary": true, "value": "jon.snow@example.com", "type": "work" }], "displayName": "Jon Snow", "locale": "en-US",
        "externalId": "00ujl29u0le5T6Aj10h7", "groups": [], "password": "1mz050nq", "active": true,
    })
}

/// Everything that its default mapping sends, with empty `meta` and booleans as texts.
fn entra() -> Value {
    json!({
        "schemas": [USER_URN, ENTERPRISE_URN], "externalId": "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef", "userName": "jon.snow@example.com",
        "active": "True", "displayName": "Jon Snow", "title": "Director", "preferredLanguage": "en-US",
        "emails": [{ "primary": true, "type": "work", "value": "jon.snow@example.com" }],
        "meta": { "resourceType": "User" }, "name": { "formatted": "Jon Snow", "familyName": "Snow", "givenName": "Jon" },
        "addresses": [{ "type": "work", "streetAddress": "1 Wall", "locality": "Castle Black", "region": "North", "country": "US" }],
        "phoneNumbers": [{ "type": "work", "value": "+1 555 555 5555" }, { "type": "mobile", "value": "+1 555 555 0100" }], "roles": [],
        ENTERPRISE_URN: { "employeeNumber": "701984", "department": "Night's Watch", "manager": "26118915-6090-4610-87e4-49d8ca9f808d" },
    })
}

/// The body of a POST /Groups with so many members.
pub(crate) fn group(members: u128) -> String {
    let member = |n: u128| json!({ "value": Uuid::from_u128(0x0189_0a5d_ac96_774b_bcce_0000_0000_0000 + n), "display": "Jon Snow" });
    json!({ "schemas": [GROUP_URN], "displayName": "Night's Watch", "externalId": "g-1", "members": (0..members).map(member).collect::<Vec<_>>() })
        .to_string()
}

/// The PATCH of an attribute, as Okta and Entra ID deactivate; one with a value path; and one that replaces a handful.
pub(crate) const PATCHES: [&str; 3] = ["active", "value path", "eight attributes"];

/// The body of a PATCH of [`PATCHES`].
pub(crate) fn patch(name: &str) -> String {
    let operations = match name {
        "active" => json!([{ "op": "replace", "value": { "active": false } }]),
        "value path" => json!([{ "op": "Replace", "path": "emails[type eq \"work\"].value", "value": "lord.snow@example.com" }]),
        _ => json!([
            { "op": "Replace", "path": "displayName", "value": "Lord Snow" },
            { "op": "Replace", "path": "title", "value": "Lord Commander" },
            { "op": "Replace", "path": "name.givenName", "value": "Aegon" },
            { "op": "Replace", "path": "emails[type eq \"work\"].value", "value": "lord.snow@example.com" },
            { "op": "Replace", "path": "phoneNumbers[type eq \"mobile\"].value", "value": "+1 555 555 0199" },
            { "op": "Replace", "path": "addresses[type eq \"work\"].locality", "value": "Winterfell" },
            { "op": "Replace", "path": format!("{ENTERPRISE_URN}:department"), "value": "Crown" },
            { "op": "Add", "path": format!("{ENTERPRISE_URN}:manager"), "value": "26118915-6090-4610-87e4-49d8ca9f808d" },
        ]),
    };
    json!({ "schemas": [PATCH_OP_URN], "Operations": operations }).to_string()
}

/// A body as the server parses it.
pub(crate) fn parsed(text: &str) -> Map<String, Value> {
    parse_object(text.as_bytes()).expect("the payloads are JSON objects")
}

/// A user as the server reads it.
pub(crate) fn user(provider: &str) -> Reading {
    Document::read(&USER, parsed(&create(provider)), &mut Reader::default()).expect("the payloads are users")
}
