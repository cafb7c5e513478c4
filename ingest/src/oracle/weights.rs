//! How much the pools of a token weigh against each other.

use crate::oracle::Oracle;
use crate::oracle::clock::Now;
use crate::oracle::flow::Funds;
use crate::oracle::pool::{PoolKey, PoolState};

/// Others have taken over once they turn over this share of what a silent pool used to.
const TAKEN: f64 = 0.3;

/// What a pool weighs.
pub(super) struct Weighed<'p> {
    pub(super) key: PoolKey,
    pub(super) pool: &'p PoolState,
    pub(super) funds: Funds,
    /// How far it is believed, from 0 to 1.
    pub(super) trust: f64,
    /// 1 while it trades as usual.
    wakeful: f64,
}

impl Weighed<'_> {
    /// How much it weighs, in dollars of turnover that count.
    pub(super) fn weight(&self) -> f64 {
        self.funds.capital * self.trust * self.wakeful
    }

    /// The funds that speak for it.
    pub(super) fn evidence(&self) -> f64 {
        self.funds.evidence * self.wakeful
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
        let pools = keys.filter_map(|key| {
            let pool = self.pools.get(key)?;
            Some(Weighed {
                key: *key,
                pool,
                funds: pool.funds(now),
                trust: pool.trust(now.active),
                wakeful: 1.0,
            })
        });
        let mut pools: Vec<_> = pools.collect();
        let all: f64 = pools.iter().map(|weighed| weighed.funds.recent).sum();
        for weighed in &mut pools {
            let Funds { recent, usual, .. } = weighed.funds;
            let taken = (all - recent).max(0.0) / (TAKEN * usual).max(f64::MIN_POSITIVE);
            if taken > 0.0 {
                weighed.wakeful = weighed.pool.wakeful(taken.min(1.0), now.active);
            }
        }
        pools
    }
}
