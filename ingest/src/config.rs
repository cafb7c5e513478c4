//! The configuration: plain typed settings, read from one YAML file and checked as a whole.
//!
//! Settings carry no behaviour. Every key is optional: without any, ingest can replay a recording
//! into a SQLite file.

mod batch;
mod breaker;
mod broker;
mod database;
mod group;
mod http;
mod kafka;
mod load;
mod log;
mod redis;
mod schema;
mod security;
mod shutdown;
mod start;
mod stream;
mod url;

use schemars::JsonSchema;

pub use perijove_core::settings::{
    ConfigError, Environment, KeyReference, ProcessEnvironment, Violation,
};

pub use self::redis::Redis;
pub use self::url::{StoreUrl, UrlFault};
pub use batch::{Batch, Buffer};
pub use breaker::BreakerSettings;
pub use broker::Broker;
pub use database::Database;
pub use group::Group;
pub use http::HttpSettings;
pub use kafka::{Assignment, Kafka};
pub use load::{load, parse};
pub use log::{Log, LogFormat};
pub use schema::{reference, schema};
pub use security::{KafkaTls, Mechanism, Security};
pub use shutdown::Shutdown;
pub use start::{Reset, Start};
pub use stream::Stream;

/// A configuration of ingest that may be used.
pub type Loaded = perijove_core::settings::Loaded<Config>;

/// All settings of ingest.
#[derive(Clone, Debug, JsonSchema, PartialEq)]
pub struct Config {
    pub http: HttpSettings,
    pub log: Log,
    /// The source of the streams. Without it only recordings can be read.
    pub kafka: Option<Kafka>,
    /// What is read, each topic once. Without it the DEX trades.
    pub streams: Vec<Stream>,
    pub batch: Batch,
    pub buffer: Buffer,
    pub database: Database,
    /// Where prices, candles and recent trades are kept for the gateway. By default they are not.
    pub redis: Option<Redis>,
    pub breaker: BreakerSettings,
    pub shutdown: Shutdown,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            http: HttpSettings::default(),
            log: Log::default(),
            kafka: None,
            streams: vec![Stream::trades()],
            batch: Batch::default(),
            buffer: Buffer::default(),
            database: Database::default(),
            redis: None,
            breaker: BreakerSettings::default(),
            shutdown: Shutdown::default(),
        }
    }
}
