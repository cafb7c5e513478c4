//! Where HTTP sessions end: the only layer below `app` that knows Pingora's sessions. It reads
//! requests, hands bytes to the `pipeline`, and writes what comes back.

mod access;
mod admin;
mod body;
mod compress;
mod cors;
mod drain;
mod express;
mod fields;
mod front;
mod head;
mod metrics;
mod reply;
mod rpc;
mod smuggling;

pub use admin::{AdminApp, ReloadHandle, ReloadOutcome, ReloadRequest};
pub use drain::Drain;
pub use front::Front;
pub use metrics::EdgeMetrics;
pub use rpc::RpcApp;
