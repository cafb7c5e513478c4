//! Experience with an upstream's sockets: when it may be tried again, and which subscriptions it
//! lacks. Pure: the time is passed in.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::unopened::UnopenedSockets;
use crate::pubsub::subscription_kind::SubscriptionKind;

/// The first pause after a failure, and the longest.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(30);
/// The longest pause that an upstream can ask for: none can take itself out for good.
const LONGEST_NAMED: Duration = Duration::from_mins(5);
/// A socket that was open for this long does not count as a failure.
const LASTING: Duration = Duration::from_secs(10);
/// Failures after which an upstream counts as offering no socket, and for how long.
const ENOUGH: u32 = 4;
const GIVEN_UP: Duration = Duration::from_mins(10);
/// How long other upstreams are preferred to one that has sent invalid messages: doubled with each
/// time, up to the longest.
const DISTRUST: Duration = Duration::from_secs(10);
const LONGEST_DISTRUST: Duration = Duration::from_mins(10);
/// How long a method counts as missing.
const LACKS: Duration = Duration::from_mins(5);

#[derive(Debug, Default)]
pub(super) struct FeedStatus {
    failures: u32,
    again_at: Option<Instant>,
    opened_at: Option<Instant>,
    failed_at: Option<Instant>,
    lacks: HashMap<SubscriptionKind, Instant>,
    /// How often it has sent invalid messages, and until when it is not trusted for that.
    garbled: u32,
    trusted_at: Option<Instant>,
    /// Where no socket could be opened since one was.
    pub(super) unopened: UnopenedSockets,
    /// Since when it has been healthy.
    pub(super) fit_since: Option<Instant>,
}

impl FeedStatus {
    /// The index of the address to try.
    pub(super) fn address(&self) -> usize {
        self.failures as usize
    }

    pub(super) fn may_be_tried(&self, now: Instant) -> bool {
        self.again_at.is_none_or(|at| now >= at)
    }

    /// The same for a socket that no topic needs: if none could be opened for long, the next
    /// attempt can wait.
    pub(super) fn may_be_watched(&self, now: Instant) -> bool {
        let long_ago = |at: Instant| now.saturating_duration_since(at) >= GIVEN_UP;
        self.may_be_tried(now) && (self.failures < ENOUGH || self.failed_at.is_none_or(long_ago))
    }

    pub(super) fn has(&self, kind: SubscriptionKind, now: Instant) -> bool {
        self.lacks.get(&kind).is_none_or(|until| now >= *until)
    }

    pub(super) fn lacks(&mut self, kind: SubscriptionKind, now: Instant) {
        self.lacks.insert(kind, now + LACKS);
    }

    /// A socket was opened. Failures are forgotten once it has lasted.
    pub(super) fn opened(&mut self, now: Instant) {
        self.again_at = None;
        self.opened_at = Some(now);
        self.failed_at = None;
    }

    /// No socket could be opened.
    pub(super) fn failed(&mut self, retry_after: Option<Duration>, now: Instant) {
        self.failed_at = Some(now);
        let named = retry_after.unwrap_or_default().min(LONGEST_NAMED);
        let pause = self.pause().max(named);
        self.failures = self.failures.saturating_add(1);
        self.rest(pause, now);
    }

    /// An open one was lost. Its address is the right one: failures are counted in steps that keep
    /// it.
    pub(super) fn lost(&mut self, now: Instant) {
        let lasted = |at: Instant| now.saturating_duration_since(at) >= LASTING;
        if self.opened_at.take().is_some_and(lasted) {
            self.failures %= 2;
        }
        let pause = self.pause();
        self.failures = self.failures.saturating_add(2);
        self.rest(pause, now);
    }

    /// The same because it sent invalid messages: however long that took, it is a failure.
    pub(super) fn garbled(&mut self, now: Instant) {
        let long_ago = |at: Instant| now.saturating_duration_since(at) >= LONGEST_DISTRUST;
        if self.trusted_at.is_some_and(long_ago) {
            self.garbled = 0;
        }
        let doubled = DISTRUST.saturating_mul(1 << self.garbled.min(16));
        self.garbled = self.garbled.saturating_add(1);
        self.trusted_at = Some(now + doubled.min(LONGEST_DISTRUST));
        self.opened_at = None;
        self.lost(now);
    }

    /// Whether others are preferred for what it has sent.
    pub(super) fn is_distrusted(&self, now: Instant) -> bool {
        self.trusted_at.is_some_and(|at| now < at)
    }

