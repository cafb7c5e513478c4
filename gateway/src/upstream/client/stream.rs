//! The rest of a large answer, read only as fast as it is consumed. Memory per stream is one
//! chunk here plus whatever the consumer holds.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout};

use crate::framing::BodyChunk;
use crate::jsonrpc::RequestId;
use crate::solana::FaultKind;
use crate::upstream::http1::connection::{ConnectionPermit, Http1Connection};
use crate::upstream::http2::Incoming;
use crate::upstream::state::endpoint_state::InFlightGuard;
use crate::upstream::state::member::Member;
use crate::upstream::transport::coding::DecodedBody;
use crate::upstream::transport::fault::TransportFault;
use crate::upstream::transport::resolve::ResolvedAddresses;

/// Most bytes read ahead of the consumer.
pub const CHUNK: usize = 64 * 1024;

/// What follows the beginning of a streamed answer. Whoever has read it to its end reports whether
/// it was good; otherwise the connection is closed, or over HTTP/2 its stream.
///
/// The caller's deadline does not apply: a large answer takes as long as its consumer does. Only
/// silence of the upstream ends it.
#[derive(Debug)]
pub struct UpstreamBodyStream {
    /// `None` once the result was reported.
    source: Option<StreamSource>,
    asked: RequestId,
    /// The last byte has been read.
    ended: bool,
    silence: Duration,
    /// The upstream of the answer; the call counts as in progress while it flows.
    origin: Option<(Arc<Member>, InFlightGuard)>,
}

/// Where the rest comes from.
#[derive(Debug)]
pub(in crate::upstream) enum StreamSource {
    Http1(Box<Http1Rest>),
    Http2(Box<Incoming>),
}

/// The rest of an answer over HTTP/1.1, with its connection.
#[derive(Debug)]
pub(in crate::upstream) struct Http1Rest {
    pub(in crate::upstream) slot: ConnectionPermit,
    pub(in crate::upstream) connection: Box<Http1Connection>,
    pub(in crate::upstream) body: DecodedBody,
    pub(in crate::upstream) keep_alive: bool,
    pub(in crate::upstream) addresses: Arc<ResolvedAddresses>,
}

impl UpstreamBodyStream {
    pub(in crate::upstream) fn new(
        source: StreamSource,
        asked: RequestId,
        silence: Duration,
    ) -> Self {
        Self {
            source: Some(source),
            asked,
            ended: false,
            silence,
            origin: None,
        }
    }

    pub(in crate::upstream) fn is_from(&mut self, upstream: &Arc<Member>) {
        self.origin = Some((Arc::clone(upstream), InFlightGuard::begin(&upstream.live)));
    }

    /// The id that the answer has to have.
    pub fn asked(&self) -> RequestId {
        self.asked
    }

    /// The next piece; None at the end. After an error the stream is over. Cancel-safe.
    pub async fn next(&mut self) -> Option<Result<Bytes, TransportFault>> {
        let next = self.read().await;
        match next {
            Ok(Some(bytes)) => Some(Ok(bytes)),
            Ok(None) => {
                self.ended = true;
                None
            }
            Err(fault) => {
                self.broken(fault.kind);
                Some(Err(fault))
            }
        }
    }

    /// It was bad, for a reason that its bytes alone do not show. This is recorded for the
    /// upstream, and the connection is closed.
    pub fn broken(&mut self, kind: FaultKind) {
        self.source = None;
        if let Some((upstream, _in_flight)) = self.origin.take() {
            upstream.broke_off(kind);
        }
    }

    async fn read(&mut self) -> Result<Option<Bytes>, TransportFault> {
        match &mut self.source {
            None => Ok(None),
            Some(StreamSource::Http1(rest)) => rest.read(self.silence).await,
            Some(StreamSource::Http2(incoming)) => timeout(self.silence, incoming.next())
                .await
                .unwrap_or(Err(TransportFault::after(FaultKind::TotalTimeout))),
        }
    }

    /// It was the complete answer to the request: the connection returns to its pool.
    pub fn complete(&mut self) {
        self.origin = None;
        if let Some(StreamSource::Http1(rest)) = self.source.take()
            && self.ended
        {
            rest.finish();
        }
    }
}

impl Http1Rest {
    async fn read(&mut self, silence: Duration) -> Result<Option<Bytes>, TransportFault> {
        let connection = &mut self.connection;
        loop {
            match self.body.take(&mut connection.input)? {
                BodyChunk::Data(bytes) => return Ok(Some(bytes)),
                BodyChunk::End => return Ok(None),
                BodyChunk::More => {}
            }
            let room = connection.input.capacity() - connection.input.len();
            if room < CHUNK / 4 {
                connection.input.reserve(CHUNK);
            }
            match timeout(silence, connection.receive()).await {
                Err(_elapsed) => return Err(TransportFault::after(FaultKind::TotalTimeout)),
                Ok(Err(_)) => return Err(TransportFault::after(FaultKind::Reset)),
                Ok(Ok(0)) => {
                    self.body.close()?;
                    self.keep_alive = false;
                    return Ok(None);
                }
                Ok(Ok(_)) => {}
            }
        }
    }

    fn finish(self) {
        let mut connection = self.connection;
        if self.keep_alive && connection.input.is_empty() {
            connection.last_response = 0;
            self.slot.keep(connection, &self.addresses, Instant::now());
        }
    }
}
