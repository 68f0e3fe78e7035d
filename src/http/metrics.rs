//! `/metrics`: what this process counted since its start, in the text format of Prometheus (version 0.0.4). No personal data and
//! no token is in it: labels are routes, methods, statuses, the slugs and names that administrators gave, and names of quirks.
//! It needs no token, like `/livez`; who may reach it is the proxy's business (docs/operations.md).
//!
//! The number of series is bounded: routes, methods and statuses by the program, connections by [`CONNECTIONS_MAX`].

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};

use super::App;
use super::admission::Excess;
use crate::directory::Caller;
use crate::scim::reader::Note;

/// The media type of the text format.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The upper bounds of the durations counted, in seconds: from a lookup by index to the longest time-out of a client (60 s).
const BOUNDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 30.0];

/// Connections whose quirks are counted one by one. Those beyond are counted together, under empty labels: a series costs
/// memory here and in Prometheus for as long as the process lives.
const CONNECTIONS_MAX: usize = 1_000;

/// The counters of one process.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    routes: Mutex<BTreeMap<String, Counts>>,
    quirks: Mutex<BTreeMap<Connection, BTreeMap<&'static str, u64>>>,
    excess: Mutex<BTreeMap<Excess, u64>>,
}

/// The labels of a connection.
#[derive(Debug, Default, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Connection {
    tenant: String,
    name: String,
    provider: &'static str,
}

/// The requests of a route.
#[derive(Debug, Default)]
struct Counts {
    /// By method and status.
    answered: BTreeMap<(&'static str, u16), u64>,
    durations: Histogram,
}

#[derive(Debug, Default)]
struct Histogram {
    /// Durations up to each bound and not to the one before; the last are longer than all bounds.
    counts: [u64; BOUNDS.len() + 1],
    seconds: f64,
}

impl Metrics {
    /// Counts an answered request. `route` is the pattern of the path, never the path.
    pub(super) fn observe(&self, route: &str, method: &Method, status: StatusCode, duration: Duration) {
        let mut routes = locked(&self.routes);
        // Looked up first: an entry would copy the name for every request.
        if !routes.contains_key(route) {
            routes.insert(route.to_owned(), Counts::default());
        }
        let Some(counts) = routes.get_mut(route) else { return };
        *counts.answered.entry((method_label(method), status.as_u16())).or_default() += 1;
        let seconds = duration.as_secs_f64();
        counts.durations.counts[BOUNDS.partition_point(|bound| *bound < seconds)] += 1;
        counts.durations.seconds += seconds;
    }

    /// Counts what was coerced, set aside or ignored in a request of a connection.
    pub(super) fn count_quirks(&self, caller: &Caller, notes: &[Note]) {
        if notes.is_empty() {
            return;
        }
        let mut connection =
            Connection { tenant: caller.tenant_slug.clone(), name: caller.connection_name.clone(), provider: caller.provider.word() };
        let mut quirks = locked(&self.quirks);
        if quirks.len() >= CONNECTIONS_MAX && !quirks.contains_key(&connection) {
            connection = Connection::default();
        }
        let counts = quirks.entry(connection).or_default();
        for note in notes {
            *counts.entry(note.quirk).or_default() += 1;
        }
    }

