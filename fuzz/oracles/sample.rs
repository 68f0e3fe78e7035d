//! A user and a group with some of everything, behind the door of a document: what the oracles evaluate filters, patches and
//! mappings on.

use std::sync::LazyLock;

use frontdesk::scim::catalog::{ENTERPRISE_URN, GROUP, GROUP_URN, USER, USER_URN};
use frontdesk::scim::document::{Document, Reading};
use frontdesk::scim::reader::Reader;
use frontdesk::scim::schema::ResourceType;
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// A resource in the two forms that a filter is evaluated on.
pub struct Sample {
    /// What came through the door.
    pub reading: Reading,
    /// As a client sees it, with its id.
    pub resource: Map<String, Value>,
    /// As PostgreSQL searches it.
    pub folded: Value,
}

/// The sample of a resource type.
pub fn of(resource_type: &'static ResourceType) -> &'static Sample {
    static SAMPLES: LazyLock<[Sample; 2]> = LazyLock::new(|| [sample(&USER, user()), sample(&GROUP, group())]);
    &SAMPLES[usize::from(resource_type.name == GROUP.name)]
}

fn sample(resource_type: &'static ResourceType, body: Value) -> Sample {
    let Value::Object(body) = body else { panic!("the sample is an object") };
    let reading = Document::read(resource_type, body, &mut Reader::default()).expect("the sample is legal");
    let mut resource = reading.document.as_map().clone();
    resource.insert("id".into(), Uuid::max().to_string().into());
    let folded = reading.document.folded(resource_type, Uuid::max());
    Sample { reading, resource, folded }
}

fn user() -> Value {
    json!({
        "schemas": [USER_URN, ENTERPRISE_URN],
        "externalId": "701984",
        "userName": "Babs.J\u{e9}nsen@Example.com",
        "name": { "formatted": "Ms. Barbara J Jensen, III", "familyName": "Jensen", "givenName": "Barbara" },
        "displayName": "Babs Jensen",
        "profileUrl": "https://login.example.com/bjensen",
        "title": "Tour \"Guide\" (a.b*c)",
        "userType": "Employee",
        "preferredLanguage": "en-US",
        "active": true,
        "emails": [
            { "value": "bjensen@example.com", "type": "work", "primary": true },
            { "value": "babs@jensen.org", "type": "home" },
        ],
        "addresses": [{ "type": "work", "locality": "Hollywood", "formatted": "100 Universal City Plaza\nHollywood" }],
        "phoneNumbers": [{ "value": "tel:555-555-5555", "type": "work" }, { "value": "tel:555-555-4444", "type": "mobile" }],
        "roles": [{ "value": "Admin", "display": "Administrator", "primary": false }],
        "x509Certificates": [{ "value": "QUJD" }],
        ENTERPRISE_URN: { "employeeNumber": "701984", "costCenter": "4130", "department": "Tours", "manager": { "value": "26118915" },
            "badge": 17 },
        "costcenter": "CC-12",
        "organization": "Universal Studios",
        "office": { "floor": 3 },
    })
}

fn group() -> Value {
    json!({ "schemas": [GROUP_URN], "displayName": "Tour Guides", "externalId": "tg", "color": "red" })
}
