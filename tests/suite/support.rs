//! Where the tests' database comes from. One database is shared; tests isolate themselves by tenant.

use std::{fs::Permissions, os::unix::fs::PermissionsExt as _, str::FromStr, sync::atomic::AtomicU32, time::Duration};

use frontdesk::cluster::{Cluster, Mode};
use frontdesk::directory::{Connection, Directory, PoolSettings, Profile, Provider, Tenant};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, postgres::PgConnectOptions};
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
        transaction_pooler: behind_pooler(),
    }
}

/// The same for [`direct_url`].
pub(crate) fn direct_settings() -> PoolSettings {
    PoolSettings { transaction_pooler: false, ..settings() }
}

/// Whether `DATABASE_URL` leads through a pooler in transaction mode, said by the server's own setting.
pub(crate) fn behind_pooler() -> bool {
    std::env::var("FRONTDESK_DATABASE_POOLER").is_ok_and(|pooler| pooler == "transaction")
}

/// The shared database, with the schema applied: `DATABASE_URL`, else a private cluster in a temporary directory that stops
/// with the tests.
pub async fn url() -> &'static str {
    static URL: OnceCell<String> = OnceCell::const_new();
    URL.get_or_init(|| async {
        crate::listener::listen();
        let url = match std::env::var("DATABASE_URL") {
            Ok(url) => url,
            Err(_) => private_cluster().await,
        };
        let directory = Directory::open(&url, &settings()).await.and_then(|directory| directory.migrating_at(&past_pooler(&url)));
        let directory = directory.expect("the tests' database can be reached");
        directory.migrate().await.expect("the migrations apply");
        directory.close().await;
        url
    })
    .await
}

/// The address of the shared database itself: for what belongs to a session, and for looking on from beside the server.
pub(crate) async fn direct_url() -> String {
    past_pooler(url().await)
}

/// The environment in which a process of the program finds the shared database.
pub(crate) async fn environment() -> Vec<(&'static str, String)> {
    let mut environment = vec![("DATABASE_URL", url().await.to_owned())];
    if behind_pooler() {
        environment.push(("FRONTDESK_DATABASE_POOLER", "transaction".to_owned()));
        environment.push(("FRONTDESK_DATABASE_DIRECT_URL", direct_url().await));
    }
    environment
}

fn past_pooler(url: &str) -> String {
    std::env::var("FRONTDESK_DATABASE_DIRECT_URL").unwrap_or_else(|_| url.to_owned())
}

/// The cluster that a server without a database would start, with more connections for the tests' many pools.
async fn private_cluster() -> String {
    static CLUSTER: OnceCell<(Cluster, tempfile::TempDir)> = OnceCell::const_new();
    let (cluster, _) = CLUSTER
        .get_or_init(|| async {
            let data =
                tempfile::Builder::new().permissions(Permissions::from_mode(0o711)).tempdir().expect("a temporary directory can be made");
            let settings = [("max_connections", "400"), ("fsync", "off")];
            let mut cluster = Cluster::open_with(data.path(), Mode::Serve, &settings).await.expect("PostgreSQL is installed");
            cluster.stop_with_this_process().expect("a watcher can be started");
            (cluster, data)
        })
        .await;
    cluster.url()
}

/// The directory on the shared database. Each test gets connections of its own: a connection belongs to the runtime that made
/// it, and each test has its own runtime.
pub(crate) async fn directory() -> Directory {
    Directory::open(url().await, &settings()).await.expect("the tests' database can be reached")
}

/// A session beside Frontdesk's, to see what is committed.
pub(crate) async fn observer() -> PgConnection {
    PgConnection::connect(&direct_url().await).await.expect("the tests' database can be reached")
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
    direct: PgConnectOptions,
}

impl OwnDatabase {
    pub(crate) async fn create() -> Self {
        let name = unique("empty");
        let statement = format!("create database \"{name}\"");
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut observer().await).await.expect("the role may create databases");
        let at = |url: &str| PgConnectOptions::from_str(url).expect("it was parsed before").database(&name);
        Self { options: at(url().await), direct: at(&direct_url().await), name }
    }

    pub(crate) async fn directory(&self) -> Directory {
        self.directory_with(&settings()).await
    }

    pub(crate) async fn directory_with(&self, settings: &PoolSettings) -> Directory {
        let directory = Directory::connect(self.options.clone(), settings).await.expect("the database was just created");
        directory.migrating_at(self.direct.to_url_lossy().as_str()).expect("an address of a database")
    }

    /// A session beside Frontdesk's.
    pub(crate) async fn session(&self) -> PgConnection {
        PgConnection::connect_with(&self.direct).await.expect("the database was just created")
    }

    pub(crate) async fn drop(self) {
        let statement = format!("drop database \"{}\" with (force)", self.name);
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut observer().await).await.expect("the role owns the database");
    }
}
