//! The configuration: plain typed settings, read from one YAML file and checked as a whole.
//!
//! Settings carry no behaviour. What is built from them (pools, snapshots) belongs to the layers
//! below; durations are [`std::time::Duration`], sizes are bytes.

mod admin;
mod budget;
mod budget_file;
mod cache;
mod call_names;
mod change;
mod client_auth;
mod cluster;
mod compression;
mod consumer;
mod dispatch;
mod health;
mod history;
mod identity;
mod jupiter;
mod jwt;
mod key_hash;
mod keys_file;
mod limits;
mod listen;
mod listener_tls;
mod load;
mod log;
mod methods;
mod network;
mod own_addresses;
mod plan;
mod price;
mod redis;
mod revocations;
mod runtime;
mod schema;
mod selection;
mod shared_budgets;
mod telemetry;
mod tier;
mod upstream;
mod warning;
mod websocket;

use std::path::PathBuf;

use schemars::JsonSchema;

pub use perijove_core::settings::{
    ConfigError, Digest, Environment, Files, KeyReference, Outline, ProcessEnvironment, Violation,
    Watch, watch,
};

pub use self::redis::{Redis, RedisBreakerSettings, RedisMode, RedisUrl, RedisUrlFault};
pub use admin::Admin;
pub use budget::{BudgetGroup, BudgetRate, BudgetSettings, Budgets, PROBE_SHARE, Per, Provider};
pub use budget_file::{BudgetTimes, read_budget_file};
pub use cache::{Cache, HotAccounts, MethodRule};
pub use change::restart_only_changes;
pub use client_auth::{ClientAuth, ClientAuthorities};
pub use cluster::{Cluster, GenesisRule};
pub use compression::Compression;
pub use consumer::Consumer;
pub use dispatch::{HedgeSettings, RetrySettings};
pub use health::{BreakerSettings, HealthSettings, HoldOffSettings};
pub use history::HistorySettings;
pub use identity::{Dates, IdentityFault, ReadCertificate, ServerIdentity, read_chain};
pub use jupiter::{
    Affinity, Canary, FeeAccount, Jupiter, JupiterHealth, JupiterKind, JupiterPaths,
    JupiterUpstream, Lifetimes, OptimizerSettings, Quotes, Referral,
};
pub use jwt::{Jwt, TokenKey};
pub use key_hash::KeyHash;
pub use keys_file::{IssuedKey, KeysFile};
pub use limits::Limits;
pub use listen::Listen;
pub use listener_tls::{AdminTls, TlsListener};
pub use load::{load, load_again, parse, parse_again};
pub use log::{Log, LogFormat};
pub use methods::Methods;
pub use network::{Network, OriginPattern};
pub use plan::{DEFAULT_PLAN, Plan};
pub use price::PriceSettings;
pub use runtime::{Runtime, Shutdown};
pub use schema::{reference, schema};
pub use selection::Selection;
pub use telemetry::{Otlp, TelemetrySettings};
pub use tier::{Tier, TierDefaults, Tiers};
pub use upstream::{
    HttpVersion, ProbeSettings, Propagate, Timeouts, UpstreamSettings, UpstreamTls, UpstreamUrl,
    UrlFault, WsUrl,
};
pub use websocket::{FeedLimits, MessageCompression, WebSocket};

/// The configuration used when none is given: three simulated validators on this machine.
pub const DEMO: &str = include_str!("../../conf/demo.yaml");

/// A configuration of the gateway that may be used.
pub type Loaded = perijove_core::settings::Loaded<Config>;

/// All settings of the gateway. [`Config::default`] has every default and no upstream; the loader
/// refuses a file that leaves `upstreams` empty.
#[derive(Clone, Debug, JsonSchema, PartialEq)]
pub struct Config {
    /// The listeners for clients.
    pub listen: Listen,
    pub admin: Admin,
    pub runtime: Runtime,
    pub shutdown: Shutdown,
    pub log: Log,
    /// What is told of requests beside log and metrics.
    pub telemetry: TelemetrySettings,
    pub limits: Limits,
    pub compression: Compression,
    /// Owners of API keys.
    pub consumers: Vec<Consumer>,
    /// A file with the hashes of further keys, which the command `keys` writes. Its keys are
    /// among those of [`Config::consumers`].
    pub keys_file: Option<PathBuf>,
    /// JSON Web Tokens, accepted in place of keys.
    pub jwt: Option<Jwt>,
    /// Plans of consumers. There is always one named `default`.
    pub plans: Vec<Plan>,
    /// The plan of every address that calls without a key. Without consumers there is no limit
    /// unless it is given.
    pub anonymous_plan: Option<String>,
    /// Whether calls without a key are served. Defaults to true exactly when there are no
    /// consumers, no `keys_file` and no `jwt`.
    pub anonymous: bool,
    /// Whether requests are counted by consumer in the metrics.
    pub consumer_metrics: bool,
    pub cluster: Cluster,
    /// Defaults of the upstreams of each tier. Already applied to
    /// [`Config::upstreams`].
    pub tiers: Tiers,
    /// Never empty in a loaded configuration; ids are unique.
    pub upstreams: Vec<UpstreamSettings>,
    /// Settings of all budgets.
    pub budgets: Budgets,
    pub health: HealthSettings,
    pub breaker: BreakerSettings,
    pub hold_off: HoldOffSettings,
    pub retry: RetrySettings,
    pub hedge: HedgeSettings,
    pub history: HistorySettings,
    pub selection: Selection,
    pub methods: Methods,
    pub cache: Cache,
    pub price: PriceSettings,
    pub websocket: WebSocket,
    pub jupiter: Jupiter,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: Listen::default(),
            admin: Admin::default(),
            runtime: Runtime::default(),
            shutdown: Shutdown::default(),
            log: Log::default(),
            telemetry: TelemetrySettings::default(),
            limits: Limits::default(),
            compression: Compression::default(),
            consumers: Vec::new(),
            keys_file: None,
            jwt: None,
            plans: vec![Plan::default()],
            anonymous_plan: None,
            anonymous: true,
            consumer_metrics: false,
            cluster: Cluster::default(),
            tiers: Tiers::default(),
            upstreams: Vec::new(),
            budgets: Budgets::default(),
            health: HealthSettings::default(),
            breaker: BreakerSettings::default(),
            hold_off: HoldOffSettings::default(),
            retry: RetrySettings::default(),
            hedge: HedgeSettings::default(),
            history: HistorySettings::default(),
            selection: Selection::default(),
            methods: Methods::default(),
            cache: Cache::default(),
            price: PriceSettings::default(),
            websocket: WebSocket::default(),
            jupiter: Jupiter::default(),
        }
    }
}

impl Config {
    /// Whether callers can be identified by keys or tokens.
    pub fn has_keys(&self) -> bool {
        !self.consumers.is_empty() || self.keys_file.is_some() || self.jwt.is_some()
    }
}
