//! The settings: `config/default.toml`, overridden by the file that `FRONTDESK_CONFIG` names, overridden by the environment.
//! The documented file *is* the defaults and the list of what exists; here are the types, the limits and the sentences for an
//! administrator who got one wrong. Not here: command-line arguments, and the settings of a tenant.

use crate::scim::secret::Secret;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use toml::{Table, Value};
use tracing_subscriber::filter::Targets;

use crate::http::address::Network;
use crate::http::serve::ServeLimits;
use crate::log;

/// Every setting with its default, its unit and its reason.
pub const DEFAULTS: &str = include_str!("../config/default.toml");

/// The name in messages for where a default comes from.
const DEFAULTS_NAME: &str = "config/default.toml";

/// What the address of a database looks like.
const AN_ADDRESS: &str = "an address such as postgres://user:password@host:5432/name";

const PREFIX: &str = "FRONTDESK_";

/// Names the file, and is therefore no setting itself.
const CONFIG_VARIABLE: &str = "FRONTDESK_CONFIG";

/// A day: no time limit here is meaningfully longer, and a larger number is a slip of the unit.
const DURATION_MAX_MS: i64 = 86_400_000;

/// The settings of one process.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the server listens.
    pub listen: SocketAddr,
    /// Whether tokens may travel in the clear to other than this machine.
    pub insecure_http: bool,
    /// The configured public address, without a trailing slash. [`Config::base_url`] has the answer when it is not set.
    pub public_url: Option<String>,
    /// What the server keeps on its own disk.
    pub data_dir: PathBuf,
    /// The directives of the log, checked.
    pub log: Targets,
    /// How the log is written.
    pub log_format: log::Format,
    /// The certificate, or `None` for plain HTTP.
    pub tls: Option<TlsFiles>,
    /// The database.
    pub database: Database,
    /// Connections and their times.
    pub http: Http,
    /// What is kept of what happened.
    pub events: Events,
    /// How much a client may send and get.
    pub limits: Limits,
}

/// The section `[database]`.
#[derive(Debug, Clone)]
pub struct Database {
    /// The address, or `None` for the private cluster.
    pub url: Option<Secret>,
    /// The most connections of this process.
    pub pool_size: u32,
    /// The longest wait for a free connection.
    pub acquire_timeout: Duration,
    /// PostgreSQL's `statement_timeout`.
    pub statement_timeout: Duration,
    /// PostgreSQL's `lock_timeout`.
    pub lock_timeout: Duration,
    /// PostgreSQL's `idle_in_transaction_session_timeout`.
    pub idle_in_transaction_timeout: Duration,
    /// Prepared statements remembered per connection.
    pub statement_cache: usize,
    /// Whether the address leads to a pooler in transaction mode.
    pub transaction_pooler: bool,
    /// The address that leads past the pooler, for migrations. There is one when there is a pooler.
    pub direct_url: Option<Secret>,
}

/// The section `[tls]`, when it names a certificate.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The certificate chain, the server's own first (PEM).
    pub certificate: PathBuf,
    /// Its private key (PEM).
    pub key: PathBuf,
    /// The longest a client may take for its handshake.
    pub handshake_timeout: Duration,
}

/// The section `[http]`.
#[derive(Debug, Clone)]
pub struct Http {
    /// The longest a client may take for the head of a request.
    pub header_timeout: Duration,
    /// The longest a client may take for the body of a request.
    pub body_timeout: Duration,
    /// The longest an answer may take.
    pub request_timeout: Duration,
    /// How long a connection without a request is kept.
    pub idle_timeout: Duration,
    /// The most connections at once.
    pub max_connections: usize,
    /// How long requests in progress may take at a stop.
    pub drain: Duration,
    /// How long the server goes on accepting at a stop; may be zero.
    pub drain_delay: Duration,
    /// The networks of proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
}

/// The section `[events]`.
#[derive(Debug, Clone)]
pub struct Events {
    /// How long events are kept; `None` for ever.
    pub retention: Option<Duration>,
}

