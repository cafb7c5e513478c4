//! One attempt at a request of an HTTP API. The answer is handed on as it is; what it means says
//! [`crate::jupiter`].

use std::pin::pin;
use std::sync::atomic::AtomicBool;

use super::ApiUpstream;
use crate::jupiter::{self, ApiFault, JudgedAnswer, Product};
use crate::upstream::client::reply::{AttemptLimits, ReplyBody};
use crate::upstream::client::request::ApiRequest;
use crate::upstream::client::{ConnectionRoute, ReplyTo, RequestCost, UpstreamLine, WireRequest};
use crate::upstream::transport::fault::TransportFault;

impl ApiUpstream {
    /// One attempt. Cancel-safe: dropping the future closes the connection in use; over HTTP/2, only its
    /// stream. `written` is set once the request has a connection and is being written.
    ///
    /// # Errors
    /// There is no answer.
    pub(super) async fn call<R: WireRequest>(
        &self,
        request: &R,
        limits: &AttemptLimits,
        written: Option<&AtomicBool>,
    ) -> Result<ReplyTo<R>, TransportFault> {
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
        let mut timer = pin!(None);
        line.call(request, limits, ConnectionRoute::Any, &mut timer)
            .await
    }
    /// Says what is wrong with an answer; `None` for one that concerns the caller, good or bad.
    pub fn judge(&self, product: Product, reply: &ReplyTo<ApiRequest>) -> Option<ApiFault> {
        let (body, is_whole) = match &reply.body {
            ReplyBody::Complete(body) => (body, true),
            ReplyBody::Streaming { head, .. } => (head, false),
        };
        let hints = &reply.hints;
        let seen = JudgedAnswer {
            product,
            status: reply.status,
            is_json: hints.content_type_json,
            challenge: hints.challenge,
            reset_unix: hints.ratelimit_reset_unix.max(hints.retry_at_unix),
            retry_after: hints.retry_after,
            body,
            is_whole,
        };
        jupiter::judge(&seen, self.clock.seconds())
    }
}
