//! An id of another tenant is an unknown id (T12, TEN-002, TEN-004, HTTP-002): in every position of every request, generated over
//! the route table and the description of the parameters. The answer is the same to the byte apart from the id, and so are the
//! statements that the database is sent, so that an answer takes no other way, and no other time, because somebody else has
//! the id. `tenants_apart.rs` says in words what each position means.

use std::collections::BTreeSet;

use frontdesk::directory::{Conformance, Profile, Provider, Token};
use frontdesk::http::{API_BASE, openapi, routes};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::{Answer, PUBLIC_URL, TestApp, app};
use crate::bad_input::{ENTERPRISE, stock};
use crate::listener::statements_of;
use crate::support::unique;

const SCIM_BASE: &str = "/scim/v2";

/// In the name of everything that the other tenant has.
const THEIRS: &str = "needle";

/// A request with a place for an id. `{id}` is the id, `{user}` and `{group}` are new ones of the own tenant, the user in the
/// group, and `{new}` is a name that nobody has.
#[derive(Debug, Clone)]
struct Position {
    base: &'static str,
    /// As in the route table, for the test that none is left out.
    route: &'static str,
    method: &'static str,
    path: String,
    body: Option<Value>,
}

impl Position {
    fn new(base: &'static str, route: &'static str, method: &'static str, path: impl Into<String>, body: Option<Value>) -> Self {
        Self { base, route, method, path: path.into(), body }
    }

    fn scim(route: &'static str, method: &'static str, path: impl Into<String>, body: Option<Value>) -> Self {
        Self::new(SCIM_BASE, route, method, path, body)
    }

    fn mentions(&self, what: &str) -> bool {
        self.path.contains(what) || self.body.as_ref().is_some_and(|body| body.to_string().contains(what))
    }

    fn changes(&self) -> bool {
        self.method != "GET" && !self.path.contains(".search")
    }
}

fn tables() -> impl Iterator<Item = (&'static str, &'static routes::Route)> {
    let scim = routes::SCIM.iter().map(|route| (SCIM_BASE, route));
    scim.chain(routes::API.iter().map(|route| (API_BASE, route)))
}

