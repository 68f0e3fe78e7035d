//! Recorded histories: eight clients create, read, look up, change and delete the users of three names over two processes, while
//! one process is killed or the sessions of both are ended. `linear` then looks for an order that explains all answers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;

use crate::check;
use crate::client::{Answer, Client, patch, user};
use crate::linear::{self, Action, MAX_OPERATIONS, Operation, User};
use crate::plan::Budget;
use crate::random::Random;
use crate::server::Server;
use crate::world::{Fallible, World};

/// The clients, half of them at each process.
const CLIENTS: usize = 8;

/// The names they contend for, as few as make every kind of collision.
const NAMES: usize = 3;

/// Operations of one client in a round. All of them on one name would still be a history that can be checked.
const OPERATIONS: u64 = (MAX_OPERATIONS / CLIENTS) as u64;

/// A fault comes within this time from the start of a round, in milliseconds.
const FAULT_WITHIN_MS: u64 = 60;

/// What the clients of a round share.
#[derive(Default)]
struct Round {
    clock: AtomicU64,
    /// The operations on each name.
    histories: [Mutex<Vec<Operation>>; NAMES],
    /// The id last seen for each name: whom reads, changes and deletions ask for.
    ids: [Mutex<Option<String>>; NAMES],
}

/// Records and checks until the budget is used.
pub async fn run(world: &World, budget: &mut Budget, random: &Random) -> Fallible<String> {
    let mut servers = Vec::new();
    for name in ["histories-1", "histories-2"] {
        servers.push(Server::start(world.dir(), name, &world.url(), &[]).await?);
    }
    let (mut operations, mut unanswered, mut faults) = (0, 0, 0);
    while let Some(cycle) = budget.next_cycle() {
        let mut random = random.fork(cycle);
        let tenancy = world.tenant().await?;
        let round = Arc::new(Round::default());
        let mut running = JoinSet::new();
        for number in 0..CLIENTS {
            let client = Client::new(servers[number % 2].port, &tenancy.token);
            running.spawn(write(Arc::clone(&round), client, random.fork(number as u64 + 1)));
        }
        let kind = random.below(3);
        let moment = Duration::from_millis(random.below(FAULT_WITHIN_MS));
        if kind > 0 {
            faults += 1;
            tokio::time::sleep(moment).await;
        }
        match kind {
            1 => {
                servers[0].kill().await?;
                servers[0].start_again()?;
            }
            2 => end_sessions(world).await?,
            _ => {}
        }
        for outcome in running.join_all().await {
            outcome.map_err(|fault| format!("cycle {cycle}: {fault}"))?;
        }
        servers[0].wait_ready().await?;
        for history in &round.histories {
            let history = history.lock().unwrap_or_else(PoisonError::into_inner);
            operations += history.len();
            unanswered += history.iter().filter(|operation| operation.returned.is_none()).count();
            linear::check(&history).map_err(|lines| format!("cycle {cycle}: {lines}"))?;
        }
        check::invariants(&mut world.session().await?, tenancy.tenant_id).await?;
    }
    for server in servers {
        server.finish().await?;
    }
    Ok(format!(
        "{} histories of {CLIENTS} clients on {NAMES} names with {faults} faults: {operations} operations, {unanswered} without an \
         answer, every history linearizable",
        budget.done() * NAMES as u64
    ))
}

/// Ends all sessions of the servers from within PostgreSQL.
async fn end_sessions(world: &World) -> Fallible<()> {
    let sql = "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = 'frontdesk'";
    check::count(&mut world.session().await?, sql).await?;
    Ok(())
}

