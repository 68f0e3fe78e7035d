//! The directory floor: use cases on PostgreSQL, and the only place that knows sqlx. One use case is one transaction.
//!
//! A unit of work runs in a task of its own that nobody drops (`Directory::unit`), and its time limits are PostgreSQL's: a client
//! that goes away tears nothing. They end nothing when the network swallows packets and no answer ever comes; for that there are
//! coarser ones of ours. A single statement outside a transaction needs no unit: when its future is dropped it was done or it was
//! not. `pool` keeps the connections clean, and `ambiguous` finds out what a commit did whose answer was lost.

mod ambiguous;
mod bulk;
mod callers;
mod changes;
mod conditions;
mod connections;
mod counts;
mod employee_columns;
mod employee_search;
mod employees;
mod error;
mod events;
mod export;
mod groups;
mod growth;
mod health;
mod keys;
mod mappings;
mod members;
mod memberships;
mod new_users;
mod one_member;
mod organization;
mod passwords;
mod pool;
mod recompute;
mod resource;
mod retention;
mod scans;
mod search;
mod search_sql;
mod tenants;
mod tokens;
mod user_changes;
mod users;
mod vocabulary;
mod walks;

use std::{fmt, future::Future, str::FromStr, sync::Arc, time::Duration};

use sqlx::{Connection as _, Executor as _, PgConnection, migrate::Migrator, postgres::PgConnectOptions};
use tokio::sync::OnceCell;

use self::pool::{Pool, Session};
use crate::log;
use crate::scim::cursor::SealingKey;

pub use self::{
    bulk::Outcome,
    callers::Caller,
    changes::{After, Change, Changes, History},
    connections::Connection,
    employee_columns::{COLUMNS, Column, ColumnKind, SINCE, column_named},
    employee_search::EmployeeSearch,
    employees::{EmployeeRow, Employees},
    error::{Cause, Error, constraint},
    events::{Kind, Refusal},
    export::Format,
    groups::{Members, MembersPage, MembersPlace},
    health::{Server, Stock},
    mappings::{MappingState, MappingVersion, Recorded, TenantMapping},
    organization::{HeadCount, HeadCounts, Unit},
    recompute::{Applied, Progress, Reprojected},
    resource::{Origin, Stored},
    search::{Found, Page, Part, Place, Search},
    tenants::{FirstStart, Tenant, TenantSettings},
    tokens::{MAX_LIVE_TOKENS, Token, TokenRecord},
    vocabulary::{Conformance, Profile, Provider, Scope, State, UnknownWord},
    walks::Walked,
};

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// How often a unit of work is done at most when PostgreSQL undoes it for another's sake. Conflicts are short: what still
/// collides after five attempts is better told to the client (503) than held.
const MAX_ATTEMPTS: u32 = 5;

/// The longest pause before the second attempt; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// The longest a unit of work waits for the database when no `statement_timeout` says how long it may work.
const UNIT_MAX: Duration = Duration::from_secs(30);

/// How our statements are planned. A plan is kept for as long as its connection, and one that was made when the tables had a page
/// each reads them from end to end where an index belongs: after a first synchronization that is a thousand times slower, until
/// PostgreSQL happens to analyze. All our statements have an index on the tenant. And none of them runs so long that compiling
/// it (`jit`) pays.
const PLANNER: [(&str, &str); 2] = [("enable_seqscan", "off"), ("jit", "off")];

/// How many connections there are and how long they wait.
#[derive(Debug, Clone)]
pub struct PoolSettings {
    /// The most connections open at a time.
    pub pool_size: u32,
    /// How long a request waits for a free connection.
    pub acquire_timeout: Duration,
    /// The longest a statement may run. Zero leaves the server's own setting.
    pub statement_timeout: Duration,
    /// The longest a statement waits for a lock. Zero leaves the server's own setting.
    pub lock_timeout: Duration,
    /// The longest a transaction waits for us. Zero leaves the server's own setting.
    pub idle_in_transaction_timeout: Duration,
    /// Prepared statements kept per connection.
    pub statement_cache: usize,
    /// The database is reached through a pooler in transaction mode, such as PgBouncer.
    pub transaction_pooler: bool,
}

/// The directory: every use case is a method of it. Cheap to clone; the clones share the connections.
#[derive(Clone)]
pub struct Directory {
    pool: Pool,
    /// How to reach the database itself and without our time limits: a migration takes as long as it takes.
    unlimited: Arc<PgConnectOptions>,
    callers: Arc<callers::Callers>,
    mappings: Arc<mappings::Mappings>,
    refusals: Arc<events::RefusalLog>,
    walks: Arc<walks::Walks>,
    counts: Arc<counts::Counts>,
    scans: Arc<scans::Scans>,
    growth: Arc<growth::Growth>,
    cursor_key: Arc<OnceCell<SealingKey>>,
    /// The longest a unit of work may take.
    unit_max: Duration,
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directory").field("pool", &self.pool).finish_non_exhaustive()
    }
}