/// A legal body for a route and method.
fn some_body(route: &str, method: &str) -> Option<Value> {
    match (route, method) {
        (_, "GET" | "DELETE") => None,
        (_, "PATCH") => Some(json!({ "Operations": [{ "op": "replace", "path": "displayName", "value": "{new}" }] })),
        ("/Bulk", _) => Some(json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": [] })),
        (route, _) if route.ends_with(".search") => Some(json!({ "count": 1 })),
        (route, _) if route.starts_with("/Groups") => Some(json!({ "displayName": "{new}" })),
        _ => Some(json!({ "userName": "{new}" })),
    }
}

/// A route's path with an id of one's own.
fn own_path(route: &str) -> String {
    route.replace("{id}", if route.starts_with("/Groups") { "{group}" } else { "{user}" })
}

/// Paths: each route that has an id.
fn in_paths() -> Vec<Position> {
    let with_id = tables().filter(|(_, route)| route.path.contains("{id}"));
    with_id
        .flat_map(|(base, route)| {
            route.methods.iter().map(move |method| Position::new(base, route.path, method, route.path, some_body(route.path, method)))
        })
        .collect()
}

/// Query strings: each parameter that is described, and one that nobody knows.
fn in_query_strings() -> Vec<Position> {
    let described = openapi::describe(PUBLIC_URL);
    let mut positions = Vec::new();
    for (base, route) in tables() {
        for method in route.methods {
            let operation = &described["paths"][format!("{base}{}", route.path)][method.to_lowercase()];
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let names = parameters.iter().map(|parameter| parameter["name"].as_str().unwrap_or_default());
            for name in names.chain(["unknown"]) {
                let path = format!("{}?{name}={{id}}", own_path(route.path));
                positions.push(Position::new(base, route.path, method, path, some_body(route.path, method)));
            }
        }
    }
    positions
}

/// Filters, by query string and by body.
fn in_filters() -> Vec<Position> {
    let of_users = [
        "id eq \"{id}\"",
        "id sw \"{id}\"",
        "not (id ne \"{id}\")",
        "externalId eq \"{id}\"",
        "groups.value eq \"{id}\"",
        "groups eq \"{id}\"",
        "groups.$ref co \"{id}\"",
        "groups[value eq \"{id}\" and type eq \"direct\"]",
        "userName pr and groups.value eq \"{id}\"",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value eq \"{id}\"",
        "meta.location co \"{id}\"",
        "id eq \"{id}\" or groups.value eq \"{id}\"",
    ];
    let of_groups = [
        "id eq \"{id}\"",
        "not (id ne \"{id}\")",
        "externalId eq \"{id}\"",
        "members.value eq \"{id}\"",
        "members eq \"{id}\"",
        "members.$ref co \"{id}\"",
        "members[value eq \"{id}\"]",
        "members[value sw \"{id}\" or display eq \"{id}\"]",
        "displayName pr and members.value eq \"{id}\"",
    ];
    let of_all = ["id eq \"{id}\"", "meta.location co \"{id}\"", "displayName eq \"{id}\""];
    let routes =
        [("/Users", "/Users/.search", &of_users[..]), ("/Groups", "/Groups/.search", &of_groups[..]), ("", "/.search", &of_all[..])];
    let mut positions = Vec::new();
    for (query, search, filters) in routes {
        for filter in filters {
            positions.push(Position::scim(query, "GET", format!("{query}?filter={filter}"), None));
            positions.push(Position::scim(search, "POST", search, Some(json!({ "filter": filter }))));
        }
    }
    positions
}

/// Bodies of users and groups with the id somewhere.
fn resources() -> Vec<(&'static str, Value)> {
    let reference = |kind: &str| format!("{PUBLIC_URL}{SCIM_BASE}/{kind}/{{id}}");
    let user = |name: &str, value: Value| ("Users", json!({ "userName": "{new}", name: value }));
    let group = |name: &str, value: Value| ("Groups", json!({ "displayName": "{new}", name: value }));
    vec![
        user("id", "{id}".into()),
        user("externalId", "{id}".into()),
        user("nickName", "{id}".into()),
        user("groups", json!([{ "value": "{id}" }])),
        user("meta", json!({ "location": reference("Users") })),
        user("manager", "{id}".into()),
        user("shoeSize", "{id}".into()),
        user(ENTERPRISE, json!({ "manager": { "value": "{id}", "$ref": reference("Users"), "displayName": "{id}" } })),
        user(ENTERPRISE, json!({ "manager": "{id}" })),
        group("id", "{id}".into()),
        group("externalId", "{id}".into()),
        group("members", json!([{ "value": "{id}" }])),
        group("members", json!([{ "value": "{user}" }, { "value": "{id}" }])),
        group("members", json!([{ "value": "{id}", "type": "Group" }])),
        group("members", json!([{ "value": "{id}", "type": "User", "display": "{id}" }])),
        group("members", json!([{ "$ref": reference("Users") }])),
        group("members", json!([{ "$ref": reference("Groups") }])),
        group("members", json!([{ "value": "{user}", "$ref": reference("Users") }])),
        group("members", json!(["{id}"])),
    ]
}

/// Operations of PATCH with the id somewhere.
fn operations() -> Vec<(&'static str, Value)> {
    let manager = format!("{ENTERPRISE}:manager");
    let mut operations = Vec::new();
    for op in ["add", "replace", "remove"] {
        for path in ["id", "externalId", "groups", "manager", &manager, &format!("{manager}.value"), "meta.location", "{id}"] {
            operations.push(("Users", json!({ "op": op, "path": path, "value": "{id}" })));
        }
        for path in ["groups[value eq \"{id}\"]", "emails[value eq \"{id}\"].type", "emails[value eq \"{id}\"]"] {
            operations.push(("Users", json!({ "op": op, "path": path, "value": "work" })));
        }
        for members in
            [json!([{ "value": "{id}" }]), json!([{ "value": "{user}" }, { "value": "{id}" }]), json!({ "value": "{id}" }), json!("{id}")]
        {
            operations.push(("Groups", json!({ "op": op, "path": "members", "value": members })));
            operations.push(("Groups", json!({ "op": op, "value": { "members": members } })));
        }
        for path in
            ["members[value eq \"{id}\"]", "members[value eq \"{id}\" or value eq \"{user}\"]", "members[value eq \"{id}\"].display"]
        {
            operations.push(("Groups", json!({ "op": op, "path": path, "value": "x" })));
        }
        operations.push(("Groups", json!({ "op": op, "path": "id", "value": "{id}" })));
    }
    operations.push(("Users", json!({ "op": "replace", "value": { "id": "{id}", "externalId": "{id}", "manager": "{id}" } })));
    operations
}

/// Bodies of every kind, alone and as operations of a bulk request.
fn in_bodies() -> Vec<Position> {
    let mut positions = Vec::new();
    let bulk = |operation: Value| {
        let body = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": [operation] });
        Position::scim("/Bulk", "POST", "/Bulk", Some(body))
    };
    for (kind, body) in resources() {
        let (route, with_id, own) =
            if kind == "Users" { ("/Users", "/Users/{id}", "/Users/{user}") } else { ("/Groups", "/Groups/{id}", "/Groups/{group}") };
        positions.push(Position::scim(route, "POST", route, Some(body.clone())));
        positions.push(Position::scim(with_id, "PUT", own, Some(body.clone())));
        positions.push(bulk(json!({ "method": "POST", "path": route, "bulkId": "{id}", "data": body })));
        positions.push(bulk(json!({ "method": "PUT", "path": own, "data": body })));
        positions.push(bulk(json!({ "method": "PUT", "path": format!("/{kind}/{{id}}"), "data": body })));
    }
    for (kind, operation) in operations() {
        let (with_id, own) = if kind == "Users" { ("/Users/{id}", "/Users/{user}") } else { ("/Groups/{id}", "/Groups/{group}") };
        let body = json!({ "Operations": [operation] });
        positions.push(Position::scim(with_id, "PATCH", own, Some(body.clone())));
        positions.push(bulk(json!({ "method": "PATCH", "path": own, "data": body })));
    }
    for kind in ["Users", "Groups"] {
        positions.push(bulk(json!({ "method": "DELETE", "path": format!("/{kind}/{{id}}") })));
        positions.push(bulk(json!({ "method": "DELETE", "path": format!("/{kind}/bulkId:{{id}}") })));
        positions.push(bulk(json!({ "method": "PATCH", "path": format!("/{kind}/{{id}}"), "data": some_body("", "PATCH") })));
    }
    let member = json!({ "displayName": "{new}", "members": [{ "value": "bulkId:{id}" }] });
    positions.push(bulk(json!({ "method": "POST", "path": "/Groups", "bulkId": "b", "data": member })));
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        positions.push(Position::scim("/Me", method, "/Me", Some(json!({ "id": "{id}" }))));
    }
    positions
}

