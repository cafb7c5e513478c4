//! The thread that owns the consumer: reports to the [`ConsumerState`] what happened, and carries
//! out its actions.

mod events;
mod fetch;
mod perform;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use crate::config::Kafka;
use crate::source::kafka::context::Context;
use crate::source::kafka::offset_lookup::OffsetLookup;
use crate::source::kafka::state::{Action, ConsumerState, Ending, Input, Times};
use crate::source::kafka::subscription::Subscription;
use crate::source::kafka::topics::Topics;
use crate::source::kafka::unread::UnreadPartitions;
use crate::source::{BufferBudget, SourceCommand, SourceEvent, SourceMetrics, SourceStatus};

/// Time limit of one query to a broker, for which the thread waits.
const ANSWER: Duration = Duration::from_secs(5);
/// How often it looks for room while the buffer is full.
const NAP: Duration = Duration::from_millis(2);

/// What the thread works with.
pub(super) struct Driver {
    consumer: BaseConsumer<Context>,
    state: ConsumerState,
    lookup: OffsetLookup,
    topics: Topics,
    subscribed: Vec<String>,
    budget: Arc<BufferBudget>,
    status: Arc<SourceStatus>,
    metrics: SourceMetrics,
    events: UnboundedSender<SourceEvent>,
    /// When it is checked again whether topics exist and are permitted.
    next_access_check: Option<Instant>,
    unread: UnreadPartitions,
}

impl Driver {
    pub(super) fn new(
        consumer: BaseConsumer<Context>,
        kafka: &Kafka,
        subscription: Subscription,
        status: Arc<SourceStatus>,
        metrics: SourceMetrics,
        events: UnboundedSender<SourceEvent>,
    ) -> Self {
        let times = Times {
            grace: subscription.grace,
            heartbeat: kafka.heartbeat,
            commit_interval: kafka.commit_interval,
        };
        Self {
            consumer,
            state: ConsumerState::new(Arc::clone(&subscription.budget), times, Instant::now()),
            lookup: OffsetLookup {
                start: kafka.start,
                reset: kafka.out_of_range,
                timeout: kafka.connect.min(ANSWER),
                clock: subscription.clock,
            },
            topics: Topics::default(),
            subscribed: subscription.topics,
            budget: subscription.budget,
            status,
            metrics,
            events,
            next_access_check: None,
            unread: UnreadPartitions::new(kafka.commit_interval),
        }
    }

    pub(super) fn run(mut self, commands: &Receiver<SourceCommand>) {
        loop {
            self.take_commands(commands);
            self.feed(Input::Tick {
                assignment_lost: self.consumer.assignment_lost(),
            });
            if self.state.is_over() {
                break;
            }
            if self.state.may_poll(Instant::now()) {
                let actions = self.state.pause_and_resume();
                self.perform_all(actions);
                self.poll();
            } else {
                self.wait_for_command(commands);
            }
            self.handle_client_events();
        }
        self.close();
    }

    fn take_commands(&mut self, commands: &Receiver<SourceCommand>) {
        loop {
            match commands.try_recv() {
                Ok(command) => self.feed(Input::Command(command)),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => {
                    self.feed(Input::PipelineGone);
                    return;
                }
            }
        }
    }

    fn wait_for_command(&mut self, commands: &Receiver<SourceCommand>) {
        match commands.recv_timeout(NAP) {
            Ok(command) => self.feed(Input::Command(command)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => self.feed(Input::PipelineGone),
        }
    }

    /// Reports an input to the state, and carries out the actions. Their results are reported
    /// before anything else happens.
    fn feed(&mut self, input: Input) {
        let actions = self.state.handle(input, Instant::now());
        self.perform_all(actions);
    }

    fn perform_all(&mut self, actions: Vec<Action>) {
        let mut actions = VecDeque::from(actions);
        while let Some(action) = actions.pop_front() {
            if let Some(answer) = self.perform(action) {
                actions.extend(self.state.handle(answer, Instant::now()));
            }
        }
    }

    fn emit(&self, event: SourceEvent) {
        send(&self.events, event);
    }

    /// Leaves the group.
    fn close(self) {
        for partition in self.state.names() {
            self.metrics.forget(partition);
        }
        self.set_connected(false);
        self.metrics.unread(0);
        self.status.set_unread(Vec::new());
        self.consumer.context().close();
        drop(self.consumer);
        let outcome = match self.state.into_ending() {
            Some(Ending::Broken(fault)) => Err(fault),
            _ => Ok(()),
        };
        send(&self.events, SourceEvent::Ended(outcome));
    }
}

fn send(events: &UnboundedSender<SourceEvent>, event: SourceEvent) {
    // Nobody listens any more: `SourceCommand::Abort` is on its way.
    drop(events.send(event));
}
