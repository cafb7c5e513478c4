//! Reads a request body: capped, in time, without a copy where the client sent it in one piece.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::time::timeout;

use super::connections::ClientConnections;
use super::session::HttpSession;
use crate::config::Limits;
use crate::error::Rejection;

/// Room that is made for a body before its bytes are there.
const ROOM: usize = 256 * 1024;

/// Why there is no body.
#[derive(Debug)]
pub(super) enum BodyFault {
    /// The client is told.
    Rejected(Rejection),
    /// The client has gone; there is nobody to tell.
    Gone,
}

/// Reads the whole body, within the limits.
///
/// Asks for it first where the client waits for `100 Continue` (nobody else does when the body is
/// read outside Pingora's proxy).
///
/// # Errors
/// 413 before reading when `content-length` says so, 413 while reading otherwise, 408 when it does
/// not arrive in time, 400 when its chunks are not well-formed, 503 when too many others are
/// unfinished.
pub(super) async fn read(
    session: &mut impl HttpSession,
    limits: &Limits,
    connections: &Arc<ClientConnections>,
) -> Result<Bytes, BodyFault> {
    let declared = session.announced();
    if declared.is_some_and(|length| length > limits.max_body) {
        return Err(BodyFault::Rejected(Rejection::BodyTooLarge));
    }
    let collected = async {
        session.invite().await?;
        collect(session, limits, declared, connections).await
    };
    match timeout(limits.body_timeout, collected).await {
        Ok(body) => body,
        Err(_elapsed) => Err(BodyFault::Rejected(Rejection::BodyTimeout)),
    }
}

async fn collect(
    session: &mut impl HttpSession,
    limits: &Limits,
    declared: Option<usize>,
    connections: &Arc<ClientConnections>,
) -> Result<Bytes, BodyFault> {
    let Some(first) = session.piece().await? else {
        return Ok(Bytes::new());
    };
    if declared == Some(first.len()) {
        return Ok(first);
    }
    let mut unfinished = connections.unfinished_body(limits.unfinished_bodies);
    let room = declared.unwrap_or(first.len() * 2).min(ROOM);
    let mut body = BytesMut::with_capacity(room.max(first.len()));
    let mut chunk = first;
    loop {
        if body.len() + chunk.len() > limits.max_body {
            return Err(BodyFault::Rejected(Rejection::BodyTooLarge));
        }
        if !unfinished.add(chunk.len()) {
            return Err(BodyFault::Rejected(Rejection::TooManyBodies));
        }
        body.extend_from_slice(&chunk);
        match session.piece().await? {
            Some(further) => chunk = further,
            None => return Ok(body.freeze()),
        }
    }
}
