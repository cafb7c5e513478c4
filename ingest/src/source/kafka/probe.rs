//! Tests a connection step by step, so that a fault is reported where it is: the name, the port,
//! TLS, the login, the topic, the group, the records.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use perijove_core::settings::Setting;
use tokio::time::Instant;

use crate::config::{Broker, Kafka, Stream};
use crate::decode::{self, Limits};
use crate::record::{Partition, Record};
use crate::source::kafka::admin::{Admin, Cluster};
use crate::source::{SourceError, SourceErrorKind};

/// One of this many newest offsets is a record: transaction markers have offsets as well.
const NEWEST: i64 = 8;
/// Topics listed if the requested one is not among them.
const SHOWN: usize = 12;

/// One test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Such as `name` or `topic`.
    pub what: &'static str,
    /// The broker, topic or group.
    pub of: String,
    /// What was found.
    pub outcome: Result<String, SourceError>,
}

/// Tries everything that reading needs and reports each step. True if all of it went well. Joins no
/// group and commits nothing; waits at each step at most the configured time for a connection.
pub fn probe(kafka: &Kafka, streams: &[Stream], report: impl FnMut(Step)) -> bool {
    let mut probe = Probe {
        kafka,
        report,
        well: true,
    };
    probe.run(streams);
    probe.well
}

struct Probe<'k, R> {
    kafka: &'k Kafka,
    report: R,
    well: bool,
}

