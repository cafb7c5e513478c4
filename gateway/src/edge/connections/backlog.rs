//! Sockets that are not registered: accepted but not examined yet, or given up but not closed yet.
//! Accepting waits while there are many, otherwise a crowd would take all file descriptors before
//! its first connection can be refused.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

/// Maximum number of them. The descriptors reserved for the process include them.
const FEW: usize = 16;
/// Longer than any of them exists. One that got lost is forgotten then.
const LOST: Duration = Duration::from_secs(1);

/// Their number.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    accepted: AtomicUsize,
    arrived: AtomicUsize,
    leaving: AtomicUsize,
    less: Notify,
}

impl Backlog {
    /// An accepted one is examined.
    pub(super) fn arrived(&self) {
        self.arrived.fetch_add(1, Ordering::AcqRel);
        self.less.notify_one();
    }

    /// One was given up.
    pub(super) fn leaves(&self) {
        self.leaving.fetch_add(1, Ordering::AcqRel);
    }

    /// It is closed.
    pub(super) fn left(&self) {
        self.leaving.fetch_sub(1, Ordering::AcqRel);
        self.less.notify_one();
    }

    fn len(&self) -> usize {
        let arrived = self.arrived.load(Ordering::Acquire);
        let waiting = self
            .accepted
            .load(Ordering::Acquire)
            .saturating_sub(arrived);
        waiting + self.leaving.load(Ordering::Acquire)
    }

    /// Counts a connection that was just accepted, and waits until there are few.
    pub(super) async fn keep_up(&self) {
        self.accepted.fetch_add(1, Ordering::AcqRel);
        while self.len() > FEW {
            if timeout(LOST, self.less.notified()).await.is_err() {
                let arrived = self.arrived.load(Ordering::Acquire);
                self.accepted.store(arrived + 1, Ordering::Release);
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn accepting_waits_for_those_before() {
        let backlog = Backlog::default();
        for _ in 0..FEW {
            assert!(backlog.keep_up().now_or_never().is_some());
        }
        backlog.arrived();
        backlog.leaves();
        let mut next = Box::pin(backlog.keep_up());
        assert!(next.as_mut().now_or_never().is_none());
        backlog.left();
        next.await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_got_lost_is_forgotten() {
        let backlog = Backlog::default();
        for _ in 0..=FEW {
            backlog.keep_up().await;
        }
        assert!(backlog.keep_up().now_or_never().is_some());
    }
}
