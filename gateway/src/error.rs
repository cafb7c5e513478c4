//! The answers the gateway gives in its own name. A [`Rejection`] maps to exactly one HTTP status,
//! one body and one metric label.
//!
//! Not here: what upstreams answer (their codes and `error.data` pass through untouched) and
//! configuration errors.

mod headers;
mod refused_page;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;

use crate::jsonrpc::{Id, RpcError, error_reply};
use crate::jupiter::{self, IdsFault, OrderFault, QueryFault, SwapFault};
use crate::limit::Remaining;

pub use self::refused_page::RefusedPage;

/// A request that the gateway answers itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Anything but `POST`, `OPTIONS` and the few `GET` paths.
    #[error("Used HTTP Method is not allowed. POST or OPTIONS is required")]
    HttpMethod,
    /// A `content-type` that Agave does not accept.
    #[error("Supplied content type is not allowed. Content-Type: application/json is required")]
    ContentType,
    /// It begins with Agave's words.
    #[error("request body size exceeds allowed maximum: {limit} bytes (limits.max_body)")]
    BodyTooLarge { limit: usize },
    /// The client did not send the head of its request within the limit.
    #[error("the request head did not arrive in time")]
    HeadTimeout,
    /// The client did not send its body within the limit.
    #[error("the request body did not arrive in time")]
    BodyTimeout,
    /// The client waits for a `100 Continue` that is not sent.
    #[error("100-continue is not sent over HTTP/2; repeat the request without `expect`")]
    Expectation,
    /// Too many bodies are incomplete.
    #[error("the gateway is receiving too many requests in pieces; try again")]
    TooManyBodies,
    /// Too many bytes wait for slow clients, of this connection or of all.
    #[error("too much of the gateway's answers waits for slow clients; try again")]
    TooMuchUnsent,
    #[error("the request body is not valid UTF-8")]
    BodyNotUtf8,
    /// Framing or header syntax on which two servers might disagree; the connection is closed.
    #[error("{reason}")]
    BadHttp { reason: &'static str },
    /// The head is larger than the limit; the connection is closed.
    #[error("the request head exceeds allowed maximum")]
    HeadTooLarge,
    /// WebSocket is disabled, or requested with another method than GET.
    #[error("WebSocket subscriptions are not served on this endpoint")]
    Upgrade,
    /// An invalid WebSocket handshake.
    #[error("{reason}")]
    Handshake { reason: &'static str },
    #[error("only version 13 of WebSocket is supported")]
    HandshakeVersion,
    /// A request without WebSocket on a WebSocket-only port.
    #[error("this port serves WebSocket only; JSON-RPC over HTTP is on the port number below it")]
    OnlyWebSocket,
    #[error("too many WebSockets are open; try again")]
    TooManySockets,
    #[error("a valid API key is required")]
    Unauthorised,
    #[error("the token has expired")]
    TokenExpired,
    #[error("Parse error")]
    Parse,
    /// A batch of more calls than the operator allows, refused as a node refuses one that is too
    /// large.
    #[error(
        "request body size exceeds allowed maximum: the batch holds {calls} calls, at most {limit} \
         are allowed (max_batch)"
    )]
    TooManyCalls { calls: usize, limit: usize },
    /// A request that counts as more calls than the caller's plan ever allows at once: waiting, as
    /// after a 429, would not help.
    #[error(
        "request body size exceeds allowed maximum: the request counts as {calls} calls, and your \
         plan allows {burst} at once (its burst)"
    )]
    OverBurst { calls: usize, burst: u32 },
    /// The operator denies this method to everybody, or no upstream is allowed to serve it.
    #[error("Method not found")]
    MethodRefused,
    /// Every upstream that could answer is rate limited.
    #[error("Too many requests for a specific RPC call")]
    RateLimited { retry_after: Duration },
    /// Every upstream that could answer has a budget, and it is spent. No words of an upstream: none
    /// has limited anything.
    #[error("Too many requests: the gateway's budget for its upstreams is spent")]
    BudgetSpent { retry_after: Duration },
    /// The caller's plan allows no more at the moment.
    #[error("Too many requests: {reason}")]
    OverLimit {
        reason: &'static str,
        retry_after: Duration,
        remaining: Option<Remaining>,
    },
    /// The caller's plan does not include this method.
    #[error("this method is not part of your plan")]
    NotInPlan,
    /// The caller's plan does not allow the address or the page of the call.
    #[error("{reason}")]
    NotFromHere { reason: &'static str },
    /// All remaining upstreams refuse the gateway's key. Not a rate limit, which clients would wait
    /// for.
    #[error("the gateway's key was refused by every upstream that could answer")]
    KeyRefused,
    /// No upstream gave an answer that could be passed on.
    #[error("Node is unhealthy: {reason}")]
    NoUpstream { reason: &'static str },
    /// All upstreams that serve are this far behind, in Agave's words.
    #[error("Node is behind by {slots} slots")]
    Behind { slots: u64 },
    /// The gateway's own call came back to it.
    #[error(
        "this call came back to the gateway that sent it: the URL of an upstream points at this \
         gateway"
    )]
    Loop,
    /// All connections that the gateway may open to the upstreams that could answer stayed in use.
    #[error("the gateway's connections to its upstreams are all in use; try again")]
    Saturated,
    /// An upstream's plain HTTP answer, if all that could be asked refuse the call.
    #[error("the upstream answered HTTP {}: {}", .0.status, .0.excerpt())]
    Refused(RefusedPage),
    /// A price is requested for no token, for too many, or for something that is not a token.
    #[error(transparent)]
    Ids(#[from] IdsFault),
    /// A quote that no upstream can give.
    #[error(transparent)]
    Quote(#[from] QueryFault),
    /// An order that no upstream can give.
    #[error(transparent)]
    Order(#[from] OrderFault),
    /// A transaction that no upstream can build.
    #[error(transparent)]
    Swap(#[from] SwapFault),
    /// A verb that this part of Jupiter's API does not have.
    #[error("Method not allowed; use {allowed}")]
    ApiMethod { allowed: &'static str },
    /// A part of Jupiter's API that is not configured.
    #[error("{product} is not served here")]
    NotServed { product: &'static str },
    /// All remaining upstreams of Jupiter's API refuse the gateway's key, or block it.
    #[error("every upstream that could answer refused the gateway or its key")]
    ApiKeyRefused,
    /// No upstream of Jupiter's API gave an answer that could be passed on.
    #[error("no upstream of this API can answer: {reason}")]
    ApiUnavailable { reason: &'static str },
    /// A write that was sent when the connection failed: it may or may not have been executed.
    #[error("no answer from the upstream; the transaction may or may not have been accepted")]
    OutcomeUnknown,
    /// The same for a method that may or may not change anything.
    #[error("no answer from the upstream; the call may or may not have been carried out")]
    AnswerLost,
}

impl Rejection {
    /// The body that answers a single call unchanged, instead of a JSON-RPC error.
    pub fn page(&self) -> Option<&RefusedPage> {
        match self {
            Self::Refused(page) => Some(page),
            _ => None,
        }
    }

    /// The HTTP status. Node-state errors have status 200 as with Agave, because clients drop the
    /// body of every other status.
    pub fn status(&self) -> u16 {
        match self {
            Self::HttpMethod | Self::ApiMethod { .. } => 405,
            Self::ContentType => 415,
            Self::BodyTooLarge { .. } | Self::TooManyCalls { .. } | Self::OverBurst { .. } => 413,
            Self::HeadTimeout | Self::BodyTimeout => 408,
            Self::Expectation => 417,
            Self::BodyNotUtf8
            | Self::BadHttp { .. }
            | Self::Ids(_)
            | Self::Quote(_)
            | Self::Order(_)
            | Self::Swap(_)
            | Self::Handshake { .. } => 400,
            Self::NotServed { .. } => 404,
            Self::HeadTooLarge => 431,
            Self::Upgrade => 501,
            Self::HandshakeVersion | Self::OnlyWebSocket => 426,
            Self::Unauthorised | Self::TokenExpired => 401,
            Self::NotInPlan | Self::NotFromHere { .. } => 403,
            // Rust's subscription client waits and retries after this status.
            Self::RateLimited { .. }
            | Self::BudgetSpent { .. }
            | Self::OverLimit { .. }
            | Self::TooManySockets => 429,
            Self::ApiKeyRefused => 502,
            Self::OutcomeUnknown | Self::AnswerLost => 504,
            Self::TooManyBodies | Self::TooMuchUnsent | Self::ApiUnavailable { .. } => 503,
            Self::Loop => 508,
            Self::Refused(page) => page.status,
            Self::Parse
            | Self::MethodRefused
            | Self::KeyRefused
            | Self::NoUpstream { .. }
            | Self::Behind { .. }
            | Self::Saturated => 200,
        }
    }

    /// Value of the `outcome` label in metrics and logs.
    pub fn label(&self) -> &'static str {
        match self {
            Self::HttpMethod | Self::ApiMethod { .. } => "http_method",
            Self::ContentType => "content_type",
            Self::BodyTooLarge { .. } => "body_too_large",
            Self::HeadTimeout => "head_timeout",
            Self::BodyTimeout => "body_timeout",
            Self::Expectation => "expectation",
            Self::TooManyBodies => "too_many_bodies",
            Self::TooMuchUnsent => "too_much_unsent",
            Self::BodyNotUtf8 => "body_not_utf8",
            Self::BadHttp { .. } => "bad_http",
            Self::HeadTooLarge => "head_too_large",
            Self::Upgrade => "upgrade",
            Self::Handshake { .. } | Self::HandshakeVersion => "handshake",
            Self::OnlyWebSocket => "only_websocket",
            Self::TooManySockets => "too_many_sockets",
            Self::Unauthorised => "unauthorised",
            Self::TokenExpired => "token_expired",
            Self::Parse => "parse",
            Self::TooManyCalls { .. } => "too_many_calls",
            Self::OverBurst { .. } => "over_burst",
            Self::MethodRefused => "method_refused",
            Self::RateLimited { .. } | Self::BudgetSpent { .. } => "rate_limited",
            Self::OverLimit { .. } => "over_limit",
            Self::NotInPlan => "not_in_plan",
            Self::NotFromHere { .. } => "not_from_here",
            Self::KeyRefused | Self::ApiKeyRefused => "key_refused",
            Self::NoUpstream { .. } => "no_upstream",
            Self::Behind { .. } => "behind",
            Self::Saturated => "saturated",
            Self::Loop => "loop",
            Self::Ids(_) => "bad_ids",
            Self::Quote(_) => "bad_quote",
            Self::Order(_) => "bad_order",
            Self::Swap(_) => "bad_swap",
            Self::NotServed { .. } => "not_served",
            Self::ApiUnavailable { .. } => "unavailable",
            Self::OutcomeUnknown | Self::AnswerLost => "outcome_unknown",
            Self::Refused(_) => "refused_in_http",
        }
    }

    /// The body for a caller with this id, with its content type.
    pub fn body(&self, id: &Id) -> (Bytes, &'static str) {
        match self.rpc_error() {
            Some(error) => (error_reply(id, &error, false), JSON),
            None => (Bytes::from(format!("{self}\n")), TEXT),
        }
    }

    /// The body for a caller of Jupiter's API, with its content type. Jupiter says `error` for an
    /// invalid request, and `code` and `message` for other refusals.
    pub fn api_body(&self) -> (Bytes, &'static str) {
        if let Self::Refused(page) = self {
            return (page.body.clone(), page.content_type);
        }
        let text = self.to_string();
        let body = match self {
            Self::Ids(_) => json!({ "error": text }),
            Self::Quote(fault) => json!({ "error": text, "errorCode": fault.code() }),
            Self::Swap(fault) => json!({ "error": text, "errorCode": fault.code() }),
            // No upstream has given it an id.
            Self::Order(_) => json!({ "requestId": null, "error": text }),
            Self::RateLimited { .. } => json!({ "code": 429, "message": "Too many requests" }),
            _ => json!({ "code": self.status(), "message": text }),
        };
        (Bytes::from(body.to_string()), jupiter::JSON)
    }

    /// The JSON-RPC error, for the rejections that are answered as one.
    pub fn rpc_error(&self) -> Option<RpcError> {
        let code = match self {
            Self::Parse => -32700,
            Self::BadHttp { .. } | Self::HeadTooLarge => -32600,
            Self::MethodRefused => -32601,
            Self::RateLimited { .. } | Self::BudgetSpent { .. } | Self::OverLimit { .. } => 429,
            Self::NotInPlan | Self::NotFromHere { .. } => 403,
            Self::Unauthorised | Self::TokenExpired => 401,
            Self::NoUpstream { .. } | Self::Behind { .. } | Self::Saturated => -32005,
            Self::TooManyBodies | Self::TooMuchUnsent => 503,
            Self::OutcomeUnknown | Self::AnswerLost | Self::KeyRefused | Self::Loop => -32603,
            Self::Refused(_) => -32000,
            Self::HttpMethod
            | Self::ContentType
            | Self::BodyTooLarge { .. }
            | Self::TooManyCalls { .. }
            | Self::OverBurst { .. }
            | Self::HeadTimeout
            | Self::BodyTimeout
            | Self::Expectation
            | Self::BodyNotUtf8
            | Self::Ids(_)
            | Self::Quote(_)
            | Self::Order(_)
            | Self::Swap(_)
            | Self::ApiMethod { .. }
            | Self::NotServed { .. }
            | Self::Handshake { .. }
            | Self::HandshakeVersion
            | Self::OnlyWebSocket
            | Self::TooManySockets
            | Self::ApiKeyRefused
            | Self::ApiUnavailable { .. }
            | Self::Upgrade => return None,
        };
        // @solana/kit builds its text for -32005 from `data.numSlotsBehind` and must find it.
        let data = match self {
            Self::NoUpstream { .. } | Self::Saturated => {
                Some(Bytes::from_static(br#"{"numSlotsBehind":null}"#))
            }
            Self::Behind { slots } => Some(format!(r#"{{"numSlotsBehind":{slots}}}"#).into()),
            _ => None,
        };
        Some(RpcError {
            code,
            message: Cow::Owned(self.to_string()),
            data,
        })
    }
}

/// Content type of every JSON-RPC answer, exactly as Agave writes it.
pub const JSON: &str = "application/json; charset=utf-8";
/// Content type of the plain-text refusals.
pub const TEXT: &str = "text/plain; charset=utf-8";
