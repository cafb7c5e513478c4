//! The command `record`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufWriter;

use tokio::time::Instant;

use crate::app::check::with_kafka;
use crate::app::console::{complain, say};
use crate::app::progress::{ProgressOutput, ProgressReport};
use crate::cli::{Exit, RecordArgs};
use crate::config::{Config, Kafka, Start};
use crate::record::UnixMillis;
use crate::recording::{RecordingError, RecordingWriter};
use crate::source::SourceError;
use crate::source::kafka::Admin;

/// Why a recording was not made.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Kafka(#[from] SourceError),
    #[error(transparent)]
    File(#[from] RecordingError),
}

/// Writes the streams into a file, without joining the group.
pub(super) fn record(what: &RecordArgs, clock: fn() -> UnixMillis) -> Exit {
    with_kafka(&what.source, |kafka, config| {
        match write(what, kafka, config, clock) {
            Ok(records) => {
                say(&format!("{records} records are in {}", what.file.display()));
                Exit::Done
            }
            Err(failure @ Failure::File(_)) => {
                let file = what.file.display();
                complain(&format!("cannot write {file}: {failure}"));
                Exit::Failed
            }
            Err(failure) => {
                complain(&failure.to_string());
                Exit::Failed
            }
        }
    })
}

fn write(
    what: &RecordArgs,
    kafka: &Kafka,
    config: &Config,
    clock: fn() -> UnixMillis,
) -> Result<u64, Failure> {
    let mut admin = Admin::new(kafka)?;
    let start = what.from.unwrap_or(Start::Latest);
    let mut offsets = BTreeMap::new();
    for stream in &config.streams {
        for partition in admin.partitions(&stream.topic)? {
            let offset = admin.begin(&partition, start, clock)?;
            offsets.insert(partition, offset);
        }
    }
    let file = File::create(&what.file).map_err(RecordingError::from)?;
    let mut writer = RecordingWriter::new(BufWriter::new(file))?;
    let begun = Instant::now();
    let total = what.messages.unwrap_or(what.time.as_secs());
    let progress = ProgressReport::new("record", "records", total, ProgressOutput::Plain);
    let mut records = 0;
    admin.read(&offsets, |record| {
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
