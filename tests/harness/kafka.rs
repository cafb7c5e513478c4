//! Apache Kafka itself: a cluster of one or more brokers on free ports, with every kind of
//! listener, that can be killed and started again.
//!
//! For what needs no broker's own rules there is `rdkafka::mocking::MockCluster`, which starts in
//! milliseconds.

#![expect(clippy::expect_used, reason = "a harness fails the test it is used in")]

mod authority;
mod broker;
mod classes;
mod java;
mod settings;
mod storage;
mod topics;

use std::path::PathBuf;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tempfile::TempDir;
use tokio::task::spawn_blocking;

use crate::wait::until_within;
use authority::Authority;
use broker::Broker;
use java::Java;
use settings::Settings;

pub use settings::Listener;
pub use topics::produce;

/// The one account there is, in every mechanism. The name is of the form Bitquery gives.
pub const USER: &str = "solana_113";
/// One that may log in with SCRAM-SHA-512 and nothing more.
pub const GUEST: &str = "guest";
/// The password of both.
pub const PASSWORD: &str = "s3cret of the tests";

/// How long anything may take that brokers or a group of consumers do among themselves.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// How soon clients in tests ask again what did not answer.
const RECONNECT_MS: &str = "100";

/// A running cluster; dropping it kills the brokers and removes their files.
#[derive(Debug)]
pub struct Kafka {
    brokers: Vec<Broker>,
    authority: Authority,
    folder: TempDir,
}

impl Kafka {
    /// A cluster of one broker.
    pub async fn start() -> Self {
        Self::start_brokers(1).await
    }

    /// A cluster of so many brokers, each also a controller, so that any minority may die.
    ///
    /// # Panics
    /// If Java or Kafka is missing, or the brokers do not come up.
    pub async fn start_brokers(brokers: usize) -> Self {
        let java = spawn_blocking(Java::found).await.expect("Java and Kafka");
        classes::ready(java).await;
        let (folder, authority, settings) = formatted(java, brokers).await;
        let brokers = settings
            .into_iter()
            .map(|settings| Broker::start(java, settings))
            .collect();
        let kafka = Self {
            brokers,
            authority,
            folder,
        };
        kafka.ready().await;
        kafka
    }

    /// Waits until every broker that runs is known to be one of the cluster.
    ///
    /// # Panics
    /// If one ends instead.
    pub async fn ready(&self) {
        for broker in self.brokers.iter().filter(|broker| broker.runs()) {
            let servers = broker.address(Listener::Plaintext);
            let id = broker.id();
            until_within(PATIENCE, "a broker to join its cluster", || {
                broker.assert_alive();
                let client = asking(&servers);
                async move { spawn_blocking(move || joined(&client, id)).await.ok()? }
            })
            .await;
        }
    }

    /// The addresses of all brokers, dead ones too, as `bootstrap.servers` has them.
    pub fn servers(&self, listener: Listener) -> String {
        let addresses = self.brokers.iter().map(|broker| broker.address(listener));
        addresses.collect::<Vec<_>>().join(",")
    }

    /// What a client needs to come in through this listener: addresses, protocol, certificates,
    /// the account, and SCRAM-SHA-512 where it must say who it is.
    pub fn client(&self, listener: Listener) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", self.servers(listener))
            .set("security.protocol", listener.protocol())
            .set("reconnect.backoff.max.ms", RECONNECT_MS);
        if listener.secured() {
            let file = |path: PathBuf| path.display().to_string();
            config
                .set("ssl.ca.location", file(self.ca_file()))
                .set("ssl.certificate.location", file(self.certificate_file()))
                .set("ssl.key.location", file(self.key_file()));
        }
        if listener.authenticated() {
            config
                .set("sasl.mechanism", "SCRAM-SHA-512")
                .set("sasl.username", USER)
                .set("sasl.password", PASSWORD);
        }
        config
    }

    /// The authority that signed the brokers' certificates and the client's.
    pub fn ca_file(&self) -> PathBuf {
        self.authority.certificate_file()
    }

    /// An authority that signed nothing here.
    pub fn other_ca_file(&self) -> PathBuf {
        Authority::foreign(self.folder.path())
    }

    /// The client's certificate.
    pub fn certificate_file(&self) -> PathBuf {
        self.authority.client_file("crt")
    }

    /// The key to it.
    pub fn key_file(&self) -> PathBuf {
        self.authority.client_file("key")
    }

    /// Kills a broker with SIGKILL; its files stay. Brokers are counted from 0 here.
    pub fn kill(&mut self, broker: usize) {
        self.broker(broker).kill();
    }

    /// Makes a broker hang, connections open, until [`wake`](Self::wake).
    pub fn freeze(&mut self, broker: usize) {
        self.broker(broker).signal("STOP");
    }

    /// Lets a broker that hangs go on.
    pub fn wake(&mut self, broker: usize) {
        self.broker(broker).signal("CONT");
    }

    /// Starts a killed broker again, on its own files and ports, and waits until it serves.
    pub async fn restart(&mut self, broker: usize) {
        self.broker(broker).restart(Java::found());
        self.ready().await;
    }

    fn broker(&mut self, broker: usize) -> &mut Broker {
        self.brokers.get_mut(broker).expect("a broker")
    }
}

async fn formatted(java: &'static Java, brokers: usize) -> (TempDir, Authority, Vec<Settings>) {
    let formatted = spawn_blocking(move || {
        let folder = TempDir::new().expect("a temporary folder");
        let authority = Authority::write(folder.path());
        let settings = Settings::of_cluster(folder.path(), brokers);
        storage::format(java, &settings);
        (folder, authority, settings)
    });
    formatted.await.expect("the files of the brokers")
}

fn asking(servers: &str) -> BaseConsumer {
    ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("reconnect.backoff.max.ms", RECONNECT_MS)
        // A broker that is not up yet is no news.
        .set("log_level", "0")
        .create()
        .expect("a client")
}

fn joined(client: &BaseConsumer, broker: i32) -> Option<()> {
    let metadata = client.fetch_metadata(None, PATIENCE / 20);
    let metadata = metadata.ok()?;
    let known = metadata.brokers().iter().any(|one| one.id() == broker);
    known.then_some(())
}