impl<R: FnMut(Step)> Probe<'_, R> {
    fn run(&mut self, streams: &[Stream]) {
        let mut reached = false;
        for broker in &self.kafka.brokers {
            reached |= self.reach(broker);
        }
        if !reached {
            return;
        }
        let admin = Admin::new(self.kafka);
        let Some(mut admin) = self.step("settings", "client", admin, |_| "accepted".to_owned())
        else {
            return;
        };
        let cluster = admin.cluster();
        let security = self.security();
        let found = self.step("login", &security, cluster, |cluster| {
            let brokers: Vec<&str> = cluster.brokers.values().map(String::as_str).collect();
            format!("{} brokers: {}", brokers.len(), brokers.join(", "))
        });
        let Some(cluster) = found else { return };
        self.reach_learnt(&cluster);
        let mut partitions = Vec::new();
        for stream in streams {
            let known = cluster.topics.keys().map(String::as_str);
            partitions.extend(self.topic(&mut admin, stream, known));
        }
        if !partitions.is_empty() {
            self.group(&admin, &partitions);
        }
    }

    /// Name and port of a broker.
    fn reach(&mut self, broker: &Broker) -> bool {
        let subject = broker.to_string();
        let addresses = (broker.host.as_str(), broker.port)
            .to_socket_addrs()
            .map(Iterator::collect::<Vec<SocketAddr>>)
            .map_err(|error| SourceError::new(SourceErrorKind::Name, error.to_string()));
        let found = self.step("name", &subject, addresses, |addresses| {
            let addresses: Vec<String> = addresses.iter().map(|one| one.ip().to_string()).collect();
            addresses.join(", ")
        });
        let Some(addresses) = found else { return false };
        let begun = Instant::now();
        let connected = connect(&addresses, self.kafka.connect);
        let connected = self.step("port", &subject, connected, |address| {
            format!("{address} in {:.0?}", begun.elapsed())
        });
        connected.is_some()
    }

    /// Reading goes through the brokers by their advertised names, which need not be those of the
    /// settings.
    fn reach_learnt(&mut self, cluster: &Cluster) {
        let learnt = cluster.brokers.values();
        for broker in learnt.filter_map(|address| Broker::from_text(address)) {
            if !self.kafka.brokers.contains(&broker) {
                self.reach(&broker);
            }
        }
    }

    fn security(&self) -> String {
        let security = self.kafka.security;
        let mut parts = vec![if security.is_tls() { "TLS" } else { "no TLS" }];
        if security.is_sasl() {
            parts.push(super::settings::mechanism(self.kafka.mechanism));
        }
        parts.join(", ")
    }

    /// A topic, where its partitions begin and end, and one of its newest records.
    fn topic<'c>(
        &mut self,
        admin: &mut Admin,
        stream: &Stream,
        known: impl Iterator<Item = &'c str>,
    ) -> Vec<Partition> {
        let partitions = admin.partitions(&stream.topic).map_err(|fault| {
            let known: Vec<&str> = known.filter(|name| !name.starts_with("__")).collect();
            match known.get(..SHOWN).unwrap_or(&known) {
                [] => fault,
                shown => SourceError::new(
                    fault.kind,
                    format!("{fault}; there are {}", shown.join(", ")),
                ),
            }
        });
        let found = self.step("topic", &stream.topic, partitions, |partitions| {
            format!("{} partitions", partitions.len())
        });
        let partitions = found.unwrap_or_default();
        let mut newest = BTreeMap::new();
        for partition in &partitions {
            let bounds = admin.bounds(partition);
            let found = self.step("offsets", &partition.to_string(), bounds, |bounds| {
                format!("{} to {}", bounds.low, bounds.high)
            });
            if let Some(bounds) = found
                && bounds.low < bounds.high
            {
                let few = bounds.high.saturating_sub(NEWEST).max(bounds.low);
                newest.insert(partition.clone(), few);
            }
        }
        if !partitions.is_empty() {
            self.record(admin, stream, &newest);
        }
        partitions
    }

    fn record(&mut self, admin: &mut Admin, stream: &Stream, newest: &BTreeMap<Partition, i64>) {
        if newest.is_empty() {
            let none = Ok("the topic has no record to read".to_owned());
            self.step("record", &stream.topic, none, String::clone);
            return;
        }
        let deadline = Instant::now() + self.kafka.connect;
        let mut found: Option<Record> = None;
        let read = admin.read(newest, |record| {
            found = found.take().or(record);
            Ok::<_, SourceError>(found.is_some() || Instant::now() >= deadline)
        });
        let read = read.and_then(|()| {
            let late = || SourceError::new(SourceErrorKind::Timeout, "no record was received");
            found.ok_or_else(late)
        });
        let decoded = read.and_then(|record| {
            let limits = Limits::default();
            let payload = record.payload.as_ref();
            let message = decode::decode(stream.kind, stream.encoding, payload, &limits);
            let slot = message
                .map(|message| message.header().map_or(0, |header| header.slot))
                .map_err(|error| {
                    SourceError::new(SourceErrorKind::Other, format!("{}: {error}", record.place))
                })?;
            Ok((record, slot))
        });
        self.step("record", &stream.topic, decoded, |(record, slot)| {
            let bytes = record.payload.as_ref().map_or(0, bytes::Bytes::len);
            format!("{} of slot {slot}, {bytes} bytes", record.place)
        });
    }

    /// Whether the account may use the group. Its name is a rule of Bitquery's.
    fn group(&mut self, admin: &Admin, partitions: &[Partition]) {
        let group = &self.kafka.group.id;
        let committed = admin.committed(partitions);
        self.step("group", group, committed, |committed| {
            match committed.len() {
                0 => "has read nothing yet".to_owned(),
                count => format!("has read {count} of {} partitions", partitions.len()),
            }
        });
        let user = self.kafka.username.as_ref();
        if user.is_some_and(|user| !group.starts_with(user.expose())) {
            let advice = Ok("does not begin with the user name, as Bitquery requires".to_owned());
            self.step("group", group, advice, String::clone);
        }
    }

    /// Reports a step and returns its result.
    fn step<T>(
        &mut self,
        what: &'static str,
        of: &str,
        outcome: Result<T, SourceError>,
        show: impl FnOnce(&T) -> String,
    ) -> Option<T> {
        let shown = match &outcome {
            Ok(found) => Ok(show(found)),
            Err(fault) => Err(fault.clone()),
        };
        self.well &= shown.is_ok();
        (self.report)(Step {
            what,
            of: of.to_owned(),
            outcome: shown,
        });
        outcome.ok()
    }
}

/// The first address that answers.
fn connect(addresses: &[SocketAddr], timeout: Duration) -> Result<SocketAddr, SourceError> {
    let mut fault = SourceError::new(SourceErrorKind::Name, "the name does not resolve");
    for address in addresses {
        match TcpStream::connect_timeout(address, timeout) {
            Ok(_) => return Ok(*address),
            Err(error) => {
                fault =
                    SourceError::new(SourceErrorKind::Unreachable, format!("{address}: {error}"));
            }
        }
    }
    Err(fault)
}
