//! What a request may get wrong: each fault has its status, its `scimType` and a sentence that names attribute, value and rule;
//! nothing is half-written, and no word of the database reaches a client. PATCH and texts have files of their own.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::{Answer, TestApp, app, app_with, strict_app};
use crate::support::observer;

pub const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// Words that only the database or the program would say.
const INSIDES: &[&str] =
    &["sqlx", "postgres", "sqlstate", "constraint", "relation", "jsonb", "column \"", "22P05", "22021", "23505", "panicked", ".rs:"];

/// An error in the form that every error has: SCIM body, headers, nothing of the inside.
#[track_caller]
pub fn assert_well_formed(answer: &Answer) {
    assert!(answer.status.is_client_error(), "{}: {}", answer.status, answer.text);
    assert_eq!(answer.body["schemas"], json!(["urn:ietf:params:scim:api:messages:2.0:Error"]), "{}", answer.text);
    assert_eq!(answer.body["status"], answer.status.as_u16().to_string());
    assert!(!answer.detail().is_empty() && answer.detail().chars().count() <= 513, "{}", answer.text);
    assert!(!answer.detail().chars().any(char::is_control), "a control character is echoed: {:?}", answer.detail());
    assert_eq!(answer.header("content-type"), "application/scim+json");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert!(!answer.header("x-request-id").is_empty());
    let lower = answer.text.to_lowercase();
    for word in INSIDES {
        assert!(!lower.contains(&word.to_lowercase()), "the answer speaks of {word}: {}", answer.text);
    }
}

/// Sends a body as it is.
pub async fn raw(app: &TestApp, method: &str, path: &str, body: impl Into<axum::body::Body>) -> Answer {
    app.send(app.builder(method, path), body).await
}

/// Everything that the tenant has: users, groups, memberships, and events of what succeeded.
pub async fn stock(app: &TestApp) -> Value {
    sqlx::query_scalar(
        "select jsonb_build_object(
             'users', (select jsonb_agg(to_jsonb(u) order by u.seq) from users u where u.tenant_id = $1),
             'groups', (select jsonb_agg(to_jsonb(g) order by g.seq) from groups g where g.tenant_id = $1),
             'members', (select jsonb_agg(to_jsonb(m) order by m.group_id, m.user_id) from members m where m.tenant_id = $1),
             'subgroups', (select jsonb_agg(to_jsonb(s) order by s.group_id, s.child_id) from subgroups s where s.tenant_id = $1),
             'events', (select count(*) from events e where e.tenant_id = $1 and e.outcome = 'success'))",
    )
    .bind(app.tenant.id)
    .fetch_one(&mut observer().await)
    .await
    .unwrap()
}

#[tokio::test]
async fn malformed_json_is_refused_with_its_position() {
    let app = app().await;
    let user = app.user("jsnow").await;
    let before = stock(&app).await;
    for (body, position) in [
        ("{\"userName\": \"a\",}", "line 1 column 18"),
        ("{\"userName\":\n tru}", "line 2 column"),
        ("{\"userName\"", "line 1 column"),
        ("{\"userName\":\"a\"} {}", "line 1 column"),
        ("{'userName':'a'}", "line 1 column 2"),
        ("{\"userName\":\"\\ud800\"}", "line 1 column"),
        ("{\"userName\":\"\\ud800\\u0041\"}", "line 1 column"),
        ("{\"userName\":\"a\nb\"}", "line"),
        ("{\"userName\":\"\\x41\"}", "line 1 column"),
        ("{\"active\":1e400}", "line 1 column"),
        ("{\"active\":0123}", "line 1 column"),
        ("{\"active\":NaN}", "line 1 column"),
        ("\u{feff}{}", "line 1 column"),
    ] {
        for (method, path) in [("POST", "/Users".to_owned()), ("PUT", format!("/Users/{user}")), ("PATCH", format!("/Users/{user}"))] {
            let refused = raw(&app, method, &path, body).await.refused(400, "invalidSyntax");
            assert_well_formed(&refused);
            assert!(refused.detail().contains(position), "{body}: {}", refused.detail());
        }
    }
    raw(&app, "POST", "/Users", vec![b'{', b'"', 0xff, b'"', b':', b'1', b'}']).await.refused(400, "invalidSyntax");
    assert_eq!(stock(&app).await, before);
}

#[tokio::test]
async fn a_body_that_is_no_object_is_refused() {
    let app = app().await;
    for body in ["", "  \n", "[]", "null", "true", "1", "\"text\"", "[{\"userName\":\"a\"}]"] {
        for path in ["/Users", "/Groups", "/Users/.search", "/Groups/.search"] {
            assert_well_formed(&raw(&app, "POST", path, body).await.refused(400, "invalidSyntax"));
        }
    }
}

