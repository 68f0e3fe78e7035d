//! Attributes that a tenant declares: published, answered, filtered, sorted, projected and patched like any other, taken in from
//! wherever providers put them, and kept when the declaration goes.

use frontdesk::directory::{Conformance, Profile};
use serde_json::{Value, json};

use crate::app::{Answer, TestApp, app, app_with, strict_app};
use crate::cases::percent;
use crate::mapping::{ENTERPRISE, cooked};
use crate::support;

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const CUSTOM: &str = "urn:frontdesk:custom:2.0:User";
const OWN: &str = "urn:scim:schemas:extension:SpaceIQ:2.0:User";

/// A badge in the schema of ours, a floor in the client's own.
fn declared() -> String {
    let custom = format!("[custom]\nbadge = \"unmapped:badge\"\nfloor = [\"unmapped:{OWN}:floor\", \"unmapped:floor\"]\n");
    cooked(Profile::SpaceIq, &custom)
}

fn undeclared() -> String {
    cooked(Profile::SpaceIq, "")
}

async fn declaring() -> TestApp {
    let app = app().await;
    app.apply(&declared()).await;
    app
}

impl TestApp {
    /// The names of the users that a filter finds, sorted.
    async fn named_by(&self, filter: &str) -> Vec<String> {
        let mut names = names(&self.get(&format!("/Users?filter={}", percent(filter))).await.expect(200));
        names.sort();
        names
    }

    async fn change(&self, id: &str, operation: Value) -> Answer {
        self.patch(
            &format!("/Users/{id}"),
            json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [operation] }),
        )
        .await
    }

    async fn kept_aside(&self, id: &str) -> Value {
        sqlx::query_scalar("select unmapped from users where tenant_id = $1 and id = $2::uuid")
            .bind(self.tenant.id)
            .bind(id)
            .fetch_one(&mut support::observer().await)
            .await
            .unwrap()
    }
}

