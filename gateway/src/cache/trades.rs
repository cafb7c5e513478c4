//! The last trades of each pool, as published by ingest, and whether they arrive at all.
//!
//! Trades arrive while there is a subscription, messages keep coming, and the newest is not far
//! behind the cluster. A quote may rely on that only if everything since its slot was received: it
//! must not be older than the subscription.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use perijove_core::{Pubkey, Slot};
use prometheus::{IntCounter, IntGauge, Registry};
use tokio::time::Instant;

use super::hearing::{FeedState, Hearing, latest};

/// Maximum number of pools; beyond it, those that have not traded lately are forgotten.
const MOST: usize = 200_000;

/// Trades older than this many slots no longer expire quotes.
const OLD: u64 = 512;

/// Minimum time between two log lines about arrival. A feed may be on the edge for long.
const TELL: Duration = Duration::from_secs(10);

/// Slots of trades remembered per pool.
const RECENT: usize = 4;

/// The slots of a pool's last trades, the latest first; 0 for missing ones.
#[derive(Clone, Copy, Debug, Default)]
struct RecentTradeSlots([Slot; RECENT]);

impl RecentTradeSlots {
    fn add(&mut self, slot: Slot) {
        if self.0.contains(&slot) {
            return;
        }
        let [.., least] = &mut self.0;
        *least = slot.max(*least);
        self.0.sort_unstable_by(|one, other| other.cmp(one));
    }

    fn last(&self) -> Slot {
        let [last, ..] = self.0;
        last
    }

    /// The last one up to this slot.
    fn last_until(&self, until: Slot) -> Option<Slot> {
        self.0.into_iter().find(|slot| *slot <= until)
    }
}

/// What is known about trades.
#[derive(Debug)]
pub struct PoolTrades {
    pools: RwLock<HashMap<Pubkey, RecentTradeSlots>>,
    feed: Mutex<FeedState>,
    metrics: TradeMetrics,
}

/// What is counted.
#[derive(Clone, Debug)]
pub struct TradeMetrics {
    live: IntGauge,
    lost: IntCounter,
    told: IntCounter,
}

impl TradeMetrics {
    /// # Errors
    /// When one of the names is taken in `registry`.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let live = IntGauge::new(
            "perijove_jupiter_feed_live",
            "1 while the trades that ingest publishes arrive, so that quotes over quiet pools are \
             kept longer",
        )?;
        let lost = IntCounter::new(
            "perijove_jupiter_feed_lost_total",
            "Times that trades stopped arriving",
        )?;
        let told = IntCounter::new(
            "perijove_jupiter_feed_trades_total",
            "Pools named in the trades that ingest publishes",
        )?;
        registry.register(Box::new(live.clone()))?;
        registry.register(Box::new(lost.clone()))?;
        registry.register(Box::new(told.clone()))?;
        Ok(Self { live, lost, told })
    }
}

impl PoolTrades {
    pub fn new(metrics: TradeMetrics) -> Self {
        Self {
            pools: RwLock::default(),
            feed: Mutex::default(),
            metrics,
        }
    }

    /// A subscription is active from now on; returns its number.
    pub fn subscribed(&self) -> u64 {
        let mut feed = self.feed.lock();
        *feed = feed.anew();
        tracing::info!("subscribed to pool trades");
        feed.number
    }

    /// A subscription has ended. No effect if it is not the current one.
    pub fn lost(&self, number: u64) {
        let mut feed = self.feed.lock();
        if feed.number != number {
            return;
        }
        feed.subscribed = false;
        self.settle(&mut feed, false, Instant::now());
    }