/// The section `[limits]`.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The most requests in progress.
    pub requests_in_flight: usize,
    /// The most requests in progress of one tenant.
    pub tenant_requests_in_flight: usize,
    /// The most requests of one connection in a second; 0 for any number.
    pub connection_requests_per_second: u32,
    /// The most requests without a valid token from one address in a minute; 0 for any number.
    pub failed_authentications_per_minute: u32,
    /// The largest request body in bytes.
    pub body_bytes: usize,
    /// The bodies of all requests in progress, in bytes.
    pub bodies_bytes: usize,
    /// The longest filter in characters.
    pub filter_chars: usize,
    /// How deep a filter may nest.
    pub filter_depth: usize,
    /// How many comparisons a filter may have.
    pub filter_terms: usize,
    /// The most operations in one bulk request.
    pub bulk_operations: usize,
    /// The most operations in one PATCH.
    pub patch_operations: usize,
    /// The most members in one request for a group.
    pub members: usize,
    /// The most values of one multi-valued attribute.
    pub values_per_attribute: usize,
    /// The resources on a page when the client does not say.
    pub page_size_default: usize,
    /// The most resources on a page.
    pub page_size_max: usize,
    /// How long a cursor is accepted.
    pub cursor_timeout: Duration,
}

impl Limits {
    /// The bounds that reading a request keeps.
    #[must_use]
    pub fn reading(&self) -> crate::scim::reader::Limits {
        crate::scim::reader::Limits {
            filter_chars: self.filter_chars,
            filter_depth: self.filter_depth,
            filter_terms: self.filter_terms,
            bulk_operations: self.bulk_operations,
            patch_operations: self.patch_operations,
            members: self.members,
            values_per_attribute: self.values_per_attribute,
            page_size_default: self.page_size_default,
            page_size_max: self.page_size_max,
        }
    }
}

/// Why the settings cannot be used: one line that names the setting, its value and what is expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

impl Config {
    /// Reads the settings from the environment and a file's name and text.
    ///
    /// # Errors
    /// An unknown setting, or a wrong value.
    pub fn load(env: &BTreeMap<String, String>, file: Option<(&str, &str)>) -> Result<Self, ConfigError> {
        let mut settings = Settings::defaults();
        if let Some((name, text)) = file {
            settings.read_file(name, text)?;
        }
        settings.read_environment(env)?;
        settings.config()
    }

    /// Reads the settings of this process.
    ///
    /// # Errors
    /// See [`Config::load`]; and when the file cannot be read or a variable is not UTF-8.
    pub fn from_process() -> Result<Self, ConfigError> {
        let mut env = BTreeMap::new();
        for (name, value) in std::env::vars_os() {
            let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX) || *name == "DATABASE_URL") else { continue };
            let value = value.into_string().map_err(|_| ConfigError(format!("{name} is not UTF-8")))?;
            env.insert(name.to_owned(), value);
        }
        let Some(path) = env.get(CONFIG_VARIABLE).filter(|path| !path.is_empty()).cloned() else { return Self::load(&env, None) };
        let text = std::fs::read_to_string(&path)
            .map_err(|error| ConfigError(format!("{CONFIG_VARIABLE} = {path:?}: the file cannot be read: {error}")))?;
        Self::load(&env, Some((&path, &text)))
    }

    /// The address under which clients reach the server, without a trailing slash. `bound` is where it really listens, which
    /// differs from [`Config::listen`] when that has port 0.
    #[must_use]
    pub fn base_url(&self, bound: SocketAddr) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        self.public_url.clone().unwrap_or_else(|| format!("{scheme}://{}", reachable(bound)))
    }

    /// Whether tokens would travel to other machines in the clear without anybody having said that they may.
    #[must_use]
    pub fn sends_tokens_in_the_clear(&self) -> bool {
        self.tls.is_none() && !self.insecure_http && !self.listen.ip().is_loopback()
    }
}

impl Http {
    /// What the accept loop needs of it.
    #[must_use]
    pub fn serve_limits(&self) -> ServeLimits {
        ServeLimits {
            header_timeout: self.header_timeout,
            idle_timeout: self.idle_timeout,
            write_timeout: self.request_timeout,
            max_connections: self.max_connections,
            drain: self.drain,
        }
    }
}

