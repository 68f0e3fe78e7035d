//! The log: one line an event, for people or as JSON, with the id of the request in which it happened.
//!
//! The id travels beside the work (`of_request`) and not in a span, and the lines are written here and not by tracing-subscriber: a
//! request has one line, and with a span and the general formatter that line took a tenth of a GET (docs/performance.md).

use std::error::Error;
use std::fmt::{self, Debug, Write as _};
use std::future::Future;
use std::sync::Arc;

use chrono::{SecondsFormat, Utc};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter, layer};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

tokio::task_local! {
    /// The request that the running task works for.
    static REQUEST: Arc<str>;
}

/// The name under which a line has the id of its request.
const REQUEST_ID: &str = "request.id";

/// The name of an event's words.
const MESSAGE: &str = "message";

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Sends the log to stderr. Once in a process.
pub fn start(format: Format, targets: Targets) {
    tracing_subscriber::registry().with(targets).with(lines(format, std::io::stderr)).init();
}

/// The layer that writes each event as a line.
pub fn lines<S, W>(format: Format, writer: W) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    layer().event_format(format).with_writer(writer)
}

/// Does what belongs to a request: each event in it has the request's id.
pub fn of_request<F: Future>(id: Arc<str>, work: F) -> impl Future<Output = F::Output> {
    REQUEST.scope(id, work)
}

/// The same for work that goes on in a task of its own, for the request of the task that calls this; there may be none.
pub fn of_this_request<F: Future>(work: F) -> impl Future<Output = F::Output> {
    let id = REQUEST.try_with(Arc::clone).ok();
    async move {
        match id {
            Some(id) => of_request(id, work).await,
            None => work.await,
        }
    }
}

impl<S, N> FormatEvent<S, N> for Format
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let (level, target) = (event.metadata().level(), event.metadata().target());
        let now = Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true);
        match self {
            Self::Text => write!(writer, "{now} {level:>5} {target}:")?,
            Self::Json => write!(writer, "{{\"timestamp\":\"{now}\",\"level\":\"{level}\",\"target\":\"{target}\"")?,
        }
        let mut fields = Fields { format: *self, line: &mut writer, written: Ok(()) };
        event.record(&mut fields);
        let _ = REQUEST.try_with(|id| fields.string(REQUEST_ID, id));
        fields.written?;
        writer.write_str(if *self == Self::Json { "}\n" } else { "\n" })
    }
}

/// Writes the fields of an event behind the beginning of its line.
struct Fields<'a, 'w> {
    format: Format,
    line: &'a mut Writer<'w>,
    /// Nothing is written any more after a fault.
    written: fmt::Result,
}

