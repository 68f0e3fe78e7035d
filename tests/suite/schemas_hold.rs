//! `/Schemas` says what the server does (RFC 7643 §7): every attribute of the answer itself is tried out by requests, characteristic
//! by characteristic. N28, and N20, N22, N24, N29, N31, N51 for whatever has them.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Map, Value, json};

use crate::app::{Answer, TestApp, strict_app};

/// A published attribute in its place: `/Users`, an extension's URN, the attribute, and the attribute it is a part of.
struct Place {
    endpoint: String,
    core: Value,
    extension: Option<String>,
    parent: Option<Value>,
    attribute: Value,
}

impl Place {
    fn is(&self, characteristic: &str, value: impl Into<Value>) -> bool {
        self.attribute[characteristic] == value.into()
    }

    /// The attribute that stands in the resource itself.
    fn top(&self) -> &Value {
        self.parent.as_ref().unwrap_or(&self.attribute)
    }

    fn name(&self) -> &str {
        name(&self.attribute)
    }

    fn is_read_only(&self) -> bool {
        self.is("mutability", "readOnly") || self.top()["mutability"] == "readOnly"
    }

    /// The name as it stands in a filter.
    fn path(&self) -> String {
        let urn = self.extension.as_ref().map(|urn| format!("{urn}:")).unwrap_or_default();
        match &self.parent {
            Some(parent) => format!("{urn}{}.{}", name(parent), self.name()),
            None => format!("{urn}{}", self.name()),
        }
    }

    /// A body with the required attributes and, at this place, a value; null for none.
    fn body(&self, value: Value) -> Value {
        let mut body = minimal(&self.core);
        let mut top = value;
        if let Some(parent) = &self.parent {
            let mut whole = sample(parent, &new_text());
            let one = if parent["multiValued"] == true { &mut whole[0] } else { &mut whole };
            one[self.name()] = top;
            top = whole;
        }
        match &self.extension {
            Some(urn) => body[urn] = json!({ name(self.top()): top }),
            None => body[name(self.top())] = top,
        }
        if let Some(urn) = &self.extension {
            body["schemas"].as_array_mut().unwrap().push(urn.as_str().into());
        }
        body
    }

    /// The value at this place of a resource; of several the first.
    fn value<'a>(&self, resource: &'a Value) -> Option<&'a Value> {
        let holder = self.extension.as_ref().map_or(Some(resource), |urn| resource.get(urn))?;
        let top = holder.get(name(self.top()))?;
        if self.parent.is_none() {
            return Some(top);
        }
        top.get(0).unwrap_or(top).get(self.name())
    }

    async fn create(&self, app: &TestApp, value: Value) -> Answer {
        app.post(&self.endpoint, self.body(value)).await
    }
}

fn name(attribute: &Value) -> &str {
    attribute["name"].as_str().unwrap()
}

