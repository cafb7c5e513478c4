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
    /// When clients that do not read are not waited for any more.
    end: Instant,
    items: usize,
    /// Bytes delivered since the last look.
    told: usize,
}

impl Pace {
    pub(super) fn until(end: Instant) -> Self {
        Self {
            end,
            items: 0,
            // Something may wait already.
            told: LOOK_AFTER,
        }
    }

    /// Waits until one client has room for an item of this many bytes.
    pub(super) async fn room(&mut self, topic: &Topic, client: u64, bytes: usize) {
        if self.looks(bytes).await {
            while topic.is_crowded(client, bytes) && Instant::now() < self.end {
                sleep(PAUSE).await;
            }
        }
    }

    /// Waits until all clients have, but for those set aside for this read; returns those that still
    /// have none when the time is over.
    pub(super) async fn room_for_all(
        &mut self,
        topic: &Topic,
        read: u64,
        bytes: usize,
    ) -> Vec<u64> {
        if !self.looks(bytes).await {
            return Vec::new();
        }
        loop {
            let crowded = topic.crowded(read, bytes);
            if crowded.is_empty() || Instant::now() >= self.end {
                return crowded;
            }
            sleep(PAUSE).await;
        }
    }

    /// Whether it is time to look at the outboxes.
    async fn looks(&mut self, bytes: usize) -> bool {
        self.items += 1;
        if self.items.is_multiple_of(AT_ONCE) {
            yield_now().await;
        }
        let looks = self.told + bytes >= LOOK_AFTER;
        if looks {
            self.told = 0;
        }
        looks
    }

    /// An item of this many bytes was delivered.
    pub(super) fn told(&mut self, bytes: usize) {
        self.told += bytes;
    }
}
