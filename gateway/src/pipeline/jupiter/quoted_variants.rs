//! Several variants of a quote, requested at the same time to be compared.

use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use perijove_core::Slot;
use tokio::time::{Instant, timeout_at};

use super::answered::Answered;
use crate::dispatch::{AttemptRecord, SingleAttempt, SingleResult};
use crate::jupiter::{self, AS_ASKED};
use crate::upstream::ApiUpstream;

/// A good quote, and of which variant.
pub(super) struct QuotedVariant {
    pub(super) ended: Answered,
    pub(super) variant: Arc<str>,
    /// Its place among all that were asked for, the usual upstream's plain quote being the first.
    pub(super) number: u32,
}

/// What became of the request for one variant.
type FinishedVariant = (AttemptRecord, Option<QuotedVariant>);

/// Requests for variants, all at the same time.
pub(super) struct QuotedVariants {
    running: FuturesUnordered<BoxFuture<'static, FinishedVariant>>,
    /// Who was asked.
    tried: Vec<AttemptRecord>,
    /// Variants, by the number of their request, whose answer is not known.
    open: Vec<u32>,
    /// A variant was left out for want of budget.
    incomplete: bool,
    begun: Instant,
}

impl QuotedVariants {
    pub(super) fn new(begun: Instant) -> Self {
        Self {
            running: FuturesUnordered::new(),
            tried: Vec::new(),
            open: Vec::new(),
            incomplete: false,
            begun,
        }
    }

    pub(super) fn add(
        &mut self,
        attempt: SingleAttempt,
        upstream: Arc<ApiUpstream>,
        variant: Arc<str>,
    ) {
        if &*variant != AS_ASKED {
            self.open.push(attempt.record().number);
        }
        self.tried.push(attempt.record().clone());
        self.running.push(Box::pin(async move {
            let SingleResult { record, answer } = attempt.await;
            let quoted = answer.map(|answer| QuotedVariant {
                ended: Answered::single(answer, upstream, None),
                variant,
                number: record.number,
            });
            (record, quoted)
        }));
    }

    /// How many were asked for.
    pub(super) fn len(&self) -> usize {
        self.tried.len()
    }

    /// Something is not asked for that would be compared.
    pub(super) fn leave_out(&mut self, variant: &str) {
        self.incomplete |= variant != AS_ASKED;
    }

    /// Whether all have ended, and each variant has been answered, if only by that there is no route.
    pub(super) fn are_compared(&self) -> bool {
        self.running.is_empty() && self.open.is_empty() && !self.incomplete
    }

    /// The good quotes that arrive by the deadline. Some quote has to arrive, even after that.
    pub(super) async fn collect(
        &mut self,
        deadline: Instant,
        latest: Instant,
    ) -> Vec<QuotedVariant> {
        let mut all = Vec::new();
        while !self.running.is_empty() {
            let until = if all.is_empty() { latest } else { deadline };
            let Ok(Some((record, quoted))) = timeout_at(until, self.running.next()).await else {
                break;
            };
            if quoted.is_some() || record.is_answered() {
                self.open.retain(|number| *number != record.number);
            }
            let mut tried = self.tried.iter_mut();
            if let Some(known) = tried.find(|known| known.number == record.number) {
                *known = record;
            }
            all.extend(quoted);
        }
        all
    }

    /// Nobody waits for the others any more. Each ends within its own time limits: its connection can be
    /// used again, and an upstream that never answers in time is noticed. Returns who was asked.
    pub(super) fn leave(self) -> Vec<AttemptRecord> {
        for loser in self.running {
            drop(tokio::spawn(loser));
        }
        let took = self.begun.elapsed();
        let mut tried = self.tried;
        for one in tried.iter_mut().filter(|one| one.took.is_zero()) {
            one.took = took;
        }
        tried
    }
}

/// The plain quote: what the caller would have got without a comparison.
pub(super) fn plain(all: &[QuotedVariant]) -> Option<&QuotedVariant> {
    let as_asked = all.iter().filter(|one| &*one.variant == AS_ASKED);
    as_asked.min_by_key(|one| one.number)
}

/// Removes quotes whose price is older than that of others ([`jupiter::comparable`]), but never the
/// plain one: the best must not be worse than that.
pub(super) fn drop_older(all: &mut Vec<QuotedVariant>, tip: Option<Slot>, slots: u64) {
    let slot = |one: &QuotedVariant| one.ended.facts.as_ref()?.context_slot;
    let named: Vec<_> = all.iter().map(slot).collect();
    let plain = plain(all).map(|plain| plain.number);
    let mut counted = jupiter::comparable(&named, tip, slots).into_iter();
    all.retain(|one| counted.next() == Some(true) || Some(one.number) == plain);
}
