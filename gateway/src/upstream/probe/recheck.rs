//! Asking an upstream at once which cluster it belongs to, when its slots leave what the clock
//! explains. One that is not asked often would else be found out minutes later.

use std::time::Duration;

use perijove_core::Commitment;
use tokio::time::{Instant, sleep};

use super::plan::ProbeQuestion;
use super::round::{ProbeAnswer, ProbeRound};
use super::{Probe, ProbeLane};
use crate::upstream::tracker::Health;

/// Looks in a row at an upstream whose slots have jumped: enough to believe one that does not say
/// which cluster it belongs to.
const LOOKS: u32 = 4;
const PAUSE: Duration = Duration::from_secs(1);

impl Probe {
    /// Waits for questions about the upstream, for ever.
    pub(in crate::upstream) async fn answer_questions(&self) {
        loop {
            self.member.live.in_question.notified().await;
            for look in 0..LOOKS {
                if look > 0 {
                    sleep(PAUSE).await;
                }
                self.recheck().await;
                if self.member.live.health() != Health::Suspect {
                    break;
                }
            }
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
            if matches!(said, ProbeAnswer::Unreachable(_)) {
                break;
            }
            self.learn(question, said, &mut round, started);
        }
        if let Some(look) = round.look() {
            self.member.look(&look);
        }
    }
}
