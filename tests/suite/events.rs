//! The record of what happened: one event a change, in its transaction, under the Directory Insights names; refused requests
//! too; and no person in it, so that erasing one does not mean editing the record.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::{Answer, TestApp, app};
use crate::support::observer;

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

#[derive(Debug, Clone, sqlx::FromRow)]
struct Event {
    kind: String,
    outcome: String,
    resource_type: Option<String>,
    resource_id: Option<Uuid>,
    connection_id: Option<Uuid>,
    token_id: Option<Uuid>,
    change: Value,
}

/// The events of one request.
async fn events_of(app: &TestApp, request_id: &str) -> Vec<Event> {
    sqlx::query_as(
        "select kind, outcome, resource_type, resource_id, connection_id, token_id, change
         from events where tenant_id = $1 and request_id = $2 order by id",
    )
    .bind(app.tenant.id)
    .bind(request_id)
    .fetch_all(&mut observer().await)
    .await
    .unwrap()
}

/// The one event of a request that succeeded; it must be there when the answer is.
async fn event_of(app: &TestApp, answer: &Answer) -> Event {
    let mut events = events_of(app, answer.header("x-request-id")).await;
    assert_eq!(events.len(), 1, "{events:?}");
    let event = events.remove(0);
    let token = app.directory.tokens(app.tenant.id, None).await.unwrap()[0].id;
    assert_eq!((event.connection_id, event.token_id), (Some(app.connection.id), Some(token)));
    assert_eq!(event.outcome, "success");
    event
}

/// The record of a refused request, which is written behind the answer.
async fn refusal_of(app: &TestApp, answer: &Answer) -> Event {
    let since = Instant::now();
    loop {
        let mut events = events_of(app, answer.header("x-request-id")).await;
        if let Some(event) = events.pop() {
            assert!(events.is_empty(), "{events:?}");
            assert_eq!(event.outcome, "failure");
            assert_eq!(event.change["status"], answer.status.as_u16());
            assert_eq!(event.change["detail"], answer.detail());
            assert_eq!(event.change["scimType"], answer.body["scimType"]);
            assert!(event.token_id.is_some() && event.connection_id == Some(app.connection.id));
            return event;
        }
        assert!(since.elapsed() < Duration::from_secs(10), "the refusal is not recorded: {}", answer.text);
        tokio::task::yield_now().await;
    }
}

fn names(value: &Value) -> Vec<&str> {
    let mut names: Vec<&str> =
        value.as_array().unwrap_or_else(|| panic!("{value} is no array")).iter().map(|name| name.as_str().unwrap()).collect();
    names.sort_unstable();
    names
}

/// A person in whom everything is findable.
fn person(user_name: &str) -> Value {
    json!({
        "userName": user_name, "externalId": "EXT-needle", "displayName": "Needle Display", "nickName": "NeedleNick", "title": "Needle Title",
        "name": { "givenName": "NeedleGiven", "familyName": "NeedleFamily" }, "password": "Needle-Password-1",
        "emails": [{ "value": "needle@example.com", "type": "work", "primary": true }],
        "phoneNumbers": [{ "value": "+1-needle", "type": "work" }], "addresses": [{ "locality": "NeedleCity", "type": "work" }],
        ENTERPRISE: { "department": "NeedleDepartment", "manager": { "value": "NeedleManager" } },
        "costcenter": "NeedleCenter", "shoeSize": "NeedleShoe"
    })
}

