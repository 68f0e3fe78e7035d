//! Queries over all resource types (RFC 7644 §3.4.2.1, §3.4.3): N43, N60.

use serde_json::{Value, json};

use crate::app::{Answer, TestApp, app, strict_app};

const SEARCH_REQUEST: &str = "urn:ietf:params:scim:api:messages:2.0:SearchRequest";

/// What stands in an answer, by name.
fn names(answer: &Answer) -> Vec<String> {
    let name =
        |resource: &Value| resource.get("userName").or_else(|| resource.get("displayName")).and_then(Value::as_str).map(str::to_owned);
    answer.list("Resources").iter().map(|resource| name(resource).unwrap()).collect()
}

async fn search(app: &TestApp, body: Value) -> Answer {
    app.post("/.search", body).await.expect(200)
}

/// Users ada (with a title) and bob; groups Able (with ada) and Zoo (empty).
async fn people() -> TestApp {
    let app = app().await;
    let ada = app.user("ada").await;
    let bob = app.user("bob").await;
    let operations = json!([{ "op": "add", "value": { "title": "Countess", "displayName": "Mrs Ada" } }]);
    app.patch(&format!("/Users/{ada}"), json!({ "Operations": operations })).await.expect(200);
    let operations = json!([{ "op": "add", "value": { "displayName": "Mr Bob", "externalId": "b1" } }]);
    app.patch(&format!("/Users/{bob}"), json!({ "Operations": operations })).await.expect(200);
    app.group("Able", &[&ada]).await;
    app.group("Zoo", &[]).await;
    app
}

/// N60.
#[tokio::test]
async fn all_types_are_in_one_answer() {
    let app = people().await;
    for answer in
        [search(&app, json!({ "schemas": [SEARCH_REQUEST] })).await, app.get("").await.expect(200), app.get("/").await.expect(200)]
    {
        assert_eq!(names(&answer), ["ada", "bob", "Able", "Zoo"]);
        assert_eq!((answer.body["totalResults"].as_u64(), answer.body["itemsPerPage"].as_u64()), (Some(4), Some(4)));
        let types: Vec<Value> = answer.list("Resources").iter().map(|one| one["meta"]["resourceType"].clone()).collect();
        assert_eq!(types, ["User", "User", "Group", "Group"]);
        assert_eq!(answer.list("Resources")[2]["members"][0]["display"], "Mrs Ada");
    }
}

/// N43.
#[tokio::test]
async fn an_attribute_that_a_type_does_not_have_is_without_value_there() {
    let app = people().await;
    for (filter, expected) in [
        ("userName eq \"ada\"", vec!["ada"]),
        ("title pr", vec!["ada"]),
        ("not (title pr)", vec!["bob", "Able", "Zoo"]),
        ("title eq null", vec!["bob", "Able", "Zoo"]),
        ("title ne \"Countess\"", vec!["bob", "Able", "Zoo"]),
        ("members pr", vec!["Able"]),
        ("not (members pr) and not (title pr)", vec!["bob", "Zoo"]),
        ("displayName sw \"m\" or displayName eq \"zoo\"", vec!["ada", "bob", "Zoo"]),
        ("groups pr or members pr", vec!["ada", "Able"]),
        ("emails[type eq \"work\" and value sw \"bob\"] or displayName eq \"able\"", vec!["bob", "Able"]),
        ("meta.resourceType eq \"Group\"", vec!["Able", "Zoo"]),
        ("meta.resourceType eq \"User\" and active eq true", vec!["ada", "bob"]),
        ("urn:ietf:params:scim:schemas:core:2.0:User:userName eq \"bob\"", vec!["bob"]),
        ("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department pr", vec![]),
        ("externalId eq \"b1\"", vec!["bob"]),
    ] {
        let answer = search(&app, json!({ "filter": filter })).await;
        assert_eq!(names(&answer), expected, "{filter}");
        assert_eq!(answer.body["totalResults"], expected.len(), "{filter}");
        assert_eq!(names(&app.get(&format!("?filter={filter}")).await.expect(200)), expected, "{filter}");
    }
    let ada = app.get("/Users?filter=userName eq \"ada\"").await.expect(200).ids().remove(0);
    assert_eq!(names(&search(&app, json!({ "filter": format!("members.value eq \"{ada}\"") })).await), ["Able"]);
    assert_eq!(names(&search(&app, json!({ "filter": format!("id eq \"{ada}\"") })).await), ["ada"]);
}

