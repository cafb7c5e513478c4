//! How fast it goes: rests while there is no room, pauses partitions when that lasts.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaResult;
use tokio::time::Instant;

use crate::source::kafka::owned::Stage;
use crate::source::kafka::position::names;
use crate::source::kafka::reader::{Ending, Reader};
use crate::source::room::Fill;
use crate::source::{Command, Fault};

/// How long there may be no room before partitions are paused. Short beside every limit of the
/// group, long beside what a sink that works takes for a batch.
const REST: Duration = Duration::from_secs(2);
/// How often room is looked for meanwhile.
const NAP: Duration = Duration::from_millis(2);

impl Reader {
    /// False while it rests because there is no room.
    pub(super) fn has_room(&mut self, commands: &Receiver<Command>) -> bool {
        let full = self.partitions.values().any(|owned| {
            owned.stage == Stage::Reading && !owned.paused && owned.fill() == Fill::Full
        });
        if !full || self.held {
            self.full_since = None;
            return true;
        }
        let now = Instant::now();
        let since = *self.full_since.get_or_insert(now);
        if now.duration_since(since) >= REST {
            return true;
        }
        match commands.recv_timeout(NAP) {
            Ok(command) => self.obey(command),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => self.ending = Some(Ending::AtOnce),
        }
        false
    }

    pub(super) fn pause_or_resume(&mut self) {
        let (mut pause, mut resume) = (Vec::new(), Vec::new());
        for (partition, owned) in &mut self.partitions {
            let begun = !matches!(owned.stage, Stage::Assigned | Stage::Asked(_));
            let should = owned.should_pause(self.held);
            if begun && should != owned.paused {
                owned.paused = should;
                let list = if should { &mut pause } else { &mut resume };
                list.push(partition.clone());
            }
        }
        if !pause.is_empty() {
            tracing::info!(partitions = pause.len(), "fetching pauses");
            self.warned(self.consumer.pause(&names(&pause)));
        }
        if !resume.is_empty() {
            tracing::info!(partitions = resume.len(), "fetching goes on");
            self.warned(self.consumer.resume(&names(&resume)));
        }
    }

    fn warned(&self, done: KafkaResult<()>) {
        if let Err(error) = done {
            self.fault(Fault::of(&error));
        }
    }
}
