//! Texts and numbers that a client may send and a database may not like: control characters, lengths, sizes. Each is refused in a
//! sentence or kept as it is, wherever it stands.

use serde_json::{Value, json};

use crate::app::app;
use crate::bad_input::{ENTERPRISE, assert_well_formed, raw, stock};

/// A body with one text put into every place that holds text, one place at a time: values and keys, known and unknown.
fn with_text_everywhere(text: &str) -> Vec<Value> {
    let user = |extra: Value| {
        let mut body = json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "jsnow" });
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        body
    };
    vec![
        user(json!({ "userName": text })),
        user(json!({ "externalId": text })),
        user(json!({ "displayName": text })),
        user(json!({ "title": text })),
        user(json!({ "profileUrl": text })),
        user(json!({ "password": text })),
        user(json!({ "name": { "familyName": text } })),
        user(json!({ "emails": [{ "value": text }] })),
        user(json!({ "emails": [{ "value": "a@b", "type": text }] })),
        user(json!({ "emails": [{ "value": "a@b", "unknown": text }] })),
        user(json!({ "emails": [{ "value": "a@b", text: "unknown" }] })),
        user(json!({ "emails": [{ "value": "a@b", text: null }] })),
        user(json!({ "emails": text })),
        user(json!({ "active": text })),
        user(json!({ "x509Certificates": [{ "value": text }] })),
        user(json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", text] })),
        user(json!({ "id": text })),
        user(json!({ "meta": { "resourceType": text } })),
        user(json!({ "groups": [{ "value": text }] })),
        user(json!({ ENTERPRISE: { "department": text } })),
        user(json!({ ENTERPRISE: { "manager": { "value": text } } })),
        user(json!({ ENTERPRISE: { "manager": text } })),
        user(json!({ ENTERPRISE: { "unknown": text } })),
        user(json!({ ENTERPRISE: { text: "unknown" } })),
        user(json!({ ENTERPRISE: { text: null } })),
        user(json!({ "department": text })),
        user(json!({ "unknown": { "deep": [text] } })),
        user(json!({ "unknown": { text: 1 } })),
        user(json!({ text: "unknown" })),
        user(json!({ text: null })),
    ]
}

/// DAT-001: PostgreSQL cannot store U+0000. It is refused here, in a sentence, wherever it stands.
#[tokio::test]
async fn the_character_nul_is_refused_wherever_it_stands() {
    let app = app().await;
    let user = app.user("asnow").await;
    let group = app.group("Sales", &[&user]).await;
    let before = stock(&app).await;
    for body in with_text_everywhere("a\0b") {
        for (method, path) in [("POST", "/Users".to_owned()), ("PUT", format!("/Users/{user}"))] {
            let refused = app.request(method, &path, Some(body.clone())).await;
            assert_eq!(refused.status.as_u16(), 400, "{method} {body}: {}", refused.text);
            assert_well_formed(&refused.clone().refused(400, "invalidValue"));
            assert!(refused.detail().contains("U+0000"), "{body}: {}", refused.detail());
        }
        let patch = json!({ "Operations": [{ "op": "replace", "value": body }] });
        assert_well_formed(&app.patch(&format!("/Users/{user}"), patch).await.refused(400, "invalidValue"));
    }
    for body in [
        json!({ "displayName": "a\0b" }),
        json!({ "displayName": "b", "externalId": "\0" }),
        json!({ "displayName": "b", "members": [{ "value": "\0" }] }),
        json!({ "displayName": "b", "members": [{ "value": user, "display": "\0" }] }),
        json!({ "displayName": "b", "members": [{ "value": user, "\0": "x" }] }),
        json!({ "displayName": "b", "unknown\0": "x" }),
    ] {
        assert_well_formed(&app.post("/Groups", body.clone()).await.refused(400, "invalidValue"));
        assert_well_formed(&app.put(&format!("/Groups/{group}"), body).await.refused(400, "invalidValue"));
    }
    assert_eq!(stock(&app).await, before);
}

