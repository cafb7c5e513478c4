//! WebSocket: the sockets of clients, calls and subscriptions on them, and the sockets to upstreams
//! that feed the subscriptions. Frames are those of `tokio-tungstenite`; where the streams come from
//! is the edge's and the upstreams' knowledge.

mod answer;
mod hub;
mod metrics;
#[allow(dead_code, reason = "what subscriptions will put in")]
mod outbox;
mod session;
#[cfg(test)]
mod testing;

pub use hub::{Hub, Place};
pub use metrics::PubSubMetrics;
pub use session::{Account, Client, End, Ended, Session};
