//! JumpCloud's conversations about users, with the captured bodies: activation, provisioning, change, suspension, import.
//! What the client is answered, and the employee that the workplace product reads.
//! N1, N10, N13, N35, N36, N40, N76.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::app::{Answer, TestApp, answer, app};

pub const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
pub const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// The create as captured. The enterprise URN is listed without an object.
fn captured_create(user_name: &str) -> Value {
    json!({
        "schemas": [USER, ENTERPRISE], "active": true, "userName": user_name, "externalId": "66e2d689590450d073d2df3b",
        "name": { "givenName": "firstname", "familyName": "lastname" }, "displayName": "displayname",
        "emails": [{ "primary": true, "type": "work", "value": user_name }],
        "phoneNumbers": [{ "primary": true, "type": "work", "value": "tel:+1-555-555-5555" }],
        "addresses": [{ "primary": true, "type": "work", "streetAddress": "street-address", "locality": "locality", "region": "region", "postalCode": "80027", "country": "US" }],
        "locale": "en-US", "preferredLanguage": "en-US"
    })
}

/// The update as captured: full, the schemas in reverse order, the department under the enterprise URN, empty lists.
fn captured_update(id: &str, user_name: &str) -> Value {
    json!({
        "schemas": [ENTERPRISE, USER], "id": id, "active": true, "userName": user_name, "externalId": "66e2d689590450d073d2df3b",
        "name": { "givenName": "first", "familyName": "lastname" }, "displayName": "displayname", "title": "Director",
        "emails": [{ "primary": true, "type": "work", "value": user_name }], "phoneNumbers": [], "addresses": [], "photos": [],
        ENTERPRISE: { "department": "Engineering", "organization": null, "costCenter": "" }
    })
}

async fn lookup(app: &TestApp, attribute: &str, value: &str) -> Vec<String> {
    let found = app.get(&format!("/Users?filter={attribute}%20eq%20%22{value}%22")).await.expect(200);
    assert_eq!(found.body["totalResults"], found.ids().len(), "{}", found.text);
    found.ids()
}

/// Some columns of an employee.
pub async fn employee<const N: usize>(app: &TestApp, id: &str, columns: [&str; N]) -> [Value; N] {
    let employee = app.employee(id).await;
    columns.map(|column| employee.get(column).unwrap_or_else(|| panic!("no column {column}")).clone())
}

#[tokio::test]
async fn an_activation_goes_through_at_every_base() {
    for base in ["/scim/v2", "/scim", "/api/scim/v2"] {
        let app = app().await.under(base);
        let name = "testuser@example.io";
        assert!(lookup(&app, "userName", name).await.is_empty());
        let created = app.post("/Users", captured_create(name)).await.expect(201);
        let id = created.id();
        let location = format!("https://scim.test{base}/Users/{id}");
        assert_eq!((created.header("location"), &created.body["meta"]["location"]), (&*location, &json!(location)));
        assert_eq!(created.body["meta"]["created"], created.body["meta"]["lastModified"]);
        assert_eq!(created.header("etag"), created.body["meta"]["version"].as_str().unwrap());
        // Everything that was sent comes back, or the next full update would delete it.
        for (attribute, sent) in captured_create(name).as_object().unwrap() {
            if attribute != "schemas" {
                assert_eq!(&created.body[attribute], sent, "{attribute}");
            }
        }
        assert_eq!(created.body["schemas"], json!([USER]), "only schemas that are used are listed");
        let seen = employee(
            &app,
            &id,
            [
                "user_name",
                "external_id",
                "active",
                "first_name",
                "last_name",
                "name",
                "email",
                "phone",
                "location",
                "department_name",
                "team_name",
                "cost_center",
                "complete",
                "missing",
            ],
        )
        .await;
        assert_eq!(
            seen,
            [
                json!(name),
                json!("66e2d689590450d073d2df3b"),
                json!(true),
                json!("firstname"),
                json!("lastname"),
                json!("firstname lastname"),
                json!(name),
                json!("+1-555-555-5555"),
                json!("locality"),
                Value::Null,
                Value::Null,
                Value::Null,
                json!(false),
                json!(["department_name"])
            ]
        );
        assert_eq!(lookup(&app, "userName", &name.to_uppercase()).await, [id.as_str()]);

        let minimal = json!({ "schemas": [USER], "id": id, "active": true, "userName": name, "name": { "givenName": "first", "familyName": "last" }, "emails": null });
        let updated = app.put(&format!("/Users/{id}"), minimal).await.expect(200);
        assert_eq!((updated.id(), updated.list("emails"), &updated.body["name"]["givenName"]), (id.clone(), vec![], &json!("first")));
        let seen = employee(&app, &id, ["first_name", "name", "email", "phone", "location", "active", "missing"]).await;
        assert_eq!(
            seen,
            [
                json!("first"),
                json!("first last"),
                Value::Null,
                Value::Null,
                Value::Null,
                json!(true),
                json!(["email", "location", "department_name"])
            ]
        );

        let no_group = app.get("/Groups?filter=displayName%20eq%20%22testgroup%22").await.expect(200);
        assert_eq!(no_group.body["totalResults"], 0);
        let group = app
            .post("/Groups", json!({ "schemas": [GROUP], "displayName": "testgroup", "members": [{ "value": id }] }))
            .await
            .expect(201)
            .id();
        let path = format!("/Groups/{group}");
        let rename = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [{ "op": "replace", "path": "displayName", "value": "testgroup2" }] });
        app.patch(&path, rename).await.expect(204);
        let read = app.put(&path, json!({ "schemas": [GROUP], "id": group, "displayName": "testgroup3" })).await.expect(200);
        assert_eq!((&read.body["displayName"], read.list("members").len()), (&json!("testgroup3"), 1));
        app.delete(&path).await.expect(204);
        app.get(&path).await.refused(404, "");
        app.delete(&format!("/Users/{id}")).await.expect(204);
        app.get(&format!("/Users/{id}")).await.refused(404, "");
        assert!(lookup(&app, "userName", name).await.is_empty());
        assert_eq!(app.get("/Users").await.expect(200).body["totalResults"], 0);
    }
}

