//! Looks for history: before an empty answer is delivered or kept, an upstream with more history is
//! asked, once.
//!
//! ```text
//! answer ─ complete, or of an upstream that would know ──────────────────▶ delivered
//!    │ empty or incomplete, and another upstream has more history
//!    ├─ asked for the same lately, or sent from here a moment ago ────▶ delivered as it is
//!    ├─ too many such questions found nothing ─────────────────────────▶ the same, not kept
//!    └─ ask there ─ found ────────────────────────────────────────────▶ what was found
//!            ├─ nothing ──────────────────────────────────────────────▶ the first answer
//!            └─ failed ───────────────────────────────────────────────▶ the first answer, not kept
//! ```
//!
//! Not here: what an answer lacks (`solana::history`), how far each upstream reaches back
//! (`upstream::state::history`).

use std::sync::Arc;

use perijove_core::Commitment;
use tokio::time::Instant;

use super::answer_payload::AnswerPayload;
use super::missing_history::ArchiveDecision;
use super::own_answer::own_answer;
use super::{CallSummary, Delivered, Dispatch, RpcCall};
use crate::config;
use crate::dispatch::Settings;
use crate::jsonrpc::{Answer, Cursor};
use crate::solana::{self, AbsenceWording, History, HistoryGap, HistoryPosition, Method};
use crate::upstream::{DeeperUpstreams, HistoryReach, Upstream};

/// Upstreams asked when the first one fails. Once one answers, whatever it says, no other is asked.
const ATTEMPTS: u32 = 2;

/// Label for questions that were not asked, because too many had found nothing.
const LIMITED: &str = "limited";

/// What an answer leaves in doubt.
pub(super) struct HistoryDoubt {
    said_by: Arc<Upstream>,
    history: History,
    lack: HistoryGap,
}

/// What the upstream with more history had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ArchiveAnswer {
    Found,
    Nothing,
    Failed,
}

impl ArchiveAnswer {
    const fn label(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Nothing => "nothing",
            Self::Failed => "failed",
        }
    }
}

impl Dispatch<'_, RpcCall<'_>> {
    /// Delivers an answer in doubt as it is, or what an upstream with more history has instead.
    pub(super) async fn look_deeper(
        &self,
        doubt: HistoryDoubt,
        delivered: Delivered<AnswerPayload>,
        mut summary: CallSummary,
    ) -> (Delivered<AnswerPayload>, CallSummary) {
        summary.notes.unproven = true;
        if !self.settings.history.ask_deeper {
            return (delivered, summary);
        }
        match self.standing(&doubt.lack) {
            ArchiveDecision::Due if !self.may_ask_deeper() => {
                let metrics = &self.state.metrics;
                metrics.history(self.operation.class.method, LIMITED);
                (delivered, summary)
            }
            ArchiveDecision::Due => self.ask_deeper(doubt, delivered, summary).await,
            ArchiveDecision::Failed => (delivered, summary),
            ArchiveDecision::Nothing => {
                summary.notes.unproven = false;
                (delivered, summary)
            }
        }
    }

    /// Whether not too many questions found nothing lately.
    fn may_ask_deeper(&self) -> bool {
        let per_second = self.settings.history.misses_per_second;
        self.operation
            .memory
            .archives
            .take(self.context.client, per_second, Instant::now())
    }

    /// What an answer leaves open that another upstream may know.
    pub(super) fn doubt(
        &self,
        delivered: &Delivered<AnswerPayload>,
        summary: &CallSummary,
    ) -> Option<HistoryDoubt> {
        let method = self.operation.call.method();
        let history = History::of(self.operation.class, method)?;
        let (Delivered::Payload(payload), Some(said_by)) = (delivered, &summary.upstream) else {
            return None;
        };
        learn_from_refusal(payload, said_by);
        let any_deeper = |word, place| {
            let than = &**said_by;
            let deeper = DeeperUpstreams { than, word, place };
            self.operation.pool.any_deeper(&deeper, method)
        };
        // Pages are long: not read if nothing follows from it.
        if history == History::Page
            && has_result(payload)
            && !any_deeper(AbsenceWording::Empty, HistoryPosition::Anywhere)
        {
            return None;
        }
        let lack = self.lack(history, payload)?;
        // It has purged since it was asked where its history begins.
        if let Some(first) = lack.begins {
            said_by.state().has_pruned(first);
        }
        if self.is_believed(&lack, said_by) || !any_deeper(lack.word, lack.place) {
            return None;
        }
        Some(HistoryDoubt {
            said_by: Arc::clone(said_by),
            history,
            lack,
        })
    }

