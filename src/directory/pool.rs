//! The connections to the database, and the transactions on them.
//!
//! sqlx's own pool is not used, for two reasons (docs/decisions.md). It asks the database, each time a connection comes back,
//! whether it still lives: a round trip for every request. And its transactions can leave a connection inside a transaction when a
//! future is dropped while `begin` waits (upstream issues 4385 and 4393): the next borrower's acknowledged writes are then never
//! committed. Here a connection comes back at once when its borrower says that it is clean, which is free; from everybody else (a
//! dropped future, an error) it is rolled back and drained first, by a task of its own that nobody drops.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use deadpool::managed::{self, Metrics, Object, PoolConfig, QueueMode, RecycleError, RecycleResult, Timeouts};
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use sqlx::postgres::{PgConnectOptions, PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Connection as _, Describe, Either, Execute, Executor, PgConnection, Postgres, SqlStr};

use super::{Error, PoolSettings};

/// A connection that lay unused for this long is tested before it is handed out: a restarted or failed-over database is then
/// noticed by us and not by a request. Busier connections are not, which saves a round trip on each request.
const TEST_AFTER_IDLE: Duration = Duration::from_secs(1);

/// How long that test may take. An answer comes in less than a millisecond, or from a network that swallows packets never.
const TEST_MAX: Duration = Duration::from_secs(1);

/// How long a connection that was not released may take to be clean: it may still be sending what nobody wants any more.
const CLEAN_MAX: Duration = Duration::from_secs(5);

/// A connection that lay unused for this long is replaced: something on the way may have forgotten it.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// The age at which a connection is replaced, so that load balancers and changed roles get their turn.
const MAX_LIFETIME: Duration = Duration::from_secs(30 * 60);

/// How often [`Pool::close`] looks whether all connections are back.
const CLOSING_PAUSE: Duration = Duration::from_millis(5);

/// The connections. Cheap to clone; the clones share them. As an [`Executor`] it runs a single statement outside a transaction: when
/// that future is dropped, the statement was done or it was not.
#[derive(Clone)]
pub(super) struct Pool(managed::Pool<Connector>);

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("connections", &self.0.status().size).finish_non_exhaustive()
    }
}

impl Pool {
    /// A pool that has no connection yet.
    pub(super) fn new(options: PgConnectOptions, settings: &PoolSettings) -> Self {
        let timeouts = Timeouts {
            wait: Some(settings.acquire_timeout),
            create: Some(settings.acquire_timeout),
            recycle: Some(settings.acquire_timeout),
        };
        let size = usize::try_from(settings.pool_size).unwrap_or(usize::MAX);
        // Last in, first out: the connection that was just used has its plans and pages at hand, and what is not needed grows old.
        let config = PoolConfig { max_size: size.max(1), timeouts, queue_mode: QueueMode::Lifo };
        let pool = managed::Pool::builder(Connector(options)).config(config).runtime(deadpool::Runtime::Tokio1).build();
        Self(pool.expect("a runtime is named, which is all that time limits ask for"))
    }

    /// A connection for several statements, each outside a transaction. [`Borrowed::release`] gives it back at once.
    ///
    /// # Errors
    /// `PoolTimedOut` when none is free in time, and why none can be opened.
    pub(super) async fn acquire(&self) -> Result<Borrowed, sqlx::Error> {
        let object = self.0.get().await.map_err(|error| match error {
            managed::PoolError::Timeout(_) => sqlx::Error::PoolTimedOut,
            managed::PoolError::Backend(error) => error,
            managed::PoolError::Closed | managed::PoolError::NoRuntimeSpecified | managed::PoolError::PostCreateHook(_) => {
                sqlx::Error::PoolClosed
            }
        })?;
        Ok(Borrowed { object: Some(object), cleaning: Cleaning::Drain })
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// As [`Pool::acquire`], and the database's.
    pub(super) async fn begin(&self) -> Result<Transaction, sqlx::Error> {
        let mut connection = self.acquire().await?;
        // From here on the connection is cleaned by a rollback, however this future ends.
        connection.cleaning = Cleaning::RollBack;
        connection.execute("begin").await?;
        Ok(Transaction(connection))
    }

    /// A connection that is not the pool's.
    ///
    /// # Errors
    /// The database's.
    pub(super) async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        PgConnection::connect_with(&self.0.manager().0).await
    }

    /// The connections in use, and those open.
    pub(super) fn connections(&self) -> (usize, usize) {
        let status = self.0.status();
        (status.size.saturating_sub(status.available), status.size)
    }

    /// Refuses new borrowers and waits until every connection is back and closed.
    pub(super) async fn close(&self) {
        self.0.close();
        while self.0.status().size > 0 {
            tokio::time::sleep(CLOSING_PAUSE).await;
        }
    }
}

