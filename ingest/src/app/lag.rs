//! The command `lag`.

use std::time::Duration;

use crate::app::check::with_kafka;
use crate::app::standing::{Standing, shown, standings};
use crate::app::{complain, say};
use crate::cli::{Exit, Source};
use crate::config::{Config, Kafka};
use crate::record::{Partition, UnixMillis};
use crate::source::Fault;
use crate::source::kafka::Inquiry;

/// Prints for each partition how far the group has come, as it has told Kafka, what is left, and how
/// old the next record is.
pub(super) fn lag(source: &Source, clock: fn() -> UnixMillis) -> Exit {
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

fn rows(kafka: &Kafka, config: &Config, clock: fn() -> UnixMillis) -> Result<Vec<String>, Fault> {
    let mut inquiry = Inquiry::new(kafka)?;
    let standings = standings(&mut inquiry, config)?;
    let next = standings.iter().filter_map(|(partition, standing)| {
        let next = standing.told?.max(standing.bounds.low);
        (next < standing.bounds.high).then(|| (partition.clone(), next))
    });
    let waiting = inquiry.first_of(&next.collect())?;
    let age = |partition: &Partition| {
        let written = waiting.get(partition)?.timestamp?;
        u64::try_from(clock().0.saturating_sub(written.0)).ok()
    };
    let rows = standings
        .iter()
        .map(|(partition, standing)| row(partition, standing, age(partition)));
    Ok(rows.collect())
}

/// `age` is that of the next record in milliseconds, None if it is not known or there is none.
fn row(partition: &Partition, standing: &Standing, age: Option<u64>) -> String {
    let end = standing.bounds.high;
    let lag = standing.told.map(|next| end.saturating_sub(next).max(0));
    let behind = match (lag, age) {
        (Some(0), _) => "0s".to_owned(),
        (_, Some(age)) => format!("{:?}", Duration::from_secs(age / 1000)),
        _ => "-".to_owned(),
    };
    let told = shown(standing.told);
    line([
        &partition.to_string(),
        &told,
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
    use crate::offsets::Bounds;

    #[test]
    fn the_lag_is_what_is_left_and_unknown_before_anything_was_read() {
        let partition = Partition::new("t", 1);
        let shown = |told, age| {
            let bounds = Bounds { low: 3, high: 20 };
            let row = row(&partition, &Standing { told, bounds }, age);
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