    fn lack(&self, history: History, payload: &AnswerPayload) -> Option<HistoryGap> {
        let params = self.operation.call.params();
        match payload {
            AnswerPayload::Whole(answer) => {
                // Only rewards are requested by epoch.
                let epochs = history == History::Rewards;
                let view = epochs.then(|| self.operation.pool.slots()).flatten();
                history.lack(params, answer, view.as_ref())
            }
            AnswerPayload::Stream { head, .. } => history.lack_of_head(params, head),
        }
    }

    /// Whether the upstream that said "nothing" would know.
    fn is_believed(&self, lack: &HistoryGap, said_by: &Upstream) -> bool {
        let HistoryPosition::From(slot) = lack.place else {
            return false;
        };
        let finalized = self
            .operation
            .pool
            .slots()
            .and_then(|view| view.seen(Commitment::Finalized));
        // What is not final is not history yet.
        if finalized.is_some_and(|finalized| slot > finalized) {
            return true;
        }
        let reach = said_by.reach(Instant::now());
        let own = said_by.state().slot(Commitment::Finalized);
        let covers = own.is_none_or(|own| slot <= own) && reach.covers(slot);
        lack.word == AbsenceWording::Empty
            && (covers || (lack.slight && reach == HistoryReach::Unknown))
    }

    fn standing(&self, lack: &HistoryGap) -> ArchiveDecision {
        let missing = &self.operation.memory.missing_history;
        missing.standing(&lack.subjects, lack.word, Instant::now())
    }

    async fn ask_deeper(
        &self,
        doubt: HistoryDoubt,
        delivered: Delivered<AnswerPayload>,
        mut summary: CallSummary,
    ) -> (Delivered<AnswerPayload>, CallSummary) {
        let (mut second, mut asked) = self.fly_deeper(&doubt).await;
        let merged = self.merge(doubt.history, &delivered, &second);
        let gained = merged.is_some();
        if let Some(answer) = merged {
            second = Delivered::Payload(answer);
        }
        let rest = match &second {
            Delivered::Payload(payload) => self.lack(doubt.history, payload),
            Delivered::Rejected(_) => None,
        };
        let finding = match compare(&doubt.lack, &second, rest.as_ref()) {
            ArchiveAnswer::Nothing if gained => ArchiveAnswer::Found,
            finding => finding,
        };
        if asked.attempts > 0 {
            let metrics = &self.state.metrics;
            metrics.history(self.operation.class.method, finding.label());
        }
        if asked.attempts == 0 || finding == ArchiveAnswer::Found {
            let client = self.context.client;
            self.operation.memory.archives.give_back(client);
        }
        if asked.attempts > 0 {
            self.remember(&doubt.lack, finding, rest.as_ref());
        }
        if finding == ArchiveAnswer::Failed {
            summary.went_deeper(asked, false);
            return (delivered, summary);
        }
        let unproven = self.doubt(&second, &asked).is_some();
        if finding == ArchiveAnswer::Found || is_more_to_the_point(&doubt.lack, rest.as_ref()) {
            if let Some(upstream) = &asked.upstream {
                self.state
                    .metrics
                    .failover(doubt.said_by.id(), upstream.id());
            }
            summary.failed_over_from.get_or_insert(doubt.said_by);
            let (reached, told, upstream) =
                (asked.reached, asked.notes.told_heads, asked.upstream.take());
            summary.went_deeper(asked, true);
            (summary.reached, summary.notes.told_heads, summary.upstream) =
                (reached, told, upstream);
            summary.notes.unproven = unproven;
            return (second, summary);
        }
        summary.went_deeper(asked, false);
        summary.notes.unproven = unproven;
        (delivered, summary)
    }

    /// What both answers say together, if that is more than the first one says.
    fn merge(
        &self,
        history: History,
        first: &Delivered<AnswerPayload>,
        second: &Delivered<AnswerPayload>,
    ) -> Option<AnswerPayload> {
        let params = self.operation.call.params();
        let merged = history.merge(params, whole_result(first)?, whole_result(second)?)?;
        let result = merged
            .gained
            .then(|| String::from_utf8(merged.result).ok())?;
        own_answer(&result?)
    }

    /// Asks upstreams with more history, without haste: no hedge, and no second one unless the
    /// first fails.
    async fn fly_deeper(&self, doubt: &HistoryDoubt) -> (Delivered<AnswerPayload>, CallSummary) {
        let now = Instant::now();
        let settings = Settings {
            retry: config::RetrySettings {
                attempts: self.settings.retry.attempts.min(ATTEMPTS),
                ..self.settings.retry.clone()
            },
            hedge: config::HedgeSettings {
                enabled: false,
                ..self.settings.hedge.clone()
            },
            ..self.settings.clone()
        };
        let deeper = DeeperUpstreams {
            than: &doubt.said_by,
            word: doubt.lack.word,
            place: doubt.lack.place,
        };
        let dispatch = Dispatch {
            settings: &settings,
            started: now,
            deadline: self.deadline.min(now + self.settings.history.timeout),
            operation: RpcCall {
                deeper: Some(deeper),
                ..self.operation
            },
            ..*self
        };
        dispatch.attempt().await
    }

