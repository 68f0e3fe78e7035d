//! Requests that are repeated, doubled or late (CRA-004, IDP-003, IDP-004): providers repeat what they got no answer to, and the end is
//! the same as if they had not.

use std::collections::BTreeMap;

use axum::http::header::IF_MATCH;
use serde_json::{Value, json};

use crate::app::{Answer, TestApp, app};

fn operations(operations: Value) -> Value {
    json!({ "Operations": operations })
}

/// CRA-004: the answer never reaches the client, which sends the request again.
#[tokio::test]
async fn a_request_whose_answer_was_lost_can_be_repeated() {
    let app = app().await;
    let user = json!({ "userName": "jsnow", "externalId": "E-1" });
    let lost = app.post("/Users", user.clone()).await.expect(201);
    app.post("/Users", user).await.refused(409, "uniqueness");
    for filter in ["userName eq \"jsnow\"", "externalId eq \"E-1\""] {
        assert_eq!(app.get(&format!("/Users?filter={filter}")).await.expect(200).ids(), [lost.id()]);
    }
    let path = format!("/Users/{}", lost.id());
    let put = json!({ "userName": "jsnow", "title": "King" });
    let patch = operations(json!([{ "op": "add", "path": "emails", "value": [{ "value": "j@example.com", "type": "work" }] }]));
    for (method, body) in [("PUT", put), ("PATCH", patch)] {
        let lost = app.request(method, &path, Some(body.clone())).await.expect(200);
        assert_eq!(app.request(method, &path, Some(body)).await.expect(200).body, lost.body, "{method}");
    }
    app.delete(&path).await.expect(204);
    app.delete(&path).await.refused(404, "");
    assert_eq!(app.get("/Users").await.expect(200).body["totalResults"], 0);
}

/// A step of a provider's conversation. `{user name}` and `{group name}` stand for ids, which a provider learns by a lookup.
struct Step {
    method: &'static str,
    path: &'static str,
    body: Value,
}

/// A provisioning run as JumpCloud does it, with the answers left out: lookups, creations, changes, members, a leaver.
fn conversation() -> Vec<Step> {
    let step = |method, path, body| Step { method, path, body };
    let members = |op: &str, who: &str| operations(json!([{ "op": op, "path": "members", "value": [{ "value": who }] }]));
    let title = |title: &str| operations(json!([{ "op": "replace", "path": "title", "value": title }]));
    vec![
        step("GET", "/Users?filter=userName eq \"anna\"", Value::Null),
        step("POST", "/Users", json!({ "userName": "anna", "externalId": "1", "costcenter": "7" })),
        step("POST", "/Users", json!({ "userName": "berta", "externalId": "2" })),
        step("POST", "/Users", json!({ "userName": "carla", "externalId": "3" })),
        step(
            "PUT",
            "/Users/{user anna}",
            json!({ "userName": "anna", "externalId": "1", "name": { "givenName": "Anna" }, "active": true }),
        ),
        step("PATCH", "/Users/{user berta}", title("Engineer")),
        step("POST", "/Groups", json!({ "displayName": "Sales" })),
        step("POST", "/Groups", json!({ "displayName": "Ops" })),
        step("PATCH", "/Groups/{group Sales}", members("add", "{user anna}")),
        step("PATCH", "/Groups/{group Sales}", members("add", "{user berta}")),
        step("PATCH", "/Groups/{group Ops}", members("add", "{user berta}")),
        step("PATCH", "/Groups/{group Sales}", members("remove", "{user berta}")),
        step("PATCH", "/Users/{user carla}", operations(json!([{ "op": "replace", "path": "active", "value": false }]))),
        step("DELETE", "/Users/{user carla}", Value::Null),
    ]
}

/// The id behind a name, or one that is nobody's.
async fn id(app: &TestApp, kind: &str, name: &str) -> String {
    let path = match kind {
        "user" => format!("/Users?filter=userName eq \"{name}\""),
        _ => format!("/Groups?filter=displayName eq \"{name}\""),
    };
    let found = app.get(&path).await.expect(200).ids().pop();
    found.unwrap_or_else(|| "00000000-0000-7000-8000-000000000000".into())
}

