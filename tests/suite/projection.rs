//! Which attributes an answer shows (RFC 7644 §3.4.2.5, §3.9; N58, N59), on every operation that answers with a resource.

use serde_json::{Map, Value, json};

use crate::app::{TestApp, app};
use crate::cases::percent;

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

fn barbara() -> Value {
    json!({
        "schemas": [USER, ENTERPRISE], "userName": "bjensen", "externalId": "701984", "displayName": "Babs", "active": true, "password": "t1meMa$heen",
        "name": { "givenName": "Barbara", "familyName": "Jensen" },
        "emails": [{ "value": "bjensen@example.com", "type": "work", "primary": true }, { "value": "babs@jensen.org" }],
        ENTERPRISE: { "department": "Tours", "costCenter": "4130", "manager": { "value": "26118915" } },
    })
}

/// The same answer by every operation that gives a user, without what differs between them.
async fn by_every_operation(app: &TestApp, query: &str) -> Value {
    let created = app.post(&format!("/Users?{query}"), barbara()).await.expect(201);
    let id = created.id();
    let mut answers = vec![
        created.body,
        app.get(&format!("/Users/{id}?{query}")).await.expect(200).body,
        app.put(&format!("/Users/{id}?{query}"), barbara()).await.expect(200).body,
        app.patch(&format!("/Users/{id}?{query}"), json!({ "Operations": [{ "op": "replace", "path": "active", "value": true }] }))
            .await
            .expect(200)
            .body,
        app.get(&format!("/Users?{query}")).await.expect(200).list("Resources").remove(0),
        app.get(&format!("/Users?{query}&filter=userName%20eq%20%22bjensen%22&sortBy=title")).await.expect(200).list("Resources").remove(0),
    ];
    let mut search = Map::new();
    for pair in query.split('&') {
        let (name, names) = pair.split_once('=').expect("every parameter has a value");
        search.insert(name.to_owned(), names.split(',').collect::<Vec<_>>().into());
    }
    answers.push(app.post("/Users/.search", search.into()).await.expect(200).list("Resources").remove(0));
    app.delete(&format!("/Users/{id}")).await.expect(204);
    for answer in &mut answers {
        assert_eq!(answer.as_object_mut().expect("an object").shift_remove("id"), Some(id.clone().into()), "N59: the id is always shown");
        if let Some(meta) = answer.get_mut("meta") {
            assert!(meta.as_object().is_some_and(|meta| !meta.is_empty()));
            *meta = json!("meta");
        }
    }
    for answer in &answers[1..] {
        assert_eq!(answer, &answers[0], "{query}");
    }
    answers.remove(0)
}

#[tokio::test]
async fn attributes_names_what_is_shown() {
    let app = app().await;
    let schemas = json!([USER, ENTERPRISE]);
    let manager = format!("{ENTERPRISE}:manager.value");
    let core_and_department = format!("{USER}:userName,{ENTERPRISE}:department");
    for (names, expected) in [
        ("userName", json!({ "userName": "bjensen" })),
        ("USERNAME,externalid", json!({ "userName": "bjensen", "externalId": "701984" })),
        ("name.familyName", json!({ "name": { "familyName": "Jensen" } })),
        ("name.familyName,name", json!({ "name": { "givenName": "Barbara", "familyName": "Jensen" } })),
        ("emails.value", json!({ "emails": [{ "value": "bjensen@example.com" }, { "value": "babs@jensen.org" }] })),
        ("emails.type,emails.primary", json!({ "emails": [{ "type": "work", "primary": true }] })),
        ("emails.display", json!({})),
        ("meta", json!({ "meta": "meta" })),
        ("id,schemas", json!({})),
        ("password", json!({})),
        ("shoeSize", json!({})),
        ("shoeSize,userName", json!({ "userName": "bjensen" })),
        (ENTERPRISE, json!({ ENTERPRISE: { "department": "Tours", "costCenter": "4130", "manager": { "value": "26118915" } } })),
        (core_and_department.as_str(), json!({ "userName": "bjensen", ENTERPRISE: { "department": "Tours" } })),
        (manager.as_str(), json!({ ENTERPRISE: { "manager": { "value": "26118915" } } })),
        ("department", json!({ ENTERPRISE: { "department": "Tours" } })),
    ] {
        let mut shown = by_every_operation(&app, &format!("attributes={names}")).await;
        assert_eq!(shown.as_object_mut().expect("an object").shift_remove("schemas"), Some(schemas.clone()), "N59");
        assert_eq!(shown, expected, "{names}");
    }
}

