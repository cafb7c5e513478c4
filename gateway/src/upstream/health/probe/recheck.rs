//! Checks at once which cluster an upstream belongs to, when its slots are not explained by the
//! clock. For one that is rarely probed it would otherwise take minutes.

use std::time::Duration;

use perijove_core::Commitment;
use tokio::time::{Instant, sleep};

use super::Probe;
use super::lane::ProbeLane;
use super::plan::ProbeQuestion;
use super::round::{ProbeAnswer, ProbeRound};
use crate::upstream::health::tracker::Health;

/// Probes in a row of an upstream whose slots have jumped: enough to accept one that does not say
/// which cluster it belongs to.
const LOOKS: u32 = 4;
const PAUSE: Duration = Duration::from_secs(1);

impl Probe {
    /// Waits for such checks to be requested, until it is aborted.
    pub(in crate::upstream) async fn answer_questions(&self) {
        let mut looks = LOOKS;
        loop {
            self.member.live.in_question.notified().await;
            for look in 0..looks {
                if look > 0 {
                    sleep(PAUSE).await;
                }
                self.recheck().await;
                if self.member.live.health() != Health::Suspect {
                    break;
                }
            }
            looks = if self.member.live.health() == Health::Suspect {
                // Others contradict it: that may last, and each look costs credits.
                sleep(self.interval()).await;
                1
            } else {
                LOOKS
            };
        }
    }

    pub(in crate::upstream) async fn recheck(&self) {
        let live = &self.member.live;
        let Some(address) = live.addresses.known().first().copied() else {
            return;
        };
        if self.is_resting(Instant::now()) {
            return;
        }
        let lane = ProbeLane::new(&self.member);
        let mut round = ProbeRound::default();
        let slots = Commitment::ALL.map(ProbeQuestion::Slot);
        for question in [ProbeQuestion::Genesis].into_iter().chain(slots) {
            if question != ProbeQuestion::Genesis && live.health() != Health::Suspect {
                break;
            }
            let started = Instant::now();
            let said = self.ask(question, address, &lane).await;
            if matches!(said, ProbeAnswer::Unreachable(_) | ProbeAnswer::Unpaid) {
                break;
            }
            self.learn(question, said, &mut round, started);
        }
        if let Some(look) = round.look() {
            self.member.look(&look);
        }
    }
}
