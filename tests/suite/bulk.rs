//! Bulk (RFC 7644 §3.7): references between operations in every direction, each operation atomic by itself, the limits.

use std::time::Duration;

use frontdesk::directory::{Conformance, Profile};
use frontdesk::scim::bulk::LABEL_MAX_CHARS;
use serde_json::{Value, json};

use crate::app::{Answer, PUBLIC_URL, TestApp, app, app_with, strict_app};
use crate::support::observer;

const REQUEST: &str = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";
const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

fn user(bulk_id: &str, name: &str) -> Value {
    json!({ "method": "POST", "path": "/Users", "bulkId": bulk_id, "data": { "schemas": [USER], "userName": name } })
}

/// A user whose manager is the user with this reference or id.
fn report(bulk_id: &str, name: &str, manager: &str) -> Value {
    let data = json!({ "schemas": [USER, ENTERPRISE], "userName": name, ENTERPRISE: { "manager": { "value": manager } } });
    json!({ "method": "POST", "path": "/Users", "bulkId": bulk_id, "data": data })
}

fn group(bulk_id: &str, name: &str, members: &[&str]) -> Value {
    let members: Vec<Value> = members.iter().map(|member| json!({ "value": member })).collect();
    let data = json!({ "schemas": [GROUP], "displayName": name, "members": members });
    json!({ "method": "POST", "path": "/Groups", "bulkId": bulk_id, "data": data })
}

fn patch(path: &str, operation: Value) -> Value {
    let data = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [operation] });
    json!({ "method": "PATCH", "path": path, "data": data })
}

fn request(operations: &[Value]) -> Value {
    json!({ "schemas": [REQUEST], "Operations": operations })
}

/// Sends operations, which must be accepted as a bulk request, and gives their results.
async fn bulk(app: &TestApp, operations: &[Value]) -> Vec<Value> {
    results(&app.post("/Bulk", request(operations)).await)
}

async fn bulk_until(app: &TestApp, errors: usize, operations: &[Value]) -> Vec<Value> {
    let mut request = request(operations);
    request["failOnErrors"] = errors.into();
    results(&app.post("/Bulk", request).await)
}

#[track_caller]
fn results(answer: &Answer) -> Vec<Value> {
    let answer = answer.clone().expect(200);
    assert_eq!(answer.body["schemas"], json!(["urn:ietf:params:scim:api:messages:2.0:BulkResponse"]));
    assert_eq!(answer.header("content-type"), "application/scim+json");
    answer.list("Operations")
}

fn statuses(results: &[Value]) -> Vec<&str> {
    results.iter().map(|result| result["status"].as_str().expect("a status is a string")).collect()
}

/// The id at the end of a result's location.
#[track_caller]
fn id(result: &Value) -> String {
    let location = result["location"].as_str().unwrap_or_else(|| panic!("no location in {result}"));
    location.rsplit('/').next().unwrap().to_owned()
}

/// The sentence of a failed operation, which must have this status and keyword, in the form of RFC 7644 §3.12.
#[track_caller]
fn refused<'a>(result: &'a Value, status: &str, scim_type: &str) -> &'a str {
    assert_eq!(result["status"], status, "{result}");
    let response = &result["response"];
    assert_eq!(response["schemas"], json!(["urn:ietf:params:scim:api:messages:2.0:Error"]), "{result}");
    assert_eq!(response["status"], status, "{result}");
    assert_eq!(response["scimType"].as_str().unwrap_or_default(), scim_type, "{result}");
    assert!(result.get("version").is_none(), "{result}");
    response["detail"].as_str().expect("an error has a sentence")
}

async fn total(app: &TestApp, path: &str) -> Value {
    app.get(path).await.expect(200).body["totalResults"].clone()
}

async fn manager(app: &TestApp, id: &str) -> Value {
    app.get(&format!("/Users/{id}")).await.expect(200).body[ENTERPRISE]["manager"]["value"].clone()
}

