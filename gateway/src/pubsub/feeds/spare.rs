//! Topics that the gateway's own cache alone has subscribed to: no upstream is paid for them, and they
//! give way to those of clients.

use std::sync::Arc;

use super::sockets::{Feeds, KnownSocket};

impl Feeds {
    /// Notes which topics these are, and ends those on upstreams that charge: their clients have left.
    pub(super) fn note_spare(&mut self) {
        let topics = self.topics.iter();
        let spare = topics.filter(|(_, placed)| placed.topic.is_spare());
        self.spare = spare.map(|(id, _)| *id).collect();
        if self.spare.is_empty() {
            return;
        }
        let lines = self.lines.values();
        let metered = lines.filter(|known| known.upstream.settings().metered);
        let topics = metered.flat_map(|known| known.topics.iter().copied());
        let paid_for: Vec<_> = topics.filter(|id| self.spare.contains(id)).collect();
        for id in paid_for {
            self.give_way(id);
        }
    }

    /// Whether something on a socket would give way.
    pub(super) fn has_spare(&self, known: &KnownSocket) -> bool {
        self.spare_on(known).is_some()
    }

    fn spare_on(&self, known: &KnownSocket) -> Option<u64> {
        if self.spare.is_empty() {
            return None;
        }
        let mut topics = known.topics.iter().copied();
        topics.find(|id| {
            let placed = self.topics.get(id);
            self.spare.contains(id) && placed.is_some_and(|placed| placed.topic.is_spare())
        })
    }

    /// If a socket is full, something on it gives way.
    pub(super) fn make_room(&mut self, line: u64) {
        let most = self.limits().subscriptions;
        let Some(known) = self.lines.get(&line) else {
            return;
        };
        if known.topics.len() + 1 < most {
            return;
        }
        if let Some(id) = self.spare_on(known) {
            self.give_way(id);
        }
    }

    /// Ends a topic. The cache subscribes again if the account is still read often.
    fn give_way(&mut self, id: u64) {
        let Some(placed) = self.topics.get(&id) else {
            return;
        };
        let topic = Arc::clone(&placed.topic);
        if let Some(left) = topic.gives_way() {
            self.hub.metrics.unsubscribed(topic.kind(), left);
            self.remove(&topic);
            self.hub.end(&topic);
        }
    }
}
