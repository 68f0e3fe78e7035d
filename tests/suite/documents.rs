//! The door of a document (RFC 7643 §2, §3): whatever JSON arrives is read or refused, what was read is canonical, and what GET
//! shows can be sent back without changing anything.

use frontdesk::scim::catalog::{GROUP, RESOURCE_TYPES, USER};
use frontdesk::scim::document::Document;
use frontdesk::scim::patch::Patch;
use frontdesk::scim::reader::{Conformance, Limits, Reader};
use frontdesk::scim::schema::ResourceType;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use crate::app::{TestApp, app, strict_app};
use crate::cases::{runner, text, user};

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// Any JSON value, with keys and texts that mean something to SCIM.
fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        select(&["", "True", "false", "work", "{\"value\":\"{\\\"value\\\":\\\"x\\\"}\"}", "AAAA", "2024-02-30T00:00:00Z", "a\u{0}b"][..])
            .prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((key(), inner), 0..5).prop_map(|pairs| Value::Object(unique(pairs))),
        ]
    })
}

fn key() -> impl Strategy<Value = String> {
    let known = select(
        &[
            "schemas",
            "id",
            "externalId",
            "meta",
            "userName",
            "USERNAME",
            "displayName",
            "name",
            "givenName",
            "familyName",
            "emails",
            "Emails",
            "value",
            "type",
            "primary",
            "display",
            "$ref",
            "active",
            "roles",
            "addresses",
            "formatted",
            "manager",
            "department",
            "password",
            "groups",
            "members",
            "x509Certificates",
            "title",
            "name.givenName",
            "emails[type eq \"work\"].value",
            ENTERPRISE,
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager",
            "urn:ietf:params:scim:schemas:core:2.0:User",
            "costcenter",
            "",
        ][..],
    );
    prop_oneof![12 => known.prop_map(str::to_owned), 1 => text()]
}

/// The parser of a body refuses a key that stands twice, in any letter case.
fn unique(pairs: Vec<(String, Value)>) -> Map<String, Value> {
    let mut map: Map<String, Value> = Map::new();
    for (key, value) in pairs {
        if !map.keys().any(|known| known.eq_ignore_ascii_case(&key)) {
            map.insert(key, value);
        }
    }
    map
}

/// An object that has a chance to pass: the required attributes are there.
fn body() -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::vec((key(), json_value()), 0..8).prop_map(|mut pairs| {
        pairs.insert(0, ("userName".into(), "jsnow".into()));
        pairs.insert(1, ("displayName".into(), "Jon".into()));
        unique(pairs)
    })
}

fn read(resource_type: &'static ResourceType, body: &Map<String, Value>, conformance: Conformance) -> Option<Document> {
    let mut reader = Reader::new(conformance, Limits::default());
    Document::read(resource_type, body.clone(), &mut reader).ok().map(|reading| reading.document)
}

fn check_canonical(resource_type: &'static ResourceType, body: &Map<String, Value>, conformance: Conformance) -> Result<(), TestCaseError> {
    let Some(document) = read(resource_type, body, conformance) else { return Ok(()) };
    let again = read(resource_type, document.as_map(), conformance);
    prop_assert_eq!(again.as_ref().map(Document::to_text), Some(document.to_text()), "read again");
    let stored = Document::from_stored(&document.to_text()).expect("what we wrote is JSON");
    prop_assert_eq!(stored.to_text(), document.to_text(), "stored and read");
    let holds_null = document.to_text().contains("null")
        && contains(&Value::Object(document.as_map().clone()), &|value| {
            value.is_null() || value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(Map::is_empty)
        });
    prop_assert!(!holds_null, "{} has something unassigned in it", document.to_text());
    for attribute in document.as_map().values().filter_map(Value::as_array) {
        prop_assert!(attribute.iter().filter(|value| value["primary"] == true).count() <= 1, "two primaries in {}", document.to_text());
    }
    Ok(())
}

fn contains(value: &Value, wanted: &dyn Fn(&Value) -> bool) -> bool {
    wanted(value)
        || match value {
            Value::Array(values) => values.iter().any(|value| contains(value, wanted)),
            Value::Object(object) => object.values().any(|value| contains(value, wanted)),
            _ => false,
        }
}

/// N7, N10: what was read once is read again as itself.
#[test]
fn whatever_is_read_is_canonical() {
    let outcome = runner(1_000).run(&body(), |body| {
        for resource_type in RESOURCE_TYPES {
            check_canonical(resource_type, &body, Conformance::Lenient)?;
            check_canonical(resource_type, &body, Conformance::Strict)?;
        }
        Ok(())
    });
    outcome.unwrap();
}

