//! Methods, media types and paths (RFC 7644 §3.2, §3.8, §3.12, §3.13): N80, N82, N85. Which method each route has, what tricks with
//! paths meet, and what a body may be encoded in, is in `auth` and `bad_input`.

use std::collections::BTreeSet;

use frontdesk::http::{BASES, routes};
use serde_json::{Value, json};

use crate::app::{TestApp, app};

async fn ask(app: &TestApp, method: &str, path: &str, header: (&str, &str), body: &str) -> crate::app::Answer {
    app.send(app.builder(method, path).header(header.0, header.1), body.to_owned()).await
}

/// RFC 9110 §15.5.6: the header lists the methods that there are, all of them and no others.
#[tokio::test]
async fn allow_lists_exactly_what_there_is() {
    let app = app().await;
    for route in routes::SCIM {
        let path = route.path.replace("{id}", "0190b5a0-7c1e-7000-8000-000000000001");
        let mut there: BTreeSet<&str> = route.methods.iter().copied().collect();
        if there.contains("GET") {
            there.insert("HEAD");
        }
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "LOCK"] {
            let answer = app.request(method, &path, None).await;
            assert_eq!(answer.status.as_u16() == 405, !there.contains(method), "{method} {path}");
            if answer.status.as_u16() == 405 {
                let allowed: BTreeSet<&str> = answer.header("allow").split(',').map(str::trim).collect();
                assert_eq!(allowed, there, "{method} {path}");
                assert_eq!(answer.header("content-type"), "application/scim+json");
            }
        }
    }
}

#[tokio::test]
async fn head_has_the_headers_of_get_and_no_body() {
    let app = app().await;
    let user = app.user("jsnow").await;
    let group = app.group("Sales", &[&user]).await;
    for path in ["/Users", "/Groups", "", "/Schemas", "/ServiceProviderConfig", &format!("/Users/{user}"), &format!("/Groups/{group}")] {
        let (got, head) = (app.get(path).await.expect(200), app.request("HEAD", path, None).await.expect(200));
        assert_eq!(head.text, "", "{path}");
        for name in ["content-type", "etag", "content-location", "cache-control"] {
            assert_eq!(head.header(name), got.header(name), "{path} {name}");
        }
    }
    assert_eq!(app.request("HEAD", "/Users/nobody", None).await.expect(404).text, "");
}

/// N80: whatever is asked for, the answer is SCIM.
#[tokio::test]
async fn the_answer_is_scim_whatever_is_accepted() {
    let app = app().await;
    let user = app.user("jsnow").await;
    for accept in ["application/scim+json", "application/json", "*/*", "text/html", "application/xml;q=0.9", "", ";;"] {
        for path in ["/Users", "/Schemas", "/ServiceProviderConfig", &format!("/Users/{user}")] {
            let answer = ask(&app, "GET", path, ("accept", accept), "").await.expect(200);
            assert_eq!(answer.header("content-type"), "application/scim+json", "{accept}");
        }
        let refused = ask(&app, "GET", "/Users/nobody", ("accept", accept), "").await.refused(404, "");
        assert_eq!(refused.header("content-type"), "application/scim+json", "{accept}");
    }
}

/// Every method that has a body reads the two JSON media types and nothing else.
#[tokio::test]
async fn a_body_of_another_kind_is_415_everywhere() {
    let app = app().await;
    let user = app.user("jsnow").await;
    let group = app.group("Sales", &[]).await;
    let (user, group) = (format!("/Users/{user}"), format!("/Groups/{group}"));
    for (method, path) in [
        ("POST", "/Users"),
        ("POST", "/Groups"),
        ("POST", "/.search"),
        ("POST", "/Users/.search"),
        ("POST", "/Groups/.search"),
        ("PUT", &user),
        ("PATCH", &user),
        ("PUT", &group),
        ("PATCH", &group),
    ] {
        for media_type in ["text/plain", "application/x-www-form-urlencoded", "application/json-patch+json", "json"] {
            let request = axum::http::Request::builder().method(method).uri(format!("/scim/v2{path}"));
            let request = request.header("authorization", format!("Bearer {}", app.token)).header("content-type", media_type);
            app.send(request, "{}").await.refused(415, "");
        }
        for encoding in ["gzip", "br", "deflate, gzip"] {
            ask(&app, method, path, ("content-encoding", encoding), "{}").await.refused(415, "");
        }
        assert_ne!(ask(&app, method, path, ("content-encoding", "identity"), "{}").await.status.as_u16(), 415);
    }
}

/// N82: under a base everything that is wrong is told in SCIM's form.
#[tokio::test]
async fn a_path_that_leads_nowhere_is_a_scim_error() {
    let app = app().await;
    for base in BASES {
        let app = app.under(base);
        for path in
            ["/Nothing", "/Users/a/b", "/Users/%FF", "/Users/..", "/Users/.search/x", "/groups", "/Schemas/%zz", "/.", "/%", "/Users%2F"]
        {
            for method in ["GET", "POST", "DELETE"] {
                let answer = app.request(method, path, Some(json!({}))).await;
                assert!(matches!(answer.status.as_u16(), 404 | 405), "{method} {base}{path}: {} {}", answer.status, answer.text);
                let status = answer.status.as_u16();
                answer.refused(status, "");
            }
        }
    }
}

/// N85.
#[tokio::test]
async fn a_version_that_is_not_spoken_is_named() {
    let app = app().await;
    for path in [
        "/scim/v1/Users",
        "/scim/v1",
        "/scim/v3/Groups/1",
        "/api/scim/v1/Users",
        "/scim/V10/Schemas",
        "/scim/v1.1/Users",
        "/scim/v2.1/Users",
    ] {
        for method in ["GET", "POST", "PATCH"] {
            let outside = TestApp { base: "", ..app.clone() };
            outside.request(method, path, Some(json!({}))).await.refused(400, "invalidVers");
        }
    }
    for base in BASES {
        assert_eq!(app.under(base).get("/Users").await.expect(200).body["Resources"], Value::Array(vec![]));
    }
}
