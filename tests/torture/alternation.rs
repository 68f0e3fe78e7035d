//! Two tenants on one connection of the pool: their requests alternate, and between them are requests whose client goes away at a
//! random moment. Nobody may ever see, change or delete anything of the other tenant, though both have users of the same names.

use std::time::Duration;

use crate::check;
use crate::client::{Answer, Client, patch, user};
use crate::plan::Budget;
use crate::random::Random;
use crate::server::Server;
use crate::world::{Fallible, World};

/// All requests share this connection.
const SETTINGS: [(&str, &str); 1] = [("FRONTDESK_DATABASE_POOL_SIZE", "1")];

/// Pairs of requests in a cycle.
const PAIRS: u64 = 100;

/// Users of each tenant.
const USERS: usize = 10;

/// The longest a client that goes away waits, in microseconds.
const LONGEST_WAIT_US: u64 = 3_000;

/// A tenant, and how its users are told from the other's.
struct Side {
    client: Client,
    mark: &'static str,
    ids: Vec<String>,
}

/// Alternates until the budget is used.
pub async fn run(world: &World, budget: &mut Budget, random: &Random) -> Fallible<String> {
    let server = Server::start(world.dir(), "alternation", &world.url(), &SETTINGS).await?;
    let tenancies = [world.tenant().await?, world.tenant().await?];
    let mut sides = Vec::new();
    for (tenancy, mark) in tenancies.iter().zip(["ours", "theirs"]) {
        let client = Client::new(server.port, &tenancy.token);
        let mut ids = Vec::new();
        for number in 0..USERS {
            let made = client.send("POST", "/Users", Some(&user(&format!("user-{number}"), mark))).await;
            ids.push(made.filter(|answer| answer.status == 201).ok_or("a user could not be made")?.id());
        }
        sides.push(Side { client, mark, ids });
    }
    let (mut asked, mut gone) = (0, 0);
    while let Some(cycle) = budget.next_cycle() {
        let mut random = random.fork(cycle);
        for pair in 0..2 * PAIRS {
            let (one, other) = if pair.is_multiple_of(2) { (&sides[0], &sides[1]) } else { (&sides[1], &sides[0]) };
            if random.below(2) == 0 {
                go_away(one, server.port, &tenancies[(pair % 2) as usize].token, &mut random).await;
                gone += 1;
            }
            ask(one, other, &mut random).await.map_err(|seen| format!("cycle {cycle}: {seen}"))?;
            asked += 1;
        }
    }
    for tenancy in &tenancies {
        check::invariants(&mut world.session().await?, tenancy.tenant_id).await?;
    }
    server.finish().await?;
    Ok(format!("{asked} requests of two tenants in turn on one pooled connection, {gone} broken off between them: no row of the other"))
}

/// A request of a client that closes its connection at a random moment.
async fn go_away(side: &Side, port: u16, token: &str, random: &mut Random) {
    let client = Client::new(port, token);
    let path = random.pick(&side.ids).map(|id| format!("/Users/{id}")).unwrap_or_default();
    let body = patch("replace", "nickName", format!("{:016x}", random.draw()).into());
    let moment = Duration::from_micros(random.below(LONGEST_WAIT_US));
    let answer = async {
        match random.below(3) {
            0 => client.get("/Users").await,
            1 => client.get(&path).await,
            _ => client.send("PATCH", &path, Some(&body)).await,
        }
    };
    // Who is answered in time was not in a hurry; the answer is of no interest.
    let _ = tokio::time::timeout(moment, answer).await;
}

/// A request on one's own users, or on one of the other's, which is unknown here.
async fn ask(one: &Side, other: &Side, random: &mut Random) -> Fallible<()> {
    let foreign = random.pick(&other.ids).cloned().unwrap_or_default();
    let own = random.pick(&one.ids).cloned().unwrap_or_default();
    let body = patch("replace", "nickName", format!("{:016x}", random.draw()).into());
    let (answer, wanted) = match random.below(6) {
        0 => (one.client.get("/Users").await, 200),
        1 => (one.client.get("/Users?filter=userName sw \"user\"").await, 200),
        2 => (one.client.send("PATCH", &format!("/Users/{own}"), Some(&body)).await, 200),
        3 => (one.client.get(&format!("/Users/{foreign}")).await, 404),
        4 => (one.client.send("PATCH", &format!("/Users/{foreign}"), Some(&body)).await, 404),
        _ => (one.client.send("DELETE", &format!("/Users/{foreign}"), None).await, 404),
    };
    let answer = answer.ok_or("a request was not answered, without a fault")?;
    if answer.status != wanted || !is_own(&answer, one) {
        return Err(format!("tenant {} was answered {answer:?}", one.mark).into());
    }
    Ok(())
}

/// Whether an answer shows the tenant's own users, and in a list all of them.
fn is_own(answer: &Answer, side: &Side) -> bool {
    match answer.body["Resources"].as_array() {
        Some(users) => users.len() == USERS && users.iter().all(|user| user["title"] == side.mark),
        None => answer.status == 404 || answer.body["title"] == side.mark,
    }
}
