//! Whether subscriptions wait because no socket to any upstream is open. Pure.

use std::time::Duration;

use tokio::time::Instant;

/// Since when nobody serves subscriptions.
#[derive(Debug, Default)]
pub(super) struct SubscriptionOutage {
    since: Option<Instant>,
}

/// A change worth logging.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum OutageChange {
    Begun,
    Over(Duration),
}

impl SubscriptionOutage {
    /// `waits`: a subscription has waited for long while no socket is open.
    pub(super) fn look(
        &mut self,
        waits: bool,
        is_open: bool,
        now: Instant,
    ) -> Option<OutageChange> {
        match self.since {
            None if waits && !is_open => {
                self.since = Some(now);
                Some(OutageChange::Begun)
            }
            // Clients that give up do not end it.
            Some(since) if is_open => {
                self.since = None;
                Some(OutageChange::Over(now.saturating_duration_since(since)))
            }
            _ => None,
        }
    }

    pub(super) fn lasts(&self) -> bool {
        self.since.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_and_ends_once_however_many_clients_come_and_go() {
        let (mut outage, now) = (SubscriptionOutage::default(), Instant::now());
        let second = Duration::from_secs(1);
        let mut told = Vec::new();
        for (at, waits, is_open) in [
            (0, false, false),
            (1, true, false),
            (2, false, false),
            (3, true, false),
            (4, false, true),
            (5, false, true),
            (6, false, false),
        ] {
            told.extend(outage.look(waits, is_open, now + second * at));
        }
        assert_eq!(told, [OutageChange::Begun, OutageChange::Over(second * 3)]);
    }
}
