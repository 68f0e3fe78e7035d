//! Exports of employees (issue 7): what a line says is what the single read says, and parts neither lose nor repeat anybody.

use axum::body::Body;
use frontdesk::directory::{EmployeeSearch, Format};
use frontdesk::http::API_BASE;
use futures_util::TryStreamExt as _;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::app::{TestApp, app};
use crate::support;

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

async fn employee(app: &TestApp, name: &str, external_id: Option<&str>, manager: Option<&str>, active: bool) -> String {
    let mut body = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE], "userName": name, "active": active,
        "name": { "givenName": name, "familyName": "O'Neil, \"the\" 3rd" },
    });
    if let Some(external_id) = external_id {
        body["externalId"] = external_id.into();
    }
    if let Some(manager) = manager {
        body[ENTERPRISE] = json!({ "manager": { "value": manager } });
    }
    app.post("/Users", body).await.expect(201).id()
}

/// Users `user-1` to `user-{count}`, written at once.
async fn users(app: &TestApp, count: i32) {
    sqlx::query(
        "insert into users (tenant_id, id, document, folded, user_name, user_name_key, display_name, active, created_at, updated_at)
         select $1, gen_random_uuid(), '{}', '{}', 'user-' || n, 'user-' || n, 'x', true, now(), now() from generate_series(1, $2) n",
    )
    .bind(app.tenant.id)
    .bind(count)
    .execute(&mut support::observer().await)
    .await
    .unwrap();
}

async fn lines(app: &TestApp, path: &str) -> Vec<Value> {
    let answer = app.under(API_BASE).get(path).await.expect(200);
    answer.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Managers by id, by external id, by user name; of several with one external id; nobody; none. All of them in one part.
#[tokio::test]
async fn a_line_of_a_stream_is_what_the_single_read_says() {
    let (app, others) = (app().await, app().await);
    let elsewhere = employee(&others, "elsewhere", Some("E-9"), None, true).await;
    let boss = employee(&app, "Boss@Example.com", Some("E-1"), None, true).await;
    employee(&app, "left", Some("E-2"), None, false).await;
    let second = employee(&app, "second", Some("E-2"), None, true).await;
    employee(&app, "third", Some("E-2"), None, true).await;
    let expected = [
        (boss.as_str(), boss.as_str(), true),
        ("E-1", &boss, true),
        ("boss@example.COM", &boss, true),
        ("BOSS@example.com", &boss, true),
        ("E-2", &second, true),
        ("e-1", "e-1", false),
        ("E-9", "E-9", false),
        (&elsewhere, &elsewhere, false),
    ];
    // Each reference twice: the second employee gets the manager of the first.
    for (n, (reference, ..)) in expected.iter().chain(&expected).enumerate() {
        employee(&app, &format!("report-{n}"), None, Some(reference), true).await;
    }
    let streamed = lines(&app, "/employees.ndjson").await;
    assert_eq!(streamed.len(), 4 + 2 * expected.len());
    for line in &streamed {
        let read = app.under(API_BASE).get(&format!("/employees/{}", line["id"].as_str().unwrap())).await.expect(200);
        assert_eq!(line, &read.body);
    }
    for (line, (reference, manager, resolved)) in streamed[4..].iter().zip(expected.iter().chain(&expected)) {
        assert_eq!((&line["manager_id"], &line["manager_resolved"]), (&json!(manager), &json!(resolved)), "{reference}");
    }
    let csv = app.under(API_BASE).get("/employees.csv").await.expect(200).text;
    for (line, employee) in csv.lines().skip(1).zip(&streamed) {
        assert!(line.contains(employee["id"].as_str().unwrap()) && line.contains(",\"O'Neil, \"\"the\"\" 3rd\","), "{line}");
        assert!(line.contains(&format!(",{},{{}},", employee["manager_id"].as_str().unwrap_or_default())), "{line}");
        assert!(line.ends_with(&format!(",{}", employee["manager_resolved"])), "{line}");
    }
    let reports = lines(&app, &format!("/employees.ndjson?manager_id={boss}")).await;
    assert_eq!(reports.len(), 8, "the four references to the boss, twice");
    assert!(reports.iter().all(|report| report["manager_id"] == boss.as_str()));
}

#[tokio::test]
async fn who_is_there_all_the_time_is_streamed_once_whatever_comes_and_goes() {
    let app = app().await;
    users(&app, 7_000).await;
    let request = app.under(API_BASE).builder("GET", "/employees.ndjson").body(Body::empty()).unwrap();
    let mut body = app.service.clone().answer(request).await.into_body();
    let mut text = body.frame().await.unwrap().unwrap().into_data().unwrap().to_vec();
    // At the edges of the parts to come, and in their middle, whatever their size.
    let gone = |n: usize| n.is_multiple_of(500) || n % 500 == 1;
    sqlx::query("delete from users where tenant_id = $1 and substr(user_name, 6)::int % 500 in (0, 1)")
        .bind(app.tenant.id)
        .execute(&mut support::observer().await)
        .await
        .unwrap();
    app.user("late").await;
    while let Some(frame) = body.frame().await {
        text.extend_from_slice(&frame.unwrap().into_data().unwrap());
    }
    let names: Vec<String> = String::from_utf8(text)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["user_name"].as_str().unwrap().to_owned())
        .collect();
    let numbers: Vec<usize> = names.iter().filter_map(|name| name.strip_prefix("user-")?.parse().ok()).collect();
    assert!(numbers.is_sorted_by(|one, other| one < other), "in order, and nobody twice");
    let stayed: Vec<usize> = numbers.into_iter().filter(|n| !gone(*n)).collect();
    assert_eq!(stayed, (1..=7_000).filter(|n| !gone(*n)).collect::<Vec<_>>());
    assert_eq!(names.last().map(String::as_str), Some("late"), "who came before the end was reached");
}

#[tokio::test]
async fn an_array_is_json_whether_it_has_no_part_one_or_several() {
    let app = app().await;
    let directory = support::directory().await;
    let mut there = 0;
    for more in [0, 1, 1_999, 2_001] {
        sqlx::query("delete from users where tenant_id = $1").bind(app.tenant.id).execute(&mut support::observer().await).await.unwrap();
        there += more;
        users(&app, there).await;
        let parts: Vec<Vec<u8>> =
            directory.export_employees(app.tenant.id, EmployeeSearch::default(), Format::Json).try_collect().await.unwrap();
        let array: Vec<Value> = serde_json::from_slice(&parts.concat()).unwrap();
        assert_eq!(array.len(), usize::try_from(there).unwrap());
    }
}
