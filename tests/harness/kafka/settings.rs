//! The properties of one broker: its listeners, their logins, and small buffers and pools.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::kafka::{PASSWORD, USER};
use crate::ports;

/// A way into a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// For everybody, in clear.
    Plaintext,
    /// In clear, with PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.
    SaslPlaintext,
    /// TLS; the client must have a certificate of the cluster's authority.
    Ssl,
    /// TLS with SCRAM-SHA-512 and no other mechanism; the client may have a certificate.
    SaslSsl,
}

impl Listener {
    /// Every listener.
    pub const ALL: [Self; 4] = [
        Self::Plaintext,
        Self::SaslPlaintext,
        Self::Ssl,
        Self::SaslSsl,
    ];

    /// The value of `security.protocol`.
    pub const fn protocol(self) -> &'static str {
        match self {
            Self::Plaintext => "PLAINTEXT",
            Self::SaslPlaintext => "SASL_PLAINTEXT",
            Self::Ssl => "SSL",
            Self::SaslSsl => "SASL_SSL",
        }
    }

    /// Whether the client must say who it is.
    pub const fn authenticated(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }

    /// Whether it speaks TLS.
    pub const fn secured(self) -> bool {
        matches!(self, Self::Ssl | Self::SaslSsl)
    }
}

/// The settings of one broker.
#[derive(Debug)]
pub(super) struct Settings {
    /// From 1.
    pub(super) id: i32,
    /// Where its files are.
    pub(super) folder: PathBuf,
    /// The cluster's files, with the certificates.
    cluster: PathBuf,
    /// One for each listener, in the order of [`Listener::ALL`].
    ports: [u16; 4],
    controller: u16,
    /// Every controller as `id@address`.
    voters: String,
    /// How many copies there are of what Kafka itself must not lose.
    copies: usize,
}

impl Settings {
    /// For so many brokers, each with ports and a folder of its own.
    pub(super) fn of_cluster(folder: &Path, brokers: usize) -> Vec<Self> {
        let controllers: Vec<u16> = (0..brokers).map(|_| ports::take()).collect();
        let voters = (1..).zip(&controllers);
        let voters: Vec<_> = voters
            .map(|(id, port)| format!("{id}@127.0.0.1:{port}"))
            .collect();
        (1..)
            .zip(controllers)
            .map(|(id, controller)| Self {
                id,
                folder: folder.join(format!("broker-{id}")),
                cluster: folder.to_owned(),
                ports: Listener::ALL.map(|_| ports::take()),
                controller,
                voters: voters.join(","),
                copies: brokers.min(3),
            })
            .collect()
    }

    /// Host and port of a listener.
    pub(super) fn address(&self, listener: Listener) -> String {
        let place = Listener::ALL.iter().position(|one| *one == listener);
        let port = place.and_then(|place| self.ports.get(place));
        format!("127.0.0.1:{}", port.expect("every listener has a port"))
    }

    /// The file with the properties.
    pub(super) fn file(&self) -> PathBuf {
        self.folder.join("server.properties")
    }

    /// The folder with what the broker stores.
    pub(super) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The properties.
    pub(super) fn text(&self) -> String {
        let listeners = Listener::ALL.map(|listener| {
            let address = self.address(listener);
            format!("{}://{address}", listener.protocol())
        });
        let listeners = listeners.join(",");
        let protocols = Listener::ALL.map(|listener| {
            let protocol = listener.protocol();
            format!("{protocol}:{protocol}")
        });
        let (id, controller, voters, copies) =
            (self.id, self.controller, &self.voters, self.copies);
        let mut text = format!(
            "process.roles=broker,controller
node.id={id}
controller.quorum.voters={voters}
listeners={listeners},CONTROLLER://127.0.0.1:{controller}
advertised.listeners={listeners}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,{}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={}
offsets.topic.replication.factor={copies}
transaction.state.log.replication.factor={copies}
transaction.state.log.min.isr=1
default.replication.factor={copies}
",
            protocols.join(","),
            self.data().display(),
        );
        text.push_str(LITTLE);
        self.security(&mut text);
        text
    }

    fn security(&self, text: &mut String) {
        let file = |name: &str| self.cluster.join(name).display().to_string();
        let written = write!(
            text,
            "ssl.keystore.type=PEM
ssl.keystore.location={}
ssl.truststore.type=PEM
ssl.truststore.location={}
listener.name.ssl.ssl.client.auth=required
listener.name.sasl_ssl.ssl.client.auth=requested
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS;User:{USER};User:CN={USER}
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.sasl_ssl.sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.sasl_plaintext.plain.sasl.jaas.config={MODULES}.plain.PlainLoginModule \
             required user_{USER}=\"{PASSWORD}\";
",
            file("broker.pem"),
            file("ca.crt"),
        );
        written.expect("text takes all");
        for mechanism in [
            "sasl_plaintext.scram-sha-256",
            "sasl_plaintext.scram-sha-512",
            "sasl_ssl.scram-sha-512",
        ] {
            let module = format!("{MODULES}.scram.ScramLoginModule required;");
            let line = writeln!(text, "listener.name.{mechanism}.sasl.jaas.config={module}");
            line.expect("text takes all");
        }
    }
}

const MODULES: &str = "org.apache.kafka.common.security";

/// Few threads, small buffers, no waiting for members that might still come, and deleted records
/// gone at once.
const LITTLE: &str = "num.network.threads=2
num.io.threads=2
background.threads=2
num.recovery.threads.per.data.dir=1
offsets.topic.num.partitions=1
transaction.state.log.num.partitions=1
log.cleaner.dedupe.buffer.size=2097152
log.cleaner.io.buffer.size=65536
log.index.size.max.bytes=1048576
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
auto.create.topics.enable=false
broker.session.timeout.ms=6000
broker.heartbeat.interval.ms=1000
";
