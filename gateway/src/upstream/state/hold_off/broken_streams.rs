//! Streamed answers that began well and broke off: how many of a method an upstream is allowed, for how
//! long it is avoided after that, and which calls try whether it has recovered. Pure, like the rest of
//! the hold-off.
//!
//! Unlike a refusal, such an answer is lost for its caller: no other upstream can be asked once bytes
//! have been passed on. So trials are rarer here, and a small answer of the method, which is checked
//! before it is delivered, does not end the pause: only a stream that reached its end does.

use std::time::Duration;

use tokio::time::Instant;

/// This many in a row, without one in between that was whole, are no accident.
const HANDFUL: u32 = 4;
/// Those further apart than this are not in a row.
const WINDOW: Duration = Duration::from_mins(2);
/// The first pause; each broken trial doubles it.
pub(in crate::upstream) const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// While a trial is in flight no other call is sent, for at most this long.
const TRIAL: Duration = Duration::from_secs(5);
/// After this many trials whose answers did not stream all is forgotten: large answers may never be
/// requested again.
const MOST_TRIALS: u32 = 3;

/// The broken streams of one method.
#[derive(Debug, Default)]
pub(super) struct BrokenStreams {
    count: u32,
    last: Option<Instant>,
    /// The only question whose answers broke off, unless there were several.
    sole: Option<u64>,
    several: bool,
    pauses: u32,
    until: Option<Instant>,
    /// Trials since the last pause began.
    trials: u32,
}

impl BrokenStreams {
    /// Records one. Returns the pause if this one begins or prolongs it.
    pub(super) fn note(&mut self, question: u64, now: Instant) -> Option<Duration> {
        let forgotten = |last: Instant| now.saturating_duration_since(last) > WINDOW;
        if self.until.is_none() && self.last.is_some_and(forgotten) {
            *self = Self::default();
        }
        self.last = Some(now);
        self.several |= self.sole.is_some_and(|sole| sole != question);
        self.sole = Some(question);
        self.count = self.count.saturating_add(1);
        let trial = std::mem::take(&mut self.trials) > 0;
        // Calls in flight when the pause began say nothing new.
        if self.count < HANDFUL || (self.pauses(now) && !trial) {
            return None;
        }
        let pause = FIRST_PAUSE
            .saturating_mul(2_u32.saturating_pow(self.pauses.min(16)))
            .min(LONGEST_PAUSE);
        self.pauses = self.pauses.saturating_add(1);
        self.until = Some(now + pause);
        Some(pause)
    }

    /// A stream that began at `started` reached its end.
    pub(super) fn ended_well(&mut self, started: Instant) {
        if self.last.is_none_or(|last| last <= started) {
            *self = Self::default();
        }
    }

    /// Whether calls are sent elsewhere: all, or, while only one question was concerned, those that
    /// ask it.
    pub(super) fn excludes(&self, question: impl FnOnce() -> u64, now: Instant) -> bool {
        self.pauses(now) && (self.several || self.sole == Some(question()))
    }

    /// Begins a trial with the chosen call, and keeps others away meanwhile.
    pub(super) fn begin_trial(&mut self, now: Instant) {
        if self.until.is_none() || self.pauses(now) {
            return;
        }
        if self.trials >= MOST_TRIALS {
            *self = Self::default();
        } else {
            self.trials += 1;
            self.until = Some(now + TRIAL);
        }
    }

    /// Whether there was none.
    pub(super) fn is_empty(&self) -> bool {
        self.last.is_none()
    }

    /// Whether nothing follows from it any more.
    pub(super) fn is_clear(&self, now: Instant) -> bool {
        !self.pauses(now)
            && self
                .last
                .is_none_or(|last| now.saturating_duration_since(last) > WINDOW)
    }

    /// What is left of the pause.
    pub(super) fn left(&self, now: Instant) -> Option<Duration> {
        let left = self.until?.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }

    fn pauses(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(questions: &[u64], now: Instant) -> BrokenStreams {
        let mut streams = BrokenStreams::default();
        for question in questions {
            streams.note(*question, now);
        }
        streams
    }

    #[tokio::test(start_paused = true)]
    async fn a_handful_closes_the_method_whatever_is_asked() {
        let now = Instant::now();
        let mut streams = broken(&[1, 2, 3], now);
        assert!(!streams.excludes(|| 9, now));
        assert_eq!(streams.note(4, now), Some(FIRST_PAUSE));
        assert!(streams.excludes(|| 9, now));
        assert!(!streams.excludes(|| 9, now + FIRST_PAUSE));
    }

    #[tokio::test(start_paused = true)]
    async fn one_question_closes_the_method_for_itself_only() {
        let now = Instant::now();
        let streams = broken(&[7; 9], now);
        assert!(streams.excludes(|| 7, now));
        assert!(!streams.excludes(|| 8, now));
    }

    #[tokio::test(start_paused = true)]
    async fn each_broken_trial_doubles_the_pause_however_late_it_breaks() {
        let mut now = Instant::now();
        let mut streams = broken(&[1, 2, 3, 4], now);
        let mut pause = FIRST_PAUSE;
        for expected in [10, 20, 40, 60, 60] {
            now += pause;
            streams.begin_trial(now);
            assert!(streams.excludes(|| 9, now), "the others wait");
            now += Duration::from_secs(8);
            pause = Duration::from_secs(expected);
            assert_eq!(streams.note(5, now), Some(pause));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_began_afterwards_and_ended_well_clears_it() {
        let now = Instant::now();
        let mut streams = broken(&[1, 2, 3, 4], now);
        streams.ended_well(now.checked_sub(Duration::from_secs(1)).unwrap());
        assert!(streams.excludes(|| 9, now), "it began before");
        streams.ended_well(now);
        assert!(!streams.excludes(|| 9, now));
        assert!(streams.is_empty() && streams.is_clear(now));
    }

    #[tokio::test(start_paused = true)]
    async fn trials_that_show_nothing_end_it() {
        let mut now = Instant::now();
        let mut streams = broken(&[1, 2, 3, 4], now);
        now += FIRST_PAUSE;
        for _ in 0..MOST_TRIALS {
            streams.begin_trial(now);
            assert!(streams.excludes(|| 9, now));
            now += TRIAL;
        }
        streams.begin_trial(now);
        assert!(streams.is_empty());
        assert!(!streams.excludes(|| 9, now));
    }

    #[tokio::test(start_paused = true)]
    async fn those_far_apart_are_no_row() {
        let mut now = Instant::now();
        let mut streams = BrokenStreams::default();
        for question in 0..20 {
            assert_eq!(streams.note(question, now), None);
            now += WINDOW + Duration::from_secs(1);
            assert!(streams.is_clear(now));
        }
    }
}