#[tokio::test]
async fn each_change_of_a_user_writes_one_event_that_names_what_changed() {
    let app = app().await;
    let created = app.post("/Users", person("needle")).await.expect(201);
    let id = created.id();
    let path = format!("/Users/{id}");
    let event = event_of(&app, &created).await;
    assert_eq!((event.kind.as_str(), event.resource_type.as_deref()), ("user_create_provision", Some("User")));
    assert_eq!(event.resource_id, Some(id.parse().unwrap()));
    assert_eq!(
        names(&event.change["employee"]),
        ["cost_center", "department_name", "email", "first_name", "last_name", "location", "manager_id", "name", "phone", "title"]
    );

    let patch = json!({ "Operations": [{ "op": "replace", "path": "title", "value": "NeedleBoss" }, { "op": "replace", "path": format!("{ENTERPRISE}:division"), "value": "NeedleDivision" }] });
    let event = event_of(&app, &app.patch(&path, patch).await.expect(200)).await;
    assert_eq!(event.kind, "user_update_provision");
    assert_eq!(names(&event.change["attributes"]), ["title", &format!("{ENTERPRISE}:division")]);
    // The division is the department now, and the department the team.
    assert_eq!(names(&event.change["employee"]), ["department_name", "team_name", "title"]);

    let off = json!({ "Operations": [{ "op": "replace", "path": "active", "value": false }] });
    let event = event_of(&app, &app.patch(&path, off).await.expect(200)).await;
    assert_eq!((event.kind.as_str(), &event.change["active"]), ("user_deprovision", &json!(false)));
    let event = event_of(&app, &app.put(&path, person("needle")).await.expect(200)).await;
    assert_eq!((event.kind.as_str(), &event.change["active"]), ("user_update_provision", &json!(true)));

    let deleted = app.delete(&path).await.expect(204);
    let event = event_of(&app, &deleted).await;
    assert_eq!((event.kind.as_str(), event.resource_id), ("user_delete_provision", Some(id.parse().unwrap())));
}

#[tokio::test]
async fn each_change_of_a_group_writes_one_event_with_who_came_and_went() {
    let app = app().await;
    let users = [app.user("a").await, app.user("b").await];
    let created = app.post("/Groups", json!({ "displayName": "Sales", "members": [{ "value": users[0] }] })).await.expect(201);
    let event = event_of(&app, &created).await;
    assert_eq!((event.kind.as_str(), event.resource_type.as_deref()), ("group_create_provision", Some("Group")));
    assert_eq!(event.change["members"], json!({ "added": [users[0]], "removed": [] }));
    let path = format!("/Groups/{}", created.id());
    let change = json!({ "Operations": [
        { "op": "add", "path": "members", "value": [{ "value": users[0] }, { "value": users[1] }] },
        { "op": "remove", "path": "members", "value": [{ "value": users[0] }] },
        { "op": "replace", "path": "displayName", "value": "Marketing" },
    ] });
    let event = event_of(&app, &app.patch(&path, change).await.expect(204)).await;
    assert_eq!(event.kind, "group_update_provision");
    assert_eq!(event.change["members"], json!({ "added": [users[1]], "removed": [users[0]] }));
    assert_eq!(names(&event.change["attributes"]), ["displayName"]);
    let put = app.put(&path, json!({ "displayName": "Marketing", "members": [] })).await.expect(200);
    assert_eq!(event_of(&app, &put).await.change["members"], json!({ "added": [], "removed": [users[1]] }));
    assert_eq!(event_of(&app, &app.delete(&path).await.expect(204)).await.kind, "group_delete_provision");
}

#[tokio::test]
async fn what_changes_nothing_and_what_only_reads_writes_no_event() {
    let app = app().await;
    let id = app.user("jsnow").await;
    let group = app.group("Sales", &[&id]).await;
    let same = app.get(&format!("/Users/{id}")).await.body;
    for answer in [
        app.put(&format!("/Users/{id}"), same).await.expect(200),
        app.patch(&format!("/Users/{id}"), json!({ "Operations": [{ "op": "replace", "path": "active", "value": true }] }))
            .await
            .expect(200),
        app.patch(&format!("/Groups/{group}"), json!({ "Operations": [{ "op": "add", "path": "members", "value": [{ "value": id }] }] }))
            .await
            .expect(204),
        app.put(&format!("/Groups/{group}"), json!({ "displayName": "Sales" })).await.expect(200),
        app.get(&format!("/Users/{id}")).await.expect(200),
        app.get("/Users?filter=userName+eq+%22nobody%22").await.expect(200),
        app.get("/Schemas").await.expect(200),
    ] {
        assert!(events_of(&app, answer.header("x-request-id")).await.is_empty(), "{}", answer.text);
    }
}

