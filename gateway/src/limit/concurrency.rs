//! How many calls at once an upstream serves well, found from its latencies.
//!
//! A node executes some calls at once and lets the others wait, so its latency grows with the calls
//! in flight once these are more than it has workers. The limit grows while it is in use and
//! answers take about as long as they usually do, and shrinks when they take twice as long or are
//! refused for overload. Each answer is compared with the usual latency of its own method, so that
//! a mix of quick and slow methods does not look like overload.
//!
//! What is usual is learned only from times with few calls in flight, at most half of the limit;
//! otherwise an overload that lasts would become the usual. If the limit is in use all the time it
//! is therefore lowered to a quarter for a moment, every [`MEASURE_EVERY`].
//!
//! No clock and no I/O: callers pass the time.

use std::time::Duration;

use tokio::time::Instant;

use crate::solana::Method;
use usual::UsualLatencies;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
mod usual;

/// The limit never goes below this, and nothing is concluded while no more calls are in flight.
const FLOOR: usize = 4;
/// The limit at the beginning, when the usual latencies are not known.
const FIRST: usize = 64;

/// Answers needed for a conclusion, and the shortest time between two.
const ENOUGH: u32 = 20;
const SHORTEST: Duration = Duration::from_millis(100);
/// If there are fewer answers, these after a longer time;
const FEW: u32 = 8;
const LONG: Duration = Duration::from_secs(3);
/// after this time what was observed is forgotten.
const LONGEST: Duration = Duration::from_secs(10);

/// Up to this slowdown (latency as a multiple of the usual one) there is room for more calls.
const ROOM: f64 = 1.5;
/// Above this one there are too many, if it is found this many times in a row.
const SLOW: f64 = 2.0;
const STRIKES: u8 = 2;
/// Smallest and largest factor of one reduction.
const REDUCE: (f64, f64) = (0.5, 0.9);
/// Factor if the upstream refuses calls: a tenth of them, and at least [`LEAST_REFUSED`].
const REFUSED: f64 = 0.7;
const LEAST_REFUSED: u32 = 2;

/// How often the usual latency is measured although the limit is in use all the time.
const MEASURE_EVERY: Duration = Duration::from_secs(30);
/// The same for the first time, and after a measurement that found much lower latencies.
const MEASURE_SOON: Duration = Duration::from_secs(2);
const MUCH_LOWER: f64 = 0.8;
/// The part of the limit that is used meanwhile.
const MEASURE_WITH: f64 = 0.25;

/// How a call ended, as far as it says something about the load of its upstream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LoadSample {
    Answered {
        method: Method,
        /// From the request written to the end of the answer; without waiting in the gateway.
        latency: Duration,
    },
    /// It was refused for overload, or not answered in time.
    Overloaded,
}

/// Use of the upstream's places when the call ended, the call included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlacesInUse {
    pub used: usize,
    /// Whether calls wait for a place.
    pub waiting: bool,
}

/// Why the limit was moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitMove {
    /// It was in use, and answers took as long as usual.
    Grown,
    /// Answers took much longer than usual.
    Slower,
    /// The upstream refused calls for overload, or did not answer them in time.
    Overloaded,
    /// Lowered for a moment, to measure the usual latencies.
    Measuring,
    /// Back to what it was before that.
    Measured,
}

impl LimitMove {
    pub const ALL: [Self; 5] = [
        Self::Grown,
        Self::Slower,
        Self::Overloaded,
        Self::Measuring,
        Self::Measured,
    ];

    /// The value of a metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Grown => "grown",
            Self::Slower => "slower",
            Self::Overloaded => "overloaded",
            Self::Measuring => "measuring",
            Self::Measured => "measured",
        }
    }
}

/// The limit of one upstream.
#[derive(Debug)]
pub struct ConcurrencyLimit {
    floor: f64,
    ceiling: f64,
    limit: f64,
    /// It has not been reduced yet, and doubles.
    searching: bool,
    /// The limit to go back to once the usual latencies are measured.
    measuring: Option<f64>,
    measure_at: Instant,
    /// When the limit was last moved: answers to earlier calls tell of another limit.
    moved_at: Instant,
    strikes: u8,
    usual: UsualLatencies,
    window: Window,
}

/// What was observed since the last conclusion.
#[derive(Debug)]
struct Window {
    begun: Instant,
    answers: u32,
    refused: u32,
    /// Answers of methods whose usual latency is known, and the logarithms of their slowdowns.
    compared: u32,
    slowdowns: f64,
    most_used: usize,
    waiting: bool,
}

impl Window {
    fn new(now: Instant) -> Self {
        Self {
            begun: now,
            answers: 0,
            refused: 0,
            compared: 0,
            slowdowns: 0.0,
            most_used: 0,
            waiting: false,
        }
    }

    /// The geometric mean, which single slow answers hardly move; `None` if too few can be
    /// compared.
    fn slowdown(&self) -> Option<f64> {
        let enough = self.compared >= FEW;
        enough.then(|| (self.slowdowns / f64::from(self.compared)).exp())
    }

    fn samples(&self) -> u32 {
        self.answers + self.refused
    }
}

fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

impl ConcurrencyLimit {
    /// Never above `ceiling`, which is at least 1.
    pub fn new(ceiling: usize, now: Instant) -> Self {
        let ceiling = ceiling.max(1);
        Self {
            floor: number(FLOOR.min(ceiling)),
            ceiling: number(ceiling),
            limit: number(FIRST.min(ceiling)),
            searching: true,
            measuring: None,
            measure_at: now + MEASURE_SOON,
            moved_at: now,
            strikes: 0,
            usual: UsualLatencies::default(),
            window: Window::new(now),
        }
    }

