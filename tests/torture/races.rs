//! Many clients who want the same at the same moment, over two server processes: sixty-four creations of one user, a hundred
//! additions to one group. The database decides who was first; no collision is the clients' problem.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;

use crate::check;
use crate::client::{Answer, Client, group, patch, user, values};
use crate::plan::Budget;
use crate::random::Random;
use crate::server::Server;
use crate::world::{Fallible, World};

/// Identical creations in a round.
const CREATES: usize = 64;

/// Additions to one group in a round.
const ADDS: usize = 100;

/// Rounds of each kind on one tenant.
const ROUNDS_PER_TENANT: u64 = 50;

/// How long a client waits that was asked to.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// A client of each server, and how often they were asked to try again.
struct Clients {
    to: [Client; 2],
    refused: Arc<AtomicU64>,
}

/// Which race.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Race {
    Creates,
    Members,
}

/// Races until the budget is used.
pub async fn run(world: &World, budget: &mut Budget, random: &Random, race: Race) -> Fallible<String> {
    let first = Server::start(world.dir(), "races-1", &world.url(), &[]).await?;
    let second = Server::start(world.dir(), "races-2", &world.url(), &[]).await?;
    let refused = Arc::<AtomicU64>::default();
    let mut on = None;
    while let Some(cycle) = budget.next_cycle() {
        if (cycle - 1).is_multiple_of(ROUNDS_PER_TENANT) {
            let tenancy = world.tenant().await?;
            let to = [&first, &second].map(|server| Client::new(server.port, &tenancy.token));
            let clients = Clients { to, refused: Arc::clone(&refused) };
            let people = if race == Race::Members { make_people(&clients.to[0]).await? } else { Vec::new() };
            on = Some((tenancy, clients, people));
        }
        let (tenancy, clients, people) = on.as_ref().expect("the first cycle makes one");
        let mut random = random.fork(cycle);
        match race {
            Race::Creates => create(clients, &mut random).await?,
            Race::Members => add(clients, people, &mut random).await?,
        }
        if cycle.is_multiple_of(ROUNDS_PER_TENANT) {
            check::invariants(&mut world.session().await?, tenancy.tenant_id).await?;
        }
    }
    if let Some((tenancy, ..)) = on {
        check::invariants(&mut world.session().await?, tenancy.tenant_id).await?;
        check::projections(&world.url(), &tenancy).await?;
    }
    first.finish().await?;
    second.finish().await?;
    let (rounds, refused) = (budget.done(), refused.load(Ordering::SeqCst));
    let race = match race {
        Race::Creates => format!("{CREATES} identical creates: one 201 each, the others 409"),
        Race::Members => format!("{ADDS} members added to one group at once: none lost, no deadlock seen"),
    };
    Ok(format!("{rounds} rounds over two processes of {race}; {refused} answered 503 and sent again"))
}

/// Sends all requests at once, each to one of the two servers, and again when it was told to: a busy machine is no fault.
async fn at_once(clients: &Clients, requests: Vec<(&'static str, String, serde_json::Value)>) -> Fallible<Vec<Answer>> {
    let Clients { to: clients, refused } = clients;
    let mut running = JoinSet::new();
    for (number, (method, path, body)) in requests.into_iter().enumerate() {
        let client = clients[number % 2].clone();
        let refused = Arc::clone(refused);
        running.spawn(async move {
            loop {
                let answer = client.send(method, &path, Some(&body)).await;
                if answer.as_ref().is_none_or(|answer| answer.status != 503 || !answer.retry_after) {
                    return answer;
                }
                refused.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(RETRY_AFTER).await;
            }
        });
    }
    let answers = running.join_all().await.into_iter().collect::<Option<Vec<_>>>();
    Ok(answers.ok_or("a request was not answered, without a fault")?)
}

/// One name in several spellings, which are the same name.
async fn create(clients: &Clients, random: &mut Random) -> Fallible<()> {
    let word = format!("{:016x}", random.draw());
    let spellings = [word.clone(), word.to_uppercase()];
    let users = random.below(4) > 0;
    let request = |number: usize| {
        let name = &spellings[number / 2 % 2];
        if users { ("POST", "/Users".into(), user(name, "Guide")) } else { ("POST", "/Groups".into(), group(name, &[])) }
    };
    let answers = at_once(clients, (0..CREATES).map(request).collect()).await?;
    let with = |status: u16| answers.iter().filter(move |answer| answer.status == status);
    if with(201).count() != 1 || with(409).count() != CREATES - 1 {
        let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        return Err(format!("{CREATES} creates of {word} were answered {statuses:?}").into());
    }
    // Who was told of a conflict finds the one who was first, at once and in either process.
    let (path, attribute) = if users { ("/Users", "userName") } else { ("/Groups", "displayName") };
    let made = with(201).map(Answer::id).next().unwrap_or_default();
    for client in &clients.to {
        let found = client.get(&format!("{path}?filter={attribute} eq \"{word}\"")).await.ok_or("no answer without a fault")?;
        if found.body["totalResults"] != 1 || found.body["Resources"][0]["id"] != made {
            return Err(format!("{made} was made, and a lookup finds {found:?}").into());
        }
    }
    Ok(())
}

async fn make_people(client: &Client) -> Fallible<Vec<String>> {
    let mut ids = Vec::new();
    for number in 0..ADDS {
        let answer = client.send("POST", "/Users", Some(&user(&format!("member-{number}"), "Guide"))).await;
        let answer = answer.filter(|answer| answer.status == 201).ok_or("a user could not be made")?;
        ids.push(answer.id());
    }
    Ok(ids)
}

/// A new group to which everybody is added at once; in every second round they are removed at once again.
async fn add(clients: &Clients, people: &[String], random: &mut Random) -> Fallible<()> {
    let name = format!("group-{:016x}", random.draw());
    let made = clients.to[0].send("POST", "/Groups", Some(&group(&name, &[]))).await.ok_or("no answer without a fault")?;
    let path = format!("/Groups/{}", made.id());
    change_each(clients, &path, "add", people).await?;
    expect_members(clients, &path, people).await?;
    if random.below(2) == 0 {
        change_each(clients, &path, "remove", people).await?;
        expect_members(clients, &path, &[]).await?;
    }
    Ok(())
}

async fn change_each(clients: &Clients, path: &str, op: &str, people: &[String]) -> Fallible<()> {
    let request = |id: &String| ("PATCH", path.to_owned(), patch(op, "members", values(std::slice::from_ref(id))));
    let answers = at_once(clients, people.iter().map(request).collect()).await?;
    match answers.iter().find(|answer| answer.status != 204) {
        Some(answer) => Err(format!("{op} of one member was answered {answer:?}").into()),
        None => Ok(()),
    }
}

async fn expect_members(clients: &Clients, path: &str, people: &[String]) -> Fallible<()> {
    for client in &clients.to {
        let answer = client.get(path).await.ok_or("no answer without a fault")?;
        let members = answer.body["members"].as_array().map(Vec::as_slice).unwrap_or_default();
        let found: BTreeSet<&str> = members.iter().filter_map(|member| member["value"].as_str()).collect();
        if found != people.iter().map(String::as_str).collect() {
            return Err(format!("{path} has {} members and not {}: {answer:?}", found.len(), people.len()).into());
        }
    }
    Ok(())
}