/// RFC 7644 §3.7.1, the example.
#[tokio::test]
async fn two_new_groups_are_members_of_each_other() {
    let app = app().await;
    let results = bulk(&app, &[group("qwerty", "Group A", &["bulkId:ytrewq"]), group("ytrewq", "Group B", &["bulkId:qwerty"])]).await;
    assert_eq!(statuses(&results), ["201", "201"]);
    let (a, b) = (id(&results[0]), id(&results[1]));
    assert_eq!(app.members(&a).await, [b.as_str()]);
    assert_eq!(app.members(&b).await, [a.as_str()]);
    let read = app.get(&format!("/Groups/{a}")).await.expect(200);
    assert_eq!(read.body["members"][0]["type"], "Group");
    for (result, id, name) in [(&results[0], &a, "qwerty"), (&results[1], &b, "ytrewq")] {
        let version = app.get(&format!("/Groups/{id}")).await.header("etag").to_owned();
        let location = format!("{PUBLIC_URL}/scim/v2/Groups/{id}");
        assert_eq!(*result, json!({ "location": location, "method": "POST", "bulkId": name, "version": version, "status": "201" }));
    }
}

/// RFC 7644 §3.7.2, the first example.
#[tokio::test]
async fn a_new_user_is_a_member_of_a_new_group() {
    let app = app().await;
    for operations in
        [[user("qwerty", "Alice"), group("ytrewq", "Guides", &["bulkId:qwerty"])], [group("g", "Drivers", &["bulkId:u"]), user("u", "Bob")]]
    {
        let results = bulk(&app, &operations).await;
        assert_eq!(statuses(&results), ["201", "201"]);
        let of = |endpoint: &str| id(results.iter().find(|result| result["location"].as_str().unwrap().contains(endpoint)).unwrap());
        assert_eq!(app.members(&of("/Groups/")).await, [of("/Users/")]);
    }
}

/// RFC 7644 §3.7.2, the second example; and the same backwards, in a circle and to oneself.
#[tokio::test]
async fn managers_are_resolved_in_every_direction() {
    let app = app().await;
    let results = bulk(
        &app,
        &[
            user("alice", "Alice"),
            report("bob", "Bob", "bulkId:alice"),
            report("carol", "Carol", "bulkId:dave"),
            user("dave", "Dave"),
            report("erin", "Erin", "bulkId:frank"),
            report("frank", "Frank", "bulkId:erin"),
            report("grace", "Grace", "bulkId:grace"),
        ],
    )
    .await;
    assert_eq!(statuses(&results), ["201"; 7]);
    for (report, boss) in [(1, 0), (2, 3), (4, 5), (5, 4), (6, 6)] {
        assert_eq!(manager(&app, &id(&results[report])).await, id(&results[boss]));
    }
}

/// RFC 7644 §3.7.3, the example (its PATCH made a PatchOp, which it is not there).
#[tokio::test]
async fn users_are_added_updated_and_removed() {
    let app = app().await;
    let (bob, dave, gone) = (app.user("bob").await, app.user("dave").await, app.user("gone").await);
    let data = json!({ "schemas": [USER], "id": bob, "userName": "Bob" });
    let operations = [
        user("qwerty", "Alice"),
        json!({ "method": "PUT", "path": format!("/Users/{bob}"), "version": "W/\"1\"", "data": data }),
        patch(&format!("/Users/{dave}"), json!({ "op": "add", "path": "nickName", "value": "Dave" })),
        json!({ "method": "DELETE", "path": format!("/Users/{gone}"), "version": "W/\"1\"" }),
    ];
    let results = bulk_until(&app, 1, &operations).await;
    let location = |id: &str| format!("{PUBLIC_URL}/scim/v2/Users/{id}");
    assert_eq!(
        results[1..],
        [
            json!({ "location": location(&bob), "method": "PUT", "version": "W/\"2\"", "status": "200" }),
            json!({ "location": location(&dave), "method": "PATCH", "version": "W/\"2\"", "status": "200" }),
            json!({ "location": location(&gone), "method": "DELETE", "status": "204" }),
        ]
    );
    assert_eq!(results[0]["status"], "201");
    assert_eq!(app.get(&format!("/Users/{}", id(&results[0]))).await.expect(200).body["userName"], "Alice");
    assert_eq!(app.get(&format!("/Users/{bob}")).await.expect(200).body["userName"], "Bob");
    assert_eq!(app.get(&format!("/Users/{dave}")).await.expect(200).body["nickName"], "Dave");
    app.get(&format!("/Users/{gone}")).await.refused(404, "");
}

