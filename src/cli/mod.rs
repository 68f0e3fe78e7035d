//! The command line: what may be typed, and who does it. Answers go to stdout (a token alone, so that `TOKEN=$(frontdesk token
//! create ..)` works), everything else to stderr.

mod commands;
mod doctor;
mod failure;
mod mapping;
mod serve;
mod simulate;

use std::{io::Write as _, time::Duration};

use clap::{
    Args, Parser, Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
};
use frontdesk::{
    config::Config,
    directory::{self, Conformance, Directory, Format, PoolSettings, Profile, Provider, Scope},
    log,
};
use tracing_subscriber::filter::{LevelFilter, Targets};
use uuid::Uuid;

pub(crate) use self::failure::Failure;

/// What commands beside the server log: they answer for themselves.
const COMMAND_LOG: LevelFilter = LevelFilter::WARN;

/// A SCIM 2.0 service provider with a workplace directory behind it.
///
/// Settings come from environment variables FRONTDESK_*, DATABASE_URL, and the file that FRONTDESK_CONFIG names.
#[derive(Debug, Parser)]
#[command(name = "frontdesk", version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Bring the schema up to date and serve; the first start makes a tenant, a connection and a token
    Serve {
        /// Listen for other machines without TLS: a proxy in front speaks it
        #[arg(long)]
        insecure_http: bool,
    },
    /// The customers of this server
    #[command(subcommand)]
    Tenant(TenantCommand),
    /// The identity providers of a tenant
    #[command(subcommand)]
    Connection(ConnectionCommand),
    /// The bearer tokens of a connection
    #[command(subcommand)]
    Token(TokenCommand),
    /// How a tenant's users become employees
    #[command(subcommand)]
    Mapping(mapping::MappingCommand),
    /// Bring the database's schema up to date
    Migrate,
    /// Compute the employees again from the stored users
    Reproject {
        /// Tell what would change, and change nothing
        #[arg(long)]
        dry_run: bool,
        /// This tenant only
        #[arg(long, value_name = "SLUG")]
        tenant: Option<String>,
    },
    /// Check this deployment and say what is wrong
    Doctor,
    /// What the workplace product reads
    #[command(subcommand)]
    Employees(EmployeesCommand),
    /// What is kept of what happened
    #[command(subcommand)]
    Events(EventsCommand),
    /// Ask the server on this machine whether it is alive
    Healthcheck,
    /// Play an identity provider against any SCIM server and judge its answers; what it makes there it deletes again
    Simulate(simulate::Simulation),
}

#[derive(Debug, Subcommand)]
enum TenantCommand {
    /// Make a tenant
    Create {
        /// Lower-case letters, digits and hyphens
        slug: String,
        /// The name for people [default: the slug]
        #[arg(long)]
        name: Option<String>,
        /// The mapping from users to employees
        #[arg(long, default_value = "spaceiq", value_parser = words(Profile::WORDS))]
        profile: Profile,
    },
    /// Show all tenants
    List,
    /// Change a setting of a tenant
    Set {
        /// The tenant
        #[arg(long, value_name = "SLUG")]
        tenant: String,
        /// Such as unique_group_names
        key: String,
        /// true or false
        value: String,
    },
}

#[derive(Debug, Subcommand)]
enum ConnectionCommand {
    /// Make a connection
    Create {
        /// The tenant
        #[arg(long, value_name = "SLUG")]
        tenant: String,
        /// The identity provider
        #[arg(long, value_parser = words(Provider::WORDS))]
        provider: Provider,
        /// How requests are read
        #[arg(long, default_value = "lenient", value_parser = words(Conformance::WORDS))]
        conformance: Conformance,
        /// A name for it
        name: String,
    },
    /// Show a tenant's connections
    List {
        /// The tenant
        #[arg(long, value_name = "SLUG")]
        tenant: String,
    },
    /// Refuse a connection's tokens for the time being
    Pause(Named),
    /// Accept a connection's tokens again
    Resume(Named),
    /// Delete a connection and its tokens; users and groups stay
    Delete(Named),
    /// Change how a connection's requests are read
    SetConformance {
        #[command(flatten)]
        connection: Named,
        /// How requests are read
        #[arg(value_parser = words(Conformance::WORDS))]
        conformance: Conformance,
    },
}