#[tokio::test]
async fn either_media_type_comes_and_scim_json_is_answered() {
    let app = app().await;
    for (index, content_type) in ["application/json", "application/scim+json", "application/json; charset=UTF-8"].into_iter().enumerate() {
        for accept in [None, Some("application/json"), Some("*/*"), Some("text/html")] {
            let name = format!("u{index}-{}", accept.unwrap_or("none").len());
            let mut request = Request::builder().method("POST").uri("/scim/Users").header("content-type", content_type);
            request = request.header("authorization", format!("Bearer {}", app.token));
            if let Some(accept) = accept {
                request = request.header("accept", accept);
            }
            let created = answer(&app.service, request.body(Body::from(captured_create(&name).to_string())).unwrap()).await.expect(201);
            assert_eq!(created.header("content-type"), "application/scim+json");
        }
    }
}

/// Types are strict on JumpCloud's side: ids are strings, counters integers, `active` a boolean, multi-values arrays.
#[tokio::test]
async fn the_types_of_an_answer_are_those_that_jumpcloud_reads() {
    let app = app().await;
    let id = app.post("/Users", captured_create("jsnow@example.com")).await.expect(201).id();
    let list = app.get("/Users?startIndex=1&count=10").await.expect(200);
    for counter in ["totalResults", "startIndex", "itemsPerPage"] {
        assert!(list.body[counter].is_u64(), "{}", list.text);
    }
    let user = &list.list("Resources")[0];
    assert!(user["id"] == id && user["active"].is_boolean() && user["emails"].is_array() && user["emails"][0]["primary"].is_boolean());
}

/// Ten people enter a bound group: a lookup and a create each; five have a company.
#[tokio::test]
async fn ten_people_are_provisioned_with_and_without_company() {
    let app = app().await;
    for n in 0..10 {
        let name = format!("person{n}@example.com");
        assert!(lookup(&app, "userName", &name).await.is_empty());
        let mut body = captured_create(&name);
        body["externalId"] = format!("E-{n}").into();
        body[if n % 4 < 2 { "department" } else { ENTERPRISE }] =
            if n % 4 < 2 { json!("Digital") } else { json!({ "department": "Digital" }) };
        if n % 2 == 0 {
            match n % 4 {
                0 => body["organization"] = "Marketing".into(),
                _ => body[ENTERPRISE]["organization"] = "Marketing".into(),
            }
        }
        let id = app.post("/Users", body.clone()).await.expect(201).id();
        let expected =
            if n % 2 == 0 { [json!("Marketing"), json!("Digital"), json!(true)] } else { [json!("Digital"), Value::Null, json!(true)] };
        assert_eq!(employee(&app, &id, ["department_name", "team_name", "complete"]).await, expected, "{name}");
        for (attribute, value) in
            [("userName", name.as_str()), ("externalId", &format!("E-{n}")), ("emails", &name), ("emails.value", &name)]
        {
            assert_eq!(lookup(&app, attribute, value).await, [id.as_str()], "{attribute}");
        }
        // Entering again is refused in words, and the lookup finds whom to take over.
        app.post("/Users", body).await.refused(409, "uniqueness");
    }
    assert_eq!(lookup(&app, "displayName", "displayname").await.len(), 10);
    assert_eq!(app.under("/api/v1").get("/employees?count=4").await.expect(200).body["total"], 10);
}

