//! How fast records are fetched: not at all for a moment while the buffer is full; when that lasts,
//! partitions are paused. A pause throws away what was fetched ahead, so it is not the first resort.

use std::time::Duration;

use tokio::time::Instant;

use super::input::Action;
use super::partitions::Partitions;

/// How long the buffer may be full before partitions are paused. Short beside every limit of the
/// group, long beside what a sink that works takes for a batch.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why records are not fetched.
#[derive(Debug, Default)]
pub(super) struct Backpressure {
    /// The pipeline wants nothing fetched.
    held: bool,
    full_since: Option<Instant>,
}

impl Backpressure {
    pub(super) const fn hold(&mut self, hold: bool) {
        self.held = hold;
    }

    pub(super) const fn is_held(&self) -> bool {
        self.held
    }

    /// False while it waits for room in the buffer.
    pub(super) fn may_poll(&mut self, partitions: &Partitions, now: Instant) -> bool {
        if self.held || !partitions.any_is_full() {
            self.full_since = None;
            return true;
        }
        let since = *self.full_since.get_or_insert(now);
        now.duration_since(since) >= PATIENCE
    }

    pub(super) fn pause_and_resume(&self, partitions: &mut Partitions) -> Vec<Action> {
        let (pause, resume) = partitions.switch_pauses(self.held);
        let mut actions = Vec::new();
        if !pause.is_empty() {
            tracing::info!(partitions = pause.len(), "fetching is paused");
            actions.push(Action::Pause(pause));
        }
        if !resume.is_empty() {
            tracing::info!(partitions = resume.len(), "fetching is resumed");
            actions.push(Action::Resume(resume));
        }
        actions
    }
}
