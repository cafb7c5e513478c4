//! How long an attempt may take, and what it asks for where connections are short.

use std::time::Duration;

use tokio::time::Instant;
use tracing::Span;

use super::Attempts;
use crate::dispatch::operation::Operation;
use crate::upstream::{AttemptLimits, Choices, ChosenPeer, Outlook, Peer};

/// While another upstream could answer immediately, a connection is waited for at most this long.
const QUEUE: Duration = Duration::from_millis(100);

/// How many times longer an expensive answer may make no progress.
const HEAVY_PATIENCE: u32 = 5;

impl<O: Operation> Attempts<'_, O> {
    /// Every attempt but the last may use half of the caller's remaining time, so that a silent
    /// upstream leaves time for another; a scan, which may need all of it, is hedged instead. While
    /// there is another upstream, waiting for a connection is limited to the time that one would
    /// need.
    pub(super) fn limits(&self, candidate: &O::Chosen, span: &Span, now: Instant) -> AttemptLimits {
        let dispatch = self.dispatch;
        let left = dispatch.deadline.saturating_duration_since(now);
        let next = self.candidates.outlook(now);
        let alone = next == Outlook::Nobody;
        let last = alone || !self.may_attempt_after(1);
        let timeouts = candidate.peer().timeouts();
        let first_byte = if self.demands.heavy {
            left.min(timeouts.first_byte_heavy)
        } else if last || !self.demands.is_repeatable() {
            left.min(timeouts.first_byte)
        } else {
            (left / 2).min(timeouts.first_byte)
        };
        // If others are as busy, the first with a free connection will do.
        let queue = if alone && self.crowded.is_empty() && self.rounds == 0 {
            left
        } else if next == Outlook::Fit {
            QUEUE.min(timeouts.connect)
        } else {
            timeouts.connect
        };
        // The last attempt has no better one to give way to.
        let progress = match self.demands.heavy {
            _ if last || !self.demands.is_repeatable() => left,
            true => timeouts.progress * HEAVY_PATIENCE,
            false => timeouts.progress,
        };
        AttemptLimits {
            deadline: dispatch.deadline,
            queue: now + queue,
            first_byte,
            progress,
            answer_buffer: dispatch.settings.answer_buffer,
            replayable: self.demands.is_repeatable(),
            ask: self.demands.ask,
            urgency: dispatch.operation.urgency().cloned(),
            headers: dispatch
                .context
                .correlation(candidate.peer().propagate(), span),
        }
    }
}
