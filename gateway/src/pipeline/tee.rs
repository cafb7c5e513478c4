//! Keeps answers that are too large to be buffered before they are sent on: they are copied while
//! they stream.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::cacheable::CacheableCall;
use crate::cache::AnswerCopy;
use crate::dispatch::{AnswerPayload, CallSummary, Delivered};
use crate::jsonrpc::{Answer, RequestId};
use crate::solana::FaultKind;

/// A copy in progress, and what to do with it.
pub(super) struct Tee {
    /// `None` once the answer turned out to be too large.
    copy: Option<AnswerCopy>,
    keep: Box<dyn FnOnce(Answer) + Send>,
}

impl Tee {
    /// Takes a piece from the upstream.
    pub(super) fn push(&mut self, piece: &[u8]) {
        if let Some(copy) = &mut self.copy
            && !copy.push(piece)
        {
            self.copy = None;
        }
    }

    fn is_of_use(&self) -> bool {
        self.copy.is_some()
    }

    /// The answer to `asked` is complete; `false` if it is invalid, or was not copied.
    pub(super) fn finish(self, asked: RequestId) -> bool {
        let scanned = self
            .copy
            .map(|copy| Answer::scan_reply(Bytes::from(copy), asked));
        let Some(Ok(answer)) = scanned else {
            return false;
        };
        (self.keep)(answer);
        true
    }
}

impl CacheableCall<'_> {
    /// Begins to copy a streamed answer, if it may be kept.
    pub(super) fn tee(
        &self,
        delivered: &Delivered<AnswerPayload>,
        attempt_summary: &CallSummary,
    ) -> Option<Tee> {
        let Delivered::Payload(AnswerPayload::Stream { length, .. }) = delivered else {
            return None;
        };
        let snapshot = &self.request.snapshot;
        if !snapshot.cache.keeps(self.class.method) || !attempt_summary.may_be_kept() {
            return None;
        }
        let longest = snapshot.config.cache.max_entry;
        let copy = self.request.pipeline.cache.copies.begin(*length, longest)?;
        let (request, call, call_plan) = (
            self.request.clone(),
            self.call.clone(),
            Arc::clone(self.call_plan),
        );
        let attempt_summary = CallSummary {
            upstream: attempt_summary.upstream.clone(),
            reached: attempt_summary.reached,
            ..CallSummary::default()
        };
        Some(Tee {
            copy: Some(copy),
            keep: Box::new(move |answer| {
                if let Some(cacheable) = CacheableCall::of(&request, &call, &call_plan) {
                    let answer = Delivered::Payload(AnswerPayload::Whole(answer));
                    cacheable.store(&answer, &attempt_summary);
                }
            }),
        })
    }

    /// Reads an answer that no caller waits for, only for the copy.
    pub(super) async fn read_to_the_end(
        &self,
        delivered: Delivered<AnswerPayload>,
        attempt_summary: &CallSummary,
    ) {
        let Some(mut tee) = self.tee(&delivered, attempt_summary) else {
            return;
        };
        let Delivered::Payload(AnswerPayload::Stream { head, mut rest, .. }) = delivered else {
            return;
        };
        tee.push(&head);
        while tee.is_of_use() {
            match rest.next().await {
                Some(Ok(piece)) => tee.push(&piece),
                Some(Err(_)) => return,
                None => {
                    if tee.finish(rest.asked()) {
                        rest.complete();
                    } else {
                        rest.broken(FaultKind::BadJson);
                    }
                    return;
                }
            }
        }
    }
}

impl fmt::Debug for Tee {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Copying")
            .field("copy", &self.copy)
            .finish_non_exhaustive()
    }
}