/// RFC 7644 §3.7.3: the example in which all operations fail.
#[tokio::test]
async fn each_failure_is_told_where_it_happened_and_the_others_go_on() {
    let app = app().await;
    let (bob, taken) = (app.user("bob").await, app.user("taken").await);
    let unknown = "e9025315-6bea-44e1-899c-1e07454e468b";
    let data = json!({ "schemas": [USER], "userName": "Bob" });
    let results = bulk(
        &app,
        &[
            user("qwerty", "TAKEN"),
            json!({ "method": "PUT", "path": format!("/Users/{bob}"), "version": "W/\"7\"", "data": data }),
            patch(&format!("/Users/{bob}"), json!({ "op": "replace", "path": "active", "value": "perhaps" })),
            json!({ "method": "DELETE", "path": format!("/Users/{unknown}") }),
            json!({ "method": "DELETE", "path": format!("/Groups/{taken}") }),
            user("ok", "carol"),
        ],
    )
    .await;
    refused(&results[0], "409", "uniqueness");
    assert!(results[0].get("location").is_none(), "a POST that failed has no location");
    assert_eq!(results[0]["bulkId"], "qwerty");
    refused(&results[1], "412", "");
    assert_eq!(id(&results[1]), bob);
    refused(&results[2], "400", "invalidValue");
    refused(&results[3], "404", "");
    assert_eq!(id(&results[3]), unknown);
    refused(&results[4], "404", "");
    assert_eq!(results[5]["status"], "201");
    assert_eq!(app.get(&format!("/Users/{bob}")).await.header("etag"), "W/\"1\"");
}

#[tokio::test]
async fn what_is_no_operation_of_bulk_is_refused_by_itself() {
    let app = app().await;
    let id = app.user("jsnow").await;
    let user_path = format!("/Users/{id}");
    let data = json!({ "schemas": [USER], "userName": "x" });
    let cases = [
        (json!({ "method": "POST", "path": "/Devices", "bulkId": "a", "data": data }), "404", ""),
        (json!({ "method": "POST", "path": "/Bulk", "bulkId": "b", "data": request(&[]) }), "404", ""),
        (json!({ "method": "PUT", "path": "/Users/not-an-id", "data": data }), "404", ""),
        (json!({ "method": "GET", "path": user_path }), "405", ""),
        (json!({ "method": "POST", "path": user_path, "bulkId": "c", "data": data }), "405", ""),
        (json!({ "method": "PUT", "path": "/Users", "data": data }), "405", ""),
        (json!({ "method": "DELETE", "path": "/Users/" }), "405", ""),
        (json!({ "method": "POST", "path": "/Users", "data": data }), "400", "invalidValue"),
        (json!({ "method": "POST", "path": "/Users", "bulkId": "", "data": data }), "400", "invalidValue"),
        (json!({ "method": "POST", "path": "/Users", "bulkId": 1, "data": data }), "400", "invalidSyntax"),
        (json!({ "method": "POST", "path": "/Users", "bulkId": "d" }), "400", "invalidSyntax"),
        (json!({ "method": "PATCH", "path": user_path, "data": [] }), "400", "invalidSyntax"),
        (json!({ "method": "DELETE", "path": user_path, "version": "1" }), "400", "invalidValue"),
        (json!({ "method": "DELETE" }), "400", "invalidSyntax"),
        (json!({ "path": user_path }), "400", "invalidSyntax"),
        (json!("DELETE everything"), "400", "invalidSyntax"),
    ];
    let operations: Vec<Value> = cases.iter().map(|(operation, ..)| operation.clone()).collect();
    let results = bulk(&app, &operations).await;
    assert_eq!(results.len(), cases.len());
    for (result, (_, status, scim_type)) in results.iter().zip(&cases) {
        refused(result, status, scim_type);
    }
    assert_eq!(app.get(&user_path).await.header("etag"), "W/\"1\"", "nothing happened to the user");
    assert_eq!(total(&app, "/Users").await, 1);
}

