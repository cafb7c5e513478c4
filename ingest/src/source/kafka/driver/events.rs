//! Events of the client besides records: rebalances, errors, statistics.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::error::RDKafkaErrorCode;
use tokio::time::Instant;

use super::Driver;
use crate::record::Partition;
use crate::source::SourceError;
use crate::source::kafka::context::ClientEvent;
use crate::source::kafka::state::Input;
use crate::source::kafka::statistics::Statistics;
use crate::source::metrics::Rebalance;

/// Between two looks at topics that are not there or not for us.
const ACCESS_CHECK: Duration = Duration::from_secs(5);

impl Driver {
    pub(super) fn handle_client_events(&mut self) {
        for event in self.consumer.context().take() {
            match event {
                ClientEvent::Assign(list) => {
                    // Statistics, which would say it too, come up to a second later.
                    self.set_connected(true);
                    let partitions = self.topics.partitions(&list);
                    if !partitions.is_empty() {
                        self.metrics.rebalance(Rebalance::Assign);
                    }
                    self.feed(Input::Assigned(partitions));
                }
                ClientEvent::Revoke(list) => {
                    let lost = self.consumer.assignment_lost();
                    let kind = if lost {
                        Rebalance::Lose
                    } else {
                        Rebalance::Revoke
                    };
                    self.metrics.rebalance(kind);
                    let partitions = self.topics.partitions(&list);
                    self.feed(Input::Revoked(partitions));
                }
                ClientEvent::Error(code, reason) => self.handle_error(code, &reason),
                ClientEvent::Statistics(statistics) => self.handle_statistics(&statistics),
            }
        }
        let counts = self.state.counts();
        self.metrics.buffer(counts.paused, self.budget.bytes());
        self.metrics.assigned(counts.owned);
        self.status.set_partitions(counts.reading);
    }

    fn handle_error(&mut self, code: RDKafkaErrorCode, reason: &str) {
        match code {
            RDKafkaErrorCode::AutoOffsetReset => self.feed(Input::OffsetOutOfRange),
            RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic => {
                self.feed(Input::TopicsInDoubt);
            }
            RDKafkaErrorCode::AllBrokersDown => self.set_connected(false),
            _ => {}
        }
        // The reported error is the cause of a fatal one, such as a duplicate member name.
        if let Some((code, reason)) = self.consumer.client().fatal_error() {
            self.feed(Input::Broken(SourceError::told(code, &reason)));
        }
        self.fault(SourceError::told(code, reason));
    }

    fn handle_statistics(&mut self, statistics: &Statistics) {
        self.set_connected(statistics.is_connected());
        let ends = self.state.names().filter_map(|partition| {
            let end = statistics.end(&partition.topic, partition.number)?;
            Some((partition.clone(), end))
        });
        let ends = ends.collect();
        self.feed(Input::EndsHeard(ends));
        for (partition, lag) in self.state.lags() {
            self.metrics.lag(partition, lag);
        }
        self.look_for_unread(statistics);
        self.check_access();
    }

    /// Finds partitions of our topics that nobody reads.
    fn look_for_unread(&mut self, statistics: &Statistics) {
        let now = Instant::now();
        let fetched = self.state.fetched().map(|one| {
            let silent = statistics.is_silent(&one.topic, one.number);
            (one.clone(), silent)
        });
        let fetched = fetched.collect();
        self.unread.note_ours(fetched, now);
        if self.state.is_held() {
            // The others wait for the same database.
            self.unread.note_others(Vec::new(), now);
        } else if self.unread.wants_others(now) {
            let others = self.others(statistics);
            match self.fetch_progress(&others) {
                // With none of our own either, it is not known what there is.
                Some(others) if others.is_empty() && self.state.names().next().is_none() => {}
                Some(others) => self.unread.note_others(others, now),
                None => self.unread.no_answer(Instant::now()),
            }
        }
        let unread = self.unread.unread(now);
        self.metrics.unread(unread.len());
        let unread: Vec<String> = unread.iter().map(ToString::to_string).collect();
        let known = self.status.unread();
        for partition in unread.iter().filter(|one| !known.contains(one)) {
            tracing::warn!(partition, "records come that nobody reads");
        }
        for partition in known.iter().filter(|one| !unread.contains(one)) {
            tracing::info!(partition, "the partition is read again");
        }
        self.status.set_unread(unread);
    }

    /// The partitions of our topics that other processes should read.
    fn others(&mut self, statistics: &Statistics) -> Vec<Partition> {
        let mut others = Vec::new();
        for topic in &self.subscribed {
            let topic = self.topics.of(topic);
            let all = statistics
                .partitions(&topic)
                .map(|number| Partition::new(Arc::clone(&topic), number));
            others.extend(all.filter(|one| !self.state.names().any(|own| own == one)));
        }
        others
    }

    /// Whether missing or forbidden topics have changed; the client would not report it.
    fn check_access(&mut self) {
        let now = Instant::now();
        let fault = self.status.fault();
        if !fault.is_some_and(|fault| fault.kind.is_lasting())
            || self.next_access_check.is_some_and(|next| now < next)
        {
            return;
        }
        self.next_access_check = Some(now + ACCESS_CHECK);
        if self.lookup.is_permitted(&self.consumer, &self.subscribed) {
            self.status.set_permitted();
        }
    }

    pub(super) fn set_connected(&self, connected: bool) {
        self.status.set_connected(connected);
        self.metrics.connected(connected);
    }

    pub(super) fn fault(&self, fault: SourceError) {
        self.metrics.fault(fault.kind);
        let (kind, text) = (fault.kind, fault.to_string());
        let known = self.status.fault();
        self.status.set_fault(fault);
        if self.status.fault() == known {
            // Brokers that are away are away many times a second.
            tracing::debug!("{text}");
            return;
        }
        let hint = kind.hint().unwrap_or_default();
        tracing::warn!(kind = kind.label(), hint, "{text}");
    }
}
