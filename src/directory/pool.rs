//! The connections to the database, and the transactions on them.
//!
//! sqlx's own pool is not used, for two reasons (docs/decisions.md). It asks the database, each time a connection comes back,
//! whether it still lives: a round trip for every request. And its transactions can leave a connection inside a transaction when a
//! future is dropped while `begin` waits (upstream issues 4385 and 4393): the next borrower's acknowledged writes are then never
//! committed. Here a connection comes back at once when its borrower says that it is clean, which is free; from everybody else (a
//! dropped future, an error) it is rolled back and drained first, by a task of its own that nobody drops.
//!
//! Behind a pooler in transaction mode (PgBouncer) a server connection is ours from `begin` to `commit`, and the next transaction
//! may meet another one: nothing may be left on it, and nothing expected there. The driver sends a statement in two round trips
//! (parse and describe, then bind and execute), and names it unless told otherwise. Hence in that mode every statement runs in a
//! transaction and is unnamed, and the time limits and the planner's settings are set by the statement that begins it, in one
//! round trip with it.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use deadpool::managed::{self, Manager as _, Metrics, Object, PoolConfig, QueueMode, RecycleError, RecycleResult, Timeouts};
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{AssertSqlSafe, Connection as _, Describe, Either, Execute, Executor, PgConnection, Postgres, SqlSafeStr as _, SqlStr};

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

/// The connections, to PostgreSQL or to a pooler. Cheap to clone; the clones share them. As an [`Executor`] it runs a single
/// statement outside a transaction: when that future is dropped, the statement was done or it was not.
#[derive(Clone)]
pub(super) struct Pool {
    connections: managed::Pool<Connector>,
    /// What begins a transaction behind a pooler, and the longest that may take; `None` when there is none.
    begin: Option<(SqlStr, Duration)>,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("connections", &self.connections.status().size).finish_non_exhaustive()
    }
}

impl Pool {
    /// Connections to PostgreSQL itself. There is none yet.
    pub(super) fn direct(options: PgConnectOptions, settings: &PoolSettings) -> Self {
        let timeouts = Timeouts {
            wait: Some(settings.acquire_timeout),
            create: Some(settings.acquire_timeout),
            // `recycle` has a limit of its own.
            recycle: None,
        };
        let size = usize::try_from(settings.pool_size).unwrap_or(usize::MAX);
        // Last in, first out: the connection that was just used has its plans and pages at hand, and what is not needed grows old.
        let config = PoolConfig { max_size: size.max(1), timeouts, queue_mode: QueueMode::Lifo };
        let pool = managed::Pool::builder(Connector(options)).config(config).runtime(deadpool::Runtime::Tokio1).build();
        Self { connections: pool.expect("a runtime is named, which is all that time limits ask for"), begin: None }
    }

    /// Connections to a pooler in transaction mode, with these settings in every transaction. Names and values are ours.
    pub(super) fn behind_pooler(options: PgConnectOptions, settings: &PoolSettings, local: &[(&str, String)]) -> Self {
        let set: String = local.iter().map(|(name, value)| format!("; set local {name} = {value}")).collect();
        let begin = AssertSqlSafe(format!("begin{set}")).into_sql_str();
        // The pooler answers when it has a connection to give, so this is a wait for one, like that for one of ours.
        Self { begin: Some((begin, settings.acquire_timeout)), ..Self::direct(options, settings) }
    }

    /// A connection for several statements, each outside a transaction; behind a pooler all in one. [`Session::finish`] gives it
    /// back at once.
    ///
    /// # Errors
    /// `PoolTimedOut` when none is free in time, and why none can be opened.
    pub(super) async fn acquire(&self) -> Result<Session, sqlx::Error> {
        let mut session = self.borrow().await?;
        if let Some((begin, longest)) = &self.begin {
            session.begin_in(*longest, begin.clone()).await?;
        }
        Ok(session)
    }

    async fn borrow(&self) -> Result<Session, sqlx::Error> {
        let object = self.connections.get().await.map_err(|error| match error {
            managed::PoolError::Timeout(_) => sqlx::Error::PoolTimedOut,
            managed::PoolError::Backend(error) => error,
            managed::PoolError::Closed | managed::PoolError::NoRuntimeSpecified | managed::PoolError::PostCreateHook(_) => {
                sqlx::Error::PoolClosed
            }
        })?;
        Ok(Session { object: Some(object), cleaning: Cleaning::Drain, behind_pooler: self.begin.is_some() })
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// As [`Pool::acquire`], and the database's.
    pub(super) async fn begin(&self) -> Result<Transaction, sqlx::Error> {
        let mut session = self.borrow().await?;
        match &self.begin {
            Some((begin, longest)) => session.begin_in(*longest, begin.clone()).await?,
            None => session.begin("begin".into_sql_str()).await?,
        }
        Ok(Transaction(session))
    }

    /// A connection that is not the pool's.
    ///
    /// # Errors
    /// The database's.
    pub(super) async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        self.connections.manager().create().await
    }

    /// The connections in use, and those open.
    pub(super) fn connections(&self) -> (usize, usize) {
        let status = self.connections.status();
        (status.size.saturating_sub(status.available), status.size)
    }

