//! How far partitions are behind. A fetch tells where its partition ends; of those that are paused
//! nothing is fetched, which is when people want to know most, so the brokers are asked.

use std::time::Duration;

use rdkafka::consumer::Consumer;
use tokio::time::Instant;

use crate::source::kafka::owned::Stage;
use crate::source::kafka::reader::Reader;
use crate::source::kafka::statistics::Statistics;

/// Between two questions for the ends of what is paused.
const AGAIN: Duration = Duration::from_secs(5);
/// How long one answer may take: the thread waits for it.
const ANSWER: Duration = Duration::from_secs(1);

impl Reader {
    /// Shows the lag of everything that is ours, with what the client has heard.
    pub(super) fn heed_ends(&mut self, statistics: &Statistics) {
        for (partition, owned) in &mut self.partitions {
            if let Some(end) = statistics.end(&partition.topic, partition.number) {
                owned.ends(end);
            }
        }
        if self.ends_after.is_none_or(|time| Instant::now() >= time) {
            self.ask_for_ends();
            self.ends_after = Some(Instant::now() + AGAIN);
        }
        for (partition, owned) in &self.partitions {
            if let Some(lag) = owned.lag() {
                self.metrics.lag(partition, lag);
            }
        }
    }

    fn ask_for_ends(&mut self) {
        for (partition, owned) in &mut self.partitions {
            if !owned.paused || owned.stage != Stage::Reading {
                continue;
            }
            let (topic, number) = (&partition.topic, partition.number);
            let Ok((_, end)) = self.consumer.fetch_watermarks(topic, number, ANSWER) else {
                // Others would keep us waiting as long.
                return;
            };
            owned.ends(end);
        }
    }
}
