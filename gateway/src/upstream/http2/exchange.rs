//! One call on one stream: sends the request, receives the head of the answer, and interprets a
//! loss.

use std::pin::Pin;

use bytes::Bytes;
use h2::{Reason, RecvStream};
use tokio::time::{Instant, Sleep};

use super::stream_lease::StreamLease;
use crate::solana::FaultKind;
use crate::upstream::http1::response::{ResponseHead, head_of};
use crate::upstream::transport::fault::TransportFault;
use crate::upstream::transport::timer::within;

/// A call without a head of an answer.
#[derive(Debug)]
pub(in crate::upstream) struct LostCall {
    pub(in crate::upstream) fault: TransportFault,
    pub(in crate::upstream) repeat: Repeat,
}

/// Whether a lost call may be sent again silently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::upstream) enum Repeat {
    /// No: the upstream had it.
    No,
    /// Any call: the connection was closing, and nothing was sent.
    Unsent,
    /// Any call: the upstream reports that it has not processed it (`REFUSED_STREAM`, or GOAWAY
    /// with an older stream as the last one).
    Unseen,
    /// A call that may be executed twice: the connection broke, and may have been dead before.
    Broken,
    /// Any call, over HTTP/1.1: the upstream requires it (`HTTP_1_1_REQUIRED`).
    Older,
}

/// Sends the request and waits for the head of the answer, of which `fields` takes what is passed
/// on. The connection's task writes, as the upstream's window allows; so that time is part of
/// `first_byte`, and has no limit of its own.
pub(in crate::upstream) async fn exchange<F>(
    lease: &StreamLease,
    (head, body): (http::Request<()>, Bytes),
    fields: impl FnOnce(&http::HeaderMap) -> F,
    first_byte: Instant,
    total: Instant,
    timer: &mut Pin<&mut Option<Sleep>>,
) -> Result<((ResponseHead, F), RecvStream), LostCall> {
    let session = lease.session();
    let answered_before = session.has_answered();
    let Some(response) = session.send(head, body) else {
        return Err(LostCall {
            fault: TransportFault::before(FaultKind::Reset),
            repeat: Repeat::Unsent,
        });
    };
    let until = first_byte.min(total);
    match within(timer, until, response).await {
        None => Err(LostCall {
            fault: TransportFault::after(if first_byte < total {
                FaultKind::FirstByteTimeout
            } else {
                FaultKind::TotalTimeout
            }),
            repeat: Repeat::No,
        }),
        Some(Ok(response)) => {
            session.note_answer();
            let (parts, body) = response.into_parts();
            match head_of(parts.status.as_u16(), &parts.headers) {
                Ok(head) => Ok(((head, fields(&parts.headers)), body)),
                Err(bad) => Err(LostCall {
                    fault: bad.into(),
                    repeat: Repeat::No,
                }),
            }
        }
        Some(Err(error)) => {
            let lost = lost(&error, answered_before);
            if lost.repeat == Repeat::Unseen && error.is_reset() {
                session.note_refused();
            }
            Err(lost)
        }
    }
}

/// What an error before the head of the answer means.
fn lost(error: &h2::Error, answered_before: bool) -> LostCall {
    let unseen =
        error.is_remote() && (error.is_go_away() || error.reason() == Some(Reason::REFUSED_STREAM));
    let older = error.is_remote() && error.reason() == Some(Reason::HTTP_1_1_REQUIRED);
    let (fault, repeat) = if older {
        (TransportFault::before(FaultKind::BadHttp), Repeat::Older)
    } else if unseen {
        (TransportFault::before(FaultKind::Reset), Repeat::Unseen)
    } else if error.is_io() && answered_before {
        (TransportFault::after(FaultKind::Reset), Repeat::Broken)
    } else if error.is_library() {
        (TransportFault::after(FaultKind::BadHttp), Repeat::No)
    } else {
        (TransportFault::after(FaultKind::Reset), Repeat::No)
    };
    LostCall { fault, repeat }
}