impl Directory {
    /// Connects to the database of a `postgres://` URL.
    ///
    /// # Errors
    /// The URL is no such URL (`Internal`), or as [`Directory::connect`].
    pub async fn open(url: &str, settings: &PoolSettings) -> Result<Self, Error> {
        Self::connect(parse_url(url)?, settings).await
    }

    /// Connects, with one connection opened at once so that a wrong address is told here.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be reached in `acquire_timeout`, `Internal` when it refuses us for good.
    pub async fn connect(options: PgConnectOptions, settings: &PoolSettings) -> Result<Self, Error> {
        let unlimited = as_frontdesk(options, settings);
        let pool = if settings.transaction_pooler {
            Pool::behind_pooler(unlimited.clone(), settings, &session_settings(settings))
        } else {
            Pool::direct(with_limits(unlimited.clone(), settings), settings)
        };
        pool.acquire().await?.finish().await?;
        let refusals = Arc::new(events::RefusalLog::start(pool.clone()));
        Ok(Self {
            pool,
            unlimited: Arc::new(unlimited),
            callers: Arc::default(),
            mappings: Arc::default(),
            refusals,
            walks: Arc::default(),
            counts: Arc::default(),
            scans: Arc::new(scans::Scans::new(settings)),
            growth: Arc::default(),
            cursor_key: Arc::default(),
            unit_max: unit_max(settings),
        })
    }

    /// The same directory with another address for migrations, which leads past a pooler: the migrator's lock belongs to a session.
    ///
    /// # Errors
    /// `Internal` when the URL is not a `postgres://` URL.
    pub fn migrating_at(self, direct_url: &str) -> Result<Self, Error> {
        Ok(Self { unlimited: Arc::new(named(parse_url(direct_url)?)), ..self })
    }

    /// Applies what the database lacks of the schema. Several processes may do this at once: the migrator's lock lets one.
    /// Behind a pooler in transaction mode this needs [`Directory::migrating_at`].
    ///
    /// # Errors
    /// `Unavailable` when the database is away, `Internal` when a migration fails or was changed after it was applied.
    pub async fn migrate(&self) -> Result<(), Error> {
        let mut connection = PgConnection::connect_with(&self.unlimited).await?;
        // The migrator makes its own table if it is not there, and PostgreSQL would note at every start that it is.
        connection.execute("set client_min_messages = warning").await?;
        MIGRATIONS.run_direct(None, &mut connection, false).await?;
        connection.close().await?;
        Ok(())
    }

    /// Writes what waits to be recorded, waits until running units of work are done and closes the connections.
    pub async fn close(&self) {
        self.refusals.finish().await;
        self.pool.close().await;
    }

    /// Runs a unit of work, from `begin` to `commit`, in a task of its own: a caller that goes away drops the wait and not the
    /// work, so no future is ever dropped inside `begin()`. A unit that PostgreSQL undid because of another one (40001, 40P01)
    /// is done again from the start, so `work` must not keep anything from an attempt.
    ///
    /// # Errors
    /// The unit's own. A panic in it is `Internal`. `Unsettled` when the database did not answer at all.
    async fn unit<T, F, Fut>(&self, work: F) -> Result<T, Error>
    where
        F: Fn(Pool) -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, Error>> + Send + 'static,
        T: Send + 'static,
    {
        let (pool, longest) = (self.pool.clone(), self.unit_max);
        let task = async move {
            let mut attempt = 1;
            loop {
                let attempted = tokio::time::timeout(longest, work(pool.clone()));
                match attempted.await.unwrap_or_else(|silent| Err(Error::Unsettled(silent.into()))) {
                    Err(error) if error.is_conflict() && attempt < MAX_ATTEMPTS => {
                        tracing::debug!(attempt, "a unit of work met another one and is done again");
                        tokio::time::sleep(pause(attempt)).await;
                        attempt += 1;
                    }
                    outcome => return outcome,
                }
            }
        };
        match tokio::spawn(log::of_this_request(task)).await {
            Ok(outcome) => {
                self.growth.note(&self.pool);
                outcome
            }
            // The runtime is shutting down.
            Err(ended) if ended.is_cancelled() => Err(Error::Unavailable(Box::new(ended))),
            Err(panicked) => Err(Error::internal(panicked)),
        }
    }
}

fn parse_url(url: &str) -> Result<PgConnectOptions, Error> {
    PgConnectOptions::from_str(url).map_err(|error| Error::internal(format!("the database URL is not usable: {error}")))
}

/// The options of all our connections. `extra_float_digits` is not sent: PgBouncer refuses it, and PostgreSQL's default is exact.
fn as_frontdesk(options: PgConnectOptions, settings: &PoolSettings) -> PgConnectOptions {
    named(options).extra_float_digits(None).statement_cache_capacity(settings.statement_cache)
}

/// The options with a name by which an administrator finds our sessions, unless the address has one.
fn named(options: PgConnectOptions) -> PgConnectOptions {
    match options.get_application_name() {
        Some(_) => options,
        None => options.application_name("frontdesk"),
    }
}

/// The settings in the start-up message, so that they cost nothing and hold from the first statement. A pooler refuses it, and
/// sets them as [`Pool::behind_pooler`] says.
fn with_limits(options: PgConnectOptions, settings: &PoolSettings) -> PgConnectOptions {
    options.options(session_settings(settings))
}

