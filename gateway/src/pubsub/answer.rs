//! An answer of the pipeline as one text message. What HTTP expresses by a status and plain text is
//! a JSON-RPC error here.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};

use super::collected::CollectedAnswer;
use crate::error::JSON;
use crate::jsonrpc::{Id, RpcError, error_reply};
use crate::pipeline::{RequestSummary, Response, ResponseBody};

/// What is said of an answer for which there is no room.
pub(super) const SHARE_USED_UP: &str = "the gateway is collecting too many large answers for \
     WebSockets; try again, or ask for it over HTTP";

/// A complete answer.
pub(super) struct GatheredAnswer {
    /// Empty: nothing is to be sent.
    pub(super) text: Bytes,
    pub(super) status: u16,
    pub(super) summary: RequestSummary,
}

/// Reads an answer to its end, if it has at most `most` bytes and its caller may hold so much;
/// `held` counts it as it arrives.
pub(super) async fn gather(
    response: Response,
    id: &Id,
    most: usize,
    held: &mut CollectedAnswer,
) -> GatheredAnswer {
    let Response {
        status,
        content_type,
        body,
        summary,
        ..
    } = response;
    let whole = match body {
        ResponseBody::Empty => Ok(Bytes::new()),
        ResponseBody::Whole(bytes) | ResponseBody::Verbatim(bytes) => Ok(bytes),
        ResponseBody::Shared(pieces) => Ok(Bytes::from(pieces.concat())),
        ResponseBody::Stream { mut stream, length } => {
            let mut text = BytesMut::new();
            loop {
                if text.len().max(announced(length)) > most {
                    break Err("the answer is too large for a WebSocket; ask for it over HTTP");
                }
                match stream.next().await {
                    None => break Ok(text.freeze()),
                    Some(Ok(piece)) => {
                        text.extend_from_slice(&piece);
                        if held.reaches(text.capacity()).is_err() {
                            break Err(SHARE_USED_UP);
                        }
                    }
                    Some(Err(fault)) => {
                        tracing::debug!(%fault,
                            "upstream response for a WebSocket client truncated");
                        break Err("the upstream's answer ended early");
                    }
                }
            }
        }
    };
    let text = match whole {
        Ok(text) if text.is_empty() || content_type == JSON => text,
        Ok(text) => {
            let message = String::from_utf8_lossy(&text).trim().to_owned();
            refusal(id, message.into())
        }
        Err(message) => refusal(id, message.into()),
    };
    GatheredAnswer {
        text,
        status,
        summary,
    }
}

fn announced(length: Option<u64>) -> usize {
    usize::try_from(length.unwrap_or(0)).unwrap_or(usize::MAX)
}

fn refusal(id: &Id, message: Cow<'static, str>) -> Bytes {
    let error = RpcError {
        code: -32603,
        message,
        data: None,
    };
    error_reply(id, &error, false)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::error::Rejection;
    use crate::pubsub::backlog::BacklogTotal;
    use crate::pubsub::collected::CollectedAnswers;

    fn held() -> CollectedAnswer {
        let total = BacklogTotal::new(100_000);
        CollectedAnswers::new(&total).begin(&Arc::default())
    }

    #[tokio::test]
    async fn what_http_says_in_plain_text_is_a_json_rpc_error() {
        let too_many = Rejection::TooManyCalls { calls: 3, limit: 2 };
        let response = Response::rejected(&too_many, &Id::null(), "batch");
        let gathered = gather(response, &Id::from(7), 1000, &mut held()).await;
        assert_eq!(
            gathered.text,
            &br#"{"jsonrpc":"2.0","error":{"code":-32603,"message":"request body size exceeds allowed maximum: the batch holds 3 calls, at most 2 are allowed (max_batch)"},"id":7}"#[..]
        );
        assert_eq!(gathered.status, 413);
    }

    #[tokio::test]
    async fn a_notification_has_no_answer() {
        let gathered = gather(Response::empty("other"), &Id::null(), 1000, &mut held()).await;
        assert!(gathered.text.is_empty());
    }
}