#[tokio::test]
async fn a_full_update_says_what_is_there_and_empty_lists_unassign() {
    let app = app().await;
    let id = app.post("/Users", captured_create("jsnow@example.com")).await.expect(201).id();
    let updated = app.put(&format!("/Users/{id}"), captured_update(&id, "jsnow@example.com")).await.expect(200);
    for gone in ["phoneNumbers", "addresses", "photos", "locale"] {
        assert_eq!(updated.body.get(gone), None, "{gone}");
    }
    assert_eq!(
        (&updated.body["schemas"], &updated.body[ENTERPRISE]),
        (&json!([USER, ENTERPRISE]), &json!({ "department": "Engineering" }))
    );
    let seen = employee(&app, &id, ["title", "phone", "location", "department_name", "cost_center", "missing"]).await;
    assert_eq!(seen, [json!("Director"), Value::Null, Value::Null, json!("Engineering"), Value::Null, json!(["location"])]);
    // The same again changes nothing, and what was read and sent back neither.
    for body in [captured_update(&id, "jsnow@example.com"), updated.body.clone()] {
        let again = app.put(&format!("/Users/{id}"), body).await.expect(200);
        assert_eq!(again.body["meta"], updated.body["meta"]);
    }
}

/// Every shape in which a client says that somebody has left.
fn deactivations(full: &Value) -> Vec<(&'static str, Value)> {
    let mut put = full.clone();
    put["active"] = false.into();
    let mut put_text = full.clone();
    put_text["active"] = "False".into();
    let patch = |operation: Value| json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [operation] });
    let mut shapes = vec![("PUT", put), ("PUT", put_text)];
    for value in [json!(false), json!("False"), json!("false"), json!("FALSE")] {
        for op in ["replace", "Replace", "REPLACE", "add", "Add"] {
            shapes.push(("PATCH", patch(json!({ "op": op, "path": "active", "value": value }))));
            shapes.push(("PATCH", patch(json!({ "op": op, "value": { "active": value } }))));
        }
        shapes.push(("PATCH", patch(json!({ "op": "replace", "path": "ACTIVE", "value": value }))));
        shapes.push(("PATCH", patch(json!({ "op": "replace", "path": format!("{USER}:active"), "value": value }))));
        shapes.push(("PATCH", patch(json!({ "op": "replace", "value": { format!("{USER}:active"): value } }))));
        shapes.push(("PATCH", patch(json!({ "op": "replace", "path": "active", "value": [{ "value": value }] }))));
        shapes.push(("PATCH", json!({ "operations": { "Op": "replace", "Path": "active", "Value": value } })));
    }
    shapes
}

/// IDN-006: the user is inactive in every shape; nothing else of them is lost, and they come back under the same id.
#[tokio::test]
async fn every_shape_of_a_deactivation_works_and_a_reactivation_undoes_it() {
    let app = app().await;
    let name = "jsnow@example.com";
    let mut full = captured_create(name);
    full[ENTERPRISE] = json!({ "department": "Engineering" });
    let id = app.post("/Users", full.clone()).await.expect(201).id();
    let group = app.group("Engineering", &[&id]).await;
    let path = format!("/Users/{id}");
    for (method, body) in deactivations(&full) {
        let off = app.request(method, &path, Some(body.clone())).await.expect(200);
        assert_eq!((off.body["active"].clone(), off.id()), (json!(false), id.clone()), "{body}");
        assert_eq!(
            employee(&app, &id, ["active", "email", "department_name", "complete"]).await,
            [json!(false), json!(name), json!("Engineering"), json!(true)],
            "{body}"
        );
        assert_eq!(app.members(&group).await, [id.as_str()], "{body}");
        // Inactive users are found, or nobody could bring them back.
        assert_eq!(lookup(&app, "userName", name).await, [id.as_str()]);
        assert_eq!(app.get("/Users?filter=active eq false").await.expect(200).ids(), [id.as_str()]);
        assert_eq!(app.put(&path, full.clone()).await.expect(200).body["active"], true);
        assert_eq!(employee(&app, &id, ["active"]).await, [json!(true)]);
    }
    // A shape that nobody knows is refused and not taken for success.
    for value in [json!("off"), json!(0), json!([{ "value": "off" }]), json!({ "active": false })] {
        app.patch(&path, json!({ "Operations": [{ "op": "replace", "path": "active", "value": value }] }))
            .await
            .refused(400, "invalidValue");
    }
    assert_eq!(app.get(&path).await.body["active"], true);
    // Removing the attribute means the default: active.
    app.put(&path, json!({ "schemas": [USER], "userName": name })).await.expect(200);
    assert_eq!(employee(&app, &id, ["active"]).await, [json!(true)]);
}

