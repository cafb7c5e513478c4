//! Refusals that others did not share: how many an upstream is allowed, for how long it is avoided
//! after that, and which calls try whether it has recovered. Pure, like the rest of the hold-off.

use std::hash::{DefaultHasher, Hasher};
use std::time::Duration;

use tokio::time::Instant;

/// This many in a row, without a good answer in between, are no accident.
const HANDFUL: u32 = 4;
/// Refusals further apart than this are not in a row.
const WINDOW: Duration = Duration::from_secs(30);
/// The first pause; each refused trial doubles it.
pub(in crate::upstream) const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause. Short, because a trial costs one retry and a recovered upstream should be
/// found soon.
const LONGEST_PAUSE: Duration = Duration::from_secs(4);
/// The longest if the upstream named the method or its own policy as the reason.
const LONGEST_POLICY: Duration = Duration::from_mins(1);
/// While a trial is in flight no other call is sent, for at most this long.
const TRIAL: Duration = Duration::from_secs(1);

/// What was refused, besides the method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::upstream) struct RefusalKind {
    /// Identifies a question: a hash of the parameters.
    pub(in crate::upstream) question: u64,
    /// The upstream gave the method or its policy as the reason.
    pub(in crate::upstream) policy: bool,
}

/// Identifies a question of one method.
pub(in crate::upstream) fn question(params: Option<&[u8]>) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(params.unwrap_or_default());
    hasher.finish()
}

/// The refusals of one method, or of all.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    count: u32,
    first: Option<Instant>,
    last: Option<Instant>,
    /// The only refused question, unless there were several.
    sole: Option<u64>,
    several: bool,
    pauses: u32,
    until: Option<Instant>,
    trying: bool,
}

impl Refusals {
    /// Records a refusal. Returns the pause if this one begins or prolongs it.
    pub(super) fn note(&mut self, refused: RefusalKind, now: Instant) -> Option<Duration> {
        let forgotten = |last: Instant| now.saturating_duration_since(last) > WINDOW;
        if !self.pauses(now) && self.last.is_some_and(forgotten) {
            *self = Self::default();
        }
        self.first.get_or_insert(now);
        self.last = Some(now);
        self.several |= self.sole.is_some_and(|sole| sole != refused.question);
        self.sole = Some(refused.question);
        self.count = self.count.saturating_add(1);
        let trial = std::mem::take(&mut self.trying);
        // Calls in flight when the pause began say nothing new.
        if self.count < HANDFUL || (self.pauses(now) && !trial) {
            return None;
        }
        let longest = if refused.policy {
            LONGEST_POLICY
        } else {
            LONGEST_PAUSE
        };
        let pause = FIRST_PAUSE
            .saturating_mul(2_u32.saturating_pow(self.pauses.min(16)))
            .min(longest);
        self.pauses = self.pauses.saturating_add(1);
        self.until = Some(now + pause);
        Some(pause)
    }

    /// Records a refusal after which no more are waited for.
    pub(super) fn close(&mut self, refused: RefusalKind, now: Instant) {
        self.several = true;
        self.count = self.count.max(HANDFUL);
        self.note(refused, now);
    }

    /// Whether calls are sent elsewhere: all, or, while only one question was ever refused, those
    /// that ask it. A caller with an odd question does not close the method for others.
    pub(super) fn excludes(&self, question: impl FnOnce() -> u64, now: Instant) -> bool {
        self.pauses(now) && (self.several || self.sole == Some(question()))
    }

    /// Begins a trial with the chosen call, and keeps others away meanwhile.
    pub(super) fn begin_trial(&mut self, now: Instant) {
        if self.until.is_some() && !self.pauses(now) {
            self.trying = true;
            self.until = Some(now + TRIAL);
        }
    }

    /// Whether nothing follows from it any more.
    pub(super) fn is_clear(&self, now: Instant) -> bool {
        !self.pauses(now)
            && self
                .last
                .is_none_or(|last| now.saturating_duration_since(last) > WINDOW)
    }

    /// Whether all calls are sent elsewhere.
    pub(super) fn closed(&self, now: Instant) -> bool {
        self.several && self.pauses(now)
    }

