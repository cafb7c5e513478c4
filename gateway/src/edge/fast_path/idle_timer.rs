//! How long a client is silent between two requests.

use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

/// Measures how long a client is silent. One timer for the whole connection, checked again when it
/// fires: most requests arrive long before.
pub(super) struct IdleTimer {
    pub(super) patience: Duration,
    pub(super) since: Instant,
    timer: Pin<Box<Sleep>>,
}

impl IdleTimer {
    pub(super) fn new(patience: Duration) -> Self {
        Self {
            patience,
            since: Instant::now(),
            timer: Box::pin(sleep(patience)),
        }
    }

    /// The next request has begun: from now on it may take no longer than this.
    pub(super) fn shorten(&mut self, patience: Duration) {
        self.since = Instant::now();
        self.patience = self.patience.min(patience);
        self.timer.as_mut().reset(self.since + self.patience);
    }

    /// Resolves when the client has been idle for longer than the limit.
    pub(super) async fn expired(&mut self) {
        loop {
            self.timer.as_mut().await;
            let end = self.since + self.patience;
            if end <= Instant::now() {
                return;
            }
            self.timer.as_mut().reset(end);
        }
    }
}
