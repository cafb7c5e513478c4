//! The flags of the stand-ins for Jupiter, and starting them beside the cluster.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use perijove_tests::jupiter::feed::Feed;
use perijove_tests::jupiter::{Chain, Jupiter, Settings, Shape};
use perijove_tests::sandbox::{Sandbox, StartError};

use super::duration;

/// Simulated upstreams of Jupiter's swap API, all over one market of the cluster.
#[derive(Debug, Clone, Args)]
pub(crate) struct Jupiters {
    /// Start these simulated Jupiter upstreams, for example self-hosted,hosted,hosted.
    #[arg(long, value_delimiter = ',')]
    jupiter: Vec<Kind>,

    /// Jupiter upstream i listens on this port + i; 0 takes free ports.
    #[arg(long, default_value_t = 18_880)]
    jupiter_base_port: u16,

    /// Take slots and blockhashes from this node instead of the cluster, and send executed orders there.
    #[arg(long)]
    jupiter_rpc_url: Option<String>,

    /// Publish the market's trades in this Redis, as ingest does.
    #[arg(long)]
    jupiter_redis: Option<String>,

    /// Platform fee of the hosted ones, in hundredths of a percent.
    #[arg(long, default_value_t = 0)]
    jupiter_fee_bps: u64,

    /// API key that the hosted ones require; may be repeated.
    #[arg(long)]
    jupiter_key: Vec<String>,

    /// Calls per minute that the hosted ones allow each caller.
    #[arg(long)]
    jupiter_limit: Option<u32>,

    /// How long the self-hosted ones answer 503 after they start.
    #[arg(long, default_value = "1ms", value_parser = duration)]
    jupiter_cold: Duration,
}

/// A kind of simulated Jupiter upstream.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// The binary for self-hosting: /quote and the other paths at the root.
    SelfHosted,
    /// Paths and rules of api.jup.ag.
    Hosted,
}

impl Jupiters {
    /// Starts them.
    pub(crate) async fn start(
        &self,
        bind: IpAddr,
        sandbox: &Sandbox,
    ) -> Result<Jupiter, StartError> {
        let mut settings = Vec::with_capacity(self.jupiter.len());
        for (index, kind) in self.jupiter.iter().enumerate() {
            let base = self.jupiter_base_port;
            let port = match base {
                0 => 0,
                _ => u16::try_from(usize::from(base) + index)
                    .map_err(|_range| StartError::PortRange { base, index })?,
            };
            settings.push(self.settings(*kind, SocketAddr::new(bind, port)));
        }
        let chain = match &self.jupiter_rpc_url {
            Some(url) => Chain::node(url),
            None => Chain::of(sandbox),
        };
        Jupiter::start(chain, settings).await
    }

    /// Starts to tell Redis of their trades, if that is wanted.
    pub(crate) async fn feed(
        &self,
        sandbox: &Sandbox,
        jupiter: &Jupiter,
    ) -> Result<Option<Feed>, Box<dyn std::error::Error>> {
        let Some(url) = &self.jupiter_redis else {
            return Ok(None);
        };
        let (cluster, market) = (sandbox.cluster(), jupiter.market());
        let feed = Feed::start(url, Arc::clone(cluster), Arc::clone(market));
        Ok(Some(feed.await?))
    }

    fn settings(&self, kind: Kind, address: SocketAddr) -> Settings {
        match kind {
            Kind::SelfHosted => Settings {
                address,
                cold: self.jupiter_cold,
                ..Settings::default()
            },
            Kind::Hosted => Settings {
                shape: Shape::Hosted,
                address,
                fee_bps: self.jupiter_fee_bps,
                keys: self.jupiter_key.clone(),
                limit: self.jupiter_limit,
                ..Settings::default()
            },
        }
    }
}
