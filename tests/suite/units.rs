//! Requests that go away at any moment (docs/decisions.md, sqlx issues 4385 and 4393): a dropped future must not leave a pooled
//! connection inside a transaction, because the next borrower's acknowledged writes would never be committed.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    str::FromStr,
    task::Poll,
    time::{Duration, Instant},
};

use frontdesk::directory::{Conformance, Directory, Error, PoolSettings, Provider, Tenant};
use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};
use uuid::Uuid;

use crate::support::{direct_settings, direct_url, observer, settings, tenant, unique, url};

const ROUNDS: u64 = 400;

/// Polls a future so many times and drops it when it is not done by then.
async fn polled<F: Future>(future: F, times: u32) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = times;
    poll_fn(move |context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            // The last permitted poll: what it sent to the database is now on its way.
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// A small generator (SplitMix64), so that a round can be repeated from its seed.
fn random(seed: u64, below: u64) -> u64 {
    let mut z = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (z ^ (z >> 31)) % below
}

/// One round: a connection is made (autocommit), then a token for it (a transaction), and that wait is given up after some
/// polls or microseconds. Returns the connection's id, acknowledged, and whether the token was.
async fn round(directory: &Directory, tenant: &Tenant, seed: u64) -> (Uuid, bool) {
    let connection = directory.create_connection(tenant.id, &unique("round"), Provider::Generic, Conformance::Lenient).await.unwrap();
    let token = directory.create_token(&connection, None, None);
    let acknowledged = if random(seed, 2) == 0 {
        polled(token, 1 + u32::try_from(random(seed + 1, 12)).unwrap())
            .await
            .map(|token| token.expect("the acknowledged connection is seen by everyone"))
            .is_some()
    } else {
        let patience = Duration::from_micros(random(seed + 1, 3_000));
        tokio::time::timeout(patience, token).await.map(|token| token.expect("the acknowledged connection is seen by everyone")).is_ok()
    };
    (connection.id, acknowledged)
}

async fn sessions_in_a_transaction(observer: &mut PgConnection, name: &str) -> i64 {
    sqlx::query_scalar("select count(*) from pg_stat_activity where application_name = $1 and state like 'idle in transaction%'")
        .bind(name)
        .fetch_one(observer)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn units_cancelled_at_any_point_lose_no_acknowledged_write() {
    let name = unique("units");
    let options = PgConnectOptions::from_str(url().await).unwrap().application_name(&name);
    let small = PoolSettings { pool_size: 2, ..settings() };
    let directory = Directory::connect(options, &small).await.unwrap();
    let tenant = tenant(&directory).await;
    let first_seed = u64::from(std::process::id()) << 32;
    println!("seeds {first_seed} to {}", first_seed + 2 * ROUNDS);

    let mut made = Vec::new();
    for seed in (first_seed..first_seed + 2 * ROUNDS).step_by(4) {
        let (one, other) = tokio::join!(round(&directory, &tenant, seed), round(&directory, &tenant, seed + 2));
        made.extend([one, other]);
    }

    // What an independent session sees is what is committed.
    let mut observer = observer().await;
    for (connection, acknowledged) in &made {
        let tokens: Option<i64> = sqlx::query_scalar(
            "select (select count(*) from tokens t where t.tenant_id = c.tenant_id and t.connection_id = c.id)
             from connections c where c.tenant_id = $1 and c.id = $2",
        )
        .bind(tenant.id)
        .bind(connection)
        .fetch_optional(&mut observer)
        .await
        .unwrap();
        let tokens = tokens.unwrap_or_else(|| panic!("the acknowledged connection {connection} is lost"));
        assert!(tokens == 1 || !acknowledged, "the acknowledged token of {connection} is lost");
    }
    let cancelled = made.iter().filter(|(_, acknowledged)| !acknowledged).count();
    assert!(cancelled > 0, "none of {} rounds was cancelled", made.len());

    let since = Instant::now();
    while sessions_in_a_transaction(&mut observer, &name).await > 0 {
        assert!(since.elapsed() < Duration::from_secs(5), "a session stays inside a transaction");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    directory.close().await;
}

#[tokio::test]
async fn a_unit_goes_on_when_its_caller_is_gone() {
    let directory = crate::support::directory().await;
    let (tenant, connection) = crate::support::connection(&directory).await;
    assert!(polled(directory.create_token(&connection, None, None), 1).await.is_none(), "one poll cannot be enough");
    let since = Instant::now();
    while directory.tokens(tenant.id, None).await.unwrap().is_empty() {
        assert!(since.elapsed() < Duration::from_secs(5), "the work was dropped with its caller");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_lock_that_is_not_given_in_time_is_told_as_unavailable() {
    a_lock_that_is_not_given_in_time(settings()).await;
}

/// There the limits travel with each transaction and not with the connection.
#[tokio::test]
async fn the_limits_hold_as_a_pooler_wants_them_set() {
    a_lock_that_is_not_given_in_time(PoolSettings { transaction_pooler: true, ..settings() }).await;
}

async fn a_lock_that_is_not_given_in_time(settings: PoolSettings) {
    let settings = PoolSettings { lock_timeout: Duration::from_millis(50), ..settings };
    let directory = Directory::open(url().await, &settings).await.unwrap();
    let (tenant, connection) = crate::support::connection(&directory).await;
    let mut other = observer().await;
    let mut held = other.begin().await.unwrap();
    sqlx::query("select from connections where tenant_id = $1 for update").bind(tenant.id).execute(&mut *held).await.unwrap();
    assert!(matches!(directory.create_token(&connection, None, None).await, Err(Error::Unavailable(_))));
    held.rollback().await.unwrap();
    directory.create_token(&connection, None, None).await.unwrap();
}

#[tokio::test]
async fn connections_that_the_database_closed_are_replaced() {
    let name = unique("closed");
    // A pooler would notice in our place.
    let options = PgConnectOptions::from_str(&direct_url().await).unwrap().application_name(&name);
    let directory = Directory::connect(options, &direct_settings()).await.unwrap();
    let tenant = tenant(&directory).await;
    let ended: i64 = sqlx::query_scalar("select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = $1")
        .bind(&name)
        .fetch_one(&mut observer().await)
        .await
        .unwrap();
    assert!(ended >= 1);
    // Whoever meets a closed connection is told to come again; it is gone from the pool then.
    let mut refused = 0;
    while let Err(error) = directory.connections(tenant.id).await {
        assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
        refused += 1;
    }
    assert!(refused <= ended, "{refused} refusals for {ended} closed connections");
}
