//! An answer of the pipeline as one text message. What HTTP expresses by a status and plain text is
//! a JSON-RPC error here.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};

use crate::error::JSON;
use crate::jsonrpc::{Id, RpcError, error_reply};
use crate::pipeline::{RequestSummary, Response, ResponseBody};

/// A complete answer.
pub(super) struct GatheredAnswer {
    /// Empty: nothing is to be sent.
    pub(super) text: Bytes,
    pub(super) status: u16,
    pub(super) summary: RequestSummary,
}

/// Reads an answer to its end, if it has at most `most` bytes.
pub(super) async fn gather(response: Response, id: &Id, most: usize) -> GatheredAnswer {
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
                    Some(Ok(piece)) => text.extend_from_slice(&piece),
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
    use super::*;
    use crate::error::Rejection;

    #[tokio::test]
    async fn what_http_says_in_plain_text_is_a_json_rpc_error() {
        let too_many = Rejection::TooManyCalls { calls: 3, limit: 2 };
        let response = Response::rejected(&too_many, &Id::null(), "batch");
        let gathered = gather(response, &Id::from(7), 1000).await;
        assert_eq!(
            gathered.text,
            &br#"{"jsonrpc":"2.0","error":{"code":-32603,"message":"request body size exceeds allowed maximum: the batch holds 3 calls, at most 2 are allowed (max_batch)"},"id":7}"#[..]
        );
        assert_eq!(gathered.status, 413);
    }

    #[tokio::test]
    async fn a_notification_has_no_answer() {
        let gathered = gather(Response::empty("other"), &Id::null(), 1000).await;
        assert!(gathered.text.is_empty());
    }
}
