//! What a call asks of a gate.

use crate::limit::urgency::Urgency;
use crate::solana::Priority;

/// All classes, the lowest first.
pub(super) const CLASSES: [Priority; Priority::ALL.len()] = Priority::ALL;

/// A request for a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PermitRequest {
    pub priority: Priority,
    /// Calls with the same number share their turns.
    pub consumer: u64,
    /// Turns in a row; at least one.
    pub weight: u32,
    /// It may hold its place for seconds.
    pub heavy: bool,
}

impl PermitRequest {
    /// For the gateway's own calls, and others that belong to no consumer.
    pub const fn own(priority: Priority) -> Self {
        Self {
            priority,
            consumer: 0,
            weight: 1,
            heavy: false,
        }
    }
}

/// A request whose class others may raise while it waits.
#[derive(Clone, Copy, Debug)]
pub struct PermitClaim<'a> {
    ask: PermitRequest,
    urgency: Option<&'a Urgency>,
}

impl<'a> PermitClaim<'a> {
    /// `urgency` is that of callers who wait for the same, if there can be any.
    pub fn new(ask: PermitRequest, urgency: Option<&'a Urgency>) -> Self {
        Self { ask, urgency }
    }

    /// What is asked for by now.
    pub fn ask(&self) -> PermitRequest {
        let raised = self.urgency.map_or(self.ask.priority, Urgency::class);
        PermitRequest {
            priority: self.ask.priority.max(raised),
            ..self.ask
        }
    }

    /// Waits until more is asked for than this: for ever, where nobody can raise it.
    pub(super) async fn raised_above(&self, ask: PermitRequest) {
        match self.urgency {
            Some(urgency) => urgency.above(ask.priority).await,
            None => std::future::pending().await,
        }
    }
}

impl From<PermitRequest> for PermitClaim<'_> {
    fn from(ask: PermitRequest) -> Self {
        Self { ask, urgency: None }
    }
}
