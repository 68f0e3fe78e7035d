//! `frontdesk doctor`: checks a deployment and prints a line for each check, with what to do where something is wrong. It changes
//! nothing, except that without a server it starts the private cluster and stops it again.

use std::time::Duration;

use chrono::Utc;
use frontdesk::{
    cluster::{Cluster, Mode},
    config::Config,
    directory::{Directory, Server},
    log,
};

use tracing_subscriber::filter::Targets;

use super::{COMMAND_LOG, Failure, failure::causes, open, say};

/// The oldest PostgreSQL that is tested.
const OLDEST_VERSION: i32 = 150_000;

/// Tokens that expire within this time are named: enough to plan a rotation.
const EXPIRY_NOTICE: Duration = Duration::from_secs(30 * 24 * 3600);

/// Clocks may differ by this many milliseconds: beyond it the times in documents and those of tokens visibly disagree.
const SKEW_MAX_MS: i64 = 2_000;

/// What a check found.
enum Finding {
    Ok(String),
    Warn(String),
    Fail(String),
}
use Finding::{Fail, Ok as Good, Warn};

/// The lines printed so far.
#[derive(Default)]
struct Report {
    failed: usize,
}

impl Report {
    fn add(&mut self, finding: Finding) -> Result<(), Failure> {
        match finding {
            Good(text) => say(&format!("ok    {text}")),
            Warn(text) => say(&format!("warn  {text}")),
            Fail(text) => {
                self.failed += 1;
                say(&format!("fail  {text}"))
            }
        }
    }

    fn end(self) -> Result<(), Failure> {
        match self.failed {
            0 => Ok(()),
            1 => Err(Failure::new("1 check failed")),
            failed => Err(Failure::new(format!("{failed} checks failed"))),
        }
    }
}

/// Runs all checks.
pub(super) async fn doctor() -> Result<(), Failure> {
    let mut report = Report::default();
    let config = match Config::from_process() {
        Ok(config) => config,
        Err(error) => {
            report.add(Fail(format!("settings: {}", causes(&error))))?;
            return report.end();
        }
    };
    log::start(config.log_format, Targets::new().with_default(COMMAND_LOG));
    report.add(Good("settings: all known and in range".into()))?;
    report.add(public_url(config.public_url.as_deref(), config.listen.ip().is_loopback()))?;
    let cluster = match &config.database.url {
        Some(_) => None,
        None => match Cluster::open(&config.data_dir, Mode::Command).await {
            Ok(cluster) => Some(cluster),
            Err(error) => {
                report.add(Fail(format!("private PostgreSQL: {}", causes(&error))))?;
                return report.end();
            }
        },
    };
    let url = match (&cluster, &config.database.url) {
        (Some(cluster), _) => cluster.url(),
        (None, url) => url.as_ref().map(|url| url.expose().to_owned()).unwrap_or_default(),
    };
    let examined = examine(&config, &url, &mut report).await;
    if let Some(cluster) = cluster {
        cluster.stop().await?;
    }
    examined?;
    report.end()
}

async fn examine(config: &Config, url: &str, report: &mut Report) -> Result<(), Failure> {
    let directory = match open(config, url).await {
        Ok(directory) => directory,
        Err(error) => {
            return report.add(Fail(format!("PostgreSQL: {}; check DATABASE_URL, the server and its pg_hba.conf", causes(&error))));
        }
    };
    let before = Utc::now();
    let server = directory.server().await?;
    let skew = clock_skew(before, server.now, Utc::now());
    for finding in conditions(&server) {
        report.add(finding)?;
    }
    report.add(skew)?;
    let missing = directory.missing_migrations().await?;
    if missing.is_empty() {
        report.add(Good("schema: up to date".into()))?;
        stock(&directory, report).await?;
        mappings(&directory, report).await?;
    } else {
        report.add(Fail(format!("schema: {} migrations are not applied; run `frontdesk migrate`", missing.len())))?;
    }
    directory.close().await;
    Ok(())
}

/// What the server's settings say.
fn conditions(server: &Server) -> Vec<Finding> {
    let (major, minor) = (server.version / 10_000, server.version % 10_000);
    let version = match server.version >= OLDEST_VERSION {
        true => Good(format!("PostgreSQL: reachable, version {major}.{minor}")),
        false => Fail(format!("PostgreSQL: version {major}.{minor} is too old; upgrade to 15 or newer")),
    };
    let encoding = match server.encoding.as_str() {
        "UTF8" => Good("encoding: UTF8".into()),
        other => Fail(format!("encoding: {other} cannot hold every name; make the database with encoding 'UTF8'")),
    };
    let fsync = match server.fsync.as_str() {
        "on" => Good("fsync: on".into()),
        other => Fail(format!("fsync: {other}: a crash destroys the database; set fsync = on")),
    };
    let commit = match server.synchronous_commit.as_str() {
        "off" => Fail("synchronous_commit: off: a crash loses acknowledged writes; set it on".into()),
        other => Good(format!("synchronous_commit: {other}")),
    };
    let extension = match server.btree_gin {
        true => Good("btree_gin: present".into()),
        false => Fail("btree_gin: missing; install postgresql-contrib and run `frontdesk migrate` as the database's owner".into()),
    };
    let writable = match server.read_only {
        false => Good("writes: accepted".into()),
        true => Fail("writes: this server is a standby and only reads; point DATABASE_URL at the primary".into()),
    };
    vec![version, encoding, fsync, commit, extension, writable]
}