/// An address that can be connected to: "all addresses" (0.0.0.0) is one to listen on only.
#[must_use]
pub fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// A setting's value, and what set it.
struct Setting {
    value: Value,
    origin: String,
}

/// All settings by their dotted name. The defaults say which exist and of which kind each is.
struct Settings(BTreeMap<String, Setting>);

impl Settings {
    fn defaults() -> Self {
        let table: Table = DEFAULTS.parse().expect("config/default.toml is TOML");
        let mut settings = BTreeMap::new();
        for (name, value) in leaves(&table) {
            settings.insert(name, Setting { value, origin: DEFAULTS_NAME.to_owned() });
        }
        Self(settings)
    }

    fn read_file(&mut self, file: &str, text: &str) -> Result<(), ConfigError> {
        let table: Table = text.parse().map_err(|error: toml::de::Error| {
            let line = error.span().map_or(1, |span| text[..span.start].lines().count().max(1));
            ConfigError(format!("{file}, line {line}: {}", one_line(error.message())))
        })?;
        for (name, value) in leaves(&table) {
            let Some(setting) = self.0.get_mut(&name) else { return Err(self.unknown(&name, &shown(&name, &value), file)) };
            if value.type_str() != setting.value.type_str() {
                return Err(wrong(&name, &shown(&name, &value), file, kind_of(&setting.value)));
            }
            *setting = Setting { value, origin: file.to_owned() };
        }
        Ok(())
    }

    fn read_environment(&mut self, env: &BTreeMap<String, String>) -> Result<(), ConfigError> {
        // The general name first, so that our own wins. An empty one is what an unset variable becomes in many a script.
        if let Some(url) = env.get("DATABASE_URL").filter(|url| !url.is_empty()) {
            self.0.insert("database.url".into(), Setting { value: Value::String(url.clone()), origin: "DATABASE_URL".into() });
        }
        for (variable, text) in env {
            let Some(key) = variable.strip_prefix(PREFIX) else { continue };
            if variable == CONFIG_VARIABLE || is_service_link(key) {
                continue;
            }
            let Some((name, setting)) = self.0.iter_mut().find(|(name, _)| name.replace('.', "_").eq_ignore_ascii_case(key)) else {
                return Err(ConfigError(format!("{variable} = {text:?}: there is no such setting (see {DEFAULTS_NAME})")));
            };
            let value = match setting.value {
                Value::Integer(_) => text.trim().parse().map(Value::Integer).ok(),
                Value::Boolean(_) => text.trim().parse().map(Value::Boolean).ok(),
                _ => Some(Value::String(text.clone())),
            };
            let value = value.ok_or_else(|| wrong(name, &format!("{text:?}"), variable, kind_of(&setting.value)))?;
            *setting = Setting { value, origin: variable.clone() };
        }
        Ok(())
    }

    /// The typed settings. Each getter checks its value, so what comes out can be used as it is.
    fn config(&self) -> Result<Config, ConfigError> {
        let config = Config {
            listen: self.parsed("listen", "an address and a port, such as 127.0.0.1:8080", |text| text.parse().ok())?,
            insecure_http: self.setting("insecure_http").value.as_bool().expect("only a boolean takes the place of one"),
            public_url: self.optional(
                "public_url",
                "an http or https address without query, such as https://scim.example.com",
                public_url,
            )?,
            data_dir: self.parsed("data_dir", "a directory", |text| (!text.is_empty()).then(|| PathBuf::from(text)))?,
            log: self.parsed("log", "a level such as info, or directives such as info,sqlx=warn", log_directives)?,
            log_format: self.parsed("log_format", "text or json", |text| match text {
                "text" => Some(log::Format::Text),
                "json" => Some(log::Format::Json),
                _ => None,
            })?,
            tls: self.tls()?,
            database: self.database()?,
            http: self.http()?,
            events: Events { retention: self.retention()? },
            limits: self.limits()?,
        };
        if config.limits.page_size_default > config.limits.page_size_max {
            let expected = format!("at most limits.page_size_max, which is {}", config.limits.page_size_max);
            return Err(self.wrong("limits.page_size_default", &expected));
        }
        if config.limits.body_bytes > config.limits.bodies_bytes {
            let expected = format!("at most limits.bodies_bytes, which is {}", config.limits.bodies_bytes);
            return Err(self.wrong("limits.body_bytes", &expected));
        }
        Ok(config)
    }