/// Whatever a PATCH makes of a document is a document, too, and doing it again changes nothing more where it only replaces.
#[test]
fn whatever_a_patch_leaves_is_canonical() {
    let operation = (select(&["add", "Replace", "remove"][..]), prop::option::of(path()), json_value())
        .prop_map(|(op, path, value)| json!({ "op": op, "path": path, "value": value }));
    let outcome = runner(1_000).run(&(body(), prop::collection::vec(operation, 1..4)), |(body, operations)| {
        for (resource_type, conformance) in [(&USER, Conformance::Lenient), (&USER, Conformance::Strict), (&GROUP, Conformance::Lenient)] {
            let Some(document) = read(resource_type, &body, conformance) else { continue };
            let mut reader = Reader::new(conformance, Limits::default());
            let message = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations });
            let message = message.as_object().cloned().expect("an object");
            let Ok(patch) = Patch::read(resource_type, message, &mut reader) else { continue };
            let Ok(patched) = patch.apply(resource_type, &document, &Map::new(), &mut reader) else { continue };
            let again = read(resource_type, patched.document.as_map(), conformance);
            prop_assert_eq!(again.as_ref().map(Document::as_map), Some(patched.document.as_map()), "after {:?}", operations);
        }
        Ok(())
    });
    outcome.unwrap();
}

fn path() -> impl Strategy<Value = String> {
    let known = select(
        &[
            "userName",
            "title",
            "name",
            "name.givenName",
            "emails",
            "emails.value",
            "emails[type eq \"work\"]",
            "emails[type eq \"work\"].value",
            "emails[primary eq true].value",
            "emails[primary eq \"True\" and type eq \"home\"].value",
            "roles",
            "roles[value eq \"a\"].primary",
            "roles[primary eq true]",
            "addresses[type eq \"work\"].locality",
            "manager",
            "manager.value",
            "department",
            ENTERPRISE,
            "x509Certificates[value eq \"no base64!\"].display",
            "emails[value eq \"a\\u0001b\"].type",
            "emails[type eq \"\"].value",
            "active",
            "displayName",
            "externalId",
            "roles.primary",
            "emails[type eq \"a\" and type eq \"b\"].value",
            "nowhere",
            "emails[value pr].primary",
        ][..],
    );
    prop_oneof![12 => known.prop_map(str::to_owned), 1 => text()]
}

/// N62 and the door together: a client may read, keep and send back.
async fn put_back(app: &TestApp, body: Value) -> Result<(), TestCaseError> {
    let id = app.post("/Users", body).await.expect(201).id();
    let path = format!("/Users/{id}");
    let before = app.get(&path).await.expect(200);
    let after = app.put(&path, before.body.clone()).await.expect(200);
    prop_assert_eq!(&after.body, &before.body);
    prop_assert_eq!(app.get(&path).await.expect(200).text, before.text);
    app.delete(&path).await.expect(204);
    Ok(())
}

#[test]
fn what_get_shows_can_be_put_back_without_a_change() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
    for app in [runtime.block_on(app()), runtime.block_on(strict_app())] {
        let outcome = runner(30).run(&user(0), |body| runtime.block_on(put_back(&app, body)));
        outcome.unwrap();
    }
}

/// Two values that become the same because only one of them may be primary are one value (N7, N8).
#[tokio::test]
async fn losing_primary_leaves_no_value_twice() {
    let app = app().await;
    let emails = json!([
        { "value": "a@example.com", "primary": true },
        { "value": "b@example.com", "primary": true },
        { "value": "b@example.com", "primary": false },
    ]);
    let user = app.post("/Users", json!({ "userName": "jsnow", "emails": emails })).await.expect(201);
    assert_eq!(user.list("emails").len(), 2, "{}", user.text);
}

/// An identifier that no index can hold is the client's fault, for groups as for users.
#[tokio::test]
async fn an_external_id_that_cannot_be_indexed_is_refused() {
    let app = app().await;
    let long: String = ('\u{20000}'..).take(1_000).collect();
    app.post("/Users", json!({ "userName": "jsnow", "externalId": long })).await.refused(400, "invalidValue");
    app.post("/Groups", json!({ "displayName": "Sales", "externalId": long })).await.refused(400, "invalidValue");
    app.post("/Groups", json!({ "displayName": long })).await.refused(400, "invalidValue");
}