    /// When the first of the row was.
    pub(super) fn begun(&self) -> Option<Instant> {
        self.first
    }

    /// Whether the last one was before a moment.
    pub(super) fn are_before(&self, moment: Instant) -> bool {
        self.last.is_none_or(|last| last <= moment)
    }

    /// What is left of the pause.
    pub(super) fn left(&self, now: Instant) -> Option<Duration> {
        let left = self.until?.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }

    /// Whether it refuses, as far as is known: also between a pause and the next trial, which comes
    /// with the next call.
    pub(super) fn lasts(&self, now: Instant) -> bool {
        self.until.is_some() && !self.is_clear(now)
    }

    pub(super) fn pauses(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(question: u64) -> RefusalKind {
        RefusalKind {
            question,
            policy: false,
        }
    }

    fn refuse(refusals: &mut Refusals, questions: &[u64], now: Instant) {
        for question in questions {
            refusals.note(refused(*question), now);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_handful_of_refusals_closes_the_method() {
        let now = Instant::now();
        let mut refusals = Refusals::default();
        refuse(&mut refusals, &[1, 2, 3], now);
        assert!(!refusals.excludes(|| 9, now));
        assert_eq!(refusals.note(refused(4), now), Some(FIRST_PAUSE));
        assert!(refusals.excludes(|| 9, now), "whatever is asked");
    }

    #[tokio::test(start_paused = true)]
    async fn one_odd_question_closes_the_method_for_itself_only() {
        let now = Instant::now();
        let mut refusals = Refusals::default();
        refuse(&mut refusals, &[7; 100], now);
        assert!(refusals.excludes(|| 7, now));
        assert!(!refusals.excludes(|| 8, now));
        assert!(!refusals.closed(now));
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_far_apart_are_no_row() {
        let mut now = Instant::now();
        let mut refusals = Refusals::default();
        for question in 0..20 {
            refusals.note(refused(question), now);
            now += WINDOW + Duration::from_secs(1);
            assert!(!refusals.excludes(|| 99, now));
            assert!(refusals.is_clear(now));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn after_each_pause_one_call_tries_and_a_refusal_doubles_it() {
        let mut now = Instant::now();
        let mut refusals = Refusals::default();
        refuse(&mut refusals, &[1, 2, 3, 4], now);
        for expected in [1000, 2000, 4000, 4000] {
            now += Duration::from_secs(4);
            assert!(!refusals.excludes(|| 9, now));
            refusals.begin_trial(now);
            assert!(refusals.excludes(|| 9, now), "the others wait");
            let pause = refusals.note(refused(5), now);
            assert_eq!(pause, Some(Duration::from_millis(expected)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn between_a_pause_and_the_next_trial_it_lasts() {
        let mut now = Instant::now();
        let mut refusals = Refusals::default();
        refuse(&mut refusals, &[1, 2, 3], now);
        assert!(!refusals.lasts(now), "three are an accident");
        refuse(&mut refusals, &[4], now);
        now += FIRST_PAUSE * 2;
        assert!(!refusals.pauses(now) && refusals.lasts(now));
        assert_eq!(refusals.left(now), None, "the next call tries it");
        assert!(refusals.lasts(now + WINDOW / 2));
        assert!(!refusals.lasts(now + WINDOW), "nobody has tried it since");
    }

    #[tokio::test(start_paused = true)]
    async fn calls_that_were_under_way_together_count_once() {
        let now = Instant::now();
        let mut refusals = Refusals::default();
        refuse(&mut refusals, &[1, 2, 3, 4], now);
        assert_eq!(refusals.note(refused(5), now), None);
        assert!(!refusals.excludes(|| 9, now + FIRST_PAUSE));
    }

    #[tokio::test(start_paused = true)]
    async fn a_policy_is_asked_about_less_often() {
        let mut now = Instant::now();
        let mut refusals = Refusals::default();
        let policy = |question| RefusalKind {
            question,
            policy: true,
        };
        let mut longest = Duration::ZERO;
        for question in 0..20 {
            refusals.begin_trial(now);
            longest = longest.max(refusals.note(policy(question), now).unwrap_or_default());
            now += longest;
        }
        assert_eq!(longest, LONGEST_POLICY);
    }
}
