//! An answer of an upstream, and how it came about.

use std::sync::Arc;

use bytes::Bytes;
use perijove_core::Slot;
use tokio::time::Instant;

use super::reply::{ApiContent, ApiResponse};
use crate::dispatch::{AttemptRecord, AttemptSummary, JupiterAnswer};
use crate::jupiter::{Product, QuoteFacts};
use crate::upstream::{ApiRequest, ApiUpstream, ReplyBody, ReplyTo};

/// How an answer came about.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) reply: ReplyTo<ApiRequest>,
    pub(super) upstream: Arc<ApiUpstream>,
    /// The facts of a quote.
    pub(super) facts: Option<QuoteFacts>,
    /// When it arrived, and the newest slot of the cluster then.
    pub(super) at: Instant,
    pub(super) tip: Option<Slot>,
    pub(super) outcome: &'static str,
    pub(super) attempts: u32,
    pub(super) hedged: bool,
    /// All attempts in their order.
    pub(super) tried: Vec<AttemptRecord>,
}

impl Answered {
    /// An answer that dispatch has delivered.
    pub(super) fn of(
        answer: JupiterAnswer,
        upstream: Arc<ApiUpstream>,
        summary: &AttemptSummary<ApiUpstream, ()>,
        tip: Option<Slot>,
    ) -> Self {
        Self {
            attempts: summary.attempts,
            hedged: summary.hedged,
            tried: summary.attempts(),
            ..Self::single(answer, upstream, tip)
        }
    }

    /// The answer to a single attempt.
    pub(super) fn single(
        answer: JupiterAnswer,
        upstream: Arc<ApiUpstream>,
        tip: Option<Slot>,
    ) -> Self {
        let JupiterAnswer {
            reply,
            facts,
            fault,
        } = answer;
        let outcome = match (fault, reply.status) {
            (Some(fault), _) => fault.label(),
            (None, ..400) => "ok",
            (None, _) => "refused",
        };
        Self {
            reply,
            upstream,
            facts,
            at: Instant::now(),
            tip,
            outcome,
            attempts: 1,
            hedged: false,
            tried: Vec::new(),
        }
    }

    /// The body, if it is complete.
    pub(super) fn whole(&self) -> Option<&Bytes> {
        match &self.reply.body {
            ReplyBody::Complete(body) => Some(body),
            ReplyBody::Streaming { .. } => None,
        }
    }

    pub(super) fn into_response(self, product: Product) -> ApiResponse {
        let notes = fee_note(Some(&self.upstream));
        ApiResponse {
            status: self.reply.status,
            fields: self.reply.fields,
            content: match self.reply.body {
                ReplyBody::Complete(body) => ApiContent::Whole(body),
                ReplyBody::Streaming { head, rest, .. } => {
                    ApiContent::Streaming { first: head, rest }
                }
            },
            product,
            outcome: self.outcome,
            upstream: Some(Arc::clone(self.upstream.name())),
            cache: None,
            attempts: self.attempts,
            tried: self.tried,
            hedged: self.hedged,
            upstream_latency: Some(self.reply.latency),
            slots_behind: None,
            notes,
        }
    }
}

/// The fee that an upstream adds, if any.
pub(super) fn fee_note(upstream: Option<&Arc<ApiUpstream>>) -> Vec<(&'static str, Bytes)> {
    let fee = upstream.map_or(0, |upstream| upstream.settings().platform_fee_bps);
    let note = (fee > 0).then(|| ("x-perijove-fee-bps", fee.to_string().into()));
    note.into_iter().collect()
}
