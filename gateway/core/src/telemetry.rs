//! Setting up the log: format, filter, and changing the filter while the process runs.
//!
//! What is logged belongs to the code that logs it. Records of libraries that use the `log` crate
//! (Pingora does) arrive here too.

mod foreign;
mod lines;

use std::io::{self, IsTerminal};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use tracing_subscriber::filter::{EnvFilter, LevelFilter, ParseError};
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;
use tracing_subscriber::reload;

use foreign::{Bridge, follow_filter};
use lines::{JsonLines, PlainFields};

pub use foreign::LevelJudge;

/// The environment variable whose filter wins over the configured one.
pub const FILTER_VARIABLE: &str = "RUST_LOG";

/// Pingora logs every connection error of a client; only its warnings are of interest by default.
/// The Redis client repeats what its caller logs as well. Of HTTP/2 any client can cause warnings.
const QUIET: &str = "pingora=warn,redis=off,h2=error";

/// The target of spans that are exported and never logged.
pub const SPAN_TARGET: &str = "perijove_span";

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, JsonSchema, PartialEq, Eq)]
pub enum Format {
    /// For a person at a terminal.
    Pretty,
    /// One JSON object for each line.
    #[default]
    Json,
}

/// The running log. Dropping it changes nothing.
#[derive(Clone, Debug)]
pub struct Telemetry {
    /// None while the environment decides.
    filter: Option<reload::Handle<EnvFilter, Registry>>,
    /// Somebody exports spans.
    spans: bool,
}

/// What is told of spans, beside the log.
pub type SpanLayer = Box<dyn Layer<Filtered> + Send + Sync>;

/// Why the log could not be set up or changed.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error(transparent)]
    Filter(#[from] FilterError),
    #[error("{FILTER_VARIABLE}: {0}")]
    Variable(FilterError),
    #[error("logging is already set up")]
    Twice,
    #[error("logging has already been shut down")]
    Ended(#[from] reload::Error),
}

/// Why a text is not a filter.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    #[error(
        "`{0}` is not a level; write error, warn, info, debug, trace or off, and `module=level` \
         for one module"
    )]
    Level(String),
    #[error("is not a filter: {0}")]
    Syntax(#[from] ParseError),
}

/// Starts logging to standard error. `RUST_LOG`, if set, wins over `filter`.
///
/// # Errors
/// The filter is wrong, or the process logs already.
pub fn start(format: Format, filter: &str) -> Result<Telemetry, TelemetryError> {
    start_judging(format, filter, Box::new(as_loud), None)
}

fn as_loud(record: &log::Record<'_>) -> log::Level {
    record.level()
}

/// The same, where `judge` sets the level of each record of a library that uses the `log` crate, and
/// `spans` gets spans whatever the filter is.
///
/// # Errors
/// The filter is invalid, or the process logs already.
pub fn start_judging(
    format: Format,
    filter: &str,
    judge: Box<LevelJudge>,
    spans: Option<SpanLayer>,
) -> Result<Telemetry, TelemetryError> {
    let variable = std::env::var(FILTER_VARIABLE)
        .ok()
        .filter(|text| !text.is_empty());
    let filter = match &variable {
        Some(text) => parse(text, spans.is_some()).map_err(TelemetryError::Variable)?,
        None => parse(filter, spans.is_some())?,
    };
    let with_spans = spans.is_some();
    let (filter, handle) = reload::Layer::new(filter);
    let colours = io::stderr().is_terminal();
    let mut layers = vec![lines(format, colours, io::stderr)];
    layers.extend(spans);
    let subscriber = tracing_subscriber::registry().with(filter).with(layers);
    tracing::subscriber::set_global_default(subscriber).map_err(|_twice| TelemetryError::Twice)?;
    log::set_boxed_logger(Box::new(Bridge::new(judge))).map_err(|_twice| TelemetryError::Twice)?;
    follow_filter();
    Ok(Telemetry {
        filter: variable.is_none().then_some(handle),
        spans: with_spans,
    })
}

impl Telemetry {
    /// Applies another filter from now on; without effect while `RUST_LOG` is set.
    ///
    /// # Errors
    /// The filter is wrong; the old one stays.
    pub fn set_filter(&self, filter: &str) -> Result<(), TelemetryError> {
        let filter = parse(filter, self.spans)?;
        match &self.filter {
            Some(handle) => handle.reload(filter)?,
            None => return Ok(()),
        }
        follow_filter();
        Ok(())
    }
}

/// Checks a filter without using it.
///
/// # Errors
/// Says which part is wrong.
pub fn check_filter(filter: &str) -> Result<(), FilterError> {
    parse(filter, false).map(drop)
}

fn parse(filter: &str, spans: bool) -> Result<EnvFilter, FilterError> {
    // A bare word that is no level would count as a module with everything switched on.
    for part in filter.split(',').map(str::trim) {
        let is_level = !part.is_empty() && part.parse::<LevelFilter>().is_ok();
        if !is_level && !part.contains(['=', '[']) {
            return Err(FilterError::Level(part.to_owned()));
        }
    }
    let level = if spans { "info" } else { "off" };
    let text = format!("{QUIET},{filter},{SPAN_TARGET}={level}");
    Ok(EnvFilter::builder().parse(text)?)
}