    fn pause(&self) -> Duration {
        let doubled = FIRST.saturating_mul(1 << (self.failures / 2).min(16));
        doubled.min(LONGEST)
    }

    fn rest(&mut self, pause: Duration, now: Instant) {
        // So that gateways do not reconnect at the same time.
        let spread = pause.mul_f64(0.25 * fastrand::f64());
        self.again_at = Some(now + pause + spread);
        self.fit_since = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_upstream_can_take_itself_out_for_good() {
        let (mut standing, now) = (FeedStatus::default(), Instant::now());
        standing.failed(Some(Duration::MAX), now);
        assert!(!standing.may_be_tried(now + LONGEST_NAMED));
        assert!(standing.may_be_tried(now + LONGEST_NAMED * 2));
    }

    #[test]
    fn pauses_grow_and_both_addresses_are_tried() {
        let (mut standing, now) = (FeedStatus::default(), Instant::now());
        assert!(standing.may_be_tried(now));
        let mut addresses = Vec::new();
        for _ in 0..40 {
            addresses.push(standing.address() % 2);
            standing.failed(None, now);
            assert!(!standing.may_be_tried(now));
        }
        assert_eq!(addresses[..4], [0, 1, 0, 1]);
        assert!(!standing.may_be_tried(now + LONGEST - FIRST));
        assert!(standing.may_be_tried(now + LONGEST.mul_f64(1.25)));
        let address = standing.address() % 2;
        standing.opened(now);
        assert!(standing.may_be_tried(now));
        assert_eq!(standing.address() % 2, address, "the one that answered");
        standing.lost(now + LASTING);
        assert_eq!(standing.address() % 2, address);
        assert!(
            standing.may_be_tried(now + LASTING + FIRST * 2),
            "it had lasted"
        );
    }

    #[test]
    fn sockets_that_do_not_last_are_failures() {
        let (mut standing, mut now) = (FeedStatus::default(), Instant::now());
        let mut waited = Duration::ZERO;
        for _ in 0..5 {
            standing.opened(now);
            standing.lost(now);
            let before = now;
            while !standing.may_be_tried(now) {
                now += Duration::from_millis(10);
            }
            assert!(now - before > waited);
            waited = now - before;
        }
        assert!(waited >= FIRST * 16);
    }

    #[test]
    fn an_upstream_without_sockets_is_left_alone_unless_one_is_needed() {
        let (mut standing, now) = (FeedStatus::default(), Instant::now());
        for _ in 0..ENOUGH {
            assert!(standing.may_be_watched(now + LONGEST * 2));
            standing.failed(None, now);
        }
        let later = now + LONGEST * 2;
        assert!(standing.may_be_tried(later) && !standing.may_be_watched(later));
        assert!(standing.may_be_watched(now + GIVEN_UP));
        // One that had sockets is looked after, however often it loses them.
        standing.opened(later);
        for _ in 0..10 {
            standing.lost(later);
        }
        assert!(standing.may_be_watched(later + LONGEST * 2));
    }

    #[test]
    fn others_are_preferred_for_longer_each_time_that_it_sends_invalid_messages() {
        let (mut standing, mut now) = (FeedStatus::default(), Instant::now());
        for doubled in [1, 2, 4, 8, 16, 32, 60, 60] {
            standing.opened(now);
            now += LASTING * 2;
            assert!(!standing.is_distrusted(now), "{doubled}");
            standing.garbled(now);
            assert!(!standing.may_be_tried(now));
            let trusted_at = now + DISTRUST * doubled;
            now += DISTRUST * (doubled - 1);
            assert!(standing.is_distrusted(now), "{doubled}");
            now = trusted_at;
        }
        now += LONGEST_DISTRUST;
        standing.garbled(now);
        assert!(!standing.is_distrusted(now + DISTRUST), "forgotten");
    }

    #[test]
    fn a_wait_that_is_asked_for_is_kept() {
        let (mut standing, now) = (FeedStatus::default(), Instant::now());
        standing.failed(Some(Duration::from_secs(7)), now);
        assert!(!standing.may_be_tried(now + Duration::from_millis(6999)));
    }

    #[test]
    fn a_method_that_is_missing_is_asked_for_again_in_time() {
        let (mut standing, now) = (FeedStatus::default(), Instant::now());
        standing.lacks(SubscriptionKind::Block, now);
        assert!(!standing.has(SubscriptionKind::Block, now));
        assert!(standing.has(SubscriptionKind::Slot, now));
        assert!(standing.has(SubscriptionKind::Block, now + LACKS));
    }
}
