//! What a lenient connection accepts because a real client needs it, beyond PATCH: each is a rule of how identity providers
//! speak, and the answer is always in the RFC's form.

use serde_json::{Value, json};

use crate::app::{TestApp, app};
use crate::cases::percent;

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

async fn found(app: &TestApp, filter: &str) -> usize {
    let answer = app.get(&format!("/Users?filter={}", percent(filter))).await.expect(200);
    usize::try_from(answer.body["totalResults"].as_u64().expect("a number")).expect("a small one")
}

/// Names in any letter case, in bodies and filters alike; what the client may not write is ignored.
#[tokio::test]
async fn names_are_read_in_any_letter_case() {
    let app = app().await;
    let body = json!({
        "SCHEMAS": ["URN:ietf:params:scim:schemas:core:2.0:USER"], "UserName": "jsnow", "ACTIVE": true, "Emails": [{ "Value": "j@x", "TYPE": "work", "Primary": true }],
        "id": "mine", "META": { "version": "x" }, "groups": [{ "value": "x" }], ENTERPRISE.to_ascii_uppercase(): { "Department": "Watch", "Manager": { "VALUE": "7" } },
    });
    let user = app.post("/Users", body).await.expect(201);
    assert_ne!(user.id(), "mine");
    assert_eq!(user.body["emails"], json!([{ "value": "j@x", "type": "work", "primary": true }]));
    assert_eq!(user.body[ENTERPRISE], json!({ "department": "Watch", "manager": { "value": "7" } }));
    assert_eq!(user.body["meta"]["version"], "W/\"1\"");
    assert!(user.body.get("groups").is_none());
    for filter in
        ["USERNAME EQ \"JSNOW\"", "emails.Value Eq \"J@X\"", "Department Sw \"wat\"", "manager eq \"7\"", "emails[TYPE eq \"WORK\"]"]
    {
        assert_eq!(found(&app, filter).await, 1, "{filter}");
    }
}

/// Booleans as text in every place, answered as booleans; anything else is refused.
#[tokio::test]
async fn booleans_are_taken_as_text() {
    let app = app().await;
    let body = |active: Value| json!({ "userName": "jsnow", "active": active, "roles": [{ "value": "r", "primary": "True" }] });
    for (index, (sent, active)) in [("True", true), ("False", false), ("true", true), ("FALSE", false)].into_iter().enumerate() {
        let mut created = body(sent.into());
        created["userName"] = format!("jsnow{index}").into();
        let user = app.post("/Users", created).await.expect(201);
        assert_eq!((&user.body["active"], &user.body["roles"][0]["primary"]), (&json!(active), &json!(true)));
        let put = app.put(&format!("/Users/{}", user.id()), body(sent.into())).await.expect(200);
        assert_eq!(put.body["active"], active);
        assert_eq!(found(&app, &format!("active eq \"{sent}\" and roles[primary eq \"{sent}\"]")).await, usize::from(active));
        app.delete(&format!("/Users/{}", user.id())).await.expect(204);
    }
    for wrong in [json!("yes"), json!("1"), json!(1), json!({}), json!([true, false])] {
        app.post("/Users", body(wrong)).await.refused(400, "invalidValue");
    }
}

/// A value path that selects nothing makes the value from its `eq` clauses, with their types.
#[tokio::test]
async fn a_value_is_made_from_the_clauses_of_its_path() {
    let app = app().await;
    for op in ["add", "Replace"] {
        let user = app.user("jsnow").await;
        let operations = json!([
            { "op": op, "path": "roles[primary eq \"True\"].value", "value": "admin" },
            { "op": op, "path": "roles[primary eq \"True\"].display", "value": "Administrator" },
            { "op": op, "path": "addresses[type eq \"work\"].locality", "value": "Berlin" },
            { "op": op, "path": "addresses[type eq \"work\"].country", "value": "DE" },
            { "op": op, "path": "phoneNumbers[type eq \"mobile\" and primary eq true].value", "value": "1" },
        ]);
        let user = app.patch(&format!("/Users/{user}"), json!({ "Operations": operations })).await.expect(200);
        assert_eq!(user.body["roles"], json!([{ "primary": true, "value": "admin", "display": "Administrator" }]));
        assert_eq!(user.body["addresses"], json!([{ "type": "work", "locality": "Berlin", "country": "DE" }]));
        assert_eq!(user.body["phoneNumbers"], json!([{ "type": "mobile", "primary": true, "value": "1" }]));
        app.delete(&format!("/Users/{}", user.id())).await.expect(204);
    }
}

