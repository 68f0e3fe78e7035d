//! Sorting (RFC 7644 §3.4.2.3; N56): by kind, by letter case where it counts, by the primary or first of several values, those
//! without a value last or first, ties in the order of creation.

use serde_json::{Value, json};

use crate::app::{TestApp, app};
use crate::cases::percent;

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// Users a, b, c ... in this order of creation, each with these attributes.
async fn users(app: &TestApp, attributes: Vec<Value>) {
    for (letter, mut body) in ('a'..).zip(attributes) {
        body["userName"] = letter.to_string().into();
        body["schemas"] = json!(["urn:ietf:params:scim:schemas:core:2.0:User"]);
        app.post("/Users", body).await.expect(201);
    }
}

/// The users' names in the order that a query gives.
async fn sorted(app: &TestApp, query: &str) -> String {
    let answer = app.get(&format!("/Users?{query}")).await.expect(200);
    answer.list("Resources").iter().map(|user| user["userName"].as_str().unwrap().to_owned()).collect()
}

async fn both(app: &TestApp, name: &str) -> (String, String) {
    (sorted(app, &format!("sortBy={name}")).await, sorted(app, &format!("sortBy={name}&sortOrder=descending")).await)
}

fn order(ascending: &str, descending: &str) -> (String, String) {
    (ascending.to_owned(), descending.to_owned())
}

#[tokio::test]
async fn text_is_ordered_by_its_case_only_where_case_counts() {
    let app = app().await;
    let value = |text: &str| json!({ "title": text, "externalId": text });
    users(&app, vec![value("b"), value("A"), json!({}), value("a"), value("B"), value("\u{e4}"), json!({ "title": "" })]).await;
    assert_eq!(both(&app, "title").await, order("bdaefcg", "cgfaebd"), "A and a are equal and keep the order of creation");
    assert_eq!(both(&app, "externalId").await, order("bedafcg", "cgfadeb"));
    assert_eq!(both(&app, "TITLE").await, order("bdaefcg", "cgfaebd"));
    assert_eq!(both(&app, "urn:ietf:params:scim:schemas:core:2.0:User:title").await, order("bdaefcg", "cgfaebd"));
    assert_eq!(sorted(&app, "").await, "abcdefg", "without sortBy in the order of creation");
    assert_eq!(sorted(&app, "sortOrder=descending").await, "abcdefg", "a direction alone sorts nothing");
}

#[tokio::test]
async fn every_kind_has_its_own_order() {
    let app = app().await;
    let department = |text: &str, given: &str| json!({ ENTERPRISE: { "department": text }, "name": { "givenName": given } });
    users(&app, vec![department("x", "2"), department("Y", "10"), json!({ "active": false }), department("w", "1")]).await;
    assert_eq!(both(&app, &format!("{ENTERPRISE}:department")).await, order("dabc", "cbad"));
    assert_eq!(both(&app, "name.givenName").await, order("dbac", "cabd"), "text, not numbers");
    assert_eq!(both(&app, "active").await, order("cabd", "abdc"));
    assert_eq!(both(&app, "meta.created").await, order("abcd", "dcba"));
    let ids = both(&app, "id").await;
    assert_eq!(ids, order("abcd", "dcba"), "ids grow with time");
    let first = app.get("/Users?filter=userName%20eq%20%22a%22").await.ids().remove(0);
    app.patch(&format!("/Users/{first}"), json!({ "Operations": [{ "op": "replace", "path": "title", "value": "x" }] })).await.expect(200);
    assert_eq!(both(&app, "meta.lastModified").await, order("bcda", "adcb"));
}

#[tokio::test]
async fn of_several_values_the_primary_or_the_first_one_counts() {
    let app = app().await;
    let emails = |values: Value| json!({ "emails": values });
    users(
        &app,
        vec![
            emails(json!([{ "value": "z@x" }, { "value": "b@x", "primary": true, "type": "work" }])),
            emails(json!([{ "value": "c@x" }, { "value": "a@x" }])),
            json!({}),
            emails(json!([{ "value": "A@x", "type": "home" }])),
        ],
    )
    .await;
    assert_eq!(both(&app, "emails").await, order("dabc", "cbad"));
    assert_eq!(both(&app, "emails.value").await, order("dabc", "cbad"));
    assert_eq!(both(&app, "emails.type").await, order("dabc", "bcad"));
}

/// A page of a sorted list is a part of it, whatever the ties.
#[tokio::test]
async fn pages_of_a_sorted_list_hold_everybody_once() {
    let app = app().await;
    let title = |n: usize| if n % 4 == 3 { json!({}) } else { json!({ "title": format!("t{}", n % 3) }) };
    users(&app, (0..20).map(title).collect()).await;
    for direction in ["ascending", "Descending"] {
        let query = format!("sortBy=title&sortOrder={direction}");
        let whole = sorted(&app, &query).await;
        let mut walked = String::new();
        for start in (1..=20).step_by(3) {
            walked += &sorted(&app, &format!("{query}&count=3&startIndex={start}")).await;
        }
        assert_eq!(walked, whole);
        assert_eq!(whole.len(), 20);
    }
    let search = json!({ "sortBy": "title", "sortOrder": "descending", "filter": "title pr", "count": 2 });
    let answer = app.post("/Users/.search", search).await.expect(200);
    assert_eq!((answer.list("Resources").len(), answer.body["totalResults"].as_i64()), (2, Some(15)));
}

/// No name reaches SQL: what is no attribute, or has no order, is refused.
#[tokio::test]
async fn what_cannot_be_sorted_by_is_refused() {
    let app = app().await;
    app.user("jsnow").await;
    for name in [
        "shoeSize",
        "password",
        "seq",
        "tenant_id",
        "userName; drop table users",
        "userName--",
        "userName desc",
        "1",
        "\"userName\"",
        "folded",
        "name.shoeSize",
        "emails[type eq \"work\"].value",
        "'",
        "$.userName",
        "@",
        "userName,title",
        "urn:ietf:params:scim:schemas:core:2.0:User",
        "name",
        "addresses",
        "meta",
    ] {
        let answer = app.get(&format!("/Users?sortBy={}", percent(name))).await.refused(400, "invalidValue");
        assert!(answer.detail().starts_with("sortBy is "), "{}", answer.detail());
    }
    app.get("/Users?sortBy=userName&sortOrder=sideways").await.refused(400, "invalidValue");
    app.get("/Users?sortBy=&sortOrder=").await.expect(200);
}

#[tokio::test]
async fn groups_are_sorted_by_name() {
    let app = app().await;
    for name in ["b", "A", "c"] {
        app.group(name, &[]).await;
    }
    let answer = app.get("/Groups?sortBy=displayName&excludedAttributes=members").await.expect(200);
    let names: Vec<_> = answer.list("Resources").iter().map(|group| group["displayName"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, ["A", "b", "c"]);
}