fn names(answer: &Answer) -> Vec<String> {
    answer.list("Resources").iter().map(|user| user["userName"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_declared_attribute_is_published_to_its_tenant_alone() {
    let (declaring, plain) = (declaring().await, app().await);
    let badge = declaring.get(&format!("/Schemas/{CUSTOM}")).await.expect(200);
    assert_eq!(
        badge.body["attributes"],
        json!([{ "name": "badge", "type": "string", "multiValued": false, "description": "What this tenant calls badge.", "required": false,
            "caseExact": false, "mutability": "readWrite", "returned": "default", "uniqueness": "none" }])
    );
    assert_eq!(declaring.get(&format!("/Schemas/{OWN}")).await.expect(200).body["attributes"][0]["name"], "floor");
    let ids = |answer: Answer| -> Vec<String> {
        answer.list("Resources").iter().map(|schema| schema["id"].as_str().unwrap().to_owned()).collect()
    };
    let group = "urn:ietf:params:scim:schemas:core:2.0:Group";
    assert_eq!(ids(declaring.get("/Schemas").await.expect(200)), [USER, ENTERPRISE, OWN, CUSTOM, group]);
    assert_eq!(ids(plain.get("/Schemas").await.expect(200)), [USER, ENTERPRISE, group]);
    plain.get(&format!("/Schemas/{CUSTOM}")).await.refused(404, "");
    let extensions = declaring.get("/ResourceTypes/User").await.expect(200).list("schemaExtensions");
    let required = |urn: &str| json!({ "schema": urn, "required": false });
    assert_eq!(extensions, [required(ENTERPRISE), required(OWN), required(CUSTOM)]);
    assert_eq!(declaring.get("/ResourceTypes").await.expect(200).list("Resources")[0]["schemaExtensions"], json!(extensions));
}

#[tokio::test]
async fn a_value_is_answered_under_its_schema_wherever_it_came_from() {
    let app = declaring().await;
    for (name, sent) in [
        ("top", json!({ "Badge": 7, "floor": "3" })),
        ("enterprise", json!({ ENTERPRISE: { "badge": "7", "floor": [3] } })),
        ("own", json!({ CUSTOM: { "BADGE": "7" }, OWN: { "floor": { "value": 3 } } })),
        ("flat", json!({ "badge": "7", format!("{OWN}:floor"): "3" })),
    ] {
        let id = app.person(name, sent).await;
        let user = app.get(&format!("/Users/{id}")).await.expect(200);
        assert_eq!((&user.body[CUSTOM], &user.body[OWN]), (&json!({ "badge": "7" }), &json!({ "floor": "3" })), "{name}");
        assert_eq!(user.body["schemas"], json!([USER, OWN, CUSTOM]), "{name}");
        assert!(user.body.get("badge").is_none() && user.body.get("floor").is_none() && user.body.get(ENTERPRISE).is_none(), "{name}");
        assert_eq!(app.employee(&id).await["custom"], json!({ "badge": "7", "floor": "3" }), "{name}");
        // What was read can be sent back: nothing changes.
        let again = app.put(&format!("/Users/{id}"), user.body.clone()).await.expect(200);
        assert_eq!(again.body, user.body, "{name}");
        assert_eq!(app.employee(&id).await["custom"], json!({ "badge": "7", "floor": "3" }), "{name}");
    }
}

#[tokio::test]
async fn a_declared_attribute_is_filtered_and_sorted_by() {
    let app = declaring().await;
    for (name, badge) in [("b", "Seven"), ("a", "SIX"), ("c", "eight")] {
        app.person(name, json!({ CUSTOM: { "badge": badge }, OWN: { "floor": badge } })).await;
    }
    app.person("none", json!({})).await;
    for filter in [
        format!("{CUSTOM}:badge eq \"seven\""),
        format!("{}:BADGE eq \"SEVEN\"", CUSTOM.to_uppercase()),
        "badge eq \"seven\"".to_owned(),
        format!("{OWN}:floor sw \"sev\""),
        format!("{CUSTOM}:badge co \"eve\" and userName pr"),
    ] {
        assert_eq!(app.named_by(&filter).await, ["b"], "{filter}");
    }
    assert_eq!(app.named_by(&format!("{CUSTOM}:badge pr")).await, ["a", "b", "c"]);
    assert_eq!(app.named_by(&format!("not ({CUSTOM}:badge pr)")).await, ["none"]);
    assert_eq!(app.named_by(&format!("schemas eq \"{CUSTOM}\"")).await, ["a", "b", "c"]);
    let sorted = |order: &str| format!("/Users?sortBy={CUSTOM}:badge&sortOrder={order}");
    assert_eq!(names(&app.get(&sorted("ascending")).await.expect(200)), ["c", "b", "a", "none"]);
    assert_eq!(names(&app.get(&sorted("descending")).await.expect(200)), ["none", "a", "b", "c"]);
    let search =
        json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"], "filter": format!("{CUSTOM}:badge eq \"six\"") });
    assert_eq!(names(&app.post("/.search", search).await.expect(200)), ["a"]);
    let cursor = app.get(&format!("/Users?cursor=&count=1&sortBy={CUSTOM}:badge")).await.expect(200);
    let next = cursor.body["nextCursor"].as_str().unwrap();
    assert_eq!(names(&app.get(&format!("/Users?cursor={next}&count=1&sortBy={CUSTOM}:badge")).await.expect(200)), ["b"]);
    let wrong = app.get(&format!("/Users?filter={}", percent(&format!("{CUSTOM}:badges eq \"7\"")))).await;
    wrong.refused(400, "invalidFilter");
    let plain = crate::app::app().await;
    plain.get(&format!("/Users?filter={}", percent(&format!("{CUSTOM}:badge eq \"7\"")))).await.refused(400, "invalidFilter");
}

#[tokio::test]
async fn a_declared_attribute_is_asked_for_and_left_out() {
    let app = declaring().await;
    let id = app.person("a", json!({ CUSTOM: { "badge": "7" }, OWN: { "floor": "3" }, "title": "Cook" })).await;
    for (query, badge, floor, title) in [
        (format!("attributes={CUSTOM}:badge"), true, false, false),
        (format!("attributes={CUSTOM}"), true, false, false),
        ("attributes=badge,title".to_owned(), true, false, true),
        (format!("excludedAttributes={CUSTOM}:badge"), false, true, true),
        (format!("excludedAttributes={OWN}"), true, false, true),
    ] {
        for path in [format!("/Users/{id}?{query}"), format!("/Users?{query}")] {
            let answer = app.get(&path).await.expect(200);
            let user = answer.list("Resources").first().cloned().unwrap_or(answer.body);
            let shown = (user.get(CUSTOM).is_some(), user.get(OWN).is_some(), user.get("title").is_some());
            assert_eq!(shown, (badge, floor, title), "{path}: {user}");
        }
    }
}

