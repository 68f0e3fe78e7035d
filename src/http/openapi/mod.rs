//! `/openapi.json`: the description of all endpoints in OpenAPI 3.1, made from the tables that the server itself works by: the
//! routes, SCIM's schemas, the columns of an employee. What no table has, the words and the answers, is in `operations`.
//!
//! It needs no token: it tells nothing that is not in the documentation. SCIM is described under its first base; the others have
//! the same meaning.

mod operations;
mod schemas;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use self::operations::{Answer, Operation, Parameter};
use super::routes::{self, Route};
use super::{API_BASE, App, BASES};
use crate::directory::{COLUMNS, ColumnKind, SINCE, Scope};

/// Where the document is.
pub const PATH: &str = "/openapi.json";

pub(super) async fn document(State(app): State<App>) -> Response {
    ([(CONTENT_TYPE, "application/json")], describe(&app.0.public_url).to_string()).into_response()
}

/// The whole document for a server at this address.
#[must_use]
pub fn describe(public_url: &str) -> Value {
    let mut paths = Map::new();
    for (base, table, scope) in [(BASES[0], routes::SCIM, Scope::Scim), (API_BASE, routes::API, Scope::WorkplaceRead)] {
        for route in table {
            paths.insert(format!("{base}{}", route.path), path_item(base, route, scope));
        }
    }
    let aliases = BASES[1..].join(" and ");
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Frontdesk",
            "version": env!("CARGO_PKG_VERSION"),
            "description": format!("A SCIM 2.0 service provider with a workplace directory behind it. The paths under {} are also \
                served under {aliases}, with the same meaning. Bearer tokens have scopes: scim for provisioning, workplace:read \
                for {API_BASE}.", BASES[0]),
        },
        "servers": [{ "url": public_url }],
        "tags": [
            { "name": "SCIM", "description": "Provisioning by an identity provider (RFC 7644)." },
            { "name": "Workplace", "description": "What the workplace product reads." },
        ],
        "paths": paths,
        "components": {
            "schemas": schemas::all(),
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer", "description": "frontdesk token create" } },
        },
    })
}

fn path_item(base: &str, route: &Route, scope: Scope) -> Value {
    let mut item = Map::new();
    if route.path.contains("{id}") {
        let id = json!({ "name": "id", "in": "path", "required": true, "description": "The id.", "schema": { "type": "string" } });
        item.insert("parameters".into(), json!([id]));
    }
    for method in route.methods {
        item.insert(method.to_lowercase(), operation(base, route, method, scope));
    }
    Value::Object(item)
}

fn operation(base: &str, route: &Route, method: &str, scope: Scope) -> Value {
    let known = operations::find(base, route.path, method);
    let mut described = json!({
        "operationId": operation_id(route.path, method),
        "summary": known.map_or("", |operation| operation.summary),
        "tags": [if scope == Scope::Scim { "SCIM" } else { "Workplace" }],
        "responses": responses(known, route.public),
    });
    // Without a token a public route answers, too.
    let token = json!({ "token": [scope.word()] });
    described["security"] = if route.public { json!([{}, token]) } else { json!([token]) };
    let parameters: Vec<Value> = known.map_or(&[][..], |operation| operation.parameters).iter().flat_map(parameter).collect();
    if !parameters.is_empty() {
        described["parameters"] = parameters.into();
    }
    if let Some(body) = known.and_then(|operation| operation.body) {
        let schema = json!({ "schema": reference(body) });
        described["requestBody"] = json!({ "required": true, "content": { "application/scim+json": schema, "application/json": schema } });
    }
    described
}

/// `GET /employees/{id}/reports` is `getEmployeesIdReports`.
fn operation_id(path: &str, method: &str) -> String {
    let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
    let words: String = words.map(capital).collect();
    let version = if words.is_empty() { "Everything" } else { &words };
    format!("{}{version}", method.to_lowercase())
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

fn responses(operation: Option<&Operation>, public: bool) -> Value {
    let mut responses = Map::new();
    for answer in operation.map_or(&[][..], |operation| operation.answers) {
        let Answer { status, description, media_type, schema } = answer;
        let mut response = json!({ "description": description });
        if let Some(schema) = schema {
            response["content"] = json!({ *media_type: { "schema": reference(schema) } });
        }
        responses.insert(status.to_string(), response);
    }
    let error =
        |description: &str| json!({ "description": description, "content": { "application/scim+json": { "schema": reference("Error") } } });
    if !public {
        responses.insert("401".into(), error("No valid token."));
    }
    responses.insert("403".into(), error("The token lacks the scope."));
    responses.insert("default".into(), error("What the request did wrong, or that the server cannot answer now."));
    Value::Object(responses)
}

/// The query parameters that a word of the tables stands for.
fn parameter(parameter: &Parameter) -> Vec<Value> {
    let query = |name: &str, description: &str, schema: Value| json!({ "name": name, "in": "query", "required": false, "description": description, "schema": schema });
    match parameter {
        Parameter::Text(name, description) => vec![query(name, description, json!({ "type": "string" }))],
        Parameter::Number(name, description) => vec![query(name, description, json!({ "type": "integer", "minimum": 0 }))],
        Parameter::Employee => {
            let mut parameters: Vec<Value> = Vec::new();
            for column in COLUMNS {
                let schema = match column.kind {
                    ColumnKind::Constant => continue,
                    ColumnKind::Custom => {
                        // Each custom field is a parameter of its own, which OpenAPI cannot say but by an object.
                        let custom = json!({
                            "name": "custom", "in": "query", "required": false, "description": column.description,
                            "style": "form", "explode": true,
                            "schema": { "type": "object", "patternProperties": { "^custom\\..+": { "type": "string" } } },
                        });
                        parameters.push(custom);
                        continue;
                    }
                    ColumnKind::Flag => json!({ "type": "boolean" }),
                    ColumnKind::Time => json!({ "type": "string", "format": "date-time" }),
                    _ => json!({ "type": "string" }),
                };
                parameters.push(query(column.name, column.description, schema));
            }
            for (name, _) in SINCE {
                let description = "Only those at or after this time.";
                parameters.push(query(name, description, json!({ "type": "string", "format": "date-time" })));
            }
            parameters
        }
        Parameter::Sort => {
            let names =
                COLUMNS.iter().filter(|column| column.sorts()).flat_map(|column| [column.name.to_owned(), format!("-{}", column.name)]);
            let names: Vec<String> = names.collect();
            vec![query("sort", "The column to order by; a - in front is descending.", json!({ "type": "string", "enum": names }))]
        }
    }
}
