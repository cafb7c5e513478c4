//! Limits how many reads of what was missed run at the same time. Scans of programs have turns of
//! their own: they take long, and accounts must not wait for them.

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::pubsub::subscription_kind::SubscriptionKind;

/// Concurrent reads of accounts.
const ACCOUNTS: usize = 16;
/// Concurrent scans of programs.
const PROGRAMS: usize = 8;

/// The turns of all repairs.
#[derive(Debug)]
pub(in crate::pubsub) struct RepairTurns {
    accounts: Semaphore,
    programs: Semaphore,
}

impl Default for RepairTurns {
    fn default() -> Self {
        Self {
            accounts: Semaphore::new(ACCOUNTS),
            programs: Semaphore::new(PROGRAMS),
        }
    }
}

impl RepairTurns {
    /// Waits for a turn: it lasts for one read, and not for the pause before the next.
    pub(super) async fn next(&self, kind: SubscriptionKind) -> Option<SemaphorePermit<'_>> {
        let turns = match kind {
            SubscriptionKind::Program => &self.programs,
            _ => &self.accounts,
        };
        // They are never closed.
        turns.acquire().await.ok()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn accounts_do_not_wait_for_scans_of_programs() {
        let turns = RepairTurns::default();
        let next = |kind| turns.next(kind).now_or_never().flatten();
        let mut scans: Vec<_> = (0..PROGRAMS)
            .map(|_| next(SubscriptionKind::Program).unwrap())
            .collect();
        assert!(next(SubscriptionKind::Program).is_none());
        assert!(next(SubscriptionKind::Account).is_some());
        scans.pop();
        assert!(next(SubscriptionKind::Program).is_some());
    }
}
