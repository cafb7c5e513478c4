//! Where partitions end, for the lag. A fetch tells where its partition ends; of those that are
//! paused nothing is fetched, which is when people want to know most, so the brokers are asked.

use std::time::Duration;

use tokio::time::Instant;

use super::input::Action;
use super::partitions::Partitions;

/// Between two questions for the ends of what is paused.
const INTERVAL: Duration = Duration::from_secs(5);

/// When the brokers are asked for ends again.
#[derive(Debug, Default)]
pub(super) struct EndOffsets {
    next: Option<Instant>,
}

impl EndOffsets {
    /// Asks for the ends of what is paused, if it is time.
    pub(super) fn ask(&mut self, partitions: &Partitions, now: Instant, actions: &mut Vec<Action>) {
        if self.next.is_some_and(|next| now < next) {
            return;
        }
        self.next = Some(now + INTERVAL);
        let paused = partitions.paused();
        if !paused.is_empty() {
            actions.push(Action::FetchEnds(paused));
        }
    }
}
