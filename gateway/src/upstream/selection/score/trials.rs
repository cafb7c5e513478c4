//! When an upstream that is dearer than another gets a trial call. Lock-free, like the score.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::millis::elapsed;

/// The first trial comes this long after the last answer, in milliseconds. A trial without a quick
/// answer doubles the pause,
const FIRST: u32 = 1_000;
/// at most this often: at 20 calls a second, one call of 80 is a trial.
const DOUBLINGS: u32 = 2;

/// The last trial and its result, in one atomic. Two threads at once lose one of two results.
#[derive(Debug, Default)]
pub(super) struct Trials(AtomicU64);

/// What the trials have shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TrialState {
    /// None is needed, or none was made yet.
    Idle,
    /// So many in a row are unanswered or were slow.
    Slow(u32),
    /// The last one was much faster than the mean, so the next need not wait.
    Quick,
}

impl TrialState {
    const QUICK: u32 = u32::MAX;

    fn number(self) -> u32 {
        match self {
            Self::Idle => 0,
            Self::Slow(times) => times,
            Self::Quick => Self::QUICK,
        }
    }

    fn of(number: u32) -> Self {
        match number {
            0 => Self::Idle,
            Self::QUICK => Self::Quick,
            times => Self::Slow(times),
        }
    }
}

impl Trials {
    /// Begins a trial at `at`, in milliseconds, if one is due. The last answer came `since` before.
    pub(super) fn begin(&self, at: u32, since: u32) -> bool {
        let before = self.0.load(Ordering::Relaxed);
        let (state, last) = unpacked(before);
        let elapsed = elapsed(last, at);
        let (due, next) = match state {
            TrialState::Idle => (since >= FIRST, 1),
            TrialState::Quick => (true, 1),
            TrialState::Slow(times) => {
                let pause = FIRST << times.saturating_sub(1).min(DOUBLINGS);
                (elapsed >= pause, times.saturating_add(1).min(DOUBLINGS + 1))
            }
        };
        let after = packed(TrialState::Slow(next), at);
        let exchange = |before, after| {
            self.0
                .compare_exchange(before, after, Ordering::Relaxed, Ordering::Relaxed)
        };
        due && exchange(before, after).is_ok()
    }

    /// A quick answer arrived. Returns whether there was a trial that it may belong to.
    pub(super) fn quick(&self) -> bool {
        let (state, last) = unpacked(self.0.load(Ordering::Relaxed));
        if state == TrialState::Idle {
            return false;
        }
        self.0
            .store(packed(TrialState::Quick, last), Ordering::Relaxed);
        true
    }

    /// A slow answer arrived at `at`. Returns whether it belongs to a call from before the last
    /// trial, which was quick; if not, trials are over, or the last one was slow.
    pub(super) fn outdate(&self, at: u32, latency: Duration) -> bool {
        let (state, last) = unpacked(self.0.load(Ordering::Relaxed));
        if state != TrialState::Quick {
            return false;
        }
        let latency = u32::try_from(latency.as_millis()).unwrap_or(u32::MAX);
        if elapsed(last, at) < latency {
            return true;
        }
        self.0.store(packed(TrialState::Idle, 0), Ordering::Relaxed);
        false
    }
}

fn packed(state: TrialState, last: u32) -> u64 {
    u64::from(state.number()) << 32 | u64::from(last)
}

fn unpacked(both: u64) -> (TrialState, u32) {
    let half = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).unwrap_or_default();
    (TrialState::of(half(both >> 32)), half(both))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trials_come_ever_more_rarely_until_one_is_quick() {
        let trials = Trials::default();
        assert!(!trials.begin(5_000, 999));
        assert!(!trials.quick(), "no trial");
        let mut at = 5_000;
        for pause in [1_000, 2_000, 4_000, 4_000] {
            assert!(trials.begin(at, 1_000));
            assert!(!trials.begin(at + pause - 1, 1_000), "after {pause}");
            at += pause;
        }
        assert!(trials.quick());
        assert!(trials.begin(at, 0), "one after the other");
        assert!(!trials.begin(at, 0), "but not at once");
        assert!(trials.quick());
        assert!(trials.begin(at, 0));
    }

    #[test]
    fn a_slow_answer_ends_them_unless_its_call_began_before() {
        let trials = Trials::default();
        let ms = Duration::from_millis;
        assert!(!trials.outdate(9_000, ms(5_000)), "no trial");
        assert!(trials.begin(10_000, 1_000));
        assert!(!trials.outdate(10_500, ms(500)), "the trial itself");
        assert!(trials.quick());
        assert!(trials.outdate(10_600, ms(5_000)));
        assert!(!trials.outdate(10_700, ms(300)));
        assert!(!trials.quick(), "they are over");
    }
}
