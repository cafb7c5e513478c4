//! Translates the settings for Kafka's client.

use std::path::Path;

use perijove_core::Secret;
use rdkafka::ClientConfig;

use crate::config::{Assignment, Broker, Kafka, Mechanism, Security};

/// Maximum size of one fetch, unless less may be prefetched at all. Brokers add up: each may send
/// this much.
const ANSWER: usize = 16 << 20;
/// Kafka's own limit for a message, below which the one for answers may not be.
const MESSAGE: usize = 1_000_000;
/// How often topics are refreshed, to find added partitions.
const METADATA_MS: u64 = 60_000;
/// How often the client reports its statistics: connections, and where partitions end.
const STATISTICS_MS: u64 = 1000;

/// What every client needs to reach the cluster.
fn client(kafka: &Kafka) -> ClientConfig {
    let brokers: Vec<String> = kafka.brokers.iter().map(Broker::to_string).collect();
    let mut config = ClientConfig::new();
    config
        .set("client.id", "perijove-ingest")
        .set("bootstrap.servers", brokers.join(","))
        .set("security.protocol", protocol(kafka.security))
        .set("socket.connection.setup.timeout.ms", millis(kafka.connect))
        .set("allow.auto.create.topics", "false")
        .set(
            "topic.metadata.refresh.interval.ms",
            METADATA_MS.to_string(),
        );
    if kafka.security.is_sasl() {
        config.set("sasl.mechanism", mechanism(kafka.mechanism));
        secret(&mut config, "sasl.username", kafka.username.as_ref());
        secret(&mut config, "sasl.password", kafka.password.as_ref());
    }
    if kafka.security.is_tls() {
        let tls = &kafka.tls;
        file(&mut config, "ssl.ca.location", tls.ca.as_deref());
        file(
            &mut config,
            "ssl.certificate.location",
            tls.certificate.as_deref(),
        );
        file(&mut config, "ssl.key.location", tls.key.as_deref());
        secret(&mut config, "ssl.key.password", tls.key_password.as_ref());
        let names = if tls.verify_hostname { "https" } else { "none" };
        config.set("ssl.endpoint.identification.algorithm", names);
    }
    config
}

/// For queries: they must not use the member name of the settings.
pub(super) fn stranger(kafka: &Kafka) -> ClientConfig {
    let mut config = member(kafka);
    config.remove("group.instance.id");
    config
}

/// What a member of the group needs besides.
pub(super) fn member(kafka: &Kafka) -> ClientConfig {
    let mut config = client(kafka);
    let assignment = match kafka.assignment {
        Assignment::CooperativeSticky => "cooperative-sticky",
        Assignment::RoundRobin => "roundrobin",
    };
    let answer = ANSWER.min(kafka.prefetch).max(MESSAGE);
    config
        .set("group.id", &kafka.group.id)
        .set("partition.assignment.strategy", assignment)
        .set("session.timeout.ms", millis(kafka.session_timeout))
        .set("heartbeat.interval.ms", millis(kafka.heartbeat))
        .set("max.poll.interval.ms", millis(kafka.max_poll_interval))
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // Every start is explicit; a gap must be recorded before it is skipped.
        .set("auto.offset.reset", "error")
        .set("message.max.bytes", MESSAGE.to_string())
        .set("fetch.max.bytes", answer.to_string())
        .set(
            "queued.max.messages.kbytes",
            (kafka.prefetch / 1024).max(1).to_string(),
        )
        .set("fetch.queue.backoff.ms", millis(kafka.prefetch_pause))
        .set("check.crcs", "true")
        .set("statistics.interval.ms", STATISTICS_MS.to_string());
    if let Some(member) = &kafka.group.member {
        config.set("group.instance.id", member);
    }
    config
}

const fn protocol(security: Security) -> &'static str {
    match security {
        Security::Plaintext => "PLAINTEXT",
        Security::Ssl => "SSL",
        Security::SaslPlaintext => "SASL_PLAINTEXT",
        Security::SaslSsl => "SASL_SSL",
    }
}

pub(super) const fn mechanism(mechanism: Mechanism) -> &'static str {
    match mechanism {
        Mechanism::Plain => "PLAIN",
        Mechanism::ScramSha256 => "SCRAM-SHA-256",
        Mechanism::ScramSha512 => "SCRAM-SHA-512",
    }
}

fn millis(duration: std::time::Duration) -> String {
    duration.as_millis().to_string()
}

fn secret(config: &mut ClientConfig, key: &str, value: Option<&Secret>) {
    if let Some(value) = value {
        config.set(key, value.expose());
    }
}

fn file(config: &mut ClientConfig, key: &str, path: Option<&Path>) {
    if let Some(path) = path {
        config.set(key, path.display().to_string());
    }
}

#[cfg(test)]
mod tests;
