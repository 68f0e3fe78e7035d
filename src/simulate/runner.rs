//! Has a conversation: sends the steps in order, judges each answer, and in the end deletes whatever the conversation created
//! and did not delete itself, also after a failure.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use serde_json::Value;

use super::judge::{body_of, faults};
use super::step::Expectation;
use super::transport::{Answer, Transport};
use super::{Cast, Client, Step};

/// What came of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The answer is right.
    Passed,
    /// What is wrong with it.
    Failed(Vec<String>),
    /// The step needs the id that this earlier step should have given.
    Skipped(String),
}

/// One exchange as it is told to the operator. The token is in none of its fields.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// What it is for.
    pub title: String,
    /// The method.
    pub method: &'static str,
    /// The path behind the Base URL.
    pub path: String,
    /// The status; `None` when no answer came.
    pub status: Option<u16>,
    /// From the request to the end of the answer.
    pub duration: Duration,
    /// What came of it.
    pub verdict: Verdict,
}

/// The outcome of a conversation.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Steps whose answer is right.
    pub passed: usize,
    /// Steps whose answer is wrong.
    pub failed: usize,
    /// Steps that could not be taken.
    pub skipped: usize,
}

impl Report {
    /// Whether the client would work with this server.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.failed == 0 && self.skipped == 0
    }
}

/// Has a client's conversation with the server at `base_url` and tells each exchange as it ends.
pub async fn run(
    client: &Client,
    cast: &Cast,
    transport: &Transport,
    base_url: &str,
    token: &str,
    tell: &mut (dyn FnMut(&Exchange) + Send),
) -> Report {
    let steps = (client.conversation)(cast);
    let declared = steps.iter().filter_map(|step| Some(step.captures.as_ref()?.0.clone())).collect();
    let mut talk = Talk { client, transport, base_url, token, declared, known: HashMap::new(), created: Vec::new() };
    let mut report = Report::default();
    let mut end = |exchange: Exchange| {
        match exchange.verdict {
            Verdict::Passed => report.passed += 1,
            Verdict::Failed(_) => report.failed += 1,
            Verdict::Skipped(_) => report.skipped += 1,
        }
        tell(&exchange);
    };
    for step in &steps {
        end(talk.take(step).await);
    }
    // Groups were created after their members: the last goes first.
    while let Some(path) = talk.created.pop() {
        end(talk.take(&Step::delete("clean up", path).answers(&[204, 404])).await);
    }
    report
}

/// The state of a conversation.
struct Talk<'a> {
    client: &'a Client,
    transport: &'a Transport,
    base_url: &'a str,
    token: &'a str,
    /// The names that some step captures.
    declared: HashSet<String>,
    /// What they stand for so far.
    known: HashMap<String, String>,
    /// The paths of what was created and not yet deleted.
    created: Vec<String>,
}

impl Talk<'_> {
    async fn take(&mut self, step: &Step) -> Exchange {
        let path = self.filled(&step.path);
        let body = step.body.as_ref().map(|body| self.filled_in(body));
        let mut exchange = Exchange {
            title: step.title.clone(),
            method: step.method,
            path: path.clone(),
            status: None,
            duration: Duration::ZERO,
            verdict: Verdict::Passed,
        };
        if let Some(name) = self.missing(&path, body.as_ref()) {
            exchange.verdict = Verdict::Skipped(name);
            return exchange;
        }
        let started = Instant::now();
        let sent = match self.request(step.method, &path, body.as_ref()) {
            Ok(request) => tokio::time::timeout(self.client.patience, self.transport.send(request)).await,
            Err(error) => Ok(Err(error)),
        };
        exchange.duration = started.elapsed();
        let faults = match sent {
            Ok(Ok(answer)) => {
                exchange.status = Some(answer.status);
                let expectations: Vec<Expectation> = step.expectations.iter().map(|expected| self.expected(expected)).collect();
                self.remember(step, &path, &answer);
                faults(&answer, step.statuses, &expectations)
            }
            Ok(Err(reason)) => vec![reason],
            Err(_) => vec![format!("no answer within {} s, the patience of this client", self.client.patience.as_secs())],
        };
        if !faults.is_empty() {
            // A server may quote what it was sent.
            exchange.verdict = Verdict::Failed(faults.iter().map(|fault| fault.replace(self.token, "(token)")).collect());
        }
        exchange
    }

    fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Request<Full<Bytes>>, String> {
        let url = format!("{}{path}", self.base_url.trim_end_matches('/'));
        let mut request = Request::builder().method(method).uri(url).header(AUTHORIZATION, format!("Bearer {}", self.token));
        for (name, value) in self.client.headers.iter().filter(|(name, _)| body.is_some() || *name != CONTENT_TYPE.as_str()) {
            request = request.header(*name, *value);
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        request.body(Full::from(body)).map_err(|error| format!("the request cannot be made: {error}"))
    }

    /// Keeps the id that a step captures, and what is to be deleted in the end.
    fn remember(&mut self, step: &Step, path: &str, answer: &Answer) {
        let body = body_of(answer).unwrap_or_default();
        if let Some((name, pointer)) = &step.captures
            && let Some(id) = body.pointer(pointer).and_then(Value::as_str)
        {
            self.known.insert(name.clone(), id.to_owned());
        }
        match (step.method, answer.status, body["id"].as_str()) {
            ("POST", 201, Some(id)) => self.created.push(format!("{}/{id}", path.split('?').next().unwrap_or_default())),
            ("DELETE", 204, _) => self.created.retain(|created| Some(created.as_str()) != path.split('?').next()),
            _ => {}
        }
    }

    fn expected(&self, expectation: &Expectation) -> Expectation {
        match expectation {
            Expectation::Shows(value) => Expectation::Shows(self.filled_in(value)),
            other => other.clone(),
        }
    }

    /// Text with the known names filled in.
    fn filled(&self, text: &str) -> String {
        if !text.contains('{') {
            return text.to_owned();
        }
        self.known.iter().fold(text.to_owned(), |text, (name, id)| text.replace(&format!("{{{name}}}"), id))
    }

    fn filled_in(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.filled(text)),
            Value::Array(values) => values.iter().map(|value| self.filled_in(value)).collect(),
            Value::Object(object) => object.iter().map(|(name, value)| (name.clone(), self.filled_in(value))).collect(),
            other => other.clone(),
        }
    }

    /// A name that is still open.
    fn missing(&self, path: &str, body: Option<&Value>) -> Option<String> {
        let text = format!("{path} {}", body.map(Value::to_string).unwrap_or_default());
        self.declared.iter().find(|name| text.contains(&format!("{{{name}}}"))).cloned()
    }
}
