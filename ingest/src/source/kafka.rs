//! Kafka as a source: one member of a consumer group, on a thread of its own.
//!
//! The thread runs the `driver`, which does everything that concerns the consumer, as its
//! `state` says; the rest of the program talks to it over the channels of [`Source`]. It always
//! polls, or the group would consider it stuck, except for short pauses when there is no budget:
//! pausing a partition discards what was prefetched, so it is done only if the sinks do not catch
//! up at once.

mod admin;
mod context;
mod driver;
mod message;
mod offset_lookup;
mod probe;
mod settings;
mod state;
mod statistics;
mod subscription;
mod topics;
mod unread;

use std::sync::Arc;
use std::sync::mpsc;
use std::thread;

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tokio::sync::mpsc::unbounded_channel;

use crate::config::Kafka;
use crate::planted;
use crate::source::{Control, Source, SourceError, SourceErrorKind, SourceMetrics, SourceStatus};
use context::Context;
use driver::Driver;
use settings::member;

pub use admin::{Admin, Cluster, NextRecord};
pub use probe::{Step, probe};
pub use subscription::Subscription;

/// Joins the group.
///
/// # Errors
/// The settings do not allow a client. Later errors are in the status, the metrics and the log, and
/// are retried indefinitely.
pub fn start(
    kafka: &Kafka,
    subscription: Subscription,
    metrics: SourceMetrics,
) -> Result<Source, SourceError> {
    let status = Arc::new(SourceStatus::default());
    let consumer = BaseConsumer::from_config_and_context(&member(kafka), Context::default())
        .map_err(|error| SourceError::of(&error))?;
    let topics: Vec<&str> = subscription.topics.iter().map(String::as_str).collect();
    consumer
        .subscribe(&topics)
        .map_err(|error| SourceError::of(&error))?;
    let (events, received) = unbounded_channel();
    let (sent, commands) = mpsc::channel();
    let control = Control::new(sent, Arc::clone(&status));
    let driver = Driver::new(consumer, kafka, subscription, status, metrics, events);
    thread::Builder::new()
        .name("kafka".to_owned())
        .spawn(move || {
            planted::fault("kafka");
            driver.run(&commands);
        })
        .map_err(|error| SourceError::new(SourceErrorKind::Other, error.to_string()))?;
    Ok(Source::new(received, control))
}
