//! An answer of Jupiter's API, or why there is none, without framework types.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::dispatch::AttemptRecord;
use crate::error::Rejection;
use crate::jupiter::Product;
use crate::pipeline::CacheStatus;
use crate::upstream::UpstreamBodyStream;

/// What the client gets, and what the log line says.
#[derive(Debug)]
pub struct ApiResponse {
    pub status: u16,
    /// Names in lower case; `content-type` among them if the upstream gave one.
    pub fields: Vec<(&'static str, Bytes)>,
    pub content: ApiContent,
    pub product: Product,
    pub outcome: &'static str,
    /// The upstream that answered.
    pub upstream: Option<Arc<str>>,
    pub cache: Option<CacheStatus>,
    pub attempts: u32,
    /// All attempts in their order.
    pub tried: Vec<AttemptRecord>,
    pub hedged: bool,
    /// Of the upstream's answer.
    pub upstream_latency: Option<Duration>,
    /// By how many slots a quote was behind the cluster on delivery.
    pub slots_behind: Option<u64>,
    /// Further header lines.
    pub notes: Vec<(&'static str, Bytes)>,
}

/// A body, byte for byte the upstream's.
#[derive(Debug)]
pub enum ApiContent {
    Whole(Bytes),
    /// Too large to be buffered: its beginning, and the rest as fast as the client accepts it.
    Streaming {
        first: Bytes,
        rest: UpstreamBodyStream,
    },
}

/// A request without an answer of an upstream.
#[derive(Debug)]
pub struct Unanswered {
    pub rejection: Rejection,
    /// All attempts in their order.
    pub tried: Vec<AttemptRecord>,
}

/// One for which nobody was asked.
impl From<Rejection> for Unanswered {
    fn from(rejection: Rejection) -> Self {
        Self {
            rejection,
            tried: Vec::new(),
        }
    }
}
