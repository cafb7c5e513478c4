//! The results of one round of probing, and their verdict. Pure.

use perijove_core::{Commitment, Slot};
use tokio::time::Instant;

use super::plan::ProbeQuestion;
use crate::upstream::health::SelfReport;
use crate::upstream::health::diagnosis::Diagnosis;
use crate::upstream::health::slot_look::{SightingSource, SlotLook};

/// The answer to one question.
#[derive(Debug)]
pub(super) enum ProbeAnswer {
    /// The raw JSON of the result.
    Result(Vec<u8>),
    /// Reached, but refused, and why.
    Refused(Diagnosis),
    /// The same, and it will refuse for a long time, whatever is asked.
    Closed(Diagnosis),
    /// It asks for a pause, and with what.
    Rests(Diagnosis),
    /// Not sent: the budget has nothing left for it.
    Unpaid,
    /// It reports itself as unhealthy, or so many slots behind.
    Unwell { behind: Option<u64> },
    /// No usable answer, and what arrived instead.
    Nothing(Diagnosis),
    /// No answer at all: further questions are pointless.
    Unreachable(Diagnosis),
}

/// The findings of a round, judged together when it is over.
#[derive(Debug, Default)]
pub(super) struct ProbeRound {
    slots: [Option<Slot>; 3],
    /// When the first slot was requested, and when the last had arrived.
    span: Option<(Instant, Instant)>,
    pub(super) height: Option<u64>,
    pub(super) shred: Option<Slot>,
    pub(super) word: Option<SelfReport>,
    pub(super) vouched: bool,
    /// An answer was missing or could not be used.
    broken: Option<Diagnosis>,
    /// A slot was refused.
    refused: Option<Diagnosis>,
    /// The genesis hash was requested and did not arrive.
    no_genesis: Option<Diagnosis>,
    /// It refuses everything.
    closed: Option<Diagnosis>,
    /// It asks for a pause, or the budget does.
    rests: Option<Diagnosis>,
}

/// The verdict on a round.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RoundVerdict {
    Good,
    Bad(Diagnosis),
    /// It refuses everything, for a reason that no further probe will change.
    Closed(Diagnosis),
    /// It asks for a pause, which is no failure, or the budget does.
    Withheld(Diagnosis),
    /// It was not asked.
    Nothing,
}

impl ProbeRound {
    pub(super) fn slot(&mut self, commitment: Commitment, slot: Slot, started: Instant) {
        if let Some(entry) = self.slots.get_mut(commitment.index()) {
            *entry = Some(slot);
        }
        let began = self.span.map_or(started, |(began, _)| began);
        self.span = Some((began, Instant::now()));
    }

    pub(super) fn processed(&self) -> Option<Slot> {
        self.slots.first().copied().flatten()
    }

    /// Handles an answer that is not a result of the right kind. `false`: further questions are
    /// pointless.
    pub(super) fn without(&mut self, question: ProbeQuestion, said: ProbeAnswer) -> bool {
        let named = |diagnosis: Diagnosis| diagnosis.on(question.method());
        let slot = matches!(question, ProbeQuestion::Slot(_));
        match said {
            ProbeAnswer::Result(_) if slot => {
                self.refused = Some(named("no slot in the answer".into()));
            }
            ProbeAnswer::Result(_) | ProbeAnswer::Refused(_)
                if question == ProbeQuestion::Health =>
            {
                // Without an answer to getHealth it could not report that it has recovered.
                self.word = Some(SelfReport::Well);
            }
            ProbeAnswer::Result(_) if question == ProbeQuestion::Genesis => {
                self.no_genesis = Some(named("no hash in the answer".into()));
            }
            ProbeAnswer::Refused(cause) | ProbeAnswer::Nothing(cause)
                if question == ProbeQuestion::Genesis =>
            {
                self.no_genesis = Some(named(cause));
            }
            ProbeAnswer::Refused(cause) if slot => self.refused = Some(named(cause)),
            ProbeAnswer::Nothing(cause) if slot => self.broken = Some(named(cause)),
            ProbeAnswer::Unreachable(cause) => {
                self.broken = Some(named(cause));
                return false;
            }
            ProbeAnswer::Closed(cause) => {
                self.closed = Some(named(cause));
                return false;
            }
            ProbeAnswer::Rests(cause) => {
                self.rests.get_or_insert(named(cause));
            }
            ProbeAnswer::Unpaid => {
                self.rests.get_or_insert_with(Diagnosis::unpaid);
                return false;
            }
            ProbeAnswer::Unwell { behind } => self.word = Some(SelfReport::Unwell { behind }),
            ProbeAnswer::Result(_) | ProbeAnswer::Refused(_) | ProbeAnswer::Nothing(_) => {}
        }
        true
    }

    /// `proven`: the upstream has shown its genesis hash, or need not.
    pub(super) fn worth(&self, proven: bool) -> RoundVerdict {
        if let Some(cause) = &self.broken {
            return RoundVerdict::Bad(cause.clone());
        }
        if let Some(cause) = self.closed.as_ref().filter(|_| self.span.is_none()) {
            return RoundVerdict::Closed(cause.clone());
        }
        if !proven {
            return match &self.no_genesis {
                Some(cause) => RoundVerdict::Bad(cause.clone()),
                None => self.withheld(),
            };
        }
        match &self.refused {
            Some(cause) if self.span.is_none() => RoundVerdict::Bad(cause.clone()),
            None if self.span.is_none() && self.rests.is_some() => self.withheld(),
            _ => RoundVerdict::Good,
        }
    }

    fn withheld(&self) -> RoundVerdict {
        let rests = self.rests.clone();
        rests.map_or(RoundVerdict::Nothing, RoundVerdict::Withheld)
    }

    /// The observed position; `None` if no slot arrived.
    pub(super) fn look(&self) -> Option<SlotLook> {
        let (started, at) = self.span?;
        Some(SlotLook {
            source: SightingSource::Probe,
            slots: self.slots,
            started,
            at,
            vouched: self.vouched,
            outrun: false,
        })
    }
}
