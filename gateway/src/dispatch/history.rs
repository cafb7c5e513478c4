//! Looks for history where it is: before "there is nothing" is delivered or kept, an upstream whose
//! history reaches further back is asked, once.
//!
//! ```text
//! answer ─ whole, or of an upstream that would know ──────────────────▶ delivered
//!    │ nothing, or less than was asked for, and somebody reaches further back
//!    ├─ asked for the same lately, or sent from here a moment ago ────▶ delivered as it is
//!    ├─ asked too often in vain of late ──────────────────────────────▶ the same, not kept
//!    └─ ask there ─ found ────────────────────────────────────────────▶ what was found
//!            ├─ nothing ──────────────────────────────────────────────▶ the first answer
//!            └─ failed ───────────────────────────────────────────────▶ the first answer, not kept
//! ```
//!
//! Not here: what an answer lacks (`solana::history`), who reaches how far (`upstream::history`).

mod memory;
mod rate;

use std::sync::Arc;

use perijove_core::Commitment;
use tokio::time::Instant;

pub(super) use memory::Memory;
use memory::Standing;
pub(super) use rate::Rate;

use super::flight::Flight;
use super::{Delivered, Exchange, Payload, Settings, Trace};
use crate::config;
use crate::jsonrpc::{Answer, Cursor};
use crate::solana::{self, History, Lack, Method, Place, Word};
use crate::upstream::{Elsewhere, Reach, Upstream};

/// Upstreams asked when the first one fails. One that answers, whatever it says, is the only one.
const ATTEMPTS: u32 = 2;

/// The word for one that was not taken anywhere, because too many had been in vain.
const LIMITED: &str = "limited";

/// What is in doubt about an answer.
struct Doubt {
    said_by: Arc<Upstream>,
    history: History,
    lack: Lack,
}

/// What the deeper upstream had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finding {
    Found,
    Nothing,
    Failed,
}

impl Finding {
    const fn label(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Nothing => "nothing",
            Self::Failed => "failed",
        }
    }
}