/// A manager comes as text, object or list, and is always answered as an object; an empty one is none.
#[tokio::test]
async fn a_manager_is_always_answered_as_an_object() {
    let app = app().await;
    let user = app.user("jsnow").await;
    let body = |manager: &Value| json!({ "userName": "jsnow", ENTERPRISE: { "department": "Watch", "manager": manager } });
    for (sent, answered) in [
        (json!("7"), json!({ "value": "7" })),
        (json!({ "value": "7" }), json!({ "value": "7" })),
        (json!({ "value": "7", "displayName": "ours to say" }), json!({ "value": "7" })),
        (json!([{ "$ref": null, "value": "7" }]), json!({ "value": "7" })),
        (json!(""), Value::Null),
        (json!({ "value": "" }), Value::Null),
        (json!({}), Value::Null),
        (json!([]), Value::Null),
        (Value::Null, Value::Null),
    ] {
        let put = app.put(&format!("/Users/{user}"), body(&sent)).await.expect(200);
        assert_eq!(put.body[ENTERPRISE].get("manager").unwrap_or(&Value::Null), &answered, "PUT {sent}");
        for path in ["manager".to_owned(), format!("{ENTERPRISE}:manager")] {
            app.put(&format!("/Users/{user}"), body(&json!("1"))).await.expect(200);
            let operations = json!([{ "op": "Replace", "path": path, "value": sent }]);
            let patched = app.patch(&format!("/Users/{user}"), json!({ "Operations": operations })).await.expect(200);
            let expected = if sent == json!({}) { json!({ "value": "1" }) } else { answered.clone() };
            assert_eq!(patched.body[ENTERPRISE].get("manager").unwrap_or(&Value::Null), &expected, "PATCH {path} {sent}");
        }
    }
    app.put(&format!("/Users/{user}"), body(&json!(["7", "8"]))).await.refused(400, "invalidValue");
}

/// Null, the empty array and the empty string are no values; required ones are missed.
#[tokio::test]
async fn empty_values_are_unassigned_or_missed() {
    let app = app().await;
    let body = json!({
        "schemas": null, "userName": "jsnow", "displayName": null, "title": "", "externalId": null, "emails": [], "roles": null, "name": {}, "addresses": "",
        "members": null, ENTERPRISE: null, "password": "", "phoneNumbers": [{ "type": "work", "value": "" }, null],
    });
    let user = app.post("/Users", body).await.expect(201);
    let names: Vec<&String> = user.body.as_object().expect("an object").keys().collect();
    assert_eq!(names, ["schemas", "id", "userName", "displayName", "active", "meta"]);
    for name in [json!(""), json!("  "), json!(null), json!([]), json!("\u{200b}")] {
        app.post("/Users", json!({ "userName": name })).await.refused(400, "invalidValue");
        app.post("/Groups", json!({ "displayName": name })).await.refused(400, "invalidValue");
    }
    app.post("/Users", json!({})).await.refused(400, "invalidValue");
}

/// N10: an extension without attributes is unassigned, however that is written, by POST and PUT as by PATCH.
#[tokio::test]
async fn an_extension_is_unassigned_in_every_way() {
    let app = app().await;
    for nothing in [json!(null), json!([]), json!(""), json!({})] {
        let full = json!({ "userName": "jsnow", ENTERPRISE: { "department": "Watch" } });
        let empty = json!({ "schemas": [USER, ENTERPRISE, null], "userName": "jsnow", ENTERPRISE: nothing });
        let user = app.post("/Users", empty.clone()).await.expect(201);
        assert!(user.body.get(ENTERPRISE).is_none() && user.body["schemas"] == json!([USER]), "{}", user.text);
        let path = format!("/Users/{}", user.id());
        app.put(&path, full).await.expect(200);
        let put = app.put(&path, empty).await.expect(200);
        assert!(put.body.get(ENTERPRISE).is_none(), "{}", put.text);
        assert_eq!(app.employee(&user.id()).await["department_name"], Value::Null);
        app.delete(&path).await.expect(204);
    }
    for wrong in [json!("x"), json!(true), json!([{}])] {
        app.post("/Users", json!({ "userName": "jsnow", ENTERPRISE: wrong })).await.refused(400, "invalidValue");
    }
}

/// Names in any letter case also where a value is taken out of a wrapping.
#[tokio::test]
async fn wrapped_values_are_read_in_any_letter_case() {
    let app = app().await;
    let user = app.user("jsnow").await;
    let operations = json!([
        { "op": "Add", "path": "nickName", "value": [{ "$ref": null, "Value": "Lord" }] },
        { "op": "Add", "path": "roles", "value": [{ "Value": "{\"Id\":\"18d1\",\"Value\":\"Admin\",\"DisplayName\":\"Administrator\"}" }] },
    ]);
    let patched = app.patch(&format!("/Users/{user}"), json!({ "Operations": operations })).await.expect(200);
    assert_eq!(patched.body["nickName"], "Lord");
    assert_eq!(patched.body["roles"], json!([{ "value": "Admin", "display": "Administrator" }]));
}

