//! A caller's share of the gateway's sockets and subscriptions, as limited by its plan: of a
//! consumer, or of an address without a key.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::context::ClientKey;

/// Callers that have sockets.
#[derive(Debug, Default)]
pub(super) struct CallerShares(Mutex<HashMap<ClientKey, Arc<CallerShare>>>);

/// The share of one caller.
#[derive(Debug, Default)]
pub struct CallerShare {
    sockets: AtomicUsize,
    subscriptions: AtomicUsize,
    /// Bytes of answers that are being collected for it.
    pub(super) collected: AtomicUsize,
}

/// Counts one item while this is alive.
#[derive(Debug)]
pub(super) struct ShareGuard(Arc<CallerShare>);

impl Drop for ShareGuard {
    fn drop(&mut self) {
        self.0.subscriptions.fetch_sub(1, Ordering::AcqRel);
    }
}

impl CallerShare {
    /// Counts another subscription, if the limit allows it.
    pub(super) fn subscribe(self: &Arc<Self>, most: Option<usize>) -> Option<ShareGuard> {
        let before = self.subscriptions.fetch_add(1, Ordering::AcqRel);
        let counted = ShareGuard(Arc::clone(self));
        most.is_none_or(|most| before < most).then_some(counted)
    }
}

impl CallerShares {
    /// Counts another socket of a caller; `None` if the limit is reached.
    pub(super) fn open(&self, key: ClientKey, most: Option<usize>) -> Option<Arc<CallerShare>> {
        let mut shares = self.0.lock();
        let known = shares.get(&key);
        let open = known.map_or(0, |share| share.sockets.load(Ordering::Acquire));
        if most.is_some_and(|most| open >= most) {
            return None;
        }
        let share = shares.entry(key).or_default();
        share.sockets.store(open + 1, Ordering::Release);
        Some(Arc::clone(share))
    }

    /// One of its sockets was closed.
    pub(super) fn close(&self, key: ClientKey) {
        let mut shares = self.0.lock();
        if let Some(share) = shares.get(&key)
            && share.sockets.fetch_sub(1, Ordering::AcqRel) <= 1
        {
            shares.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_has_only_so_many_sockets_and_those_of_others_do_not_count() {
        let shares = CallerShares::default();
        assert!(shares.open(1, Some(2)).is_some());
        assert!(shares.open(1, Some(2)).is_some());
        assert!(shares.open(1, Some(2)).is_none());
        assert!(shares.open(2, Some(2)).is_some());
        shares.close(1);
        assert!(shares.open(1, Some(2)).is_some());
        for (key, sockets) in [(1, 2), (2, 1)] {
            (0..sockets).for_each(|_| shares.close(key));
        }
        assert!(shares.open(3, Some(0)).is_none());
        assert!(shares.0.lock().is_empty(), "nobody is remembered");
    }

    #[test]
    fn subscriptions_of_all_its_sockets_count_together() {
        let shares = CallerShares::default();
        let (one, two) = (shares.open(1, None), shares.open(1, None));
        let first = one.unwrap().subscribe(Some(1));
        let two = two.unwrap();
        assert!(first.is_some() && two.subscribe(Some(1)).is_none());
        drop(first);
        assert!(two.subscribe(Some(1)).is_some());
    }
}
