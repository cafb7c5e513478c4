//! What a call asks of a gate.

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
