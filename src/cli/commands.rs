//! The commands beside the server. They use its database, also while it runs on the private cluster.

use std::{future::Future, os::fd::AsFd as _, pin::pin};

use chrono::{DateTime, Utc};
use frontdesk::{
    cluster::{Cluster, Mode},
    config::{Config, reachable},
    directory::{Connection, Directory, EmployeeSearch, Format, Reprojected, Scope, State, Tenant},
    http::health_probe,
};
use futures_util::TryStreamExt as _;
use tokio::io::AsyncWriteExt as _;

use super::{Command, ConnectionCommand, EmployeesCommand, EventsCommand, Failure, Named, TenantCommand, TokenCommand, mapping, open, say};

/// Does one command.
pub(super) async fn run(config: &Config, command: Command) -> Result<(), Failure> {
    match command {
        Command::Tenant(command) => with_directory(config, async |directory| tenant(directory, command).await).await,
        Command::Connection(command) => with_directory(config, async |directory| connection(directory, command).await).await,
        Command::Token(command) => with_directory(config, async |directory| token(directory, command).await).await,
        Command::Mapping(command) => mapping::run(config, command).await,
        Command::Migrate => migrate(config).await,
        Command::Reproject { dry_run, tenant } => {
            with_directory(config, async |directory| reproject(directory, tenant.as_deref(), dry_run).await).await
        }
        Command::Employees(EmployeesCommand::Export { tenant, format }) => {
            with_directory(config, async |directory| export(directory, &tenant, format).await).await
        }
        Command::Events(EventsCommand::Prune { older_than }) => {
            let Some(older_than) = older_than.or(config.events.retention) else {
                return say("Events are kept for ever (events.retention_days is 0); name a time with --older-than.");
            };
            with_directory(config, async |directory| {
                let pruned = directory.prune_events(older_than).await?;
                say(&format!("{pruned} events were deleted."))
            })
            .await
        }
        Command::Healthcheck => match health_probe::probe(reachable(config.listen), config.tls.is_some()).await {
            Ok(true) => say("the server is alive"),
            Ok(false) => Err(Failure::new("the server answers, and not well")),
            Err(error) => Err(Failure::new(format!("the server does not answer: {error}"))),
        },
        Command::Serve { .. } | Command::Doctor | Command::Simulate(_) => unreachable!("cli::run does these itself"),
    }
}

/// Opens the database, does the work, and leaves the private cluster as it was found, whatever the outcome.
async fn with_database(config: &Config, work: impl AsyncFnOnce(&Directory) -> Result<(), Failure>) -> Result<(), Failure> {
    let (cluster, url) = match &config.database.url {
        Some(url) => (None, url.expose().to_owned()),
        None => {
            let cluster = Cluster::open(&config.data_dir, Mode::Command).await?;
            let url = cluster.url();
            (Some(cluster), url)
        }
    };
    let outcome = async {
        let directory = open(config, &url).await?;
        let outcome = work(&directory).await;
        directory.close().await;
        outcome
    };
    let outcome = outcome.await;
    if let Some(cluster) = cluster {
        cluster.stop().await?;
    }
    outcome
}

/// Like `with_database`, with the schema of this build or a sentence.
pub(super) async fn with_directory(config: &Config, work: impl AsyncFnOnce(&Directory) -> Result<(), Failure>) -> Result<(), Failure> {
    with_database(config, async |directory| {
        if !directory.missing_migrations().await?.is_empty() {
            return Err(Failure::new("the database lacks this version's schema: run `frontdesk migrate` first"));
        }
        work(directory).await
    })
    .await
}

async fn migrate(config: &Config) -> Result<(), Failure> {
    with_database(config, async |directory| {
        let missing = directory.missing_migrations().await?.len();
        directory.migrate().await?;
        match missing {
            0 => say("The schema was up to date."),
            1 => say("1 migration was applied."),
            _ => say(&format!("{missing} migrations were applied.")),
        }
    })
    .await
}

