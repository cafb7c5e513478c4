//! The thread that owns the consumer: takes commands, polls, hands out, pauses.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use crate::config::Kafka;
use crate::offsets::Due;
use crate::source::kafka::Subscription;
use crate::source::kafka::arrival::Arrival;
use crate::source::kafka::context::Context;
use crate::source::kafka::departure::Departure;
use crate::source::kafka::owned::{Owned, Partitions, Stage, Topics};
use crate::source::kafka::position::Policy;
use crate::source::{Claim, Command, Event, Fault, Room, SourceMetrics, Status};

/// Before brokers that did not answer are asked again.
const AGAIN: Duration = Duration::from_millis(500);
/// The longest that one question to a broker holds up the thread.
const ANSWER: Duration = Duration::from_secs(5);

/// Why it ends.
#[derive(Debug)]
pub(super) enum Ending {
    /// It was told to; what was handed out is settled first.
    InOrder,
    /// Nobody listens any more.
    AtOnce,
    /// Kafka's client can never work again.
    Broken(Fault),
}

/// The state of the thread.
pub(super) struct Reader {
    pub(super) consumer: BaseConsumer<Context>,
    pub(super) partitions: Partitions,
    pub(super) tenure: u64,
    pub(super) arrival: Option<Arrival>,
    pub(super) departure: Option<Departure>,
    pub(super) due: Due,
    pub(super) policy: Policy,
    pub(super) room: Arc<Room>,
    pub(super) grace: Duration,
    pub(super) heartbeat: Duration,
    pub(super) metrics: SourceMetrics,
    pub(super) ending: Option<Ending>,
    /// Whether some partition stands still because its next record is gone.
    pub(super) recheck: bool,
    pub(super) topics: Topics,
    pub(super) subscribed: Vec<String>,
    pub(super) status: Arc<Status>,
    pub(super) events: UnboundedSender<Event>,
    pub(super) held: bool,
    pub(super) full_since: Option<Instant>,
    pub(super) not_before: Option<Instant>,
    /// When the ends of paused partitions are asked for again.
    pub(super) ends_after: Option<Instant>,
    /// When it is looked again whether topics are there and for us.
    pub(super) look_after: Option<Instant>,
}

impl Reader {
    pub(super) fn new(
        consumer: BaseConsumer<Context>,
        kafka: &Kafka,
        subscription: Subscription,
        status: Arc<Status>,
        metrics: SourceMetrics,
        events: UnboundedSender<Event>,
    ) -> Self {
        Self {
            consumer,
            partitions: Partitions::new(),
            tenure: 0,
            arrival: None,
            departure: None,
            due: Due::new(kafka.commit_interval, Instant::now()),
            policy: Policy {
                start: kafka.start,
                reset: kafka.out_of_range,
                timeout: kafka.connect.min(ANSWER),
                clock: subscription.clock,
            },
            room: subscription.room,
            grace: subscription.grace,
            heartbeat: kafka.heartbeat,
            metrics,
            ending: None,
            recheck: false,
            topics: Topics::default(),
            subscribed: subscription.topics,
            status,
            events,
            held: false,
            full_since: None,
            not_before: None,
            ends_after: None,
            look_after: None,
        }
    }

    pub(super) fn run(mut self, commands: &Receiver<Command>) {
        loop {
            self.obey_all(commands);
            self.begin_asked();
            self.end_doubts();
            self.depart();
            if self.is_over() {
                break;
            }
            if self.has_room(commands) {
                self.pause_or_resume();
                self.poll();
            }
            self.heed();
            self.commit_due();
        }
        self.close();
    }

    fn obey_all(&mut self, commands: &Receiver<Command>) {
        loop {
            match commands.try_recv() {
                Ok(command) => self.obey(command),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => {
                    self.ending = Some(Ending::AtOnce);
                    return;
                }
            }
        }
    }

    pub(super) fn obey(&mut self, command: Command) {
        match command {
            Command::Begin { claim, stored } => {
                if let Some(owned) = self.of(&claim)
                    && owned.stage == Stage::Assigned
                {
                    owned.stage = Stage::Asked(stored);
                }
            }
            Command::Settled { claim, next } => {
                if let Some(owned) = self.of(&claim)
                    && matches!(owned.stage, Stage::Reading | Stage::Leaving)
                    && owned.settled <= next
                {
                    owned.settled = next;
                    self.due.note(&claim.partition, next);
                }
            }
            Command::Release(claim) => self.release(&claim),
            Command::Reclaim(claim) => self.reclaim(&claim),
            Command::Hold(hold) => self.held = hold,
            Command::Stop => {
                self.ending.get_or_insert(Ending::InOrder);
            }
            Command::Abort => self.ending = Some(Ending::AtOnce),
        }
    }

    /// What is ours under this very claim.
    pub(super) fn of(&mut self, claim: &Claim) -> Option<&mut Owned> {
        let owned = self.partitions.get_mut(&claim.partition)?;
        (owned.claim == *claim).then_some(owned)
    }

    /// Whether everything is done, once it is to end.
    fn is_over(&mut self) -> bool {
        match self.ending {
            None => return false,
            Some(Ending::InOrder) if self.departure.is_some() => return false,
            Some(Ending::InOrder) => {}
            Some(Ending::AtOnce | Ending::Broken(_)) => return true,
        }
        if self.partitions.is_empty() {
            return true;
        }
        self.leave_all();
        false
    }

    pub(super) fn try_later(&mut self, fault: &Fault) {
        self.rest();
        self.fault(fault.clone());
    }

    /// Asks no broker anything for a moment.
    pub(super) fn rest(&mut self) {
        self.not_before = Some(Instant::now() + AGAIN);
    }

    pub(super) fn is_time_to_try(&self) -> bool {
        self.not_before.is_none_or(|time| Instant::now() >= time)
    }

    fn commit_due(&mut self) {
        if let Some(offsets) = self.due.take(Instant::now()) {
            self.commit(offsets.iter().map(|(partition, next)| (partition, *next)));
        }
    }

    pub(super) fn tell(&self, event: Event) {
        send(&self.events, event);
    }

    /// Leaves the group.
    fn close(self) {
        for partition in self.partitions.keys() {
            self.metrics.forget(partition);
        }
        self.connected(false);
        self.consumer.context().close();
        drop(self.consumer);
        let outcome = match self.ending {
            Some(Ending::Broken(fault)) => Err(fault),
            _ => Ok(()),
        };
        send(&self.events, Event::Ended(outcome));
    }
}

pub(super) fn send(events: &UnboundedSender<Event>, event: Event) {
    // Nobody listens any more: `Command::Abort` is on its way.
    drop(events.send(event));
}
