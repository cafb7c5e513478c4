//! Reads a request body: capped, in time, without a copy where the client sent it in one piece.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, EXPECT};
use pingora::protocols::http::ServerSession;
use tokio::time::timeout;

use crate::error::Rejection;

/// Why there is no body.
#[derive(Debug)]
pub(super) enum BodyFault {
    /// The client is told.
    Rejected(Rejection),
    /// The client has gone; there is nobody to tell.
    Gone,
}

/// Reads the whole body of at most `limit` bytes within `within`.
///
/// Asks for it first where the client waits for `100 Continue` (nobody else does when the body is
/// read outside Pingora's proxy).
///
/// # Errors
/// 413 before reading when `content-length` says so, 413 while reading otherwise, 408 when it does
/// not arrive in time, 400 when its chunks are not well-formed.
pub(super) async fn read(
    session: &mut ServerSession,
    limit: usize,
    within: Duration,
) -> Result<Bytes, BodyFault> {
    let declared = declared_length(session);
    if declared.is_some_and(|length| length > limit) {
        return Err(BodyFault::Rejected(Rejection::BodyTooLarge));
    }
    if session.get_header(EXPECT).is_some() {
        session
            .write_continue_response()
            .await
            .map_err(|_gone| BodyFault::Gone)?;
    }
    match timeout(within, collect(session, limit, declared)).await {
        Ok(body) => body,
        Err(_elapsed) => Err(BodyFault::Rejected(Rejection::BodyTimeout)),
    }
}

async fn collect(
    session: &mut ServerSession,
    limit: usize,
    declared: Option<usize>,
) -> Result<Bytes, BodyFault> {
    let Some(first) = next(session).await? else {
        return Ok(Bytes::new());
    };
    if declared == Some(first.len()) {
        return Ok(first);
    }
    // `declared` was checked against the limit, so a lying client cannot make us reserve more.
    let mut body = BytesMut::with_capacity(declared.unwrap_or(first.len() * 2));
    body.extend_from_slice(&first);
    while body.len() <= limit {
        match next(session).await? {
            Some(chunk) => body.extend_from_slice(&chunk),
            None => return Ok(body.freeze()),
        }
    }
    Err(BodyFault::Rejected(Rejection::BodyTooLarge))
}

async fn next(session: &mut ServerSession) -> Result<Option<Bytes>, BodyFault> {
    session.read_request_body().await.map_err(|error| {
        if error.etype().as_str() == "InvalidChunk" {
            BodyFault::Rejected(Rejection::BadHttp {
                reason: "a chunk of the body is malformed",
            })
        } else {
            BodyFault::Gone
        }
    })
}

fn declared_length(session: &ServerSession) -> Option<usize> {
    session
        .get_header(CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()
}
