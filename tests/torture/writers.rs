//! Sixty-four writers with a notebook each: creates, replacements, patches, deletions, members of groups of their own and of one
//! that all share, and bulk requests. A writer sends one request at a time and stops at the first one without an answer. After a
//! 503 it goes on with those users whose state it knows.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::client::{Answer, Client, group, patch, user, values, version_of};
use crate::notebook::{Change, Notebook, Person, Unit};
use crate::random::Random;
use crate::world::{Fallible, Tenancy};

/// How many there are.
pub const WRITERS: u64 = 64;

/// The users of one writer at most.
const PEOPLE_MAX: usize = 12;

/// A writer that was told so often to try again stops.
const REFUSED_MAX: usize = 4;

/// The group that all writers share.
const SHARED: &str = "shared";

/// Writers of one tenant between two looks at the database.
pub struct Writers {
    pub notebooks: Vec<Notebook>,
    /// The id of the shared group, and those of the writers' own.
    shared: String,
    own: Vec<String>,
    client: Client,
}

/// The writers while they write.
pub struct Writing {
    running: JoinSet<(usize, Fallible<Notebook>)>,
    state: Arc<State>,
    writers: Writers,
}

/// What a running writer shares with whoever disturbs it.
#[derive(Default)]
struct State {
    stop: AtomicBool,
    in_flight: AtomicUsize,
    acknowledged: AtomicU64,
    ended: AtomicU64,
}

impl Writers {
    /// Makes the groups of a new tenant.
    pub async fn new(port: u16, tenancy: &Tenancy) -> Fallible<Self> {
        let client = Client::new(port, &tenancy.token);
        let mut writers = Self { notebooks: Vec::new(), shared: make_group(&client, SHARED).await?, own: Vec::new(), client };
        for number in 0..WRITERS {
            writers.own.push(make_group(&writers.client, &own(number as usize)).await?);
            writers.notebooks.push(Notebook::default());
        }
        Ok(writers)
    }

    /// Lets all of them write.
    pub fn start(mut self, random: &Random) -> Writing {
        let state = Arc::new(State::default());
        let mut running = JoinSet::new();
        for (number, notebook) in std::mem::take(&mut self.notebooks).into_iter().enumerate() {
            let writer = Writer {
                number,
                notebook,
                client: self.client.clone(),
                random: random.fork(number as u64 + 1),
                own: self.own[number].clone(),
                shared: self.shared.clone(),
                state: Arc::clone(&state),
            };
            let state = Arc::clone(&state);
            running.spawn(async move {
                let notebook = writer.write().await;
                state.ended.fetch_add(1, Ordering::SeqCst);
                (number, notebook)
            });
        }
        Writing { running, state, writers: self }
    }

    pub fn acknowledged(&self) -> u64 {
        self.notebooks.iter().map(|notebook| notebook.acknowledged).sum()
    }
}

impl Writing {
    /// How many requests are on their way in this moment.
    pub fn in_flight(&self) -> usize {
        self.state.in_flight.load(Ordering::SeqCst)
    }

    /// How many writes were acknowledged since the start.
    pub fn acknowledged(&self) -> u64 {
        self.state.acknowledged.load(Ordering::SeqCst)
    }

    /// Whether every writer has stopped by itself.
    pub fn has_ended(&self) -> bool {
        self.state.ended.load(Ordering::SeqCst) == WRITERS
    }

    /// Waits until every writer has stopped.
    pub async fn join(mut self) -> Fallible<Writers> {
        self.state.stop.store(true, Ordering::SeqCst);
        let mut notebooks: Vec<Option<Notebook>> = (0..WRITERS).map(|_| None).collect();
        while let Some(ended) = self.running.join_next().await {
            let (number, notebook) = ended?;
            notebooks[number] = Some(notebook?);
        }
        self.writers.notebooks = notebooks.into_iter().flatten().collect();
        Ok(self.writers)
    }
}

async fn make_group(client: &Client, name: &str) -> Fallible<String> {
    let answer = client.send("POST", "/Groups", Some(&group(name, &[]))).await.ok_or("no answer without a fault")?;
    if answer.status != 201 {
        return Err(format!("a group could not be made: {answer:?}").into());
    }
    Ok(answer.id())
}

/// The name of a writer's own group.
fn own(number: usize) -> String {
    format!("own-{number}")
}

/// A request, what it does, and how it is answered when it is done.
struct Request {
    method: &'static str,
    path: String,
    body: Option<Value>,
    units: Vec<Unit>,
    done: u16,
}

