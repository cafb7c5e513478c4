//! Jupiter's API through the gateway: its own swap API first, the hosted one behind it, and answers to
//! the byte.

mod failover;
mod optimizer;
mod quotes;
mod routing;
mod scene;
mod scripted;
