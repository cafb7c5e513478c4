//! Where HTTP sessions end: the only layer below `app` that knows Pingora's sessions. It reads
//! requests, hands bytes to the `pipeline`, and writes what comes back.

mod access;
mod admin;
mod body;
mod compress;
mod connections;
mod cors;
mod drain;
mod express;
mod fields;
mod forwarded;
mod front;
mod head;
mod http1;
mod http2;
mod jupiter;
mod metrics;
mod pace;
mod proxy_protocol;
mod reply;
mod rpc;
mod served_identity;
mod session;
mod standing;
mod tls;
mod watch;
mod websocket;

pub use admin::{AdminApp, ReloadHandle, ReloadOutcome, ReloadRequest};
pub use connections::{Connections, KeepUp};
pub use drain::Drain;
pub use front::Front;
pub use metrics::EdgeMetrics;
pub use rpc::RpcApp;
pub use served_identity::ServedIdentity;
pub use standing::{CertificateStanding, ConfigStanding, Standing};
pub use tls::TlsListeners;
pub use watch::watch;
