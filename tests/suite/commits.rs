//! Commits whose answer is lost (CRA-005, NET-008): what PostgreSQL did is answered as done, what it did not do is not claimed, and
//! nothing is done twice. The proxy cuts exactly there, also where a single statement commits by itself.

use std::time::Duration;

use frontdesk::directory::{Conformance, PoolSettings, Profile};
use serde_json::{Value, json};

use crate::app::{Answer, TestApp, app_on};
use crate::fault_proxy::{AtCommit, CommitAnswer, Fault, Proxy};
use crate::support::{observer, settings, unique};

/// A change, and what its answer is when nothing goes wrong.
struct Change {
    what: &'static str,
    method: &'static str,
    path: String,
    body: Value,
    status: u16,
}

fn operations(operations: Value) -> Value {
    json!({ "Operations": operations })
}

/// One of each kind of change, on resources of their own.
async fn changes(app: &TestApp) -> Vec<Change> {
    let change = |what, method, path: &str, body, status| Change { what, method, path: path.to_owned(), body, status };
    let mut made = Vec::new();
    for _ in 0..7 {
        made.push(app.user(&unique("user")).await);
    }
    let [put, patched, aside, deleted, member, first, second] = made.try_into().expect("seven");
    let user = |id: &str| format!("/Users/{id}");
    let mut groups = Vec::new();
    for members in [vec![], vec![], vec![member.as_str()], vec![], vec![member.as_str()]] {
        groups.push(format!("/Groups/{}", app.group(&unique("group"), &members).await));
    }
    let title = |title: &str| json!([{ "op": "replace", "path": "title", "value": title }]);
    let bulk = json!({ "Operations": [
        { "method": "PATCH", "path": user(&first), "data": operations(title("one")) },
        { "method": "DELETE", "path": user(&second) },
        { "method": "PATCH", "path": user(&first), "data": operations(json!([{ "op": "replace", "path": "title", "value": "two" }])) },
    ] });
    let creations = json!({ "Operations": [
        { "method": "POST", "path": "/Users", "bulkId": "u", "data": { "userName": unique("user") } },
        { "method": "POST", "path": "/Groups", "bulkId": "g", "data": { "displayName": unique("group"), "members": [{ "value": "bulkId:u" }] } },
    ] });
    vec![
        change("a user is created", "POST", "/Users", json!({ "userName": unique("user"), "title": "new" }), 201),
        change("a user is replaced", "PUT", &user(&put), json!({ "userName": unique("user"), "title": "new" }), 200),
        change("a user is patched", "PATCH", &user(&patched), operations(title("new")), 200),
        // The version stays: the change is one of the employee alone.
        change(
            "what is kept aside of a user changes",
            "PATCH",
            &user(&aside),
            operations(json!([{ "op": "add", "value": { "costcenter": "7" } }])),
            200,
        ),
        change("a user is deleted", "DELETE", &user(&deleted), Value::Null, 204),
        change("a group is created", "POST", "/Groups", json!({ "displayName": unique("group") }), 201),
        change(
            "a group is created with a member",
            "POST",
            "/Groups",
            json!({ "displayName": unique("group"), "members": [{ "value": member }] }),
            201,
        ),
        change("a group is replaced", "PUT", &groups[0], json!({ "displayName": unique("group"), "members": [{ "value": member }] }), 200),
        change(
            "a member is added",
            "PATCH",
            &groups[1],
            operations(json!([{ "op": "add", "path": "members", "value": [{ "value": member }] }])),
            204,
        ),
        change(
            "a member is removed",
            "PATCH",
            &groups[2],
            operations(json!([{ "op": "remove", "path": format!("members[value eq \"{member}\"]") }])),
            204,
        ),
        change(
            "a group is renamed",
            "PATCH",
            &groups[3],
            operations(json!([{ "op": "replace", "path": "displayName", "value": unique("group") }])),
            204,
        ),
        change("a group is deleted", "DELETE", &groups[4], Value::Null, 204),
        change("several things are changed at once", "POST", "/Bulk", bulk, 200),
        change("several things are created at once", "POST", "/Bulk", creations, 200),
    ]
}

