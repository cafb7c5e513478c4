//! The Perijove gateway as a library. The binary only calls [`app`]; tests and fuzz targets use
//! single layers.
//!
//! The modules form layers: each imports only from those above it in this list, and
//! `tests/layering.rs` holds the table.

pub mod framing;
pub mod jsonrpc;
pub mod jupiter;
pub mod solana;
pub mod trace;

pub mod config;

pub mod limit;

pub mod error;

pub mod auth;
pub mod cache;
pub mod upstream;

pub mod context;

pub mod dispatch;
pub mod snapshot;

pub mod pipeline;

pub mod pubsub;

pub mod edge;

pub mod app;
pub mod cli;