/// The time limits, and [`PLANNER`].
fn session_settings(settings: &PoolSettings) -> Vec<(&'static str, String)> {
    let limits = [
        ("statement_timeout", settings.statement_timeout),
        ("lock_timeout", settings.lock_timeout),
        ("idle_in_transaction_session_timeout", settings.idle_in_transaction_timeout),
    ];
    let limits = limits.into_iter().filter(|(_, limit)| !limit.is_zero());
    let limits = limits.map(|(name, limit)| (name, limit.as_millis().to_string()));
    limits.chain(PLANNER.map(|(name, value)| (name, value.to_owned()))).collect()
}

/// A few statements, each within the limit that PostgreSQL keeps. A unit that takes longer waits for an answer that does not come.
fn unit_max(settings: &PoolSettings) -> Duration {
    if settings.statement_timeout.is_zero() { UNIT_MAX } else { settings.statement_timeout * 3 }
}

/// The pause before the next attempt: full jitter, so that units which met do not meet again.
fn pause(attempt: u32) -> Duration {
    let longest = FIRST_PAUSE * (1 << (attempt - 1).min(MAX_ATTEMPTS));
    let random = getrandom::u32().unwrap_or(u32::MAX / 2);
    longest.mul_f64(f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::{error::tests::database, *};

    fn settings(limit: Duration) -> PoolSettings {
        PoolSettings {
            pool_size: 1,
            acquire_timeout: Duration::from_secs(1),
            statement_timeout: limit,
            lock_timeout: limit,
            idle_in_transaction_timeout: limit,
            statement_cache: 1,
            transaction_pooler: false,
        }
    }

    fn url(url: &str) -> PgConnectOptions {
        PgConnectOptions::from_str(url).unwrap()
    }

    /// A directory whose database nobody asks.
    fn nowhere() -> Directory {
        let options = url("postgres://localhost/x");
        let pool = Pool::direct(options.clone(), &settings(Duration::from_secs(1)));
        let refusals = Arc::new(events::RefusalLog::start(pool.clone()));
        Directory {
            pool,
            unlimited: Arc::new(options),
            callers: Arc::default(),
            mappings: Arc::default(),
            refusals,
            walks: Arc::default(),
            counts: Arc::default(),
            scans: Arc::new(scans::Scans::new(&settings(Duration::from_secs(1)))),
            growth: Arc::default(),
            cursor_key: Arc::default(),
            unit_max: UNIT_MAX,
        }
    }

    /// Runs a unit that fails so often with this code; returns the attempts and whether it succeeded.
    async fn attempts(failures: u32, code: &'static str) -> (u32, bool) {
        let attempts = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&attempts);
        let directory = nowhere();
        let outcome = directory.unit(move |_| {
            let attempt = counted.fetch_add(1, Ordering::Relaxed);
            async move { if attempt < failures { Err(Error::from(database(code))) } else { Ok(()) } }
        });
        let succeeded = outcome.await.is_ok();
        (attempts.load(Ordering::Relaxed), succeeded)
    }

    #[tokio::test]
    async fn units_that_collide_are_done_again_but_not_for_ever() {
        assert_eq!(attempts(0, "40001").await, (1, true));
        assert_eq!(attempts(4, "40P01").await, (5, true));
        assert_eq!(attempts(9, "40001").await, (5, false));
        assert_eq!(attempts(1, "57014").await, (1, false), "a timeout is told, not repeated");
    }

    #[tokio::test]
    async fn a_panic_in_a_unit_is_an_error_and_not_a_hang() {
        let outcome: Result<(), Error> = nowhere().unit(|_| async { panic!("a broken invariant") }).await;
        assert!(matches!(outcome, Err(Error::Internal(_))));
    }

    #[test]
    fn limits_travel_in_the_start_up_message() {
        let options = with_limits(url("postgres://localhost/x"), &settings(Duration::from_millis(1500)));
        assert_eq!(
            options.get_options(),
            Some(
                "-c statement_timeout=1500 -c lock_timeout=1500 -c idle_in_transaction_session_timeout=1500 \
                 -c enable_seqscan=off -c jit=off"
            )
        );
    }

    #[test]
    fn a_limit_of_zero_is_left_to_the_server() {
        let options = with_limits(url("postgres://localhost/x"), &settings(Duration::ZERO));
        assert_eq!(options.get_options(), Some("-c enable_seqscan=off -c jit=off"));
    }

    #[test]
    fn an_application_name_in_the_url_is_kept() {
        let settings = settings(Duration::ZERO);
        assert_eq!(as_frontdesk(url("postgres://localhost/x"), &settings).get_application_name(), Some("frontdesk"));
        let named = as_frontdesk(url("postgres://localhost/x?application_name=reception"), &settings);
        assert_eq!(named.get_application_name(), Some("reception"));
    }

    #[test]
    fn pauses_grow_and_stay_short() {
        for attempt in 1..MAX_ATTEMPTS {
            assert!(pause(attempt) <= FIRST_PAUSE * (1 << (attempt - 1)));
        }
    }
}
