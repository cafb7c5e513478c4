//! HTTP/2 to upstreams: connections that many calls share.
//!
//! ```text
//! pool ── session ── driver                  one task for each connection: frames, keep-alive
//!   └─ stream lease ── exchange ── incoming  one stream for each call
//! ```
//!
//! The `h2` library speaks the protocol, over streams that Pingora's connector opens; so names,
//! addresses, TLS and time limits are those of HTTP/1.1. [`crate::upstream::client`] decides when
//! and where a call is repeated.

mod driver;
mod exchange;
mod incoming;
mod pool;
mod session;
mod silence;
mod stream_lease;
mod stream_signals;
mod vitals;
mod watched;

pub(super) use exchange::{LostCall, Repeat, exchange};
pub(super) use incoming::{IncomingBody, JoinedPieces};
pub(super) use pool::{Http2Pool, WaitDeadline};
pub(super) use stream_lease::StreamLease;
