//! What was read for clients that have joined later than others, or read more slowly, so that none is
//! told the same by the upstream as well.

use std::collections::HashMap;

use perijove_core::Slot;

use crate::pubsub::delivered::ValueMark;

/// Values of one client that are remembered for longer than notifications may still be on their way.
const MOST: usize = 256;
/// Slots after which none of those is on its way any more.
const LATE: u64 = 64;

/// Clients to whom current values are told, or were.
#[derive(Debug, Default)]
pub(super) struct Replays(HashMap<u64, ReplayedValues>);

#[derive(Debug, Default)]
struct ReplayedValues {
    /// What it was last notified of since it joined, by account.
    notified: HashMap<u64, (Slot, u64)>,
    /// What was read for it, and when, by account.
    read: HashMap<u64, (Slot, u64)>,
    newest: Slot,
    /// Reads from which it is still being told.
    open: usize,
}

impl Replays {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn begins(&mut self, client: u64) {
        self.0.entry(client).or_default().open += 1;
    }

    /// Everything of one read was told to it.
    pub(super) fn is_over(&mut self, client: u64) {
        let Some(values) = self.0.get_mut(&client) else {
            return;
        };
        values.open = values.open.saturating_sub(1);
        if values.open > 0 {
            return;
        }
        values.notified = HashMap::new();
        if values.read.is_empty() {
            self.0.remove(&client);
        }
    }

    pub(super) fn leaves(&mut self, client: u64) {
        self.0.remove(&client);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// A value was read for a client. Returns whether it is to be told.
    pub(super) fn is_read(&mut self, client: u64, slot: Slot, value: ValueMark) -> bool {
        let Some(values) = self.0.get_mut(&client) else {
            return true;
        };
        let ValueMark { account, content } = value;
        let told = [values.notified.get(&account), values.read.get(&account)];
        if told
            .into_iter()
            .flatten()
            .any(|(at, known)| *at >= slot || *known == content)
        {
            return false;
        }
        values.read.insert(account, (slot, content));
        values.newest = values.newest.max(slot);
        true
    }

    /// All clients are told a value, which was notified or, `is_read`, read after a move. Returns
    /// whether this one needs it.
    pub(super) fn needs(
        &mut self,
        client: u64,
        (slot, value): (Slot, ValueMark),
        is_read: bool,
    ) -> bool {
        let Some(values) = self.0.get_mut(&client) else {
            return true;
        };
        let ValueMark { account, content } = value;
        if let Some((at, known)) = values.read.get(&account) {
            if slot < *at || (known == &content && (is_read || slot == *at)) {
                return false;
            }
            values.read.remove(&account);
        }
        if values.open == 0 {
            let is_late = slot.0 > values.newest.0.saturating_add(LATE);
            if values.read.is_empty() || (is_late && values.read.len() > MOST) {
                self.0.remove(&client);
            }
        } else {
            values.notified.insert(account, (slot, content));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(account: u64, content: u64) -> ValueMark {
        ValueMark { account, content }
    }

    #[test]
    fn nobody_is_told_a_value_twice() {
        let mut replays = Replays::default();
        replays.begins(7);
        // Notified before it was read, and something else after it.
        assert!(replays.needs(7, (Slot(10), value(1, 5)), false));
        assert!(!replays.is_read(7, Slot(10), value(1, 5)));
        assert!(!replays.is_read(7, Slot(12), value(1, 5)), "still the same");
        assert!(replays.is_read(7, Slot(10), value(2, 6)));
        replays.is_over(7);
        for (slot, content, is_read, needed) in [
            // What led to the value, the value itself, and the value still, after a move.
            (9, 5, false, false),
            (10, 6, false, false),
            (12, 6, true, false),
            // Another one, and what was told of nobody.
            (13, 7, false, true),
            (13, 7, false, true),
        ] {
            let needs = replays.needs(7, (Slot(slot), value(2, content)), is_read);
            assert_eq!(needs, needed, "{slot} {content}");
        }
        assert!(replays.is_empty(), "nothing is left to be remembered");
        assert!(
            replays.needs(8, (Slot(1), value(2, 6)), false),
            "another client"
        );
    }

    #[test]
    fn a_value_that_was_notified_again_later_is_told() {
        let mut replays = Replays::default();
        replays.begins(7);
        assert!(replays.needs(7, (Slot(10), value(1, 5)), false));
        assert!(replays.is_read(7, Slot(11), value(1, 6)), "it is newer");
        assert!(
            replays.needs(7, (Slot(12), value(1, 6)), false),
            "written again"
        );
    }

    #[test]
    fn many_values_are_remembered_no_longer_than_notifications_are_late() {
        let mut replays = Replays::default();
        replays.begins(7);
        for account in 0..=MOST as u64 {
            assert!(replays.is_read(7, Slot(10), value(account, 0)));
        }
        replays.is_over(7);
        let other = |slot| (Slot(slot), value(u64::MAX, 0));
        assert!(replays.needs(7, other(10 + LATE), false) && !replays.is_empty());
        assert!(replays.needs(7, other(11 + LATE), false) && replays.is_empty());
    }
}
