//! Where the tests' database comes from. One database is shared; tests isolate themselves by tenant.

use std::{str::FromStr, sync::atomic::AtomicU32, time::Duration};

use frontdesk::directory::{Connection, Directory, PoolSettings, Profile, Provider, Tenant};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, postgres::PgConnectOptions};
use tokio::sync::OnceCell;
use uuid::Uuid;

/// Settings of a test's own pool: small, because many tests run at once.
pub(crate) fn settings() -> PoolSettings {
    PoolSettings {
        pool_size: 4,
        acquire_timeout: Duration::from_secs(20),
        statement_timeout: Duration::from_secs(20),
        lock_timeout: Duration::from_secs(10),
        idle_in_transaction_timeout: Duration::from_secs(20),
        statement_cache: 100,
    }
}

/// The shared database, with the schema applied.
pub(crate) async fn url() -> &'static str {
    static URL: OnceCell<String> = OnceCell::const_new();
    URL.get_or_init(|| async {
        let url = std::env::var("TEST_DATABASE_URL").expect("TEST_DATABASE_URL names a PostgreSQL database for the tests");
        let directory = Directory::open(&url, &settings()).await.expect("the tests' database can be reached");
        directory.migrate().await.expect("the migrations apply");
        directory.close().await;
        url
    })
    .await
}

/// The directory on the shared database. Each test gets connections of its own: a connection belongs to the runtime that made
/// it, and each test has its own runtime.
pub(crate) async fn directory() -> Directory {
    Directory::open(url().await, &settings()).await.expect("the tests' database can be reached")
}

/// A session beside Frontdesk's, to see what is committed.
pub(crate) async fn observer() -> PgConnection {
    PgConnection::connect(url().await).await.expect("the tests' database can be reached")
}

/// A tenant that no other test has.
pub(crate) async fn tenant(directory: &Directory) -> Tenant {
    directory.create_tenant(&unique("tenant"), None, Profile::SpaceIq).await.expect("the slug is new")
}

/// A tenant with a connection.
pub(crate) async fn connection(directory: &Directory) -> (Tenant, Connection) {
    let tenant = tenant(directory).await;
    let connection = directory.create_connection(tenant.id, "jumpcloud", Provider::JumpCloud, Default::default()).await;
    (tenant, connection.expect("the name is new"))
}

/// A name that no other test has, in this run or an earlier one.
pub(crate) fn unique(what: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    format!("{what}-{}-{count}", Uuid::now_v7().simple())
}

/// An empty database of its own for what concerns all tenants.
pub(crate) struct OwnDatabase {
    name: String,
    options: PgConnectOptions,
}

impl OwnDatabase {
    pub(crate) async fn create() -> Self {
        let name = unique("empty");
        let statement = format!("create database \"{name}\"");
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut observer().await).await.expect("the role may create databases");
        let options = PgConnectOptions::from_str(url().await).expect("it was parsed before").database(&name);
        Self { name, options }
    }

    pub(crate) async fn directory(&self) -> Directory {
        Directory::connect(self.options.clone(), &settings()).await.expect("the database was just created")
    }

    pub(crate) async fn drop(self) {
        let statement = format!("drop database \"{}\" with (force)", self.name);
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut observer().await).await.expect("the role owns the database");
    }
}
