//! What both versions of HTTP share: where an upstream is, connections to it, and what goes wrong on
//! them.

pub(super) mod bad_response;
pub(super) mod balance;
pub(super) mod coding;
pub(super) mod connect_settings;
pub(super) mod connector;
pub(super) mod descriptors;
pub(super) mod endpoint;
pub(super) mod fault;
pub(super) mod hints;
pub(super) mod pending_connection;
pub(super) mod resolve;
pub(super) mod saturation;
pub(super) mod socket;
pub(super) mod timer;
mod tls_fault;
