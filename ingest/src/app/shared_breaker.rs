//! A circuit breaker shared by many tasks: they wait for permits, and its state is a metric.

use parking_lot::Mutex;
use perijove_core::BreakerState;
use prometheus::IntGauge;
use tokio::sync::watch;
use tokio::time::{Duration, Instant, sleep_until};

use crate::app::breaker::{Admission, SinkBreaker};
use crate::config;

/// How long to wait while the trials of others are running.
const AGAIN: Duration = Duration::from_millis(100);

/// The circuit breaker of a sink.
#[derive(Debug)]
pub(super) struct SharedBreaker {
    breaker: Mutex<SinkBreaker>,
    shown: watch::Sender<BreakerState>,
    gauge: IntGauge,
    /// What the sink answered when it failed last. None if it did not.
    refusal: Mutex<Option<String>>,
}

/// Permission for one call. Dropped without a result, it does not count for or against the sink.
#[derive(Debug)]
pub(super) struct Permit<'g>(Option<&'g SharedBreaker>);

impl SharedBreaker {
    pub(super) fn new(settings: config::BreakerSettings, gauge: IntGauge) -> Self {
        Self {
            breaker: Mutex::new(SinkBreaker::new(settings)),
            shown: watch::Sender::new(BreakerState::Closed),
            gauge,
            refusal: Mutex::default(),
        }
    }

    /// What the sink answered when it failed last. None if it did not answer.
    pub(super) fn refusal(&self) -> Option<String> {
        self.refusal.lock().clone()
    }

    pub(super) fn state(&self) -> BreakerState {
        *self.shown.borrow()
    }

    /// Tells of every change of state.
    pub(super) fn changes(&self) -> watch::Receiver<BreakerState> {
        self.shown.subscribe()
    }

    /// Waits until a call is admitted. Cancel safe.
    pub(super) async fn acquire(&self) -> Permit<'_> {
        loop {
            match self.try_acquire() {
                Ok(permit) => return permit,
                Err(until) => sleep_until(until).await,
            }
        }
    }

    /// A call now, or when to ask again.
    pub(super) fn try_acquire(&self) -> Result<Permit<'_>, Instant> {
        let now = Instant::now();
        let admission = self.with(|breaker| breaker.admit(now));
        match admission {
            Admission::Free | Admission::Trial => Ok(Permit(Some(self))),
            Admission::Refused(until) => Err(until.unwrap_or(now + AGAIN)),
        }
    }

    fn with<T>(&self, change: impl FnOnce(&mut SinkBreaker) -> T) -> T {
        let mut breaker = self.breaker.lock();
        let answer = change(&mut breaker);
        let state = breaker.state();
        self.gauge.set(state.number());
        self.shown
            .send_if_modified(|shown| std::mem::replace(shown, state) != state);
        answer
    }
}

impl Permit<'_> {
    pub(super) fn succeed(mut self) {
        if let Some(breaker) = self.0.take() {
            breaker.with(SinkBreaker::success);
        }
    }

    /// It failed with an answer, if with one.
    pub(super) fn fail_with(self, answer: Option<String>) {
        if let Some(breaker) = self.0 {
            *breaker.refusal.lock() = answer;
        }
        self.fail();
    }

    pub(super) fn fail(mut self) {
        if let Some(breaker) = self.0.take() {
            breaker.with(|breaker| breaker.failure(Instant::now()));
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if let Some(breaker) = self.0.take() {
            breaker.with(SinkBreaker::abandon);
        }
    }
}