async fn reproject(directory: &Directory, tenant: Option<&str>, dry_run: bool) -> Result<(), Failure> {
    let tenants = match tenant {
        Some(slug) => vec![find_tenant(directory, slug).await?],
        None => directory.tenants().await?,
    };
    let mut done = Reprojected::default();
    for tenant in &tenants {
        let of_tenant = directory.reproject(tenant, dry_run).await?;
        done.total += of_tenant.total;
        done.changed += of_tenant.changed;
    }
    let verb = if dry_run { "would change" } else { "changed" };
    say(&format!("{} of {} employees {verb}.", done.changed, done.total))
}

async fn export(directory: &Directory, slug: &str, format: Format) -> Result<(), Failure> {
    let tenant = find_tenant(directory, slug).await?;
    // Stdout as a file: what is written is not line-buffered.
    let stdout = std::io::stdout().as_fd().try_clone_to_owned()?;
    let mut out = tokio::fs::File::from_std(stdout.into());
    let mut texts = pin!(directory.export_employees(tenant.id, EmployeeSearch::default(), format));
    while let Some(text) = texts.try_next().await? {
        out.write_all(&text).await?;
    }
    Ok(out.flush().await?)
}

async fn tenant(directory: &Directory, command: TenantCommand) -> Result<(), Failure> {
    match command {
        TenantCommand::Create { slug, name, profile } => {
            let tenant = directory.create_tenant(&slug, name.as_deref(), profile).await?;
            say(&format!("Tenant {} was made, with the mapping of {}.", tenant.slug, tenant.profile.word()))
        }
        TenantCommand::List => {
            let rows = directory.tenants().await?.into_iter().map(|tenant| {
                let settings = serde_json::to_string(&tenant.settings).unwrap_or_default();
                [tenant.slug, tenant.name, tenant.profile.word().into(), day(tenant.created_at), settings]
            });
            say(&table(["SLUG", "NAME", "PROFILE", "MADE", "SETTINGS"], rows))
        }
        TenantCommand::Set { tenant, key, value } => match directory.set_tenant(&tenant, &key, &value).await? {
            Some(_) => say(&format!("{key} of tenant {tenant} is {value}.")),
            None => Err(no_tenant(&tenant)),
        },
    }
}

async fn connection(directory: &Directory, command: ConnectionCommand) -> Result<(), Failure> {
    match command {
        ConnectionCommand::Create { tenant, provider, conformance, name } => {
            let tenant = find_tenant(directory, &tenant).await?;
            directory.create_connection(tenant.id, &name, provider, conformance).await?;
            say(&format!("Connection {name} of tenant {} was made. Next: frontdesk token create", tenant.slug))
        }
        ConnectionCommand::List { tenant } => {
            let tenant = find_tenant(directory, &tenant).await?;
            let rows = directory.connections(tenant.id).await?.into_iter().map(|connection| {
                let (provider, conformance, state) = (connection.provider.word(), connection.conformance.word(), connection.state.word());
                [connection.name, provider.into(), conformance.into(), state.into(), day(connection.created_at)]
            });
            say(&table(["NAME", "PROVIDER", "CONFORMANCE", "STATE", "MADE"], rows))
        }
        ConnectionCommand::Pause(named) => set_state(directory, named, State::Paused).await,
        ConnectionCommand::Resume(named) => set_state(directory, named, State::Active).await,
        ConnectionCommand::Delete(Named { tenant, name }) => {
            let tenant = find_tenant(directory, &tenant).await?;
            known(directory.delete_connection(tenant.id, &name), &tenant, &name).await?;
            say(&format!("Connection {name} of tenant {} and its tokens are deleted.", tenant.slug))
        }
        ConnectionCommand::SetConformance { connection: Named { tenant, name }, conformance } => {
            let tenant = find_tenant(directory, &tenant).await?;
            known(directory.set_conformance(tenant.id, &name, conformance), &tenant, &name).await?;
            say(&format!("Connection {name} of tenant {} is {} now.", tenant.slug, conformance.word()))
        }
    }
}

