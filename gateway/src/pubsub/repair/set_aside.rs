//! Clients that read too slowly to be told with the others what was recovered: each gets it at its own
//! pace, and nobody waits for another.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use perijove_core::Slot;
use tokio::time::Instant;

use super::pace::Pace;
use crate::pubsub::collected::CollectedAnswer;
use crate::pubsub::topic::Topic;

/// The slow clients of one read.
#[derive(Debug)]
pub(super) struct SetAside {
    read: u64,
    /// With what they have yet to be told, from which place on.
    clients: Vec<(u64, usize)>,
    told: Vec<Bytes>,
}

impl SetAside {
    /// Of the read with this number.
    pub(super) fn of(read: u64) -> Self {
        Self {
            read,
            clients: Vec::new(),
            told: Vec::new(),
        }
    }

    /// From now on these are not told with the others.
    pub(super) fn add(&mut self, topic: &Topic, clients: Vec<u64>) {
        for client in clients {
            topic.sets_aside(client, self.read);
            self.clients.push((client, self.told.len()));
        }
    }

    /// The others were told this.
    pub(super) fn told(&mut self, value: &Bytes) {
        if !self.clients.is_empty() {
            self.told.push(value.clone());
        }
    }

    /// Tells each the rest, while `held` counts its bytes; one that does not accept it in time is
    /// disconnected when its outbox is full.
    pub(super) fn catch_up(
        self,
        topic: &Arc<Topic>,
        (slot, held): (Slot, &Arc<CollectedAnswer>),
        patience: Duration,
    ) {
        let (read, told) = (self.read, Arc::new(self.told));
        for (client, from) in self.clients {
            let (topic, held) = (Arc::clone(topic), Arc::clone(held));
            let told = Arc::clone(&told);
            tokio::spawn(async move {
                let mut pace = Pace::until(Instant::now() + patience);
                for value in told.iter().skip(from) {
                    pace.room(&topic, client, value.len()).await;
                    if !topic.tell_aside(client, slot, value) {
                        break;
                    }
                    pace.told(value.len());
                }
                topic.is_aside_no_more(client, read);
                drop(held);
            });
        }
    }
}