struct Writer {
    number: usize,
    notebook: Notebook,
    client: Client,
    random: Random,
    own: String,
    shared: String,
    state: Arc<State>,
}

impl Writer {
    async fn write(mut self) -> Fallible<Notebook> {
        let mut refused = 0;
        while !self.state.stop.load(Ordering::SeqCst) && refused < REFUSED_MAX {
            let request = self.choose();
            self.state.in_flight.fetch_add(1, Ordering::SeqCst);
            let answer = self.client.send(request.method, &request.path, request.body.as_ref()).await;
            self.state.in_flight.fetch_sub(1, Ordering::SeqCst);
            match answer {
                Some(answer) if answer.status == request.done => self.acknowledge(request, &answer)?,
                // No answer, or one that says to try again: it happened or it did not.
                None => {
                    self.notebook.pending.extend(request.units);
                    break;
                }
                Some(answer) if answer.status == 503 => {
                    self.notebook.pending.extend(request.units);
                    refused += 1;
                }
                Some(answer) => {
                    let Request { method, path, body, .. } = request;
                    return Err(format!("{method} {path} {body:?} was answered {answer:?}").into());
                }
            }
        }
        Ok(self.notebook)
    }

    /// What was promised is noted, with the ids and against the versions that the answer tells.
    fn acknowledge(&mut self, request: Request, answer: &Answer) -> Fallible<()> {
        if request.path == "/Bulk" {
            return self.acknowledge_bulk(request.units, answer);
        }
        self.state.acknowledged.fetch_add(1, Ordering::SeqCst);
        for mut unit in request.units {
            if answer.status != 204 {
                learn(&mut unit, answer.id(), answer.version())?;
            }
            self.notebook.acknowledge(unit);
        }
        Ok(())
    }

    /// Each operation has an answer of its own.
    fn acknowledge_bulk(&mut self, units: Vec<Unit>, answer: &Answer) -> Fallible<()> {
        let operations = answer.body["Operations"].as_array().map(Vec::as_slice).unwrap_or_default();
        if operations.len() != units.len() {
            return Err(format!("a bulk request of {} operations was answered {answer:?}", units.len()).into());
        }
        for (mut unit, operation) in units.into_iter().zip(operations) {
            match operation["status"].as_str() {
                Some("201" | "200") => {
                    let id = operation["location"].as_str().and_then(|place| place.rsplit('/').next()).unwrap_or_default().into();
                    learn(&mut unit, id, version_of(&operation["version"]))?;
                }
                Some("204") => {}
                Some("503") => {
                    self.notebook.pending.push(unit);
                    continue;
                }
                _ => return Err(format!("an operation of a bulk request was answered {operation}").into()),
            }
            self.state.acknowledged.fetch_add(1, Ordering::SeqCst);
            self.notebook.acknowledge(unit);
        }
        Ok(())
    }

    fn choose(&mut self) -> Request {
        let names = self.notebook.known();
        let kind = self.random.below(100);
        let Some(name) = self.random.pick(&names).cloned() else { return self.create() };
        match kind {
            0..22 if names.len() < PEOPLE_MAX => self.create(),
            0..40 => self.change(&name, kind.is_multiple_of(2)),
            40..52 => self.delete(&name),
            52..68 => self.change_members(false, &names),
            68..76 => self.change_members(true, &names),
            76..88 if self.notebook.pending.is_empty() => self.replace_members(&names),
            _ => self.bulk(&names),
        }
    }

    /// A name that nobody had before, and a title that no write had before.
    fn word(&mut self) -> String {
        format!("w{}-{:016x}", self.number, self.random.draw())
    }

    fn newcomer(&mut self) -> (Value, Change) {
        let (name, title) = (self.word(), self.word());
        let person = Person { id: None, title: title.clone(), version: 1, groups: BTreeSet::new() };
        (user(&name, &title), Change { name, before: None, after: Some(person) })
    }

    fn create(&mut self) -> Request {
        let (body, change) = self.newcomer();
        Request { method: "POST", path: "/Users".into(), body: Some(body), units: vec![vec![change]], done: 201 }
    }

    /// The user with another title.
    fn retitled(&mut self, name: &str) -> (String, String, Change) {
        let before = self.notebook.people[name].clone();
        let title = self.word();
        let after = Person { title: title.clone(), version: before.version + 1, ..before.clone() };
        let id = before.id.clone().unwrap_or_default();
        (id, title, Change { name: name.into(), before: Some(before), after: Some(after) })
    }