    /// Records trades in pools. Those of slots that cannot have been reached are not of this cluster.
    pub fn traded(&self, trades: impl Iterator<Item = (Pubkey, Slot)>, now: Instant) {
        let (mut newest, mut told) = (Slot(0), 0);
        let latest = self.feed.lock().latest(now);
        let mut pools = self.pools.write();
        for (pool, slot) in trades {
            told += 1;
            if latest.is_some_and(|latest| slot > latest) {
                continue;
            }
            pools.entry(pool).or_default().add(slot);
            newest = newest.max(slot);
        }
        if pools.len() > MOST {
            let from = newest.0.saturating_sub(OLD);
            pools.retain(|_, recent| recent.last().0 >= from);
        }
        drop(pools);
        self.feed.lock().came(newest, now);
        self.metrics.told.inc_by(told);
    }

    /// The last trade in any of these pools. The cluster is at `tip`.
    pub fn last(&self, pools: &[Pubkey], tip: Option<Slot>) -> Option<Slot> {
        let until = tip.map_or(Slot(u64::MAX), latest);
        let known = self.pools.read();
        pools
            .iter()
            .filter_map(|pool| known.get(pool)?.last_until(until))
            .max()
    }

    /// Whether any of these pools is known to have traded after one slot and before another.
    pub fn traded_between(&self, pools: &[Pubkey], after: Slot, before: Slot) -> bool {
        let known = self.pools.read();
        let mut recent = pools.iter().filter_map(|pool| known.get(pool));
        recent.any(|recent| recent.0.iter().any(|slot| after < *slot && *slot < before))
    }

    /// Whether everything that happened after `context` was received. The cluster is at `tip`.
    pub fn heard_since(
        &self,
        context: Slot,
        tip: Option<Slot>,
        hearing: Hearing,
        now: Instant,
    ) -> bool {
        let mut feed = self.feed.lock();
        let heard = feed.check(tip, hearing, now);
        self.settle(&mut feed, heard, now);
        if feed.subscribed && feed.since.is_none() {
            feed.since = tip;
        }
        heard && feed.since.is_some_and(|since| context >= since)
    }

    /// Whether trades are arriving.
    pub fn are_heard(&self, tip: Option<Slot>, hearing: Hearing, now: Instant) -> bool {
        let mut feed = self.feed.lock();
        let heard = feed.check(tip, hearing, now);
        self.settle(&mut feed, heard, now);
        if feed.subscribed && feed.since.is_none() {
            feed.since = tip;
        }
        heard
    }