    fn tls(&self) -> Result<Option<TlsFiles>, ConfigError> {
        let path = |name| self.optional(name, "the name of a PEM file", |text| Some(PathBuf::from(text)));
        let handshake_timeout = self.duration("tls.handshake_timeout_ms", 1)?;
        match (path("tls.certificate")?, path("tls.key")?) {
            (Some(certificate), Some(key)) => Ok(Some(TlsFiles { certificate, key, handshake_timeout })),
            (None, None) => Ok(None),
            (Some(_), None) => Err(self.wrong("tls.key", "the name of a PEM file, since tls.certificate is set")),
            (None, Some(_)) => Err(self.wrong("tls.certificate", "the name of a PEM file, since tls.key is set")),
        }
    }

    fn database(&self) -> Result<Database, ConfigError> {
        let transaction_pooler = self.parsed("database.pooler", "none or transaction", |text| match text {
            "none" => Some(false),
            "transaction" => Some(true),
            _ => None,
        })?;
        let database = Database {
            url: self.optional("database.url", AN_ADDRESS, database_url)?,
            pool_size: self.number("database.pool_size", 1..=10_000)?,
            acquire_timeout: self.duration("database.acquire_timeout_ms", 1)?,
            statement_timeout: self.duration("database.statement_timeout_ms", 1)?,
            lock_timeout: self.duration("database.lock_timeout_ms", 1)?,
            idle_in_transaction_timeout: self.duration("database.idle_in_transaction_timeout_ms", 1)?,
            statement_cache: self.number("database.statement_cache", 1..=100_000)?,
            transaction_pooler,
            direct_url: self.optional("database.direct_url", AN_ADDRESS, database_url)?,
        };
        // Migrations take a lock that belongs to a session.
        if database.transaction_pooler && database.direct_url.is_none() {
            return Err(self.wrong("database.direct_url", "an address, since database.pooler is \"transaction\""));
        }
        // The private cluster has no pooler in front of it.
        if database.direct_url.is_some() && database.url.is_none() {
            return Err(self.wrong("database.url", "an address, since database.direct_url is set"));
        }
        Ok(database)
    }

    fn http(&self) -> Result<Http, ConfigError> {
        Ok(Http {
            header_timeout: self.duration("http.header_timeout_ms", 1)?,
            body_timeout: self.duration("http.body_timeout_ms", 1)?,
            request_timeout: self.duration("http.request_timeout_ms", 1)?,
            idle_timeout: self.duration("http.idle_timeout_ms", 1)?,
            max_connections: self.number("http.max_connections", 1..=1_000_000)?,
            drain: self.duration("http.drain_ms", 1)?,
            drain_delay: self.duration("http.drain_delay_ms", 0)?,
            trusted_proxies: self.parsed("http.trusted_proxies", "networks such as 10.0.0.0/8, separated by commas", networks)?,
        })
    }

    fn retention(&self) -> Result<Option<Duration>, ConfigError> {
        let days: u64 = self.number("events.retention_days", 0..=36_500)?;
        Ok((days > 0).then(|| Duration::from_secs(days * 24 * 3600)))
    }

    fn limits(&self) -> Result<Limits, ConfigError> {
        Ok(Limits {
            requests_in_flight: self.number("limits.requests_in_flight", 1..=1_000_000)?,
            tenant_requests_in_flight: self.number("limits.tenant_requests_in_flight", 1..=1_000_000)?,
            connection_requests_per_second: self.number("limits.connection_requests_per_second", 0..=1_000_000)?,
            failed_authentications_per_minute: self.number("limits.failed_authentications_per_minute", 0..=1_000_000)?,
            body_bytes: self.number("limits.body_bytes", 1..=1_073_741_824)?,
            bodies_bytes: self.number("limits.bodies_bytes", 1..=68_719_476_736)?,
            filter_chars: self.number("limits.filter_chars", 1..=1_048_576)?,
            filter_depth: self.number("limits.filter_depth", 1..=1024)?,
            filter_terms: self.number("limits.filter_terms", 1..=65_536)?,
            bulk_operations: self.number("limits.bulk_operations", 1..=100_000)?,
            patch_operations: self.number("limits.patch_operations", 1..=1_000_000)?,
            members: self.number("limits.members", 1..=10_000_000)?,
            values_per_attribute: self.number("limits.values_per_attribute", 1..=1_000_000)?,
            page_size_default: self.number("limits.page_size_default", 1..=100_000)?,
            page_size_max: self.number("limits.page_size_max", 1..=100_000)?,
            // A cursor's age is counted in seconds.
            cursor_timeout: self.duration("limits.cursor_timeout_ms", 1_000)?,
        })
    }

