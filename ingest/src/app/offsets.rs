//! The command `offsets`. The offsets in the database count; those committed to Kafka are only
//! shown, for tools.

use std::collections::BTreeMap;

use crate::app::check::kafka;
use crate::app::clock::now;
use crate::app::console::{complain, say};
use crate::app::dead_letters::{Failure, reading_database, run_with};
use crate::app::group_offsets::{PartitionOffsets, group_offsets, lag, next_records, shown};
use crate::cli::{ConfigArgs, Exit, ResetOffsetsArgs, ResetTarget};
use crate::config::{Config, Kafka};
use crate::offsets::Watermarks;
use crate::record::Partition;
use crate::sink::database::{Database, DatabaseError};
use crate::source::kafka::{Admin, NextRecord};
use crate::source::{SourceError, SourceErrorKind};

/// A running program may claim its lane again during a reset; after this many attempts the command
/// gives up.
const TRIES: usize = 5;

/// Prints where each partition continues, what was committed to Kafka, what Kafka has, and how many
/// records are left.
pub(super) fn show(source: &ConfigArgs) -> Exit {
    reading_database(source, async |config, database| {
        let kafka = kafka(config)?;
        let stored = stored(&database, &kafka.group.id).await?;
        let (group_offsets, records, fault) = match asked(kafka, config, &stored) {
            Ok((group_offsets, records)) => (group_offsets, records, None),
            Err(fault) => (BTreeMap::new(), BTreeMap::new(), Some(fault)),
        };
        say(&row([
            "partition",
            "next",
            "committed",
            "oldest",
            "end",
            "lag",
        ]));
        let mut partitions: Vec<&Partition> = stored.keys().chain(group_offsets.keys()).collect();
        partitions.sort();
        partitions.dedup();
        for partition in partitions {
            let next = stored.get(partition).copied().flatten();
            let offsets = group_offsets.get(partition);
            say(&offsets_row(
                partition,
                next,
                offsets,
                records.get(partition),
            ));
            if let (Some(next), Some(offsets)) = (next, offsets) {
                warn(partition, next, offsets.bounds);
            }
        }
        Ok(match fault {
            None => Exit::Done,
            Some(fault) => {
                complain(&format!(
                    "Kafka is unavailable, showing only what the database has: {fault}"
                ));
                Exit::Failed
            }
        })
    })
}

/// What Kafka knows of each partition, and what comes next there.
type Asked = (
    BTreeMap<Partition, PartitionOffsets>,
    BTreeMap<Partition, NextRecord>,
);

fn asked(
    kafka: &Kafka,
    config: &Config,
    stored: &BTreeMap<Partition, Option<i64>>,
) -> Result<Asked, SourceError> {
    let mut admin = Admin::new(kafka)?;
    let group_offsets = group_offsets(&mut admin, config)?;
    let next = stored.iter();
    let next = next.filter_map(|(partition, next)| Some((partition.clone(), (*next)?)));
    let records = next_records(&mut admin, next, &group_offsets)?;
    Ok((group_offsets, records))
}

async fn stored(
    database: &Database,
    group: &str,
) -> Result<BTreeMap<Partition, Option<i64>>, DatabaseError> {
    let lanes = database.lanes(group).await?.into_iter();
    Ok(lanes
        .map(|lane| (Partition::new(lane.topic, lane.partition), lane.next_offset))
        .collect())
}

fn offsets_row(
    partition: &Partition,
    next: Option<i64>,
    offsets: Option<&PartitionOffsets>,
    record: Option<&NextRecord>,
) -> String {
    let left = next.zip(offsets);
    let left = left.map(|(next, offsets)| lag(next, offsets.bounds, record));
    let of = |number: fn(&PartitionOffsets) -> Option<i64>| shown(offsets.and_then(number));
    row([
        &partition.to_string(),
        &shown(next),
        &of(|offsets| offsets.committed),
        &of(|offsets| Some(offsets.bounds.low)),
        &of(|offsets| Some(offsets.bounds.high)),
        &shown(left),
    ])
}

fn row([partition, next, told, low, high, lag]: [&str; 6]) -> String {
    format!("{partition:<44} {next:>14} {told:>14} {low:>14} {high:>14} {lag:>10}")
}

/// Warns if reading cannot continue where it stopped.
fn warn(partition: &Partition, next: i64, bounds: Watermarks) {
    if next < bounds.low {
        let gone = bounds.low - next;
        complain(&format!(
            "{partition}: the next {gone} records expired unread"
        ));
    } else if next > bounds.high {
        complain(&format!(
            "{partition}: the topic ends before the stored offset; was it recreated?"
        ));
    }
}

