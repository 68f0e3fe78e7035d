//! The workplace API (issue 5, item 5): filters, orders, pages, lookups, streams, head counts, history.

use axum::http::Request;
use frontdesk::directory::{COLUMNS, ColumnKind};
use frontdesk::http::API_BASE;
use serde_json::{Value, json};

use crate::app::{Answer, TestApp, app};

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// Five people of three departments.
async fn staffed() -> TestApp {
    let app = app().await;
    for (name, family, department, city, active) in [
        ("arya", Some("Stark"), Some("Sales"), Some("Winterfell"), true),
        ("Bran", Some("Stark"), Some("Sales"), None, false),
        ("cersei", Some("lannister"), Some("Finance"), Some("King's Landing"), true),
        ("davos", None, None, Some("Dragonstone"), true),
        ("Ünal", Some("Özil"), Some("Engineering, \"core\""), Some("Winterfell"), true),
    ] {
        let mut body = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE], "userName": name, "active": active,
            "externalId": format!("E-{name}"), "emails": [{ "value": format!("{name}@Example.com"), "type": "work" }],
        });
        if let Some(family) = family {
            body["name"] = json!({ "givenName": name, "familyName": family });
        }
        if let Some(city) = city {
            body["addresses"] = json!([{ "type": "work", "locality": city }]);
        }
        if let Some(department) = department {
            body[ENTERPRISE] = json!({ "department": department });
        }
        app.post("/Users", body).await.expect(201);
    }
    app
}

async fn api(app: &TestApp, path: &str) -> Answer {
    app.under(API_BASE).get(path).await
}

