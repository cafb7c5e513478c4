//! How long each method usually takes at one upstream while little is asked of it.

use std::time::Duration;

use crate::solana::Method;

/// All methods, with sums for those that Agave does not have.
const METHODS: usize = Method::NamedAsRead as usize + 1;

/// Added to what is compared: a millisecond more or less is the machine's noise, or the gateway's.
const NOISE: f64 = 0.002;

/// After this many answers a latency counts as known.
const KNOWN: u32 = 8;
/// This many new answers weigh as much as all before.
const MEMORY: f64 = 80.0;
const SHORT_MEMORY: f64 = 10.0;

/// Latencies of all methods of one upstream.
#[derive(Debug)]
pub(super) struct UsualLatencies(Box<[UsualLatency; METHODS]>);

impl Default for UsualLatencies {
    fn default() -> Self {
        Self(Box::new([UsualLatency::default(); METHODS]))
    }
}

/// Latency of one method, as logarithms of seconds: its mean is then the geometric one, which few
/// slow answers hardly move.
#[derive(Clone, Copy, Debug, Default)]
struct UsualLatency {
    logarithm: f64,
    /// `ln(latency + NOISE)`
    compared: f64,
    known: u32,
    /// What was observed since the last conclusion.
    sum: f64,
    answers: u32,
}

impl UsualLatencies {
    /// Notes an answer. Returns the logarithm of its latency as a multiple of the usual one, if that
    /// is known.
    pub(super) fn observe(&mut self, method: Method, latency: Duration) -> Option<f64> {
        let usual = self.0.get_mut(method as usize)?;
        let seconds = latency.as_secs_f64().max(1e-6);
        usual.sum += seconds.ln();
        usual.answers += 1;
        (usual.known >= KNOWN).then(|| (seconds + NOISE).ln() - usual.compared)
    }

    /// What was observed is usual.
    pub(super) fn learn(&mut self) {
        self.each(|usual| usual.learn(0.0, MEMORY));
    }

    /// The same, and what was known before hardly counts.
    pub(super) fn learn_fast(&mut self) {
        self.each(|usual| usual.learn(0.0, SHORT_MEMORY));
    }

    /// What was observed is not usual, but `slowdown` times as slow: it counts only for methods of
    /// which nothing is known yet.
    pub(super) fn learn_unknown(&mut self, slowdown: f64) {
        let less = slowdown.max(1.0).ln();
        self.each(|usual| {
            if usual.known < KNOWN {
                usual.learn(less, MEMORY);
            }
        });
    }

    /// Drops what was observed and not learned.
    pub(super) fn forget_window(&mut self) {
        self.each(|_| {});
    }

    fn each(&mut self, learn: impl Fn(&mut UsualLatency)) {
        for usual in self.0.iter_mut().filter(|usual| usual.answers > 0) {
            learn(usual);
            usual.sum = 0.0;
            usual.answers = 0;
        }
    }
}

impl UsualLatency {
    fn learn(&mut self, less: f64, memory: f64) {
        let new = f64::from(self.answers);
        // At first the plain mean of all.
        let share = (new / (new + memory)).max(new / (new + f64::from(self.known)));
        let mean = self.sum / new - less;
        self.logarithm += (mean - self.logarithm) * share;
        self.compared = (self.logarithm.exp() + NOISE).ln();
        self.known = self.known.saturating_add(self.answers);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(usual: &mut UsualLatencies, method: Method, milliseconds: u64, count: usize) {
        for _ in 0..count {
            usual.observe(method, Duration::from_millis(milliseconds));
        }
    }

    #[test]
    fn a_method_is_compared_with_itself_once_it_is_known() {
        let mut usual = UsualLatencies::default();
        let quick = Duration::from_millis(10);
        assert_eq!(usual.observe(Method::GetSlot, quick), None);
        times(&mut usual, Method::GetSlot, 10, 7);
        usual.learn();
        let slowdown = usual.observe(Method::GetSlot, Duration::from_millis(22));
        assert!((slowdown.unwrap().exp() - 2.0).abs() < 0.01);
        assert_eq!(usual.observe(Method::GetBlock, quick), None);
    }

    #[test]
    fn what_was_not_learned_is_forgotten() {
        let mut usual = UsualLatencies::default();
        times(&mut usual, Method::GetSlot, 10, 10);
        usual.learn();
        times(&mut usual, Method::GetSlot, 500, 100);
        usual.learn_unknown(4.0);
        times(&mut usual, Method::GetSlot, 500, 100);
        usual.forget_window();
        let slowdown = usual.observe(Method::GetSlot, Duration::from_millis(10));
        assert!(slowdown.unwrap().abs() < 0.01);
    }

    #[test]
    fn an_unknown_method_under_load_counts_as_slow_as_the_others() {
        let mut usual = UsualLatencies::default();
        times(&mut usual, Method::GetBlock, 400, 10);
        usual.learn_unknown(4.0);
        let slowdown = usual.observe(Method::GetBlock, Duration::from_millis(100));
        assert!(slowdown.unwrap().abs() < 0.02);
    }

    #[test]
    fn noise_around_fast_answers_is_no_slowdown() {
        let mut usual = UsualLatencies::default();
        times(&mut usual, Method::GetSlot, 0, 10);
        usual.learn();
        let slowdown = usual.observe(Method::GetSlot, Duration::from_millis(1));
        assert!(slowdown.unwrap().exp() < 1.6);
    }
}