#[tokio::test]
async fn refused_requests_are_recorded_with_what_the_client_was_told() {
    let app = app().await;
    let id = app.user("jsnow").await;
    let group = app.group("Sales", &[]).await;
    let nobody = Uuid::now_v7();
    let user = format!("/Users/{id}");
    let wrong = json!({ "Operations": [{ "op": "replace", "path": "active", "value": "perhaps" }] });
    for (answer, kind, resource) in [
        (app.post("/Users", json!({ "userName": "JSNOW" })).await.refused(409, "uniqueness"), "user_create_provision", None),
        (app.post("/Users", json!({ "userName": 5 })).await.refused(400, "invalidValue"), "user_create_provision", None),
        (app.send(app.builder("POST", "/Users"), "{").await.refused(400, "invalidSyntax"), "user_create_provision", None),
        (app.put(&user, json!({})).await.refused(400, "invalidValue"), "user_update_provision", Some(id.parse().unwrap())),
        (app.patch(&user, wrong).await.refused(400, "invalidValue"), "user_update_provision", Some(id.parse().unwrap())),
        (app.put(&format!("/Users/{nobody}"), json!({ "userName": "a" })).await.refused(404, ""), "user_update_provision", Some(nobody)),
        (app.delete(&format!("/Users/{nobody}")).await.refused(404, ""), "user_delete_provision", Some(nobody)),
        (app.get("/Users?filter=shoeSize+eq+1").await.refused(400, "invalidFilter"), "user_lookup_provision", None),
        (app.post("/Groups", json!({ "displayName": "sales" })).await.refused(409, "uniqueness"), "group_create_provision", None),
        (
            app.patch(
                &format!("/Groups/{group}"),
                json!({ "Operations": [{ "op": "add", "path": "members", "value": [{ "value": nobody }] }] }),
            )
            .await
            .refused(400, "invalidValue"),
            "group_update_provision",
            Some(group.parse().unwrap()),
        ),
        (app.delete(&format!("/Groups/{nobody}")).await.refused(404, ""), "group_delete_provision", Some(nobody)),
    ] {
        let event = refusal_of(&app, &answer).await;
        assert_eq!((event.kind.as_str(), event.resource_id), (kind, resource), "{}", answer.text);
    }
}

/// The record survives whatever a client puts into what is refused: it is quoted.
#[tokio::test]
async fn a_refusal_with_hostile_text_is_recorded_like_any_other() {
    let app = app().await;
    for text in ["a\u{1}b", "a\0b", "\u{1b}[2J\r\n{\"fake\":1}", "\u{202e}x", "\u{ffff}", &"x".repeat(5_000)] {
        let refused = app.post("/Users", json!({ "userName": { "x": text }, "active": text })).await;
        assert_eq!(refused.status.as_u16(), 400, "{}", refused.text);
        refusal_of(&app, &refused).await;
        let refused = app.post("/Users", json!({ "userName": "a", "active": text })).await;
        assert_eq!(refused.status.as_u16(), 400, "{}", refused.text);
        refusal_of(&app, &refused).await;
        let refused = app.post("/Users/.search", json!({ "filter": format!("{text} eq 1") })).await;
        assert_eq!(refused.status.as_u16(), 400, "{}", refused.text);
        refusal_of(&app, &refused).await;
    }
}

#[tokio::test]
async fn a_request_id_of_the_client_is_kept_when_it_is_harmless() {
    let app = app().await;
    for (given, kept) in [("req-1_2.3", true), ("a b", false), ("x\"y", false), (&*"x".repeat(65), false), ("", false)] {
        let request = app.builder("POST", "/Users").header("x-request-id", given);
        let body = json!({ "userName": crate::support::unique("u") });
        let created = app.send(request, body.to_string()).await.expect(201);
        assert_eq!(created.header("x-request-id") == given, kept, "{given:?}");
        event_of(&app, &created).await;
    }
}

