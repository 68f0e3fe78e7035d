//! Managers (issue 5, item 7): whom a reference means, in the view and in the API, and who reports to whom.

use frontdesk::http::API_BASE;
use serde_json::{Value, json};

use crate::app::{TestApp, app};

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// A user with an external id and a manager as the provider sends it.
async fn employee(app: &TestApp, name: &str, external_id: Option<&str>, manager: Value) -> String {
    let mut body = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE], "userName": name, "active": true,
    });
    if let Some(external_id) = external_id {
        body["externalId"] = external_id.into();
    }
    if !manager.is_null() {
        body[ENTERPRISE] = json!({ "manager": manager });
    }
    app.post("/Users", body).await.expect(201).id()
}

/// Manager and whether the reference leads to somebody: the same in the view and in the API.
async fn manager(app: &TestApp, id: &str) -> (String, bool) {
    let row = app.employee(id).await;
    let read = app.under(API_BASE).get(&format!("/employees/{id}")).await.expect(200).body;
    assert_eq!((&row["manager_id"], &row["manager_resolved"]), (&read["manager_id"], &read["manager_resolved"]));
    (row["manager_id"].as_str().unwrap_or_default().to_owned(), row["manager_resolved"] == true)
}

async fn reports(app: &TestApp, id: &str) -> Vec<String> {
    let answer = app.under(API_BASE).get(&format!("/employees/{id}/reports")).await.expect(200);
    let by_filter = app.under(API_BASE).get(&format!("/employees?manager_id={id}")).await.expect(200);
    assert_eq!(answer.body, by_filter.body);
    answer.list("employees").iter().map(|employee| employee["user_name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_manager_is_found_by_id_by_external_id_and_by_user_name_in_every_form() {
    let app = app().await;
    let boss = employee(&app, "Boss@Example.com", Some("E-1"), Value::Null).await;
    for (n, reference) in [boss.as_str(), "E-1", "boss@example.COM"].into_iter().enumerate() {
        for (m, form) in [json!(reference), json!({ "value": reference }), json!([{ "value": reference }])].into_iter().enumerate() {
            let id = employee(&app, &format!("report-{n}-{m}"), None, form).await;
            assert_eq!(manager(&app, &id).await, (boss.clone(), true), "{reference}, form {m}");
        }
    }
    assert_eq!(reports(&app, &boss).await.len(), 9);
}

#[tokio::test]
async fn a_reference_that_leads_to_nobody_stays_and_resolves_when_that_person_arrives() {
    let app = app().await;
    let report = employee(&app, "report", None, json!({ "value": "E-7" })).await;
    assert_eq!(manager(&app, &report).await, ("E-7".into(), false));
    let waiting = app.under(API_BASE).get("/employees?manager_id=E-7&manager_resolved=false").await.expect(200);
    assert_eq!(waiting.body["total"], 1);
    let boss = employee(&app, "boss", Some("E-7"), Value::Null).await;
    assert_eq!(manager(&app, &report).await, (boss.clone(), true));
    assert_eq!(reports(&app, &boss).await, ["report"]);
    app.delete(&format!("/Users/{boss}")).await.expect(204);
    assert_eq!(manager(&app, &report).await, ("E-7".into(), false));
}

#[tokio::test]
async fn the_id_comes_before_the_external_id_and_that_before_the_user_name() {
    let app = app().await;
    let by_name = employee(&app, "E-1", None, Value::Null).await;
    let report = employee(&app, "report", None, json!({ "value": "E-1" })).await;
    assert_eq!(manager(&app, &report).await, (by_name.clone(), true));
    let by_external_id = employee(&app, "other", Some("E-1"), Value::Null).await;
    assert_eq!(manager(&app, &report).await, (by_external_id.clone(), true));
    assert!(reports(&app, &by_name).await.is_empty());
    // A third person has the second one's id as external id; the id itself is stronger.
    employee(&app, "third", Some(&by_external_id), Value::Null).await;
    let direct = employee(&app, "direct", None, json!({ "value": by_external_id })).await;
    assert_eq!(manager(&app, &direct).await, (by_external_id.clone(), true));
    assert_eq!(reports(&app, &by_external_id).await, ["report", "direct"]);
}

#[tokio::test]
async fn of_several_with_one_external_id_the_oldest_active_one_is_meant() {
    let app = app().await;
    let first = employee(&app, "first", Some("E-1"), Value::Null).await;
    let second = employee(&app, "second", Some("E-1"), Value::Null).await;
    let report = employee(&app, "report", None, json!({ "value": "E-1" })).await;
    assert_eq!(manager(&app, &report).await, (first.clone(), true));
    app.patch(&format!("/Users/{first}"), json!({ "Operations": [{ "op": "replace", "path": "active", "value": false }] }))
        .await
        .expect(200);
    assert_eq!(manager(&app, &report).await, (second.clone(), true));
    assert!(reports(&app, &first).await.is_empty());
    assert_eq!(reports(&app, &second).await, ["report"]);
}

#[tokio::test]
async fn an_external_id_is_compared_exactly() {
    let app = app().await;
    employee(&app, "boss", Some("e-1"), Value::Null).await;
    let report = employee(&app, "report", None, json!({ "value": "E-1" })).await;
    assert_eq!(manager(&app, &report).await, ("E-1".into(), false));
}

#[tokio::test]
async fn nobody_reports_to_a_manager_of_another_tenant() {
    let (ours, theirs) = (app().await, app().await);
    let boss = employee(&theirs, "boss", Some("E-1"), Value::Null).await;
    for reference in [boss.as_str(), "E-1", "boss"] {
        let report = employee(&ours, &format!("report of {reference}"), None, json!({ "value": reference })).await;
        assert_eq!(manager(&ours, &report).await, (reference.into(), false));
    }
    assert!(reports(&theirs, &boss).await.is_empty());
    ours.under(API_BASE).get(&format!("/employees/{boss}/reports")).await.refused(404, "");
}

#[tokio::test]
async fn a_changed_reference_leads_elsewhere() {
    let app = app().await;
    let (old, new) = (employee(&app, "old", None, Value::Null).await, employee(&app, "new", None, Value::Null).await);
    let report = employee(&app, "report", None, json!({ "value": "old" })).await;
    assert_eq!(manager(&app, &report).await, (old, true));
    let change = json!({ "Operations": [{ "op": "replace", "path": format!("{ENTERPRISE}:manager.value"), "value": "NEW" }] });
    app.patch(&format!("/Users/{report}"), change).await.expect(200);
    assert_eq!(manager(&app, &report).await, (new, true));
    app.patch(&format!("/Users/{report}"), json!({ "Operations": [{ "op": "remove", "path": format!("{ENTERPRISE}:manager") }] }))
        .await
        .expect(200);
    assert_eq!(manager(&app, &report).await, (String::new(), false));
}