#[tokio::test]
async fn a_declared_attribute_is_patched_by_its_path() {
    let app = declaring().await;
    let id = app.person("a", json!({ "badge": "1", OWN: { "floor": "1" } })).await;
    let operations = [
        (json!({ "op": "replace", "path": format!("{CUSTOM}:badge"), "value": "2" }), "2"),
        (json!({ "op": "add", "path": "badge", "value": 3 }), "3"),
        (json!({ "op": "replace", "value": { CUSTOM: { "badge": "4" } } }), "4"),
        (json!({ "op": "replace", "value": { format!("{CUSTOM}:badge"): "5" } }), "5"),
        (json!({ "op": "replace", "path": CUSTOM, "value": { "badge": "6" } }), "6"),
        (json!({ "op": "replace", "value": { "badge": "7" } }), "7"),
        (json!({ "op": "add", "path": format!("{ENTERPRISE}:badge"), "value": "8" }), "8"),
    ];
    for (index, (operation, expected)) in operations.into_iter().enumerate() {
        let patched = app.change(&id, operation.clone()).await.expect(200);
        assert_eq!(patched.body[CUSTOM]["badge"], expected, "{operation}");
        assert_eq!(patched.header("etag"), format!("W/\"{}\"", index + 2), "{operation}");
        assert_eq!(app.employee(&id).await["custom"]["badge"], expected, "{operation}");
        assert_eq!(app.named_by(&format!("{CUSTOM}:badge eq \"{expected}\"")).await, ["a"], "{operation}");
    }
    let gone = app.change(&id, json!({ "op": "remove", "path": format!("{CUSTOM}:badge") })).await.expect(200);
    assert!(gone.body.get(CUSTOM).is_none(), "{}", gone.text);
    assert_eq!(gone.body["schemas"], json!([USER, OWN]));
    assert_eq!(app.employee(&id).await["custom"], json!({ "floor": "1" }));
    let floor = app.change(&id, json!({ "op": "replace", "path": format!("{OWN}:floor"), "value": "9" })).await.expect(200);
    assert_eq!(floor.body[OWN], json!({ "floor": "9" }));
    let none = app.change(&id, json!({ "op": "remove", "path": OWN })).await.expect(200);
    assert_eq!((none.body.get(OWN), &none.body["schemas"]), (None, &json!([USER])));
    assert_eq!(app.employee(&id).await["custom"], json!({}));
}

/// Otherwise a value that was removed would come back from the place where it had arrived first.
#[tokio::test]
async fn what_is_removed_by_its_own_path_is_gone_from_everywhere() {
    let app = declaring().await;
    for (name, sent) in [("top", json!({ "badge": "7" })), ("inside", json!({ ENTERPRISE: { "badge": "7" } }))] {
        let id = app.person(name, sent).await;
        app.change(&id, json!({ "op": "remove", "path": format!("{CUSTOM}:badge") })).await.expect(200);
        app.change(&id, json!({ "op": "replace", "path": "title", "value": "Cook" })).await.expect(200);
        assert_eq!(app.get(&format!("/Users/{id}")).await.expect(200).body.get(CUSTOM), None);
        assert_eq!(app.employee(&id).await["custom"], json!({}));
        assert_eq!(app.kept_aside(&id).await, json!({}));
    }
    let id = app.person("both", json!({ "badge": "1", CUSTOM: { "badge": "2" } })).await;
    assert_eq!(app.employee(&id).await["custom"]["badge"], "2", "what is said by its own name counts");
    app.change(&id, json!({ "op": "remove", "path": format!("{CUSTOM}:badge") })).await.expect(200);
    assert_eq!(app.employee(&id).await["custom"], json!({}));
}

