//! What a token may do (issue 5): provisioning and reading are apart, and a token with the wrong scope is told so.

use frontdesk::directory::Scope;
use frontdesk::http::{API_BASE, BASES, routes};
use serde_json::json;

use crate::app::{TestApp, app};

async fn scoped(app: &TestApp, scopes: &[Scope]) -> TestApp {
    let token = app.directory.create_scoped_token(&app.connection, None, None, scopes).await.unwrap();
    TestApp { token: token.reveal().into(), ..app.clone() }
}

/// Every route under a base with every method it has.
fn requests(routes: &'static [routes::Route]) -> impl Iterator<Item = (&'static str, String)> {
    let path = |route: &routes::Route| route.path.replace("{id}", "0198c0de-0000-7000-8000-000000000000");
    routes.iter().flat_map(move |route| route.methods.iter().map(move |method| (*method, path(route))))
}

#[tokio::test]
async fn a_reading_token_may_not_provision_at_any_base() {
    let app = app().await;
    let reader = scoped(&app, &[Scope::WorkplaceRead]).await;
    for base in BASES {
        for (method, path) in requests(routes::SCIM) {
            let answer = reader.under(base).request(method, &path, Some(json!({}))).await.refused(403, "");
            assert!(answer.detail().contains("scope scim"), "{}", answer.detail());
            let challenge = answer.header("www-authenticate");
            assert!(challenge.contains("error=\"insufficient_scope\"") && challenge.contains("scope=\"scim\""), "{challenge}");
        }
    }
    reader.under(API_BASE).get("/employees").await.expect(200);
}

#[tokio::test]
async fn a_provisioning_token_may_not_read_the_workplace_api() {
    let app = app().await;
    let provisioner = scoped(&app, &[Scope::Scim]).await;
    for (method, path) in requests(routes::API) {
        let answer = provisioner.under(API_BASE).request(method, &path, None).await.refused(403, "");
        assert!(answer.detail().contains("scope workplace:read"), "{}", answer.detail());
        assert!(answer.header("www-authenticate").contains("scope=\"workplace:read\""));
    }
    provisioner.user("jsnow").await;
}

#[tokio::test]
async fn a_token_that_nobody_restricted_may_do_both() {
    let app = app().await;
    app.user("jsnow").await;
    assert_eq!(app.under(API_BASE).get("/employees").await.expect(200).body["total"], 1);
}

#[tokio::test]
async fn a_wrong_token_is_unknown_before_it_is_out_of_scope() {
    let app = app().await;
    let nobody = TestApp { token: frontdesk::directory::Token::generate().unwrap().reveal().into(), ..app };
    nobody.get("/Users").await.refused(401, "");
    nobody.under(API_BASE).get("/employees").await.refused(401, "");
}

#[tokio::test]
async fn a_list_of_tokens_tells_what_each_may_do() {
    let app = app().await;
    scoped(&app, &[Scope::WorkplaceRead]).await;
    let listed = app.directory.tokens(app.tenant.id, None).await.unwrap();
    let scopes: Vec<_> = listed.into_iter().map(|token| token.scopes).collect();
    assert_eq!(scopes, [vec!["scim", "workplace:read"], vec!["workplace:read"]]);
    assert!(app.directory.create_scoped_token(&app.connection, None, None, &[]).await.is_err());
}