/// LIM-013: the answer repeats method, path and bulkId, so these have a longest length.
#[tokio::test]
async fn what_the_answer_repeats_of_an_operation_is_short() {
    let app = app().await;
    let at_most = |length: usize| ["/Users/", &"x".repeat(length - "/Users/".len())].concat();
    let named = |bulk_id: &str| user(bulk_id, "jsnow");
    let (longest, too_long) = ("x".repeat(LABEL_MAX_CHARS), "x".repeat(LABEL_MAX_CHARS + 1));
    let results = bulk(
        &app,
        &[
            json!({ "method": "DELETE", "path": at_most(LABEL_MAX_CHARS) }),
            json!({ "method": "DELETE", "path": at_most(LABEL_MAX_CHARS + 1) }),
            json!({ "method": "DELETE", "path": at_most(900_000) }),
            json!({ "method": longest, "path": "/Users" }),
            json!({ "method": too_long, "path": "/Users" }),
            named(&too_long),
            named(&longest),
            json!({ "method": "DELETE", "path": at_most(100), "version": too_long }),
        ],
    )
    .await;
    assert_eq!(statuses(&results), ["404", "400", "400", "405", "400", "400", "201", "400"]);
    for (result, name) in [(1, "path"), (2, "path"), (4, "method"), (5, "bulkId"), (7, "version")] {
        assert!(refused(&results[result], "400", "invalidValue").starts_with(&format!("{name} is \"")), "{}", results[result]);
        assert!(results[result].to_string().len() < 1_000, "{}", results[result]);
        assert_eq!(results[result].get(name), None);
    }
    assert_eq!(results[6]["bulkId"], longest);
}

#[tokio::test]
async fn a_path_may_begin_with_the_base_or_without_a_slash() {
    let app = app().await;
    let id = app.user("jsnow").await;
    for path in [format!("Users/{id}"), format!("/scim/v2/Users/{id}"), format!("{PUBLIC_URL}/scim/v2/Users/{id}")] {
        let operation = patch(&path, json!({ "op": "replace", "path": "nickName", "value": path }));
        let results = bulk(&app, &[operation]).await;
        assert_eq!(results[0]["status"], "200");
        assert_eq!(results[0]["location"], format!("{PUBLIC_URL}/scim/v2/Users/{id}"));
    }
    let under = app.under("/api/scim/v2");
    let results = bulk(&under, &[patch(&format!("/Users/{id}"), json!({ "op": "remove", "path": "nickName" }))]).await;
    assert_eq!(results[0]["location"], format!("{PUBLIC_URL}/api/scim/v2/Users/{id}"));
}

#[tokio::test]
async fn references_are_resolved_in_paths_and_in_patches() {
    let app = app().await;
    let results = bulk(
        &app,
        &[
            patch("/Groups/bulkId:g", json!({ "op": "add", "path": "members", "value": [{ "value": "bulkId:u" }] })),
            user("u", "jsnow"),
            group("g", "Sales", &[]),
            patch("/Users/bulkId:u", json!({ "op": "replace", "path": "nickName", "value": "Jon" })),
            json!({ "method": "PUT", "path": "/Groups/bulkId:h", "data": { "schemas": [GROUP], "displayName": "Renamed", "members": [] } }),
            group("h", "Support", &["bulkId:u"]),
            user("v", "asnow"),
            json!({ "method": "DELETE", "path": "/Users/bulkId:v" }),
        ],
    )
    .await;
    assert_eq!(statuses(&results), ["204", "201", "201", "200", "200", "201", "201", "204"]);
    assert_eq!(id(&results[0]), id(&results[2]));
    assert_eq!(app.members(&id(&results[2])).await, [id(&results[1])]);
    assert_eq!(app.get(&format!("/Users/{}", id(&results[1]))).await.body["nickName"], "Jon");
    let renamed = app.get(&format!("/Groups/{}", id(&results[5]))).await.expect(200);
    assert_eq!((&renamed.body["displayName"], renamed.list("members").len()), (&json!("Renamed"), 0));
    app.get(&format!("/Users/{}", id(&results[7]))).await.refused(404, "");
}

/// An order that the client chose is kept: the name is free when it is taken again.
#[tokio::test]
async fn operations_are_done_in_the_order_of_the_request() {
    let app = app().await;
    let old = app.user("jsnow").await;
    let results = bulk(
        &app,
        &[
            patch(&format!("/Users/{old}"), json!({ "op": "replace", "path": "nickName", "value": "first" })),
            patch(&format!("/Users/{old}"), json!({ "op": "replace", "path": "nickName", "value": "second" })),
            json!({ "method": "DELETE", "path": format!("/Users/{old}"), "version": "W/\"3\"" }),
            user("new", "jsnow"),
            user("again", "jsnow"),
            json!({ "method": "DELETE", "path": format!("/Users/{old}") }),
        ],
    )
    .await;
    assert_eq!(statuses(&results), ["200", "200", "204", "201", "409", "404"]);
}