    /// Counts a request that was refused because there was too much to do, or too much of its kind.
    pub(super) fn count_excess(&self, excess: Excess) {
        *locked(&self.excess).entry(excess).or_default() += 1;
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        head(out, "frontdesk_requests_total", "counter", "Requests answered.")?;
        let routes = locked(&self.routes);
        for (route, counts) in &*routes {
            let route = Label(route);
            for ((method, status), count) in &counts.answered {
                writeln!(out, "frontdesk_requests_total{{route=\"{route}\",method=\"{method}\",status=\"{status}\"}} {count}")?;
            }
        }
        head(out, "frontdesk_request_duration_seconds", "histogram", "Time from a request's head to its answer's head.")?;
        for (route, counts) in &*routes {
            counts.durations.write(&Label(route), out)?;
        }
        drop(routes);
        head(out, "frontdesk_excess_total", "counter", "Requests refused to keep within a limit, by which one.")?;
        let excess = locked(&self.excess);
        for limit in Excess::ALL {
            let count = excess.get(&limit).copied().unwrap_or_default();
            writeln!(out, "frontdesk_excess_total{{limit=\"{}\"}} {count}", limit.word())?;
        }
        drop(excess);
        head(out, "frontdesk_quirks_total", "counter", "Places in requests that were coerced, set aside or ignored.")?;
        for (connection, counts) in &*locked(&self.quirks) {
            let (tenant, name, provider) = (Label(&connection.tenant), Label(&connection.name), connection.provider);
            for (quirk, count) in counts {
                writeln!(
                    out,
                    "frontdesk_quirks_total{{tenant=\"{tenant}\",connection=\"{name}\",provider=\"{provider}\",quirk=\"{quirk}\"}} {count}"
                )?;
            }
        }
        Ok(())
    }
}

impl Histogram {
    fn write(&self, route: &Label<'_>, out: &mut String) -> fmt::Result {
        let mut total = 0;
        for (bound, count) in BOUNDS.iter().zip(&self.counts) {
            total += count;
            writeln!(out, "frontdesk_request_duration_seconds_bucket{{route=\"{route}\",le=\"{bound}\"}} {total}")?;
        }
        total += self.counts[BOUNDS.len()];
        writeln!(out, "frontdesk_request_duration_seconds_bucket{{route=\"{route}\",le=\"+Inf\"}} {total}")?;
        writeln!(out, "frontdesk_request_duration_seconds_sum{{route=\"{route}\"}} {}", self.seconds)?;
        writeln!(out, "frontdesk_request_duration_seconds_count{{route=\"{route}\"}} {total}")
    }
}

/// A label's value: backslash, quote and line feed are the three characters that the format escapes.
struct Label<'a>(&'a str);

impl fmt::Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

/// Answers `GET /metrics`.
pub(super) async fn metrics(State(app): State<App>) -> Response {
    let mut text = String::new();
    write_all(&app, &mut text).expect("writing to a string succeeds");
    ([(CONTENT_TYPE, TEXT_FORMAT)], text).into_response()
}

fn write_all(app: &App, out: &mut String) -> fmt::Result {
    app.metrics().write(out)?;
    let (recorded, dropped) = app.directory().refusals();
    head(out, "frontdesk_refusals_total", "counter", "Refused provisioning requests, by whether the record of events has them.")?;
    writeln!(out, "frontdesk_refusals_total{{outcome=\"recorded\"}} {recorded}")?;
    writeln!(out, "frontdesk_refusals_total{{outcome=\"dropped\"}} {dropped}")?;
    head(out, "frontdesk_requests_in_flight", "gauge", "Requests in progress, until their answers are sent.")?;
    writeln!(out, "frontdesk_requests_in_flight {}", app.admission().in_flight())?;
    let (in_use, open) = app.directory().pool_connections();
    head(out, "frontdesk_database_connections", "gauge", "Connections to the database.")?;
    writeln!(out, "frontdesk_database_connections{{state=\"in_use\"}} {in_use}")?;
    writeln!(out, "frontdesk_database_connections{{state=\"idle\"}} {}", open.saturating_sub(in_use))
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) -> fmt::Result {
    writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}")
}

/// A client may send any word as a method; those that no route has count as one.
pub(super) fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}

/// A poisoned lock is taken all the same: the counts are whole after every statement.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_counted_up_to_their_bound() {
        let metrics = Metrics::default();
        for millis in [5, 6, 60_000] {
            metrics.observe("/scim/v2/Users", &Method::GET, StatusCode::OK, Duration::from_millis(millis));
        }
        let mut text = String::new();
        metrics.write(&mut text).expect("a string takes everything");
        let bucket = |le: &str, count: u64| {
            let line = format!("frontdesk_request_duration_seconds_bucket{{route=\"/scim/v2/Users\",le=\"{le}\"}} {count}\n");
            assert!(text.contains(&line), "{line}{text}");
        };
        bucket("0.005", 1);
        bucket("0.01", 2);
        bucket("30", 2);
        bucket("+Inf", 3);
    }

    #[test]
    fn no_method_and_no_label_of_a_client_makes_a_series_or_breaks_a_line() {
        let metrics = Metrics::default();
        for word in ["BREW", "WHEN"] {
            let method = Method::from_bytes(word.as_bytes()).expect("a token");
            metrics.observe("-", &method, StatusCode::METHOD_NOT_ALLOWED, Duration::ZERO);
        }
        let mut text = String::new();
        metrics.write(&mut text).expect("a string takes everything");
        assert!(text.contains("{route=\"-\",method=\"other\",status=\"405\"} 2"), "{text}");
        assert_eq!(Label("a\"b\\c\nd").to_string(), "a\\\"b\\\\c\\nd");
    }
}
