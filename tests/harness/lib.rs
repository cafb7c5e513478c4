//! Harness for end-to-end tests: the real binaries on free ports, scripted upstreams, clients.

pub mod client;
pub mod gateway;
pub mod jupiter;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod layering;
pub mod load;
pub mod metrics;
pub mod ports;
pub mod postgres;
pub mod proxy;
pub mod redis;
pub mod sandbox;
pub mod tls;
pub mod wait;