    /// Refuses new borrowers and waits until every connection is back and closed.
    pub(super) async fn close(&self) {
        self.connections.close();
        while self.connections.status().size > 0 {
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

/// How a connection that was not given back clean is made clean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cleaning {
    /// What was asked is answered first: a dropped future leaves an answer on the way.
    Drain,
    /// The transaction is rolled back.
    RollBack,
}

/// A connection that is lent out.
pub(super) struct Session {
    /// Absent only while it is given back.
    object: Option<Object<Connector>>,
    cleaning: Cleaning,
    behind_pooler: bool,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("cleaning", &self.cleaning).field("behind_pooler", &self.behind_pooler).finish_non_exhaustive()
    }
}

impl Session {
    /// Ends what was done, so that it lasts, and gives the connection back: nothing is on the way on it and no transaction is open.
    ///
    /// # Errors
    /// The database's, when there is a transaction. Where it could not answer, whether that was committed is not known.
    pub(super) async fn finish(mut self) -> Result<(), sqlx::Error> {
        if self.cleaning == Cleaning::RollBack {
            self.connection().execute("commit").await?;
        }
        self.object = None;
        Ok(())
    }

    /// Ends what was done outside a unit's transaction, so that it lasts when it did all it should. The connection comes back at once
    /// then, and when the client's fault ended the work; what the database could not do may have left it in any state.
    ///
    /// # Errors
    /// The outcome's, or as [`Session::finish`].
    pub(super) async fn finish_after<T>(mut self, outcome: Result<T, Error>) -> Result<T, Error> {
        match &outcome {
            Ok(_) => self.finish().await?,
            Err(Error::Scim(_)) if self.cleaning == Cleaning::Drain => self.object = None,
            Err(error) if self.cleaning == Cleaning::Drain && error.is_overtaken() => self.object = None,
            Err(_) => drop(self),
        }
        outcome
    }

    async fn begin(&mut self, statement: SqlStr) -> Result<(), sqlx::Error> {
        // From here on the connection is cleaned by a rollback, however this future ends.
        self.cleaning = Cleaning::RollBack;
        self.connection().execute(statement).await?;
        Ok(())
    }

    /// The same when a pooler may first wait for a connection of its own.
    async fn begin_in(&mut self, longest: Duration, statement: SqlStr) -> Result<(), sqlx::Error> {
        tokio::time::timeout(longest, self.begin(statement)).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }

    /// Private, since statements sent on it would be named behind a pooler, too.
    fn connection(&mut self) -> &mut PgConnection {
        self.object.as_mut().expect("a connection is there until it is given back")
    }
}

impl Drop for Session {
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
pub(super) struct Transaction(Session);

impl Transaction {
    /// Commits.
    ///
    /// # Errors
    /// The database's. Where it could not answer, whether the transaction was committed is not known.
    pub(super) async fn commit(self) -> Result<(), sqlx::Error> {
        self.0.finish().await
    }
}

impl Deref for Transaction {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.0
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut Session {
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
            let mut session = pool.acquire().await?;
            let rows: Vec<_> = (&mut session).fetch_many(query).try_collect().await?;
            session.finish().await?;
            Ok::<_, sqlx::Error>(stream::iter(rows.into_iter().map(Ok)))
        };
        stream::once(all).try_flatten().boxed()
    }

    fn fetch_all<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Vec<PgRow>, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let pool = self.clone();
        Box::pin(async move {
            let mut session = pool.acquire().await?;
            let rows = session.fetch_all(query).await?;
            session.finish().await?;
            Ok(rows)
        })
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let pool = self.clone();
        Box::pin(async move {
            let mut session = pool.acquire().await?;
            let row = session.fetch_optional(query).await?;
            session.finish().await?;
            Ok(row)
        })
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [PgTypeInfo]) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'p: 'e,
    {
        let pool = self.clone();
        Box::pin(async move {
            let mut session = pool.acquire().await?;
            let statement = session.prepare_with(sql, parameters).await?;
            session.finish().await?;
            Ok(statement)
        })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, sqlx::Error>>
    where
        'p: 'e,
    {
        let pool = self.clone();
        Box::pin(async move {
            let mut session = pool.acquire().await?;
            let description = session.describe(sql).await?;
            session.finish().await?;
            Ok(description)
        })
    }
}

impl<'s> Executor<'s> for &'s mut Session {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>
    where
        's: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        if self.behind_pooler { self.connection().fetch_many(Unnamed(query)) } else { self.connection().fetch_many(query) }
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        's: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        if self.behind_pooler { self.connection().fetch_optional(Unnamed(query)) } else { self.connection().fetch_optional(query) }
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [PgTypeInfo]) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        's: 'e,
    {
        self.connection().prepare_with(sql, parameters)
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, sqlx::Error>>
    where
        's: 'e,
    {
        self.connection().describe(sql)
    }
}

/// A statement that is not to be remembered by a name on its server connection.
struct Unnamed<E>(E);

impl<'q, E: Execute<'q, Postgres>> Execute<'q, Postgres> for Unnamed<E> {
    fn sql(self) -> SqlStr {
        self.0.sql()
    }

    fn statement(&self) -> Option<&PgStatement> {
        self.0.statement()
    }

    fn take_arguments(&mut self) -> Result<Option<PgArguments>, BoxDynError> {
        self.0.take_arguments()
    }

    fn persistent(&self) -> bool {
        false
    }
}
