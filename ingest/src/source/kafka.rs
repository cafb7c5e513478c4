//! Kafka as a source: one member of a consumer group, on a thread of its own.
//!
//! The thread does everything that concerns the consumer; the rest of the program talks to it over
//! the channels of [`Source`]. It always polls, or the group would count it as stuck, but for a
//! moment's rest when there is no room: pausing a partition throws away what was fetched ahead, so
//! it is only done when the sinks do not catch up at once.

mod arrival;
mod context;
mod departure;
mod doubt;
mod heed;
mod inquiry;
mod lag;
mod owned;
mod pace;
mod poll;
mod position;
mod probe;
mod reader;
mod settings;
mod statistics;

use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tokio::sync::mpsc::unbounded_channel;

use crate::config::Kafka;
use crate::record::UnixMillis;
use crate::source::{Control, Fault, FaultKind, Room, Source, SourceMetrics, Status};
use context::Context;
use reader::Reader;
use settings::member;

pub use inquiry::{Cluster, Inquiry};
pub use probe::{Step, probe};

/// What is read, and within which limits.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// Each once.
    pub topics: Vec<String>,
    pub room: Arc<Room>,
    /// How long what was handed out may take to be settled when a partition is revoked or the
    /// source is stopped.
    pub grace: Duration,
    /// For what begins so long ago.
    pub clock: fn() -> UnixMillis,
}

/// Joins the group.
///
/// # Errors
/// The settings are such that there can be no client. What goes wrong later is in the status, the
/// metrics and the log, and is tried again without end.
pub fn start(
    kafka: &Kafka,
    subscription: Subscription,
    metrics: SourceMetrics,
) -> Result<Source, Fault> {
    let status = Arc::new(Status::default());
    let consumer = BaseConsumer::from_config_and_context(&member(kafka), Context::default())
        .map_err(|error| Fault::of(&error))?;
    let topics: Vec<&str> = subscription.topics.iter().map(String::as_str).collect();
    consumer
        .subscribe(&topics)
        .map_err(|error| Fault::of(&error))?;
    let (events, received) = unbounded_channel();
    let (sent, commands) = mpsc::channel();
    let control = Control::new(sent, Arc::clone(&status));
    let reader = Reader::new(consumer, kafka, subscription, status, metrics, events);
    thread::Builder::new()
        .name("kafka".to_owned())
        .spawn(move || reader.run(&commands))
        .map_err(|error| Fault::new(FaultKind::Other, error.to_string()))?;
    Ok(Source::new(received, control))
}
