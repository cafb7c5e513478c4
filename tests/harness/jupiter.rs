//! A simulated Jupiter swap API: several servers over one market of constant-product pools that
//! trade as slots pass, each with a shape, limits, fees and faults of its own.
//!
//! `market` and `tokens` say what can be swapped, `route` how, `quote` reads and answers quote
//! requests, `products` the other APIs; `chain` is the source of slots and blockhashes, `swap`
//! builds transactions; `limits` and `fault` refuse, `server` serves it over HTTP, `feed` publishes
//! trades to Redis, `control` is the control port.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

pub mod chain;
pub mod control;
pub mod fault;
pub mod feed;
pub mod limits;
pub mod market;
mod products;
pub mod quote;
mod reply;
pub mod route;
pub mod server;
pub mod swap;
pub mod tokens;

pub use chain::Chain;
pub use fault::{Fault, Kind};
pub use market::Market;
pub use server::Server;

use crate::sandbox::StartError;

/// Where a server has its paths, and what it offers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Shape {
    /// The binary that everybody can host: the paths of v6 at the root, and no other API.
    #[default]
    SelfHosted,
    /// `api.jup.ag`: every API below its own path.
    Hosted,
}

/// How to start a server.
#[derive(Debug, Clone)]
pub struct Settings {
    pub shape: Shape,
    /// The address to listen on; port 0 takes a free one.
    pub address: SocketAddr,
    /// What it takes of every output, in hundredths of a percent, whatever callers add.
    pub fee_bps: u64,
    /// API keys it accepts. If there are none, callers need no key.
    pub keys: Vec<String>,
    /// Whether calls without a key are served although it knows keys.
    pub keyless: bool,
    /// Calls per window and caller; `None` sets no limit.
    pub limit: Option<u32>,
    /// The length of that window.
    pub window: Duration,
    /// How long it answers 503 after it came up.
    pub cold: Duration,
    /// The dexes it knows, by label; empty means all.
    pub dexes: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            shape: Shape::SelfHosted,
            address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            fee_bps: 0,
            keys: Vec::new(),
            keyless: false,
            limit: None,
            window: Duration::from_mins(1),
            cold: Duration::ZERO,
            dexes: Vec::new(),
        }
    }
}

impl Settings {
    /// One as Jupiter hosts it.
    pub fn hosted() -> Self {
        Self {
            shape: Shape::Hosted,
            ..Self::default()
        }
    }
}

/// Some servers over one market; dropping them closes every port.
#[derive(Debug)]
pub struct Jupiter {
    market: Arc<Market>,
    servers: Vec<Arc<Server>>,
}

impl Jupiter {
    /// Starts a server for each of the settings, all over one market that follows this chain. Needs
    /// a running tokio runtime, hence `async`.
    #[expect(clippy::unused_async, reason = "says that a runtime is needed")]
    pub async fn start(chain: Chain, settings: Vec<Settings>) -> Result<Self, StartError> {
        let market = Arc::new(Market::new());
        let chain = Arc::new(chain);
        let mut servers = Vec::with_capacity(settings.len());
        for (index, one) in settings.into_iter().enumerate() {
            let (market, chain) = (Arc::clone(&market), Arc::clone(&chain));
            servers.push(Server::start(index, one, market, chain)?);
        }
        Ok(Self { market, servers })
    }

    /// The market.
    pub fn market(&self) -> &Arc<Market> {
        &self.market
    }

    /// The server with this number.
    ///
    /// # Panics
    /// If there are not that many.
    #[expect(clippy::indexing_slicing, reason = "a test names a server it started")]
    pub fn server(&self, index: usize) -> &Arc<Server> {
        &self.servers[index]
    }

    /// All servers.
    pub fn servers(&self) -> &[Arc<Server>] {
        &self.servers
    }
}

impl Drop for Jupiter {
    fn drop(&mut self) {
        for one in &self.servers {
            drop(one.close());
        }
    }
}