/// A connection by its tenant and name.
#[derive(Debug, Args)]
struct Named {
    /// The tenant
    #[arg(long, value_name = "SLUG")]
    tenant: String,
    /// The connection's name
    name: String,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Make a token and print it, once
    Create {
        /// The tenant
        #[arg(long, value_name = "SLUG")]
        tenant: String,
        /// The connection's name
        #[arg(long, value_name = "NAME")]
        connection: String,
        /// How long it works, such as 365d or 12h [default: until it is revoked]
        #[arg(long, value_name = "TIME", value_parser = parse_duration)]
        expires_in: Option<Duration>,
        /// What it may do; may be given more than once [default: everything]
        #[arg(long, value_parser = words(Scope::WORDS))]
        scope: Vec<Scope>,
        /// A note for the list
        #[arg(long)]
        label: Option<String>,
    },
    /// Show a tenant's tokens, without the secrets
    List {
        /// The tenant
        #[arg(long, value_name = "SLUG")]
        tenant: String,
        /// This connection only
        #[arg(long, value_name = "NAME")]
        connection: Option<String>,
    },
    /// Revoke a token for good
    Revoke {
        /// The id that the list shows
        id: Uuid,
    },
}

#[derive(Debug, Subcommand)]
enum EmployeesCommand {
    /// Write a tenant's employees to stdout
    Export {
        /// The tenant
        #[arg(long, value_name = "SLUG")]
        tenant: String,
        /// The form
        #[arg(long, value_parser = words(&[("csv", Format::Csv), ("json", Format::Json)]))]
        format: Format,
    },
}

#[derive(Debug, Subcommand)]
enum EventsCommand {
    /// Delete old events, as the server does every hour
    Prune {
        /// What is older, such as 90d [default: the setting events.retention_days]
        #[arg(long, value_name = "TIME", value_parser = parse_duration)]
        older_than: Option<Duration>,
    },
}

/// Does what the arguments say.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    // It checks the settings itself, so that a wrong one is a line of its report.
    if let Command::Doctor = arguments.command {
        return doctor::doctor().await;
    }
    if let Command::Simulate(simulation) = arguments.command {
        return simulate::simulate(simulation).await;
    }
    let mut config = Config::from_process()?;
    match arguments.command {
        Command::Serve { insecure_http } => {
            config.insecure_http |= insecure_http;
            log::start(config.log_format, config.log.clone());
            serve::serve(config).await
        }
        command => {
            log::start(config.log_format, Targets::new().with_default(COMMAND_LOG));
            commands::run(&config, command).await
        }
    }
}

/// Writes to stdout. Not `println!`, which panics when nobody reads.
fn say(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()?;
    Ok(())
}

/// Opens the database of this address as the settings say.
async fn open(config: &Config, url: &str) -> Result<Directory, directory::Error> {
    let database = &config.database;
    let settings = PoolSettings {
        pool_size: database.pool_size,
        acquire_timeout: database.acquire_timeout,
        statement_timeout: database.statement_timeout,
        lock_timeout: database.lock_timeout,
        idle_in_transaction_timeout: database.idle_in_transaction_timeout,
        statement_cache: database.statement_cache,
        transaction_pooler: database.transaction_pooler,
    };
    let directory = Directory::open(url, &settings).await?;
    match &database.direct_url {
        Some(direct) => directory.migrating_at(direct.expose()),
        None => Ok(directory),
    }
}

/// An argument that is one word of a table.
fn words<T: Copy + Send + Sync + 'static>(table: &'static [(&'static str, T)]) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(table.iter().map(|(word, _)| *word)).map(move |typed| {
        let found = table.iter().find(|(word, _)| *word == typed);
        found.map(|(_, value)| *value).expect("clap lets only words of the table through")
    })
}

