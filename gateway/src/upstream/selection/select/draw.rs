//! Which upstream is next: two random ones of the best rank, and of those the cheaper.

use tokio::time::Instant;

use super::Candidates;
use crate::upstream::Upstream;
use crate::upstream::selection::obstacle::Obstacle;
use crate::upstream::selection::random_pair::{Charges, RandomPair, UpstreamRank};
use crate::upstream::state::history::HistoryDistance;

/// Costs that differ by more than this factor decide between two upstreams,
const MUCH_DEARER: f32 = 1.25;
/// if they also differ by this many microseconds: less is the machine's noise, and would keep calls
/// from one of two equal ones.
const NOISE: f32 = 500.0;

/// An upstream that fails this share of its recent calls should not be burdened with those of
/// others as well.
const STRUGGLING: f32 = 0.5;

impl Candidates<'_> {
    /// Two of the best. `further`: it is for more than the first attempt at a call.
    pub(super) fn draw(&self, now: Instant, further: bool, charges: Charges) -> Option<RandomPair> {
        let mut best: Option<RandomPair> = None;
        let mut paused = false;
        for (index, upstream) in self.upstreams.iter().enumerate() {
            let costs = charges == Charges::Avoided && upstream.settings().metered;
            if costs || self.tried.contains(index) {
                continue;
            }
            let obstacle = self.requirements.obstacle(upstream, self.given == 0, now);
            if obstacle >= Obstacle::Paused {
                paused |= obstacle == Obstacle::Paused;
                continue;
            }
            let rank = UpstreamRank {
                obstacle,
                distance: self
                    .requirements
                    .history
                    .map_or(HistoryDistance::default(), |elsewhere| {
                        elsewhere.distance(upstream, now)
                    }),
                charges: self.requirements.strange && upstream.settings().metered,
                busy: upstream.state().all_busy(),
                struggling: further && is_struggling(upstream, now),
                tier: upstream.tier(),
            };
            match &mut best {
                Some(draw) if rank > draw.rank => {}
                Some(draw) if rank == draw.rank => draw.add(index),
                _ => {
                    best = Some(RandomPair {
                        rank,
                        first: index,
                        second: None,
                        seen: 1,
                        paused: false,
                    });
                }
            }
        }
        best.map(|draw| RandomPair { paused, ..draw })
    }

    /// The cheaper of the two, unless the other is due for a trial call. Small differences count as
    /// equal, and calls are shared out by weight.
    pub(super) fn pick(&self, draw: &RandomPair, now: Instant) -> usize {
        let Some(second) = draw.second else {
            return draw.first;
        };
        let (first_cost, first_weight) = self.cost(draw.first, now);
        let (second_cost, second_weight) = self.cost(second, now);
        let (less, more) = (first_cost.min(second_cost), first_cost.max(second_cost));
        if more <= less * MUCH_DEARER || more - less < NOISE {
            let take_first = fastrand::u64(..first_weight + second_weight) < first_weight;
            return if take_first { draw.first } else { second };
        }
        let (cheaper, dearer) = if first_cost < second_cost {
            (draw.first, second)
        } else {
            (second, draw.first)
        };
        // A further attempt should not be a trial, and scans say nothing of other calls.
        let trial = !self.further
            && !self.requirements.class.heavy
            && self.upstreams.get(dearer).is_some_and(|dearer| {
                let score = &dearer.state().score;
                score.begin_trial(now)
            });
        if trial { dearer } else { cheaper }
    }

    fn cost(&self, index: usize, now: Instant) -> (f32, u64) {
        let Some(upstream) = self.upstreams.get(index) else {
            return (f32::MAX, 1);
        };
        let live = upstream.state();
        let selection = &upstream.member.policy.selection;
        let weight = upstream.settings().weight.max(1);
        let heavy = self.requirements.class.heavy;
        let cost = live.score.cost(heavy, live.lag(), weight, now, selection);
        (cost, u64::from(weight))
    }
}

/// Whether it fails most of its calls.
fn is_struggling(upstream: &Upstream, now: Instant) -> bool {
    let selection = &upstream.member.policy.selection;
    upstream.state().score.failure_share(now, selection) >= STRUGGLING
}
