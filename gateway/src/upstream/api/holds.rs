//! Hold-offs requested by upstreams. Executions have a limit of their own; everything else shares
//! one. A limit met by a part of the API that is passed through, where it may be that of a wallet or a
//! token of the caller's, holds off those parts only.

use std::time::Duration;

use tokio::time::Instant;

use crate::jupiter::{ApiFault, Product};

/// Hold-off of an upstream that asks for one without a duration: doubled up to the longest each
/// further time.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// The same for one that refuses the gateway's key, or whose firewall blocks it.
const REFUSED: Duration = Duration::from_mins(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LimitBucket {
    All,
    Execute,
    PassedThrough,
}

impl LimitBucket {
    fn of(product: Product) -> Self {
        match product {
            Product::Execute => Self::Execute,
            Product::Other => Self::PassedThrough,
            _ => Self::All,
        }
    }
}

/// One hold-off.
#[derive(Clone, Copy, Debug, Default)]
struct ApiHold {
    until: Option<Instant>,
    /// Since the last good answer.
    times: u32,
    reason: &'static str,
}

impl ApiHold {
    fn left(&self, now: Instant) -> Option<Duration> {
        let left = self.until?.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }
}

/// One hold-off per limit.
#[derive(Debug, Default)]
pub(super) struct ApiHolds([ApiHold; 3]);

impl ApiHolds {
    /// How long a request has to wait.
    pub(super) fn left(&self, product: Product, now: Instant) -> Option<Duration> {
        let left = |bucket: LimitBucket| self.0.get(bucket as usize)?.left(now);
        match LimitBucket::of(product) {
            LimitBucket::PassedThrough => {
                left(LimitBucket::PassedThrough).max(left(LimitBucket::All))
            }
            own => left(own),
        }
    }

    /// The longest of all, and its reason.
    pub(super) fn longest(&self, now: Instant) -> Option<(Duration, &'static str)> {
        let held = self.0.iter();
        held.filter_map(|hold| Some((hold.left(now)?, hold.reason)))
            .max()
    }

    /// A request was refused.
    pub(super) fn hold(&mut self, product: Product, fault: ApiFault, now: Instant) {
        let all = matches!(fault, ApiFault::Unauthorized | ApiFault::Firewall);
        for (index, hold) in self.0.iter_mut().enumerate() {
            if !all && index != LimitBucket::of(product) as usize {
                continue;
            }
            let pause = match fault {
                ApiFault::RateLimited(Some(named)) => named,
                ApiFault::RateLimited(None) => {
                    (PAUSE * 2_u32.pow(hold.times.min(6))).min(LONGEST_PAUSE)
                }
                // Other parts of the API may be allowed.
                ApiFault::Forbidden => return,
                _ => REFUSED,
            };
            hold.times = hold.times.saturating_add(1);
            hold.until = hold.until.max(Some(now + pause));
            hold.reason = fault.label();
        }
    }

    /// A request was answered.
    pub(super) fn served(&mut self, product: Product) {
        if let Some(hold) = self.0.get_mut(LimitBucket::of(product) as usize) {
            hold.times = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pauses_without_a_length_grow_until_a_request_is_answered() {
        let (mut holds, now) = (ApiHolds::default(), Instant::now());
        let limited = ApiFault::RateLimited(None);
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            holds.hold(Product::Quote, limited, now);
            let left = holds.left(Product::Price, now);
            assert_eq!(left, Some(Duration::from_secs(seconds)));
        }
        assert_eq!(holds.left(Product::Execute, now), None);
        holds.served(Product::Quote);
        let later = now + Duration::from_mins(1);
        assert_eq!(holds.left(Product::Quote, later), None);
        holds.hold(Product::Quote, limited, later);
        assert_eq!(
            holds.longest(later),
            Some((Duration::from_secs(1), "rate_limited"))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_of_what_is_passed_through_holds_off_nothing_else() {
        let (mut holds, now) = (ApiHolds::default(), Instant::now());
        let limited = |seconds| ApiFault::RateLimited(Some(Duration::from_secs(seconds)));
        holds.hold(Product::Other, limited(9), now);
        let left = |holds: &ApiHolds, product| holds.left(product, now).map(|left| left.as_secs());
        assert_eq!(left(&holds, Product::Other), Some(9));
        for product in [Product::Quote, Product::Tokens, Product::Execute] {
            assert_eq!(left(&holds, product), None, "{product:?}");
        }
        holds.hold(Product::Quote, limited(20), now);
        assert_eq!(left(&holds, Product::Other), Some(20));
        assert_eq!(left(&holds, Product::Execute), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_that_is_refused_is_refused_for_everything() {
        let (mut holds, now) = (ApiHolds::default(), Instant::now());
        holds.hold(Product::Quote, ApiFault::Forbidden, now);
        assert_eq!(holds.left(Product::Quote, now), None);
        holds.hold(Product::Quote, ApiFault::Unauthorized, now);
        for product in [Product::Quote, Product::Execute] {
            assert_eq!(holds.left(product, now), Some(REFUSED));
        }
    }
}