/// What opens connections and looks at them before they are handed out again.
struct Connector(PgConnectOptions);

impl managed::Manager for Connector {
    type Type = PgConnection;
    type Error = sqlx::Error;

    async fn create(&self) -> Result<PgConnection, sqlx::Error> {
        PgConnection::connect_with(&self.0).await
    }

    async fn recycle(&self, connection: &mut PgConnection, metrics: &Metrics) -> RecycleResult<sqlx::Error> {
        let idle = metrics.last_used();
        if idle < TEST_AFTER_IDLE && metrics.age() < MAX_LIFETIME {
            return Ok(());
        }
        if idle >= IDLE_TIMEOUT || metrics.age() >= MAX_LIFETIME {
            return Err(RecycleError::message("the connection is old"));
        }
        Ok(in_time(TEST_MAX, connection.ping()).await?)
    }
}

/// How a connection that was not released is made clean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cleaning {
    /// What was asked is answered first: a dropped future leaves an answer on the way.
    Drain,
    /// The transaction is rolled back.
    RollBack,
}

/// A connection that is lent out.
pub(super) struct Borrowed {
    /// Absent only while it is given back.
    object: Option<Object<Connector>>,
    cleaning: Cleaning,
}

impl Borrowed {
    /// Gives the connection back: nothing is on the way on it and no transaction is open.
    pub(super) fn release(mut self) {
        self.object = None;
    }

    /// Gives the connection back after statements outside a transaction: at once when they did all they should or the client's fault
    /// ended them. What the database could not do may have left it in any state.
    pub(super) fn release_after<T>(self, outcome: &Result<T, Error>) {
        match outcome {
            Ok(_) | Err(Error::Scim(_)) => self.release(),
            Err(error) if error.is_overtaken() => self.release(),
            Err(_) => drop(self),
        }
    }
}

impl Deref for Borrowed {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.object.as_ref().expect("a connection is there until it is given back")
    }
}

impl DerefMut for Borrowed {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.object.as_mut().expect("a connection is there until it is given back")
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        let Some(object) = self.object.take() else { return };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(clean(object, self.cleaning))),
            // Nobody is left to clean it.
            Err(_) => drop(Object::take(object)),
        }
    }
}

/// What takes longer waits on a connection that broke and does not say so.
pub(super) async fn in_time<T>(longest: Duration, work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    tokio::time::timeout(longest, work).await.unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())))
}

/// Makes a connection clean, or closes it.
async fn clean(mut object: Object<Connector>, cleaning: Cleaning) {
    if let Err(error) = in_time(CLEAN_MAX, make_clean(&mut object, cleaning)).await {
        tracing::debug!(%error, "a connection could not be made clean and is closed");
        drop(Object::take(object));
    }
}

async fn make_clean(connection: &mut PgConnection, cleaning: Cleaning) -> Result<(), sqlx::Error> {
    // The answer that is on the way may be an error; it belongs to nobody, and after it the connection is ready.
    match connection.ping().await {
        Err(sqlx::Error::Database(_)) => connection.ping().await?,
        other => other?,
    }
    if cleaning == Cleaning::RollBack {
        connection.execute("rollback").await?;
    }
    Ok(())
}

/// A transaction. Whatever ends it but [`Transaction::commit`] rolls it back.
pub(super) struct Transaction(Borrowed);

impl Transaction {
    /// Commits.
    ///
    /// # Errors
    /// The database's. Where it could not answer, whether the transaction was committed is not known.
    pub(super) async fn commit(mut self) -> Result<(), sqlx::Error> {
        self.0.execute("commit").await?;
        self.0.release();
        Ok(())
    }
}

impl Deref for Transaction {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.0
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.0
    }
}

impl<'p> Executor<'p> for &'_ Pool {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let pool = self.clone();
        // All rows are read before the first is given, so that no connection waits for whoever takes them.
        let all = async move {
            let mut connection = pool.acquire().await?;
            let rows: Vec<_> = connection.fetch_many(query).try_collect().await?;
            connection.release();
            Ok::<_, sqlx::Error>(stream::iter(rows.into_iter().map(Ok)))
        };
        stream::once(all).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let pool = self.clone();
        Box::pin(async move {
            let mut connection = pool.acquire().await?;
            let row = connection.fetch_optional(query).await?;
            connection.release();
            Ok(row)
        })
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [PgTypeInfo]) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'p: 'e,
    {
        let pool = self.clone();
        Box::pin(async move {
            let mut connection = pool.acquire().await?;
            let statement = connection.prepare_with(sql, parameters).await?;
            connection.release();
            Ok(statement)
        })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, sqlx::Error>>
    where
        'p: 'e,
    {
        let pool = self.clone();
        Box::pin(async move {
            let mut connection = pool.acquire().await?;
            let description = connection.describe(sql).await?;
            connection.release();
            Ok(description)
        })
    }
}
