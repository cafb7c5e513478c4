//! A simulated Solana cluster: validators on loopback ports that answer like Agave nodes over one
//! moving chain, and that can be given faults while they run. Nothing is executed or verified.
//!
//! `clock` and `chain` say what exists, `accounts` what they hold, `ledger` what clients wrote;
//! `sight` is what one node sees of it, `answer` builds the node's answers, `rpc` and `http` frame
//! them; `fault`, `afflictions`, `treatment` and `spoil` spoil it; `connection` and `validator`
//! carry it over sockets; `pubsub` serves WebSockets; `control` is the control port.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

pub mod accounts;
pub mod afflictions;
pub mod answer;
pub mod body;
pub mod chain;
pub mod clock;
mod connection;
pub mod control;
pub mod counts;
pub mod failure;
pub mod fault;
pub mod http;
pub mod ledger;
pub mod oracle;
pub mod params;
pub mod pubsub;
pub mod rpc;
pub mod sight;
pub mod spoil;
pub mod transaction;
pub mod treatment;
pub mod validator;
pub mod workers;

pub use accounts::Accounts;
pub use fault::{Coding, Fault, Kind, RateShape, ResetWhen, StallAfter};
pub use spoil::Spoilage;
pub use validator::{Cluster, Validator};

/// How to start a cluster.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Number of validators.
    pub validators: usize,
    /// Validator `i` listens on `base_port + 2i`, the port after it being kept for its WebSocket;
    /// 0 takes free ports.
    pub base_port: u16,
    /// The address to listen on.
    pub bind: IpAddr,
    /// Time between slots.
    pub slot_time: Duration,
    /// The slot to begin with.
    pub start_slot: u64,
    /// Whether accounts and everything counted change with every slot, see [`accounts`].
    pub moving: bool,
    /// What validators offer over WebSocket: on their port, and on the one after it.
    pub pubsub: pubsub::Offer,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            validators: 3,
            base_port: 0,
            bind: Ipv4Addr::LOCALHOST.into(),
            slot_time: Duration::from_millis(400),
            start_slot: 300_000_000,
            moving: false,
            pubsub: pubsub::Offer::default(),
        }
    }
}

/// Why a cluster does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {address}: {source}")]
    Listen {
        address: SocketAddr,
        source: io::Error,
    },
    #[error("port {base} + 2 × {index} is beyond 65535")]
    PortRange { base: u16, index: usize },
}

pub(crate) fn start_error(address: SocketAddr) -> impl Fn(io::Error) -> StartError {
    move |source| StartError::Listen { address, source }
}

/// A running cluster; dropping it closes every port.
#[derive(Debug)]
pub struct Sandbox {
    cluster: Arc<Cluster>,
    validators: Vec<Arc<Validator>>,
}

impl Sandbox {
    /// Starts `validators` of them on free ports.
    pub async fn start(validators: usize) -> Result<Self, StartError> {
        Self::with(Settings {
            validators,
            ..Settings::default()
        })
        .await
    }

    /// Starts a cluster. Needs a running tokio runtime, hence `async`.
    #[expect(clippy::unused_async, reason = "says that a runtime is needed")]
    pub async fn with(settings: Settings) -> Result<Self, StartError> {
        let cluster = Arc::new(Cluster {
            clock: clock::Clock::start(settings.start_slot, settings.slot_time),
            ledger: ledger::Ledger::default(),
            accounts: if settings.moving {
                Accounts::Moving
            } else {
                Accounts::Still
            },
            size: settings.validators,
        });
        let mut validators = Vec::with_capacity(settings.validators);
        for index in 0..settings.validators {
            let port = port_of(settings.base_port, index)?;
            let address = SocketAddr::new(settings.bind, port);
            let cluster = Arc::clone(&cluster);
            let validator = Validator::start(index, address, cluster, settings.pubsub)?;
            validators.push(validator);
        }
        Ok(Self {
            cluster,
            validators,
        })
    }

    /// The validator with this number.
    ///
    /// # Panics
    /// If there are not that many.
    #[expect(
        clippy::indexing_slicing,
        reason = "a test names a validator it started"
    )]
    pub fn validator(&self, index: usize) -> &Arc<Validator> {
        &self.validators[index]
    }

    /// All validators.
    pub fn validators(&self) -> &[Arc<Validator>] {
        &self.validators
    }

    /// Clock and ledger.
    pub fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }

    /// What every validator without faults says at these slots.
    pub fn said_at(
        &self,
        moment: chain::Moment,
        method: &str,
        params: &serde_json::Value,
    ) -> Result<serde_json::Value, failure::Failure> {
        let params = params.to_string();
        self.cluster.said_at(moment, method, Some(&params))
    }

    /// Calls of this method anywhere, probes not counted.
    pub fn hits(&self, method: &str) -> u64 {
        self.validators.iter().map(|one| one.hits(method)).sum()
    }

    /// Calls of each validator, probes not counted.
    pub fn hits_each(&self) -> Vec<u64> {
        self.validators.iter().map(|one| one.hits_total()).collect()
    }

    /// Starts counting from zero everywhere.
    pub fn reset_counts(&self) {
        for one in &self.validators {
            one.counts().reset();
            one.desk().reset();
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        for one in &self.validators {
            drop(one.close());
        }
    }
}

fn port_of(base: u16, index: usize) -> Result<u16, StartError> {
    if base == 0 {
        return Ok(0);
    }
    u16::try_from(usize::from(base) + 2 * index)
        .map_err(|_range| StartError::PortRange { base, index })
}
