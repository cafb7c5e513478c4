//! One upstream: where it is, how to connect and what it can do.

mod propagate;
mod read;
mod url;
mod ws_url;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use perijove_core::Secret;
use perijove_core::settings::{Setting, words};
use schemars::JsonSchema;
use serde_json::{Value, json};

use crate::config::{BudgetSettings, Tier};
use crate::solana::Capability;

pub use self::propagate::Propagate;
pub(in crate::config) use self::read::{add_switches, is_on, read_url};
pub use self::url::{UpstreamUrl, UrlFault};
pub(super) use self::url::{is_nearby, parse};
pub use self::ws_url::WsUrl;

/// One endpoint that serves Solana RPC. The file has three more keys: `enabled` and `when_env`,
/// which leave the upstream out of the loaded configuration, and `provider`, which sets the budget.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq)]
#[schemars(transform = read::add_switches)]
pub struct UpstreamSettings {
    /// Name in metrics, logs and the header `x-perijove-upstream`; unique.
    pub id: String,
    /// `http://` or `https://`, with the path and query the provider requires. Neither is logged.
    pub url: UpstreamUrl,
    /// `ws://` or `wss://`: where it serves subscriptions. By default as clients compute it: the
    /// same host and path, and the next port if the URL names a port.
    pub ws_url: Option<WsUrl>,
    /// `local` before `paid` before `public`.
    pub tier: Tier,
    /// Weight among the upstreams of its tier; at least 1.
    pub weight: u32,
    /// Sent with every call, such as a provider's key. Names are lower case here.
    pub headers: BTreeMap<String, Secret>,
    /// Requests that it may be sent; without a budget only its own rate limits hold it off.
    pub budget: Option<BudgetSettings>,
    /// Whether each call costs credits: then probes are rare, and hedges come only after
    /// `hedge.metered_after`.
    pub metered: bool,
    /// Time limit of each step of an attempt.
    pub timeouts: Timeouts,
    /// Whether HTTP/2 is used. `auto` offers it over TLS and takes what the upstream chooses; in
    /// cleartext it is HTTP/1.1. `2` in cleartext needs an upstream that expects it.
    pub http: HttpVersion,
    /// Connections kept open. More are opened while all of them are in use, and closed when they
    /// have not been needed for a few seconds.
    pub connections: usize,
    /// Most connections at once; further calls wait for one of them. Not below `connections`.
    pub connections_ceiling: usize,
    /// Whether the calls in flight are limited to what it serves well, found from its latencies.
    pub adaptive_concurrency: bool,
    /// How long an unused connection is kept.
    pub idle_timeout: Duration,
    /// TLS towards an `https://` URL.
    pub tls: UpstreamTls,
    /// How often the host name is resolved again.
    pub dns_refresh: Duration,
    /// If not empty, only these methods are sent to it.
    pub allow: Vec<String>,
    /// Methods that are never sent to it.
    pub deny: Vec<String>,
    /// What it can do beyond what every node can. By default everything but `archive`. A list that
    /// names one of `full-api`, `history` and `index`, or an empty list, excludes the others of
    /// these three; `archive` or `airdrop` alone only add. What it refuses is learned in any case.
    pub capabilities: Option<Vec<Capability>>,
    /// How the gateway probes it.
    pub probe: ProbeSettings,
    /// What it is told of the requests that its calls are made for.
    pub propagate: Propagate,
}

impl UpstreamSettings {
    pub const IDLE_TIMEOUT: Duration = Duration::from_mins(1);
    pub const DNS_REFRESH: Duration = Duration::from_secs(30);
    pub const CONNECTIONS_CEILING: usize = 1024;
}

/// The HTTP version used towards an upstream.
#[derive(Clone, Copy, Debug, Default, JsonSchema, PartialEq, Eq)]
pub enum HttpVersion {
    /// HTTP/2 where the upstream offers it (ALPN, over TLS), else HTTP/1.1.
    #[default]
    Auto,
    /// HTTP/1.1 only.
    One,
    /// HTTP/2 only; without TLS with prior knowledge.
    Two,
}

impl Setting for HttpVersion {
    const EXPECTED: &'static str = "auto, 1.1 or 2";

    fn from_text(text: &str) -> Option<Self> {
        match text {
            "auto" => Some(Self::Auto),
            "1.1" => Some(Self::One),
            "2" => Some(Self::Two),
            _ => None,
        }
    }

    fn show(&self) -> Value {
        json!(match self {
            Self::Auto => "auto",
            Self::One => "1.1",
            Self::Two => "2",
        })
    }

    fn schema() -> Value {
        json!({ "enum": ["auto", "1.1", "2", 1.1, 2] })
    }
}

/// Time limit of each step of an attempt.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP and TLS together.
    pub connect: Duration,
    /// Sending the request.
    pub write: Duration,
    /// Time from the request sent to the first byte of the answer.
    pub first_byte: Duration,
    /// The same for scans and other calls that take a healthy node seconds.
    pub first_byte_heavy: Duration,
    /// How often the progress of an answer is checked while another upstream could be asked: if too
    /// little has arrived, or it would not be complete in time, the other one is asked. Five times
    /// as long for expensive calls.
    pub progress: Duration,
    /// The whole attempt, including the answer's body unless it streams.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(1),
            write: Duration::from_secs(5),
            first_byte: Duration::from_secs(8),
            first_byte_heavy: Duration::from_secs(30),
            progress: Duration::from_secs(1),
            total: Duration::from_secs(30),
        }
    }
}

/// TLS towards an `https` upstream.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq)]
pub struct UpstreamTls {
    /// Server name to request and check; by default the URL's host.
    pub sni: Option<String>,
    /// Whether the certificate is checked.
    pub verify: bool,
    /// PEM file of the only certificate authorities to trust; by default the system's.
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

/// How the gateway probes an upstream.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq)]
pub struct ProbeSettings {
    /// Time between two probes. Defaults to 400 ms, and to 30 s for a metered upstream.
    pub interval: Duration,
    /// How long a probe may take.
    pub timeout: Duration,
}

impl ProbeSettings {
    pub const INTERVAL: Duration = Duration::from_millis(400);
    pub const METERED_INTERVAL: Duration = Duration::from_secs(30);
}

impl Default for ProbeSettings {
    fn default() -> Self {
        Self {
            interval: Self::INTERVAL,
            timeout: Duration::from_secs(2),
        }
    }
}

words!(
    Capability,
    "full-api, history, archive, index, airdrop or alpenglow",
    "full-api" => Self::FullApi,
    "history" => Self::History,
    "archive" => Self::Archive,
    "index" => Self::Index,
    "airdrop" => Self::Airdrop,
    "alpenglow" => Self::Alpenglow,
);