/// Sets where partitions continue. Existing rows stay; reading records again changes nothing. The
/// database is opened once Kafka has answered, and only read in a dry run.
pub(super) fn reset(what: &ResetOffsetsArgs) -> Exit {
    run_with(&what.source, async |config| {
        let kafka = kafka(config)?;
        let group = &kafka.group.id;
        let mut admin = Admin::new(kafka)?;
        // Everything is looked at before anything is changed.
        let targets = targets(&mut admin, config, what)?;
        let database = if what.dry_run {
            Database::open_to_read(&config.database).await?
        } else {
            Database::open(&config.database).await?
        };
        let stored = stored(&database, group).await?;
        for (partition, next) in &targets {
            if !what.dry_run {
                write(&database, group, partition, *next).await?;
            }
            let before = stored.get(partition).copied().flatten();
            say(&change(partition, before, *next));
        }
        if what.dry_run {
            complain("dry run: nothing was changed");
        } else if let Err(fault) = admin.commit(&targets) {
            complain(&untold(&fault));
        }
        Ok(Exit::Done)
    })
}

/// Where each partition that is meant shall go on.
fn targets(
    admin: &mut Admin,
    config: &Config,
    what: &ResetOffsetsArgs,
) -> Result<BTreeMap<Partition, i64>, Failure> {
    let mut targets = BTreeMap::new();
    let streams = config.streams.iter().map(|stream| &stream.topic);
    for topic in streams.filter(|topic| what.topic.as_ref().is_none_or(|only| only == *topic)) {
        let partitions = admin.partitions(topic)?.into_iter();
        let meant =
            |partition: &Partition| what.partition.is_none_or(|only| only == partition.number);
        for partition in partitions.filter(meant) {
            let next = match what.to {
                ResetTarget::Offset(offset) => {
                    within(admin.bounds(&partition)?, offset, &partition)?
                }
                ResetTarget::Start(start) => admin.begin(&partition, start, now)?,
            };
            targets.insert(partition, next);
        }
    }
    if targets.is_empty() {
        return Err(Failure::Other(nothing_meant(config, what)));
    }
    Ok(targets)
}

/// Which topic or partition there is not.
fn nothing_meant(config: &Config, what: &ResetOffsetsArgs) -> String {
    let topics: Vec<&str> = config.streams.iter().map(|one| &*one.topic).collect();
    let topics = topics.join(", ");
    match (&what.topic, what.partition) {
        (Some(topic), _) if !config.streams.iter().any(|one| one.topic == *topic) => {
            format!("there is no stream with --topic {topic}; there are {topics}")
        }
        (topic, Some(partition)) => {
            let topics = topic.as_ref().unwrap_or(&topics);
            format!("there is no such partition: --partition {partition} of {topics}")
        }
        (_, None) => format!("there is no such partition of {topics}"),
    }
}

fn within(bounds: Watermarks, offset: i64, partition: &Partition) -> Result<i64, Failure> {
    let Watermarks { low, high } = bounds;
    if (low..=high).contains(&offset) {
        return Ok(offset);
    }
    let message = format!("{partition} has offsets {low} to {high}; {offset} is outside");
    Err(Failure::Other(message))
}

async fn write(
    database: &Database,
    group: &str,
    partition: &Partition,
    next: i64,
) -> Result<(), DatabaseError> {
    let mut tries = 0;
    loop {
        tries += 1;
        let done = database
            .reset(group, &partition.topic, partition.number, next)
            .await;
        match done {
            Err(DatabaseError::Fenced) if tries < TRIES => {}
            done => return done.map(drop),
        }
    }
}

fn change(partition: &Partition, before: Option<i64>, next: i64) -> String {
    let effect = match before.map(|before| next.saturating_sub(before)) {
        Some(records @ 1..) => format!("{records} records are skipped"),
        Some(records @ ..0) => format!("{} records are read again", records.unsigned_abs()),
        Some(0) => "unchanged".to_owned(),
        None => "never read before".to_owned(),
    };
    let before = shown(before);
    format!(
        "{:<44} {before:>14} -> {next:<14} {effect}",
        partition.to_string()
    )
}

fn untold(fault: &SourceError) -> String {
    match fault.kind {
        SourceErrorKind::Group => {
            "not committed to Kafka: the group has running members, which will pick up the new offset and commit it"
                .to_owned()
        }
        _ => format!("stored in the database, but not committed to Kafka: {fault}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_says_what_it_comes_to() {
        let partition = Partition::new("t", 1);
        for (before, next, effect) in [
            (Some(10), 4, "6 records are read again"),
            (Some(10), 14, "4 records are skipped"),
            (Some(10), 10, "unchanged"),
            (None, 10, "never read before"),
        ] {
            let line = change(&partition, before, next);
            assert!(line.ends_with(effect), "{line}");
        }
    }

    #[test]
    fn an_offset_must_be_one_that_the_partition_has() {
        let bounds = Watermarks { low: 5, high: 9 };
        let partition = Partition::new("t", 1);
        for (offset, taken) in [(4, false), (5, true), (9, true), (10, false)] {
            let within = within(bounds, offset, &partition);
            assert_eq!(within.is_ok(), taken, "{offset}");
        }
    }
}
