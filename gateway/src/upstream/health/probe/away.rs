//! Probes a metered upstream, or one with a small budget, more often while it is out of service. Its
//! usual probes are half a minute apart, and calls, which otherwise show its state, do not reach it. The same when it
//! begins to refuse a method (does it refuse everything?) or to answer from far behind where it
//! was.

use std::time::Duration;

use perijove_core::{BreakerState, Commitment};
use tokio::time::{Instant, sleep};

use super::Probe;
use super::lane::ProbeLane;
use super::plan::ProbeQuestion;
use super::round::{ProbeRound, RoundVerdict};
use crate::upstream::health::tracker::{Health, Tracker};
use crate::upstream::state::member::Member;

/// The first pause, and the longest: each probe costs credits, so at most 1200 an hour, and none
/// while it serves and nothing calls for one.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(3);
/// The longest for one that refuses the gateway's key.
const REFUSED: Duration = Duration::from_secs(15);
/// An upstream of another cluster, or whose slots are in doubt, is looked at this often only for so
/// long: it may have come to the wrong backend for a moment. Later its URL is probably wrong, and its
/// usual probes will do.
const ASTRAY: Duration = Duration::from_mins(1);

impl Probe {
    /// Runs until it is aborted.
    pub(in crate::upstream) async fn look_while_away(&self) {
        let mut pause = FIRST.min(self.interval());
        loop {
            if !self.is_sparing() {
                // That may change with the budgets of others.
                sleep(LONGEST).await;
                continue;
            }
            let called = self.member.live.look_soon.notified();
            let called = tokio::select! {
                () = sleep(pause) => false,
                () = called => true,
            };
            if called || self.is_away() {
                self.look_once().await;
                pause = (pause * 2).min(self.longest());
                if called {
                    // However often it is requested.
                    sleep(pause).await;
                }
            } else {
                pause = FIRST.min(self.interval());
            }
        }
    }

    /// The longest pause between two probes.
    fn longest(&self) -> Duration {
        let live = &self.member.live;
        let most = if live.health() == Health::WrongCluster && live.since().elapsed() >= ASTRAY {
            return self.interval();
        } else if self.is_refused() {
            REFUSED
        } else {
            LONGEST
        };
        most.min(self.interval())
    }

    /// Whether it refuses the gateway's key: probing does not change that.
    fn is_refused(&self) -> bool {
        let hold_off = self.member.live.hold_off.lock();
        hold_off.is_refused(ProbeQuestion::SLOT, Instant::now())
    }

    fn is_away(&self) -> bool {
        let live = &self.member.live;
        match live.health() {
            // It is asked for its cluster anyway, but then only as often as it is probed. Where others
            // go on contradicting it, more looks would cost credits and change nothing.
            Health::Suspect => live.since().elapsed() < ASTRAY,
            // After one bad probe, or one that the budget did not allow, the next are not half a
            // minute away: within seconds it is known whether it fails.
            Health::Unprobed => live.is_in_doubt() || live.budget.lacks_probes(),
            Health::Healthy => {
                live.breaker.lock().shown() == BreakerState::Open || live.is_in_doubt()
            }
            _ => true,
        }
    }

    /// One question, which counts as a probe; before it, the genesis hash of one that had another, and
    /// after it, `getHealth` of one that said it was unhealthy.
    pub(in crate::upstream) async fn look_once(&self) {
        let Some(address) = self.member.live.addresses.known().first().copied() else {
            return;
        };
        if self.is_resting(Instant::now()) {
            return;
        }
        let lane = ProbeLane::new(&self.member);
        let question = ProbeQuestion::Slot(Commitment::Confirmed);
        let mut round = ProbeRound::default();
        if self.member.live.health() == Health::WrongCluster {
            let started = Instant::now();
            let said = self.ask(ProbeQuestion::Genesis, address, &lane).await;
            self.learn(ProbeQuestion::Genesis, said, &mut round, started);
            if self.member.live.health() == Health::WrongCluster {
                return;
            }
        }
        let started = Instant::now();
        let said = self.ask(question, address, &lane).await;
        self.learn(question, said, &mut round, started);
        if self.member.live.is_unwell() {
            // Only its own word ends that.
            let started = Instant::now();
            let said = self.ask(ProbeQuestion::Health, address, &lane).await;
            self.learn(ProbeQuestion::Health, said, &mut round, started);
        }
        let limits = &self.member.policy.health;
        match round.worth(self.is_proven()) {
            RoundVerdict::Good => {}
            RoundVerdict::Nothing => return,
            RoundVerdict::Withheld(cause) => {
                return self.found(|tracker| tracker.withheld(cause));
            }
            RoundVerdict::Bad(cause) => {
                return self.found(|tracker| tracker.failed(limits, cause));
            }
            RoundVerdict::Closed(cause) => {
                return self.found(|tracker| tracker.refuses_all(cause));
            }
        }
        let Some(look) = round.look() else { return };
        self.member.judge(&look, |tracker| {
            tracker.succeeded(limits);
            if let Some(word) = round.word {
                tracker.says(word);
            }
        });
        self.member.try_calls_sooner(look.started, look.at);
    }

    /// Records a finding without a slot.
    fn found(&self, finding: impl FnOnce(&mut Tracker)) {
        let Member { live, policy, .. } = &*self.member;
        live.track(&policy.health, Instant::now(), finding);
    }
}