/// What is to be seen of a request from outside and at the database.
#[derive(Debug, PartialEq)]
struct Outcome {
    status: u16,
    headers: Vec<(String, String)>,
    texts: Vec<String>,
    statements: Vec<String>,
}

/// Text with times as `TIME`, such as `2026-01-02T03:04:05.678Z`.
fn without_times(text: &str) -> String {
    let digits = |text: &str, count: usize| text.len() >= count && text.bytes().take(count).all(|byte| byte.is_ascii_digit());
    let mut rest = text;
    let mut without = String::new();
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        without.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = rest.find('Z').map(|end| end + 1).filter(|end| *end <= 32 && rest.as_bytes().get(10) == Some(&b'T') && digits(rest, 4));
        match end {
            Some(_) => without.push_str("TIME"),
            None => without.push_str(&rest[..1]),
        }
        rest = &rest[end.unwrap_or(1)..];
    }
    without + rest
}

/// Sends the request of a position with an id.
async fn outcome(app: &TestApp, position: &Position, id: &str) -> Outcome {
    // Of the same length each time, so that the lengths of answers are compared, too.
    let new = format!("new-{}", Uuid::now_v7().simple());
    let user =
        if position.mentions("{user}") || position.mentions("{group}") { app.user(&format!("u-{new}")).await } else { String::new() };
    let group = if position.mentions("{group}") { app.group(&format!("g-{new}"), &[&user]).await } else { String::new() };
    let fill = |text: &str| text.replace("{id}", id).replace("{user}", &user).replace("{group}", &group).replace("{new}", &new);
    let app = app.under(position.base);
    let body = position.body.as_ref().map(|body| fill(&body.to_string())).unwrap_or_default();
    let request = app.builder(position.method, &fill(&position.path));
    let (statements, answered) = statements_of(app.send(request, body)).await;
    assert!(answered.status.as_u16() < 500 || position.path.starts_with("/Me"), "{position:?}: {}", answered.text);

    let mut answers = vec![answered.clone()];
    let created = answered.body["id"].as_str().filter(|_| answered.status == 201).unwrap_or_default().to_owned();
    if position.changes() {
        answers.extend(readings(&app, &user, &group, &created).await);
    }
    let plain = |text: &str| {
        assert!(!text.contains(THEIRS), "{position:?} tells what another tenant has: {text}");
        let mut text = text.to_owned();
        for (value, name) in
            [(id, "ID"), (&user, "USER"), (&group, "GROUP"), (&created, "CREATED"), (&new, "NEW"), (&app.tenant.slug, "TENANT")]
        {
            if !value.is_empty() {
                text = text.replace(value, name);
            }
        }
        without_ids(&without_times(&text))
    };
    // Behind a pooler every statement has a transaction, also those that are left out here.
    let is_around = |statement: &str| statement.starts_with("begin") || statement == "commit";
    let others = ["tokens", "with ordinality", "rollback", "server_keys"];
    let own = |statement: &String| !is_around(statement) && !others.iter().any(|other| statement.contains(other));
    let mut headers: Vec<(String, String)> =
        answered.headers.iter().map(|(name, value)| (name.to_string(), plain(value.to_str().unwrap()))).collect();
    headers.retain(|(name, _)| name != "x-request-id");
    headers.sort();
    Outcome {
        status: answered.status.as_u16(),
        headers,
        texts: answers.iter().map(|answer| format!("{} {}", answer.status, plain(&answer.text))).collect(),
        statements: statements.into_iter().filter(own).collect(),
    }
}

