//! The gateway's JSON-RPC layer, by itself.

pub mod jsonrpc;