#[tokio::test]
async fn a_reference_to_nothing_fails_its_operation_and_no_other() {
    let app = app().await;
    let results = bulk(
        &app,
        &[
            group("g", "Sales", &["bulkId:nobody"]),
            user("u", "jsnow"),
            patch("/Users/bulkId:nobody", json!({ "op": "replace", "path": "nickName", "value": "x" })),
            patch("/Users/bulkId:p", json!({ "op": "replace", "path": "nickName", "value": "x" })),
        ],
    )
    .await;
    assert!(refused(&results[0], "400", "invalidValue").contains("\"bulkId:nobody\""));
    assert_eq!(results[1]["status"], "201");
    refused(&results[2], "400", "invalidValue");
    assert_eq!(results[2]["location"], format!("{PUBLIC_URL}/scim/v2/Users/bulkId:nobody"));
    refused(&results[3], "400", "invalidValue");
    assert_eq!(total(&app, "/Groups").await, 0);
}

#[tokio::test]
async fn what_depends_on_a_failed_operation_fails_and_says_on_which() {
    let app = app().await;
    app.user("taken").await;
    let results = bulk(
        &app,
        &[
            patch("/Groups/bulkId:g", json!({ "op": "add", "path": "members", "value": [{ "value": "bulkId:ok" }] })),
            group("g", "Sales", &["bulkId:u", "bulkId:ok"]),
            user("u", "taken"),
            user("ok", "jsnow"),
            report("r", "report", "bulkId:u"),
        ],
    )
    .await;
    assert!(refused(&results[0], "409", "").contains("\"bulkId:g\""));
    assert!(refused(&results[1], "409", "").contains("\"bulkId:u\""));
    refused(&results[2], "409", "uniqueness");
    assert_eq!(results[3]["status"], "201");
    refused(&results[4], "409", "");
    assert_eq!((total(&app, "/Groups").await, total(&app, "/Users").await), (json!(0), json!(2)));
}

#[tokio::test]
async fn a_circle_is_created_as_a_whole_or_not_at_all() {
    let app = app().await;
    app.group("Taken", &[]).await;
    let results = bulk(
        &app,
        &[
            group("a", "Group A", &["bulkId:b"]),
            group("b", "Group B", &["bulkId:c", "bulkId:u"]),
            group("c", "taken", &["bulkId:a"]),
            user("u", "jsnow"),
            group("d", "Group D", &["bulkId:a"]),
        ],
    )
    .await;
    refused(&results[2], "409", "uniqueness");
    for result in &results[..2] {
        assert!(refused(result, "409", "").contains("\"bulkId:c\""));
    }
    assert_eq!(results[3]["status"], "201");
    assert!(refused(&results[4], "409", "").contains("\"bulkId:a\""));
    assert_eq!(total(&app, "/Groups").await, 1);

    // The members are what fails here, when the groups are there already.
    let stranger = "e9025315-6bea-44e1-899c-1e07454e468b";
    let results = bulk(&app, &[group("a", "Group A", &["bulkId:b"]), group("b", "Group B", &["bulkId:a", stranger])]).await;
    refused(&results[0], "409", "");
    refused(&results[1], "400", "invalidValue");
    assert_eq!(total(&app, "/Groups").await, 1);
}

#[tokio::test]
async fn a_group_is_no_member_of_itself() {
    let app = app().await;
    let results = bulk(&app, &[group("a", "Group A", &["bulkId:a"]), user("u", "jsnow")]).await;
    refused(&results[0], "400", "invalidValue");
    assert_eq!(results[1]["status"], "201");
    assert_eq!(total(&app, "/Groups").await, 0);
}

#[tokio::test]
async fn a_bulk_id_stands_for_one_operation() {
    let app = app().await;
    let results =
        bulk(&app, &[user("u", "one"), user("u", "two"), group("g", "Sales", &["bulkId:u"]), user("v", "three"), user("w", "four")]).await;
    for result in &results[..3] {
        refused(result, "400", "invalidValue");
    }
    assert_eq!(statuses(&results[3..]), ["201", "201"]);
    assert_eq!(total(&app, "/Users").await, 2);
}

