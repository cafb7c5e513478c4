//! How much the pools of a token weigh against each other.

use crate::oracle::Oracle;
use crate::oracle::clock::Now;
use crate::oracle::pool::{PoolKey, PoolState};

/// Others have taken over once they turn over this share of what a silent pool used to.
const TAKEN: f64 = 0.3;

/// What a pool weighs.
pub(super) struct Weighed<'p> {
    pub(super) key: PoolKey,
    pub(super) pool: &'p PoolState,
    /// 1 while it trades as usual.
    pub(super) wakeful: f64,
}

impl Weighed<'_> {
    /// How much it weighs, in dollars of turnover that count.
    pub(super) fn weight(&self, now: Now) -> f64 {
        self.pool.weight(now) * self.wakeful
    }

    /// The funds that speak for it.
    pub(super) fn evidence(&self, now: Now) -> f64 {
        self.pool.evidence(now) * self.wakeful
    }
}

impl Oracle {
    /// Weighs pools of the same token. A pool that falls silent loses its weight as far as the
    /// others turn over what it used to: then its liquidity has moved to them. If nobody trades,
    /// it has only become quiet.
    pub(super) fn weigh<'p>(
        &'p self,
        keys: impl Iterator<Item = &'p PoolKey>,
        now: Now,
    ) -> Vec<Weighed<'p>> {
        let pools = keys.filter_map(|key| Some((*key, self.pools.get(key)?)));
        let pools: Vec<_> = pools
            .map(|(key, pool)| (key, pool, pool.lately_and_usually(now)))
            .collect();
        let all: f64 = pools.iter().map(|(_, _, (lately, _))| lately).sum();
        let weighed = pools.into_iter().map(|(key, pool, (lately, usually))| {
            let taken = (all - lately).max(0.0) / (TAKEN * usually).max(f64::MIN_POSITIVE);
            Weighed {
                key,
                pool,
                wakeful: pool.wakeful(taken.min(1.0), now.active),
            }
        });
        weighed.collect()
    }
}
