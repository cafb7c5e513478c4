//! What is done for an upstream every second, whether it is called or not.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::Member;

/// How often idle connections are checked and gauges are set.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

impl Member {
    /// Closes connections that are not needed, and sets the gauges that calls do not update.
    pub(in crate::upstream) async fn keep_house(&self) {
        let mut tick = interval(HOUSEKEEPING);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let live = &self.live;
            live.prune_connections(Instant::now());
            let adaptive = self.settings.adaptive_concurrency;
            let limit = live.concurrency.switch(adaptive, Instant::now());
            live.saturation.limited_to(limit.unwrap_or(usize::MAX));
            live.metrics.concurrency_limit(limit);
            let gauge = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
            live.metrics.waiting(&live.connections.by_class());
            let now = Instant::now();
            let ends = live.budget_pace.look(&live.budget, now);
            live.metrics.budget(live.budget.left(now), ends);
            let (busy, idle) = live.open_connections();
            live.metrics.busy.set(gauge(busy));
            live.metrics.idle.set(gauge(idle));
            live.metrics
                .in_flight
                .set(i64::from(live.score.in_flight()));
            let hold_off = live.hold_off.lock();
            live.metrics.holds(&hold_off.holds(Instant::now()));
        }
    }
}
