//! A SCIM client that keeps its connections: the base of one server, one tenant's token, requests as verbs. An answer that does
//! not come, or not whole, is `None`: whoever asked does not know what became of the request.

use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::client::legacy::{self, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

use crate::world::{self, Fallible};

/// Longer than a server takes for any answer (`http.request_timeout_ms` is 30 s).
const PATIENCE: Duration = Duration::from_secs(40);

/// A client of one server for one tenant. Clones share the connections.
#[derive(Clone)]
pub struct Client {
    http: legacy::Client<HttpConnector, Full<Bytes>>,
    base: String,
    token: String,
}

/// An answer that came as a whole.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub retry_after: bool,
    pub body: Value,
}

impl Client {
    pub fn new(port: u16, token: &str) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let http = legacy::Client::builder(TokioExecutor::new()).build(connector);
        Self { http, base: format!("http://127.0.0.1:{port}/scim/v2"), token: token.into() }
    }

    /// Sends a request. Characters that a URL must not have are encoded.
    pub async fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Option<Answer> {
        let path = path.replace(' ', "%20").replace('"', "%22");
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", "application/scim+json")
            .body(Full::from(body))
            .expect("method and path are this program's own");
        let answering = async {
            let (head, body) = self.http.request(request).await.ok()?.into_parts();
            let bytes = body.collect().await.ok()?.to_bytes();
            // What is no JSON is not ours, such as a balancer's own page; a violation shows it.
            let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into());
            Some(Answer { status: head.status.as_u16(), retry_after: head.headers.contains_key("retry-after"), body })
        };
        tokio::time::timeout(PATIENCE, answering).await.ok().flatten()
    }

    /// Whether the server says that it can work.
    pub async fn is_ready(&self) -> bool {
        let uri = self.base.replace("/scim/v2", "/readyz");
        let request = Request::get(uri).body(Full::default()).expect("the address is this program's own");
        let answer = tokio::time::timeout(PATIENCE, self.http.request(request)).await;
        matches!(answer, Ok(Ok(answer)) if answer.status().is_success())
    }

    /// Waits until the server says that it can work.
    pub async fn wait_ready(&self) -> Fallible<()> {
        let deadline = Instant::now() + world::PATIENCE;
        while !self.is_ready().await {
            if Instant::now() > deadline {
                return Err("the server does not get ready".into());
            }
            tokio::time::sleep(world::POLL).await;
        }
        Ok(())
    }

    pub async fn get(&self, path: &str) -> Option<Answer> {
        self.send("GET", path, None).await
    }
}

impl Answer {
    /// The id of the resource; empty when there is none.
    pub fn id(&self) -> String {
        self.body["id"].as_str().unwrap_or_default().into()
    }

    /// The number in the entity tag, zero when there is none.
    pub fn version(&self) -> i64 {
        version_of(&self.body["meta"]["version"])
    }
}

/// The number in an entity tag such as `W/"7"`, zero when there is none.
pub fn version_of(tag: &Value) -> i64 {
    let digits: String = tag.as_str().unwrap_or_default().chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_default()
}

/// The body that creates or replaces a user.
pub fn user(name: &str, title: &str) -> Value {
    json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": name, "title": title, "active": true })
}

/// The body that creates a group with members.
pub fn group(name: &str, members: &[String]) -> Value {
    json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": name, "members": values(members) })
}

/// A PATCH of one operation.
pub fn patch(op: &str, path: &str, value: Value) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{ "op": op, "path": path, "value": value }]
    })
}

/// Members as a body names them.
pub fn values(ids: &[String]) -> Value {
    ids.iter().map(|id| json!({ "value": id })).collect()
}
