//! What a refusal says in its header fields.

use std::time::Duration;

use super::Rejection;
use crate::limit::Remaining;

/// The shortest and longest `Retry-After` ever sent, in seconds. Rust's `RpcClient` uses up all its
/// attempts at once on 0 and ignores values from 120 on.
const RETRY_AFTER_SECONDS: std::ops::RangeInclusive<u64> = 1..=119;

impl Rejection {
    /// Whole seconds for the `retry-after` header.
    pub fn retry_after(&self) -> Option<u64> {
        let retry_after = match self {
            Self::RateLimited { retry_after }
            | Self::BudgetSpent { retry_after }
            | Self::OverLimit { retry_after, .. } => *retry_after,
            Self::TooManyBodies | Self::TooMuchUnsent | Self::TooManySockets => {
                Duration::from_secs(1)
            }
            _ => return None,
        };
        let rounded_up = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
        Some(rounded_up.clamp(*RETRY_AFTER_SECONDS.start(), *RETRY_AFTER_SECONDS.end()))
    }

    /// The verbs for the `allow` header, if the verb was wrong.
    pub fn allow(&self) -> Option<&'static str> {
        match self {
            Self::ApiMethod { allowed } => Some(allowed),
            Self::HttpMethod => Some("OPTIONS, POST"),
            _ => None,
        }
    }

    /// What is left of the caller's plan, if the plan is the reason.
    pub fn remaining(&self) -> Option<Remaining> {
        match self {
            Self::OverLimit { remaining, .. } => *remaining,
            _ => None,
        }
    }
}
