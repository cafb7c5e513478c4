//! What the pipeline tells a source.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use crate::source::claim::Claim;
use crate::source::status::Status;

/// One thing to do. What concerns a claim that is over does nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    Begin { claim: Claim, stored: Option<i64> },
    Settled { claim: Claim, next: i64 },
    Release(Claim),
    Reclaim(Claim),
    Hold(bool),
    Stop,
    Abort,
}

/// A handle on a source. All calls return at once; after its end they do nothing.
#[derive(Clone, Debug)]
pub struct Control {
    commands: Sender<Command>,
    status: Arc<Status>,
}

impl Control {
    pub fn new(commands: Sender<Command>, status: Arc<Status>) -> Self {
        Self { commands, status }
    }

    /// Answers [`Event::Assigned`](crate::source::Event::Assigned): the next record to read, None if
    /// the partition was never read. `Event::Begun` follows.
    pub fn begin(&self, claim: Claim, stored: Option<i64>) {
        self.send(Command::Begin { claim, stored });
    }

    /// Everything before `next` is in the sinks; Kafka may be told.
    pub fn settled(&self, claim: Claim, next: i64) {
        self.send(Command::Settled { claim, next });
    }

    /// Answers [`Event::Revoked`](crate::source::Event::Revoked): nothing of the claim will be
    /// settled any more.
    pub fn release(&self, claim: Claim) {
        self.send(Command::Release(claim));
    }

    /// Somebody has taken over where the partition's offset is stored. If the group still says that
    /// it is ours, it is assigned again under a new claim and read from where it is told then;
    /// `Event::Lost` ends the old claim in both cases.
    pub fn reclaim(&self, claim: Claim) {
        self.send(Command::Reclaim(claim));
    }

    /// Fetches nothing, or fetches again. Membership is kept meanwhile.
    pub fn hold(&self, hold: bool) {
        self.send(Command::Hold(hold));
    }

    /// Reads no more, revokes everything, and ends once all is released or the deadline is over.
    pub fn stop(&self) {
        self.send(Command::Stop);
    }

    /// How it is.
    pub fn status(&self) -> &Status {
        &self.status
    }

    pub(super) fn send(&self, command: Command) {
        // Nobody listens any more: then there is nothing left to be done.
        drop(self.commands.send(command));
    }
}