/// A text that no resource has yet, with letters of both cases.
fn new_text() -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    format!("Text{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A value of an attribute's own type, made of a text; what only the server writes is left out.
fn sample(attribute: &Value, text: &str) -> Value {
    let one = match attribute["type"].as_str().unwrap() {
        "string" => text.into(),
        "reference" => format!("https://example.com/{text}").into(),
        // Four characters of base64 are three bytes; a text of another length is padded.
        "binary" => format!("{text}{}", &"AAAA"[text.len() % 4..]).into(),
        "boolean" => true.into(),
        "integer" | "decimal" => 7.into(),
        "dateTime" => "2026-01-31T08:00:00Z".into(),
        "complex" => {
            let subs = attribute["subAttributes"].as_array().unwrap().iter().filter(|sub| sub["mutability"] != "readOnly");
            Value::Object(subs.map(|sub| (name(sub).to_owned(), sample(sub, text))).collect::<Map<_, _>>())
        }
        other => panic!("{other} is no type of RFC 7643 §2.3"),
    };
    if attribute["multiValued"] == true { json!([one]) } else { one }
}

/// Values of every other type.
fn wrong_values(attribute: &Value) -> Vec<Value> {
    let one = match attribute["type"].as_str().unwrap() {
        "string" | "reference" => vec![json!(5), json!(true), json!({ "value": "x" })],
        "binary" => vec![json!(5), json!("no base64!")],
        "boolean" => vec![json!("maybe"), json!(1), json!({})],
        "integer" | "decimal" => vec![json!("x"), json!(true)],
        "dateTime" => vec![json!("yesterday"), json!(1)],
        "complex" => vec![json!("x"), json!(5)],
        other => panic!("{other} is no type of RFC 7643 §2.3"),
    };
    if attribute["multiValued"] == true {
        one.into_iter().map(|value| json!([value])).collect()
    } else {
        let right = sample(attribute, "x");
        one.into_iter().chain([json!([right.clone(), right])]).collect()
    }
}

/// The smallest resource: `schemas` and what is required.
fn minimal(schema: &Value) -> Value {
    let mut body = json!({ "schemas": [schema["id"]] });
    for attribute in schema["attributes"].as_array().unwrap().iter().filter(|attribute| attribute["required"] == true) {
        body[name(attribute)] = sample(attribute, &new_text());
    }
    body
}

fn swap_case(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() }).collect()
}

/// Every attribute and sub-attribute of every resource type, as published.
async fn places(app: &TestApp) -> Vec<Place> {
    let schemas = app.get("/Schemas").await.expect(200).list("Resources");
    let schema = |id: &Value| schemas.iter().find(|schema| schema["id"] == *id).unwrap_or_else(|| panic!("{id} is not published"));
    let mut places = Vec::new();
    for resource_type in app.get("/ResourceTypes").await.expect(200).list("Resources") {
        let core = schema(&resource_type["schema"]);
        let extensions = resource_type["schemaExtensions"].as_array().cloned().unwrap_or_default();
        let all = [(None, core)].into_iter().chain(extensions.iter().map(|one| (one["schema"].as_str(), schema(&one["schema"]))));
        for (extension, schema) in all {
            for attribute in schema["attributes"].as_array().unwrap() {
                let place = |parent: Option<&Value>, attribute: &Value| Place {
                    endpoint: resource_type["endpoint"].as_str().unwrap().to_owned(),
                    core: core.clone(),
                    extension: extension.map(str::to_owned),
                    parent: parent.cloned(),
                    attribute: attribute.clone(),
                };
                places.push(place(None, attribute));
                for sub in attribute["subAttributes"].as_array().into_iter().flatten() {
                    places.push(place(Some(attribute), sub));
                }
            }
        }
    }
    places
}

/// Attributes whose values refer to resources, which `members_hold` tries with real ones.
fn is_membership(place: &Place) -> bool {
    matches!((place.endpoint.as_str(), name(place.top())), ("/Groups", "members") | ("/Users", "groups"))
}

#[tokio::test]
async fn the_published_types_are_enforced() {
    let app = strict_app().await;
    let mut tried = 0;
    for place in places(&app).await {
        if place.parent.is_some() && is_membership(&place) && place.name() != "value" {
            // The server derives them from `value`; what a client sends is not looked at.
            continue;
        }
        for wrong in wrong_values(&place.attribute) {
            let answer = place.create(&app, wrong.clone()).await;
            let status = if place.is_read_only() { 201 } else { 400 };
            assert_eq!(answer.status.as_u16(), status, "{} = {wrong}: {}", place.path(), answer.text);
            if status == 400 {
                assert!(answer.detail().contains(place.name()), "{} = {wrong}: {}", place.path(), answer.text);
            }
            tried += 1;
        }
        if !place.is_read_only() && !is_membership(&place) {
            place.create(&app, sample(&place.attribute, &new_text())).await.expect(201);
        }
    }
    assert!(tried > 150, "only {tried} values were tried");
}