#[tokio::test]
async fn a_put_without_a_declared_attribute_removes_it() {
    let app = declaring().await;
    let id = app.person("a", json!({ "badge": "7" })).await;
    app.put(&format!("/Users/{id}"), json!({ "schemas": [USER], "userName": "a" })).await.expect(200);
    assert_eq!(app.get(&format!("/Users/{id}")).await.expect(200).body.get(CUSTOM), None);
    assert_eq!(app.employee(&id).await["custom"], json!({}));
}

#[tokio::test]
async fn a_bulk_request_knows_what_is_declared() {
    let app = declaring().await;
    let id = app.person("a", json!({ "badge": "1" })).await;
    let operations = json!([
        { "method": "POST", "path": "/Users", "bulkId": "b", "data": { "schemas": [USER, CUSTOM], "userName": "b", CUSTOM: { "badge": "2" } } },
        { "method": "PATCH", "path": format!("/Users/{id}"),
          "data": { "Operations": [{ "op": "replace", "path": format!("{CUSTOM}:badge"), "value": "3" }] } },
    ]);
    let answer = app
        .post("/Bulk", json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": operations }))
        .await
        .expect(200);
    for (operation, (status, badge, name)) in answer.list("Operations").iter().zip([("201", "2", "b"), ("200", "3", "a")]) {
        assert_eq!(operation["status"], status, "{operation}");
        assert_eq!(app.named_by(&format!("{CUSTOM}:badge eq \"{badge}\"")).await, [name]);
    }
}

/// RFC 7643 §3: an attribute lies in its schema. Where the others may be is leniency, which a strict connection does not get.
#[tokio::test]
async fn a_strict_connection_takes_a_declared_attribute_in_its_schema_alone() {
    let app = strict_app().await;
    app.apply(&declared()).await;
    let body = |attributes: Value| {
        let mut body = json!({ "schemas": [USER, CUSTOM, OWN], "userName": "a" });
        body.as_object_mut().unwrap().extend(attributes.as_object().unwrap().clone());
        body
    };
    app.post("/Users", body(json!({ "badge": "7" }))).await.refused(400, "invalidSyntax");
    app.post("/Users", body(json!({ ENTERPRISE: { "badge": "7" } }))).await.refused(400, "invalidSyntax");
    app.post("/Users", body(json!({ CUSTOM: { "badge": 7 } }))).await.refused(400, "invalidValue");
    let id = app.post("/Users", body(json!({ CUSTOM: { "badge": "7" }, OWN: { "floor": "3" } }))).await.expect(201).id();
    app.change(&id, json!({ "op": "replace", "path": "badge", "value": "8" })).await.refused(400, "invalidPath");
    let patched = app.change(&id, json!({ "op": "replace", "path": format!("{CUSTOM}:badge"), "value": "8" })).await.expect(200);
    assert_eq!(patched.body[CUSTOM], json!({ "badge": "8" }));
    assert_eq!(app.employee(&id).await["custom"], json!({ "badge": "8", "floor": "3" }));
}

#[tokio::test]
async fn what_arrived_before_is_in_the_schema_after_apply_and_aside_again_after_a_rollback() {
    let app = app().await;
    let sent = json!({ "badge": 7, OWN: { "floor": "3", "wing": "B" }, "shirt": "L" });
    let id = app.person("early", sent.clone()).await;
    let plain = app.person("plain", json!({})).await;
    let before = app.get(&format!("/Users/{id}")).await.expect(200);
    assert_eq!(before.body["schemas"], json!([USER]));
    app.apply(&declared()).await;
    // One that has not seen the caller yet: the mapping is remembered with it for a second.
    let app = app.other_server().await;
    let after = app.get(&format!("/Users/{id}")).await.expect(200);
    assert_eq!((&after.body[CUSTOM], &after.body[OWN]), (&json!({ "badge": "7" }), &json!({ "floor": "3" })));
    assert_eq!(after.body["schemas"], json!([USER, OWN, CUSTOM]));
    assert_eq!(after.header("etag"), "W/\"2\"", "another resource has another version");
    assert_eq!(app.employee(&id).await["custom"], json!({ "badge": "7", "floor": "3" }));
    assert_eq!(app.named_by(&format!("{CUSTOM}:badge eq \"7\"")).await, ["early"]);
    let (kind, _, change) = app.events(&id).await.pop().unwrap();
    assert_eq!(kind, "user_mapping_update");
    assert_eq!(change, json!({ "attributes": [format!("{OWN}:floor"), format!("{CUSTOM}:badge")], "employee": ["custom"], "mapping": 1 }));
    assert_eq!(app.get(&format!("/Users/{plain}")).await.expect(200).header("etag"), "W/\"1\"");
    assert_eq!(app.events(&plain).await.len(), 1, "nothing changed for who has none");

    app.directory.roll_back_mapping(&app.tenant, None, "test").await.unwrap();
    app.finish().await;
    let app = app.other_server().await;
    let back = app.get(&format!("/Users/{id}")).await.expect(200);
    assert_eq!((back.body["schemas"].clone(), back.body.get(CUSTOM), back.body.get(OWN)), (json!([USER]), None, None));
    assert_eq!(app.employee(&id).await["custom"], json!({}));
    let aside = app.kept_aside(&id).await;
    assert_eq!((&aside["badge"], &aside[OWN], &aside["shirt"]), (&json!(7), &json!({ "floor": "3", "wing": "B" }), &json!("L")), "{aside}");
    app.get(&format!("/Users?filter={}", percent(&format!("{CUSTOM}:badge eq \"7\"")))).await.refused(400, "invalidFilter");

    app.directory.roll_back_mapping(&app.tenant, None, "test").await.unwrap();
    app.finish().await;
    let app = app.other_server().await;
    let again = app.get(&format!("/Users/{id}")).await.expect(200);
    assert_eq!((&again.body[CUSTOM], &again.body[OWN]), (&after.body[CUSTOM], &after.body[OWN]));
}

/// What was said by the attribute's own path is kept under that path when the declaration goes, and the newer value wins.
#[tokio::test]
async fn a_value_given_by_its_own_path_survives_without_its_declaration() {
    let app = declaring().await;
    let id = app.person("a", json!({ "badge": "1" })).await;
    app.change(&id, json!({ "op": "replace", "path": format!("{CUSTOM}:badge"), "value": "2" })).await.expect(200);
    app.apply(&undeclared()).await;
    assert_eq!(app.kept_aside(&id).await, json!({ CUSTOM: { "badge": "2" } }));
    app.apply(&declared()).await;
    assert_eq!(app.get(&format!("/Users/{id}")).await.expect(200).body[CUSTOM], json!({ "badge": "2" }));
    app.apply(&undeclared()).await;
    app.change(&id, json!({ "op": "replace", "path": "badge", "value": "3" })).await.expect(200);
    app.apply(&declared()).await;
    assert_eq!(app.get(&format!("/Users/{id}")).await.expect(200).body[CUSTOM], json!({ "badge": "3" }));
    assert_eq!(app.employee(&id).await["custom"]["badge"], "3");
}

#[tokio::test]
async fn what_is_removed_while_it_is_not_declared_does_not_come_back() {
    let app = app().await;
    let id = app.person("a", json!({ "badge": "7", OWN: { "floor": "3" } })).await;
    for text in [declared(), undeclared()] {
        app.apply(&text).await;
    }
    app.change(&id, json!({ "op": "remove", "path": "badge" })).await.expect(200);
    app.apply(&declared()).await;
    let user = app.other_server().await.get(&format!("/Users/{id}")).await.expect(200);
    assert_eq!((user.body.get(CUSTOM), &user.body[OWN]), (None, &json!({ "floor": "3" })), "{}", user.text);
    assert_eq!(app.employee(&id).await["custom"], json!({ "floor": "3" }));
}

/// A server that remembers the mapping before reads a request with its schema; what is stored is in the form of the new one.
#[tokio::test]
async fn a_request_that_was_read_before_the_declaration_is_written_with_it() {
    let app = app().await;
    let other = app.other_server().await;
    let known = other.person("known", json!({ "badge": "1" })).await;
    app.directory.record_mapping(&app.tenant, "test.toml", &declared(), "test").await.unwrap();
    let created = other.person("created", json!({ "badge": "2", CUSTOM: { "badge": "3" } })).await;
    assert_eq!(app.directory.current_mapping(app.tenant.id).await.unwrap().version, 1);
    other.change(&known, json!({ "op": "replace", "path": "title", "value": "Cook" })).await.expect(200);
    app.finish().await;
    let fresh = app.other_server().await;
    assert_eq!(fresh.employee(&known).await["custom"]["badge"], "1");
    for id in [&known, &created] {
        let user = fresh.get(&format!("/Users/{id}")).await.expect(200);
        assert_eq!(user.body[CUSTOM]["badge"], fresh.employee(id).await["custom"]["badge"], "{}", user.text);
        assert_eq!(fresh.named_by(&format!("{CUSTOM}:badge pr")).await, ["created", "known"]);
    }
    // The other way round: the attribute goes while a server still knows it.
    let behind = app.other_server().await;
    behind.get("/Users").await.expect(200);
    app.directory.record_mapping(&app.tenant, "test.toml", &undeclared(), "test").await.unwrap();
    behind.change(&known, json!({ "op": "replace", "path": format!("{CUSTOM}:badge"), "value": "4" })).await.expect(200);
    app.finish().await;
    assert_eq!(app.kept_aside(&known).await, json!({ CUSTOM: { "badge": "4" } }));
    let last = app.other_server().await.get(&format!("/Users/{known}")).await.expect(200);
    assert_eq!(last.body.get(CUSTOM), None);
}

/// Another field that reads the same name finds the value also when it was given by the attribute's own path.
#[tokio::test]
async fn every_field_that_names_a_declared_attribute_reads_it() {
    let app = app().await;
    let text = "[fields]\ntitle = \"unmapped:role name\"\n[custom]\nrole = \"unmapped:role name\"\nsame = \"unmapped:Role Name\"\n";
    app.apply(text).await;
    let id = app.person("a", json!({ "role name": "Cook" })).await;
    assert_eq!(app.get(&format!("/Users/{id}")).await.expect(200).body[CUSTOM], json!({ "role_name": "Cook" }));
    for (path, value) in [(format!("{CUSTOM}:role_name"), "Chef"), ("role name".to_owned(), "Baker")] {
        app.change(&id, json!({ "op": "replace", "path": path, "value": value })).await.expect(200);
        let employee = app.employee(&id).await;
        assert_eq!((&employee["title"], &employee["custom"]), (&json!(value), &json!({ "role": value, "same": value })));
    }
}

#[tokio::test]
async fn spaceiqs_own_syntax_declares_attributes() {
    let app = app_with(Profile::SpaceIq, Conformance::Lenient, &[]).await;
    app.apply(&cooked(Profile::SpaceIq, "spaceiq_custom = '{\"Badge*.*Badge_Number\",\"CostCenter*.*Cost_Center\"}'\n")).await;
    let id = app.person("a", json!({ "badge": "7", ENTERPRISE: { "costCenter": "CC-1" } })).await;
    assert_eq!(app.get(&format!("/Users/{id}")).await.expect(200).body[CUSTOM], json!({ "Badge": "7" }));
    assert_eq!(app.employee(&id).await["custom"], json!({ "Badge_Number": "7", "Cost_Center": "CC-1" }));
    assert_eq!(app.named_by(&format!("{CUSTOM}:Badge eq \"7\" and {ENTERPRISE}:costCenter eq \"cc-1\"")).await, ["a"]);
}

#[tokio::test]
async fn a_value_that_can_be_no_text_stays_aside_and_one_in_its_schema_is_refused() {
    let app = declaring().await;
    let nothing = json!({ "badge": { "colour": "red" } });
    let id = app.person("a", nothing.clone()).await;
    assert_eq!(app.get(&format!("/Users/{id}")).await.expect(200).body.get(CUSTOM), None);
    assert_eq!(app.kept_aside(&id).await, nothing);
    let body = json!({ "schemas": [USER], "userName": "b", CUSTOM: { "badge": { "colour": "red" } } });
    let refused = app.post("/Users", body).await.refused(400, "invalidValue");
    assert!(refused.detail().starts_with(&format!("{CUSTOM}:badge is ")), "{}", refused.detail());
    // A text as long as any other may be is taken in, a longer one is not.
    for (name, length, taken) in [("fits", 1_024, true), ("long", 1_025, false)] {
        let id = app.person(name, json!({ "badge": "x".repeat(length) })).await;
        assert_eq!(app.get(&format!("/Users/{id}")).await.expect(200).body.get(CUSTOM).is_some(), taken, "{name}");
    }
}
