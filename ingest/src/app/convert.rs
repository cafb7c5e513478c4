//! Converts records into a batch of rows: decode, project, and dead letters for invalid messages.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use parking_lot::Mutex;
use perijove_core::Slot;

use crate::app::clock::now;
use crate::app::kind_check::{KindCheck, has_substance};
use crate::app::metrics::Metrics;
use crate::config::{Config, Stream};
use crate::dead_letter::DeadLetter;
use crate::decode::{Encoding, Kind, Limits, Message, decode};
use crate::project::{Bounds, OutOfBounds, Projected, project};
use crate::record::{Record, UnixMillis};
use crate::sink::database::RowBatch;

/// How the messages of each topic are read.
#[derive(Clone, Debug)]
pub(super) struct Converter {
    topics: Arc<HashMap<String, (Kind, Encoding)>>,
    limits: Limits,
    bounds: Arc<Mutex<Bounds>>,
    kinds: Arc<KindCheck>,
    metrics: Metrics,
}

/// Result for one record.
enum Outcome {
    Rows(Projected),
    DeadLetter(DeadLetter),
}

impl Converter {
    pub(super) fn new(config: &Config, kinds: Arc<KindCheck>, metrics: Metrics) -> Self {
        let topic = |stream: &Stream| (stream.topic.clone(), (stream.kind, stream.encoding));
        Self {
            topics: Arc::new(config.streams.iter().map(topic).collect()),
            limits: Limits {
                bytes: config.buffer.max_message,
                ..Limits::default()
            },
            bounds: Arc::default(),
            kinds,
            metrics,
        }
    }

    /// Judges what comes next by where the stream was when the rows of a database were stored.
    pub(super) fn begin_at(&self, place: Option<(Slot, UnixMillis)>) {
        let bounds = place.map(|(slot, time)| Bounds::from_place(slot, time));
        *self.bounds.lock() = bounds.unwrap_or_default();
    }

    /// What is known of the kinds of the topics.
    pub(super) fn kinds(&self) -> &KindCheck {
        &self.kinds
    }

    /// Adds the rows and dead letters of a record to a batch.
    pub(super) fn add(&self, record: &Record, batch: &mut RowBatch) {
        // Whatever goes wrong here is caused by the message.
        let outcome = catch_unwind(AssertUnwindSafe(|| self.convert(record)));
        let outcome = outcome.unwrap_or_else(|_panic| {
            Outcome::DeadLetter(letter(record, DeadLetter::PANIC, "the converter panicked"))
        });
        match outcome {
            Outcome::DeadLetter(letter) => batch.dead_letters.push(letter),
            Outcome::Rows(projected) => {
                self.metrics.projected(&projected);
                let poisoned = projected.poisoned.iter();
                let dead_letters =
                    poisoned.map(|one| DeadLetter::of_transaction(record.clone(), one));
                batch.dead_letters.extend(dead_letters);
                batch.trades.extend(projected.trades);
                batch.transfers.extend(projected.transfers);
                batch.transactions.extend(projected.transactions);
                batch.slots.extend(projected.slots);
            }
        }
        batch.next_offset = Some(record.place.offset.saturating_add(1));
    }

    fn convert(&self, record: &Record) -> Outcome {
        let kind = self.topics.get(&*record.place.topic);
        // A recording may have other topics than the configuration.
        let (kind, encoding) = kind.copied().unwrap_or((Kind::Trades, Encoding::Auto));
        match decode(kind, encoding, record.payload.as_ref(), &self.limits) {
            Err(error) => {
                self.kinds
                    .note_unusable(record, (kind, encoding), &self.limits, Some(&error));
                Outcome::DeadLetter(DeadLetter::of_record(record.clone(), &error))
            }
            Ok(message) => {
                if has_substance(&message) {
                    self.kinds.note_usable(&record.place.topic);
                } else {
                    self.kinds
                        .note_unusable(record, (kind, encoding), &self.limits, None);
                }
                let recorded = record.timestamp.unwrap_or(UnixMillis(0));
                match self.within_bounds(&message, recorded) {
                    Err(error) => {
                        Outcome::DeadLetter(letter(record, error.label(), &error.to_string()))
                    }
                    Ok(()) => Outcome::Rows(project(message, recorded)),
                }
            }
        }
    }

    /// Whether the message's slot and time are plausible.
    fn within_bounds(&self, message: &Message, recorded: UnixMillis) -> Result<(), OutOfBounds> {
        let Some(header) = message.header() else {
            return Ok(());
        };
        let block = (header.timestamp != 0).then(|| UnixMillis::from_seconds(header.timestamp));
        let mut bounds = self.bounds.lock();
        bounds.check(Slot(header.slot), block, recorded, now())
    }
}

/// A dead letter about a whole record.
pub(super) fn letter(record: &Record, class: &'static str, error: &str) -> DeadLetter {
    DeadLetter {
        record: record.clone(),
        transaction: None,
        class,
        error: error.to_owned(),
    }
}
