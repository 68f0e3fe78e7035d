//! Nothing is swallowed silently: what a request held that was coerced, set aside or ignored is in its event, refused requests
//! included, and counted in `/metrics`. And the two conformances, as an administrator sets and sees them.

use axum::http::Request;
use frontdesk::directory::Conformance;
use serde_json::{Value, json};

use crate::app::{TestApp, answer, app, strict_app};

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

async fn metrics(app: &TestApp) -> String {
    let asked = Request::get("/metrics").body(axum::body::Body::empty()).unwrap();
    let answer = answer(&app.service, asked).await.expect(200);
    assert!(answer.header("content-type").starts_with("text/plain; version=0.0.4"));
    answer.text
}

/// The count of a quirk on the application's connection.
async fn count(app: &TestApp, quirk: &str) -> u64 {
    let slug = &app.tenant.slug;
    let series = format!("frontdesk_quirks_total{{tenant=\"{slug}\",connection=\"jumpcloud\",provider=\"jumpcloud\",quirk=\"{quirk}\"}} ");
    let text = metrics(app).await;
    text.lines().find_map(|line| line.strip_prefix(&series)).map_or(0, |count| count.parse().unwrap())
}

#[tokio::test]
async fn an_admin_sees_that_jumpcloud_sent_cost_center_at_top_level() {
    let app = app().await;
    for n in 0..3 {
        let body =
            json!({ "userName": format!("user-{n}"), "costcenter": "CC-12", "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"] });
        let id = app.post("/Users", body).await.expect(201).id();
        let (kind, outcome, change) = app.events(&id).await.pop().unwrap();
        assert_eq!((kind.as_str(), outcome.as_str()), ("user_create_provision", "success"));
        assert_eq!(change["notes"]["jumpcloud_sends_unknown_attributes"], json!(["costcenter"]));
    }
    assert_eq!(count(&app, "jumpcloud_sends_unknown_attributes").await, 3);
}

#[tokio::test]
async fn notes_of_patches_are_named_and_counted_whether_they_are_made_while_reading_or_applying() {
    let app = app().await;
    let id = app.user("noted").await;
    let operations = json!([
        { "op": "Replace", "path": "active", "value": "False" },
        { "op": "Replace", "path": "phoneNumbers[type eq \"work\"].value", "value": "1" },
        { "op": "Add", "path": "favouriteColour", "value": "red" }
    ]);
    app.patch(&format!("/Users/{id}"), json!({ "Operations": operations })).await.expect(200);
    let (_, _, change) = app.events(&id).await.pop().unwrap();
    let expected = [
        ("entra_sends_booleans_as_strings", "active"),
        // The place without its filter: a filter may hold a person's address.
        ("entra_replaces_what_is_not_there", "phoneNumbers[…].value"),
        ("entra_patches_unknown_attributes", "favouriteColour"),
    ];
    for (quirk, at) in expected {
        assert_eq!(change["notes"][quirk], json!([at]), "{change}");
        assert_eq!(count(&app, quirk).await, 1, "{quirk}");
    }
}

#[tokio::test]
async fn lookups_are_counted_too() {
    let app = app().await;
    app.get("/Users?filter=emails[type eq \"work\"].value eq \"x@example.com\"").await.expect(200);
    app.get("/Users?filter=userName eq x@example.com").await.expect(200);
    assert_eq!(count(&app, "entra_compares_behind_a_value_path").await, 1);
    assert_eq!(count(&app, "microsoft_leaves_out_quotes_in_filters").await, 1);
}