/// PAT-009: one rule for all: a key stands once in an object, in any letter case.
#[tokio::test]
async fn a_key_that_stands_twice_is_refused() {
    let app = app().await;
    let user = app.user("jsnow").await;
    let before = stock(&app).await;
    for body in [
        r#"{"userName":"a","userName":"b"}"#,
        r#"{"userName":"a","active":true,"Active":false}"#,
        r#"{"userName":"a","emails":[{"value":"a@b","VALUE":"c@d"}]}"#,
        r#"{"userName":"a","custom":{"x":1,"X":2}}"#,
        r#"{"userName":"a","user\u004eame":"b"}"#,
    ] {
        let refused = raw(&app, "POST", "/Users", body).await.refused(400, "invalidSyntax");
        assert!(refused.detail().contains("twice"), "{}", refused.detail());
        raw(&app, "PUT", &format!("/Users/{user}"), body).await.refused(400, "invalidSyntax");
    }
    let twice = r#"{"Operations":[{"op":"replace","path":"active","value":false}],"operations":[]}"#;
    raw(&app, "PATCH", &format!("/Users/{user}"), twice).await.refused(400, "invalidSyntax");
    assert_eq!(stock(&app).await, before);
}

#[tokio::test]
async fn hostile_depth_is_refused_and_the_server_lives() {
    let app = app().await;
    for depth in [40, 1_000, 200_000] {
        let arrays = format!("{{\"userName\":\"a\",\"x\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        let objects = format!("{{\"userName\":\"a\",\"x\":{}1{}}}", "{\"a\":".repeat(depth), "}".repeat(depth));
        for body in [arrays, objects, "[".repeat(depth)] {
            assert_well_formed(&raw(&app, "POST", "/Users", body).await.refused(400, "invalidSyntax"));
        }
        let parentheses = format!("{}userName pr{}", "(".repeat(depth), ")".repeat(depth));
        let nots = format!("{}userName pr", "not (".repeat(depth));
        for filter in [parentheses, nots] {
            assert_well_formed(&app.post("/Users/.search", json!({ "filter": filter })).await.refused(400, "invalidFilter"));
        }
    }
    app.user("jsnow").await;
}

#[tokio::test]
async fn a_value_of_the_wrong_type_is_named_with_its_attribute() {
    let app = app().await;
    let strict = strict_app().await;
    let user = |extra: Value| {
        let mut body = json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "jsnow" });
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        body
    };
    for (extra, names) in [
        (json!({ "userName": 5 }), ["userName", "5"]),
        (json!({ "userName": { "value": "a" } }), ["userName", "an object"]),
        (json!({ "userName": ["a", "b"] }), ["userName", "an array"]),
        (json!({ "title": true }), ["title", "true"]),
        (json!({ "active": "perhaps" }), ["active", "perhaps"]),
        (json!({ "active": 1 }), ["active", "1"]),
        (json!({ "name": "Jon Snow" }), ["name", "Jon Snow"]),
        (json!({ "name": { "givenName": 7 } }), ["name.givenName", "7"]),
        (json!({ "emails": [{ "value": 7 }] }), ["emails[0].value", "7"]),
        (json!({ "emails": [{ "value": "a@b" }, 12] }), ["emails[1]", "12"]),
        (json!({ "emails": [{ "value": "a@b", "primary": "perhaps" }] }), ["emails[0].primary", "perhaps"]),
        (json!({ "emails": 7 }), ["emails", "7"]),
        (json!({ "x509Certificates": [{ "value": "no base64!" }] }), ["x509Certificates[0].value", "base64"]),
        (json!({ ENTERPRISE: "x" }), ["enterprise", "an object"]),
        (json!({ ENTERPRISE: { "department": 12 } }), ["department", "12"]),
        (json!({ ENTERPRISE: { "manager": { "value": 1 } } }), ["manager.value", "1"]),
        (json!({ "schemas": 5 }), ["schemas", "5"]),
        (json!({ "schemas": [5] }), ["schemas", "5"]),
        (json!({ "externalId": 1001 }), ["externalId", "1001"]),
    ] {
        for app in [&app, &strict] {
            let refused = app.post("/Users", user(extra.clone())).await.refused(400, "invalidValue");
            assert_well_formed(&refused);
            for name in names {
                assert!(refused.detail().contains(name), "{extra}: {}", refused.detail());
            }
        }
    }
    for (members, name) in [
        (json!([5]), "members[0]"),
        (json!([{ "value": 5 }]), "members[0].value"),
        (json!([{ "value": Uuid::nil() }, { "display": "x" }]), "members[1].value"),
        (json!([{ "value": [] }]), "members[0].value"),
    ] {
        let refused = app.post("/Groups", json!({ "displayName": "Sales", "members": members })).await.refused(400, "invalidValue");
        assert!(refused.detail().contains(name), "{members}: {}", refused.detail());
    }
    assert_eq!(stock(&app).await["users"], Value::Null);
    assert_eq!(stock(&app).await["groups"], Value::Null);
}