impl Exchange<'_> {
    /// Delivers an answer as it is, or what an upstream with more history has instead.
    pub(super) async fn look_deeper(
        &self,
        delivered: Delivered,
        mut trace: Trace,
    ) -> (Delivered, Trace) {
        self.note_sent(&delivered);
        let Some(doubt) = self.doubt(&delivered, &trace) else {
            return (delivered, trace);
        };
        trace.unproven = true;
        if !self.settings.history.ask_deeper {
            return (delivered, trace);
        }
        match self.standing(&doubt.lack) {
            Standing::Due if !self.may_ask_deeper() => {
                let metrics = &self.live.metrics;
                metrics.history(self.class.method, LIMITED);
                (delivered, trace)
            }
            Standing::Due => Box::pin(self.ask_deeper(doubt, delivered, trace)).await,
            Standing::Failed => (delivered, trace),
            Standing::Nothing => {
                trace.unproven = false;
                (delivered, trace)
            }
        }
    }

    /// Whether archives were not asked in vain too often of late.
    fn may_ask_deeper(&self) -> bool {
        let per_second = self.settings.history.misses_per_second;
        self.live.deeper.take(per_second, Instant::now())
    }

    /// What an answer leaves open that somebody else may know.
    fn doubt(&self, delivered: &Delivered, trace: &Trace) -> Option<Doubt> {
        let method = self.call.method();
        let history = History::of(self.class, method)?;
        let (Delivered::Payload(payload), Some(said_by)) = (delivered, &trace.upstream) else {
            return None;
        };
        learn_from_refusal(payload, said_by);
        let any_elsewhere = |word, place| {
            let than = &**said_by;
            let elsewhere = Elsewhere { than, word, place };
            self.pool.any_elsewhere(&elsewhere, method)
        };
        // Pages are long: not read where nothing follows from it.
        if history == History::Page
            && has_result(payload)
            && !any_elsewhere(Word::Empty, Place::Anywhere)
        {
            return None;
        }
        let lack = self.lack(history, payload)?;
        if self.is_believed(&lack, said_by) || !any_elsewhere(lack.word, lack.place) {
            return None;
        }
        Some(Doubt {
            said_by: Arc::clone(said_by),
            history,
            lack,
        })
    }

    fn lack(&self, history: History, payload: &Payload) -> Option<Lack> {
        let params = self.call.params();
        match payload {
            Payload::Whole(answer) => {
                // Only rewards are asked for by their epoch.
                let epochs = history == History::Rewards;
                let view = epochs.then(|| self.pool.slots()).flatten();
                history.lack(params, answer, view.as_ref())
            }
            Payload::Stream { head, .. } => history.lack_of_head(params, head),
        }
    }

    /// Whether whoever said that there is nothing would know.
    fn is_believed(&self, lack: &Lack, said_by: &Upstream) -> bool {
        let Place::From(slot) = lack.place else {
            return false;
        };
        let finalized = self
            .pool
            .slots()
            .and_then(|view| view.seen(Commitment::Finalized));
        // What is not final is not history yet.
        if finalized.is_some_and(|finalized| slot > finalized) {
            return true;
        }
        let reach = said_by.reach(Instant::now());
        let own = said_by.live().slot(Commitment::Finalized);
        let covers = own.is_none_or(|own| slot <= own) && reach.covers(slot);
        lack.word == Word::Empty && (covers || (lack.slight && reach == Reach::Unknown))
    }

    fn standing(&self, lack: &Lack) -> Standing {
        let memory = &self.live.history;
        memory.standing(&lack.subjects, lack.word, Instant::now())
    }

    async fn ask_deeper(
        &self,
        doubt: Doubt,
        delivered: Delivered,
        mut trace: Trace,
    ) -> (Delivered, Trace) {
        let (second, mut asked) = self.fly_deeper(&doubt).await;
        let rest = match &second {
            Delivered::Payload(payload) => self.lack(doubt.history, payload),
            Delivered::Rejected(_) => None,
        };
        let finding = compare(&doubt.lack, &second, rest.as_ref());
        if asked.attempts > 0 {
            let metrics = &self.live.metrics;
            metrics.history(self.class.method, finding.label());
        }
        if asked.attempts == 0 || finding == Finding::Found {
            self.live.deeper.give_back();
        }
        if asked.attempts > 0 {
            self.remember(&doubt.lack, finding, rest.as_ref());
        }
        if finding == Finding::Failed {
            trace.went_deeper(asked, false);
            return (delivered, trace);
        }
        let unproven = self.doubt(&second, &asked).is_some();
        if finding == Finding::Found || is_more_to_the_point(&doubt.lack, rest.as_ref()) {
            if let Some(upstream) = &asked.upstream {
                self.live
                    .metrics
                    .failover(doubt.said_by.id(), upstream.id());
            }
            trace.failed_over_from.get_or_insert(doubt.said_by);
            let (reached, told, upstream) = (asked.reached, asked.told, asked.upstream.take());
            trace.went_deeper(asked, true);
            (trace.reached, trace.told, trace.upstream) = (reached, told, upstream);
            trace.unproven = unproven;
            return (second, trace);
        }
        trace.went_deeper(asked, false);
        trace.unproven = unproven;
        (delivered, trace)
    }

    /// Asks those who reach further back, without haste: no hedge, and no second one unless the
    /// first fails.
    async fn fly_deeper(&self, doubt: &Doubt) -> (Delivered, Trace) {
        let now = Instant::now();
        let settings = Settings {
            retry: config::Retry {
                attempts: self.settings.retry.attempts.min(ATTEMPTS),
                ..self.settings.retry.clone()
            },
            hedge: config::Hedge {
                enabled: false,
                ..self.settings.hedge.clone()
            },
            ..self.settings.clone()
        };
        let elsewhere = Elsewhere {
            than: &doubt.said_by,
            word: doubt.lack.word,
            place: doubt.lack.place,
        };
        let exchange = Exchange {
            settings: &settings,
            started: now,
            deadline: self.deadline.min(now + self.settings.history.timeout),
            elsewhere: Some(elsewhere),
            ..*self
        };
        let mut flight = Flight::new(&exchange);
        flight.run().await
    }

    fn remember(&self, lack: &Lack, finding: Finding, rest: Option<&Lack>) {
        let (memory, settings) = (&self.live.history, &self.settings.history);
        let now = Instant::now();
        for subject in &lack.subjects {
            // Of several signatures some may have been found.
            let missing = rest.is_some_and(|rest| rest.subjects.contains(subject));
            match finding {
                Finding::Found if !missing || lack.subjects.len() == 1 => memory.found(*subject),
                Finding::Found | Finding::Nothing => memory.missed(*subject, false, settings, now),
                Finding::Failed => memory.missed(*subject, true, settings, now),
            }
        }
    }

    /// Remembers a transaction that is on its way from here: while it cannot be old, there is no
    /// use in looking for it in archives.
    fn note_sent(&self, delivered: &Delivered) {
        if self.class.method != Method::SendTransaction {
            return;
        }
        let memory = &self.live.history;
        match delivered {
            Delivered::Payload(Payload::Whole(answer)) => {
                let result = answer.result().map(Cursor::new);
                if let Some(signature) = result.and_then(|mut cursor| cursor.string()) {
                    memory.sent(solana::signature_subject(signature), Instant::now());
                }
            }
            Delivered::Payload(Payload::Stream { .. }) => {}
            // It may be on its way all the same.
            Delivered::Rejected(_) => {
                let params = self.call.params();
                if let Some(signature) = params.and_then(solana::first_signature) {
                    let signature = signature.to_string();
                    memory.sent(
                        solana::signature_subject(signature.as_bytes()),
                        Instant::now(),
                    );
                }
            }
        }
    }
}

fn has_result(payload: &Payload) -> bool {
    match payload {
        Payload::Whole(answer) => answer.result().is_some(),
        Payload::Stream { .. } => true,
    }
}

/// A node that refuses an old block says which is its first.
fn learn_from_refusal(payload: &Payload, said_by: &Upstream) {
    if let Payload::Whole(answer) = payload
        && let Some(first) = answer.error().and_then(solana::first_available)
    {
        said_by.live().has_pruned(first);
    }
}

/// What the second answer is against the first; `rest` is what it leaves open itself.
fn compare(lack: &Lack, second: &Delivered, rest: Option<&Lack>) -> Finding {
    let answer: &Answer = match second {
        Delivered::Rejected(_) => return Finding::Failed,
        Delivered::Payload(Payload::Stream { .. }) => return Finding::Found,
        Delivered::Payload(Payload::Whole(answer)) => answer,
    };
    match rest {
        None if answer.result().is_some() => Finding::Found,
        // It has it, in a version that the caller has not asked for.
        None if answer.error().is_some_and(|error| error.code == -32015) => Finding::Found,
        None => Finding::Failed,
        Some(rest) if rest.passing => Finding::Failed,
        Some(rest) if rest.word == Word::Empty && rest.found > lack.found => Finding::Found,
        Some(_) => Finding::Nothing,
    }
}

/// Whether "there is nothing" from the deeper upstream tells more than the refusal of the first:
/// that it was skipped, or a plain nothing, where the first only did not have it.
fn is_more_to_the_point(lack: &Lack, rest: Option<&Lack>) -> bool {
    lack.word == Word::Refused && rest.is_some_and(|rest| rest.word != Word::Refused)
}
