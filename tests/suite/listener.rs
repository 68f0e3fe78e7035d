//! What the server says in its log while the tests run, at every level down to TRACE and from every crate, the database's driver
//! among them. Two listen for the whole life of the process, whatever the order of the tests:
//!
//! - The censor. A line with a token, a password, a name or an address of the tests' people ends the run at once, with the line on
//!   stderr. There is no order of the tests in which a leak is passed over, and no test has to ask.
//! - The counter of statements, for the tests that hold two requests against each other.
//!
//! Which texts are people's is a list, [`PERSONAL`]: new people of the tests should have one of them in each of their attributes.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::io::{self, Write};
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

/// What no line may hold, in lower case: part of the names, addresses and passwords of the tests' people.
pub const PERSONAL: &[&str] = &["@example.com", "snow", "needle", "-canary", "t1memaheen"];

/// Characters of a token behind `fd_`.
const TOKEN_CHARS: usize = 36;

/// Lines heard so far.
static HEARD: AtomicUsize = AtomicUsize::new(0);

/// Begins to listen, once in a process.
pub fn listen() {
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| {
        let statements = Statements.with_filter(Targets::new().with_target("sqlx::query", Level::DEBUG));
        let censor = frontdesk::log::lines(frontdesk::log::Format::Text, Censor);
        tracing_subscriber::registry().with(statements).with(censor).init();
    });
}

/// How many lines were heard.
pub fn heard() -> usize {
    HEARD.load(Ordering::Relaxed)
}

/// What is wrong with a line of the log, if anything.
pub fn fault_of(line: &str, level: Level) -> Option<String> {
    for (at, _) in line.match_indices("fd_") {
        let token = &line[at + 3..];
        if token.bytes().take_while(u8::is_ascii_alphanumeric).count() >= TOKEN_CHARS {
            return Some("it holds a token".into());
        }
    }
    let lower = line.to_lowercase();
    if let Some(text) = PERSONAL.iter().find(|text| lower.contains(**text)) {
        return Some(format!("it holds personal data: {text}"));
    }
    // What an administrator reads: one line an event. Below that the driver writes statements of several lines.
    let body = line.strip_suffix('\n').unwrap_or(line);
    let is_read = level <= Level::INFO;
    (is_read && body.contains(char::is_control)).then(|| "a control character would make another line of it".into())
}

/// The writer of the log that reads each line.
struct Censor;

/// A line being written.
struct Line {
    level: Level,
    text: Vec<u8>,
}

impl MakeWriter<'_> for Censor {
    type Writer = Line;

    fn make_writer(&self) -> Line {
        Line { level: Level::TRACE, text: Vec::new() }
    }

    fn make_writer_for(&self, event: &Metadata<'_>) -> Line {
        Line { level: *event.level(), text: Vec::new() }
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        HEARD.fetch_add(1, Ordering::Relaxed);
        let line = String::from_utf8_lossy(&self.text);
        if let Some(fault) = fault_of(&line, self.level) {
            // Not `eprintln!`: what a test prints is held back until it ends, and this one does not end.
            let _ = writeln!(io::stderr(), "\nthe log holds what it must not: {fault}:\n{line}");
            std::process::exit(101);
        }
    }
}

thread_local! {
    /// The statements of this thread, while it wants to know: a test has a thread of its own, with all that it starts on it.
    static STATEMENTS: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Keeps the statements that the driver reports.
struct Statements;

impl<S: Subscriber> Layer<S> for Statements {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        STATEMENTS.with_borrow_mut(|statements| {
            if let Some(statements) = statements {
                let mut sql = Sql::default();
                event.record(&mut sql);
                // Upkeep of the server's own, at any moment (src/directory/growth.rs).
                if sql.0.starts_with("analyze ") || sql.0.contains("pg_stat_user_tables") {
                    return;
                }
                statements.push(sql.0.split_whitespace().collect::<Vec<_>>().join(" "));
            }
        });
    }
}

/// The text of a statement, from the two fields in which the driver reports it.
#[derive(Default)]
struct Sql(String);

impl Visit for Sql {
    fn record_str(&mut self, field: &Field, value: &str) {
        if matches!(field.name(), "summary" | "db.statement") {
            self.0 += value;
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

/// The statements that some work takes, in order. The test must have one thread, as it has unless it asks for more.
pub async fn statements_of<T>(work: impl Future<Output = T>) -> (Vec<String>, T) {
    listen();
    STATEMENTS.set(Some(Vec::new()));
    let done = work.await;
    (STATEMENTS.take().unwrap_or_default(), done)
}