/// What is there behind a change, as both sides of the server show it.
async fn readings(app: &TestApp, user: &str, group: &str, created: &str) -> Vec<Answer> {
    let (scim, api) = (app.under(SCIM_BASE), app.under(API_BASE));
    let mut answers = Vec::new();
    for id in [user, created].into_iter().filter(|id| !id.is_empty()) {
        answers.push(scim.get(&format!("/Users/{id}")).await);
        answers.push(api.get(&format!("/employees/{id}")).await);
    }
    for id in [group, created].into_iter().filter(|id| !id.is_empty()) {
        answers.push(scim.get(&format!("/Groups/{id}")).await);
    }
    answers
}

/// Text with the ids that are left as `UUID`, such as that of what a bulk request created.
fn without_ids(text: &str) -> String {
    let (mut rest, mut without) = (text, String::new());
    while let Some(c) = rest.chars().next() {
        let is_id = rest.get(..36).is_some_and(|start| start.as_bytes()[8] == b'-' && Uuid::try_parse(start).is_ok());
        let length = if is_id { 36 } else { c.len_utf8() };
        without.push_str(if is_id { "UUID" } else { &rest[..length] });
        rest = &rest[length..];
    }
    without
}

/// Another tenant's ids of every kind, users and groups first.
async fn foreign_ids(theirs: &TestApp) -> Vec<String> {
    let boss = theirs.user(&format!("{THEIRS}-boss")).await;
    let body = json!({ "userName": THEIRS, "displayName": THEIRS, "externalId": THEIRS, "title": THEIRS, ENTERPRISE: { "manager": { "value": boss } } });
    let user = theirs.post("/Users", body).await.expect(201).id();
    let group = theirs.group(&format!("{THEIRS} group"), &[&user]).await;
    let token = theirs.directory.tokens(theirs.tenant.id, None).await.unwrap()[0].id;
    vec![user, group, theirs.tenant.id.to_string(), theirs.connection.id.to_string(), token.to_string()]
}

/// A new tenant of the same server.
async fn another(app: &TestApp) -> TestApp {
    let tenant = app.directory.create_tenant(&unique("tenant"), None, Profile::SpaceIq).await.unwrap();
    let connection = app.directory.create_connection(tenant.id, "jumpcloud", Provider::JumpCloud, Conformance::Lenient).await.unwrap();
    let token = app.directory.create_token(&connection, None, None).await.unwrap();
    TestApp { tenant, connection, token: token.reveal().into(), ..app.clone() }
}