/// RFC 7643 §2.5: null and an empty array are no value.
#[tokio::test]
async fn what_is_required_is_required_and_nothing_else() {
    let app = strict_app().await;
    for place in places(&app).await.iter().filter(|place| place.parent.is_none()) {
        for nothing in [json!(null), json!([])] {
            let answer = place.create(&app, nothing).await;
            if place.is("required", true) {
                let answer = answer.refused(400, "invalidValue");
                assert!(answer.detail().contains(place.name()), "{}", answer.text);
            } else {
                assert_eq!(answer.status.as_u16(), 201, "{}: {}", place.path(), answer.text);
            }
        }
    }
}

#[tokio::test]
async fn the_published_mutability_is_enforced() {
    let app = strict_app().await;
    for place in places(&app).await.iter().filter(|place| !is_membership(place)) {
        let created = place.create(&app, sample(&place.attribute, &new_text())).await.expect(201);
        let path = format!("{}/{}", place.endpoint, created.id());
        let other = sample(&place.attribute, &new_text());
        let replaced = app.put(&path, place.body(other.clone())).await.expect(200);
        match place.attribute["mutability"].as_str().unwrap() {
            "readOnly" => {
                assert_eq!(place.value(&created.body), None, "{}", place.path());
                assert_eq!(place.value(&replaced.body), None, "{}", place.path());
                let operation = json!({ "op": "replace", "path": place.path(), "value": other });
                let patch = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [operation] });
                app.patch(&path, patch).await.refused(400, "mutability");
            }
            "readWrite" => assert!(contains(place.value(&replaced.body), &other), "{}: {}", place.path(), replaced.text),
            "writeOnly" => assert_eq!(place.value(&replaced.body), None, "{}", place.path()),
            other => panic!("{other} has no test: {}", place.path()),
        }
    }
}

/// Whether a value is there, beside what the server adds to it.
fn contains(shown: Option<&Value>, sent: &Value) -> bool {
    match (shown, sent) {
        (Some(Value::Object(shown)), Value::Object(sent)) => sent.iter().all(|(name, value)| contains(shown.get(name), value)),
        (Some(Value::Array(shown)), Value::Array(sent)) => {
            shown.len() == sent.len() && shown.iter().zip(sent).all(|(shown, sent)| contains(Some(shown), sent))
        }
        (shown, sent) => shown == Some(sent),
    }
}

#[tokio::test]
async fn the_published_returned_is_what_is_returned() {
    let app = strict_app().await;
    for place in places(&app).await.iter().filter(|place| !place.is_read_only() && !is_membership(place)) {
        let created = place.create(&app, sample(&place.attribute, &new_text())).await.expect(201);
        let path = format!("{}/{}", place.endpoint, created.id());
        let shown = async |query: &str| {
            let answer = app.get(&format!("{path}?{query}")).await.expect(200);
            (place.value(&answer.body).is_some(), place.value(&answer.body).cloned())
        };
        let by_default = place.is("returned", "default");
        assert!(by_default || place.is("returned", "never"), "{} has no test", place.path());
        assert_eq!(place.value(&created.body).is_some(), by_default, "{}", place.path());
        assert_eq!(shown("").await.0, by_default, "{}", place.path());
        assert_eq!(shown(&format!("attributes={}", place.path())).await.0, by_default, "{}", place.path());
        assert!(!shown(&format!("excludedAttributes={}", place.path())).await.0, "{}", place.path());
        assert!(!shown("attributes=meta").await.0, "{}", place.path());
    }
}

