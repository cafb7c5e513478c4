//! HTTP/1.1 to upstreams: connections that one call has at a time, and reading the heads of answers.

pub(super) mod connection;
pub(super) mod response;
