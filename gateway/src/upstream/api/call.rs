//! One attempt at a request of an HTTP API. The answer is handed on as it is; what it means is for
//! others to say.

use std::pin::pin;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::ApiUpstream;
use crate::limit::PermitRequest;
use crate::solana::ReplyHints;
use crate::upstream::client::reply::{AttemptLimits, ReplyBody};
use crate::upstream::client::request::ApiRequest;
use crate::upstream::client::stream::UpstreamBodyStream;
use crate::upstream::client::{ConnectionRoute, RequestCost, UpstreamLine};
use crate::upstream::transport::fault::TransportFault;

/// The limits of one attempt. The upstream's own connect, write and total limits apply as well.
#[derive(Clone, Copy, Debug)]
pub struct ApiLimits {
    pub deadline: Instant,
    /// Until when it may wait for a connection that another request uses.
    pub queue: Instant,
    /// Time from the request sent to the first byte of the answer.
    pub first_byte: Duration,
    /// Larger answers are streamed.
    pub answer_buffer: usize,
    /// Whether the request may be executed twice.
    pub replayable: bool,
    /// Class and consumer, if a connection has to be waited for.
    pub ask: PermitRequest,
}

impl ApiLimits {
    fn of_attempt(&self, progress: Duration) -> AttemptLimits {
        AttemptLimits {
            deadline: self.deadline,
            queue: self.queue,
            first_byte: self.first_byte,
            progress: progress.max(self.first_byte),
            answer_buffer: self.answer_buffer,
            replayable: self.replayable,
            ask: self.ask,
            // They are among the fields of the request.
            headers: None,
        }
    }
}

/// The result of an attempt.
#[derive(Debug)]
pub struct ApiReply {
    pub status: u16,
    pub hints: ReplyHints,
    /// Fields to be passed on, their names in lower case.
    pub fields: Vec<(&'static str, Bytes)>,
    pub body: ApiBody,
    pub latency: Duration,
}

/// The body of an answer.
#[derive(Debug)]
pub enum ApiBody {
    Whole(Bytes),
    /// The beginning of a large one.
    Streaming {
        first: Bytes,
        rest: UpstreamBodyStream,
    },
}

impl ApiUpstream {
    /// One attempt. Cancel-safe: dropping the future closes the connection in use; over HTTP/2, only its
    /// stream. `written` is set once the request has a connection and is being written.
    ///
    /// # Errors
    /// There is no answer.
    pub(super) async fn call(
        &self,
        request: &ApiRequest,
        limits: &ApiLimits,
        written: Option<&AtomicBool>,
    ) -> Result<ApiReply, TransportFault> {
        let metrics = &self.state.metrics;
        let line = UpstreamLine {
            wire: &self.wire,
            connections: &self.state.connections,
            http2: self.state.http2.as_ref(),
            saturation: Some(&self.state.saturation),
            opened: &metrics.opened,
            connect_time: &metrics.connect_time,
            broken: &metrics.broken,
            written,
            cost: RequestCost::Charged,
        };
        let limits = limits.of_attempt(self.wire.timeouts.progress);
        let mut timer = pin!(None);
        let reply = line
            .call(request, &limits, ConnectionRoute::Any, &mut timer)
            .await?;
        Ok(ApiReply {
            status: reply.status,
            hints: reply.hints,
            fields: reply.fields,
            body: match reply.body {
                ReplyBody::Complete(body) => ApiBody::Whole(body),
                ReplyBody::Streaming { head, rest, .. } => ApiBody::Streaming { first: head, rest },
            },
            latency: reply.latency,
        })
    }
}
