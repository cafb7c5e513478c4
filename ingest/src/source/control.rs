//! Commands of the pipeline to a source.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use crate::position::StoredPosition;
use crate::source::claim::Claim;
use crate::source::status::SourceStatus;

/// A command. Commands for an ended claim do nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceCommand {
    Begin {
        claim: Claim,
        stored: Option<StoredPosition>,
    },
    Settled {
        claim: Claim,
        next: i64,
    },
    Release(Claim),
    Reclaim(Claim),
    Halt(Claim),
    Hold(bool),
    Stop,
    Abort,
}

/// A handle on a source. All calls return at once; after its end they do nothing.
#[derive(Clone, Debug)]
pub struct Control {
    commands: Sender<SourceCommand>,
    status: Arc<SourceStatus>,
}

impl Control {
    pub fn new(commands: Sender<SourceCommand>, status: Arc<SourceStatus>) -> Self {
        Self { commands, status }
    }

    /// Answers [`SourceEvent::Assigned`](crate::source::SourceEvent::Assigned): where it stopped, None if the
    /// partition was never read. `SourceEvent::Begun` follows.
    pub fn begin(&self, claim: Claim, stored: Option<StoredPosition>) {
        self.send(SourceCommand::Begin { claim, stored });
    }

    /// Everything before `next` is in the sinks; it may be committed to Kafka.
    pub fn settled(&self, claim: Claim, next: i64) {
        self.send(SourceCommand::Settled { claim, next });
    }

    /// Answers [`SourceEvent::Revoked`](crate::source::SourceEvent::Revoked): nothing of the claim will be
    /// settled any more.
    pub fn release(&self, claim: Claim) {
        self.send(SourceCommand::Release(claim));
    }

    /// Another process has stored an offset for the partition. If the group still assigns it to
    /// this process, it is assigned again under a new claim and read from the stored offset;
    /// `SourceEvent::Lost` ends the old claim in both cases.
    pub fn reclaim(&self, claim: Claim) {
        self.send(SourceCommand::Reclaim(claim));
    }

    /// Fetches nothing more of the partition, which stays this process's.
    pub fn halt(&self, claim: Claim) {
        self.send(SourceCommand::Halt(claim));
    }

    /// Stops or resumes fetching. Group membership is kept meanwhile.
    pub fn hold(&self, hold: bool) {
        self.send(SourceCommand::Hold(hold));
    }

    /// Stops reading, revokes everything, and ends once all is released or the deadline has passed.
    pub fn stop(&self) {
        self.send(SourceCommand::Stop);
    }

    /// How it is.
    pub fn status(&self) -> &SourceStatus {
        &self.status
    }

    pub(super) fn send(&self, command: SourceCommand) {
        // Nobody listens any more: then there is nothing left to be done.
        drop(self.commands.send(command));
    }
}
