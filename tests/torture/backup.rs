//! A backup while sixty-four writers write: `pg_dump`, restored into another database, holds every write that was acknowledged
//! before the dump began, and everything that must hold of the tables holds of it.

use std::process::Stdio;

use tokio::process::Command;

use crate::check;
use crate::client::{Client, user};
use crate::plan::Budget;
use crate::random::Random;
use crate::server::Server;
use crate::world::{self, Fallible, World};
use crate::writers::Writers;

/// Users that are made before the dump begins.
const USERS: u64 = 200;

/// Dumps and restores until the budget is used.
pub async fn run(world: &World, budget: &mut Budget, random: &Random) -> Fallible<String> {
    let server = Server::start(world.dir(), "backup", &world.url(), &[]).await?;
    let mut during = 0;
    while let Some(cycle) = budget.next_cycle() {
        let tenancy = world.tenant().await?;
        let client = Client::new(server.port, &tenancy.token);
        let mut before = Vec::new();
        for number in 0..USERS {
            let made = client.send("POST", "/Users", Some(&user(&format!("before-{number}"), "Guide"))).await;
            before.push(made.filter(|answer| answer.status == 201).ok_or("a user could not be made")?.id());
        }
        let writing = Writers::new(server.port, &tenancy).await?.start(&random.fork(cycle));
        let name = format!("backup_{cycle}");
        let url = world.new_database(&name).await?;
        let acknowledged = writing.acknowledged();
        copy(&world.url(), &url).await?;
        during += writing.acknowledged() - acknowledged;
        writing.join().await?;
        let mut session = world::session(&url).await?;
        let people = check::people(&mut session, tenancy.tenant_id).await?;
        for (number, id) in before.iter().enumerate() {
            let found = people.get(&format!("before-{number}"));
            if found.is_none_or(|person| person.id.as_ref() != Some(id)) {
                return Err(format!("cycle {cycle}: user {id} was acknowledged before the dump, and is restored as {found:?}").into());
            }
        }
        check::invariants(&mut session, tenancy.tenant_id).await.map_err(|broken| format!("cycle {cycle}, restored: {broken}"))?;
        check::projections(&url, &tenancy).await?;
        drop(session);
        world.drop_database(&name).await?;
    }
    server.finish().await?;
    Ok(format!(
        "{} dumps and restores, {during} writes meanwhile: every write acknowledged before a dump is in it, every invariant holds",
        budget.done()
    ))
}

/// pg_dump into psql, by a file between them.
async fn copy(from: &str, to: &str) -> Fallible<()> {
    let dump = tempfile::NamedTempFile::new()?;
    run_program("pg_dump", &[from, "--no-owner", "--file", &dump.path().to_string_lossy()]).await?;
    run_program("psql", &[to, "--quiet", "--no-psqlrc", "--set", "ON_ERROR_STOP=1", "--file", &dump.path().to_string_lossy()]).await
}

async fn run_program(program: &str, arguments: &[&str]) -> Fallible<()> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).output().await?;
    if !output.status.success() {
        return Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(())
}