/// Unknown schemas and attributes are set aside: not refused, not shown.
#[tokio::test]
async fn what_no_schema_knows_is_not_refused() {
    let app = app().await;
    let body = json!({
        "schemas": ["urn:scim:schemas:core:2.0", "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group", ENTERPRISE],
        "userName": "jsnow", "costcenter": "42", "department": "Watch", "nested": { "a": [1] }, "name": { "givenName": "Jon", "nick": "x" },
        "urn:scim:schemas:extension:enterprise:1.0": { "x": 1 }, ENTERPRISE: { "badge": 7 },
    });
    let user = app.post("/Users", body).await.expect(201);
    assert_eq!(user.body["schemas"], json!(["urn:ietf:params:scim:schemas:core:2.0:User"]), "N11: only what is there is listed");
    for unknown in ["costcenter", "nested", "nick", "badge", "enterprise:1.0"] {
        assert!(!user.text.contains(unknown), "{}", user.text);
    }
}

/// A user who was switched off stays where it is; a deleted one is nowhere, and its name is free.
#[tokio::test]
async fn inactive_users_stay_and_deleted_ones_go() {
    let app = app().await;
    let user = app.user("jsnow").await;
    let group = app.group("Watch", &[&user]).await;
    app.patch(&format!("/Users/{user}"), json!({ "Operations": [{ "op": "replace", "value": { "active": false } }] })).await.expect(200);
    assert_eq!(app.get(&format!("/Users/{user}")).await.expect(200).body["active"], false);
    assert_eq!(found(&app, "userName eq \"jsnow\" and active eq false").await, 1);
    assert_eq!(app.members(&group).await, [user.as_str()]);
    app.post("/Users", json!({ "userName": "JSNOW" })).await.refused(409, "uniqueness");
    assert_eq!(
        app.put(&format!("/Users/{user}"), json!({ "userName": "jsnow" })).await.expect(200).body["active"],
        true,
        "PUT without active"
    );
    app.delete(&format!("/Users/{user}")).await.expect(204);
    for answer in [
        app.get(&format!("/Users/{user}")).await,
        app.delete(&format!("/Users/{user}")).await,
        app.put(&format!("/Users/{user}"), json!({ "userName": "jsnow" })).await,
        app.patch(&format!("/Users/{user}"), json!({ "Operations": [{ "op": "remove", "path": "title" }] })).await,
    ] {
        answer.refused(404, "");
    }
    assert_eq!(found(&app, "userName eq \"jsnow\"").await, 0);
    assert!(app.members(&group).await.is_empty());
    assert_ne!(app.user("jsnow").await, user);
}

/// Filters as clients write them, outside the grammar.
#[tokio::test]
async fn filters_are_taken_as_clients_write_them() {
    let app = app().await;
    let body = json!({
        "userName": "a+b@x.org", "externalId": "42", "emails": [{ "value": "a@x.org", "type": "work" }, { "value": "b@x.org", "type": "home" }],
        ENTERPRISE: { "employeeNumber": "E1", "manager": "7" }, "name": { "familyName": "Employee" },
    });
    let user = app.post("/Users", body).await.expect(201).id();
    let group = app.group("Watch", &[&user]).await;
    for (filter, count) in [
        ("userName eq a+b@x.org", 1),
        ("name.FamilyName eq Employee", 1),
        ("emails[type eq \"work\"].value eq \"a@x.org\"", 1),
        ("emails[type eq \"work\"].value eq \"b@x.org\"", 0),
        ("emails[type eq \"home\"].value eq \"b@x.org\" and active eq true", 1),
        ("emails eq \"b@x.org\"", 1),
        ("manager eq \"7\"", 1),
        ("manager.value eq \"7\"", 1),
        ("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User.employeeNumber eq \"e1\"", 1),
        ("externalId eq \"42\"", 1),
        (" ( userName pr )  and\tnot(title pr) ", 1),
        ("meta.lastModified ge \"2020-01-01T00:00:00.1234567Z\" and (meta.lastModified le \"2100-01-01T00:00:00Z\")", 1),
    ] {
        assert_eq!(found(&app, filter).await, count, "{filter}");
    }
    let plus = app.get("/Users?aadOptscim062020&filter=userName+eq+%22a%2Bb%40x.org%22&startindex=0&Count=&").await.expect(200);
    assert_eq!(plus.ids(), [user.as_str()]);
    for filter in [
        format!("members eq \"{user}\""),
        format!("members.value eq {user}"),
        format!("members[value eq \"{user}\"] and displayName eq \"WATCH\""),
    ] {
        let answer = app.get(&format!("/Groups?filter={}&excludedAttributes=members", percent(&filter))).await.expect(200);
        assert_eq!((answer.ids(), answer.body["Resources"][0].get("members")), (vec![group.clone()], None), "{filter}");
    }
}

/// Names of groups are unique unless the tenant says otherwise.
#[tokio::test]
async fn group_names_are_unique_unless_the_tenant_allows_more() {
    let app = app().await;
    app.group("Watch", &[]).await;
    app.post("/Groups", json!({ "displayName": "WATCH" })).await.refused(409, "uniqueness");
    let other = crate::app::app().await;
    other.set("unique_group_names", "false").await;
    other.group("Watch", &[]).await;
    other.group("WATCH", &[]).await;
    let both = other.get(&format!("/Groups?filter={}", percent("displayName eq \"watch\""))).await.expect(200);
    assert_eq!(both.ids().len(), 2);
}