/// Everything that the tables hold of a tenant, as text, by table.
async fn everything(app: &TestApp) -> BTreeMap<String, String> {
    let rows: Vec<(String, String)> = sqlx::query_as(
        "select 'users', coalesce(string_agg(u::text, ' '), '') from users u where tenant_id = $1
         union all select 'groups', coalesce(string_agg(g::text, ' '), '') from groups g where tenant_id = $1
         union all select 'members', coalesce(string_agg(m::text, ' '), '') from members m where tenant_id = $1
         union all select 'employees', coalesce(string_agg(e::text, ' '), '') from employees e where tenant_id = $1
         union all select 'events', coalesce(string_agg(e::text, ' '), '') from events e where tenant_id = $1",
    )
    .bind(app.tenant.id)
    .fetch_all(&mut observer().await)
    .await
    .unwrap();
    rows.into_iter().map(|(table, text)| (table, text.to_lowercase())).collect()
}

/// LOG-007: no event of a success holds personal data, whatever way it came by; so nothing of a person is left in any table when
/// they are deleted.
#[tokio::test]
async fn a_deleted_person_leaves_nothing_behind() {
    let app = app().await;
    let created = app.post("/Users", person("needle")).await.expect(201);
    let path = format!("/Users/{}", created.id());
    let group = app.group("Sales", &[&created.id()]).await;
    for operation in [
        json!({ "op": "replace", "path": "title", "value": "NeedleBoss" }),
        json!({ "op": "replace", "path": "emails[value eq \"needle@example.com\"].type", "value": "home" }),
        json!({ "op": "replace", "path": "emails[value eq \"needle2@example.com\"].type", "value": "other" }),
        json!({ "op": "remove", "path": "emails[value eq \"needle3@example.com\"]" }),
        json!({ "op": "remove", "path": "emails[value eq \"needle2@example.com\"].display" }),
        json!({ "op": "replace", "path": "emails[value eq \"needle@example.com\"].shoeSize", "value": "x" }),
        json!({ "op": "replace", "path": "emails[value eq \"needle@example.com\"].display", "value": "" }),
        json!({ "op": "replace", "path": "emails[value eq \"needle@example.com\"].primary", "value": "True" }),
        json!({ "op": "add", "value": { "emails[value eq \"needle4@example.com\"].type": "pager" } }),
        json!({ "op": "replace", "path": "needleUnknown", "value": "NeedleValue" }),
        json!({ "op": "add", "value": { "emails": "needle5@example.com", "manager": "NeedleOther" } }),
        json!({ "op": "replace", "path": "userName", "value": "needle-two" }),
    ] {
        let patched = app.patch(&path, json!({ "Operations": [operation] })).await;
        assert!(patched.status.as_u16() < 500, "{}", patched.text);
        if patched.status.as_u16() == 200 {
            for event in events_of(&app, patched.header("x-request-id")).await {
                let change = event.change.to_string().to_lowercase();
                // The name of an unknown attribute is reported, its value is not.
                let change = change.replace("needleunknown", "");
                assert!(!change.contains("needle"), "{operation} leaves {}", event.change);
            }
        }
    }
    app.put(&path, json!({ "userName": "needle-three", "displayName": "Needle" })).await.expect(200);
    app.delete(&path).await.expect(204);
    for (table, text) in everything(&app).await {
        let text = text.replace("needleunknown", "");
        assert!(
            !text.contains("needle"),
            "{table} still holds: {}",
            text.split_whitespace().filter(|word| word.contains("needle")).collect::<Vec<_>>().join(" ")
        );
    }
    // The record itself stays, under the id that means nothing any more.
    assert!(app.events(&created.id()).await.len() >= 3);
    assert!(app.members(&group).await.is_empty());
}

/// IDN-005, N109: the name is free again for somebody else.
#[tokio::test]
async fn a_name_that_was_deleted_belongs_to_somebody_new() {
    let app = app().await;
    let first = app.user("jsnow").await;
    let group = app.group("Sales", &[&first]).await;
    app.delete(&format!("/Users/{first}")).await.expect(204);
    for (method, body) in [("GET", None), ("PUT", Some(json!({ "userName": "jsnow" }))), ("DELETE", None)] {
        app.request(method, &format!("/Users/{first}"), body).await.refused(404, "");
    }
    let second = app.user("jsnow").await;
    assert_ne!(first, second);
    assert!(app.members(&group).await.is_empty());
    assert!(app.get(&format!("/Users/{second}")).await.list("groups").is_empty());
}
