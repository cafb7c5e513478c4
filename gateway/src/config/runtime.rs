//! The process itself: threads, the hand-over to a new binary, and how it ends.

use std::path::PathBuf;
use std::time::Duration;

/// Threads and the socket of the zero-downtime upgrade.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runtime {
    /// Worker threads; None takes one for each core.
    pub threads: Option<usize>,
    /// Unix socket over which a running process hands its listeners to `run --upgrade`. Its
    /// directory should be closed to other users.
    pub upgrade_socket: PathBuf,
}

impl Default for Runtime {
    fn default() -> Self {
        Self {
            threads: None,
            upgrade_socket: PathBuf::from("/tmp/perijove-upgrade.sock"),
        }
    }
}

/// What happens between SIGTERM and the end of the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shutdown {
    /// How long to serve on as before while `/ready` already says 503, so that load balancers
    /// look elsewhere first.
    pub delay: Duration,
    /// How long requests in flight may take after that, at most.
    pub grace: Duration,
    /// How long idle keep-alive connections may still bring a request.
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