#[tokio::test]
async fn fail_on_errors_ends_the_request_at_that_error() {
    let app = app().await;
    app.user("taken").await;
    let operations = [user("a", "anna"), user("b", "taken"), user("c", "carl"), user("d", "taken"), user("e", "emil")];
    assert_eq!(statuses(&bulk_until(&app, 1, &operations).await), ["201", "409"]);
    assert_eq!(total(&app, "/Users").await, 2);
    // Now anna is taken, too.
    assert_eq!(statuses(&bulk_until(&app, 2, &operations).await), ["409", "409"]);
    assert_eq!(statuses(&bulk_until(&app, 3, &operations).await), ["409", "409", "201", "409"]);
    assert_eq!(statuses(&bulk_until(&app, 5, &operations).await), ["409", "409", "409", "409", "201"]);
    for nonsense in [json!(0), json!(-1), json!("1"), json!(1.5)] {
        let body = json!({ "schemas": [REQUEST], "failOnErrors": nonsense, "Operations": [user("f", "fritz")] });
        app.post("/Bulk", body).await.refused(400, "invalidValue");
    }
}

#[tokio::test]
async fn both_limits_are_enforced_named_and_advertised() {
    let settings = [("FRONTDESK_LIMITS_BULK_OPERATIONS", "3"), ("FRONTDESK_LIMITS_BODY_BYTES", "2000")];
    let app = app_with(Profile::SpaceIq, Conformance::Lenient, &settings).await;
    let config = app.get("/ServiceProviderConfig").await.expect(200);
    assert_eq!(config.body["bulk"], json!({ "supported": true, "maxOperations": 3, "maxPayloadSize": 2000 }));
    let users: Vec<Value> = ["a", "b", "c", "d"].iter().map(|name| user(name, name)).collect();
    let refused = app.post("/Bulk", request(&users)).await.refused(413, "");
    assert!(refused.detail().contains("maxOperations is 3"), "{}", refused.detail());
    assert_eq!(total(&app, "/Users").await, 0);
    assert_eq!(statuses(&bulk(&app, &users[..3]).await), ["201"; 3]);

    let text = request(&[user("e", "e")]).to_string();
    let padded = |length: usize| format!("{}{text}", " ".repeat(length - text.len()));
    let refused = app.send(app.builder("POST", "/Bulk"), padded(2001)).await.refused(413, "");
    assert!(refused.detail().contains("2000") && refused.detail().contains("maxPayloadSize"), "{}", refused.detail());
    app.send(app.builder("POST", "/Bulk"), padded(2000)).await.expect(200);
}

#[tokio::test]
async fn a_body_that_is_no_bulk_request_is_refused_as_a_whole() {
    let app = app().await;
    app.post("/Bulk", json!({ "schemas": [REQUEST] })).await.refused(400, "invalidValue");
    app.post("/Bulk", request(&[])).await.refused(400, "invalidValue");
    app.post("/Bulk", json!({ "schemas": [REQUEST], "Operations": user("a", "a") })).await.refused(400, "invalidSyntax");
    app.get("/Bulk").await.refused(405, "");
    // A lenient connection does without the schema.
    let body = json!({ "Operations": [user("a", "a")] });
    app.post("/Bulk", body.clone()).await.expect(200);
    let strict = strict_app().await;
    strict.post("/Bulk", body).await.refused(400, "invalidSyntax");
    let mut unknown = user("a", "a");
    unknown["data"]["shoeSize"] = 44.into();
    let results = bulk(&strict, &[unknown, user("b", "b")]).await;
    refused(&results[0], "400", "invalidSyntax");
    assert_eq!(results[1]["status"], "201");
}

/// The path names the resource; an id in the body is never looked up.
#[tokio::test]
async fn the_id_in_the_path_wins_over_the_id_in_the_data() {
    let app = app().await;
    let (a, b) = (app.user("a").await, app.user("b").await);
    let data = json!({ "schemas": [USER], "id": b, "userName": "changed" });
    let mut create = user("n", "new");
    create["data"]["id"] = b.as_str().into();
    let results = bulk(&app, &[json!({ "method": "PUT", "path": format!("/Users/{a}"), "data": data }), create]).await;
    assert_eq!(statuses(&results), ["200", "201"]);
    assert_eq!(app.get(&format!("/Users/{a}")).await.body["userName"], "changed");
    assert_eq!(app.get(&format!("/Users/{b}")).await.body["userName"], "b");
    assert_ne!(id(&results[1]), b);
}

