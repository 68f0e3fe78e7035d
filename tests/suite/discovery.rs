//! What the server says of itself (RFC 7644 §4, RFC 7643 §5 to §7): N25, N26, N87, N88, N97.

use axum::http::Request;
use frontdesk::directory::{Conformance, Profile};
use frontdesk::http::BASES;
use serde_json::{Value, json};

use crate::app::{Answer, PUBLIC_URL, TestApp, answer, app, app_with};

const PATHS: [&str; 7] = [
    "/ServiceProviderConfig",
    "/ResourceTypes",
    "/ResourceTypes/User",
    "/ResourceTypes/Group",
    "/Schemas",
    "/Schemas/urn:ietf:params:scim:schemas:core:2.0:Group",
    "/Schemas/urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
];

async fn without_a_token(app: &TestApp, method: &str, path: &str) -> Answer {
    let request = Request::builder().method(method).uri(format!("{}{path}", app.base)).body(axum::body::Body::empty()).unwrap();
    answer(&app.service, request).await
}

/// N26: "publicly accessible without prior authentication"; nothing else is.
#[tokio::test]
async fn only_the_service_provider_config_is_open_to_everybody() {
    let app = app().await;
    for base in BASES {
        let app = app.under(base);
        let open = without_a_token(&app, "GET", "/ServiceProviderConfig").await.expect(200);
        assert_eq!(open.body["authenticationSchemes"][0]["type"], "oauthbearertoken");
        assert_eq!(open.body, app.get("/ServiceProviderConfig").await.expect(200).body);
        assert_eq!(open.body["meta"]["location"], format!("{PUBLIC_URL}{base}/ServiceProviderConfig"));
        assert_eq!(without_a_token(&app, "HEAD", "/ServiceProviderConfig").await.expect(200).text, "");
        without_a_token(&app, "GET", "//ServiceProviderConfig/").await.expect(200);
        for path in PATHS.iter().filter(|path| **path != "/ServiceProviderConfig") {
            without_a_token(&app, "GET", path).await.refused(401, "");
        }
        for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            without_a_token(&app, method, "/ServiceProviderConfig").await.refused(401, "");
        }
    }
    for authorization in ["Bearer fd_wrong", "Basic eDp5", ""] {
        let request = Request::builder().uri("/scim/v2/ServiceProviderConfig").header("authorization", authorization);
        app.send(request, "").await.refused(401, "");
    }
}

/// N25, N97: the limits are those of the settings, and what is announced is there.
#[tokio::test]
async fn the_configuration_tells_the_limits_in_force() {
    let settings = [
        ("FRONTDESK_LIMITS_PAGE_SIZE_DEFAULT", "2"),
        ("FRONTDESK_LIMITS_PAGE_SIZE_MAX", "3"),
        ("FRONTDESK_LIMITS_CURSOR_TIMEOUT_MS", "90000"),
    ];
    let app = app_with(Profile::SpaceIq, Conformance::Lenient, &settings).await;
    let config = app.get("/ServiceProviderConfig").await.expect(200).body;
    assert_eq!(
        config["pagination"],
        json!({
            "cursor": true, "index": true, "defaultPaginationMethod": "index",
            "defaultPageSize": 2, "maxPageSize": 3, "cursorTimeout": 90
        })
    );
    assert_eq!(config["filter"], json!({ "supported": true, "maxResults": 3 }));
    for feature in ["patch", "sort", "etag"] {
        assert_eq!(config[feature]["supported"], true, "{feature}");
    }
    for n in 0..4 {
        app.user(&format!("user{n}")).await;
    }
    assert_eq!(app.get("/Users").await.expect(200).ids().len(), 2);
    assert_eq!(app.get("/Users?count=9").await.expect(200).ids().len(), 3);
    let bulk = app.post("/Bulk", json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": [] })).await;
    assert_eq!(bulk.status.as_u16() != 501, config["bulk"]["supported"].as_bool().unwrap(), "{}", bulk.text);
}

/// What is announced of passwords depends on the tenant.
#[tokio::test]
async fn passwords_are_announced_where_they_are_kept() {
    let app = app().await;
    assert_eq!(app.get("/ServiceProviderConfig").await.expect(200).body["changePassword"]["supported"], false);
    app.set("keep_passwords", "true").await;
    let fresh = app_of(&app).await;
    assert_eq!(fresh.get("/ServiceProviderConfig").await.expect(200).body["changePassword"]["supported"], true);
}

/// The same tenant with a token that no process remembers yet.
async fn app_of(app: &TestApp) -> TestApp {
    let token = app.directory.create_token(&app.connection, None, None).await.unwrap();
    TestApp { token: token.reveal().into(), ..app.clone() }
}

/// N87: a filter is refused, everything else about a query is ignored, even where it would be wrong elsewhere.
#[tokio::test]
async fn discovery_refuses_filters_and_ignores_the_rest_of_a_query() {
    let app = app().await;
    for path in PATHS {
        let plain = app.get(path).await.expect(200);
        for query in
            ["startIndex=5&count=0", "count=many&startIndex=-", "sortBy=id&sortOrder=sideways", "cursor=x", "attributes=id", "%zz", "a=%ff"]
        {
            assert_eq!(app.get(&format!("{path}?{query}")).await.expect(200).body, plain.body, "{path}?{query}");
        }
        for query in ["filter=id pr", "count=1&FILTER=id+pr", "filter", "f%69lter=x"] {
            app.get(&format!("{path}?{query}")).await.refused(403, "");
        }
    }
}

/// N88, and N5: what a list names can be read by itself, in any letter case.
#[tokio::test]
async fn what_a_list_names_can_be_read_by_itself() {
    let app = app().await;
    for list in ["/Schemas", "/ResourceTypes"] {
        let answer = app.get(list).await.expect(200);
        assert_eq!(answer.body["schemas"], json!(["urn:ietf:params:scim:api:messages:2.0:ListResponse"]));
        let resources = answer.list("Resources");
        assert_eq!(answer.body["totalResults"], resources.len());
        for resource in resources {
            let id = resource["id"].as_str().unwrap();
            assert_eq!(resource["meta"]["location"], format!("{PUBLIC_URL}/scim/v2{list}/{id}"));
            for spelling in [id.to_owned(), id.to_uppercase(), id.to_lowercase(), id.replace(':', "%3A")] {
                assert_eq!(app.get(&format!("{list}/{spelling}")).await.expect(200).body, resource, "{spelling}");
            }
        }
        app.get(&format!("{list}/Nothing")).await.refused(404, "");
    }
}

/// N27.
#[tokio::test]
async fn a_resource_type_leads_to_its_schemas_and_its_endpoint() {
    let app = app().await;
    for resource_type in app.get("/ResourceTypes").await.expect(200).list("Resources") {
        app.get(&format!("/Schemas/{}", resource_type["schema"].as_str().unwrap())).await.expect(200);
        for extension in resource_type["schemaExtensions"].as_array().unwrap_or(&Vec::<Value>::new()) {
            app.get(&format!("/Schemas/{}", extension["schema"].as_str().unwrap())).await.expect(200);
        }
        app.get(resource_type["endpoint"].as_str().unwrap()).await.expect(200);
    }
}

/// N81: a token of a connection stands for no user.
#[tokio::test]
async fn nobody_is_me() {
    let app = app().await;
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
        app.request(method, "/Me", Some(json!({}))).await.refused(501, "");
    }
}
