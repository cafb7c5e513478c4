//! One upstream: where it is, how it is spoken to and what it can do.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use perijove_core::Secret;
use url::Url;

use crate::config::Tier;

/// One endpoint that answers Solana RPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Name in metrics, logs and the header `x-perijove-upstream`; unique.
    pub id: String,
    pub url: UpstreamUrl,
    pub tier: Tier,
    /// Share of the calls within its tier; at least 1.
    pub weight: u32,
    /// Sent with every call. Names are lower case and valid header names.
    pub headers: BTreeMap<String, Secret>,
    /// Whether each call costs credits: probes are rare then, and hedges go elsewhere.
    pub metered: bool,
    pub timeouts: Timeouts,
    /// Most connections; further calls wait for one of them.
    pub connections: usize,
    /// How long an unused connection is kept.
    pub idle_timeout: Duration,
    pub tls: UpstreamTls,
    /// How often the host name is resolved again.
    pub dns_refresh: Duration,
    /// If not empty, only these methods are sent here.
    pub allow: Vec<String>,
    /// Methods never sent here.
    pub deny: Vec<String>,
    pub probe: Probe,
}

/// The address of an upstream. Providers put keys into path and query, so neither is ever
/// printed: `Display` gives the origin, `Debug` hides the rest.
#[derive(Clone, PartialEq, Eq)]
pub struct UpstreamUrl(Url);

impl UpstreamUrl {
    /// Takes an `http` or `https` URL with a host; the loader has checked that.
    pub fn new(url: Url) -> Self {
        Self(url)
    }

    /// The whole URL with what may be a key.
    pub fn expose(&self) -> &Url {
        &self.0
    }

    pub fn is_tls(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Host name or address; IPv6 without brackets.
    pub fn host(&self) -> &str {
        self.0
            .host_str()
            .unwrap_or_default()
            .trim_start_matches('[')
            .trim_end_matches(']')
    }

    pub fn port(&self) -> u16 {
        self.0.port_or_known_default().unwrap_or(80)
    }
}

impl fmt::Display for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.origin().ascii_serialization())
    }
}

impl fmt::Debug for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}/***")
    }
}

/// How long each step of one attempt may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP and TLS together.
    pub connect: Duration,
    /// Sending the request.
    pub write: Duration,
    /// From the request sent to the first byte of the answer.
    pub first_byte: Duration,
    /// The whole attempt, the answer's body included.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(1),
            write: Duration::from_secs(5),
            first_byte: Duration::from_secs(8),
            total: Duration::from_secs(30),
        }
    }
}

/// TLS towards an `https` upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamTls {
    /// Server name to ask for and to check; None takes the URL's host.
    pub sni: Option<String>,
    /// Whether the certificate is checked.
    pub verify: bool,
    /// PEM file of further certificate authorities; None trusts the usual ones.
    pub ca: Option<PathBuf>,
}

impl Default for UpstreamTls {
    fn default() -> Self {
        Self {
            sni: None,
            verify: true,
            ca: None,
        }
    }
}

/// How the gateway asks an upstream for its state when no client does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Time between two probes. Defaults to 400 ms, and to 30 s for a metered upstream.
    pub interval: Duration,
    pub timeout: Duration,
}

impl Probe {
    pub const INTERVAL: Duration = Duration::from_millis(400);
    pub const METERED_INTERVAL: Duration = Duration::from_secs(30);
}

impl Default for Probe {
    fn default() -> Self {
        Self {
            interval: Self::INTERVAL,
            timeout: Duration::from_secs(2),
        }
    }
}