/// The user names that a query finds.
async fn found(app: &TestApp, query: &str) -> Vec<String> {
    let answer = api(app, &format!("/employees?{query}")).await.expect(200);
    let names: Vec<String> = answer.list("employees").iter().map(|one| one["user_name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(answer.body["total"], names.len(), "{query}");
    names
}

#[tokio::test]
async fn the_columns_described_are_those_of_the_view_and_of_the_json() {
    let app = staffed().await;
    let answer = api(&app, "/employees").await.expect(200);
    let names: Vec<&str> = COLUMNS.iter().map(|column| column.name).collect();
    for employee in answer.list("employees") {
        assert_eq!(employee.as_object().unwrap().keys().collect::<Vec<_>>(), names);
        let id = employee["id"].as_str().unwrap();
        let row = app.employee(id).await;
        assert_eq!(row.as_object().unwrap().len(), names.len());
        for column in COLUMNS.iter().filter(|column| column.kind != ColumnKind::Time) {
            assert_eq!(employee[column.name], row[column.name], "{}", column.name);
            assert!(!column.required || !row[column.name].is_null(), "{}", column.name);
        }
    }
}

#[tokio::test]
async fn employees_are_found_by_every_field() {
    let app = staffed().await;
    let everybody = api(&app, "/employees").await.expect(200).list("employees");
    for column in COLUMNS.iter().filter(|column| column.kind != ColumnKind::Constant && column.kind != ColumnKind::Custom) {
        for employee in &everybody {
            let value = match &employee[column.name] {
                Value::Array(names) => match names.first() {
                    Some(name) => name.as_str().unwrap().to_owned(),
                    None => continue,
                },
                Value::Null => String::new(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let value = value.replace('%', "%25").replace('&', "%26").replace('+', "%2B");
            let names = found(&app, &format!("{}={value}", column.name)).await;
            assert!(names.iter().any(|name| employee["user_name"] == **name), "{}={value}", column.name);
            assert!(
                names.len() < 5
                    || ["active", "complete", "manager_id", "manager_resolved"].contains(&column.name)
                    || value.is_empty()
                    || everybody.iter().all(|other| other[column.name] == employee[column.name])
            );
        }
    }
}

#[tokio::test]
async fn filters_are_narrowed_by_each_other() {
    let app = staffed().await;
    assert_eq!(found(&app, "department_name=Sales").await, ["arya", "Bran"]);
    assert_eq!(found(&app, "department_name=Sales&active=true").await, ["arya"]);
    assert_eq!(found(&app, "department_name=sales").await, Vec::<String>::new(), "text is compared exactly");
    assert_eq!(found(&app, "department_name=").await, ["davos"], "an empty value asks for those without one");
    assert_eq!(found(&app, "location=Winterfell&last_name=Özil").await, ["Ünal"]);
    assert_eq!(found(&app, "missing=department_name").await, ["davos"]);
}

#[tokio::test]
async fn names_and_addresses_are_found_in_any_letter_case() {
    let app = staffed().await;
    assert_eq!(found(&app, "user_name=BRAN").await, ["Bran"]);
    assert_eq!(found(&app, "email=ARYA@example.COM").await, ["arya"]);
    assert_eq!(found(&app, "user_name=U\u{308}NAL").await, ["Ünal"], "as userName is unique: composed and decomposed are one");
    assert_eq!(found(&app, "external_id=E-arya").await, ["arya"]);
    assert!(found(&app, "external_id=e-arya").await.is_empty(), "external ids are exact");
}

#[tokio::test]
async fn employees_are_found_by_when_they_changed() {
    let app = staffed().await;
    let all = api(&app, "/employees").await.expect(200).list("employees");
    let arya = all[0]["id"].as_str().unwrap();
    let change = json!({ "Operations": [{ "op": "add", "path": "title", "value": "Nobody" }] });
    app.patch(&format!("/Users/{arya}"), change).await.expect(200);
    let changed = api(&app, &format!("/employees/{arya}")).await.expect(200).body["updated_at"].as_str().unwrap().to_owned();
    assert_eq!(found(&app, &format!("updated_since={changed}")).await, ["arya"]);
    assert_eq!(found(&app, &format!("created_since={changed}")).await, Vec::<String>::new());
    assert_eq!(found(&app, "updated_since=2000-01-01T00:00:00Z").await.len(), 5);
}

#[tokio::test]
async fn custom_fields_are_filters_too() {
    let app = staffed().await;
    let arya = api(&app, "/employees?user_name=arya").await.list("employees")[0]["id"].as_str().unwrap().to_owned();
    sqlx::query("update users set custom = '{\"badge\": \"7\"}' where tenant_id = $1 and id = $2::uuid")
        .bind(app.tenant.id)
        .bind(&arya)
        .execute(&mut crate::support::observer().await)
        .await
        .unwrap();
    assert_eq!(found(&app, "custom.badge=7").await, ["arya"]);
    assert_eq!(found(&app, "custom.badge=").await.len(), 4);
    assert_eq!(found(&app, "custom.badge=7' or true").await, Vec::<String>::new());
}

/// Walks a query in pages and gives the user names.
async fn walk(app: &TestApp, query: &str, count: usize) -> Vec<String> {
    let (mut names, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = api(app, &format!("/employees?count={count}&{query}&cursor={cursor}")).await.expect(200);
        assert!(page.list("employees").len() <= count);
        names.extend(page.list("employees").iter().map(|one| one["user_name"].as_str().unwrap().to_owned()));
        match page.body["next"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => return names,
        }
    }
}

#[tokio::test]
async fn every_order_is_walked_completely_and_the_same_in_pages_of_any_size() {
    let app = staffed().await;
    for column in COLUMNS.iter().filter(|column| column.sorts()) {
        for sign in ["", "-"] {
            let query = format!("sort={sign}{}", column.name);
            let whole = walk(&app, &query, 100).await;
            assert_eq!(whole.len(), 5, "{query}");
            for count in [1, 2, 3] {
                assert_eq!(walk(&app, &query, count).await, whole, "{query} in pages of {count}");
            }
        }
    }
    assert_eq!(walk(&app, "", 2).await, ["arya", "Bran", "cersei", "davos", "Ünal"]);
}

#[tokio::test]
async fn orders_are_those_of_code_points_with_nobody_s_value_last() {
    let app = staffed().await;
    assert_eq!(walk(&app, "sort=last_name", 2).await, ["arya", "Bran", "cersei", "Ünal", "davos"]);
    assert_eq!(walk(&app, "sort=-last_name", 2).await, ["Ünal", "cersei", "Bran", "arya", "davos"]);
    assert_eq!(walk(&app, "sort=-created_at", 2).await, ["Ünal", "davos", "cersei", "Bran", "arya"]);
    assert_eq!(walk(&app, "sort=user_name&active=true", 1).await, ["arya", "cersei", "davos", "Ünal"]);
}

#[tokio::test]
async fn what_a_query_does_not_mean_is_refused_with_its_name() {
    let app = app().await;
    for (query, named) in [
        ("departement=Sales", "departement"),
        ("tenant_id=x", "tenant_id"),
        ("custom=x", "custom"),
        ("title.x=y", "title.x"),
        ("active=yes", "active is \"yes\"; true or false is expected"),
        ("updated_since=yesterday", "updated_since is \"yesterday\""),
        ("created_at=1", "created_at"),
        ("count=-1", "count"),
        ("count=many", "count"),
        ("sort=missing", "sort is \"missing\""),
        ("sort=title;drop table users", "sort"),
        ("title=a&title=b", "title"),
        ("title=%00", "control character"),
        ("missing=", "missing"),
        ("cursor=x", "cursor"),
        ("cursor=1~name~61", "cursor"),
        ("sort=name&cursor=1~title~61", "order"),
    ] {
        let answer = api(&app, &format!("/employees?{query}")).await.expect(400);
        assert!(answer.detail().contains(named), "{query}: {}", answer.detail());
    }
    for path in ["/employees.csv?sort=title", "/employees.ndjson?count=1", "/departments?sort=name", "/changes?title=x"] {
        api(&app, path).await.refused(400, "invalidValue");
    }
}

#[tokio::test]
async fn one_employee_is_read_by_id_and_only_in_its_tenant() {
    let (app, other) = (staffed().await, self::app().await);
    let listed = api(&app, "/employees").await.list("employees")[1].clone();
    let id = listed["id"].as_str().unwrap();
    assert_eq!(api(&app, &format!("/employees/{id}")).await.expect(200).body, listed);
    for path in [format!("/employees/{id}"), format!("/employees/{id}/history"), format!("/employees/{id}/reports")] {
        api(&other, &path).await.refused(404, "");
    }
    api(&app, "/employees/nobody").await.refused(404, "");
    assert!(found(&other, "").await.is_empty());
}

#[tokio::test]
async fn the_history_of_an_employee_tells_who_changed_what_and_outlives_them() {
    let app = app().await;
    let user = app.user("jsnow").await;
    let path = format!("/Users/{user}");
    app.patch(&path, json!({ "Operations": [{ "op": "add", "path": "title", "value": "King" }] })).await.expect(200);
    app.patch(&path, json!({ "Operations": [{ "op": "replace", "path": "active", "value": false }] })).await.expect(200);
    app.delete(&path).await.expect(204);
    let history = api(&app, &format!("/employees/{user}/history")).await.expect(200);
    let kinds: Vec<_> = history.list("history").iter().map(|entry| entry["kind"].as_str().unwrap().to_owned()).collect();
    assert_eq!(kinds, ["deleted", "deactivated", "updated", "created"]);
    assert_eq!(history.list("history")[2]["fields"], json!(["title"]));
    assert!(history.list("history").iter().all(|entry| entry["connection"] == "jumpcloud" && entry["request_id"].is_string()));
    let first = api(&app, &format!("/employees/{user}/history?count=3")).await.expect(200);
    let rest = api(&app, &format!("/employees/{user}/history?count=3&cursor={}", first.body["next"].as_str().unwrap())).await.expect(200);
    assert_eq!([first.list("history"), rest.list("history")].concat(), history.list("history"));
    assert!(rest.body["next"].is_null());
}

#[tokio::test]
async fn names_are_listed_with_their_heads() {
    let app = staffed().await;
    let departments = json!([
        { "name": "Engineering, \"core\"", "active": 1, "total": 1 },
        { "name": "Finance", "active": 1, "total": 1 },
        { "name": "Sales", "active": 1, "total": 2 },
    ]);
    assert_eq!(api(&app, "/departments").await.expect(200).body, json!({ "departments": departments, "total": 3, "next": null }));
    let first = api(&app, "/departments?count=2").await.expect(200);
    assert_eq!((&first.body["total"], &first.body["next"]), (&json!(3), &json!("Finance")));
    let rest = api(&app, "/departments?count=2&cursor=Finance").await.expect(200);
    assert_eq!(json!([first.list("departments"), rest.list("departments")].concat()), departments);
    let locations = api(&app, "/locations").await.expect(200);
    assert_eq!(locations.body["locations"][2], json!({ "name": "Winterfell", "active": 2, "total": 2 }));
    assert_eq!(api(&app, "/teams").await.expect(200).body["teams"], json!([]));
    assert_eq!(api(&app, "/cost-centers").await.expect(200).body["cost_centers"], json!([]));
}

#[tokio::test]
async fn streams_hold_everybody_once_in_order_across_their_parts() {
    let app = app().await;
    // More than two parts, written at once: what is streamed is the view.
    sqlx::query(
        "insert into users (tenant_id, id, document, folded, user_name, user_name_key, display_name, active, created_at, updated_at, title)
         select $1, gen_random_uuid(), '{}', '{}', 'user-' || n, 'user-' || n, 'x', n % 2 = 0, now(), now(), '=\"a\", b'
         from generate_series(1, 4500) n",
    )
    .bind(app.tenant.id)
    .execute(&mut crate::support::observer().await)
    .await
    .unwrap();
    let ndjson = api(&app, "/employees.ndjson").await.expect(200);
    assert_eq!(ndjson.header("content-type"), "application/x-ndjson");
    let names: Vec<String> =
        ndjson.text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["user_name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, (1..=4500).map(|n| format!("user-{n}")).collect::<Vec<_>>());
    let csv = api(&app, "/employees.csv?active=true").await.expect(200);
    assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8");
    assert_eq!(csv.text.lines().count(), 1 + 2250);
    assert!(csv.text.lines().nth(1).unwrap().contains(",\"'=\"\"a\"\", b\","), "quoted, and no formula");
}

#[tokio::test]
async fn an_empty_stream_is_a_header_or_nothing() {
    let app = app().await;
    let csv = api(&app, "/employees.csv").await.expect(200);
    let names: Vec<&str> = COLUMNS.iter().map(|column| column.name).collect();
    assert_eq!(csv.text, format!("{}\r\n", names.join(",")));
    assert_eq!(api(&app, "/employees.ndjson").await.expect(200).text, "");
}

#[tokio::test]
async fn a_client_that_takes_its_time_holds_no_database_connection() {
    let app = app().await;
    sqlx::query(
        "insert into users (tenant_id, id, document, folded, user_name, user_name_key, display_name, active, created_at, updated_at)
         select $1, gen_random_uuid(), '{}', '{}', 'user-' || n, 'user-' || n, 'x', true, now(), now() from generate_series(1, 4500) n",
    )
    .bind(app.tenant.id)
    .execute(&mut crate::support::observer().await)
    .await
    .unwrap();
    // More streams than the pool has connections, each begun and not read on.
    let mut begun = Vec::new();
    for _ in 0..8 {
        let request: Request<axum::body::Body> = app.under(API_BASE).builder("GET", "/employees.csv").body("".into()).unwrap();
        let response = app.service.clone().answer(request).await;
        let mut body = response.into_body();
        for part in ["the header", "employees"] {
            let frame = http_body_util::BodyExt::frame(&mut body).await.unwrap().unwrap();
            assert!(frame.is_data(), "{part}");
        }
        begun.push(body);
    }
    app.user("jsnow").await;
    drop(begun);
}