#[tokio::test]
async fn excluded_attributes_names_what_is_not_shown() {
    let app = app().await;
    let mut whole = barbara();
    whole.as_object_mut().expect("an object").shift_remove("password");
    whole["meta"] = json!("meta");
    let without = |names: &[&str]| {
        let mut rest = whole.clone();
        for name in names {
            let (holder, name) = name.rsplit_once('/').unwrap_or(("", name));
            let holder = if holder.is_empty() { &mut rest } else { &mut rest[holder] };
            match holder {
                Value::Object(object) => drop(object.shift_remove(name)),
                Value::Array(values) => {
                    values.iter_mut().filter_map(Value::as_object_mut).for_each(|object| drop(object.shift_remove(name)))
                }
                _ => {}
            }
        }
        rest
    };
    let department = format!("{ENTERPRISE}:department");
    let inside = format!("{ENTERPRISE}/department");
    for (names, hidden) in [
        ("emails,name", vec!["emails", "name"]),
        ("id,schemas", vec![]),
        ("name.givenName", vec!["name/givenName"]),
        ("emails.value", vec!["emails/value"]),
        ("meta,externalId", vec!["meta", "externalId"]),
        (ENTERPRISE, vec![ENTERPRISE]),
        (department.as_str(), vec![inside.as_str()]),
        ("shoeSize", vec![]),
    ] {
        let shown = by_every_operation(&app, &format!("excludedAttributes={names}")).await;
        let mut expected = without(&hidden);
        if names == "emails.value" {
            // Nothing is left of a value that had nothing else.
            expected["emails"].as_array_mut().expect("a list").truncate(1);
        }
        assert_eq!(shown, expected, "{names}");
    }
    let both = by_every_operation(&app, "attributes=name,userName&excludedAttributes=name.givenName").await;
    assert_eq!((both["name"].clone(), both.get("emails")), (json!({ "familyName": "Jensen" }), None));
}

/// What is not shown is not in the answer of any spelling, and what is never returned is never returned.
#[tokio::test]
async fn a_password_is_in_no_answer() {
    let app = app().await;
    for query in [
        "",
        "?attributes=password",
        "?attributes=userName,password",
        &format!("?attributes={}", percent(&format!("{USER}:password"))),
        "?attributes=urn:ietf:params:scim:schemas:core:2.0:User",
    ] {
        let created = app.post(&format!("/Users{query}"), barbara()).await.expect(201);
        let path = format!("/Users/{}{query}", created.id());
        for answer in [&created, &app.get(&path).await, &app.put(&path, barbara()).await, &app.get(&format!("/Users{query}")).await] {
            assert!(!answer.text.contains("t1me") && !answer.text.to_ascii_lowercase().contains("\"password\""), "{}", answer.text);
        }
        app.delete(&format!("/Users/{}", created.id())).await.expect(204);
    }
}

/// CLIENTS.md rule 15: a list of groups without members, by either parameter.
#[tokio::test]
async fn groups_are_shown_without_their_members() {
    let app = app().await;
    let user = app.user("jsnow").await;
    let group = app.group("Sales", &[&user]).await;
    for (query, members) in
        [("", true), ("excludedAttributes=members", false), ("attributes=displayName", false), ("attributes=members.value", true)]
    {
        let one = app.get(&format!("/Groups/{group}?{query}")).await.expect(200).body;
        assert_eq!(one.get("members").is_some(), members, "{query}");
        assert_eq!(app.get(&format!("/Groups?{query}")).await.expect(200).list("Resources"), [one], "{query}");
    }
    let one = app.get(&format!("/Groups/{group}?attributes=members.value")).await.body;
    assert_eq!(one["members"], json!([{ "value": user }]));
    let one = app.get(&format!("/Users/{user}?attributes=groups.display")).await.body;
    assert_eq!(one["groups"], json!([{ "display": "Sales" }]));
    assert!(app.get(&format!("/Users/{user}?excludedAttributes=groups")).await.body.get("groups").is_none());
}
