//! The client of a socket, as the edge knows it.

use std::sync::Arc;

use bytes::Bytes;

use crate::context::RequestContext;
use crate::pipeline::{CacheUse, RequestSummary};
use crate::pubsub::caller_share::CallerShare;
use crate::pubsub::deflate::DeflateAgreement;
use crate::pubsub::socket_end::SocketEnd;
use crate::trace::TraceContext;

/// The client of a socket.
pub struct SocketClient {
    /// The request that the socket began with.
    pub context: Arc<RequestContext>,
    /// What the client said of the trace that the socket belongs to, and its messages with it.
    pub trace: Option<Box<TraceContext>>,
    pub cache_use: CacheUse,
    pub ledger_only: bool,
    /// The caller's share, on all its sockets.
    pub share: Arc<CallerShare>,
    pub account: Arc<dyn SocketObserver>,
    /// What was agreed about compression, if anything.
    pub compression: Option<DeflateAgreement>,
}

/// Receives what happens on a socket.
pub trait SocketObserver: Send + Sync {
    /// A message was answered with this many bytes.
    fn answered(
        &self,
        summary: RequestSummary,
        status: u16,
        message: &RequestContext,
        bytes: usize,
    );

    /// The socket has ended before this message was answered.
    fn left(&self, text: &Bytes, message: &RequestContext);

    /// A call or subscription is there from now on, or none any more.
    fn is_used(&self, used: bool);

    /// Whether what the handshake was allowed for still holds.
    ///
    /// # Errors
    /// It does not, and the socket ends for that.
    fn may_stay(&self) -> Result<(), SocketEnd>;
}
