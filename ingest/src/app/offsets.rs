//! The command `offsets`. What counts is what the database keeps; Kafka's own offsets are told after
//! it and only for tools.

use std::collections::BTreeMap;

use crate::app::check::kafka;
use crate::app::letters::{Failure, reading_database, with_database};
use crate::app::standing::{Standing, shown, standings};
use crate::app::{complain, now, say};
use crate::cli::{Exit, ResetOffsets, Source, Whence};
use crate::config::Config;
use crate::offsets::Bounds;
use crate::record::Partition;
use crate::sink::database::{Database, StoreError};
use crate::source::kafka::Inquiry;
use crate::source::{Fault, FaultKind};

/// A program that runs may take its lane back in the midst of a reset; not so often.
const TRIES: usize = 5;

/// Prints where each partition goes on, what Kafka was told of it, and what there is.
pub(super) fn show(source: &Source) -> Exit {
    reading_database(source, async |config, database| {
        let kafka = kafka(config)?;
        let stored = stored(&database, &kafka.group.id).await?;
        let asked = Inquiry::new(kafka).and_then(|mut inquiry| standings(&mut inquiry, config));
        let (standings, fault) = match asked {
            Ok(standings) => (standings, None),
            Err(fault) => (BTreeMap::new(), Some(fault)),
        };
        say(&row(["partition", "next", "told Kafka", "oldest", "end"]));
        let mut partitions: Vec<&Partition> = stored.keys().chain(standings.keys()).collect();
        partitions.sort();
        partitions.dedup();
        for partition in partitions {
            let next = stored.get(partition).copied().flatten();
            let standing = standings.get(partition);
            say(&standing_row(partition, next, standing));
            if let (Some(next), Some(standing)) = (next, standing) {
                warn(partition, next, standing.bounds);
            }
        }
        Ok(match fault {
            None => Exit::Done,
            Some(fault) => {
                complain(&format!("only what the database knows: {fault}"));
                Exit::Failed
            }
        })
    })
}

async fn stored(
    database: &Database,
    group: &str,
) -> Result<BTreeMap<Partition, Option<i64>>, StoreError> {
    let lanes = database.lanes(group).await?.into_iter();
    Ok(lanes
        .map(|lane| (Partition::new(lane.topic, lane.partition), lane.next_offset))
        .collect())
}

fn standing_row(partition: &Partition, next: Option<i64>, standing: Option<&Standing>) -> String {
    let of = |number: fn(&Standing) -> Option<i64>| shown(standing.and_then(number));
    row([
        &partition.to_string(),
        &shown(next),
        &of(|standing| standing.told),
        &of(|standing| Some(standing.bounds.low)),
        &of(|standing| Some(standing.bounds.high)),
    ])
}

fn row([partition, next, told, low, high]: [&str; 5]) -> String {
    format!("{partition:<44} {next:>14} {told:>14} {low:>14} {high:>14}")
}

/// Says when reading cannot go on where it stopped.
fn warn(partition: &Partition, next: i64, bounds: Bounds) {
    if next < bounds.low {
        let gone = bounds.low - next;
        complain(&format!(
            "{partition}: the next {gone} records are gone unread"
        ));
    } else if next > bounds.high {
        complain(&format!(
            "{partition}: the topic ends before what was read; was it made anew?"
        ));
    }
}

/// Sets where partitions go on. Rows that are there stay; what is read again changes nothing.
pub(super) fn reset(what: &ResetOffsets) -> Exit {
    with_database(&what.source, async |config, database| {
        let kafka = kafka(config)?;
        let group = &kafka.group.id;
        let mut inquiry = Inquiry::new(kafka)?;
        // Everything is looked at before anything is changed.
        let targets = targets(&mut inquiry, config, what)?;
        let stored = stored(&database, group).await?;
        for (partition, next) in &targets {
            if !what.dry_run {
                write(&database, group, partition, *next).await?;
            }
            let before = stored.get(partition).copied().flatten();
            say(&change(partition, before, *next));
        }
        if what.dry_run {
            complain("nothing was changed: it was a dry run");
        } else if let Err(fault) = inquiry.commit(&targets) {
            complain(&untold(&fault));
        }
        Ok(Exit::Done)
    })
}

/// Where each partition that is meant shall go on.
fn targets(
    inquiry: &mut Inquiry,
    config: &Config,
    what: &ResetOffsets,
) -> Result<BTreeMap<Partition, i64>, Failure> {
    let mut targets = BTreeMap::new();
    let streams = config.streams.iter().map(|stream| &stream.topic);
    for topic in streams.filter(|topic| what.topic.as_ref().is_none_or(|only| only == *topic)) {
        let partitions = inquiry.partitions(topic)?.into_iter();
        let meant =
            |partition: &Partition| what.partition.is_none_or(|only| only == partition.number);
        for partition in partitions.filter(meant) {
            let next = match what.to {
                Whence::Offset(offset) => within(inquiry.bounds(&partition)?, offset, &partition)?,
                Whence::Start(start) => inquiry.begin(&partition, start, now)?,
            };
            targets.insert(partition, next);
        }
    }
    if targets.is_empty() {
        return Err(Failure::Other("there is no such partition".to_owned()));
    }
    Ok(targets)
}

fn within(bounds: Bounds, offset: i64, partition: &Partition) -> Result<i64, Failure> {
    let Bounds { low, high } = bounds;
    if (low..=high).contains(&offset) {
        return Ok(offset);
    }
    let message = format!("{partition} has {low} to {high}, and {offset} is not in between");
    Err(Failure::Other(message))
}

async fn write(
    database: &Database,
    group: &str,
    partition: &Partition,
    next: i64,
) -> Result<(), StoreError> {
    let mut tries = 0;
    loop {
        tries += 1;
        let done = database
            .reset(group, &partition.topic, partition.number, next)
            .await;
        match done {
            Err(StoreError::Fenced) if tries < TRIES => {}
            done => return done.map(drop),
        }
    }
}

fn change(partition: &Partition, before: Option<i64>, next: i64) -> String {
    let effect = match before.map(|before| next.saturating_sub(before)) {
        Some(records @ 1..) => format!("{records} are left out"),
        Some(records @ ..0) => format!("{} are read again", records.unsigned_abs()),
        Some(0) => "as it was".to_owned(),
        None => "was never read".to_owned(),
    };
    let before = shown(before);
    format!(
        "{:<44} {before:>14} -> {next:<14} {effect}",
        partition.to_string()
    )
}

fn untold(fault: &Fault) -> String {
    match fault.kind {
        FaultKind::Group => {
            "Kafka was not told: the group has members, which will take it over and tell Kafka"
                .to_owned()
        }
        _ => format!("the database has it, but Kafka was not told: {fault}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_says_what_it_comes_to() {
        let partition = Partition::new("t", 1);
        for (before, next, effect) in [
            (Some(10), 4, "6 are read again"),
            (Some(10), 14, "4 are left out"),
            (Some(10), 10, "as it was"),
            (None, 10, "was never read"),
        ] {
            let line = change(&partition, before, next);
            assert!(line.ends_with(effect), "{line}");
        }
    }

    #[test]
    fn an_offset_must_be_one_that_the_partition_has() {
        let bounds = Bounds { low: 5, high: 9 };
        let partition = Partition::new("t", 1);
        for (offset, taken) in [(4, false), (5, true), (9, true), (10, false)] {
            let within = within(bounds, offset, &partition);
            assert_eq!(within.is_ok(), taken, "{offset}");
        }
    }
}
