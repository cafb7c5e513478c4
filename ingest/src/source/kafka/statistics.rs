//! The client's statistics, once a second: the few of its hundreds of numbers that are used.

use std::collections::HashMap;

use serde::Deserialize;

use crate::source::kafka::state::HeardEnd;

/// A broker that we fetch from answers several times a second, whether it has records or not.
const SILENT_MICROS: i64 = 5_000_000;

/// The statistics.
#[derive(Debug, Deserialize)]
pub(super) struct Statistics {
    #[serde(default)]
    brokers: HashMap<String, Broker>,
    #[serde(default)]
    topics: HashMap<String, TopicStatistics>,
}

#[derive(Debug, Deserialize)]
struct Broker {
    state: String,
    #[serde(default = "unknown")]
    nodeid: i32,
    /// Microseconds since it said something.
    #[serde(default)]
    rxidle: i64,
}

const fn no_offset() -> i64 {
    -1
}

/// No broker.
const fn unknown() -> i32 {
    -1
}

#[derive(Debug, Deserialize)]
struct TopicStatistics {
    partitions: HashMap<String, Partition>,
}

#[derive(Debug, Deserialize)]
struct Partition {
    hi_offset: i64,
    /// Where transactions end that are open; what is behind it is not delivered yet.
    #[serde(default = "no_offset")]
    ls_offset: i64,
    /// The next offset to be fetched.
    #[serde(default = "no_offset")]
    next_offset: i64,
    #[serde(default = "unknown")]
    leader: i32,
    /// Records that were fetched and not taken yet.
    #[serde(default)]
    fetchq_cnt: i64,
}

impl Broker {
    /// Whether it is there, and has not fallen silent.
    fn answers(&self) -> bool {
        self.state == "UP" && self.rxidle < SILENT_MICROS
    }
}

impl Statistics {
    /// Whether there is a broker to talk to.
    pub(super) fn is_connected(&self) -> bool {
        self.brokers.values().any(|broker| broker.state == "UP")
    }

    /// Where a partition ends, as of the last fetch; None before the first.
    pub(super) fn end(&self, topic: &str, partition: i32) -> Option<HeardEnd> {
        let partitions = &self.topics.get(topic)?.partitions;
        let known = partitions.get(&partition.to_string())?;
        let offset = known.hi_offset;
        let committed = if known.ls_offset >= 0 {
            known.ls_offset.min(offset)
        } else {
            offset
        };
        (offset >= 0).then_some(HeardEnd {
            offset: committed,
            fetched: (known.fetchq_cnt == 0 && known.next_offset >= 0).then_some(known.next_offset),
        })
    }

    /// The numbers of the partitions that a topic has; none before anything was read of it.
    pub(super) fn partitions(&self, topic: &str) -> impl Iterator<Item = i32> {
        let partitions = self.topics.get(topic).map(|topic| &topic.partitions);
        let numbers = partitions.into_iter().flat_map(HashMap::keys);
        numbers
            .filter_map(|number| number.parse().ok())
            .filter(|number| *number >= 0)
    }

    /// Whether nothing comes of a partition that is fetched: it has no leader, or one that does not answer.
    pub(super) fn is_silent(&self, topic: &str, partition: i32) -> bool {
        let partitions = self.topics.get(topic).map(|topic| &topic.partitions);
        let Some(known) = partitions.and_then(|known| known.get(&partition.to_string())) else {
            return false;
        };
        let leads = |broker: &&Broker| broker.nodeid == known.leader;
        let mut leaders = self.brokers.values().filter(leads);
        known.fetchq_cnt == 0 && (known.leader < 0 || !leaders.any(Broker::answers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_few_numbers_are_found_among_the_many() {
        let text = r#"{"name":"x","ts":1,"brokers":{"a:1/1":{"state":"DOWN","rtt":{"p99":1}},
            "b:1/2":{"state":"UP"}},"topics":{"t":{"age":5,"partitions":{
            "0":{"hi_offset":42,"lo_offset":1},"-1":{"hi_offset":-1001},
            "1":{"hi_offset":42,"ls_offset":40,"next_offset":39},
            "2":{"hi_offset":42,"ls_offset":40,"next_offset":39,"fetchq_cnt":3},
            "3":{"hi_offset":42,"ls_offset":-1001,"next_offset":-1001}}}},"cgrp":{}}"#;
        let statistics: Statistics = serde_json::from_str(text).unwrap();
        assert!(statistics.is_connected());
        let heard = |offset, fetched| Some(HeardEnd { offset, fetched });
        assert_eq!(statistics.end("t", 0), heard(42, None));
        assert_eq!(statistics.end("t", 1), heard(40, Some(39)));
        assert_eq!(statistics.end("t", 2), heard(40, None));
        assert_eq!(statistics.end("t", 3), heard(42, None));
        assert_eq!(statistics.end("t", -1), None);
        assert_eq!(statistics.end("u", 0), None);
        let mut numbers: Vec<i32> = statistics.partitions("t").collect();
        numbers.sort_unstable();
        assert_eq!(numbers, [0, 1, 2, 3]);
        let none: Statistics = serde_json::from_str("{}").unwrap();
        assert!(!none.is_connected());
    }

    #[test]
    fn a_partition_is_silent_without_a_leader_that_answers() {
        let text = r#"{"brokers":{
            "a:1/1":{"state":"UP","nodeid":1,"rxidle":90000},
            "b:1/2":{"state":"UP","nodeid":2,"rxidle":30000000},
            "c:1/3":{"state":"DOWN","nodeid":3,"rxidle":90000},
            "GroupCoordinator":{"state":"UP","nodeid":1,"rxidle":90000000}},
            "topics":{"t":{"partitions":{
            "0":{"hi_offset":1,"leader":1},"1":{"hi_offset":1,"leader":2},"2":{"hi_offset":1,"leader":3},
            "3":{"hi_offset":1,"leader":-1},"4":{"hi_offset":1,"leader":2,"fetchq_cnt":7}}}}}"#;
        let statistics: Statistics = serde_json::from_str(text).unwrap();
        let silent = (0..6).map(|number| statistics.is_silent("t", number));
        let expected = [false, true, true, true, false, false];
        assert_eq!(silent.collect::<Vec<_>>(), expected);
    }
}