#[tokio::test]
async fn the_published_case_exact_decides_comparisons_and_keeps_the_case() {
    let app = strict_app().await;
    let mut tried = 0;
    for place in places(&app).await.iter().filter(|place| !place.is_read_only() && !is_membership(place)) {
        if !matches!(place.attribute["type"].as_str().unwrap(), "string" | "reference" | "binary") {
            continue;
        }
        let sent = sample(&place.attribute, &new_text());
        let created = place.create(&app, sent.clone()).await.expect(201);
        let text = sent.as_str().unwrap();
        let search = async |text: &str| {
            let filter = format!("{} eq \"{text}\"", place.path()).replace('+', "%2B");
            app.get(&format!("{}?filter={filter}", place.endpoint)).await
        };
        if place.is("returned", "never") {
            search(text).await.refused(400, "invalidFilter");
            continue;
        }
        assert_eq!(place.value(&created.body), Some(&sent), "{} keeps its case", place.path());
        assert_eq!(search(text).await.expect(200).ids(), [created.id()], "{}", place.path());
        let found = search(&swap_case(text)).await.expect(200).ids().len();
        assert_eq!(found == 0, place.is("caseExact", true), "{} eq {}", place.path(), swap_case(text));
        tried += 1;
    }
    assert!(tried > 50, "only {tried} attributes were tried");
}

#[tokio::test]
async fn the_published_uniqueness_is_enforced() {
    let app = strict_app().await;
    for place in places(&app).await.iter().filter(|place| !place.is_read_only() && !is_membership(place)) {
        let value = sample(&place.attribute, &new_text());
        place.create(&app, value.clone()).await.expect(201);
        let again = place.create(&app, value.clone()).await;
        if place.is("uniqueness", "server") {
            again.refused(409, "uniqueness");
            if place.is("caseExact", false) {
                place.create(&app, swap_case(value.as_str().unwrap()).into()).await.refused(409, "uniqueness");
            }
        } else {
            assert_eq!(again.status.as_u16(), 201, "{}: {}", place.path(), again.text);
        }
    }
}

/// `groups` of a user and `members` of a group, which refer to resources: two views of one thing, changed at the group alone.
#[tokio::test]
async fn memberships_are_as_published() {
    let app = strict_app().await;
    let memberships: Vec<Place> = places(&app).await.into_iter().filter(is_membership).collect();
    let create = async |path: &str, body: Value| app.post(path, body).await.expect(201).id();
    let user = create("/Users", json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "Ada" })).await;
    let schemas = json!(["urn:ietf:params:scim:schemas:core:2.0:Group"]);
    let group = create("/Groups", json!({ "schemas": schemas, "displayName": "Sales", "members": [{ "value": user }] })).await;
    for place in &memberships {
        let id = if place.endpoint == "/Users" { &user } else { &group };
        let path = format!("{}/{id}", place.endpoint);
        let shown = app.get(&path).await.expect(200);
        let value = place.value(&shown.body).unwrap_or_else(|| panic!("{} is not returned: {}", place.path(), shown.text)).clone();
        assert!(place.is("returned", "default"), "{}", place.path());
        assert_eq!(place.value(&app.get(&format!("{path}?excludedAttributes={}", place.path())).await.expect(200).body), None);
        let Some(text) = value.as_str() else { continue };
        let mutability =
            place.top()["mutability"] == "readOnly" || matches!(place.attribute["mutability"].as_str(), Some("readOnly" | "immutable"));
        assert!(mutability, "{} can be changed in place", place.path());
        let selected =
            format!("{}[value eq \"{}\"].{}", name(place.top()), shown.body[name(place.top())][0]["value"].as_str().unwrap(), place.name());
        let operation = json!({ "op": "replace", "path": selected, "value": swap_case(text) });
        let patch = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [operation] });
        app.patch(&path, patch).await.refused(400, "mutability");
        let search = async |text: &str| app.get(&format!("{}?filter={} eq \"{text}\"", place.endpoint, place.path())).await;
        if place.name() == "$ref" {
            // It depends on the base that a request came by.
            search(text).await.refused(400, "invalidFilter");
            continue;
        }
        assert_eq!(search(text).await.expect(200).ids(), std::slice::from_ref(id), "{}", place.path());
        let found = search(&swap_case(text)).await.expect(200).ids().len();
        assert_eq!(found == 0, place.is("caseExact", true), "{}", place.path());
    }
    assert!(memberships.len() > 8);
}
