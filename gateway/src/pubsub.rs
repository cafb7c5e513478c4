//! WebSocket: the sockets of clients, calls and subscriptions on them, and the sockets to upstreams
//! that feed the subscriptions. Frames are those of `tokio-tungstenite`; where the streams come from
//! is the edge's and the upstreams' knowledge.

mod answer;
mod feed_message;
mod feeds;
mod hot;
mod hub;
mod kind;
mod line;
mod metrics;
mod outbox;
mod params;
mod repair;
mod seen;
mod session;
mod share;
#[cfg(test)]
mod testing;
mod topic;
mod total;

pub use hub::{Hub, Place};
pub use metrics::PubSubMetrics;
pub use session::{Account, Client, End, Ended, Session};
pub use share::Share;
