//! The Redis that gateways share: where it is, how to connect, and how much time and memory of this
//! process it may use.

mod read;
mod url;

use std::path::PathBuf;
use std::time::Duration;

use perijove_core::Secret;
use perijove_core::settings::words;
use schemars::JsonSchema;

pub use self::url::{RedisUrl, RedisUrlFault};

/// A cache shared by gateways. Whatever happens to it, calls are answered: each lookup has a short
/// time limit, and none is made while it fails.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq)]
#[schemars(transform = read::add_single_url)]
pub struct Redis {
    /// Instead of `url`: several Sentinels, or several nodes of a Cluster.
    pub urls: Vec<RedisUrl>,
    /// `single`, `sentinel` or `cluster`.
    pub mode: RedisMode,
    /// The name under which Sentinel knows the servers. Only with `mode: sentinel`, and needed there.
    pub master: Option<String>,
    /// User of the Redis servers, if not in the URL. Needs `password`.
    pub username: Option<Secret>,
    /// Password of the Redis servers, if not in the URL. URLs of Sentinels hold the Sentinels' own.
    pub password: Option<Secret>,
    /// PEM file of the only certificate authorities to trust; by default the system's.
    pub ca: Option<PathBuf>,
    /// Time limit of a lookup; after it the call continues without. A quote or an order of Jupiter is
    /// passed on once its issuer is written, or after this time.
    pub deadline: Duration,
    /// Time limit for opening a connection, including TLS and login.
    pub connect: Duration,
    /// Connections that lookups are spread over; there is one more for writes. In a Cluster, this
    /// many to each node.
    pub connections: usize,
    /// Maximum number of concurrent lookups; further calls continue without.
    pub concurrency: usize,
    /// Maximum number of answers waiting to be written; beyond it the oldest are dropped.
    pub queue: usize,
    /// Maximum bytes of answers waiting to be written.
    pub queue_bytes: usize,
    /// Answers of at least this many bytes are compressed.
    pub compress_from: usize,
    /// How long permanently valid answers are kept.
    pub settled_ttl: Duration,
    /// How long a call may wait for another gateway that is making the same call; zero for not at
    /// all.
    pub wait_for_others: Duration,
    /// Its circuit breaker.
    pub breaker: RedisBreakerSettings,
}

impl Redis {
    /// Host and port of each server, as text for people.
    pub fn servers(&self) -> String {
        let servers: Vec<String> = self.urls.iter().map(RedisUrl::server).collect();
        servers.join(", ")
    }
}

/// What kind of Redis it is.
#[derive(Clone, Copy, Debug, JsonSchema, PartialEq, Eq)]
pub enum RedisMode {
    /// One server.
    Single,
    /// One of several servers at a time, as named by Sentinel.
    Sentinel,
    /// Several servers with a part of the keys each.
    Cluster,
}

words!(
    RedisMode,
    "single, sentinel or cluster",
    "single" => Self::Single,
    "sentinel" => Self::Sentinel,
    "cluster" => Self::Cluster,
);

/// When lookups are skipped.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq)]
pub struct RedisBreakerSettings {
    /// Failed lookups in a row after which lookups are skipped.
    pub failures: u32,
    /// For how long, before one lookup is let through as a trial.
    pub open: Duration,
}

impl Default for RedisBreakerSettings {
    fn default() -> Self {
        Self {
            failures: 5,
            open: Duration::from_secs(5),
        }
    }
}

impl Redis {
    /// A single server with every default.
    pub fn at(url: RedisUrl) -> Self {
        Self::among(vec![url])
    }

    fn among(urls: Vec<RedisUrl>) -> Self {
        Self {
            urls,
            mode: RedisMode::Single,
            master: None,
            username: None,
            password: None,
            ca: None,
            deadline: Duration::from_millis(50),
            connect: Duration::from_secs(1),
            connections: 2,
            concurrency: 256,
            queue: 4096,
            queue_bytes: 32 * 1024 * 1024,
            compress_from: 1024,
            settled_ttl: Duration::from_hours(24),
            wait_for_others: Duration::ZERO,
            breaker: RedisBreakerSettings::default(),
        }
    }
}
