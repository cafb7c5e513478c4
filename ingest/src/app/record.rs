//! The command `record`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufWriter;

use tokio::time::Instant;

use crate::app::check::with_kafka;
use crate::app::progress::{Place, Progress};
use crate::app::{complain, say};
use crate::cli::{Exit, Record};
use crate::config::{Config, Kafka, Start};
use crate::record::UnixMillis;
use crate::recording::{RecordingError, Writer};
use crate::source::Fault;
use crate::source::kafka::Inquiry;

/// Why a recording was not made.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Kafka(#[from] Fault),
    #[error(transparent)]
    File(#[from] RecordingError),
}

/// Writes the streams into a file, without the group's knowledge.
pub(super) fn record(what: &Record, clock: fn() -> UnixMillis) -> Exit {
    with_kafka(&what.source, |kafka, config| {
        match write(what, kafka, config, clock) {
            Ok(records) => {
                say(&format!("{records} records are in {}", what.file.display()));
                Exit::Done
            }
            Err(failure) => {
                complain(&failure.to_string());
                Exit::Failed
            }
        }
    })
}

fn write(
    what: &Record,
    kafka: &Kafka,
    config: &Config,
    clock: fn() -> UnixMillis,
) -> Result<u64, Failure> {
    let mut inquiry = Inquiry::new(kafka)?;
    let start = what.from.unwrap_or(Start::Latest);
    let mut offsets = BTreeMap::new();
    for stream in &config.streams {
        for partition in inquiry.partitions(&stream.topic)? {
            let offset = inquiry.begin(&partition, start, clock)?;
            offsets.insert(partition, offset);
        }
    }
    let file = File::create(&what.file).map_err(RecordingError::from)?;
    let mut writer = Writer::new(BufWriter::new(file))?;
    let begun = Instant::now();
    let total = what.messages.unwrap_or(what.time.as_secs());
    let progress = Progress::new("record", "records", total, Place::Plain);
    let mut records = 0;
    inquiry.read(&offsets, |record| {
        if let Some(record) = record {
            writer.write(&record)?;
            records += 1;
        }
        let (most, elapsed) = (what.messages, begun.elapsed());
        let place = most.map_or(elapsed.as_secs(), |_| records);
        progress.at(place, records);
        let enough = most.is_some_and(|most| records >= most);
        Ok::<_, Failure>(enough || elapsed >= what.time)
    })?;
    progress.end();
    writer.finish()?;
    Ok(records)
}