/// Sends a step so many times at once.
async fn send(app: &TestApp, step: &Step, times: usize) -> Vec<Answer> {
    let (mut path, mut body) = (step.path.to_owned(), step.body.to_string());
    for (kind, name) in [("user", "anna"), ("user", "berta"), ("user", "carla"), ("group", "Sales"), ("group", "Ops")] {
        let stands = format!("{{{kind} {name}}}");
        if path.contains(&stands) || body.contains(&stands) {
            let id = id(app, kind, name).await;
            (path, body) = (path.replace(&stands, &id), body.replace(&stands, &id));
        }
    }
    let body = if step.body.is_null() { String::new() } else { body };
    futures_util::future::join_all((0..times).map(|_| app.send(app.builder(step.method, &path), body.clone()))).await
}

/// What is there in the end, without what differs from run to run: ids and times.
async fn outcome(app: &TestApp) -> BTreeMap<String, Value> {
    let mut names = BTreeMap::new();
    let mut found = Vec::new();
    for (kind, name) in [("Users", "userName"), ("Groups", "displayName")] {
        for mut resource in app.get(&format!("/{kind}")).await.expect(200).list("Resources") {
            let (id, name) = (resource["id"].as_str().unwrap().to_owned(), resource[name].as_str().unwrap().to_owned());
            let members = resource["members"].as_array().cloned().unwrap_or_default();
            resource.as_object_mut().unwrap().retain(|key, _| !["id", "meta", "members", "groups"].contains(&key.as_str()));
            names.insert(id, name.clone());
            found.push((name, resource, members));
        }
    }
    let named = |members: Vec<Value>| {
        let mut named: Vec<String> = members.iter().map(|member| names[member["value"].as_str().unwrap()].clone()).collect();
        named.sort();
        named
    };
    found.into_iter().map(|(name, resource, members)| (name, json!([resource, named(members)]))).collect()
}

async fn converse(app: &TestApp, times: usize) {
    for step in conversation() {
        for answer in send(app, &step, times).await {
            let status = answer.status.as_u16();
            assert!(answer.status.is_success() || matches!(status, 404 | 409), "{} {}: {}", step.method, step.path, answer.text);
        }
    }
}

/// IDP-003.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_that_is_repeated_or_doubled_ends_as_one_does() {
    let once = app().await;
    converse(&once, 1).await;
    let expected = outcome(&once).await;
    assert_eq!(expected.keys().map(String::as_str).collect::<Vec<_>>(), ["Ops", "Sales", "anna", "berta"]);
    assert_eq!((&expected["Sales"][1], &expected["Ops"][1]), (&json!(["anna"]), &json!(["berta"])));
    for (runs, times) in [(2, 1), (3, 1), (1, 2), (2, 3)] {
        let again = app().await;
        for _ in 0..runs {
            converse(&again, times).await;
        }
        assert_eq!(outcome(&again).await, expected, "{runs} runs, each request {times} times at once");
    }
}

/// IDP-004: what comes too early or too late changes nothing and raises nobody.
#[tokio::test]
async fn requests_in_the_wrong_order_raise_nobody() {
    let app = app().await;
    let title = |title: &str| operations(json!([{ "op": "replace", "path": "title", "value": title }]));
    let path = format!("/Users/{}", app.user("jsnow").await);
    let old = app.get(&path).await.expect(200).header("etag").to_owned();
    app.put(&path, json!({ "userName": "jsnow", "title": "new" })).await.expect(200);
    // An old PUT that names the version it was made for; without one the last writer wins wholly.
    let late = app.builder("PUT", &path).header(IF_MATCH, old);
    app.send(late, json!({ "userName": "jsnow", "title": "old" }).to_string()).await.refused(412, "");
    assert_eq!(app.get(&path).await.body["title"], "new");

    let group = app.group("Sales", &[path.trim_start_matches("/Users/")]).await;
    app.delete(&path).await.expect(204);
    app.patch(&path, title("late")).await.refused(404, "");
    app.put(&path, json!({ "userName": "jsnow" })).await.refused(404, "");
    let join = operations(json!([{ "op": "add", "path": "members", "value": [{ "value": path.trim_start_matches("/Users/") }] }]));
    app.patch(&format!("/Groups/{group}"), join).await.refused(400, "invalidValue");
    assert!(app.members(&group).await.is_empty());
    assert_eq!(app.get("/Users").await.expect(200).body["totalResults"], 0);
    // A PATCH before its POST has an id that nobody was given yet.
    app.patch("/Users/00000000-0000-7000-8000-000000000000", title("early")).await.refused(404, "");
}