#[tokio::test]
async fn a_rename_is_found_by_the_new_name_and_frees_the_old_one() {
    let app = app().await;
    let id = app.post("/Users", captured_create("jsnow@example.com")).await.expect(201).id();
    let mut renamed = captured_create("aegon@example.com");
    renamed["id"] = id.clone().into();
    renamed["name"] = json!({ "givenName": "Aegon", "familyName": "Targaryen" });
    let answered = app.put(&format!("/Users/{id}"), renamed).await.expect(200);
    assert_eq!((answered.id(), &answered.body["userName"]), (id.clone(), &json!("aegon@example.com")));
    assert_ne!(answered.body["meta"]["lastModified"], answered.body["meta"]["created"]);
    assert_eq!(
        employee(&app, &id, ["user_name", "first_name", "name", "email"]).await,
        ["aegon@example.com", "Aegon", "Aegon Targaryen", "aegon@example.com"].map(Value::from)
    );
    assert!(lookup(&app, "userName", "jsnow@example.com").await.is_empty());
    let other = app.post("/Users", captured_create("jsnow@example.com")).await.expect(201).id();
    // A rename onto somebody else's name is refused and changes nothing.
    let mut taken = captured_create("AEGON@example.com");
    taken["title"] = "King".into();
    app.put(&format!("/Users/{other}"), taken).await.refused(409, "uniqueness");
    assert_eq!(employee(&app, &other, ["user_name", "title"]).await, [json!("jsnow@example.com"), Value::Null]);
    // Another letter case of one's own name is a rename like any other.
    app.patch(&format!("/Users/{id}"), json!({ "Operations": [{ "op": "replace", "path": "userName", "value": "Aegon@Example.com" }] }))
        .await
        .expect(200);
    assert_eq!(lookup(&app, "userName", "aegon@example.com").await, [id]);
}

/// A manual import: pages of 100, a correct total, a stable order, everything that JumpCloud reads.
#[tokio::test]
async fn an_import_of_250_users_in_pages_of_100_sees_each_once() {
    let app = app().await;
    let mut expected = Vec::new();
    for n in 0..250 {
        let mut body = captured_create(&format!("person{n:03}@example.com"));
        body["title"] = "Director".into();
        body["userType"] = "Full time".into();
        body[ENTERPRISE] = json!({ "department": "D", "organization": "O", "costCenter": "C", "employeeNumber": n.to_string(), "manager": { "value": "boss" } });
        expected.push(app.post("/Users", body).await.expect(201).id());
    }
    for size in [100, 10] {
        let mut seen = Vec::new();
        loop {
            let page = app.get(&format!("/Users?startIndex={}&count={size}", seen.len() + 1)).await.expect(200);
            assert_eq!((&page.body["totalResults"], &page.body["startIndex"]), (&json!(250), &json!(seen.len() + 1)));
            assert_eq!(page.body["itemsPerPage"], page.ids().len());
            if page.ids().is_empty() {
                break;
            }
            assert!(page.ids().len() == size || seen.len() + page.ids().len() == 250);
            for user in page.list("Resources") {
                for attribute in
                    ["id", "userName", "emails", "name", "displayName", "active", "title", "userType", "addresses", "phoneNumbers"]
                {
                    assert!(user.get(attribute).is_some(), "{attribute} of {user}");
                }
                for attribute in ["department", "organization", "costCenter", "employeeNumber", "manager"] {
                    assert!(user[ENTERPRISE].get(attribute).is_some(), "{attribute} of {user}");
                }
            }
            seen.extend(page.ids());
        }
        assert_eq!(seen, expected, "pages of {size}");
    }
    assert_eq!(app.get("/Users").await.expect(200).ids().len(), 100, "the default page");
    assert_employees_walk(&app, &expected).await;
}

/// The employees' own pages, from cursor to cursor.
async fn assert_employees_walk(app: &TestApp, expected: &[String]) {
    let api = app.under("/api/v1");
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page: Answer = api.get(&format!("/employees?count=100&cursor={cursor}")).await.expect(200);
        assert_eq!(page.body["total"], 250);
        seen.extend(page.list("employees").iter().map(|employee| employee["id"].as_str().unwrap().to_owned()));
        match page.body["next"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => break,
        }
    }
    assert_eq!(seen, expected);
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), 250);
}