    fn settle(&self, feed: &mut FeedState, heard: bool, now: Instant) {
        if feed.heard == heard {
            return;
        }
        feed.heard = heard;
        self.metrics.live.set(i64::from(heard));
        if !heard {
            self.metrics.lost.inc();
        }
        let lately = |told: Instant| now.saturating_duration_since(told) < TELL;
        if feed.told.is_some_and(lately) {
            return;
        }
        feed.told = Some(now);
        if heard {
            tracing::info!("pool trades arriving; quotes over idle pools are cached longer");
        } else {
            tracing::warn!("pool trades stopped arriving; quotes are cached for valid_slots only");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEARING: Hearing = Hearing {
        silence: Duration::from_secs(2),
        lag: 8,
    };
    const POOL: Pubkey = Pubkey([1; 32]);
    const OTHER: Pubkey = Pubkey([2; 32]);

    fn trades() -> PoolTrades {
        PoolTrades::new(TradeMetrics::register(&Registry::new()).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn trades_are_heard_while_messages_come_and_are_of_now() {
        let (trades, now) = (trades(), Instant::now());
        let tip = Some(Slot(100));
        let heard = |tip, now| trades.are_heard(tip, HEARING, now);
        trades.traded([(POOL, Slot(100))].into_iter(), now);
        assert!(!heard(tip, now), "nobody has subscribed");
        trades.subscribed();
        assert!(!heard(tip, now), "nothing has come yet");
        trades.traded([(POOL, Slot(100))].into_iter(), now);
        assert!(heard(tip, now));
        assert!(heard(Some(Slot(108)), now));
        assert!(!heard(Some(Slot(109)), now), "it is behind");
        assert!(!heard(None, now), "nobody knows what is now");
        assert!(!heard(tip, now + Duration::from_secs(3)), "it is silent");
        trades.lost(1);
        assert!(!heard(tip, now));
        assert_eq!(trades.metrics.live.get(), 0);
        assert!(trades.metrics.lost.get() > 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_happened_before_the_subscription_was_not_heard() {
        let (trades, now) = (trades(), Instant::now());
        trades.subscribed();
        trades.traded([(POOL, Slot(100))].into_iter(), now);
        let heard = |context| trades.heard_since(Slot(context), Some(Slot(100)), HEARING, now);
        assert!(heard(100));
        assert!(!heard(99));
        // After a gap, reception starts anew.
        trades.lost(1);
        trades.subscribed();
        trades.lost(1);
        trades.traded([(POOL, Slot(105))].into_iter(), now);
        let heard = |context| trades.heard_since(Slot(context), Some(Slot(106)), HEARING, now);
        assert!(heard(106));
        assert!(!heard(105));
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_trade_is_the_latest_whatever_the_order() {
        let (trades, now) = (trades(), Instant::now());
        trades.traded(
            [(POOL, Slot(9)), (POOL, Slot(7)), (OTHER, Slot(3))].into_iter(),
            now,
        );
        assert_eq!(trades.last(&[POOL], None), Some(Slot(9)));
        assert_eq!(trades.last(&[OTHER, POOL], None), Some(Slot(9)));
        assert_eq!(trades.last(&[Pubkey([3; 32])], None), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_trade_is_not_hidden_by_later_ones() {
        let (trades, now) = (trades(), Instant::now());
        for slot in [7, 10, 8, 9, 10, 3] {
            trades.traded([(POOL, Slot(slot))].into_iter(), now);
        }
        let between = |after, before| trades.traded_between(&[POOL], Slot(after), Slot(before));
        assert!(between(6, 9) && between(6, 8) && between(9, 11));
        assert!(!between(7, 8) && !between(10, 20) && !between(0, 7));
        assert!(!trades.traded_between(&[OTHER], Slot(0), Slot(20)));
    }

    #[tokio::test(start_paused = true)]
    async fn slots_ahead_of_the_cluster_speak_for_nothing() {
        for ahead in [5_000, 100_000, u64::MAX] {
            // Before the first check, and after it.
            for checked in [false, true] {
                let (trades, now) = (trades(), Instant::now());
                trades.subscribed();
                let heard = || trades.are_heard(Some(Slot(1_000)), HEARING, now);
                if checked {
                    assert!(!heard());
                }
                trades.traded([(POOL, Slot(ahead))].into_iter(), now);
                trades.traded([(POOL, Slot(940))].into_iter(), now);
                assert!(!heard(), "{ahead}");
                assert_eq!(trades.last(&[POOL], Some(Slot(1_000))), Some(Slot(940)));
                trades.traded([(POOL, Slot(999))].into_iter(), now);
                assert!(heard(), "{ahead}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_trade_slightly_ahead_is_soon_forgotten() {
        let (trades, start) = (trades(), Instant::now());
        trades.subscribed();
        trades.are_heard(Some(Slot(1_000)), HEARING, start);
        trades.traded([(POOL, Slot(1_030))].into_iter(), start);
        let mut heard = true;
        for half in 1..=10 {
            let now = start + Duration::from_millis(500 * half);
            let tip = 1_000 + half;
            trades.traded([(POOL, Slot(tip - 60))].into_iter(), now);
            heard = trades.are_heard(Some(Slot(tip)), HEARING, now);
        }
        assert!(!heard);
    }

    #[tokio::test(start_paused = true)]
    async fn pools_that_are_remembered_are_bounded() {
        let (trades, now) = (trades(), Instant::now());
        let pool = |number: u64| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&number.to_be_bytes());
            Pubkey(bytes)
        };
        let all = (0..=u64::try_from(MOST).unwrap()).map(|number| (pool(number), Slot(number)));
        trades.traded(all, now);
        assert!(trades.pools.read().len() <= 600);
    }
}