/// What there is to work with.
async fn stock(directory: &Directory, report: &mut Report) -> Result<(), Failure> {
    let stock = directory.stock().await?;
    let counted = [
        (stock.tenants, "tenants", "frontdesk tenant create"),
        (stock.connections, "active connections", "frontdesk connection create"),
        (stock.tokens, "live tokens", "frontdesk token create"),
    ];
    for (count, what, remedy) in counted {
        report.add(match count {
            0 => Warn(format!("{what}: none; see `{remedy}`, or start the server on an empty database")),
            count => Good(format!("{what}: {count}")),
        })?;
    }
    for (tenant, connection, at) in directory.tokens_expiring_within(EXPIRY_NOTICE).await? {
        let day = at.format("%Y-%m-%d");
        report.add(Warn(format!("token: one of tenant {tenant}, connection {connection} expires on {day}; make its successor")))?;
    }
    Ok(())
}

/// Whether every tenant's mapping can be read by this version of the program, and has reached every employee.
async fn mappings(directory: &Directory, report: &mut Report) -> Result<(), Failure> {
    let behind = directory.tenants_to_recompute().await?;
    let mut good = 0;
    for tenant in directory.tenants().await? {
        let slug = &tenant.slug;
        if let Err(error) = directory.current_mapping(tenant.id).await {
            let remedy = format!("its requests fail; correct what `frontdesk mapping show --tenant {slug}` prints and apply it");
            report.add(Fail(format!("mapping: that of tenant {slug} is not usable: {}; {remedy}", causes(&error))))?;
        } else if behind.contains(&tenant.id) {
            let remedy = format!("`frontdesk mapping apply --tenant {slug} --resume`");
            report.add(Warn(format!("mapping: that of tenant {slug} is not applied to every employee; see {remedy}")))?;
        } else {
            good += 1;
        }
    }
    report.add(Good(format!("mappings: {good} usable and applied")))
}

fn clock_skew(before: chrono::DateTime<Utc>, theirs: chrono::DateTime<Utc>, after: chrono::DateTime<Utc>) -> Finding {
    // The question was on its way between `before` and `after`: only what lies outside is skew.
    let skew = (before - theirs).max(theirs - after).num_milliseconds().max(0);
    match skew > SKEW_MAX_MS {
        true => Warn(format!("clock: the database's differs by {skew} ms; synchronize both with NTP")),
        false => Good("clock: agrees with the database's".into()),
    }
}

fn public_url(url: Option<&str>, listens_on_loopback: bool) -> Finding {
    let Some(url) = url else {
        return match listens_on_loopback {
            true => Good("public_url: not set, the server listens on this machine only".into()),
            false => Warn("public_url: not set; set FRONTDESK_PUBLIC_URL to the https address that identity providers use".into()),
        };
    };
    let host = url.strip_prefix("http://").map(|rest| rest.split(['/', ':']).next().unwrap_or_default());
    match host {
        None | Some("localhost" | "127.0.0.1" | "[") => Good(format!("public_url: {url}")),
        Some(_) => Warn(format!("public_url: {url} sends tokens in the clear; put a proxy with TLS in front and set its https address")),
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn a_plain_address_is_for_this_machine_only() {
        for (url, good) in [
            (Some("https://scim.example.com"), true),
            (Some("http://127.0.0.1:8080"), true),
            (Some("http://localhost"), true),
            (Some("http://scim.example.com"), false),
            (Some("http://127.0.0.1.example.com"), false),
        ] {
            assert_eq!(matches!(public_url(url, false), Good(_)), good, "{url:?}");
        }
        assert!(matches!(public_url(None, true), Good(_)) && matches!(public_url(None, false), Warn(_)));
    }

    #[test]
    fn a_slow_answer_is_no_skew() {
        let now = Utc::now();
        assert!(matches!(clock_skew(now, now + TimeDelta::seconds(3), now + TimeDelta::seconds(6)), Good(_)));
        assert!(matches!(clock_skew(now, now + TimeDelta::seconds(3), now), Warn(_)));
        assert!(matches!(clock_skew(now, now - TimeDelta::seconds(3), now), Warn(_)));
    }

    #[test]
    fn an_unsafe_server_fails() {
        let server = Server {
            version: 140_010,
            encoding: "SQL_ASCII".into(),
            fsync: "off".into(),
            synchronous_commit: "off".into(),
            btree_gin: false,
            read_only: true,
            now: Utc::now(),
        };
        assert!(conditions(&server).iter().all(|finding| matches!(finding, Fail(_))));
    }
}
