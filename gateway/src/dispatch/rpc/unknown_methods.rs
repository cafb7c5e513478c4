//! Unknown methods: neither Agave, nor a provider's documentation, nor the configuration, nor an
//! upstream that has served them before knows them. Most are a client's mistake or invention.
//!
//! One upstream is asked, preferably an unmetered one, and its "method not found" is the answer.
//! Only a few of these calls go on to the others, where the method may exist; once one has
//! answered, the method is known.

use std::time::Duration;

use parking_lot::Mutex;
use quick_cache::sync::Cache;
use tokio::time::Instant;

/// Calls that may go on to the other upstreams at once.
const BURST: f64 = 8.0;
/// How long it takes until one more may.
const REFILL: Duration = Duration::from_mins(1);
/// Maximum number of names remembered as served; those not requested lately are dropped first. An
/// upstream that answers everything would fill any number.
const MOST_SERVED: usize = 512;
/// Longer names cannot be methods.
const LONGEST_NAME: usize = 64;

/// What is known of unknown methods, for the whole gateway.
#[derive(Debug)]
pub(super) struct UnknownMethods {
    served: Cache<Box<str>, ()>,
    searches: Mutex<SearchBudget>,
}

/// A token bucket.
#[derive(Debug)]
struct SearchBudget {
    left: f64,
    refilled: Instant,
}

impl UnknownMethods {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            served: Cache::new(MOST_SERVED),
            searches: Mutex::new(SearchBudget {
                left: BURST,
                refilled: now,
            }),
        }
    }

    /// Whether an upstream has served this method.
    pub(super) fn is_served(&self, method: &str) -> bool {
        self.served.get(method).is_some()
    }

    /// An upstream has served this method. If a search found that out, the search was worth it and
    /// costs nothing.
    pub(super) fn serves(&self, method: &str, searched: bool) {
        if method.len() <= LONGEST_NAME {
            self.served.insert(method.into(), ());
        }
        if searched {
            let mut searches = self.searches.lock();
            searches.left = (searches.left + 1.0).min(BURST);
        }
    }

    /// Whether the other upstreams may be asked for another method that the first did not know.
    pub(super) fn may_search(&self, now: Instant) -> bool {
        let mut searches = self.searches.lock();
        let elapsed = now.saturating_duration_since(searches.refilled);
        searches.refilled = now;
        let refill = elapsed.as_secs_f64() / REFILL.as_secs_f64();
        searches.left = (searches.left + refill).min(BURST);
        let may = searches.left >= 1.0;
        if may {
            searches.left -= 1.0;
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn searches(unknown_methods: &UnknownMethods, now: Instant) -> usize {
        (0..1000)
            .filter(|_| unknown_methods.may_search(now))
            .count()
    }

    #[tokio::test(start_paused = true)]
    async fn of_a_thousand_inventions_a_handful_is_searched_for() {
        let now = Instant::now();
        let unknown_methods = UnknownMethods::new(now);
        assert_eq!(searches(&unknown_methods, now), 8);
        assert_eq!(searches(&unknown_methods, now + Duration::from_mins(2)), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_search_that_found_something_is_free_and_not_made_again() {
        let now = Instant::now();
        let unknown_methods = UnknownMethods::new(now);
        for _ in 0..100 {
            assert!(unknown_methods.may_search(now));
            unknown_methods.serves("doSomething", true);
        }
        assert!(unknown_methods.is_served("doSomething"));
        assert!(!unknown_methods.is_served("doNothing"));
    }

    #[tokio::test(start_paused = true)]
    async fn the_memory_is_bounded_and_keeps_what_is_asked_for() {
        let unknown_methods = UnknownMethods::new(Instant::now());
        unknown_methods.serves("doSomething", true);
        for number in 0..10 * MOST_SERVED {
            unknown_methods.serves(&format!("do{number}"), false);
            assert!(unknown_methods.is_served("doSomething"), "{number}");
        }
        let long = "x".repeat(LONGEST_NAME + 1);
        unknown_methods.serves(&long, false);
        assert!(!unknown_methods.is_served(&long));
        assert!(unknown_methods.served.len() <= MOST_SERVED);
    }

    #[tokio::test(start_paused = true)]
    async fn a_find_is_remembered_however_many_there_were_before() {
        let unknown_methods = UnknownMethods::new(Instant::now());
        for number in 0..10 * MOST_SERVED {
            unknown_methods.serves(&format!("do{number}"), false);
        }
        unknown_methods.serves("doSomething", true);
        assert!(unknown_methods.is_served("doSomething"));
    }
}
