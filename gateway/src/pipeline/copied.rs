//! Keeping what is too large to be held before it is sent on: copied while it streams by.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::question::Question;
use crate::cache::Copy;
use crate::dispatch::{Delivered, Payload, Trace};
use crate::jsonrpc::{Answer, RequestId};

/// A copy in the making, and what to do with it.
pub(super) struct Copying {
    /// `None` once the answer turned out to be too large.
    copy: Option<Copy>,
    keep: Box<dyn FnOnce(Answer) + Send>,
}

impl Copying {
    /// Takes a piece as the upstream sent it.
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

    /// All has come of what should be the answer to `asked`; `false` if it is not, or was not
    /// copied.
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

impl Question<'_> {
    /// Begins to copy an answer that streams, if it may be kept.
    pub(super) fn copying(&self, delivered: &Delivered, trace: &Trace) -> Option<Copying> {
        let Delivered::Payload(Payload::Stream { length, .. }) = delivered else {
            return None;
        };
        let snapshot = &self.request.snapshot;
        if !snapshot.cache.keeps(self.class.method) || trace.unproven {
            return None;
        }
        let longest = snapshot.config.cache.max_entry;
        let copy = self.request.pipeline.cache.copies.begin(*length, longest)?;
        let (request, call, meaning) = (
            self.request.clone(),
            self.call.clone(),
            Arc::clone(self.meaning),
        );
        let trace = Trace {
            upstream: trace.upstream.clone(),
            reached: trace.reached,
            ..Trace::default()
        };
        Some(Copying {
            copy: Some(copy),
            keep: Box::new(move |answer| {
                if let Some(question) = Question::of(&request, &call, &meaning) {
                    let answer = Delivered::Payload(Payload::Whole(answer));
                    question.keep(&answer, &trace);
                }
            }),
        })
    }

    /// Reads an answer that nobody waits for, for the sake of the copy.
    pub(super) async fn read_to_the_end(&self, delivered: Delivered, trace: &Trace) {
        let Some(mut copying) = self.copying(&delivered, trace) else {
            return;
        };
        let Delivered::Payload(Payload::Stream { head, mut rest, .. }) = delivered else {
            return;
        };
        copying.push(&head);
        while copying.is_of_use() {
            match rest.next().await {
                Some(Ok(piece)) => copying.push(&piece),
                Some(Err(_)) => return,
                None => {
                    if copying.finish(rest.asked()) {
                        rest.complete();
                    }
                    return;
                }
            }
        }
    }
}

impl fmt::Debug for Copying {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Copying")
            .field("copy", &self.copy)
            .finish_non_exhaustive()
    }
}