    /// Calls that may be in flight at once; at least 1.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between the floor and the ceiling, both of which are a usize"
    )]
    pub fn limit(&self) -> usize {
        self.limit as usize
    }

    /// A call has ended. Returns why the limit was moved, if it was.
    pub fn observe(
        &mut self,
        sample: LoadSample,
        places: PlacesInUse,
        now: Instant,
    ) -> Option<LimitMove> {
        self.window.most_used = self.window.most_used.max(places.used);
        self.window.waiting |= places.waiting;
        match sample {
            LoadSample::Overloaded => self.window.refused += 1,
            LoadSample::Answered { method, latency } => self.answered(method, latency, now),
        }
        let lasted = now.saturating_duration_since(self.window.begun);
        let samples = self.window.samples();
        let complete = samples >= ENOUGH && lasted >= SHORTEST;
        if complete || (samples >= FEW && lasted >= LONG) {
            let window = std::mem::replace(&mut self.window, Window::new(now));
            return self.conclude(&window, now);
        }
        if lasted < LONGEST {
            return None;
        }
        self.window = Window::new(now);
        self.usual.forget_window();
        // Too little is called for a measurement, or for the limit to matter.
        let back = self.measuring.take()?;
        Some(self.move_to(back, LimitMove::Measured, now))
    }

    fn answered(&mut self, method: Method, latency: Duration, now: Instant) {
        let started = now.checked_sub(latency).unwrap_or(now);
        if started < self.moved_at {
            return;
        }
        self.window.answers += 1;
        if let Some(slowdown) = self.usual.observe(method, latency) {
            self.window.compared += 1;
            self.window.slowdowns += slowdown;
        }
    }

    fn conclude(&mut self, window: &Window, now: Instant) -> Option<LimitMove> {
        let used = number(window.most_used);
        let in_use = window.waiting || used >= self.limit * 0.9;
        let slowdown = window.slowdown();
        // So few calls do not overload anything.
        let harmless = used <= self.floor || (!in_use && used <= self.floor * 2.0);
        self.learn(used, in_use, slowdown, now);
        if let Some(back) = self.measuring.take() {
            let much_lower = slowdown.is_some_and(|slowdown| slowdown < MUCH_LOWER);
            let pause = if much_lower {
                MEASURE_SOON
            } else {
                MEASURE_EVERY
            };
            self.measure_at = now + pause;
            self.strikes = 0;
            return Some(self.move_to(back, LimitMove::Measured, now));
        }
        // From where it is reduced: a limit that is far above what is in use has no effect.
        let effective = if in_use {
            self.limit
        } else {
            self.limit.min(used)
        };
        let many = window.refused * 10 >= window.samples();
        if window.refused >= LEAST_REFUSED && many && !harmless {
            return self.reduce(effective * REFUSED, LimitMove::Overloaded, now);
        }
        let slowdown = slowdown?;
        if slowdown > SLOW {
            self.strikes = self.strikes.saturating_add(1);
            if harmless || self.strikes < STRIKES {
                return None;
            }
            let factor = (ROOM / slowdown).clamp(REDUCE.0, REDUCE.1);
            return self.reduce(effective * factor, LimitMove::Slower, now);
        }
        self.strikes = 0;
        if !in_use {
            return None;
        }
        if now >= self.measure_at && self.limit > self.floor {
            self.measuring = Some(self.limit);
            let few = (self.limit * MEASURE_WITH).max(self.floor);
            return Some(self.move_to(few, LimitMove::Measuring, now));
        }
        if slowdown > ROOM || self.limit >= self.ceiling {
            return None;
        }
        let more = if self.searching {
            self.limit
        } else {
            self.limit.sqrt()
        };
        Some(self.move_to(self.limit + more, LimitMove::Grown, now))
    }

    /// Whether and how much the latencies of this window count as usual ones.
    fn learn(&mut self, used: f64, in_use: bool, slowdown: Option<f64>, now: Instant) {
        let fewest = self.measuring.is_some() || used <= self.floor || self.limit <= self.floor;
        let few = !in_use && used <= self.limit / 2.0;
        let calm = slowdown.is_none_or(|slowdown| slowdown <= ROOM);
        let changed = !calm || slowdown.is_some_and(|slowdown| slowdown < 1.0 / ROOM);
        if self.measuring.is_some() || (fewest && changed) {
            self.usual.learn_fast();
        } else if fewest || (few && calm) {
            self.usual.learn();
        } else {
            self.usual.learn_unknown(slowdown.unwrap_or(1.0));
            return;
        }
        self.measure_at = self.measure_at.max(now + MEASURE_SOON);
    }

    fn reduce(&mut self, limit: f64, cause: LimitMove, now: Instant) -> Option<LimitMove> {
        self.strikes = 0;
        if self.limit <= self.floor {
            return None;
        }
        self.searching = false;
        Some(self.move_to(limit, cause, now))
    }

    fn move_to(&mut self, limit: f64, cause: LimitMove, now: Instant) -> LimitMove {
        self.limit = limit.clamp(self.floor, self.ceiling);
        self.moved_at = now;
        self.window = Window::new(now);
        self.usual.forget_window();
        cause
    }
}