    fn setting(&self, name: &str) -> &Setting {
        self.0.get(name).expect("config/default.toml has every setting")
    }

    fn parsed<T>(&self, name: &str, expected: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<T, ConfigError> {
        self.setting(name).value.as_str().and_then(parse).ok_or_else(|| self.wrong(name, expected))
    }

    fn optional<T>(&self, name: &str, expected: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, ConfigError> {
        self.parsed(name, expected, |text| if text.is_empty() { Some(None) } else { parse(text).map(Some) })
    }

    fn number<T: TryFrom<i64>>(&self, name: &str, range: RangeInclusive<i64>) -> Result<T, ConfigError> {
        let number = self.setting(name).value.as_integer().filter(|number| range.contains(number));
        let number = number.and_then(|number| T::try_from(number).ok());
        number.ok_or_else(|| self.wrong(name, &format!("a whole number from {} to {}", range.start(), range.end())))
    }

    fn duration(&self, name: &str, least_ms: i64) -> Result<Duration, ConfigError> {
        self.number(name, least_ms..=DURATION_MAX_MS).map(Duration::from_millis)
    }

    fn wrong(&self, name: &str, expected: &str) -> ConfigError {
        let setting = self.setting(name);
        wrong(name, &shown(name, &setting.value), &setting.origin, expected)
    }

    fn unknown(&self, name: &str, value: &str, file: &str) -> ConfigError {
        let section = name.rsplit_once('.').map_or("", |(section, _)| section);
        let beside = self.0.keys().filter_map(|known| match known.rsplit_once('.') {
            Some((known, key)) if known == section => Some(key),
            None if section.is_empty() => Some(known.as_str()),
            _ => None,
        });
        let beside: Vec<_> = beside.collect();
        let expected = if beside.is_empty() { format!("a setting of {DEFAULTS_NAME}") } else { format!("one of {}", beside.join(", ")) };
        ConfigError(format!("{name} = {value} ({file}): there is no such setting: expected {expected}"))
    }
}

/// Every value of a table by its dotted name; an empty section has none.
fn leaves(table: &Table) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for (key, value) in table {
        match value {
            Value::Table(section) => found.extend(leaves(section).into_iter().map(|(name, value)| (format!("{key}.{name}"), value))),
            value => found.push((key.clone(), value.clone())),
        }
    }
    found
}

/// Kubernetes and Docker announce a service named `frontdesk` in variables of these names, whether anybody wants them or not.
fn is_service_link(key: &str) -> bool {
    let port = key.strip_prefix("SERVICE_").unwrap_or(key);
    key == "SERVICE_HOST" || port == "PORT" || port.starts_with("PORT_")
}

fn wrong(name: &str, value: &str, origin: &str, expected: &str) -> ConfigError {
    ConfigError(format!("{name} = {value} ({origin}): expected {expected}"))
}

/// A value as a message shows it. The database's address has a password in it.
fn shown(name: &str, value: &Value) -> String {
    if name.ends_with("url") && name.starts_with("database") { "(hidden)".into() } else { one_line(&value.to_string()) }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Integer(_) => "a whole number",
        Value::Boolean(_) => "true or false",
        _ => "a text",
    }
}

fn public_url(text: &str) -> Option<String> {
    let url = text.trim_end_matches('/');
    let uri: hyper::Uri = url.parse().ok()?;
    let absolute = matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty());
    let bare = uri.query().is_none() && !url.contains(['#', '?', '@']);
    (absolute && bare).then(|| url.to_owned())
}