/// A filter with an impossible character matches nothing or is refused; it is no fault of the server.
#[tokio::test]
async fn control_characters_in_a_query_are_no_fault_of_the_server() {
    let app = app().await;
    app.user("jsnow").await;
    for c in
        ['\0', '\u{1}', '\u{8}', '\n', '\u{1b}', '\u{7f}', '\u{85}', '\u{202e}', '\u{ffff}', '\u{10ffff}', '"', '\\', '%', '*', '$', '\'']
    {
        let text = json!(format!("a{c}b")).to_string();
        let mut filters = Vec::new();
        for attribute in [
            "userName",
            "externalId",
            "id",
            "displayName",
            "emails.value",
            "name.familyName",
            "groups.value",
            "groups.display",
            "meta.resourceType",
            "profileUrl",
        ] {
            for operator in ["eq", "ne", "co", "sw", "ew", "gt", "le"] {
                filters.push(format!("{attribute} {operator} {text}"));
            }
        }
        filters.push(format!("emails[type eq {text} and value co {text}]"));
        filters.push(format!("{ENTERPRISE}:department eq {text}"));
        filters.push(format!("a{c}b pr"));
        filters.push(format!("userName {c} {text}"));
        for filter in filters {
            for path in ["/Users/.search", "/Groups/.search"] {
                let answered = app.post(path, json!({ "filter": filter })).await;
                if answered.status.as_u16() == 200 {
                    assert!(answered.body["totalResults"].as_i64().unwrap() <= 1, "{filter:?}: {}", answered.text);
                } else {
                    assert_well_formed(&answered);
                }
            }
        }
        for parameter in ["sortBy", "attributes", "excludedAttributes", "sortOrder", "count", "cursor"] {
            let answered = app.post("/Users/.search", json!({ parameter: format!("a{c}b") })).await;
            assert!(answered.status.as_u16() == 200 || answered.status.as_u16() == 400, "{parameter} {c:?}: {}", answered.text);
        }
    }
    app.get("/Users?filter=userName+eq+%22a%00b%22").await.refused(400, "invalidFilter");
    app.get("/Users?filter=userName+eq+%22a%5Cu0000b%22").await.refused(400, "invalidFilter");
}

/// Control characters other than tab and line breaks are refused in what is stored as an attribute; identifiers have none at all.
#[tokio::test]
async fn control_characters_are_refused_in_attributes_however_they_are_addressed() {
    let app = app().await;
    let user = app.user("asnow").await;
    let before = stock(&app).await;
    for c in ['\u{1}', '\u{8}', '\u{b}', '\u{1b}', '\u{7f}', '\u{85}', '\u{9f}'] {
        let text = format!("a{c}b");
        let name = format!("U+{:04X}", c as u32);
        for body in [
            json!({ "userName": text }),
            json!({ "userName": "b", "title": text }),
            json!({ "userName": "b", "name": { "givenName": text } }),
            json!({ "userName": "b", "emails": [{ "value": text }] }),
            json!({ "userName": "b", ENTERPRISE: { "costCenter": text } }),
        ] {
            let refused = app.post("/Users", body).await.refused(400, "invalidValue");
            assert!(refused.detail().contains(&name), "{}", refused.detail());
            assert_well_formed(&refused);
        }
    }
    for c in ['\n', '\r', '\t', '\u{202e}', '\u{2066}'] {
        let text = format!("a{c}b");
        for path in ["userName", "USERNAME", "urn:ietf:params:scim:schemas:core:2.0:User:userName", "externalid", "DisplayName"] {
            let patch = json!({ "Operations": [{ "op": "replace", "path": path, "value": text }] });
            assert_well_formed(&app.patch(&format!("/Users/{user}"), patch).await.refused(400, "invalidValue"));
            let patch = json!({ "Operations": [{ "op": "replace", "value": { path: text } }] });
            assert_well_formed(&app.patch(&format!("/Users/{user}"), patch).await.refused(400, "invalidValue"));
        }
        app.post("/Groups", json!({ "displayName": text })).await.refused(400, "invalidValue");
    }
    assert_eq!(stock(&app).await, before);
    // A street may have lines.
    app.post("/Users", json!({ "userName": "b", "addresses": [{ "streetAddress": "1 Road\n2nd floor" }] })).await.expect(201);
}

