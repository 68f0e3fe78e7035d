//! Users that a bulk request creates one after the other share a statement (src/directory/new_users.rs). Nothing of it is to be seen:
//! what is stored, the order, and who is refused are as if each had been created by a request of its own.

use serde_json::{Value, json};

use crate::app::{TestApp, app};
use crate::support::observer;

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// A user with a value in every column, and another one in each.
fn person(name: &str) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE],
        "userName": name, "externalId": format!("E-{name}"), "displayName": format!("Display, {name}"), "active": false,
        "name": { "givenName": "Jon", "familyName": "Snow \"Aegon\"" }, "title": "Lord\\Commander", "userType": "Contractor",
        "emails": [{ "value": format!("{name}@Example.com"), "type": "work", "primary": true }],
        "phoneNumbers": [{ "value": "+1 555 0100", "type": "work" }],
        "addresses": [{ "type": "work", "locality": "Castle Black" }],
        "password": "t1meMa$heen", "favouriteWolf": { "name": "Ghost" },
        ENTERPRISE: { "costCenter": "4130", "department": "Watch", "division": "Wall", "manager": { "value": "Jeor" } },
    })
}

fn create(name: &str, data: Value) -> Value {
    json!({ "method": "POST", "path": "/Users", "bulkId": name, "data": data })
}

fn named(name: &str) -> Value {
    create(name, json!({ "userName": name }))
}

async fn bulk(app: &TestApp, operations: &[Value]) -> Vec<Value> {
    app.post("/Bulk", json!({ "Operations": operations })).await.expect(200).list("Operations")
}

fn statuses(results: &[Value]) -> Vec<&str> {
    results.iter().map(|result| result["status"].as_str().unwrap()).collect()
}

/// The rows of these users, by name, without what each has of its own.
async fn rows(app: &TestApp, names: &[&str]) -> Vec<Value> {
    let mut session = observer().await;
    let mut rows = Vec::new();
    for name in names {
        let row: Value = sqlx::query_scalar(
            "select to_jsonb(u) - array['id', 'seq', 'created_at', 'updated_at', 'password_hash'] || jsonb_build_object(
                 'folded', u.folded - 'id', 'hashed', u.password_hash is not null,
                 'event', (select to_jsonb(e) - array['id', 'at', 'request_id', 'resource_id', 'position', 'unit'] from events e
                           where e.tenant_id = $1 and e.resource_id = u.id))
             from users u where u.tenant_id = $1 and u.user_name = $2",
        )
        .bind(app.tenant.id)
        .bind(name)
        .fetch_one(&mut session)
        .await
        .expect("the user exists");
        // Each is spelled with its own name.
        rows.push(serde_json::from_str(&row.to_string().replace(name, "NAME")).unwrap());
    }
    rows
}

#[tokio::test]
async fn what_is_stored_of_users_created_together_is_what_single_creates_store() {
    let app = app().await;
    app.set("keep_passwords", "true").await;
    app.post("/Users", person("single-full")).await.expect(201);
    app.post("/Users", json!({ "userName": "single-bare" })).await.expect(201);
    let results = bulk(&app, &[create("a", person("joined-full")), named("joined-bare")]).await;
    assert_eq!(statuses(&results), ["201", "201"]);
    assert!(results.iter().all(|result| result["version"] == "W/\"1\""), "{results:?}");
    let single = rows(&app, &["single-full", "single-bare"]).await;
    assert_eq!(rows(&app, &["joined-full", "joined-bare"]).await, single);
    assert_eq!((&single[0]["hashed"], &single[1]["hashed"]), (&json!(true), &json!(false)));
    assert_ne!(single[1]["missing"], json!([]), "the arrays differ in length");
}

#[tokio::test]
async fn users_created_together_are_listed_and_recorded_in_the_order_of_the_request() {
    let app = app().await;
    let operations: Vec<Value> = (0..250).map(|n| named(&format!("user-{:03}", n * 7 % 250))).collect();
    let results = bulk(&app, &operations).await;
    let ids: Vec<String> = results.iter().map(|result| result["location"].as_str().unwrap().rsplit('/').next().unwrap().into()).collect();
    let mut listed = app.get("/Users?count=200").await.expect(200).ids();
    listed.extend(app.get("/Users?count=200&startIndex=201").await.expect(200).ids());
    assert_eq!(listed, ids);
    let recorded: Vec<String> =
        sqlx::query_scalar("select resource_id::text from events where tenant_id = $1 and kind = 'user_create_provision' order by id")
            .bind(app.tenant.id)
            .fetch_all(&mut observer().await)
            .await
            .unwrap();
    assert_eq!(recorded, ids);
}

#[tokio::test]
async fn of_two_creates_with_one_name_the_first_wins_and_their_neighbours_are_created() {
    let app = app().await;
    app.user("taken").await;
    let operations = [named("a"), named("wanted"), named("b"), named("WANTED"), named("c"), named("Taken"), named("d")];
    let results = bulk(&app, &operations).await;
    assert_eq!(statuses(&results), ["201", "201", "201", "409", "201", "409", "201"]);
    for (at, name) in [(3, "WANTED"), (5, "Taken")] {
        let response = &results[at]["response"];
        assert_eq!(response["scimType"], "uniqueness");
        let detail = response["detail"].as_str().unwrap();
        assert!(detail.contains("userName") && detail.contains(name), "{detail}");
    }
    let names: Vec<Value> = app.get("/Users").await.list("Resources").iter().map(|user| user["userName"].clone()).collect();
    assert_eq!(names, ["taken", "a", "wanted", "b", "c", "d"]);
}

#[tokio::test]
async fn creates_before_the_last_accepted_error_are_done_and_none_after_it() {
    let app = app().await;
    app.user("taken").await;
    let operations = [named("a"), named("b"), named("taken"), named("c"), json!({ "method": "POST" }), named("d"), named("e")];
    let body = json!({ "failOnErrors": 2, "Operations": operations });
    let results = app.post("/Bulk", body).await.expect(200).list("Operations");
    assert_eq!(statuses(&results), ["201", "201", "409", "201", "400"]);
    assert_eq!(app.get("/Users").await.body["totalResults"], 4);
}

#[tokio::test]
async fn what_cannot_be_read_between_creates_is_refused_alone() {
    let app = app().await;
    let manager = json!({ "userName": "x", ENTERPRISE: { "manager": { "value": "bulkId:broken" } } });
    let broken = create("broken", json!({ "title": "nobody" }));
    let results = bulk(&app, &[named("a"), named("b"), broken, create("x", manager), named("c"), named("d")]).await;
    assert_eq!(statuses(&results), ["201", "201", "400", "409", "201", "201"]);
    assert_eq!(app.get("/Users").await.body["totalResults"], 4);
}
