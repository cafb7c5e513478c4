//! WebSocket: client sockets, calls and subscriptions on them, and the upstream sockets that serve
//! the subscriptions. Frames are those of `tokio-tungstenite`; the edge and the upstreams provide
//! the streams.

mod answer;
mod background;
mod backlog;
mod caller_share;
mod collected;
mod deflate;
mod delivered;
mod feed_command;
mod feed_message;
mod feeds;
mod hot;
mod hub;
mod metrics;
mod notification_head;
mod outbox;
mod outbox_message;
mod params;
mod repair;
mod session;
mod shown_slot;
mod socket_end;
mod subscribe;
mod subscription_kind;
#[cfg(test)]
mod testing;
mod topic;
mod upstream_socket;

pub use caller_share::CallerShare;
pub use deflate::DeflateAgreement;
pub use hub::{Hub, SocketPermit};
pub use metrics::PubSubMetrics;
pub use session::{EndedSocket, SocketClient, SocketObserver, SubscriberSession};
pub use socket_end::SocketEnd;
