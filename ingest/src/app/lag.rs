//! The command `lag`.

use std::time::Duration;

use crate::app::check::with_kafka;
use crate::app::console::{complain, say};
use crate::app::group_offsets::{PartitionOffsets, group_offsets, shown};
use crate::cli::{ConfigArgs, Exit};
use crate::config::{Config, Kafka};
use crate::record::{Partition, UnixMillis};
use crate::source::SourceError;
use crate::source::kafka::Admin;

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
    let next = group_offsets.iter().filter_map(|(partition, offsets)| {
        let next = offsets.committed?.max(offsets.bounds.low);
        (next < offsets.bounds.high).then(|| (partition.clone(), next))
    });
    let waiting = admin.first_of(&next.collect())?;
    let age = |partition: &Partition| {
        let written = waiting.get(partition)?.timestamp?;
        u64::try_from(clock().0.saturating_sub(written.0)).ok()
    };
    let rows = group_offsets
        .iter()
        .map(|(partition, offsets)| row(partition, offsets, age(partition)));
    Ok(rows.collect())
}

/// `age` is that of the next record in milliseconds, None if it is not known or there is none.
fn row(partition: &Partition, offsets: &PartitionOffsets, age: Option<u64>) -> String {
    let end = offsets.bounds.high;
    let lag = offsets
        .committed
        .map(|next| end.saturating_sub(next).max(0));
    let behind = match (lag, age) {
        (Some(0), _) => "0s".to_owned(),
        (_, Some(age)) => format!("{:?}", Duration::from_secs(age / 1000)),
        _ => "-".to_owned(),
    };
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

    #[test]
    fn the_lag_is_what_is_left_and_unknown_before_anything_was_read() {
        let partition = Partition::new("t", 1);
        let shown = |committed, age| {
            let bounds = Watermarks { low: 3, high: 20 };
            let row = row(&partition, &PartitionOffsets { committed, bounds }, age);
            row.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            shown(Some(15), Some(125_400)),
            ["t[1]", "15", "20", "5", "125s"]
        );
        assert_eq!(shown(Some(20), None), ["t[1]", "20", "20", "0", "0s"]);
        assert_eq!(shown(None, None), ["t[1]", "-", "20", "-", "-"]);
    }
}