    fn change(&mut self, name: &str, replace: bool) -> Request {
        let (id, title, change) = self.retitled(name);
        let (method, body) = if replace { ("PUT", user(name, &title)) } else { ("PATCH", patch("replace", "title", title.into())) };
        Request { method, path: format!("/Users/{id}"), body: Some(body), units: vec![vec![change]], done: 200 }
    }

    fn delete(&mut self, name: &str) -> Request {
        let before = self.notebook.people[name].clone();
        let path = format!("/Users/{}", before.id.clone().unwrap_or_default());
        let change = Change { name: name.into(), before: Some(before), after: None };
        Request { method: "DELETE", path, body: None, units: vec![vec![change]], done: 204 }
    }

    /// Some of the writer's users.
    fn some(&mut self, names: &[String]) -> Vec<String> {
        names.iter().filter(|_| self.random.below(3) == 0).cloned().collect()
    }

    /// The users with another membership, and their ids.
    fn regrouped(&self, names: &[String], group: &str, member: impl Fn(&str) -> bool) -> Unit {
        let change = |name: &String| {
            let before = self.notebook.people[name].clone();
            let mut after = before.clone();
            if member(name) {
                after.groups.insert(group.into())
            } else {
                after.groups.remove(group)
            };
            Change { name: name.clone(), before: Some(before), after: Some(after) }
        };
        names.iter().map(change).collect()
    }

    fn ids(&self, names: &[String]) -> Vec<String> {
        names.iter().filter_map(|name| self.notebook.people[name].id.clone()).collect()
    }

    /// Adds some to a group or removes them: all of them or none.
    fn change_members(&mut self, shared: bool, names: &[String]) -> Request {
        let some = self.some(names);
        let (group, id) = if shared { (SHARED.to_owned(), &self.shared) } else { (own(self.number), &self.own) };
        let path = format!("/Groups/{id}");
        let add = self.random.below(2) == 0;
        let units = vec![self.regrouped(&some, &group, |_| add)];
        let body = patch(if add { "add" } else { "remove" }, "members", values(&self.ids(&some)));
        if some.is_empty() {
            // A removal without a value would empty the group.
            return self.create();
        }
        Request { method: "PATCH", path, body: Some(body), units, done: 204 }
    }

    /// Makes some the members of the writer's own group, and nobody else.
    fn replace_members(&mut self, names: &[String]) -> Request {
        let some = self.some(names);
        let units = vec![self.regrouped(names, &own(self.number), |name| some.iter().any(|chosen| chosen == name))];
        let body = patch("replace", "members", values(&self.ids(&some)));
        Request { method: "PATCH", path: format!("/Groups/{}", self.own), body: Some(body), units, done: 204 }
    }

    /// Two creations, a change and perhaps a deletion; each is atomic by itself.
    fn bulk(&mut self, names: &[String]) -> Request {
        let mut operations = Vec::new();
        let mut units = Vec::new();
        for bulk_id in ["a", "b"] {
            let (body, change) = self.newcomer();
            operations.push(json!({ "method": "POST", "path": "/Users", "bulkId": bulk_id, "data": body }));
            units.push(vec![change]);
        }
        let (first, last) = (&names[0], &names[names.len() - 1]);
        let (id, title, change) = self.retitled(first);
        let body = patch("replace", "title", title.into());
        operations.push(json!({ "method": "PATCH", "path": format!("/Users/{id}"), "data": body }));
        units.push(vec![change]);
        for name in names.iter().skip(PEOPLE_MAX - 4).chain([last]).filter(|name| *name != first).collect::<BTreeSet<_>>() {
            let Request { method, path, units: gone, .. } = self.delete(name);
            operations.push(json!({ "method": method, "path": path }));
            units.extend(gone);
        }
        let body = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": operations });
        Request { method: "POST", path: "/Bulk".into(), body: Some(body), units, done: 200 }
    }
}

/// Takes the id over from an answer; a version that differs from the expected one is a lost or a foreign change.
fn learn(unit: &mut Unit, id: String, version: i64) -> Fallible<()> {
    for person in unit.iter_mut().filter_map(|change| change.after.as_mut()) {
        if person.version != version || person.id.as_ref().is_some_and(|known| *known != id) {
            return Err(format!("{person:?} was answered with id {id} and version {version}").into());
        }
        person.id = Some(id.clone());
    }
    Ok(())
}
