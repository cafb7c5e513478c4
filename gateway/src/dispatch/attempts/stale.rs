//! What happens with a good answer that is older than what its client was shown before, that is far
//! behind the tip, or whose slot is not credible yet: it is kept as the best so far, and a healthy
//! upstream that has reached the client's floor is asked. No budget pays for that, so it has limits
//! of its own. So is one that is further ahead where an answer denies a blockhash that its upstream may not
//! have seen yet. An answer far behind the tip counts against its upstream if another has a newer one.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Attempts, NextStep, Payment};
use crate::dispatch::best_failure::AnsweredBy;
use crate::dispatch::operation::{Operation, PeerOf};
use crate::solana::FaultKind;
use crate::upstream::Choices;

/// Maximum number of upstreams asked instead.
const MOST: u32 = 2;

impl<O: Operation> Attempts<'_, O> {
    /// Decides what comes after a good answer that is not delivered at once.
    /// One without a slot to compare is delivered only if no other answer came, however old.
    pub(super) fn older(
        &mut self,
        answer: O::Answer,
        freshness: &O::Freshness,
        speaker: &AnsweredBy<PeerOf<O>>,
        doubt: FaultKind,
    ) -> NextStep<O::Answer> {
        let dispatch = self.dispatch;
        let slot = dispatch
            .operation
            .stands_at(freshness, doubt, &speaker.upstream);
        self.summary.fault = Some(doubt);
        // Nothing is concluded from a slot in doubt, whatever else came.
        if self.summary.doubt != Some(FaultKind::SlotInDoubt) {
            self.summary.doubt = Some(doubt);
        }
        if doubt == FaultKind::BehindTip {
            self.accused.note(&speaker.upstream, doubt);
        }
        self.settled.note_stale(answer, speaker, slot);
        let now = Instant::now();
        // An upstream that does not answer for this long is stuck.
        let until = (now + dispatch.settings.hedge.metered_after).min(dispatch.deadline);
        let until = *self.older.until.get_or_insert(until);
        let floor = dispatch.operation.floor_in_doubt(doubt);
        if self.older.asked < MOST
            && now < until
            && self.candidates.aim_at(floor, now)
            && self.affords(doubt, now)
        {
            self.older.asked += 1;
            dispatch.state.metrics.retry(doubt);
            self.summary
                .failed_over_from
                .get_or_insert_with(|| Arc::clone(&speaker.upstream));
            return NextStep::Launch { after: None };
        }
        if self.running.is_empty() {
            NextStep::End
        } else {
            NextStep::Wait
        }
    }

    /// Whether another may be asked. A denied blockhash gets a second opinion as far as the retry budget
    /// allows: whoever polls until it has expired would double all calls.
    fn affords(&mut self, doubt: FaultKind, now: Instant) -> bool {
        if doubt != FaultKind::BlockhashNotFound {
            return true;
        }
        let paid = self.pay(now);
        if paid {
            self.payment = Payment::Budget;
        }
        paid
    }

    /// When the best stale answer is delivered.
    pub(super) fn older_until(&self) -> Option<Instant> {
        self.older.until
    }
}
