//! Whether the database can be worked with: for `/readyz`, and in detail for `frontdesk doctor`.

use std::{collections::BTreeSet, time::Duration};

use chrono::{DateTime, Utc};
use sqlx::FromRow;

use super::{Directory, Error, MIGRATIONS};

/// How long `ready` waits: a load balancer asks every few seconds and counts a late answer as none.
const READY_TIMEOUT: Duration = Duration::from_secs(2);

/// The server's condition.
#[derive(Debug, Clone, FromRow)]
pub struct Server {
    /// `server_version_num`: 150004 is 15.4.
    pub version: i32,
    /// The database's encoding.
    pub encoding: String,
    /// `fsync`.
    pub fsync: String,
    /// `synchronous_commit`, as our sessions have it.
    pub synchronous_commit: String,
    /// The extension btree_gin is installed.
    pub btree_gin: bool,
    /// The server only reads: a standby.
    pub read_only: bool,
    /// The server's clock.
    pub now: DateTime<Utc>,
}

/// What there is to work with.
#[derive(Debug, Clone, FromRow)]
pub struct Stock {
    /// Tenants.
    pub tenants: i64,
    /// Connections that are not paused.
    pub connections: i64,
    /// Tokens neither expired nor revoked.
    pub tokens: i64,
}

impl Directory {
    /// Whether requests can be served: the database answers and has the schema of this build.
    ///
    /// # Errors
    /// `Unavailable`, with the reason for the log, when they cannot.
    pub async fn ready(&self) -> Result<(), Error> {
        match tokio::time::timeout(READY_TIMEOUT, self.missing_migrations()).await {
            Ok(Ok(missing)) if missing.is_empty() => Ok(()),
            Ok(Ok(missing)) => Err(Error::Unavailable(format!("migrations are not applied: {missing:?}").into())),
            Ok(Err(error)) => Err(error),
            Err(late) => Err(Error::Unavailable(late.into())),
        }
    }

    /// The pool's connections: those in use, and all that are open.
    #[must_use]
    pub fn pool_connections(&self) -> (usize, usize) {
        self.pool.connections()
    }

    /// The versions of this build's migrations that the database lacks.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn missing_migrations(&self) -> Result<Vec<i64>, Error> {
        let applied = sqlx::query_scalar::<_, i64>("select version from _sqlx_migrations where success").fetch_all(&self.pool).await;
        let applied: BTreeSet<i64> = match applied {
            Ok(versions) => versions.into_iter().collect(),
            // undefined_table: nothing was ever applied.
            Err(error) if error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == "42P01") => BTreeSet::new(),
            Err(error) => return Err(error.into()),
        };
        Ok(MIGRATIONS.iter().map(|migration| migration.version).filter(|version| !applied.contains(version)).collect())
    }

    /// The server's condition; needs no table of ours.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn server(&self) -> Result<Server, Error> {
        let server = sqlx::query_as(
            "select current_setting('server_version_num')::int as version, current_setting('server_encoding') as encoding,
                 current_setting('fsync') as fsync, current_setting('synchronous_commit') as synchronous_commit,
                 exists (select from pg_extension where extname = 'btree_gin') as btree_gin,
                 pg_is_in_recovery() as read_only, clock_timestamp() as now",
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(server)
    }

    /// How many tenants, connections and tokens there are to work with, over all tenants.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn stock(&self) -> Result<Stock, Error> {
        let stock = sqlx::query_as(
            "select count(distinct n.id) as tenants, count(distinct c.id) as connections, count(t.id) as tokens
             from tenants n
             left join connections c on c.tenant_id = n.id and c.state = 'active'
             left join tokens t on t.tenant_id = c.tenant_id and t.connection_id = c.id
                 and t.revoked_at is null and coalesce(t.expires_at > now(), true)",
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(stock)
    }

    /// Live tokens that stop working within this time: tenant, connection, when.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn tokens_expiring_within(&self, time: Duration) -> Result<Vec<(String, String, DateTime<Utc>)>, Error> {
        let rows = sqlx::query_as(
            "select n.slug, c.name, t.expires_at
             from tokens t
             join connections c on c.tenant_id = t.tenant_id and c.id = t.connection_id
             join tenants n on n.id = t.tenant_id
             where t.revoked_at is null and t.expires_at > now() and t.expires_at < now() + make_interval(secs => $1)
             order by t.expires_at",
        )
        .bind(time.as_secs_f64())
        .fetch_all(&self.pool)
        .await?;
        Ok(rows)
    }
}