#[tokio::test]
async fn ids_of_another_tenant_are_unknown() {
    let (app, other) = (app().await, app().await);
    let theirs = other.user("jsnow").await;
    let results = bulk(
        &app,
        &[
            json!({ "method": "DELETE", "path": format!("/Users/{theirs}") }),
            patch(&format!("/Users/{theirs}"), json!({ "op": "replace", "path": "active", "value": false })),
            group("g", "Sales", &[&theirs]),
        ],
    )
    .await;
    assert_eq!(statuses(&results), ["404", "404", "400"]);
    assert_eq!(other.get(&format!("/Users/{theirs}")).await.expect(200).header("etag"), "W/\"1\"");
}

#[tokio::test]
async fn every_operation_leaves_its_event_with_the_id_of_the_request() {
    let app = app().await;
    let old = app.user("old").await;
    let operations = [
        user("u", "jsnow"),
        group("g", "Sales", &["bulkId:u"]),
        patch(&format!("/Users/{old}"), json!({ "op": "replace", "path": "active", "value": false })),
        user("taken", "old"),
        json!({ "method": "DELETE", "path": format!("/Users/{old}"), "version": "W/\"9\"" }),
    ];
    let request = app.builder("POST", "/Bulk").header("x-request-id", "bulk-1");
    results(&app.send(request, request_text(&operations)).await);
    // Refusals are written by a task of their own, which closing waits for.
    app.directory.close().await;
    let mut events: Vec<(String, String)> =
        sqlx::query_as("select kind, outcome from events where tenant_id = $1 and request_id = 'bulk-1' order by id")
            .bind(app.tenant.id)
            .fetch_all(&mut observer().await)
            .await
            .unwrap();
    events.sort();
    let expected = [
        ("group_create_provision", "success"),
        ("user_create_provision", "failure"),
        ("user_create_provision", "success"),
        ("user_delete_provision", "failure"),
        ("user_deprovision", "success"),
    ];
    assert_eq!(events, expected.map(|(kind, outcome)| (kind.to_owned(), outcome.to_owned())));
}

fn request_text(operations: &[Value]) -> String {
    request(operations).to_string()
}

#[tokio::test]
async fn what_was_set_aside_is_noted_at_its_operation_only() {
    let app = app().await;
    let mut odd = user("odd", "jsnow");
    odd["data"]["shoeSize"] = 44.into();
    let results = bulk(&app, &[odd, user("plain", "asnow")]).await;
    let notes = |events: Vec<(String, String, Value)>| events[0].2["notes"]["jumpcloud_sends_unknown_attributes"].clone();
    assert_eq!(notes(app.events(&id(&results[0])).await), json!(["shoeSize"]));
    assert_eq!(notes(app.events(&id(&results[1])).await), Value::Null);
}

/// More than one transaction's worth, with failures among them: the results are in order and complete.
#[tokio::test]
async fn a_thousand_operations_are_answered_in_order() {
    let app = app().await;
    app.user("taken").await;
    let name = |index: usize| if index % 10 == 3 { "taken".to_owned() } else { format!("user{index}") };
    let operations: Vec<Value> = (0..1000).map(|index| user(&format!("b{index}"), &name(index))).collect();
    let results = bulk(&app, &operations).await;
    assert_eq!(results.len(), 1000);
    for (index, result) in results.iter().enumerate() {
        assert_eq!(result["bulkId"], format!("b{index}"));
        assert_eq!(result["status"], if index % 10 == 3 { "409" } else { "201" });
    }
    assert_eq!(total(&app, "/Users").await, 901);
    let last = app.get(&format!("/Users/{}", id(&results[999]))).await.expect(200);
    assert_eq!(last.body["userName"], "user999");
}

#[tokio::test]
async fn a_chain_of_a_thousand_forward_references_is_resolved() {
    let app = app().await;
    let mut operations: Vec<Value> =
        (0..999).map(|index| group(&format!("g{index}"), &format!("Group {index}"), &[&format!("bulkId:g{}", index + 1)])).collect();
    operations.push(group("g999", "Group 999", &[]));
    let results = bulk(&app, &operations).await;
    assert_eq!(statuses(&results), ["201"; 1000]);
    assert_eq!(app.members(&id(&results[0])).await, [id(&results[1])]);
    assert_eq!(app.members(&id(&results[998])).await, [id(&results[999])]);
}

