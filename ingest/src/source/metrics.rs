//! The metrics of a source. The series of a partition exist only while it is assigned to us, so that
//! no process shows the lag of a partition that another one reads.

use std::ops::Range;

use prometheus::{IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, core::Collector};
use strum::{IntoStaticStr, VariantNames};

use crate::record::Partition;
use crate::source::fault::SourceErrorKind;

/// The metric families, with the consumer group filled in.
#[derive(Clone, Debug)]
pub struct SourceMetrics {
    lag: IntGaugeVec,
    connected: IntGauge,
    rebalances: IntCounterVec,
    faults: IntCounterVec,
    gaps: IntCounterVec,
    gap_records: IntCounterVec,
    paused: IntGauge,
    buffered: IntGauge,
    assigned: IntGauge,
    unread: IntGauge,
    group: String,
}

/// What a rebalance did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub(super) enum Rebalance {
    Assign,
    Revoke,
    Lose,
}

impl SourceMetrics {
    /// For the consumer of this group and these topics; a recording has none.
    ///
    /// # Errors
    /// A name is registered already.
    pub fn register(
        registry: &Registry,
        group: &str,
        topics: &[String],
    ) -> prometheus::Result<Self> {
        let gauges = |name: &str, help: &str, labels: &[&str]| {
            kept(registry, IntGaugeVec::new(Opts::new(name, help), labels)?)
        };
        let gauge = |name: &str, help: &str| kept(registry, IntGauge::new(name, help)?);
        let counters = |name: &str, help: &str, label: &str| {
            kept(
                registry,
                IntCounterVec::new(Opts::new(name, help), &[label])?,
            )
        };
        let metrics = Self {
            lag: gauges(
                "kafka_consumer_lag",
                "Records between the stored offset and the end of the partition.",
                &["topic", "partition", "group"],
            )?,
            connected: gauge(
                "kafka_connection_active",
                "1 while at least one broker is connected.",
            )?,
            rebalances: counters(
                "kafka_rebalances_total",
                "Rebalances that assigned or revoked partitions, or found them lost.",
                "kind",
            )?,
            faults: counters(
                "kafka_errors_total",
                "Errors reported by the Kafka client, by kind.",
                "kind",
            )?,
            gaps: counters(
                "kafka_gaps_total",
                "Times that reading could not resume at the stored offset.",
                "topic",
            )?,
            gap_records: counters(
                "kafka_gap_records_total",
                "Records that expired before they were read.",
                "topic",
            )?,
            paused: gauge(
                "kafka_paused_partitions",
                "Partitions paused until the sinks have caught up.",
            )?,
            buffered: gauge(
                "kafka_buffered_bytes",
                "Bytes of records buffered between the source and the sinks.",
            )?,
            assigned: gauge(
                "kafka_assigned_partitions",
                "Partitions assigned to this process.",
            )?,
            unread: gauge(
                "kafka_unread_partitions",
                "Partitions of the topics that get records which nobody reads, as seen by this process.",
            )?,
            group: group.to_owned(),
        };
        metrics.begin(topics);
        Ok(metrics)
    }

    /// Creates every series at the start, so that an alert sees the first event.
    fn begin(&self, topics: &[String]) {
        for topic in topics {
            self.gaps.with_label_values(&[topic]);
            self.gap_records.with_label_values(&[topic]);
        }
        for kind in SourceErrorKind::LABELS {
            self.faults.with_label_values(&[kind]);
        }
        for kind in Rebalance::VARIANTS {
            self.rebalances.with_label_values(&[kind]);
        }
    }

    pub(super) fn assigned(&self, partitions: usize) {
        let partitions = i64::try_from(partitions).unwrap_or(i64::MAX);
        self.assigned.set(partitions);
    }

    pub(super) fn unread(&self, partitions: usize) {
        let partitions = i64::try_from(partitions).unwrap_or(i64::MAX);
        self.unread.set(partitions);
    }

    pub(super) fn lag(&self, partition: &Partition, lag: i64) {
        let number = partition.number.to_string();
        let labels = [&*partition.topic, &number, &self.group];
        self.lag.with_label_values(&labels).set(lag);
    }

    pub(super) fn forget(&self, partition: &Partition) {
        let number = partition.number.to_string();
        let labels = [&*partition.topic, &number, &self.group];
        // There is none yet if it was never seen.
        drop(self.lag.remove_label_values(&labels));
    }

    pub(super) fn connected(&self, connected: bool) {
        self.connected.set(i64::from(connected));
    }

    pub(super) fn rebalance(&self, kind: Rebalance) {
        let kind: &str = kind.into();
        self.rebalances.with_label_values(&[kind]).inc();
    }

    pub(super) fn fault(&self, kind: SourceErrorKind) {
        self.faults.with_label_values(&[kind.label()]).inc();
    }

    /// Counts a gap. How many records one has is not known when it ends before it starts.
    pub(super) fn gap(&self, topic: &str, gap: &Range<i64>) {
        let records = u64::try_from(gap.end - gap.start).unwrap_or(0);
        self.gaps.with_label_values(&[topic]).inc();
        self.gap_records.with_label_values(&[topic]).inc_by(records);
    }

    pub(super) fn buffer(&self, paused: usize, bytes: usize) {
        self.paused.set(i64::try_from(paused).unwrap_or(i64::MAX));
        self.buffered.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}

fn kept<C: Collector + Clone + 'static>(registry: &Registry, family: C) -> prometheus::Result<C> {
    registry.register(Box::new(family.clone()))?;
    Ok(family)
}
