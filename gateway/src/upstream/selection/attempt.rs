//! One attempt of a call at the upstream that was chosen for it.

use std::pin::pin;

use crate::upstream::client::reply::{AttemptLimits, ReplyBody};
use crate::upstream::client::{ConnectionRoute, ReplyTo, RequestCost, UpstreamLine, WireRequest};
use crate::upstream::selection::select::Candidate;
use crate::upstream::transport::fault::TransportFault;

/// Sends `request` to the candidate's upstream.
///
/// Cancel-safe: dropping the future closes the connection in use.
pub async fn attempt<R: WireRequest>(
    candidate: &Candidate,
    request: &R,
    limits: &AttemptLimits,
) -> Result<ReplyTo<R>, TransportFault> {
    let upstream = candidate.upstream();
    let live = upstream.state();
    let line = UpstreamLine {
        wire: &upstream.member.wire,
        connections: &live.connections,
        http2: live.http2.as_ref(),
        saturation: Some(&live.saturation),
        opened: &live.metrics.opened,
        connect_time: &live.metrics.connect_time,
        broken: &live.metrics.broken,
        written: Some(candidate.written()),
        cost: RequestCost::Of(candidate.charge()),
    };
    let mut timer = pin!(None);
    let route = ConnectionRoute::Balanced(&upstream.balancer);
    let mut reply = line.call(request, limits, route, &mut timer).await?;
    if let ReplyBody::Streaming { rest, .. } = &mut reply.body {
        rest.is_from(&upstream.member);
    }
    Ok(reply)
}
