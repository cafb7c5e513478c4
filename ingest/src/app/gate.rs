//! A breaker that many tasks share: they wait at it, and it shows its state in metrics.

use parking_lot::Mutex;
use prometheus::IntGauge;
use tokio::sync::watch;
use tokio::time::{Duration, Instant, sleep_until};

use crate::app::breaker::{Admission, Breaker, BreakerState};
use crate::config;

/// How often trials of others are looked after.
const AGAIN: Duration = Duration::from_millis(100);

/// A sink's breaker.
#[derive(Debug)]
pub(super) struct Gate {
    breaker: Mutex<Breaker>,
    shown: watch::Sender<BreakerState>,
    gauge: IntGauge,
}

/// The right to one call. Dropped without a word, it says nothing about the sink.
#[derive(Debug)]
pub(super) struct Pass<'g>(Option<&'g Gate>);

impl Gate {
    pub(super) fn new(settings: config::Breaker, gauge: IntGauge) -> Self {
        Self {
            breaker: Mutex::new(Breaker::new(settings)),
            shown: watch::Sender::new(BreakerState::Closed),
            gauge,
        }
    }

    pub(super) fn state(&self) -> BreakerState {
        *self.shown.borrow()
    }

    /// Tells of every change of state.
    pub(super) fn changes(&self) -> watch::Receiver<BreakerState> {
        self.shown.subscribe()
    }

    /// Waits until a call is admitted. Cancel safe.
    pub(super) async fn pass(&self) -> Pass<'_> {
        loop {
            match self.try_pass() {
                Ok(pass) => return pass,
                Err(until) => sleep_until(until).await,
            }
        }
    }

    /// A call now, or when to ask again.
    pub(super) fn try_pass(&self) -> Result<Pass<'_>, Instant> {
        let now = Instant::now();
        let admission = self.with(|breaker| breaker.admit(now));
        match admission {
            Admission::Free | Admission::Trial => Ok(Pass(Some(self))),
            Admission::Refused(until) => Err(until.unwrap_or(now + AGAIN)),
        }
    }

    fn with<T>(&self, change: impl FnOnce(&mut Breaker) -> T) -> T {
        let mut breaker = self.breaker.lock();
        let answer = change(&mut breaker);
        let state = breaker.state();
        self.gauge.set(state.number());
        self.shown
            .send_if_modified(|shown| std::mem::replace(shown, state) != state);
        answer
    }
}

impl Pass<'_> {
    pub(super) fn succeed(mut self) {
        if let Some(gate) = self.0.take() {
            gate.with(Breaker::success);
        }
    }

    pub(super) fn fail(mut self) {
        if let Some(gate) = self.0.take() {
            gate.with(|breaker| breaker.failure(Instant::now()));
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if let Some(gate) = self.0.take() {
            gate.with(Breaker::abandon);
        }
    }
}
