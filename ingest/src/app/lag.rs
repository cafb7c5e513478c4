//! The command `lag`.

use std::collections::BTreeMap;

use crate::app::check::load;
use crate::app::{complain, say};
use crate::cli::{Exit, Source};
use crate::config::{Config, Kafka};
use crate::offsets::Bounds;
use crate::record::Partition;
use crate::source::Fault;
use crate::source::kafka::Inquiry;

/// Prints for each partition how far the group has come, as it has told Kafka, and what is left.
pub(super) fn lag(source: &Source) -> Exit {
    let loaded = match load(source) {
        Ok(loaded) => loaded,
        Err(error) => {
            complain(&error.to_string());
            return Exit::BadConfig;
        }
    };
    let Some(kafka) = &loaded.config.kafka else {
        complain("there is no Kafka in the configuration, or it is switched off; see kafka");
        return Exit::BadConfig;
    };
    match standing(kafka, &loaded.config) {
        Ok(standing) => {
            say(&format!(
                "{:<44} {:>14} {:>14} {:>10}",
                "partition", "next", "end", "lag"
            ));
            for (partition, (next, bounds)) in standing {
                say(&row(&partition, next, bounds));
            }
            Exit::Done
        }
        Err(fault) => {
            complain(&format!("{fault} [{}]", fault.kind.label()));
            Exit::Failed
        }
    }
}

type Standing = BTreeMap<Partition, (Option<i64>, Bounds)>;

fn standing(kafka: &Kafka, config: &Config) -> Result<Standing, Fault> {
    let mut inquiry = Inquiry::new(kafka)?;
    let mut standing = Standing::new();
    for stream in &config.streams {
        let partitions = inquiry.partitions(&stream.topic)?;
        let committed = inquiry.committed(&partitions)?;
        for partition in partitions {
            let bounds = inquiry.bounds(&partition)?;
            let next = committed.get(&partition).copied();
            standing.insert(partition, (next, bounds));
        }
    }
    Ok(standing)
}

fn row(partition: &Partition, next: Option<i64>, bounds: Bounds) -> String {
    let partition = partition.to_string();
    let end = bounds.high;
    match next {
        Some(next) => {
            let lag = end.saturating_sub(next).max(0);
            format!("{partition:<44} {next:>14} {end:>14} {lag:>10}")
        }
        None => format!("{partition:<44} {:>14} {end:>14} {:>10}", "-", "-"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lag_is_what_is_left_and_unknown_before_anything_was_read() {
        let bounds = Bounds { low: 3, high: 20 };
        let partition = Partition::new("t", 1);
        let shown = |next| {
            let row = row(&partition, next, bounds);
            row.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(shown(Some(15)), ["t[1]", "15", "20", "5"]);
        assert_eq!(shown(None), ["t[1]", "-", "20", "-"]);
    }
}
