//! Spreads what is recovered over time: a client gets it as fast as it reads, and is not
//! disconnected for it.

use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::{Instant, sleep};

use crate::pubsub::topic::Topic;

/// Bytes that are delivered between two looks at the outboxes. Far less than the smallest of them
/// holds.
const LOOK_AFTER: usize = 16 * 1024;
/// Items that are handled without a pause for other tasks.
const AT_ONCE: usize = 64;
/// Between two looks at a full outbox.
const PAUSE: Duration = Duration::from_millis(10);

/// The pace of one repair.
#[derive(Debug)]
pub(super) struct Pace {
    /// The client that it is for; `None`: all of the topic's.
    client: Option<u64>,
    /// When clients that do not read are not waited for any more.
    end: Instant,
    items: usize,
    /// Bytes delivered since the last look.
    told: usize,
}

impl Pace {
    pub(super) fn until(end: Instant, client: Option<u64>) -> Self {
        Self {
            client,
            end,
            items: 0,
            told: 0,
        }
    }

    /// Waits until there is room for an item of this many bytes.
    pub(super) async fn room(&mut self, topic: &Topic, bytes: usize) {
        self.items += 1;
        if self.items.is_multiple_of(AT_ONCE) {
            yield_now().await;
        }
        if self.told + bytes < LOOK_AFTER {
            return;
        }
        self.told = 0;
        while topic.is_crowded(self.client, bytes) && Instant::now() < self.end {
            sleep(PAUSE).await;
        }
    }

    /// An item of this many bytes was delivered.
    pub(super) fn told(&mut self, bytes: usize) {
        self.told += bytes;
    }
}
