//! The command `offsets`. What counts is what the database keeps; Kafka's own offsets are told after
//! it and only for tools.

use crate::app::letters::{Failure, with_database};
use crate::app::{now, say};
use crate::cli::{Exit, ResetOffsets, Source, Whence};
use crate::config::{Config, Kafka};
use crate::record::Partition;
use crate::source::kafka::Inquiry;

/// Prints where each partition goes on.
pub(super) fn show(source: &Source) -> Exit {
    with_database(source, async |config, database| {
        let group = &kafka(config)?.group.id;
        for lane in database.lanes(group).await? {
            let partition = Partition::new(lane.topic, lane.partition);
            let next = lane
                .next_offset
                .map_or("-".to_owned(), |next| next.to_string());
            say(&line(&partition, &next));
        }
        Ok(Exit::Done)
    })
}

/// Sets where partitions go on. Rows that are there stay; what is read again changes nothing.
pub(super) fn reset(what: &ResetOffsets) -> Exit {
    with_database(&what.source, async |config, database| {
        let kafka = kafka(config)?;
        let mut inquiry = Inquiry::new(kafka)?;
        let streams = config.streams.iter().map(|stream| &stream.topic);
        let mut count = 0;
        for topic in streams.filter(|topic| what.topic.as_ref().is_none_or(|only| only == *topic)) {
            let partitions = inquiry.partitions(topic)?;
            let meant =
                |partition: &Partition| what.partition.is_none_or(|only| only == partition.number);
            for partition in partitions.into_iter().filter(meant) {
                let offset = match what.to {
                    Whence::Offset(offset) => offset,
                    Whence::Start(start) => inquiry.begin(&partition, start, now)?,
                };
                let (group, Partition { topic, number }) = (&kafka.group.id, &partition);
                database.reset(group, topic, *number, offset).await?;
                say(&line(&partition, &offset.to_string()));
                count += 1;
            }
        }
        if count == 0 {
            return Err(Failure::Other("there is no such partition".to_owned()));
        }
        Ok(Exit::Done)
    })
}

fn kafka(config: &Config) -> Result<&Kafka, Failure> {
    let missing = || Failure::Other("there is no Kafka in the configuration; see kafka".to_owned());
    config.kafka.as_ref().ok_or_else(missing)
}

fn line(partition: &Partition, next: &str) -> String {
    format!("{:<44} {next:>14}", partition.to_string())
}