fn database_url(text: &str) -> Option<Secret> {
    ["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme)).then(|| Secret::new(text))
}

fn networks(text: &str) -> Option<Vec<Network>> {
    text.split(',').map(str::trim).filter(|network| !network.is_empty()).map(|network| network.parse().ok()).collect()
}

fn log_directives(text: &str) -> Option<Targets> {
    if text.is_empty() { None } else { text.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::filter::LevelFilter;

    fn load(env: &[(&str, &str)], file: Option<&str>) -> Result<Config, String> {
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Config::load(&env, file.map(|text| ("my.toml", text))).map_err(|error| error.to_string())
    }

    fn refusal(env: &[(&str, &str)], file: Option<&str>) -> String {
        let sentence = load(env, file).expect_err("the settings are wrong");
        assert!(!sentence.contains('\n'), "{sentence}");
        sentence
    }

    #[test]
    fn the_documented_defaults_are_valid() {
        let config = load(&[], None).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(config.base_url(config.listen), "http://127.0.0.1:8080");
        assert_eq!(config.data_dir, PathBuf::from("./data"));
        assert_eq!((config.database.pool_size, config.database.statement_cache), (10, 256));
        assert_eq!(config.http.header_timeout, Duration::from_secs(10));
        assert_eq!(config.http.drain_delay, Duration::ZERO);
        assert_eq!(config.limits.patch_operations, 20_000);
        assert!(config.database.url.is_none());
    }

    #[test]
    fn every_default_has_a_comment_above_its_group() {
        for group in DEFAULTS.split("\n\n") {
            assert!(group.lines().any(|line| line.starts_with('#')) || group.trim().starts_with('['), "{group}");
        }
    }

    #[test]
    fn the_environment_wins_over_the_file_and_the_file_over_the_defaults() {
        let file = "listen = \"127.0.0.1:1\"\n[limits]\nmembers = 7\nbody_bytes = 8\n";
        let config = load(&[("FRONTDESK_LIMITS_BODY_BYTES", "9"), ("FRONTDESK_LOG", "debug")], Some(file)).unwrap();
        assert_eq!((config.listen.port(), config.limits.members, config.limits.body_bytes), (1, 7, 9));
        assert_eq!(config.log, Targets::new().with_default(LevelFilter::DEBUG));
    }

    #[test]
    fn every_nested_setting_has_a_variable() {
        for (name, setting) in Settings::defaults().0 {
            let variable = format!("{PREFIX}{}", name.replace('.', "_").to_uppercase());
            let value = setting.value.as_str().map_or_else(|| setting.value.to_string(), str::to_owned);
            load(&[(&variable, &value)], None).unwrap_or_else(|error| panic!("{variable}: {error}"));
        }
    }

    #[test]
    fn an_unknown_setting_is_named() {
        assert_eq!(
            refusal(&[("FRONTDESK_LISTENN", "x")], None),
            "FRONTDESK_LISTENN = \"x\": there is no such setting (see config/default.toml)"
        );
        let sentence = refusal(&[], Some("[http]\nheader_timeout = 3"));
        assert!(
            sentence.starts_with("http.header_timeout = 3 (my.toml): there is no such setting: expected one of body_timeout_ms,"),
            "{sentence}"
        );
        assert!(
            refusal(&[], Some("colour = \"red\"")).contains("expected one of data_dir, insecure_http, listen, log, log_format, public_url")
        );
        assert!(refusal(&[], Some("listen.port = 1")).contains("listen.port = 1"));
    }

    #[test]
    fn a_wrong_value_is_named_with_what_is_expected() {
        assert_eq!(
            refusal(&[("FRONTDESK_LISTEN", "8080")], None),
            "listen = \"8080\" (FRONTDESK_LISTEN): expected an address and a port, such as 127.0.0.1:8080"
        );
        assert_eq!(
            refusal(&[("FRONTDESK_LIMITS_MEMBERS", "many")], None),
            "limits.members = \"many\" (FRONTDESK_LIMITS_MEMBERS): expected a whole number"
        );
        assert_eq!(
            refusal(&[], Some("limits = 3")),
            "limits = 3 (my.toml): there is no such setting: expected one of data_dir, insecure_http, listen, log, log_format, public_url"
        );
        assert_eq!(refusal(&[], Some("[limits]\nmembers = \"7\"")), "limits.members = \"7\" (my.toml): expected a whole number");
        assert!(refusal(&[("FRONTDESK_LOG_FORMAT", "xml")], None).ends_with("expected text or json"));
        assert!(refusal(&[("FRONTDESK_LOG", "frontdesk=loud")], None).starts_with("log = \"frontdesk=loud\""));
        assert!(refusal(&[("FRONTDESK_DATA_DIR", "")], None).starts_with("data_dir = \"\""));
    }

    #[test]
    fn a_file_that_is_not_toml_is_named_with_the_line() {
        let sentence = refusal(&[], Some("listen = \"127.0.0.1:1\"\n[limits\n"));
        assert!(sentence.starts_with("my.toml, line 2: "), "{sentence}");
    }

    #[test]
    fn zero_is_refused_where_it_has_no_meaning() {
        for name in ["DATABASE_POOL_SIZE", "HTTP_HEADER_TIMEOUT_MS", "HTTP_MAX_CONNECTIONS", "LIMITS_BODY_BYTES", "LIMITS_PAGE_SIZE_MAX"] {
            assert!(refusal(&[(&format!("{PREFIX}{name}"), "0")], None).contains("expected a whole number from 1 to"));
        }
        load(&[("FRONTDESK_HTTP_DRAIN_DELAY_MS", "0")], None).unwrap();
    }

    #[test]
    fn behind_a_pooler_both_addresses_are_needed() {
        let pooler = ("FRONTDESK_DATABASE_POOLER", "transaction");
        let (through, past) = (("DATABASE_URL", "postgres://pooler/d"), ("FRONTDESK_DATABASE_DIRECT_URL", "postgres://database/d"));
        assert!(refusal(&[pooler, past], None).starts_with("database.url = (hidden) (config/default.toml): expected an address"));
        assert!(refusal(&[pooler, through], None).starts_with("database.direct_url = (hidden) (config/default.toml): expected an address"));
        assert!(refusal(&[("FRONTDESK_DATABASE_POOLER", "session")], None).contains("expected none or transaction"));
        let database = load(&[pooler, through, past], None).unwrap().database;
        assert!(database.transaction_pooler);
        assert_eq!(database.direct_url.unwrap().expose(), "postgres://database/d");
    }

    #[test]
    fn the_default_page_is_not_larger_than_the_largest() {
        assert_eq!(
            refusal(&[("FRONTDESK_LIMITS_PAGE_SIZE_MAX", "50")], None),
            "limits.page_size_default = 100 (config/default.toml): expected at most limits.page_size_max, which is 50"
        );
    }

    #[test]
    fn one_body_is_not_larger_than_all_together() {
        assert_eq!(
            refusal(&[("FRONTDESK_LIMITS_BODIES_BYTES", "1000")], None),
            "limits.body_bytes = 16777216 (config/default.toml): expected at most limits.bodies_bytes, which is 1000"
        );
    }

    #[test]
    fn a_certificate_and_its_key_come_together() {
        let files = "[tls]\ncertificate = \"c.pem\"\nkey = \"k.pem\"\n";
        let config = load(&[], Some(files)).unwrap();
        assert_eq!(config.base_url(config.listen), "https://127.0.0.1:8080");
        let tls = config.tls.unwrap();
        assert_eq!((tls.certificate, tls.key), (PathBuf::from("c.pem"), PathBuf::from("k.pem")));
        assert_eq!(tls.handshake_timeout, Duration::from_secs(10));
        assert!(refusal(&[("FRONTDESK_TLS_KEY", "k.pem")], None).starts_with("tls.certificate = \"\""));
        assert!(refusal(&[("FRONTDESK_TLS_CERTIFICATE", "c.pem")], None).starts_with("tls.key = \"\""));
    }

    #[test]
    fn tokens_go_to_other_machines_in_the_clear_only_where_it_is_said() {
        let both = [("FRONTDESK_TLS_CERTIFICATE", "c.pem"), ("FRONTDESK_TLS_KEY", "k.pem")];
        for (listen, loopback) in [("127.0.0.1:1", true), ("127.8.8.8:1", true), ("[::1]:1", true), ("0.0.0.0:1", false), ("[::]:1", false)]
        {
            let listen = ("FRONTDESK_LISTEN", listen);
            assert_eq!(load(&[listen], None).unwrap().sends_tokens_in_the_clear(), !loopback, "{listen:?}");
            assert!(!load(&[listen, ("FRONTDESK_INSECURE_HTTP", "true")], None).unwrap().sends_tokens_in_the_clear());
            assert!(!load(&[listen, both[0], both[1]], None).unwrap().sends_tokens_in_the_clear());
        }
        assert_eq!(
            refusal(&[("FRONTDESK_INSECURE_HTTP", "yes")], None),
            "insecure_http = \"yes\" (FRONTDESK_INSECURE_HTTP): expected true or false"
        );
    }

    #[test]
    fn proxies_are_named_as_networks() {
        let config = load(&[("FRONTDESK_HTTP_TRUSTED_PROXIES", "10.0.0.0/8, ::1")], None).unwrap();
        assert_eq!(config.http.trusted_proxies.len(), 2);
        let sentence = refusal(&[("FRONTDESK_HTTP_TRUSTED_PROXIES", "10.0.0.0/8 ::1")], None);
        assert!(sentence.ends_with("expected networks such as 10.0.0.0/8, separated by commas"), "{sentence}");
    }

    #[test]
    fn the_public_address_is_absolute_and_bare() {
        let config = load(&[("FRONTDESK_PUBLIC_URL", "https://scim.example.com/frontdesk//")], None).unwrap();
        assert_eq!(config.base_url(config.listen), "https://scim.example.com/frontdesk");
        for wrong in ["scim.example.com", "ftp://x", "https://", "https://x?y", "https://x/#y", "https://me@x", "https://a b"] {
            assert!(refusal(&[("FRONTDESK_PUBLIC_URL", wrong)], None).starts_with("public_url = "), "{wrong}");
        }
    }

    #[test]
    fn all_addresses_become_one_that_can_be_connected_to() {
        let config = load(&[("FRONTDESK_LISTEN", "0.0.0.0:0")], None).unwrap();
        assert_eq!(config.base_url("0.0.0.0:4711".parse().unwrap()), "http://127.0.0.1:4711");
        assert_eq!(config.base_url("[::]:4711".parse().unwrap()), "http://[::1]:4711");
    }

    #[test]
    fn the_address_of_the_database_is_never_shown() {
        let config = load(&[("DATABASE_URL", "postgres://u:hunter2@h/d")], None).unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
        assert_eq!(config.database.url.unwrap().expose(), "postgres://u:hunter2@h/d");
        for name in ["DATABASE_URL", "FRONTDESK_DATABASE_URL"] {
            let sentence = refusal(&[(name, "mysql://u:hunter2@h/d")], None);
            assert!(sentence.starts_with("database.url = (hidden)") && !sentence.contains("hunter2"), "{sentence}");
        }
        assert!(!refusal(&[], Some("database_url = \"postgres://u:hunter2@h/d\"")).contains("hunter2"));
    }

    #[test]
    fn our_own_name_wins_over_the_general_one_and_an_empty_one_is_none() {
        let both = [("DATABASE_URL", "postgres://a"), ("FRONTDESK_DATABASE_URL", "postgres://b")];
        assert_eq!(load(&both, None).unwrap().database.url.unwrap().expose(), "postgres://b");
        assert!(load(&[("DATABASE_URL", "")], None).unwrap().database.url.is_none());
    }

    #[test]
    fn announcements_of_a_service_named_frontdesk_are_no_settings() {
        let links = [
            ("FRONTDESK_SERVICE_HOST", "10.0.0.1"),
            ("FRONTDESK_SERVICE_PORT", "80"),
            ("FRONTDESK_SERVICE_PORT_HTTP", "80"),
            ("FRONTDESK_PORT", "tcp://10.0.0.1:80"),
            ("FRONTDESK_PORT_80_TCP_ADDR", "10.0.0.1"),
        ];
        load(&links, None).unwrap();
    }
}