async fn send(app: &TestApp, change: &Change, request_id: &str) -> Answer {
    let body = if change.body.is_null() { String::new() } else { change.body.to_string() };
    app.send(app.builder(change.method, &change.path).header("x-request-id", request_id), body).await
}

/// The successful events of a request.
async fn events(app: &TestApp, request_id: &str) -> i64 {
    sqlx::query_scalar("select count(*) from events where tenant_id = $1 and request_id = $2 and outcome = 'success'")
        .bind(app.tenant.id)
        .bind(request_id)
        .fetch_one(&mut observer().await)
        .await
        .unwrap()
}

/// The statuses of a bulk response, or the one of any other answer.
fn statuses(answer: &Answer) -> Vec<u16> {
    let results = answer.list("Operations");
    match results.is_empty() {
        true => vec![answer.status.as_u16()],
        false => results.iter().map(|result| result["status"].as_str().unwrap().parse().unwrap()).collect(),
    }
}

fn impatient() -> PoolSettings {
    PoolSettings { acquire_timeout: Duration::from_secs(2), ..settings() }
}

const WAYS: [CommitAnswer; 4] =
    [CommitAnswer::Cut, CommitAnswer::Error("57P01"), CommitAnswer::Error("08007"), CommitAnswer::Error("40003")];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_committed_is_answered_as_done_although_the_answer_was_lost() {
    let proxy = Proxy::start().await;
    let app = app_on(proxy.directory(&impatient()).await, Profile::SpaceIq, Conformance::Lenient, &[]).await;
    for answer in WAYS {
        for change in changes(&app).await {
            let request_id = unique("r");
            proxy.at_commits(AtCommit { reaches: true, answer }, 1);
            let answered = send(&app, &change, &request_id).await;
            assert!(proxy.is_done(), "nothing was cut: {}", change.what);
            assert_eq!(answered.status.as_u16(), change.status, "{}, {answer:?}: {}", change.what, answered.text);
            let operations = change.body["Operations"].as_array().filter(|_| change.path == "/Bulk").map_or(1, Vec::len);
            assert!(statuses(&answered).iter().all(|status| *status < 300), "{}: {}", change.what, answered.text);
            assert_eq!(events(&app, &request_id).await, i64::try_from(operations).unwrap(), "{}", change.what);
            if let Some(id) = answered.body["id"].as_str() {
                let path = if change.method == "POST" { format!("{}/{id}", change.path) } else { change.path.clone() };
                assert_eq!(app.get(&path).await.expect(200).body, answered.body, "{}", change.what);
            }
            if change.method == "DELETE" {
                app.get(&change.path).await.refused(404, "");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_committed_is_not_claimed_and_can_be_repeated() {
    let proxy = Proxy::start().await;
    let app = app_on(proxy.directory(&impatient()).await, Profile::SpaceIq, Conformance::Lenient, &[]).await;
    for answer in WAYS {
        for change in changes(&app).await {
            let request_id = unique("r");
            proxy.at_commits(AtCommit { reaches: false, answer }, 1);
            let answered = send(&app, &change, &request_id).await;
            assert!(proxy.is_done(), "nothing was cut: {}", change.what);
            assert!(statuses(&answered).iter().all(|status| *status == 503), "{}, {answer:?}: {}", change.what, answered.text);
            assert!(answered.text.contains("it is not known whether"), "{}", answered.text);
            assert!(!answered.text.contains("secret"), "text from the database: {}", answered.text);
            if change.path != "/Bulk" {
                assert_eq!(answered.clone().refused(503, "").header("retry-after"), "2");
            }
            assert_eq!(events(&app, &request_id).await, 0, "{}", change.what);
            let again = send(&app, &change, &request_id).await;
            assert_eq!(again.status.as_u16(), change.status, "{}, {answer:?}: {}", change.what, again.text);
            assert!(statuses(&again).iter().all(|status| *status < 300), "{}: {}", change.what, again.text);
        }
    }
}

/// A request id is the client's and may be the same for all its requests: it proves nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_earlier_request_with_the_same_id_does_not_count_as_this_one() {
    let proxy = Proxy::start().await;
    let app = app_on(proxy.directory(&impatient()).await, Profile::SpaceIq, Conformance::Lenient, &[]).await;
    let path = format!("/Users/{}", app.user("jsnow").await);
    let change = |title: &str| Change {
        what: "a user is patched",
        method: "PATCH",
        path: path.clone(),
        body: operations(json!([{ "op": "replace", "path": "title", "value": title }])),
        status: 200,
    };
    send(&app, &change("first"), "always-the-same").await.expect(200);
    proxy.at_commits(AtCommit { reaches: false, answer: CommitAnswer::Cut }, 1);
    send(&app, &change("second"), "always-the-same").await.refused(503, "");
    assert_eq!(app.get(&path).await.body["title"], "first");
}

/// 40001 and 40P01 say that PostgreSQL undid the unit: it is done again, up to five times.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn units_that_postgresql_undid_are_done_again_as_a_whole() {
    let proxy = Proxy::start().await;
    let app = app_on(proxy.directory(&impatient()).await, Profile::SpaceIq, Conformance::Lenient, &[]).await;
    for code in ["40001", "40P01"] {
        for change in changes(&app).await {
            let undone = AtCommit { reaches: false, answer: CommitAnswer::Error(code) };
            let request_id = unique("r");
            proxy.at_commits(undone, 4);
            let answered = send(&app, &change, &request_id).await;
            assert!(proxy.is_done(), "{}", change.what);
            assert!(answered.status.as_u16() == change.status, "{}, {code}: {}", change.what, answered.text);
            assert!(events(&app, &request_id).await >= 1, "{}", change.what);
        }
    }
    let refused = Change { what: "", method: "POST", path: "/Users".into(), body: json!({ "userName": "unlucky" }), status: 503 };
    proxy.at_commits(AtCommit { reaches: false, answer: CommitAnswer::Error("40001") }, 5);
    assert_eq!(send(&app, &refused, "r").await.refused(503, "").header("retry-after"), "2");
    assert!(proxy.is_done());
    app.post("/Users", json!({ "userName": "unlucky" })).await.expect(201);
}

/// A network that swallows the answer and a database that cannot be asked: bounded, and no claim.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_nobody_can_say_the_client_is_told_so() {
    let proxy = Proxy::start().await;
    let app = app_on(proxy.directory(&impatient()).await, Profile::SpaceIq, Conformance::Lenient, &[]).await;
    let user = |name: &str| json!({ "userName": name });
    app.user("warm").await;
    // The session that carries the request lives on, and no other can be opened.
    proxy.set(Fault::Refused("57P03")).await;
    proxy.at_commits(AtCommit { reaches: true, answer: CommitAnswer::Cut }, 1);
    let answered = app.post("/Users", user("jsnow")).await.refused(503, "");
    assert!(answered.detail().contains("it is not known whether"), "{}", answered.text);
    proxy.set(Fault::None).await;
    // It was: the repetition tells, and the filter finds it.
    app.post("/Users", user("jsnow")).await.refused(409, "uniqueness");
    assert_eq!(app.get("/Users?filter=userName eq \"jsnow\"").await.expect(200).body["totalResults"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_is_never_answered_is_looked_for() {
    let proxy = Proxy::start().await;
    let app = app_on(proxy.directory(&impatient()).await, Profile::SpaceIq, Conformance::Lenient, &[]).await;
    let path = format!("/Users/{}", app.user("jsnow").await);
    proxy.at_commits(AtCommit { reaches: true, answer: CommitAnswer::Silence }, 1);
    app.delete(&path).await.expect(204);
    assert!(proxy.is_done());
    app.get(&path).await.refused(404, "");
}
