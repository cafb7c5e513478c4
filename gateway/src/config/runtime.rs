//! The process itself: threads, the upgrade of the binary, and shutdown.

use std::path::PathBuf;
use std::time::Duration;

use perijove_core::settings::Section;
use schemars::JsonSchema;

/// Threads and the socket of the zero-downtime upgrade.
#[derive(Clone, Debug, Default, JsonSchema, PartialEq, Eq)]
pub struct Runtime {
    /// Worker threads; without it one for each core.
    pub threads: Option<usize>,
    /// Unix socket over which a running process hands its listeners to `run --upgrade`. Only this
    /// user and root may be able to write to its directory. By default `upgrade.sock` in
    /// `$XDG_RUNTIME_DIR/perijove`, `/run/perijove` or a directory of the user's own in `/tmp`.
    pub upgrade_socket: Option<PathBuf>,
}

impl Runtime {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let socket: Option<PathBuf> = section.optional("upgrade_socket");
        Self {
            threads: section.optional_within("threads", 1..=1024),
            upgrade_socket: socket.map(|socket| section.resolve(&socket)),
        }
    }
}

/// What happens between SIGTERM and the end of the process.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq)]
pub struct Shutdown {
    /// How long to keep serving while `/ready` already answers 503, so that load balancers send
    /// traffic elsewhere first.
    pub delay: Duration,
    /// Maximum time for requests in flight after that.
    pub grace: Duration,
    /// How long idle keep-alive connections may still send a request.
    pub linger: Duration,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            grace: Duration::from_secs(25),
            linger: Duration::from_secs(2),
        }
    }
}

impl Shutdown {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        let minutes = |minutes: u64| Duration::ZERO..=Duration::from_secs(60 * minutes);
        let shutdown = Self {
            delay: section.within("delay", default.delay, minutes(10)),
            grace: section.within("grace", default.grace, minutes(60)),
            linger: section.within("linger", default.linger, minutes(10)),
        };
        if shutdown.linger > shutdown.grace && section.has("linger") {
            section.violation("linger", "must not be above grace");
        }
        Self {
            linger: shutdown.linger.min(shutdown.grace),
            ..shutdown
        }
    }
}