/// A value with parts, such as a list, as the bytes of its JSON: recorded in a field it stands in
/// the line as it is.
pub fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_else(|_| b"null".to_vec())
}

/// A duration for a field whose name ends in `_seconds`, to the millisecond.
pub fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e3).round() / 1e3
}

fn lines<W>(format: Format, colours: bool, writer: W) -> Box<dyn Layer<Filtered> + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let layer = fmt::layer().with_writer(writer);
    match format {
        Format::Pretty => layer
            .with_target(false)
            .with_ansi(colours)
            .fmt_fields(PlainFields)
            .boxed(),
        Format::Json => layer.with_ansi(false).event_format(JsonLines).boxed(),
    }
}

/// A registry behind the filter of the log.
pub type Filtered =
    tracing_subscriber::layer::Layered<reload::Layer<EnvFilter, Registry>, Registry>;

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use serde_json::json;

    use super::*;

    /// Keeps what is written.
    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Page {
        fn take(&self) -> String {
            String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
        }
    }

    #[test]
    fn json_lines_carry_message_and_fields_on_the_top_level() {
        let page = Page::default();
        let writer = page.clone();
        let (filter, _handle) = reload::Layer::new(parse("info", false).unwrap());
        let subscriber = tracing_subscriber::registry().with(filter).with(lines(
            Format::Json,
            true,
            move || writer.clone(),
        ));
        tracing::subscriber::with_default(subscriber, || {
            let (none, some) = (None::<u64>, Some("v0"));
            tracing::warn!(target: "h2::proto::streams::recv", "caused by a stranger");
            tracing::info!(
                calls = 3,
                none,
                some,
                hedged = true,
                rest_seconds = seconds(Duration::from_micros(34_090_400)),
                upstreams = json(&["v0", "v1"]).as_slice(),
                error = %"a \"quoted\" text\nof two lines",
                "served"
            );
        });
        let text = page.take();
        assert_eq!(text.lines().count(), 1, "{text}");
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        for (name, value) in [
            ("message", json!("served")),
            ("calls", json!(3)),
            ("some", json!("v0")),
            ("hedged", json!(true)),
            ("rest_seconds", json!(34.09)),
            ("upstreams", json!(["v0", "v1"])),
            ("error", json!("a \"quoted\" text\nof two lines")),
            ("level", json!("INFO")),
            ("target", json!("perijove_core::telemetry::tests")),
        ] {
            assert_eq!(line[name], value, "{name} in {text}");
        }
        assert!(line.get("none").is_none(), "{text}");
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'), "{text}");
    }

    #[test]
    fn a_line_for_a_person_is_one_line_and_has_colours_only_at_a_terminal() {
        for (colours, coloured) in [(false, false), (true, true)] {
            let page = Page::default();
            let writer = page.clone();
            let (filter, _handle) = reload::Layer::new(parse("info", false).unwrap());
            let subscriber = tracing_subscriber::registry().with(filter).with(lines(
                Format::Pretty,
                colours,
                move || writer.clone(),
            ));
            tracing::subscriber::with_default(subscriber, || {
                tracing::warn!(
                    said = "red\u{1b}[31m\nWARN forged",
                    upstreams = json(&["v0"]).as_slice(),
                    "failing"
                );
            });
            let text = page.take();
            assert_eq!(text.lines().count(), 1, "{text}");
            assert_eq!(text.contains('\u{1b}'), coloured, "{text:?}");
            assert!(!text.contains("\u{1b}[31m\n"), "{text:?}");
            assert!(
                text.contains(r#"failing said=red\u{1b}[31m\nWARN forged upstreams=["v0"]"#),
                "{text:?}"
            );
        }
    }

    #[test]
    #[allow(
        clippy::cognitive_complexity,
        reason = "what the macros come to when a database driver switches on more of tracing"
    )]
    fn the_filter_can_be_changed_while_running() {
        let page = Page::default();
        let writer = page.clone();
        let (filter, handle) = reload::Layer::new(parse("warn", false).unwrap());
        let telemetry = Telemetry {
            filter: Some(handle),
            spans: false,
        };
        let subscriber = tracing_subscriber::registry().with(filter).with(lines(
            Format::Pretty,
            false,
            move || writer.clone(),
        ));
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!("unheard");
            telemetry.set_filter("info").unwrap();
            tracing::info!("heard");
            assert!(telemetry.set_filter("loud").is_err());
            tracing::info!("still heard");
        });
        let text = page.take();
        assert!(
            !text.contains("unheard") && text.contains("still heard"),
            "{text}"
        );
    }

    #[test]
    fn a_word_that_is_no_level_is_refused() {
        for filter in [
            "info",
            "INFO",
            "off",
            "warn,perijove_gateway=debug",
            "info,hyper[span]=off",
        ] {
            assert!(check_filter(filter).is_ok(), "{filter}");
        }
        for filter in ["", "verbose", "info,loud", "a=b=c"] {
            assert!(check_filter(filter).is_err(), "{filter}");
        }
        assert!(
            check_filter("verbose")
                .unwrap_err()
                .to_string()
                .starts_with("`verbose` is not")
        );
    }
}
