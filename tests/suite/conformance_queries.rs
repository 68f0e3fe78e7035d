//! RFC 7644 through the door, requirement by requirement: queries (§3.4), discovery (§4) and what every request meets (§2, §3.8 to
//! §3.14). Each test names in its comment the lines of docs/conformance.md that it shows.

use serde_json::{Value, json};

use crate::app::{TestApp, app};

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// Three users: Ada with two e-mail addresses and a department, Bob with one, Cyd with neither.
async fn people() -> TestApp {
    let app = app().await;
    let people = [
        json!({
            "userName": "ada", "title": "Analyst", "active": true, "externalId": "1", ENTERPRISE: { "department": "Engines" },
            "emails": [
                { "value": "z@home.example", "type": "home" }, { "value": "ada@work.example", "type": "work", "primary": true }
            ]
        }),
        json!({ "userName": "bob", "title": "baker", "active": false, "emails": [{ "value": "bob@home.example", "type": "home" }] }),
        json!({ "userName": "cyd", "active": true }),
    ];
    for mut person in people {
        person["schemas"] = json!([USER, ENTERPRISE]);
        app.post("/Users", person).await.expect(201);
    }
    app
}

/// The names of those whom a filter finds, in the order of creation.
async fn found(app: &TestApp, filter: &str) -> String {
    names(app, &format!("/Users?filter={filter}")).await
}

async fn names(app: &TestApp, path: &str) -> String {
    let answer = app.get(path).await.expect(200);
    let names: Vec<String> = answer.list("Resources").iter().map(|user| user["userName"].as_str().unwrap().to_owned()).collect();
    names.join(" ")
}

/// N32, N82: the challenge names the scheme.
#[tokio::test]
async fn without_a_token_the_answer_says_which_scheme_is_expected() {
    let mut app = app().await;
    app.token = "nobody's".into();
    let refused = app.get("/Users").await.refused(401, "");
    assert!(refused.header("www-authenticate").starts_with("Bearer"));
}