#[tokio::test]
async fn what_no_type_has_is_refused() {
    let app = people().await;
    app.post("/.search", json!({ "filter": "shoeSize eq 44" })).await.refused(400, "invalidFilter");
    app.post("/.search", json!({ "filter": "password pr" })).await.refused(400, "invalidFilter");
    app.post("/.search", json!({ "filter": "" })).await.refused(400, "invalidFilter");
    app.post("/.search", json!({ "sortBy": "shoeSize" })).await.refused(400, "invalidValue");
    app.post("/.search", json!({ "sortBy": "password" })).await.refused(400, "invalidValue");
    app.get("/Groups?filter=userName eq \"ada\"").await.refused(400, "invalidFilter");
}

/// N56 over several types.
#[tokio::test]
async fn one_order_goes_over_all_types() {
    let app = people().await;
    let sorted = async |by: &str, order: &str| names(&search(&app, json!({ "sortBy": by, "sortOrder": order })).await);
    assert_eq!(sorted("displayName", "ascending").await, ["Able", "bob", "ada", "Zoo"]);
    assert_eq!(sorted("displayName", "descending").await, ["Zoo", "ada", "bob", "Able"]);
    assert_eq!(sorted("userName", "ascending").await, ["ada", "bob", "Able", "Zoo"]);
    assert_eq!(sorted("userName", "descending").await, ["Able", "Zoo", "bob", "ada"]);
    assert_eq!(sorted("meta.resourceType", "ascending").await, ["Able", "Zoo", "ada", "bob"]);
}

#[tokio::test]
async fn pages_go_from_one_type_to_the_next() {
    let app = people().await;
    for query in [
        json!({}),
        json!({ "sortBy": "displayName" }),
        json!({ "filter": "meta.created pr" }),
        json!({ "sortBy": "title", "sortOrder": "descending" }),
    ] {
        let whole = names(&search(&app, query.clone()).await);
        for count in 1..4_usize {
            let (mut by_index, mut by_cursor, mut cursor) = (Vec::new(), Vec::new(), Value::from(""));
            for start in (1..5).step_by(count) {
                let mut page = query.clone();
                page["count"] = count.into();
                page["startIndex"] = start.into();
                let answer = search(&app, page.clone()).await;
                assert_eq!(answer.body["totalResults"], 4, "{page}");
                by_index.extend(names(&answer));
                page["cursor"] = cursor;
                let answer = search(&app, page).await;
                by_cursor.extend(names(&answer));
                cursor = answer.body["nextCursor"].clone();
            }
            assert_eq!((&by_index, &by_cursor, cursor.is_null()), (&whole, &whole, true), "{query} by {count}");
        }
    }
    let jump = search(&app, json!({ "startIndex": 3, "count": 1 })).await;
    assert_eq!(names(&jump), ["Able"]);
    assert_eq!(search(&app, json!({ "count": 0 })).await.body["totalResults"], 4);
}

#[tokio::test]
async fn a_projection_applies_to_each_type() {
    let app = people().await;
    let answer = search(&app, json!({ "attributes": ["userName", "members.value"] })).await;
    let resources = answer.list("Resources");
    for (resource, shown) in resources.iter().zip(["userName", "userName", "members", ""]) {
        let mut keys: Vec<&str> = resource.as_object().unwrap().keys().map(String::as_str).collect();
        keys.retain(|key| !["schemas", "id"].contains(key));
        assert_eq!(keys, if shown.is_empty() { vec![] } else { vec![shown] }, "{resource}");
    }
    assert_eq!(resources[2]["members"][0].as_object().unwrap().len(), 1);
    let answer = search(&app, json!({ "excludedAttributes": "members,emails" })).await;
    assert!(answer.list("Resources").iter().all(|resource| resource.get("members").is_none() && resource.get("emails").is_none()));
}

/// RFC 7644 §3.4.3: the body is a SearchRequest; only a strict connection insists that it says so.
#[tokio::test]
async fn a_strict_connection_must_send_a_search_request() {
    let strict = strict_app().await;
    for path in ["/.search", "/Users/.search", "/Groups/.search"] {
        strict.post(path, json!({ "schemas": [SEARCH_REQUEST] })).await.expect(200);
        for schemas in [json!(null), json!([]), json!(["urn:ietf:params:scim:api:messages:2.0:PatchOp"])] {
            strict.post(path, json!({ "schemas": schemas })).await.refused(400, "invalidSyntax");
        }
        strict.post(path, json!({})).await.refused(400, "invalidSyntax");
        app().await.post(path, json!({})).await.expect(200);
    }
}

#[tokio::test]
async fn nobody_elses_resources_are_found() {
    let (_, other) = (people().await, app().await);
    other.user("eve").await;
    assert_eq!(names(&search(&other, json!({})).await), ["eve"]);
    assert_eq!(names(&search(&other, json!({ "filter": "id pr or displayName pr" })).await), ["eve"]);
}
