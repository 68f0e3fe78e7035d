//! The application as a test meets it: a tenant of its own behind the real router, and requests as verbs.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use frontdesk::config::Config;
use frontdesk::directory::{Conformance, Connection, Directory, Profile, Provider, Tenant};
use frontdesk::http::{App, Service};
use http_body_util::BodyExt as _;
use serde_json::Value;
use sqlx::PgConnection;
use tokio::task::JoinHandle;

use crate::support;

/// Where the tests' server says it can be reached.
pub const PUBLIC_URL: &str = "https://scim.test";

/// A tenant, a connection, a token, and the router in front of them.
#[derive(Clone)]
pub struct TestApp {
    pub service: Service,
    pub directory: Directory,
    pub tenant: Tenant,
    pub connection: Connection,
    pub token: String,
    /// The base that requests go to.
    pub base: &'static str,
}

/// An application on a new tenant with the SpaceIQ mapping and a lenient connection.
pub async fn app() -> TestApp {
    app_with(Profile::SpaceIq, Conformance::Lenient, &[]).await
}

/// The same with a strict connection.
pub async fn strict_app() -> TestApp {
    app_with(Profile::SpaceIq, Conformance::Strict, &[]).await
}

/// An application on a new tenant; `settings` are environment variables such as `("FRONTDESK_LIMITS_BODY_BYTES", "1000")`.
pub async fn app_with(profile: Profile, conformance: Conformance, settings: &[(&str, &str)]) -> TestApp {
    app_on(support::directory().await, profile, conformance, settings).await
}

/// The same on a directory of the test's own.
pub async fn app_on(directory: Directory, profile: Profile, conformance: Conformance, settings: &[(&str, &str)]) -> TestApp {
    let tenant = directory.create_tenant(&support::unique("tenant"), None, profile).await.expect("the slug is new");
    let connection = directory.create_connection(tenant.id, "jumpcloud", Provider::JumpCloud, conformance).await.expect("the name is new");
    let token = directory.create_token(&connection, None, None).await.expect("a token can be made");
    let environment: BTreeMap<String, String> = settings.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    let config = Config::load(&environment, None).expect("the settings are legal");
    let service = Service::new(App::new(directory.clone(), &config, PUBLIC_URL.into()));
    TestApp { service, directory, tenant, connection, token: token.reveal().into(), base: "/scim/v2" }
}

impl TestApp {
    /// The same application under another base.
    pub fn under(&self, base: &'static str) -> Self {
        Self { base, ..self.clone() }
    }

    /// The same application with another setting of the tenant.
    pub async fn set(&self, key: &str, value: &str) {
        self.directory.set_tenant(&self.tenant.slug, key, value).await.expect("the setting is legal").expect("the tenant exists");
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.request("GET", path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.request("POST", path, Some(body)).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.request("PUT", path, Some(body)).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.request("PATCH", path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.request("DELETE", path, None).await
    }

    /// A request with the token and a JSON body.
    pub async fn request(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.send(self.builder(method, path), body.map(|body| body.to_string()).unwrap_or_default()).await
    }

    /// A request in the making, with token and media type; characters that a client must encode are encoded.
    pub fn builder(&self, method: &str, path: &str) -> axum::http::request::Builder {
        Request::builder()
            .method(method)
            .uri(encode(&format!("{}{path}", self.base)))
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", "application/scim+json")
    }

    /// Sends a request as it was made.
    pub async fn send(&self, request: axum::http::request::Builder, body: impl Into<Body>) -> Answer {
        answer(&self.service, request.body(body.into()).expect("the request is well formed")).await
    }

    /// Creates a user with this name and gives its id.
    pub async fn user(&self, name: &str) -> String {
        let body = serde_json::json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": name, "active": true,
            "emails": [{ "value": format!("{name}@example.com"), "type": "work", "primary": true }]
        });
        self.post("/Users", body).await.expect(201).id()
    }

