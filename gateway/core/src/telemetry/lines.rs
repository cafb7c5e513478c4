//! How a log line is written: one JSON object, or a line for a person.
//!
//! Values keep their type: numbers are numbers, text is text, and what is recorded as bytes (by
//! [`super::json`]) is JSON as it stands. Nothing is written in Rust's debug notation.

use std::fmt::{self, Debug, Write as _};

use serde::Serialize;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_log::NormalizeEvent;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// The field that holds the message.
const MESSAGE: &str = "message";
/// What the bridge from the `log` crate adds besides the message.
const BRIDGE: &str = "log.";

/// Writes each event as one JSON object: `timestamp`, `level`, the fields, `target`.
pub(super) struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let normalized = event.normalized_metadata();
        let metadata = normalized.as_ref().unwrap_or_else(|| event.metadata());
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let mut object = Object::default();
        object.text("timestamp", &time);
        object.text("level", metadata.level().as_str());
        event.record(&mut object);
        object.text("target", metadata.target());
        writeln!(writer, "{}", object.closed())
    }
}

/// A JSON object in the making.
#[derive(Default)]
struct Object {
    bytes: Vec<u8>,
    /// For values that are logged as text.
    scratch: String,
}

impl Object {
    fn name(&mut self, name: &str) {
        self.bytes
            .push(if self.bytes.is_empty() { b'{' } else { b',' });
        self.put(&name.trim_start_matches("r#"));
        self.bytes.push(b':');
    }

    /// Writing plain values into memory does not fail.
    fn put(&mut self, value: &impl Serialize) {
        if serde_json::to_writer(&mut self.bytes, value).is_err() {
            self.bytes.extend_from_slice(b"null");
        }
    }

    fn value(&mut self, name: &str, value: &impl Serialize) {
        if !name.starts_with(BRIDGE) {
            self.name(name);
            self.put(value);
        }
    }

    fn text(&mut self, name: &str, text: &str) {
        self.value(name, &text);
    }

    fn closed(mut self) -> String {
        self.bytes.push(b'}');
        String::from_utf8(self.bytes)
            .unwrap_or_else(|broken| String::from_utf8_lossy(broken.as_bytes()).into_owned())
    }
}

impl Visit for Object {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.value(field.name(), &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.value(field.name(), &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.value(field.name(), &value);
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.value(field.name(), &value);
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.value(field.name(), &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.value(field.name(), &value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field.name(), value);
    }

    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        self.name(field.name());
        self.bytes.extend_from_slice(value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        if write!(scratch, "{value:?}").is_ok() {
            self.text(field.name(), &scratch);
        }
        self.scratch = scratch;
    }
}

/// Writes the fields of an event for a person: the message, then `name=value`.
pub(super) struct PlainFields;

impl<'w> FormatFields<'w> for PlainFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut line = Plain {
            writer,
            begun: false,
            result: Ok(()),
        };
        fields.record(&mut line);
        line.result
    }
}

struct Plain<'w> {
    writer: Writer<'w>,
    begun: bool,
    result: fmt::Result,
}

impl Plain<'_> {
    fn field(&mut self, field: &Field, text: &str) {
        if self.result.is_ok() && !field.name().starts_with(BRIDGE) {
            self.result = self.write(field.name(), text);
        }
    }

    fn write(&mut self, name: &str, text: &str) -> fmt::Result {
        if std::mem::replace(&mut self.begun, true) {
            self.writer.write_char(' ')?;
        }
        if name != MESSAGE {
            write!(self.writer, "{}=", name.trim_start_matches("r#"))?;
        }
        // What others have said must neither begin a line of its own nor colour this one.
        for letter in text.chars() {
            if letter.is_control() {
                write!(self.writer, "{}", letter.escape_default())?;
            } else {
                self.writer.write_char(letter)?;
            }
        }
        Ok(())
    }
}

impl Visit for Plain<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.field(field, value);
    }

    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        self.field(field, &String::from_utf8_lossy(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.field(field, &format!("{value:?}"));
    }
}
