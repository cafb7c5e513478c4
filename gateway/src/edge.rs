//! HTTP sessions: the only layer below `app` that knows Pingora's session types. It reads requests,
//! hands bytes to the `pipeline`, and writes what comes back.

mod access;
mod admin;
mod api_path;
mod body;
mod bound_alarms;
mod compress;
mod connections;
mod cors;
mod drain;
mod fast_path;
mod fields;
mod forwarded;
mod front;
mod head;
mod http1;
mod http2;
mod jupiter;
mod loop_alarm;
mod metrics;
mod paced_http2;
mod plan_metrics;
mod price;
mod proxy_protocol;
mod reply;
mod reply_head;
mod request_end;
mod request_head;
mod response_writer;
mod rpc;
mod rpc_app;
mod session;
mod status;
mod tls;
mod websocket;
mod write_pace;

pub use admin::{AdminApp, AdminFront, ReloadHandle, ReloadOutcome, ReloadRequest};
pub use bound_alarms::watch;
pub use connections::{ClientConnections, KeepUp};
pub use drain::Drain;
pub use front::Front;
pub use loop_alarm::LoopAlarm;
pub use metrics::EdgeMetrics;
pub use rpc_app::RpcApp;
pub use status::{CertificateStatus, ConfigStatus, GatewayStatus};
pub use tls::{ServedTls, TlsListeners, TlsSetup};