#[tokio::test]
async fn names_have_a_longest_length_before_and_after_folding() {
    let app = app().await;
    let fits = "a".repeat(1_024);
    app.post("/Users", json!({ "userName": fits, "externalId": fits, "displayName": fits })).await.expect(201);
    app.post("/Groups", json!({ "displayName": fits, "externalId": fits })).await.expect(201);
    let long = "b".repeat(1_025);
    for (path, body, name) in [
        ("/Users", json!({ "userName": long }), "userName"),
        ("/Users", json!({ "userName": "b", "externalId": long }), "externalId"),
        ("/Users", json!({ "userName": "b", "displayName": long }), "displayName"),
        ("/Users", json!({ "userName": "b", "title": long }), "title"),
        ("/Users", json!({ "userName": "b", "emails": [{ "value": long }] }), "emails[0].value"),
        ("/Groups", json!({ "displayName": long }), "displayName"),
        ("/Groups", json!({ "displayName": "b", "externalId": long }), "externalId"),
    ] {
        let refused = app.post(path, body).await.refused(400, "invalidValue");
        assert_well_formed(&refused);
        assert!(refused.detail().contains(name) && refused.detail().contains("1024"), "{}", refused.detail());
    }
    // U+FDFA is one character that NFKC makes 18 of; 1,024 four-byte characters are legal and too long for an index row.
    // Ideographs in no order: PostgreSQL compresses what repeats, also in an index.
    let ideographs: String = (0..1_024_u32).filter_map(|n| char::from_u32(0x2_0000 + n.wrapping_mul(2_654_435_761) % 0xa6d0)).collect();
    for (wide, what) in [("\u{fdfa}".repeat(200), "expands"), ("\u{1f600}".repeat(1_024), "repeats"), (ideographs, "is wide")] {
        for (path, body) in [("/Users", json!({ "userName": wide })), ("/Groups", json!({ "displayName": wide }))] {
            let refused = app.post(path, body).await;
            assert_eq!(refused.status.as_u16(), 400, "a name that {what}: {}", refused.text);
            assert_well_formed(&refused.refused(400, "invalidValue"));
        }
        for (path, body) in
            [("/Users", json!({ "userName": what, "externalId": wide })), ("/Groups", json!({ "displayName": what, "externalId": wide }))]
        {
            let answered = app.post(path, body).await;
            assert!(answered.status.as_u16() == 201 || answered.status.as_u16() == 400, "an externalId that {what}: {}", answered.text);
        }
    }
    // What is no key may be as wide as it likes within its length.
    app.post("/Users", json!({ "userName": "wide", "title": "\u{fdfa}".repeat(1_024), "displayName": "\u{1f600}".repeat(1_024) }))
        .await
        .expect(201);
}

#[tokio::test]
async fn huge_numbers_are_refused_or_kept_and_never_a_fault() {
    let app = app().await;
    for number in ["1e308", "-1e308", "1e-400", "99999999999999999999999999", "-0.0", "0.1", "1E2"] {
        let name = crate::support::unique("n");
        let body = format!(r#"{{"userName":"{name}","unknown":{number},"department":{number}}}"#);
        raw(&app, "POST", "/Users", body).await.expect(201);
    }
    assert_well_formed(&raw(&app, "POST", "/Users", r#"{"userName":"n","unknown":1e309}"#).await.refused(400, "invalidSyntax"));
    for filter in [
        "userName eq 1e400",
        "active eq 1",
        "userName gt 5",
        "meta.created gt 5",
        "userName eq -",
        "userName eq \"\\ud800\"",
        "userName eq \"a",
    ] {
        let answered = app.post("/Users/.search", json!({ "filter": filter })).await;
        assert!(answered.status.as_u16() < 500, "{filter}: {}", answered.text);
    }
}