#[tokio::test]
async fn a_circle_of_a_thousand_is_resolved() {
    let app = app().await;
    let operations: Vec<Value> = (0..1000)
        .map(|index| group(&format!("g{index}"), &format!("Group {index}"), &[&format!("bulkId:g{}", (index + 1) % 1000)]))
        .collect();
    let results = bulk(&app, &operations).await;
    assert_eq!(statuses(&results), ["201"; 1000]);
    assert_eq!(app.members(&id(&results[999])).await, [id(&results[0])]);
}

/// A thousand changes of one user: each is a version, and the last one stays.
#[tokio::test]
async fn many_operations_on_one_resource_are_done_in_turn() {
    let app = app().await;
    let id = app.user("jsnow").await;
    let path = format!("/Users/{id}");
    let operations: Vec<Value> =
        (1..=1000).map(|index| patch(&path, json!({ "op": "replace", "path": "nickName", "value": index.to_string() }))).collect();
    let results = bulk(&app, &operations).await;
    for (index, result) in results.iter().enumerate() {
        assert_eq!(result["version"], format!("W/\"{}\"", index + 2));
    }
    assert_eq!(app.get(&path).await.body["nickName"], "1000");
}

/// Two bulk requests that lock the same users in opposite order, and single requests on them meanwhile: whoever must give way
/// is done again, so nobody is told of it and no change is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bulk_requests_that_collide_with_others_lose_nothing() {
    let app = app().await;
    let mut users = Vec::new();
    for index in 0..20 {
        users.push(app.user(&format!("user{index}")).await);
    }
    let change = |id: &String, round: usize, who: &str| {
        patch(&format!("/Users/{id}"), json!({ "op": "replace", "path": "nickName", "value": format!("{who} {round}") }))
    };
    let rounds = 5;
    let many = |who: &'static str, backwards: bool| {
        let (app, mut order) = (app.clone(), users.clone());
        if backwards {
            order.reverse();
        }
        async move {
            for round in 0..rounds {
                let operations: Vec<Value> = order.iter().map(|id| change(id, round, who)).collect();
                assert_eq!(statuses(&bulk(&app, &operations).await), ["200"; 20]);
            }
        }
    };
    let singles = async {
        for round in 0..rounds {
            for id in &users {
                let operation = change(id, round, "single");
                app.patch(&format!("/Users/{id}"), operation["data"].clone()).await.expect(200);
            }
        }
    };
    tokio::join!(many("forwards", false), many("backwards", true), singles);
    for id in &users {
        let version = app.get(&format!("/Users/{id}")).await.header("etag").to_owned();
        assert_eq!(version, format!("W/\"{}\"", 1 + 3 * rounds));
    }
}

/// An operation that waits for a lock in vain is told so by itself; the others are done.
#[tokio::test]
async fn an_operation_that_finds_its_resource_locked_fails_alone() {
    use frontdesk::config::Config;
    use frontdesk::directory::{Directory, PoolSettings};
    use sqlx::Connection as _;

    let app = app().await;
    let held = app.user("held").await;
    let impatient = PoolSettings { lock_timeout: Duration::from_millis(100), ..crate::support::settings() };
    let directory = Directory::open(crate::support::url().await, &impatient).await.unwrap();
    let config = Config::load(&std::collections::BTreeMap::new(), None).unwrap();
    let service = frontdesk::http::Service::new(frontdesk::http::App::new(directory, &config, PUBLIC_URL.into()));
    let app = TestApp { service, ..app };
    let mut other = observer().await;
    let mut transaction = other.begin().await.unwrap();
    sqlx::query("select from users where tenant_id = $1 for update").bind(app.tenant.id).execute(&mut *transaction).await.unwrap();
    let operations = [
        user("a", "anna"),
        patch(&format!("/Users/{held}"), json!({ "op": "replace", "path": "active", "value": false })),
        user("b", "berta"),
    ];
    let results = bulk(&app, &operations).await;
    assert_eq!(statuses(&results), ["201", "503", "201"]);
    refused(&results[1], "503", "");
    transaction.rollback().await.unwrap();
    assert_eq!(total(&app, "/Users").await, 3);
    assert_eq!(app.get(&format!("/Users/{held}")).await.body["active"], true);
}