/// Holds each foreign id against an id that nobody has. What changes something has a tenant of its own each time, so that one
/// request leaves nothing behind for the next.
async fn assert_unknown(positions: &[Position], ids: usize) {
    let (ours, theirs) = (app().await, app().await);
    let foreign = foreign_ids(&theirs).await;
    let before = stock(&theirs).await;
    let mut told_apart = Vec::new();
    for position in positions {
        let sender = async || if position.changes() { another(&ours).await } else { ours.clone() };
        let unknown = outcome(&sender().await, position, &Uuid::now_v7().to_string()).await;
        for id in &foreign[..ids] {
            let found = outcome(&sender().await, position, id).await;
            if found != unknown {
                told_apart.push(format!("{position:?}:\n  unknown {unknown:?}\n  foreign {found:?}"));
            }
        }
    }
    assert!(told_apart.is_empty(), "{} positions tell a foreign id from an unknown one:\n{}", told_apart.len(), told_apart.join("\n"));
    assert_eq!(stock(&theirs).await, before, "what they have is as it was");
}

#[test]
fn every_method_of_every_route_has_a_position() {
    let routes: BTreeSet<_> =
        tables().flat_map(|(base, route)| route.methods.iter().map(move |method| (base, route.path, *method))).collect();
    let all = [in_paths(), in_query_strings(), in_filters(), in_bodies()].concat();
    let held: BTreeSet<_> = all.iter().map(|position| (position.base, position.route, position.method)).collect();
    assert_eq!(held, routes);
    assert!(all.len() > 300 && all.iter().all(|position| position.mentions("{id}")));
}

#[tokio::test]
async fn a_foreign_id_in_any_path_is_an_unknown_one() {
    assert_unknown(&in_paths(), 5).await;
}

#[tokio::test]
async fn a_foreign_id_in_any_query_string_is_an_unknown_one() {
    assert_unknown(&in_query_strings(), 2).await;
}

#[tokio::test]
async fn a_foreign_id_in_any_filter_is_an_unknown_one() {
    assert_unknown(&in_filters(), 2).await;
}

#[tokio::test]
async fn a_foreign_id_in_any_body_is_an_unknown_one() {
    assert_unknown(&in_bodies(), 2).await;
}

/// Cursors name places and not tenants: one that another tenant was given shows the own tenant's resources or nothing.
#[tokio::test]
async fn cursors_of_another_tenant_lead_nowhere_else() {
    let (ours, theirs) = (app().await, app().await);
    for n in 0..3 {
        ours.user(&format!("own-{n}")).await;
        theirs.user(&format!("{THEIRS}-{n}")).await;
    }
    let (api, their_api) = (ours.under(API_BASE), theirs.under(API_BASE));
    let sealed = theirs.get("/Users?cursor&count=1").await.expect(200).body["nextCursor"].as_str().unwrap().to_owned();
    let refused = ours.get(&format!("/Users?cursor={sealed}&count=1")).await.refused(400, "invalidCursor");
    let forged = ours.get("/Users?cursor=AAAA&count=1").await.refused(400, "invalidCursor");
    assert_eq!(refused.detail(), forged.detail());
    for (path, parameter, list) in [
        ("/employees?count=1", "cursor", "employees"),
        ("/employees?count=1&sort=user_name", "cursor", "employees"),
        ("/changes?count=1", "after", "changes"),
    ] {
        let next = their_api.get(path).await.expect(200).body["next"].as_str().unwrap().to_owned();
        let answered = api.get(&format!("{path}&{parameter}={next}")).await;
        assert!(!answered.text.contains(THEIRS), "{path}: {}", answered.text);
        for entry in answered.list(list) {
            let id = entry["resource_id"].as_str().or(entry["id"].as_str()).unwrap_or_default();
            ours.get(&format!("/Users/{id}")).await.expect(200);
        }
    }
}

/// T12: the token decides, whatever base, path or body says; a token of one tenant never answers with another's.
#[tokio::test]
async fn requests_of_two_tenants_in_turn_stay_apart() {
    let (ours, theirs) = (app().await, app().await);
    let (own, other) = (ours.user("own").await, theirs.user("other").await);
    assert!(Token::parse(&ours.token).is_some() && ours.token != theirs.token);
    for _ in 0..100 {
        for (app, mine, not_mine) in [(&ours, &own, &other), (&theirs, &other, &own)] {
            assert_eq!(app.get("/Users").await.expect(200).ids(), [mine.as_str()]);
            app.get(&format!("/Users/{not_mine}")).await.refused(404, "");
        }
    }
}
