//! The command `lag`.

use std::time::Duration;

use crate::app::check::with_kafka;
use crate::app::console::{complain, say};
use crate::app::group_offsets::{self, PartitionOffsets, group_offsets, next_records, shown};
use crate::cli::{ConfigArgs, Exit};
use crate::config::{Config, Kafka};
use crate::record::{Partition, UnixMillis};
use crate::source::SourceError;
use crate::source::kafka::{Admin, NextRecord};

/// Prints for each partition how far the group has come (by the offsets committed to Kafka), what
/// is left, and how old the next record is.
pub(super) fn lag(source: &ConfigArgs, clock: fn() -> UnixMillis) -> Exit {
    with_kafka(source, |kafka, config| match rows(kafka, config, clock) {
        Ok(rows) => {
            say(&line(["partition", "next", "end", "lag", "behind"]));
            for row in rows {
                say(&row);
            }
            Exit::Done
        }
        Err(fault) => {
            complain(&format!("{fault} [{}]", fault.kind.label()));
            fault.kind.hint().into_iter().for_each(complain);
            Exit::Failed
        }
    })
}

fn rows(
    kafka: &Kafka,
    config: &Config,
    clock: fn() -> UnixMillis,
) -> Result<Vec<String>, SourceError> {
    let mut admin = Admin::new(kafka)?;
    let group_offsets = group_offsets(&mut admin, config)?;
    let committed = group_offsets
        .iter()
        .filter_map(|(partition, offsets)| Some((partition.clone(), offsets.committed?)));
    let next = next_records(&mut admin, committed, &group_offsets)?;
    let rows = group_offsets
        .iter()
        .map(|(partition, offsets)| row(partition, offsets, next.get(partition), clock()));
    Ok(rows.collect())
}

/// `next` is None if it is not known.
fn row(
    partition: &Partition,
    offsets: &PartitionOffsets,
    next: Option<&NextRecord>,
    now: UnixMillis,
) -> String {
    let end = offsets.bounds.high;
    let lag = offsets
        .committed
        .map(|committed| group_offsets::lag(committed, offsets.bounds, next));
    let behind = match (lag, next) {
        (Some(0), _) => Some("0s".to_owned()),
        (_, Some(NextRecord::Is(record))) => record.timestamp.and_then(|written| {
            let age = u64::try_from(now.0.saturating_sub(written.0)).ok()?;
            Some(format!("{:?}", Duration::from_secs(age / 1000)))
        }),
        _ => None,
    };
    let behind = behind.unwrap_or_else(|| "-".to_owned());
    let committed = shown(offsets.committed);
    line([
        &partition.to_string(),
        &committed,
        &end.to_string(),
        &shown(lag),
        &behind,
    ])
}

fn line([partition, next, end, lag, behind]: [&str; 5]) -> String {
    format!("{partition:<44} {next:>14} {end:>14} {lag:>10} {behind:>10}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offsets::Watermarks;
    use crate::record::{Place, Record};

    #[test]
    fn the_lag_is_what_is_left_and_unknown_before_anything_was_read() {
        let partition = Partition::new("t", 1);
        let record = Record {
            place: Place {
                topic: "t".into(),
                partition: 1,
                offset: 15,
            },
            timestamp: Some(UnixMillis(1_760_000_000_000)),
            key: None,
            payload: None,
        };
        let shown = |committed, next: Option<NextRecord>| {
            let bounds = Watermarks { low: 3, high: 20 };
            let offsets = PartitionOffsets { committed, bounds };
            let now = UnixMillis(1_760_000_125_400);
            let row = row(&partition, &offsets, next.as_ref(), now);
            row.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            shown(Some(15), Some(NextRecord::Is(record))),
            ["t[1]", "15", "20", "5", "125s"]
        );
        assert_eq!(shown(Some(20), None), ["t[1]", "20", "20", "0", "0s"]);
        // Up to the end there are only marks of transactions.
        assert_eq!(
            shown(Some(18), Some(NextRecord::None)),
            ["t[1]", "18", "20", "0", "0s"]
        );
        assert_eq!(shown(Some(18), None), ["t[1]", "18", "20", "2", "-"]);
        assert_eq!(shown(None, None), ["t[1]", "-", "20", "-", "-"]);
    }
}