    fn remember(&self, lack: &HistoryGap, finding: ArchiveAnswer, rest: Option<&HistoryGap>) {
        let (missing_history, settings) = (
            &self.operation.memory.missing_history,
            &self.settings.history,
        );
        let now = Instant::now();
        for subject in &lack.subjects {
            // Of several signatures some may have been found.
            let missing = rest.is_some_and(|rest| rest.subjects.contains(subject));
            match finding {
                ArchiveAnswer::Found if !missing || lack.subjects.len() == 1 => {
                    missing_history.found(*subject);
                }
                ArchiveAnswer::Found | ArchiveAnswer::Nothing => {
                    missing_history.missed(*subject, false, settings, now);
                }
                ArchiveAnswer::Failed => missing_history.missed(*subject, true, settings, now),
            }
        }
    }

    /// Remembers a transaction sent through this gateway: while it cannot be old, looking for it in
    /// archives is useless.
    pub(super) fn note_sent(&self, delivered: &Delivered<AnswerPayload>) {
        if self.operation.class.method != Method::SendTransaction {
            return;
        }
        let missing = &self.operation.memory.missing_history;
        match delivered {
            Delivered::Payload(AnswerPayload::Whole(answer)) => {
                let result = answer.result().map(Cursor::new);
                if let Some(signature) = result.and_then(|mut cursor| cursor.string()) {
                    missing.sent(solana::signature_subject(signature), Instant::now());
                }
            }
            Delivered::Payload(AnswerPayload::Stream { .. }) => {}
            // It may have been sent all the same.
            Delivered::Rejected(_) => {
                let params = self.operation.call.params();
                if let Some(signature) = params.and_then(solana::first_signature) {
                    let signature = signature.to_string();
                    missing.sent(
                        solana::signature_subject(signature.as_bytes()),
                        Instant::now(),
                    );
                }
            }
        }
    }
}

/// The result of an answer that is held whole.
fn whole_result(delivered: &Delivered<AnswerPayload>) -> Option<&[u8]> {
    match delivered {
        Delivered::Payload(AnswerPayload::Whole(answer)) => answer.result(),
        Delivered::Payload(AnswerPayload::Stream { .. }) | Delivered::Rejected(_) => None,
    }
}

fn has_result(payload: &AnswerPayload) -> bool {
    match payload {
        AnswerPayload::Whole(answer) => answer.result().is_some(),
        AnswerPayload::Stream { .. } => true,
    }
}

/// A node that refuses an old block says which is its first.
fn learn_from_refusal(payload: &AnswerPayload, said_by: &Upstream) {
    if let AnswerPayload::Whole(answer) = payload
        && let Some(first) = answer.error().and_then(solana::first_available)
    {
        said_by.state().has_pruned(first);
    }
}

/// How the second answer compares with the first; `rest` is what it leaves open itself.
fn compare(
    lack: &HistoryGap,
    second: &Delivered<AnswerPayload>,
    rest: Option<&HistoryGap>,
) -> ArchiveAnswer {
    let answer: &Answer = match second {
        Delivered::Rejected(_) => return ArchiveAnswer::Failed,
        Delivered::Payload(AnswerPayload::Stream { .. }) => return ArchiveAnswer::Found,
        Delivered::Payload(AnswerPayload::Whole(answer)) => answer,
    };
    match rest {
        None if answer.result().is_some() => ArchiveAnswer::Found,
        // It has it, in a version that the caller has not requested.
        None if answer.error().is_some_and(|error| error.code == -32015) => ArchiveAnswer::Found,
        None => ArchiveAnswer::Failed,
        Some(rest) if rest.passing => ArchiveAnswer::Failed,
        Some(rest) if rest.word == AbsenceWording::Empty && rest.found > lack.found => {
            ArchiveAnswer::Found
        }
        Some(_) => ArchiveAnswer::Nothing,
    }
}

/// Whether "nothing" from the deeper upstream says more than the refusal of the first: that the
/// slot was skipped, or does not exist, where the first merely did not have it.
fn is_more_to_the_point(lack: &HistoryGap, rest: Option<&HistoryGap>) -> bool {
    lack.word == AbsenceWording::Refused
        && rest.is_some_and(|rest| rest.word != AbsenceWording::Refused)
}
