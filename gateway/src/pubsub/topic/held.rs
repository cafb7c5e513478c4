//! Notifications that wait until the missed ones before them are recovered.

use bytes::Bytes;

/// Most that wait.
const MOST_HELD: usize = 4096;

/// A notification that waits.
#[derive(Clone, Debug)]
pub(super) struct HeldNotification {
    /// The number of moves that the subscription had made when it came.
    pub(super) moves: u64,
    pub(super) result: Bytes,
}

/// Those that wait, in the order in which they came; never empty.
#[derive(Debug)]
pub(super) struct HeldNotifications(Vec<HeldNotification>);

impl HeldNotifications {
    pub(super) fn new(first: HeldNotification) -> Self {
        Self(vec![first])
    }

    /// Adds one; returns whether there is room for it.
    pub(super) fn add(&mut self, notification: HeldNotification) -> bool {
        let has_room = self.0.len() < MOST_HELD;
        if has_room {
            self.0.push(notification);
        }
        has_room
    }

    /// Whether this one is the first.
    pub(super) fn begins_with(&self, result: &Bytes) -> bool {
        self.0.first().is_some_and(|first| first.result == *result)
    }

    /// Their results, if all came after so many moves.
    pub(super) fn after(&self, moves: u64) -> Option<Vec<Bytes>> {
        let results = self.0.iter();
        results
            .map(|held| (held.moves == moves).then(|| held.result.clone()))
            .collect()
    }

    /// Those from this place on; `None` if there are none.
    pub(super) fn rest(&self, place: usize) -> Option<Self> {
        let rest = self.0.get(place..).filter(|rest| !rest.is_empty());
        rest.map(|rest| Self(rest.to_vec()))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &HeldNotification> {
        self.0.iter()
    }
}
