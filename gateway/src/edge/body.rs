//! Reads a request body: with a size limit and a time limit, and without copying a body sent in one
//! piece.

use std::pin::pin;
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use futures::poll;
use tokio::time::timeout;

use super::session::{BodyFault, HttpSession};
use crate::config::Limits;
use crate::error::Rejection;

/// Space reserved for a body before its bytes arrive.
const ROOM: usize = 256 * 1024;

/// Reads the whole body, within the limits.
///
/// Sends `100 Continue` first to a client that waits for it (nobody else does when the body is read
/// outside Pingora's proxy).
///
/// # Errors
/// 413 before reading if `content-length` is too large, 413 while reading otherwise, 408 if it does
/// not arrive in time, 400 for malformed chunks, 503 if too many other bodies are incomplete.
pub(super) async fn read(
    session: &mut impl HttpSession,
    limits: &Limits,
) -> Result<Bytes, BodyFault> {
    let declared = session.announced();
    if declared.is_some_and(|length| length > limits.max_body) {
        return Err(BodyFault::Rejected(too_large(limits)));
    }
    let collected = async {
        session.invite().await?;
        collect(session, limits, declared).await
    };
    match timeout(limits.body_timeout, collected).await {
        Ok(body) => body,
        Err(_elapsed) => Err(BodyFault::Rejected(Rejection::BodyTimeout)),
    }
}

fn too_large(limits: &Limits) -> Rejection {
    Rejection::BodyTooLarge {
        limit: limits.max_body,
    }
}

async fn collect(
    session: &mut impl HttpSession,
    limits: &Limits,
    declared: Option<usize>,
) -> Result<Bytes, BodyFault> {
    let mut unfinished = session.tracked().unfinished_body(limits.unfinished_bodies);
    let head = session.head_bytes();
    let Some(first) = ({
        let mut first = pin!(session.piece());
        match poll!(&mut first) {
            Poll::Ready(first) => first?,
            // The head is kept while the client takes its time.
            Poll::Pending if !unfinished.add(head) => {
                return Err(BodyFault::Rejected(Rejection::TooManyBodies));
            }
            Poll::Pending => first.await?,
        }
    }) else {
        return Ok(Bytes::new());
    };
    if declared == Some(first.len()) {
        return Ok(first);
    }
    let room = declared.unwrap_or(first.len() * 2).min(ROOM);
    let mut body = BytesMut::with_capacity(room.max(first.len()));
    let mut chunk = first;
    loop {
        if body.len() + chunk.len() > limits.max_body {
            return Err(BodyFault::Rejected(too_large(limits)));
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
