//! A request of an HTTP API, as it is sent to an upstream.

use bytes::Bytes;
use http::Method;

/// Any verb, target and body.
#[derive(Clone, Debug)]
pub struct ApiRequest {
    pub method: Method,
    /// Path and query.
    pub target: String,
    /// Fields besides those that the upstream always gets, their names in lower case.
    pub fields: Vec<(&'static str, Bytes)>,
    pub body: Bytes,
}

impl ApiRequest {
    /// The length to be announced: some servers insist on one where there could be a body.
    pub(in crate::upstream) fn announced_length(&self) -> Option<usize> {
        let length = self.body.len();
        (length > 0 || self.method != Method::GET).then_some(length)
    }
}