/// A length of time: a whole number and a unit, such as 365d, 12h, 30m or 90s.
fn parse_duration(text: &str) -> Result<Duration, String> {
    const EXPECTED: &str = "a whole number with a unit: d, h, m or s, such as 365d";
    let (number, seconds) = match text.char_indices().last() {
        Some((at, 'd')) => (&text[..at], 24 * 3600),
        Some((at, 'h')) => (&text[..at], 3600),
        Some((at, 'm')) => (&text[..at], 60),
        Some((at, 's')) => (&text[..at], 1),
        _ => return Err(EXPECTED.into()),
    };
    // `parse` alone would take "+1".
    let number = number.bytes().all(|byte| byte.is_ascii_digit()).then(|| number.parse::<u64>().ok()).flatten();
    number.and_then(|number| number.checked_mul(seconds)).map(Duration::from_secs).ok_or_else(|| EXPECTED.into())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_arguments_fit_together() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_of_the_contract_is_understood() {
        let id = Uuid::nil().to_string();
        for line in [
            "serve",
            "serve --insecure-http",
            "tenant create acme --profile officespace",
            "tenant list",
            "tenant set --tenant acme unique_group_names false",
            "connection create --tenant acme --provider jumpcloud directory",
            "connection create --tenant acme --provider generic --conformance strict directory",
            "connection list --tenant acme",
            "connection pause --tenant acme directory",
            "connection resume --tenant acme directory",
            "connection delete --tenant acme directory",
            "connection set-conformance --tenant acme directory strict",
            "token create --tenant acme --connection directory",
            "token create --tenant acme --connection directory --expires-in 365d",
            "token create --tenant acme --connection directory --scope scim",
            "token create --tenant acme --connection directory --scope scim --scope workplace:read",
            "token list --tenant acme",
            &format!("token revoke {id}"),
            "mapping show --tenant acme",
            "mapping show --tenant acme --version 2",
            "mapping validate acme.toml",
            "mapping validate --tenant acme acme.toml",
            "mapping preview --tenant acme acme.toml",
            "mapping preview --tenant acme",
            "mapping apply --tenant acme acme.toml --by anna",
            "mapping apply --tenant acme --resume",
            "mapping history --tenant acme",
            "mapping rollback --tenant acme",
            "mapping rollback --tenant acme --to 0",
            "migrate",
            "reproject --dry-run",
            "reproject --tenant acme",
            "doctor",
            "employees export --tenant acme --format csv",
            "employees export --tenant acme --format json",
            "events prune",
            "events prune --older-than 90d",
            "healthcheck",
            "simulate --provider entra-legacy --base-url https://scim.example.com/scim/v2 --token T --users 3 --groups 2",
        ] {
            let typed = std::iter::once("frontdesk").chain(line.split(' '));
            assert!(Arguments::try_parse_from(typed).is_ok(), "{line}");
        }
    }

    #[test]
    fn wrong_arguments_are_refused() {
        for line in [
            "",
            "connection create --tenant a --provider yahoo x",
            "token revoke 7",
            "token create --tenant a --connection b --expires-in 1y",
            "token create --tenant a --connection b --scope everything",
            "mapping validate",
            "mapping apply --tenant a",
            "mapping apply --tenant a --resume a.toml",
            "mapping rollback --tenant a --to -1",
        ] {
            let typed = std::iter::once("frontdesk").chain(line.split_whitespace());
            assert!(Arguments::try_parse_from(typed).is_err(), "{line}");
        }
    }

    #[test]
    fn lengths_of_time_have_a_unit() {
        for (text, seconds) in [("365d", 31_536_000), ("12h", 43_200), ("30m", 1800), ("90s", 90), ("0s", 0)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "d", "365", "1y", "-1d", "+1d", "1.5h", "1 d", "1D", "１d", "99999999999999999999d", "213503982334602d"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