/// One client of a round.
async fn write(round: Arc<Round>, client: Client, mut random: Random) -> Fallible<()> {
    for _ in 0..OPERATIONS {
        let key = random.below(NAMES as u64) as usize;
        let name = format!("name-{key}");
        let title = format!("{:016x}", random.draw());
        let known = round.ids[key].lock().unwrap_or_else(PoisonError::into_inner).clone();
        let id = known.unwrap_or_default();
        let action = match random.below(10) {
            _ if id.is_empty() => Action::Create { title, made: None },
            0..2 => Action::Create { title, made: None },
            2..4 => Action::Get { id, found: None },
            4..6 => Action::Filter { found: None },
            6..8 => Action::Patch { id, title, changed: None },
            _ => Action::Delete { id, found: false },
        };
        let called = round.clock.fetch_add(1, Ordering::SeqCst);
        let answer = ask(&client, &name, &action).await;
        let returned = round.clock.fetch_add(1, Ordering::SeqCst);
        let operation = match answer {
            Some(answer) if answer.status != 503 => Operation { action: read(action, &answer)?, called, returned: Some(returned) },
            answer => {
                if answer.is_none() {
                    // Further requests to a server that is away would say nothing of it.
                    client.wait_ready().await?;
                }
                Operation { action, called, returned: None }
            }
        };
        if let Some(user) = seen(&operation.action) {
            *round.ids[key].lock().unwrap_or_else(PoisonError::into_inner) = user.id.clone();
        }
        // A read without an answer says nothing and does nothing.
        if operation.returned.is_some() || !matches!(operation.action, Action::Get { .. } | Action::Filter { .. }) {
            round.histories[key].lock().unwrap_or_else(PoisonError::into_inner).push(operation);
        }
    }
    Ok(())
}

async fn ask(client: &Client, name: &str, action: &Action) -> Option<Answer> {
    match action {
        Action::Create { title, .. } => client.send("POST", "/Users", Some(&user(name, title))).await,
        Action::Get { id, .. } => client.get(&format!("/Users/{id}")).await,
        Action::Filter { .. } => client.get(&format!("/Users?filter=userName eq \"{name}\"")).await,
        Action::Patch { id, title, .. } => {
            let body = patch("replace", "title", title.as_str().into());
            client.send("PATCH", &format!("/Users/{id}"), Some(&body)).await
        }
        Action::Delete { id, .. } => client.send("DELETE", &format!("/Users/{id}"), None).await,
    }
}

/// The operation with what was answered to it.
fn read(action: Action, answer: &Answer) -> Fallible<Action> {
    let user = || of_json(&answer.body);
    Ok(match (action, answer.status) {
        (Action::Create { title, .. }, 201) => Action::Create { title, made: user() },
        (Action::Create { title, .. }, 409) => Action::Create { title, made: None },
        (Action::Get { id, .. }, 200) => Action::Get { id, found: user() },
        (Action::Get { id, .. }, 404) => Action::Get { id, found: None },
        (Action::Filter { .. }, 200) => Action::Filter { found: of_json(&answer.body["Resources"][0]) },
        (Action::Patch { id, title, .. }, 200) => Action::Patch { id, title, changed: user() },
        (Action::Patch { id, title, .. }, 404) => Action::Patch { id, title, changed: None },
        (Action::Delete { id, .. }, 204) => Action::Delete { id, found: true },
        (Action::Delete { id, .. }, 404) => Action::Delete { id, found: false },
        (action, _) => return Err(format!("{action:?} was answered {answer:?}").into()),
    })
}

fn of_json(body: &serde_json::Value) -> Option<User> {
    let id = body["id"].as_str()?.to_owned();
    let title = body["title"].as_str().unwrap_or_default().to_owned();
    Some(User { id: Some(id), version: crate::client::version_of(&body["meta"]["version"]), title })
}

/// The user that an answer showed.
fn seen(action: &Action) -> Option<&User> {
    match action {
        Action::Create { made: user, .. } | Action::Get { found: user, .. } | Action::Filter { found: user } => user.as_ref(),
        Action::Patch { changed: user, .. } => user.as_ref(),
        Action::Delete { .. } => None,
    }
}