/// N33, N90: no filter shape, id or member reaches into another tenant.
#[tokio::test]
async fn a_token_reaches_its_own_tenant_only() {
    let (ours, theirs) = (people().await, people().await);
    let stranger = theirs.user("stranger").await;
    for filter in ["userName pr", r#"not (userName eq "x")"#, r#"userName ne "x""#, r#"active eq true or active eq false"#] {
        assert_eq!(found(&ours, filter).await, "ada bob cyd", "{filter}");
    }
    assert_eq!(found(&ours, &format!(r#"id eq "{stranger}""#)).await, "");
    let path = format!("/Users/{stranger}");
    ours.get(&path).await.refused(404, "");
    ours.delete(&path).await.refused(404, "");
    ours.put(&path, json!({ "schemas": [USER], "userName": "stranger" })).await.refused(404, "");
    ours.post("/Groups", json!({ "displayName": "Spies", "members": [{ "value": stranger }] })).await.refused(400, "invalidValue");
    theirs.get(&path).await.expect(200);
}

/// N39, N40, N41.
#[tokio::test]
async fn a_query_answers_with_a_list_even_when_nothing_matches() {
    let app = people().await;
    let none = app.get(r#"/Users?filter=userName eq "nobody"&aadOptscim062020"#).await.expect(200);
    assert_eq!((&none.body["totalResults"], none.list("Resources")), (&json!(0), vec![]));
    let page = app.get("/Users?startIndex=2&count=1").await.expect(200);
    assert_eq!(page.body["schemas"], json!(["urn:ietf:params:scim:api:messages:2.0:ListResponse"]));
    assert_eq!((&page.body["totalResults"], &page.body["startIndex"], &page.body["itemsPerPage"]), (&json!(3), &json!(2), &json!(1)));
    assert_eq!(page.list("Resources")[0]["userName"], "bob");
}

/// N42, N57: a large result is paged, never refused.
#[tokio::test]
async fn pages_begin_and_end_where_the_rfc_says() {
    let app = people().await;
    for (query, expected) in [
        ("startIndex=0", "ada bob cyd"),
        ("startIndex=-5&count=2", "ada bob"),
        ("startIndex=3&count=100000", "cyd"),
        ("startIndex=4", ""),
        ("count=0", ""),
        ("count=-1", ""),
    ] {
        let answer = app.get(&format!("/Users?{query}")).await.expect(200);
        assert_eq!(answer.body["totalResults"], 3, "{query}");
        assert_eq!(names(&app, &format!("/Users?{query}")).await, expected, "{query}");
    }
}

/// N44, N45, N46, N47, N54.
#[tokio::test]
async fn filters_are_read_as_the_grammar_says() {
    let app = people().await;
    for (filter, expected) in [
        (r#"USERNAME Eq "ADA""#, "ada"),
        (r#"userName eq "ada" or userName eq "bob" and active eq true"#, "ada"),
        (r#"(userName eq "ada" or userName eq "bob") and active eq false"#, "bob"),
        (r#"not (userName eq "ada") and active eq true"#, "cyd"),
        (r#"not (userName eq "ada" or active eq false)"#, "cyd"),
        (r#"emails.type eq "home""#, "ada bob"),
        (r#"emails.type eq "work" and emails.value sw "z""#, "ada"),
        (r#"emails[type eq "work" and value sw "z"]"#, ""),
        (r#"emails[type eq "home" and value sw "z"]"#, "ada"),
        (r#"emails co "home.example""#, "ada bob"),
    ] {
        assert_eq!(found(&app, filter).await, expected, "{filter}");
    }
}

/// N48, N49, N50, N51, N52.
#[tokio::test]
async fn operators_compare_by_the_type_of_the_attribute() {
    let app = people().await;
    for (filter, expected) in [
        ("title pr", "ada bob"),
        ("emails pr", "ada bob"),
        ("not (emails[type pr])", "cyd"),
        (r#"title ew "YST""#, "ada"),
        (r#"title ge "b""#, "bob"),
        (r#"title ne "baker""#, "ada cyd"),
        (r#"title eq "\u0041nalyst""#, "ada"),
        ("title eq null", "cyd"),
        (r#"meta.lastModified gt "2020-01-01T00:00:00Z""#, "ada bob cyd"),
        (r#"meta.resourceType eq "User""#, "ada bob cyd"),
    ] {
        assert_eq!(found(&app, filter).await, expected, "{filter}");
    }
    for filter in ["active gt true", r#"x509Certificates.value lt "AA==""#, r#"title like "x""#, "title", r#"nope eq "x""#] {
        app.get(&format!("/Users?filter={filter}")).await.refused(400, "invalidFilter");
    }
}

/// N53, N55.
#[tokio::test]
async fn names_may_carry_their_schema_and_schemas_can_be_searched() {
    let app = people().await;
    assert_eq!(found(&app, &format!(r#"{USER}:userName eq "ada""#)).await, "ada");
    assert_eq!(found(&app, &format!(r#"{ENTERPRISE}:department eq "engines""#)).await, "ada");
    assert_eq!(found(&app, &format!(r#"schemas eq "{ENTERPRISE}""#)).await, "ada");
    let shown = app.get(&format!("/Users?attributes={ENTERPRISE}:department&sortBy={ENTERPRISE}:department")).await.expect(200);
    assert_eq!(shown.list("Resources")[0][ENTERPRISE], json!({ "department": "Engines" }));
}

/// N56.
#[tokio::test]
async fn sorting_takes_the_primary_value_and_puts_missing_ones_last() {
    let app = people().await;
    for (query, expected) in [
        ("sortBy=userName&sortOrder=descending", "cyd bob ada"),
        ("sortBy=title", "ada bob cyd"),
        ("sortBy=TITLE&sortOrder=descending", "cyd bob ada"),
        ("sortBy=emails", "ada bob cyd"),
        ("sortBy=emails.type", "bob ada cyd"),
        ("sortBy=meta.created&sortOrder=descending", "cyd bob ada"),
    ] {
        assert_eq!(names(&app, &format!("/Users?{query}")).await, expected, "{query}");
    }
}

/// N58, N59.
#[tokio::test]
async fn every_answer_shows_what_was_asked_for() {
    let app = app().await;
    let body = json!({ "schemas": [USER], "userName": "ada", "title": "Analyst", "name": { "givenName": "Ada", "familyName": "L" } });
    let created = app.post("/Users?attributes=name.givenName", body.clone()).await.expect(201);
    let path = format!("/Users/{}", created.id());
    let patch = json!({ "Operations": [{ "op": "replace", "path": "title", "value": "Countess" }] });
    let only = "attributes=name.givenName";
    for answer in [
        created.clone(),
        app.get(&format!("{path}?{only}")).await.expect(200),
        app.put(&format!("{path}?{only}"), body).await.expect(200),
        app.patch(&format!("{path}?{only}"), patch).await.expect(200),
    ] {
        assert_eq!(answer.body, json!({ "schemas": [USER], "id": created.id(), "name": { "givenName": "Ada" } }));
    }
    let listed = app.get("/Users?excludedAttributes=id,name,meta,emails").await.expect(200).list("Resources").remove(0);
    assert_eq!(listed["id"], *created.id());
    assert!(listed.get("name").is_none() && listed.get("meta").is_none());
    assert_eq!(listed["title"], "Countess");
}

/// N60: a SearchRequest means what the query string means.
#[tokio::test]
async fn a_search_by_post_is_the_query_in_a_body() {
    let app = people().await;
    let request = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"], "attributes": ["userName"],
        "filter": r#"emails.type eq "home""#, "sortBy": "userName", "sortOrder": "descending", "startIndex": 1, "count": 1
    });
    let posted = app.post("/Users/.search", request).await.expect(200);
    let query = r#"/Users?attributes=userName&filter=emails.type eq "home"&sortBy=userName&sortOrder=descending&startIndex=1&count=1"#;
    assert_eq!(posted.body, app.get(query).await.expect(200).body);
    assert_eq!(posted.list("Resources")[0]["userName"], "bob");
}

/// N80.
#[tokio::test]
async fn both_media_types_are_taken_and_scim_json_is_answered() {
    let app = app().await;
    for (name, media_type, accept) in [
        ("a", "application/scim+json; charset=utf-8", "application/scim+json"),
        ("b", "application/json", "application/json"),
        ("c", "application/json", "*/*"),
    ] {
        let request = app.builder("POST", "/Users");
        let mut request = request.header("accept", accept);
        request.headers_mut().unwrap().insert("content-type", media_type.parse().unwrap());
        let created = app.send(request, json!({ "schemas": [USER], "userName": format!("Zoë {name}") }).to_string()).await.expect(201);
        assert_eq!(created.header("content-type"), "application/scim+json");
        assert_eq!(created.body["userName"], format!("Zoë {name}"));
    }
}

/// N81.
#[tokio::test]
async fn me_is_not_implemented_for_a_token_of_a_provider() {
    app().await.get("/Me").await.refused(501, "");
}

/// N82, N83: whatever is refused, in SCIM's form and words.
#[tokio::test]
async fn every_refusal_is_a_scim_error() {
    const KEYWORDS: [&str; 10] = [
        "invalidFilter",
        "tooMany",
        "uniqueness",
        "mutability",
        "invalidSyntax",
        "invalidPath",
        "noTarget",
        "invalidValue",
        "invalidVers",
        "sensitive",
    ];
    let app = people().await;
    let user = json!({ "schemas": [USER], "userName": "ada" });
    for (method, path, body, status) in [
        ("GET", "/Users/nope", None, 404),
        ("GET", "/Nothing", None, 404),
        ("PUT", "/Users", Some(user.clone()), 405),
        ("POST", "/Users", Some(user), 409),
        ("POST", "/Users", Some(json!([])), 400),
        ("GET", "/Users?filter=nope", None, 400),
        ("GET", "/Users?count=many", None, 400),
        ("GET", "/Schemas?filter=x", None, 403),
    ] {
        let refused = app.request(method, path, body).await.expect(status);
        assert_eq!(refused.body["schemas"], json!(["urn:ietf:params:scim:api:messages:2.0:Error"]), "{method} {path}");
        assert_eq!(refused.body["status"], status.to_string());
        assert!(refused.body["scimType"].as_str().is_none_or(|keyword| KEYWORDS.contains(&keyword)), "{}", refused.text);
    }
}

/// N85.
#[tokio::test]
async fn the_version_in_the_path_may_be_left_out_and_another_one_is_refused() {
    let app = app().await;
    for base in ["/scim/v2", "/scim", "/api/scim/v2"] {
        app.under(base).get("/Users").await.expect(200);
    }
    app.under("/scim/v1").get("/Users").await.refused(400, "invalidVers");
    app.under("/scim/v3").get("/Users").await.refused(400, "invalidVers");
}

/// N86.
#[tokio::test]
async fn what_is_known_already_is_not_sent_again() {
    let app = app().await;
    let path = format!("/Users/{}", app.user("ada").await);
    let etag = app.get(&path).await.header("etag").to_owned();
    let known = app.send(app.builder("GET", &path).header("if-none-match", &etag), "").await.expect(304);
    assert!(known.text.is_empty());
    app.send(app.builder("GET", &path).header("if-none-match", "W/\"99\""), "").await.expect(200);
}

/// N27, N28, N87, N88: every schema of every resource type is there, alone and in the list.
#[tokio::test]
async fn discovery_lists_are_lists_and_ignore_everything_but_filters() {
    let app = app().await;
    for path in ["/Schemas", "/ResourceTypes"] {
        let list = app.get(path).await.expect(200);
        assert_eq!(list.body["schemas"], json!(["urn:ietf:params:scim:api:messages:2.0:ListResponse"]));
        assert_eq!(app.get(&format!("{path}?sortBy=id&startIndex=2&count=1&attributes=id")).await.expect(200).body, list.body);
        app.get(&format!(r#"{path}?filter=id eq "User""#)).await.refused(403, "");
        for resource in list.list("Resources") {
            assert_eq!(app.get(&format!("{path}/{}", resource["id"].as_str().unwrap())).await.expect(200).body, resource);
        }
    }
    app.get("/ServiceProviderConfig?filter=x").await.refused(403, "");
    for resource_type in app.get("/ResourceTypes").await.list("Resources") {
        let extensions = resource_type["schemaExtensions"].as_array().cloned().unwrap_or_default();
        let extensions = extensions.iter().map(|extension| &extension["schema"]);
        for schema in extensions.chain([&resource_type["schema"]]) {
            app.get(&format!("/Schemas/{}", Value::as_str(schema).unwrap())).await.expect(200);
        }
    }
}
