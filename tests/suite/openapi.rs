//! `/openapi.json` (issue 5, item 5) held against the rules of OpenAPI 3.1 and against what is served.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::Request;
use frontdesk::http::{API_BASE, BASES, openapi, routes};
use serde_json::Value;

use crate::app::{PUBLIC_URL, answer, app};

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// Every operation with its path and method.
fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().iter().filter(|(name, _)| METHODS.contains(&name.as_str()));
            methods.map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
        })
        .collect()
}

/// Every value under a key, at any depth.
fn under<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                if name == key {
                    found.push(value);
                }
                under(value, key, found);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| under(value, key, found)),
        _ => {}
    }
}

fn names_in_braces(path: &str) -> BTreeSet<&str> {
    path.split('{').skip(1).map(|rest| rest.split('}').next().unwrap()).collect()
}

#[tokio::test]
async fn the_document_is_served_without_a_token() {
    let app = app().await;
    let served = answer(&app.service, Request::get("/openapi.json").body(Body::empty()).unwrap()).await.expect(200);
    assert_eq!(served.header("content-type"), "application/json");
    assert_eq!(served.body, openapi::describe(PUBLIC_URL));
}

#[test]
fn its_frame_is_that_of_openapi_3_1() {
    let document = openapi::describe(PUBLIC_URL);
    assert_eq!(document["openapi"], "3.1.0");
    for name in ["title", "version"] {
        assert!(!document["info"][name].as_str().unwrap().is_empty());
    }
    assert_eq!(document["servers"][0]["url"], PUBLIC_URL);
    let tags: BTreeSet<_> = document["tags"].as_array().unwrap().iter().map(|tag| tag["name"].as_str().unwrap()).collect();
    for (path, method, operation) in operations(&document) {
        assert!(operation["tags"].as_array().unwrap().iter().all(|tag| tags.contains(tag.as_str().unwrap())), "{method} {path}");
    }
}

#[test]
fn it_describes_every_route_and_nothing_else() {
    let document = openapi::describe(PUBLIC_URL);
    let described: BTreeSet<_> =
        operations(&document).into_iter().map(|(path, method, _)| (path.to_owned(), method.to_uppercase())).collect();
    let mut served = BTreeSet::new();
    for (base, table) in [(BASES[0], routes::SCIM), (API_BASE, routes::API)] {
        for route in table {
            served.extend(route.methods.iter().map(|method| (format!("{base}{}", route.path), (*method).to_owned())));
        }
    }
    assert_eq!(described, served);
}

#[test]
fn every_reference_leads_somewhere_and_every_schema_is_used() {
    let document = openapi::describe(PUBLIC_URL);
    let mut references = Vec::new();
    under(&document, "$ref", &mut references);
    let mut used = BTreeSet::new();
    // SCIM has an attribute named $ref: there the value is a schema and not a reference.
    for reference in references.into_iter().filter_map(Value::as_str) {
        let pointer = reference.strip_prefix('#').unwrap_or_else(|| panic!("{reference} leaves the document"));
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
        used.insert(reference.rsplit('/').next().unwrap());
    }
    let schemas: BTreeSet<_> = document["components"]["schemas"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(used, schemas);
}

#[test]
fn operations_have_unique_ids_a_summary_and_a_known_security_scheme() {
    let document = openapi::describe(PUBLIC_URL);
    let mut ids = BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap();
        assert!(!id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric()) && ids.insert(id.to_owned()), "{id}");
        assert!(!operation["summary"].as_str().unwrap().is_empty(), "{method} {path}");
        for requirement in operation["security"].as_array().unwrap() {
            for scheme in requirement.as_object().unwrap().keys() {
                assert!(document["components"]["securitySchemes"][scheme].is_object(), "{scheme}");
            }
        }
    }
}

#[test]
fn responses_have_a_status_and_a_description_and_one_of_success_or_refusal() {
    let document = openapi::describe(PUBLIC_URL);
    for (path, method, operation) in operations(&document) {
        let responses = operation["responses"].as_object().unwrap();
        assert!(responses.keys().any(|status| status.starts_with('2') || status == "501"), "{method} {path}");
        for (status, response) in responses {
            assert!(status == "default" || status.parse::<u16>().is_ok_and(|status| (200..600).contains(&status)), "{status}");
            assert!(!response["description"].as_str().unwrap().is_empty(), "{method} {path} {status}");
            for (media_type, content) in response["content"].as_object().into_iter().flatten() {
                assert!(media_type.contains('/') && content["schema"].is_object(), "{method} {path} {status}");
            }
        }
    }
}

#[test]
fn parameters_are_unique_complete_and_those_of_the_path() {
    let document = openapi::describe(PUBLIC_URL);
    for (path, method, operation) in operations(&document) {
        let shared = document["paths"][path]["parameters"].as_array().into_iter().flatten();
        let own = operation["parameters"].as_array().into_iter().flatten();
        let (mut known, mut in_path) = (BTreeSet::new(), BTreeSet::new());
        for parameter in shared.chain(own) {
            let (name, place) = (parameter["name"].as_str().unwrap(), parameter["in"].as_str().unwrap());
            assert!(known.insert((name, place)), "{method} {path} has {name} twice");
            assert!(parameter["schema"].is_object() && parameter["description"].is_string(), "{method} {path} {name}");
            match place {
                "path" => {
                    assert_eq!(parameter["required"], true, "{method} {path} {name}");
                    in_path.insert(name);
                }
                "query" => {}
                other => panic!("{other}"),
            }
        }
        assert_eq!(in_path, names_in_braces(path), "{method} {path}");
    }
}

#[test]
fn schemas_name_known_types_and_require_only_what_they_have() {
    let document = openapi::describe(PUBLIC_URL);
    let mut schemas = Vec::new();
    for key in ["schemas", "properties"] {
        under(&document["components"], key, &mut schemas);
    }
    for (name, schema) in schemas.into_iter().filter_map(Value::as_object).flatten() {
        let types = match &schema["type"] {
            Value::Array(types) => types.clone(),
            Value::Null => continue,
            // Under the keyword `schemas` lies SCIM's attribute of that name.
            one => vec![one.clone()],
        };
        for kind in types {
            let known = ["string", "integer", "number", "boolean", "object", "array", "null"];
            assert!(kind.is_object() || known.contains(&kind.as_str().unwrap()), "{name}: {kind}");
        }
        for required in schema["required"].as_array().into_iter().flatten() {
            assert!(schema["properties"].get(required.as_str().unwrap()).is_some(), "{name} requires {required}");
        }
    }
}