    /// Creates a group with these members and gives its id.
    pub async fn group(&self, name: &str, members: &[&str]) -> String {
        let members: Vec<Value> = members.iter().map(|id| serde_json::json!({ "value": id })).collect();
        let body = serde_json::json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": name, "members": members
        });
        self.post("/Groups", body).await.expect(201).id()
    }

    /// The ids of a group's members, sorted.
    pub async fn members(&self, group: &str) -> Vec<String> {
        let group = self.get(&format!("/Groups/{group}")).await.expect(200);
        let mut ids: Vec<String> = group.list("members").iter().map(|member| member["value"].as_str().unwrap().to_owned()).collect();
        ids.sort();
        ids
    }

    /// The employee of a user, as the product reads it from the view.
    pub async fn employee(&self, id: &str) -> Value {
        sqlx::query_scalar("select to_jsonb(e) from employees e where tenant_id = $1 and id = $2::uuid")
            .bind(self.tenant.id)
            .bind(id)
            .fetch_one(&mut support::observer().await)
            .await
            .expect("the employee exists")
    }

    /// The events of a resource, oldest first: kind, outcome, change.
    pub async fn events(&self, id: &str) -> Vec<(String, String, Value)> {
        sqlx::query_as("select kind, outcome, change from events where tenant_id = $1 and resource_id = $2::uuid order by id")
            .bind(self.tenant.id)
            .bind(id)
            .fetch_all(&mut support::observer().await)
            .await
            .expect("the events can be read")
    }
}

/// An answer, read as a whole.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
    pub body: Value,
}

impl Answer {
    /// The answer, when it has this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self
    }

    /// The answer, when it is a SCIM error with this status and keyword ("" for none).
    #[track_caller]
    pub fn refused(self, status: u16, scim_type: &str) -> Self {
        let answer = self.expect(status);
        assert_eq!(answer.body["schemas"][0], "urn:ietf:params:scim:api:messages:2.0:Error", "{}", answer.text);
        assert_eq!(answer.body["status"], status.to_string(), "{}", answer.text);
        assert_eq!(answer.body["scimType"].as_str().unwrap_or_default(), scim_type, "{}", answer.text);
        assert!(!answer.detail().is_empty());
        answer
    }

    /// The id of the resource.
    #[track_caller]
    pub fn id(&self) -> String {
        self.body["id"].as_str().unwrap_or_else(|| panic!("no id in {}", self.text)).to_owned()
    }

    /// The sentence of an error.
    pub fn detail(&self) -> &str {
        self.body["detail"].as_str().unwrap_or_default()
    }

    /// A list in the body; an absent one is empty.
    pub fn list(&self, name: &str) -> Vec<Value> {
        self.body[name].as_array().cloned().unwrap_or_default()
    }

    /// The ids of a ListResponse's resources.
    pub fn ids(&self) -> Vec<String> {
        self.list("Resources").iter().map(|resource| resource["id"].as_str().unwrap().to_owned()).collect()
    }

    /// A header's text.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// Sends any request to a router.
pub async fn answer(service: &Service, request: Request<Body>) -> Answer {
    let response = service.clone().answer(request).await;
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.expect("the body can be read").to_bytes();
    let text = String::from_utf8(bytes.to_vec()).expect("answers are UTF-8");
    let body = serde_json::from_str(&text).unwrap_or(Value::Null);
    Answer { status: parts.status, headers: parts.headers, text, body }
}

/// Encodes what may not stand in a URL.
fn encode(path: &str) -> String {
    let mut encoded = String::new();
    for c in path.chars() {
        if c.is_ascii_graphic() && !matches!(c, '"' | '<' | '>' | '{' | '}' | '|' | '^' | '\\' | '`') {
            encoded.push(c);
        } else {
            let mut buffer = [0; 4];
            c.encode_utf8(&mut buffer).bytes().for_each(|byte| encoded.push_str(&format!("%{byte:02X}")));
        }
    }
    encoded
}

/// Commits somebody else's transaction as soon as a change waits for it, and gives the change's answer.
pub async fn committed_when_waited_for(mut other: PgConnection, change: JoinHandle<Answer>) -> Answer {
    let waits = "select exists (select from pg_stat_activity where pg_backend_pid() = any (pg_blocking_pids(pid)))";
    while !sqlx::query_scalar::<_, bool>(waits).fetch_one(&mut other).await.unwrap() {
        assert!(!change.is_finished(), "the change did not wait");
        tokio::task::yield_now().await;
    }
    sqlx::raw_sql("commit").execute(&mut other).await.unwrap();
    change.await.unwrap()
}
