//! RFC 7643 through the door, requirement by requirement: how resources are represented. Each test names in its comment the lines of
//! docs/conformance.md that it shows. Queries are in `conformance_queries`, changes in `conformance_changes`.

use serde_json::{Value, json};

use crate::app::{app, strict_app};
use crate::support;

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// N1.
#[tokio::test]
async fn attribute_names_are_read_in_any_letter_case() {
    let app = app().await;
    let body = json!({ "SCHEMAS": [USER], "USERNAME": "jsnow", "Name": { "GIVENNAME": "Jon" } });
    let created = app.post("/Users", body).await.expect(201);
    assert_eq!((&created.body["userName"], &created.body["name"]["givenName"]), (&json!("jsnow"), &json!("Jon")));
    let id = created.id();
    assert_eq!(app.get(r#"/Users?filter=NAME.givenname eq "jon"&ATTRIBUTES=USERname"#).await.ids(), [id.as_str()]);
    let patch = json!({ "OPERATIONS": [{ "OP": "Replace", "PATH": "NAME.GivenName", "Value": "John" }] });
    assert_eq!(app.patch(&format!("/Users/{id}"), patch).await.expect(200).body["name"]["givenName"], "John");
}

/// N3.
#[tokio::test]
async fn date_times_have_date_time_and_zone_and_are_shown_in_utc() {
    let app = app().await;
    let id = app.user("jsnow").await;
    let meta = app.get(&format!("/Users/{id}")).await.body["meta"].clone();
    for name in ["created", "lastModified"] {
        assert!(meta[name].as_str().unwrap().ends_with('Z'), "{meta}");
    }
    assert_eq!(app.get(r#"/Users?filter=meta.created gt "2020-01-01T01:00:00%2B01:00""#).await.expect(200).ids(), [id]);
    app.get(r#"/Users?filter=meta.created gt "2020-01-01""#).await.refused(400, "invalidFilter");
}

/// N4.
#[tokio::test]
async fn binary_values_are_base64() {
    let app = app().await;
    let user = |value: &str| json!({ "schemas": [USER], "userName": "jsnow", "x509Certificates": [{ "value": value }] });
    app.post("/Users", user("not base64!")).await.refused(400, "invalidValue");
    let created = app.post("/Users", user("TUlJQg==")).await.expect(201);
    assert_eq!(created.body["x509Certificates"][0]["value"], "TUlJQg==");
}

/// N5, N9.
#[tokio::test]
async fn every_reference_leads_to_its_resource_with_and_without_the_version() {
    let app = app().await;
    let user = app.user("jsnow").await;
    let group = app.group("Sales", &[&user]).await;
    for base in ["/scim/v2", "/scim"] {
        let app = app.under(base);
        let member = app.get(&format!("/Groups/{group}")).await.body["members"][0].clone();
        let holder = app.get(&format!("/Users/{user}")).await.body["groups"][0].clone();
        for (reference, id) in [(&member["$ref"], &user), (&holder["$ref"], &group)] {
            let path = reference.as_str().unwrap().strip_prefix(&format!("https://scim.test{base}")).expect("the base of the request");
            assert_eq!(app.get(path).await.expect(200).id(), **id);
        }
    }
    app.delete(&format!("/Users/{user}")).await.expect(204);
    app.get(&format!("/Users/{user}")).await.refused(404, "");
}

/// N6, N11.
#[tokio::test]
async fn the_order_of_attributes_and_schemas_means_nothing() {
    let app = app().await;
    let ordered = json!({
        "schemas": [USER, ENTERPRISE], "userName": "jsnow", "active": true, "title": "Lord Commander", ENTERPRISE: { "department": "Watch" }
    });
    let created = app.post("/Users", ordered).await.expect(201);
    let reversed = json!({
        ENTERPRISE: { "department": "Watch" }, "title": "Lord Commander", "active": true, "userName": "jsnow",
        "schemas": [ENTERPRISE, USER, USER]
    });
    let replaced = app.put(&format!("/Users/{}", created.id()), reversed).await.expect(200);
    assert_eq!(replaced.body, created.body);
}

/// N7.
#[tokio::test]
async fn one_value_is_primary_at_most() {
    let emails = json!([{ "value": "a@example.com", "primary": true }, { "value": "b@example.com", "primary": true }]);
    let body = json!({ "schemas": [USER], "userName": "jsnow", "emails": emails });
    strict_app().await.post("/Users", body.clone()).await.refused(400, "invalidValue");
    let created = app().await.post("/Users", body).await.expect(201);
    let primary: Vec<Value> = created.list("emails").into_iter().filter(|email| email["primary"] == true).collect();
    assert_eq!(primary, [json!({ "value": "a@example.com", "primary": true })]);
}

/// N8.
#[tokio::test]
async fn a_pair_of_type_and_value_is_returned_once() {
    let email = json!({ "value": "a@example.com", "type": "work" });
    let app = app().await;
    let created = app.post("/Users", json!({ "schemas": [USER], "userName": "jsnow", "emails": [email, email] })).await.expect(201);
    assert_eq!(created.list("emails"), std::slice::from_ref(&email));
    let again = json!({ "Operations": [{ "op": "add", "path": "emails", "value": [email] }] });
    assert_eq!(app.patch(&format!("/Users/{}", created.id()), again).await.expect(200).list("emails"), [email]);
}

/// N10.
#[tokio::test]
async fn null_the_empty_list_and_absence_are_the_same() {
    let app = app().await;
    let bare = app.post("/Users", json!({ "schemas": [USER], "userName": "jsnow" })).await.expect(201);
    let nothing = json!({ "schemas": [USER], "userName": "jsnow", "title": null, "emails": [], "name": null, ENTERPRISE: null });
    assert_eq!(app.put(&format!("/Users/{}", bare.id()), nothing).await.expect(200).body, bare.body);
    assert!(bare.body.get("title").is_none() && bare.body.get("emails").is_none());
}

/// N11, N12, N13, N73.
#[tokio::test]
async fn schemas_lists_what_the_resource_uses() {
    let app = app().await;
    let created = app.post("/Users", json!({ "schemas": [USER, ENTERPRISE], "userName": "jsnow" })).await.expect(201);
    assert_eq!(created.body["schemas"], json!([USER]));
    let path = format!("/Users/{}", created.id());
    let add = json!({ "Operations": [{ "op": "add", "path": format!("{ENTERPRISE}:department"), "value": "Watch" }] });
    let added = app.patch(&path, add).await.expect(200);
    assert_eq!(added.body["schemas"], json!([USER, ENTERPRISE]));
    assert_eq!(added.body[ENTERPRISE], json!({ "department": "Watch" }));
    let remove = json!({ "Operations": [{ "op": "remove", "path": format!("{ENTERPRISE}:department") }] });
    assert_eq!(app.patch(&path, remove).await.expect(200).body["schemas"], json!([USER]));
    let strict = strict_app().await;
    for schemas in [json!([]), json!([USER, "urn:example:unknown"]), json!([ENTERPRISE])] {
        let refused = strict.post("/Users", json!({ "schemas": schemas, "userName": "jsnow" })).await;
        assert_eq!(refused.status, 400, "{schemas}: {}", refused.text);
    }
}

/// N14, N16, N35, N38.
#[tokio::test]
async fn the_server_alone_gives_ids_and_meta() {
    let app = app().await;
    let body = json!({
        "schemas": [USER], "userName": "jsnow", "id": "bulkId", "groups": [{ "value": "x" }],
        "meta": { "resourceType": "Group", "created": "1999-01-01T00:00:00Z", "version": "W/\"77\"", "location": "https://example.com" }
    });
    let created = app.post("/Users", body).await.expect(201);
    let id = created.id();
    assert_ne!(id, "bulkId");
    assert!(created.body.get("groups").is_none());
    let meta = &created.body["meta"];
    assert_eq!((&meta["resourceType"], &meta["version"]), (&json!("User"), &json!("W/\"1\"")));
    assert!(!meta["created"].as_str().unwrap().starts_with("1999"));
    let replaced = app.put(&format!("/Users/{id}"), json!({ "schemas": [USER], "userName": "other", "id": "another" })).await.expect(200);
    assert_eq!(replaced.id(), id);
    app.delete(&format!("/Users/{id}")).await.expect(204);
    assert_ne!(app.user("jsnow").await, id);
}

/// N15, N31.
#[tokio::test]
async fn an_external_id_is_the_clients_own_and_keeps_its_case() {
    let app = app().await;
    let body = |name: &str| json!({ "schemas": [USER], "userName": name, "externalId": "E-1001" });
    let first = app.post("/Users", body("First")).await.expect(201);
    let second = app.post("/Users", body("Second")).await.expect(201);
    assert_eq!((&first.body["externalId"], &first.body["userName"]), (&json!("E-1001"), &json!("First")));
    assert_eq!(app.get(r#"/Users?filter=externalId eq "E-1001""#).await.ids(), [first.id(), second.id()]);
    assert!(app.get(r#"/Users?filter=externalId eq "e-1001""#).await.ids().is_empty());
    assert!(app.get(&format!("/Users/{}", app.user("third").await)).await.body.get("externalId").is_none());
}

/// N17, N18, N19, N36.
#[tokio::test]
async fn meta_and_headers_agree() {
    let app = app().await;
    let created = app.post("/Users", json!({ "schemas": [USER], "userName": "jsnow" })).await.expect(201);
    let meta = &created.body["meta"];
    assert_eq!(meta["created"], meta["lastModified"]);
    assert_eq!((created.header("location"), created.header("etag")), (meta["location"].as_str().unwrap(), "W/\"1\""));
    assert_eq!(meta["version"], "W/\"1\"");
    let read = app.get(&format!("/Users/{}", created.id())).await.expect(200);
    assert_eq!((read.header("content-location"), read.header("etag")), (meta["location"].as_str().unwrap(), "W/\"1\""));
}

/// N20, N37.
#[tokio::test]
async fn a_user_name_is_required_and_taken_once_in_any_letter_case() {
    let app = app().await;
    for body in [json!({ "schemas": [USER] }), json!({ "schemas": [USER], "userName": "" }), json!({ "schemas": [USER], "userName": null })]
    {
        app.post("/Users", body).await.refused(400, "invalidValue");
    }
    app.user("jsnow").await;
    app.post("/Users", json!({ "schemas": [USER], "userName": "JSnow" })).await.refused(409, "uniqueness");
}

/// N21.
#[tokio::test]
async fn the_groups_of_a_user_follow_from_membership_direct_and_indirect() {
    let app = app().await;
    let user = app.user("jsnow").await;
    let watch = app.group("Watch", &[&user]).await;
    let north = app.group("North", &[&watch]).await;
    let path = format!("/Users/{user}");
    let mut groups: Vec<(String, String)> = app.get(&path).await.list("groups").iter().map(kind_of).collect();
    groups.sort();
    let mut expected = vec![(watch.clone(), "direct".to_owned()), (north, "indirect".to_owned())];
    expected.sort();
    assert_eq!(groups, expected);
    let write = json!({ "Operations": [{ "op": "remove", "path": "groups" }] });
    app.patch(&path, write).await.refused(400, "mutability");
    app.put(&path, json!({ "schemas": [USER], "userName": "jsnow", "groups": [] })).await.expect(200);
    assert_eq!(app.members(&watch).await, [user]);
}

fn kind_of(group: &Value) -> (String, String) {
    (group["value"].as_str().unwrap().to_owned(), group["type"].as_str().unwrap().to_owned())
}

/// N22.
#[tokio::test]
async fn a_group_has_a_display_name() {
    let app = app().await;
    for body in [json!({ "members": [] }), json!({ "displayName": "" }), json!({ "displayName": null })] {
        app.post("/Groups", body).await.refused(400, "invalidValue");
    }
}

/// N23, N74.
#[tokio::test]
async fn members_come_and_go_but_do_not_change() {
    let app = app().await;
    let (first, second) = (app.user("first").await, app.user("second").await);
    let group = app.group("Watch", &[&first]).await;
    let change = json!({ "op": "replace", "path": format!("members[value eq \"{first}\"].value"), "value": second });
    app.patch(&format!("/Groups/{group}"), json!({ "Operations": [change] })).await.refused(400, "mutability");
    assert_eq!(app.members(&group).await, [first]);
}

/// N24.
#[tokio::test]
async fn the_managers_display_name_is_not_the_clients_and_the_id_keeps_its_case() {
    let app = app().await;
    let manager = json!({ "value": "Boss-1", "displayName": "The Boss" });
    let body = json!({ "schemas": [USER, ENTERPRISE], "userName": "jsnow", ENTERPRISE: { "manager": manager } });
    let created = app.post("/Users", body).await.expect(201);
    assert_eq!(created.body[ENTERPRISE]["manager"]["value"], "Boss-1");
    assert!(created.body[ENTERPRISE]["manager"].get("displayName").is_none());
    let find = |value: &str| format!(r#"/Users?filter={ENTERPRISE}:manager.value eq "{value}""#);
    assert_eq!(app.get(&find("Boss-1")).await.expect(200).ids().len(), 1);
    assert!(app.get(&find("boss-1")).await.expect(200).ids().is_empty());
}

/// N29, N30, N91: a password is nowhere to be found afterwards.
#[tokio::test]
async fn a_password_is_neither_shown_nor_searched_nor_kept() {
    const SECRET: &str = "correct horse battery staple";
    let app = app().await;
    let body = json!({ "schemas": [USER], "userName": "jsnow", "password": SECRET });
    let created = app.post("/Users?attributes=userName,password", body).await.expect(201);
    let path = format!("/Users/{}", created.id());
    let patched = app.patch(&path, json!({ "Operations": [{ "op": "replace", "path": "password", "value": SECRET }] })).await.expect(200);
    for answer in [&created, &patched, &app.get(&format!("{path}?attributes=password")).await.expect(200)] {
        assert!(!answer.text.contains("password") && !answer.text.contains(SECRET), "{}", answer.text);
    }
    app.get(&format!(r#"/Users?filter=password eq "{SECRET}""#)).await.refused(400, "invalidFilter");
    app.get("/Users?sortBy=password").await.refused(400, "invalidValue");
    let kept: bool = sqlx::query_scalar(
        "select exists (select from users u where u.tenant_id = $1 and to_jsonb(u)::text like '%horse battery%')
             or exists (select from events e where e.tenant_id = $1 and e.change::text like '%horse battery%')",
    )
    .bind(app.tenant.id)
    .fetch_one(&mut support::observer().await)
    .await
    .unwrap();
    assert!(!kept);
}
