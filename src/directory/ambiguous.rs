//! Commits whose outcome is not known: the connection broke when COMMIT was sent and its answer had not come, or when a statement
//! outside a transaction, which commits by itself, had not answered. The change may be there or not. Doing it again blindly could do
//! it twice, and to say either would be a guess; so this looks, on a connection of its own, for an event of the unit of work
//! ([`super::Origin::unit`]): a unit that changed anything left one, in the same transaction.
//!
//! What is found is answered as if nothing had been lost. What is not found is not proven absent, since PostgreSQL may still be at
//! it: the client is told that it is not known (`Error::Unsettled`, 503). Repeating a request is safe in either case.
//!
//! Not here: whatever fails before COMMIT is sent, which PostgreSQL undoes.

use std::time::Duration;

use sqlx::postgres::PgRow;
use sqlx::{Connection as _, Executor as _, PgConnection};
use uuid::Uuid;

use super::pool::{Pool, Transaction, in_time};
use super::{Error, Origin};

/// How long the answer to COMMIT is waited for. PostgreSQL commits in milliseconds; a network that swallows packets never answers.
const COMMIT_PATIENCE: Duration = Duration::from_secs(5);

/// How long the looking may take: a database that was restarted is back by then, or the client is told that nobody knows.
const LOOK_PATIENCE: Duration = Duration::from_secs(5);

/// The pause before a further attempt to connect.
const PAUSE: Duration = Duration::from_millis(100);

/// Commits a unit of work that changes these resources.
///
/// # Errors
/// `Unsettled` when it is not known whether it was committed, else PostgreSQL's reason why it was not.
pub(super) async fn commit(transaction: Transaction, pool: &Pool, origin: &Origin, resources: &[Uuid]) -> Result<(), Error> {
    match in_time(COMMIT_PATIENCE, transaction.commit()).await.map_err(Error::from) {
        Err(lost) if lost.leaves_open() => settle(lost, pool, origin, resources).await,
        outcome => outcome,
    }
}

/// Finds out what became of a unit of work that ended with the loss of its connection, on one that is not the pool's: those may
/// have broken together.
///
/// # Errors
/// `Unsettled` when none of its events is there.
pub(super) async fn settle(lost: Error, pool: &Pool, origin: &Origin, resources: &[Uuid]) -> Result<(), Error> {
    let looked = tokio::time::timeout(LOOK_PATIENCE, async {
        let mut connection = connect(pool).await;
        let found = look(&mut connection, origin, resources).await;
        // What was read counts, however the connection ends.
        let _ = connection.close().await;
        found
    });
    let found = looked.await.is_ok_and(|found| matches!(found, Ok(Some(_))));
    tracing::warn!(found, "a connection broke during a commit, and what it wrote was looked for");
    if found { Ok(()) } else { Err(lost.unsettled()) }
}

/// In a transaction and unnamed, as it must be behind a pooler (`pool`).
async fn look(connection: &mut PgConnection, origin: &Origin, resources: &[Uuid]) -> Result<Option<PgRow>, sqlx::Error> {
    connection.execute("begin read only").await?;
    sqlx::query("select from events where tenant_id = $1 and resource_id = any ($2) and unit = $3 limit 1")
        .bind(origin.tenant_id())
        .bind(resources)
        .bind(origin.unit)
        .persistent(false)
        .fetch_optional(connection)
        .await
}

/// Connects, as soon as the database lets us.
async fn connect(pool: &Pool) -> PgConnection {
    loop {
        match pool.connect().await {
            Ok(connection) => return connection,
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}
