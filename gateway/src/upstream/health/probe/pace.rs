//! How much an upstream is probed: as configured, or as its budget allows.

use std::net::SocketAddr;
use std::time::Duration;

use perijove_core::telemetry::seconds;
use tokio::time::Instant;

use super::Probe;
use super::plan::ProbeQuestion;
use crate::upstream::health::diagnosis::Diagnosis;
use crate::upstream::health::tracker::Health;
use crate::upstream::state::member::Member;

/// Questions in a round that is not sparing, on average.
const USUAL_QUESTIONS: u32 = 4;

impl Probe {
    /// Whether this round is skipped, and what is then assumed of the address.
    pub(super) fn leave_out(&self, address: SocketAddr, now: Instant) -> Option<bool> {
        self.say_if_rare();
        if !self.is_sparing() {
            return None;
        }
        let mut memory = self.memory.lock();
        let good = memory.rounds.get(&address).is_none_or(|known| known.good);
        if self.is_resting(now) {
            return Some(good);
        }
        let Member { live, policy, .. } = &*self.member;
        let may = live.budget.may_probe(ProbeQuestion::SLOT, now);
        let chosen = memory
            .turns
            .is_turn_of(address, &live.addresses.known(), may);
        if !may && live.health() == Health::Unprobed {
            live.track(&policy.health, now, |tracker| {
                tracker.withheld(Diagnosis::unpaid());
            });
        }
        (!chosen).then_some(good)
    }

    /// Whether it is asked as little as possible: each call costs credits, or the budget is small.
    pub(super) fn is_sparing(&self) -> bool {
        let addresses = self.member.live.addresses.known().len().max(1);
        let questions = USUAL_QUESTIONS.saturating_mul(u32::try_from(addresses).unwrap_or(1));
        let settings = &self.member.settings;
        settings.metered || self.pace().saturating_mul(questions) > settings.probe.interval
    }

    /// The time between two rounds of one question: longer than configured where the budget is small.
    pub(super) fn interval(&self) -> Duration {
        self.pace().max(self.member.settings.probe.interval)
    }

    /// The least time between two questions, by the budget.
    fn pace(&self) -> Duration {
        let budget = &self.member.live.budget;
        budget.probe_pace(ProbeQuestion::SLOT).unwrap_or_default()
    }

    /// Once, until it is over.
    fn say_if_rare(&self) {
        let settings = &self.member.settings;
        let pace = self.pace();
        let is_rare = pace > settings.probe.interval;
        let mut memory = self.memory.lock();
        if std::mem::replace(&mut memory.is_said_rare, is_rare) == is_rare {
            return;
        }
        drop(memory);
        let (upstream, interval) = (settings.id.as_str(), seconds(settings.probe.interval));
        if is_rare {
            tracing::warn!(
                upstream,
                interval_seconds = interval,
                actual_seconds = seconds(pace),
                cure = "set a longer probe.interval, or a larger budget",
                "probes slowed down to a tenth of the budget; calls show the upstream's health"
            );
        } else {
            tracing::info!(
                upstream,
                interval_seconds = interval,
                "probes as configured again"
            );
        }
    }
}
