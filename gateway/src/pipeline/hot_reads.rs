//! How often accounts are read, so that `pubsub` may subscribe to those that are read often.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::call_plan::CallPlan;
use crate::cache::CacheKey;
use crate::jsonrpc::Call;
use crate::solana::Class;

/// Maximum number of counted accounts; others may be counted in the next window.
const MOST: usize = 8192;

/// Reads since the last call of `take`.
#[derive(Debug, Default)]
pub struct HotReads(Mutex<HashMap<CacheKey, HotRead>>);

/// An account in one spelling, at one commitment.
#[derive(Clone, Debug)]
pub struct HotRead {
    pub reads: u32,
    key: CacheKey,
    call: Call,
    call_plan: Arc<CallPlan>,
}

impl HotRead {
    /// The key under which it is found in memory; no other account or encoding has it.
    pub fn key(&self) -> CacheKey {
        self.key
    }

    /// The parameters it is read with.
    pub fn params(&self) -> Option<&[u8]> {
        self.call.params()
    }

    /// What is read.
    pub(super) fn class(&self) -> &Class {
        &self.call_plan.class
    }
}

impl HotReads {
    /// Takes all of them, and resets the counts.
    pub fn take(&self) -> Vec<HotRead> {
        let reads = std::mem::take(&mut *self.0.lock());
        reads.into_values().collect()
    }
    /// Counts one.
    pub(super) fn count(&self, key: CacheKey, call: &Call, call_plan: &Arc<CallPlan>) {
        let mut reads = self.0.lock();
        if let Some(hot) = reads.get_mut(&key) {
            hot.reads = hot.reads.saturating_add(1);
        } else if reads.len() < MOST {
            let hot = HotRead {
                reads: 1,
                key,
                call: call.clone(),
                call_plan: Arc::clone(call_plan),
            };
            reads.insert(key, hot);
        }
    }
}