async fn set_state(directory: &Directory, Named { tenant, name }: Named, state: State) -> Result<(), Failure> {
    let tenant = find_tenant(directory, &tenant).await?;
    let changed = known(directory.set_connection_state(tenant.id, &name, state), &tenant, &name).await?;
    let already = if changed { "" } else { " already" };
    say(&format!("Connection {name} of tenant {} is {}{already}.", tenant.slug, state.word()))
}

async fn token(directory: &Directory, command: TokenCommand) -> Result<(), Failure> {
    match command {
        TokenCommand::Create { tenant, connection, expires_in, scope, label } => {
            let tenant = find_tenant(directory, &tenant).await?;
            let connection = find_connection(directory, &tenant, &connection).await?;
            let scopes = if scope.is_empty() { Scope::ALL.to_vec() } else { scope };
            say(directory.create_scoped_token(&connection, label.as_deref(), expires_in, &scopes).await?.reveal())
        }
        TokenCommand::List { tenant, connection } => {
            let tenant = find_tenant(directory, &tenant).await?;
            let connection = match connection {
                Some(name) => Some(find_connection(directory, &tenant, &name).await?.id),
                None => None,
            };
            let rows = directory.tokens(tenant.id, connection).await?.into_iter().map(|token| {
                let state = match (token.live, token.revoked_at) {
                    (true, _) => "live",
                    (false, Some(_)) => "revoked",
                    (false, None) => "expired",
                };
                let never = |at: Option<DateTime<Utc>>| at.map_or("never".into(), day);
                let label = token.label.unwrap_or_default();
                let (expires, used) = (never(token.expires_at), never(token.last_used_at));
                [token.id.to_string(), token.connection, state.into(), token.scopes.join(" "), expires, used, label]
            });
            say(&table(["ID", "CONNECTION", "STATE", "SCOPES", "EXPIRES", "LAST USED", "LABEL"], rows))
        }
        TokenCommand::Revoke { id } => match directory.revoke_token(id).await? {
            true => say(&format!("Token {id} is revoked; servers refuse it within a second.")),
            false => Err(Failure::new(format!("there is no token {id}"))),
        },
    }
}

pub(super) async fn find_tenant(directory: &Directory, slug: &str) -> Result<Tenant, Failure> {
    directory.find_tenant(slug).await?.ok_or_else(|| no_tenant(slug))
}

async fn find_connection(directory: &Directory, tenant: &Tenant, name: &str) -> Result<Connection, Failure> {
    known(directory.find_connection(tenant.id, name), tenant, name).await
}

/// What was found of a connection, or the sentence that there is none.
async fn known<T>(
    found: impl Future<Output = Result<Option<T>, frontdesk::directory::Error>>,
    tenant: &Tenant,
    name: &str,
) -> Result<T, Failure> {
    found.await?.ok_or_else(|| Failure::new(format!("tenant {} has no connection {name:?}; see: frontdesk connection list", tenant.slug)))
}

fn no_tenant(slug: &str) -> Failure {
    Failure::new(format!("there is no tenant {slug:?}; see: frontdesk tenant list"))
}

pub(super) fn day(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M").to_string()
}

/// Rows under a heading, each column as wide as its widest cell.
pub(super) fn table<const N: usize>(heading: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let mut lines = vec![heading.map(str::to_owned)];
    lines.extend(rows);
    let mut widths = [0; N];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.chars().count().max(*width);
        }
    }
    let padded = |line: &[String; N]| {
        let cells = line.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    lines.iter().map(padded).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_as_wide_as_its_cells() {
        let rows = [["a".to_owned(), "first".to_owned()], ["long-slug".to_owned(), String::new()]];
        assert_eq!(table(["SLUG", "NAME"], rows.into_iter()), "SLUG       NAME\na          first\nlong-slug");
    }
}