impl Fields<'_, '_> {
    fn write(&mut self, write: impl FnOnce(Format, &mut Writer<'_>) -> fmt::Result) {
        if self.written.is_ok() {
            self.written = write(self.format, self.line);
        }
    }

    /// A number or a truth value, the same in both formats.
    fn bare(&mut self, name: &str, value: impl fmt::Display) {
        self.write(|format, line| match format {
            Format::Text => write!(line, " {name}={value}"),
            Format::Json => write!(line, ",\"{name}\":{value}"),
        });
    }

    /// Text in quotes, unless it is one word.
    fn string(&mut self, name: &str, value: &str) {
        let is_word = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'));
        self.write(|format, line| match format {
            Format::Text if is_word(value) => write!(line, " {name}={value}"),
            Format::Text => write!(line, " {name}={value:?}"),
            Format::Json => write!(line, ",\"{name}\":{}", serde_json::Value::from(value)),
        });
    }
}

impl Visit for Fields<'_, '_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == MESSAGE { self.record_debug(field, &format_args!("{value}")) } else { self.string(field.name(), value) }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.bare(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.bare(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.bare(field.name(), value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // What is no number of JSON is text.
        if value.is_finite() { self.bare(field.name(), value) } else { self.string(field.name(), &value.to_string()) }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let mut text = value.to_string();
        let mut source = value.source();
        while let Some(cause) = source {
            let _ = write!(text, ": {cause}");
            source = cause.source();
        }
        self.record_debug(field, &format_args!("{text}"));
    }

    /// What has `Display` alone comes here, too: the message among it, which has no name in a line for people.
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let name = field.name();
        self.write(|format, line| match format {
            Format::Text => {
                if name == MESSAGE {
                    line.write_char(' ')?
                } else {
                    write!(line, " {name}=")?
                }
                write!(OneLine(line), "{value:?}")
            }
            Format::Json => write!(line, ",\"{name}\":{}", serde_json::Value::from(format!("{value:?}"))),
        });
    }
}

/// Writes on without a character that would make another line, or tell a terminal what to do.
struct OneLine<'a, 'w>(&'a mut Writer<'w>);

impl fmt::Write for OneLine<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let is_harmless = |c: char| !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}');
        if text.chars().all(is_harmless) {
            return self.0.write_str(text);
        }
        text.chars().try_for_each(|c| if is_harmless(c) { self.0.write_char(c) } else { write!(self.0, "{}", c.escape_default()) })
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Mutex, PoisonError};

    use serde_json::{Value, json};

    use super::*;

    /// What was written, for all that write to it.
    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The lines that some events make, without their time.
    fn lines_of(format: Format, events: impl FnOnce()) -> Vec<String> {
        let written = Written::default();
        let writer = written.clone();
        let subscriber = tracing_subscriber::registry().with(lines(format, move || writer.clone()));
        tracing::subscriber::with_default(subscriber, events);
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[derive(Debug, thiserror::Error)]
    #[error("the end")]
    struct End(#[source] io::Error);

    fn events() {
        let end = End(io::Error::other("its cause"));
        tracing::info!(method = "GET", status = 200_u16, duration_ms = 1.25, who = "two words", none = None::<&str>, "answered");
        tracing::warn!(error = &end as &dyn Error, ok = false, place = %"a\nINFO b", "it \"broke\"\u{1b}[2J");
    }

    #[test]
    fn a_line_for_people_is_one_line() {
        let lines = lines_of(Format::Text, events);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].ends_with("Z  INFO frontdesk::log::tests: answered method=GET status=200 duration_ms=1.25 who=\"two words\""));
        let warning = "frontdesk::log::tests: it \"broke\"\\u{1b}[2J error=the end: its cause ok=false place=a\\nINFO b";
        assert!(lines[1].ends_with(&format!("Z  WARN {warning}")), "{}", lines[1]);
    }

    #[test]
    fn a_line_of_json_is_an_object() {
        let lines = lines_of(Format::Json, events);
        let mut objects = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let mut first = objects.next().unwrap();
        assert!(first["timestamp"].take().as_str().is_some_and(|at| at.ends_with('Z')));
        let expected = json!({
            "timestamp": null, "level": "INFO", "target": "frontdesk::log::tests", "message": "answered", "method": "GET",
            "status": 200, "duration_ms": 1.25, "who": "two words",
        });
        assert_eq!(first, expected);
        let second = objects.next().unwrap();
        assert_eq!((&second["error"], &second["place"]), (&json!("the end: its cause"), &json!("a\nINFO b")));
        assert!(objects.next().is_none());
    }

    /// An object whose keys stand in it once.
    #[test]
    fn the_request_is_one_field_of_a_line_of_json() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let lines = lines_of(Format::Json, || runtime.block_on(of_request("r \"1\"".into(), async { tracing::info!("in it") })));
        let line = &lines[0];
        assert_eq!(line.matches("\"request.id\":").count(), 1, "{line}");
        assert_eq!(serde_json::from_str::<Value>(line).unwrap()["request.id"], json!("r \"1\""));
    }

    #[test]
    fn the_request_is_in_the_lines_of_all_its_tasks_and_in_no_others() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let lines = lines_of(Format::Text, || {
            runtime.block_on(async {
                of_request("r-1".into(), async {
                    tracing::info!("in it");
                    tokio::spawn(of_this_request(async { tracing::info!("in its task") })).await.unwrap();
                    tokio::spawn(async { tracing::info!("in another task") }).await.unwrap();
                })
                .await;
                tokio::spawn(of_this_request(async { tracing::info!("behind it") })).await.unwrap();
            });
        });
        let ids: Vec<bool> = lines.iter().map(|line| line.ends_with(" request.id=r-1")).collect();
        assert_eq!(ids, [true, true, false, false], "{lines:?}");
    }
}
