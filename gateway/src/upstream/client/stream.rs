//! The rest of a large answer, read only as fast as it is consumed. Memory per stream is one
//! chunk here plus whatever the consumer holds.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use perijove_core::Slot;
use tokio::time::{Instant, timeout};

use super::stream_pace::StreamPace;

use crate::framing::BodyChunk;
use crate::jsonrpc::RequestId;
use crate::solana::FaultKind;
use crate::upstream::http1::connection::{ConnectionPermit, Http1Connection};
use crate::upstream::http2::IncomingBody;
use crate::upstream::state::member::{Member, StreamOrigin, StreamedCall};
use crate::upstream::transport::coding::DecodedBody;
use crate::upstream::transport::fault::TransportFault;
use crate::upstream::transport::resolve::ResolvedAddresses;

/// Most bytes read ahead of the consumer.
pub const CHUNK: usize = 64 * 1024;

/// What follows the beginning of a streamed answer. Whoever has read it to its end reports whether
/// it was good; otherwise the connection is closed, or over HTTP/2 its stream.
///
/// The caller's deadline does not apply: a large answer takes as long as its consumer does. What ends it
/// is an upstream that is waited for and sends nothing, or a trickle.
#[derive(Debug)]
pub struct UpstreamBodyStream {
    /// `None` once the result was reported.
    source: Option<StreamSource>,
    asked: RequestId,
    /// The last byte has been read.
    ended: bool,
    pace: StreamPace,
    /// The upstream of the answer.
    origin: Option<Box<StreamOrigin>>,
}

/// Where the rest comes from.
#[derive(Debug)]
pub(in crate::upstream) enum StreamSource {
    Http1(Box<Http1Rest>),
    Http2(Box<IncomingBody>),
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
    /// `window`: the longest silence of the upstream, and how often its pace is looked at.
    pub(in crate::upstream) fn new(
        source: StreamSource,
        asked: RequestId,
        window: Duration,
    ) -> Self {
        Self {
            source: Some(source),
            asked,
            ended: false,
            pace: StreamPace::new(window),
            origin: None,
        }
    }

    pub(in crate::upstream) fn is_from(&mut self, upstream: &Arc<Member>) {
        self.origin = Some(Box::new(StreamOrigin::of(upstream)));
    }

    /// Its beginning was good: what becomes of the rest counts for this call. `slot` is the one that
    /// the answer was read at.
    pub(in crate::upstream) fn began(&mut self, call: StreamedCall, slot: Option<Slot>) {
        if let Some(origin) = &mut self.origin {
            origin.began(call, slot);
        }
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
        if let Some(origin) = self.origin.take() {
            origin.broke_off(kind);
        }
    }

    async fn read(&mut self) -> Result<Option<Bytes>, TransportFault> {
        let Some(source) = &mut self.source else {
            return Ok(None);
        };
        loop {
            let begun = Instant::now();
            let read = timeout(self.pace.left(), source.read()).await;
            self.pace.waited(begun.elapsed());
            match read {
                Ok(Ok(Some(bytes))) => {
                    self.pace.came(bytes.len());
                    return Ok(Some(bytes));
                }
                Ok(over) => return over,
                Err(_elapsed) => self.pace.look().map_err(TransportFault::after)?,
            }
        }
    }

    /// It was the complete answer to the request: the connection returns to its pool.
    pub fn complete(&mut self) {
        if let Some(origin) = self.origin.take() {
            origin.ended_well();
        }
        if let Some(StreamSource::Http1(rest)) = self.source.take()
            && self.ended
        {
            rest.finish();
        }
    }
}

impl StreamSource {
    /// Cancel-safe.
    async fn read(&mut self) -> Result<Option<Bytes>, TransportFault> {
        match self {
            Self::Http1(rest) => rest.read().await,
            Self::Http2(incoming) => incoming.next().await,
        }
    }
}

impl Http1Rest {
    async fn read(&mut self) -> Result<Option<Bytes>, TransportFault> {
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
            match connection.receive().await {
                Err(_) => return Err(TransportFault::after(FaultKind::Reset)),
                Ok(0) => {
                    self.body.close()?;
                    self.keep_alive = false;
                    return Ok(None);
                }
                Ok(_) => {}
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
