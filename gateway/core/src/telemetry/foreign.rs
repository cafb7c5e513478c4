//! Records of libraries that use the `log` crate: their levels may be adjusted before they join the
//! log.

use log::{LevelFilter, Log, Metadata, Record};
use tracing_log::LogTracer;
use tracing_subscriber::filter::LevelFilter as Most;

/// Returns the level of a record.
pub type LevelJudge = dyn Fn(&Record<'_>) -> log::Level + Send + Sync;

/// Hands records on to `tracing`.
pub(super) struct Bridge {
    tracer: LogTracer,
    judge: Box<LevelJudge>,
}

impl Bridge {
    pub(super) fn new(judge: Box<LevelJudge>) -> Self {
        Self {
            tracer: LogTracer::new(),
            judge,
        }
    }
}

impl Log for Bridge {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.tracer.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        let judged = Record::builder()
            .args(*record.args())
            .level((self.judge)(record))
            .target(record.target())
            .module_path(record.module_path())
            .file(record.file())
            .line(record.line())
            .build();
        self.tracer.log(&judged);
    }

    fn flush(&self) {}
}

/// Lets the `log` crate make only the records that the filter in force may let through.
pub(super) fn follow_filter() {
    log::set_max_level(match Most::current().into_level() {
        None => LevelFilter::Off,
        Some(tracing::Level::ERROR) => LevelFilter::Error,
        Some(tracing::Level::WARN) => LevelFilter::Warn,
        Some(tracing::Level::INFO) => LevelFilter::Info,
        Some(tracing::Level::DEBUG) => LevelFilter::Debug,
        Some(_) => LevelFilter::Trace,
    });
}
