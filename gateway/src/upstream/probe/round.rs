//! What one round of probing brought, and what it is worth. Pure.

use perijove_core::{Commitment, Slot};
use tokio::time::Instant;

use super::plan::Question;
use crate::upstream::tracker::{Look, Source};
use crate::upstream::trouble::Trouble;

/// The answer to one question.
#[derive(Debug)]
pub(super) enum Said {
    /// The raw JSON of the result.
    Result(Vec<u8>),
    /// Reached, but it does not want to say, and why not.
    Refused(Trouble),
    /// The same, and it will not want to for a long time, whatever it is asked.
    Closed(Trouble),
    /// It wants to be left alone for now.
    Rests,
    /// That it is not well.
    Unwell,
    /// No usable answer, and what came instead.
    Nothing(Trouble),
    /// No answer at all: there is no point in asking on.
    Unreachable(Trouble),
}

/// The findings of a round, judged together when it is over.
#[derive(Debug, Default)]
pub(super) struct Round {
    slots: [Option<Slot>; 3],
    /// When the first slot was asked for, and when the last had come.
    span: Option<(Instant, Instant)>,
    pub(super) height: Option<u64>,
    pub(super) shred: Option<Slot>,
    pub(super) unwell: Option<bool>,
    pub(super) vouched: bool,
    /// An answer was missing or could not be used.
    broken: Option<Trouble>,
    /// A slot was refused.
    refused: Option<Trouble>,
    /// The genesis hash was asked for and did not come.
    no_genesis: Option<Trouble>,
    /// It refuses everything.
    closed: Option<Trouble>,
    /// It wants to be left alone for now.
    rests: bool,
}

/// What a round says about the upstream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Worth {
    Good,
    Bad(Trouble),
    /// It refuses everything, for a reason that no further probe will change.
    Closed(Trouble),
    /// It wants to be left alone, which is no failure.
    Nothing,
}

impl Round {
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

    /// An answer that is no result of the right kind. `false`: there is no point in asking on.
    pub(super) fn without(&mut self, question: Question, said: Said) -> bool {
        let named = |trouble: Trouble| trouble.on(question.method());
        let slot = matches!(question, Question::Slot(_));
        match said {
            Said::Result(_) if slot => self.refused = Some(named("no slot in the answer".into())),
            Said::Result(_) | Said::Refused(_) if question == Question::Health => {
                // Whoever does not answer getHealth cannot take a complaint back.
                self.unwell = Some(false);
            }
            Said::Result(_) if question == Question::Genesis => {
                self.no_genesis = Some(named("no hash in the answer".into()));
            }
            Said::Refused(cause) | Said::Nothing(cause) if question == Question::Genesis => {
                self.no_genesis = Some(named(cause));
            }
            Said::Refused(cause) if slot => self.refused = Some(named(cause)),
            Said::Nothing(cause) if slot => self.broken = Some(named(cause)),
            Said::Unreachable(cause) => {
                self.broken = Some(named(cause));
                return false;
            }
            Said::Closed(cause) => {
                self.closed = Some(named(cause));
                return false;
            }
            Said::Rests => self.rests = true,
            Said::Unwell => self.unwell = Some(true),
            Said::Result(_) | Said::Refused(_) | Said::Nothing(_) => {}
        }
        true
    }

    /// `proven` says whether the upstream has shown its genesis hash, or need not.
    pub(super) fn worth(&self, proven: bool) -> Worth {
        if let Some(cause) = &self.broken {
            return Worth::Bad(cause.clone());
        }
        if let Some(cause) = self.closed.as_ref().filter(|_| self.span.is_none()) {
            return Worth::Closed(cause.clone());
        }
        if !proven {
            return match &self.no_genesis {
                Some(cause) => Worth::Bad(cause.clone()),
                None => Worth::Nothing,
            };
        }
        match &self.refused {
            Some(cause) if self.span.is_none() => Worth::Bad(cause.clone()),
            None if self.span.is_none() && self.rests => Worth::Nothing,
            _ => Worth::Good,
        }
    }

    /// Where it stands; None if no slot came.
    pub(super) fn look(&self) -> Option<Look> {
        let (started, at) = self.span?;
        Some(Look {
            source: Source::Probe,
            slots: self.slots,
            started,
            at,
            vouched: self.vouched,
            outrun: false,
        })
    }
}