/// The events of refused requests of a tenant. They are written by a task of their own, which closing the directory awaits.
async fn refusals(app: &TestApp) -> Vec<Value> {
    app.directory.close().await;
    sqlx::query_scalar("select change from events where tenant_id = $1 and outcome = 'failure' order by id")
        .bind(app.tenant.id)
        .fetch_all(&mut crate::support::observer().await)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_refused_request_says_what_was_coerced_before_it_was_refused() {
    let app = app().await;
    app.user("taken").await;
    let duplicate = json!({ "userName": "TAKEN", "active": "True", "costcenter": "CC-12", "schemas": ["urn:scim:schemas:core:2.0"] });
    app.post("/Users", duplicate).await.refused(409, "uniqueness");
    let wrong = json!({ "userName": "x", "costcenter": "CC-12", "title": 7 });
    app.post("/Users", wrong).await.refused(400, "invalidValue");
    assert_eq!(count(&app, "entra_sends_booleans_as_strings").await, 1);
    let refused = refusals(&app).await;
    assert_eq!((refused[0]["status"].as_u64(), refused[1]["status"].as_u64()), (Some(409), Some(400)));
    let notes = &refused[0]["notes"];
    assert_eq!(notes["entra_sends_booleans_as_strings"], json!(["active"]));
    assert_eq!(notes["jumpcloud_sends_unknown_attributes"], json!(["costcenter"]));
    assert_eq!(notes["onelogin_lists_unknown_schemas"], json!(["urn:scim:schemas:core:2.0"]));
    assert_eq!(refused[1]["notes"]["onelogin_lists_unknown_schemas"], json!(["schemas"]));
    assert!(metrics(&app).await.contains("frontdesk_refusals_total{outcome=\"recorded\"} 2\n"));
}

#[tokio::test]
async fn metrics_name_routes_and_never_people_or_tokens() {
    let app = app().await;
    let id = app.user("jon.snow").await;
    app.get(&format!("/Users/{id}")).await.expect(200);
    app.get("/Users?filter=userName eq \"jon.snow\"").await.expect(200);
    app.get("/Users/no-such-id").await.refused(404, "");
    let text = metrics(&app).await;
    assert!(text.contains("frontdesk_requests_total{route=\"/scim/v2/Users/{id}\",method=\"GET\",status=\"200\"} 1\n"), "{text}");
    assert!(text.contains("frontdesk_requests_total{route=\"/scim/v2/Users/{id}\",method=\"GET\",status=\"404\"} 1\n"), "{text}");
    assert!(text.contains("frontdesk_request_duration_seconds_count{route=\"/scim/v2/Users\"} 2\n"), "{text}");
    assert!(text.contains("frontdesk_database_connections{state=\"in_use\"} "), "{text}");
    for secret in ["jon.snow", id.as_str(), "no-such-id", app.token.as_str()] {
        assert!(!text.contains(secret), "{secret} in\n{text}");
    }
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        assert!(series.starts_with("frontdesk_") && value.parse::<f64>().is_ok(), "{line}");
    }
}

/// What the table at the end of the requirements says of each topic: the body, what a lenient and what a strict connection does.
fn table() -> Vec<(&'static str, Value, Option<&'static str>)> {
    vec![
        ("without a path", json!([{ "op": "replace", "value": { "title": "x" } }]), None),
        (
            "a value filter that matches nothing",
            json!([{ "op": "replace", "path": "emails[type eq \"other\"].value", "value": "x" }]),
            Some("noTarget"),
        ),
        ("an unknown attribute", json!([{ "op": "replace", "value": { "favouriteColour": "x" } }]), Some("invalidSyntax")),
        ("an extension's attribute without its URN", json!([{ "op": "replace", "value": { "costcenter": "x" } }]), Some("invalidSyntax")),
        ("a boolean as a string", json!([{ "op": "replace", "path": "active", "value": "False" }]), Some("invalidValue")),
        ("a bare manager", json!([{ "op": "replace", "path": format!("{ENTERPRISE}:manager"), "value": "m" }]), Some("invalidValue")),
        ("no operations", json!([]), Some("invalidValue")),
    ]
}

#[tokio::test]
async fn a_strict_connection_follows_the_rfc_where_a_lenient_one_follows_the_clients() {
    let (lenient, strict) = (app().await, strict_app().await);
    let (kind, strictly) = (lenient.user("u").await, strict.user("u").await);
    for (topic, operations, refusal) in table() {
        let body = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations });
        lenient.patch(&format!("/Users/{kind}"), body.clone()).await.expect(200);
        let answer = strict.patch(&format!("/Users/{strictly}"), body).await;
        match refusal {
            None => drop(answer.expect(200)),
            Some(scim_type) => drop({
                assert_eq!(answer.status.as_u16(), 400, "{topic}");
                answer.refused(400, scim_type)
            }),
        }
    }
    assert_eq!(count(&strict, "entra_sends_booleans_as_strings").await, 0);
}

#[tokio::test]
async fn an_empty_string_is_a_value_for_a_strict_connection_and_clears_on_a_lenient_one() {
    for (app, title) in [(app().await, None), (strict_app().await, Some(""))] {
        let id = app.user("u").await;
        let body = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [{ "op": "replace", "path": "title", "value": "" }] });
        app.patch(&format!("/Users/{id}"), body).await.expect(200);
        assert_eq!(app.get(&format!("/Users/{id}")).await.body.get("title").and_then(Value::as_str), title);
    }
}

#[tokio::test]
async fn the_conformance_of_a_connection_is_shown_and_can_be_changed() {
    let app = app().await;
    let shown = async || app.directory.connections(app.tenant.id).await.unwrap()[0].conformance;
    assert_eq!(shown().await, Conformance::Lenient);
    let changed = app.directory.set_conformance(app.tenant.id, "jumpcloud", Conformance::Strict).await.unwrap().unwrap();
    assert_eq!((changed.conformance, shown().await), (Conformance::Strict, Conformance::Strict));
    assert!(app.directory.set_conformance(app.tenant.id, "nobody", Conformance::Strict).await.unwrap().is_none());
}