#[tokio::test]
async fn a_strict_connection_refuses_what_the_rfc_does_not_have() {
    let app = strict_app().await;
    let schemas = json!(["urn:ietf:params:scim:schemas:core:2.0:User"]);
    for (body, scim_type) in [
        (json!({ "userName": "a" }), "invalidSyntax"),
        (json!({ "schemas": [], "userName": "a" }), "invalidSyntax"),
        (json!({ "schemas": schemas, "userName": "a", "shoeSize": 12 }), "invalidSyntax"),
        (json!({ "schemas": ["urn:scim:schemas:core:1.0"], "userName": "a" }), "invalidSyntax"),
        (json!({ "schemas": schemas, "userName": "a", "active": "True" }), "invalidValue"),
        (json!({ "schemas": schemas, "userName": "a", "emails": { "value": "a@b" } }), "invalidValue"),
        (json!({ "schemas": schemas, "userName": "a", ENTERPRISE: { "manager": "x" } }), "invalidValue"),
        (
            json!({ "schemas": schemas, "userName": "a", "emails": [{ "value": "a", "primary": true }, { "value": "b", "primary": true }] }),
            "invalidValue",
        ),
    ] {
        assert_well_formed(&app.post("/Users", body).await.refused(400, scim_type));
    }
}

#[tokio::test]
async fn what_is_required_is_asked_for_by_name() {
    let app = app().await;
    for body in [
        json!({}),
        json!({ "userName": null }),
        json!({ "userName": "" }),
        json!({ "userName": [] }),
        json!({ "userName": "  " }),
        json!({ "userName": "\u{200b}" }),
    ] {
        let refused = app.post("/Users", body).await.refused(400, "invalidValue");
        assert!(refused.detail().contains("userName"), "{}", refused.detail());
    }
    for body in [json!({}), json!({ "displayName": null }), json!({ "displayName": "" })] {
        let refused = app.post("/Groups", body).await.refused(400, "invalidValue");
        assert!(refused.detail().contains("displayName"), "{}", refused.detail());
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_whether_announced_or_not() {
    let app = app_with(Default::default(), Default::default(), &[("FRONTDESK_LIMITS_BODY_BYTES", "1000")]).await;
    let body = |length: usize| {
        let frame = json!({ "userName": "jsnow", "title": "" }).to_string().len();
        json!({ "userName": "jsnow", "title": "x".repeat(length - frame) }).to_string()
    };
    let large = body(1_001);
    let announced = app.builder("POST", "/Users").header("content-length", large.len());
    let streamed = axum::body::Body::from_stream(futures_util::stream::iter([Ok::<_, std::io::Error>(large.clone())]));
    for refused in [app.send(announced, large.clone()).await, raw(&app, "POST", "/Users", streamed).await] {
        assert_well_formed(&refused.clone().refused(413, ""));
        // N79: the limit is named.
        assert!(refused.detail().contains("1000"), "{}", refused.detail());
    }
    assert_eq!(stock(&app).await["users"], Value::Null);
    raw(&app, "POST", "/Users", body(1_000)).await.expect(201);
}

#[tokio::test]
async fn another_media_type_or_encoding_is_415() {
    let app = app().await;
    for (name, value) in [("content-type", "text/plain"), ("content-type", "application/xml"), ("content-encoding", "gzip")] {
        let mut request = axum::http::Request::builder().method("POST").uri("/scim/v2/Users").header(name, value);
        request = request.header("authorization", format!("Bearer {}", app.token));
        assert_well_formed(&app.send(request, r#"{"userName":"a"}"#).await.refused(415, ""));
    }
    let charset =
        axum::http::Request::builder().method("POST").uri("/scim/v2/Users").header("content-type", "Application/JSON; charset=utf-8");
    app.send(charset.header("authorization", format!("Bearer {}", app.token)), r#"{"userName":"a"}"#).await.expect(201);
}

#[tokio::test]
async fn an_id_that_is_no_uuid_is_unknown_like_any_other() {
    let app = app().await;
    let user = app.user("jsnow").await;
    let ids = [
        "x".to_owned(),
        "1".into(),
        "null".into(),
        user.to_uppercase(),
        user.replace('-', ""),
        format!("{{{user}}}"),
        format!("urn:uuid:{user}"),
        "%00".into(),
        "%22".into(),
        "'%20or%201=1--".into(),
        "a".repeat(5_000),
        Uuid::nil().to_string(),
        Uuid::now_v7().to_string(),
        "%ff".into(),
        "*".into(),
    ];
    let before = stock(&app).await;
    for (kind, body) in [("Users", json!({ "userName": "b" })), ("Groups", json!({ "displayName": "b" }))] {
        let patch = json!({ "Operations": [{ "op": "replace", "path": "displayName", "value": "b" }] });
        for id in &ids {
            let path = format!("/{kind}/{id}");
            for (method, body) in [("GET", None), ("PUT", Some(&body)), ("PATCH", Some(&patch)), ("DELETE", None)] {
                let answered = app.request(method, &path, body.cloned()).await;
                assert_eq!(answered.status.as_u16(), 404, "{method} {path}: {}", answered.text);
                assert_well_formed(&answered);
            }
        }
    }
    for path in ["/Schemas/x", "/ResourceTypes/x", "/Schemas/%00"] {
        assert_well_formed(&app.get(path).await.refused(404, ""));
    }
    assert_eq!(stock(&app).await, before);
}

#[tokio::test]
async fn unknown_query_parameters_are_ignored_and_unparsable_ones_refused() {
    let app = app().await;
    let user = app.user("jsnow").await;
    for query in ["aadOptscim062020", "foo=bar&_=1", "", "&&", "startIndex=&count=", "=", "foo[]=1", "access_token=x", "filter.x=1"] {
        assert_eq!(app.get(&format!("/Users?{query}")).await.expect(200).ids(), [user.as_str()], "{query}");
        app.get(&format!("/Users/{user}?{query}")).await.expect(200);
    }
    for (query, scim_type) in [
        ("count=abc", "invalidValue"),
        ("count=1.5", "invalidValue"),
        ("startIndex=1e3", "invalidValue"),
        ("startIndex=0x1", "invalidValue"),
        ("count=1&count=2", "invalidValue"),
        ("sortOrder=sideways", "invalidValue"),
        ("sortBy=shoeSize", "invalidValue"),
        ("sortBy=password", "invalidValue"),
        ("filter=%zz", "invalidValue"),
        ("filter=%ff", "invalidValue"),
        ("filter=", "invalidFilter"),
        ("filter=++", "invalidFilter"),
        ("filter", "invalidFilter"),
        ("filter=userName", "invalidFilter"),
        ("filter=userName+eq", "invalidFilter"),
        ("filter=userName+is+%22a%22", "invalidFilter"),
        ("filter=shoeSize+eq+12", "invalidFilter"),
        ("filter=password+pr", "invalidFilter"),
        ("filter=active+gt+true", "invalidFilter"),
        ("filter=userName+eq+%22a%22&filter=userName+eq+%22b%22", "invalidFilter"),
    ] {
        for path in ["/Users", "/Groups"] {
            if path == "/Groups" && query.contains("active") {
                continue;
            }
            assert_well_formed(&app.get(&format!("{path}?{query}")).await.refused(400, scim_type));
        }
    }
    for body in
        [json!({ "count": "x" }), json!({ "filter": 5 }), json!({ "attributes": 5 }), json!({ "startIndex": {} }), json!({ "sortBy": [] })]
    {
        assert_well_formed(&app.post("/Users/.search", body).await.refused(400, "invalidValue"));
    }
    assert_well_formed(&app.post("/Users/.search", json!({ "filter": "" })).await.refused(400, "invalidFilter"));
}

/// N57, RFC 7644 §3.4.2.4.
#[tokio::test]
async fn pages_are_clamped_as_the_rfc_says() {
    let app = app_with(
        Default::default(),
        Default::default(),
        &[("FRONTDESK_LIMITS_PAGE_SIZE_DEFAULT", "3"), ("FRONTDESK_LIMITS_PAGE_SIZE_MAX", "4")],
    )
    .await;
    let mut ids = Vec::new();
    for name in ["a", "b", "c", "d", "e"] {
        ids.push(app.user(name).await);
    }
    for (query, start, shown) in [
        ("", 1, 0..3),
        ("count=0", 1, 0..0),
        ("count=-5", 1, 0..0),
        ("count=2", 1, 0..2),
        ("count=4", 1, 0..4),
        ("count=5", 1, 0..4),
        ("count=99999999999999999999", 1, 0..4),
        ("startIndex=0", 1, 0..3),
        ("startIndex=-99999999999999999999", 1, 0..3),
        ("startIndex=2&count=2", 2, 1..3),
        ("startIndex=5", 5, 4..5),
        ("startIndex=6", 6, 0..0),
        ("startIndex=9223372036854775807&count=4", i64::MAX, 0..0),
        ("startIndex=99999999999999999999", i64::MAX, 0..0),
    ] {
        let page = app.get(&format!("/Users?{query}")).await.expect(200);
        assert_eq!(page.body["totalResults"], 5, "{query}: {}", page.text);
        assert_eq!(page.body["startIndex"], start, "{query}");
        assert_eq!(page.body["itemsPerPage"], shown.len(), "{query}");
        assert_eq!(page.ids(), ids[shown], "{query}");
    }
}
