//! Eight servers that start at once on an empty database, some of them killed in the middle of it and started again: the schema
//! is made once, and so are the first tenant and its connection.

use std::time::Duration;

use crate::check::count;
use crate::plan::Budget;
use crate::random::Random;
use crate::server::Server;
use crate::world::{self, Fallible, World};

/// How many start at once.
const SERVERS: u64 = 8;

/// The longest until a kill, in milliseconds: about as long as a start takes.
const KILL_WITHIN_MS: u64 = 600;

/// Few connections for each, because there are many servers.
const SETTINGS: [(&str, &str); 1] = [("FRONTDESK_DATABASE_POOL_SIZE", "4")];

/// Starts until the budget is used.
pub async fn run(world: &World, budget: &mut Budget, random: &Random) -> Fallible<String> {
    let mut kills = 0;
    while let Some(cycle) = budget.next_cycle() {
        let mut random = random.fork(cycle);
        let name = format!("starts_{cycle}");
        let url = world.new_database(&name).await?;
        let mut servers = Vec::new();
        for number in 0..SERVERS {
            servers.push(Server::spawn(world.dir(), &format!("starts-{number}"), &url, &SETTINGS)?);
        }
        for server in &mut servers {
            if random.below(2) == 0 {
                tokio::time::sleep(Duration::from_millis(random.below(KILL_WITHIN_MS / SERVERS * 2))).await;
                server.kill().await?;
                server.start_again()?;
                kills += 1;
            }
        }
        for server in &mut servers {
            server.wait_ready().await?;
        }
        let mut session = world::session(&url).await?;
        let wanted = [
            ("select count(*) from tenants", 1),
            ("select count(*) from connections", 1),
            ("select count(*) from _sqlx_migrations where not success", 0),
            ("select count(*) - count(distinct version) from _sqlx_migrations", 0),
        ];
        for (sql, wanted) in wanted {
            let found = count(&mut session, sql).await?;
            if found != wanted {
                return Err(format!("cycle {cycle}: {sql} is {found} and not {wanted}").into());
            }
        }
        for server in servers {
            server.finish().await?;
        }
        drop(session);
        world.drop_database(&name).await?;
    }
    Ok(format!(
        "{} times {SERVERS} servers at once on an empty database, {kills} killed while they started: one schema, one first tenant",
        budget.done()
    ))
}
