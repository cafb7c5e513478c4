//! The client's statistics, once a second: the few of its hundreds of numbers that are used.

use std::collections::HashMap;

use serde::Deserialize;

/// The statistics.
#[derive(Debug, Deserialize)]
pub(super) struct Statistics {
    #[serde(default)]
    brokers: HashMap<String, Broker>,
    #[serde(default)]
    topics: HashMap<String, Topic>,
}

#[derive(Debug, Deserialize)]
struct Broker {
    state: String,
}

#[derive(Debug, Deserialize)]
struct Topic {
    partitions: HashMap<String, Partition>,
}

#[derive(Debug, Deserialize)]
struct Partition {
    hi_offset: i64,
}

impl Statistics {
    /// Whether there is a broker to talk to.
    pub(super) fn is_connected(&self) -> bool {
        self.brokers.values().any(|broker| broker.state == "UP")
    }

    /// The next offset to be written, as of the last fetch; None before the first.
    pub(super) fn end(&self, topic: &str, partition: i32) -> Option<i64> {
        let partitions = &self.topics.get(topic)?.partitions;
        let end = partitions.get(&partition.to_string())?.hi_offset;
        (end >= 0).then_some(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_few_numbers_are_found_among_the_many() {
        let text = r#"{"name":"x","ts":1,"brokers":{"a:1/1":{"state":"DOWN","rtt":{"p99":1}},
            "b:1/2":{"state":"UP"}},"topics":{"t":{"age":5,"partitions":{
            "0":{"hi_offset":42,"lo_offset":1},"-1":{"hi_offset":-1001}}}},"cgrp":{}}"#;
        let statistics: Statistics = serde_json::from_str(text).unwrap();
        assert!(statistics.is_connected());
        assert_eq!(statistics.end("t", 0), Some(42));
        assert_eq!(statistics.end("t", -1), None);
        assert_eq!(statistics.end("u", 0), None);
        let none: Statistics = serde_json::from_str("{}").unwrap();
        assert!(!none.is_connected());
    }
}
