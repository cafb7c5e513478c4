//! A batch: its calls run concurrently, within a limit, and their answers are returned in the order
//! of the calls, because web3.js and solana-py match answers by position.
//!
//! Answers are collected while they are small. From the first large one on, or when they have
//! become many, the rest streams: entries beyond the limit are not even started before the client
//! has accepted what precedes them, so a batch never holds more than `batch_concurrency` ×
//! `answer_buffer` bytes plus [`COLLECT_LIMIT`].
//!
//! If one call in a batch of reads is rate limited before anything has been sent, the whole batch
//! is answered with 429, as a node's proxy does: web3.js retries it then, and fails on a 200. A
//! batch with writes is never answered like that: its entries are answered one by one.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::stream::{self, Stream};
use tokio::task::JoinHandle;

use super::Request;
use super::batch_order::in_order;
use super::cache_use::CacheStatus;
use super::call;
use super::call_reply::{CallBody, CallBodyStream, CallReply};
use super::on_cancel::CLIENT_GONE;
use super::response::{
    RequestSummary, Response, ResponseBody, ResponseStream, ResponseStreamFault,
};
use crate::dispatch::CallSummary;
use crate::error::{JSON, Rejection};
use crate::jsonrpc::{self, Batch, Id, RequestEntry, RequestPayload};

/// Collected answers above this many bytes start to stream.
const COLLECT_LIMIT: usize = 1024 * 1024;
/// The outcome of calls that were given up because the whole batch is answered with 429.
const RATE_LIMITED: &str = "rate_limited";
/// Space is reserved in advance for at most this many.
const USUAL_CALLS: usize = 256;

type Replies = Pin<Box<dyn Stream<Item = CallReply> + Send>>;

pub(super) async fn answer(mut request: Request, entries: Batch, body: Bytes) -> Response {
    let calls = entries.len();
    request.begins_batch();
    let whole = request.clone();
    let mut limits = BatchRateLimit::default();
    let limited = Arc::<AtomicBool>::default();
    let mut replies = replies(request, entries, &limited);

    let mut account = BatchSummary::default();
    let mut collected = BytesMut::with_capacity(256 * calls.min(USUAL_CALLS));
    let body = loop {
        let Some(reply) = replies.next().await else {
            if let Some(response) = limits.response(calls) {
                return response;
            }
            break close(collected);
        };
        if limits.add(&reply) && only_reads(&whole, &body) {
            limited.store(true, Ordering::Release);
            drop(replies);
            return limits
                .response(calls)
                .unwrap_or_else(|| Response::empty("batch"));
        }
        account.add(&reply, whole.snapshot.config.log.access);
        match reply.body {
            CallBody::Nothing => {}
            CallBody::Stream(part) => {
                separate(&mut collected);
                break go_on(collected, Some(part), replies);
            }
            whole => {
                separate(&mut collected);
                for piece in whole.pieces() {
                    collected.extend_from_slice(piece);
                }
                if collected.len() > COLLECT_LIMIT {
                    break go_on(collected, None, replies);
                }
            }
        }
    };
    Response {
        status: 200,
        content_type: JSON,
        body,
        retry_after: None,
        provenance: None,
        admitted: None,
        remaining: None,
        summary: RequestSummary {
            method: "batch",
            calls,
            outcome: if account.mixed { "mixed" } else { "ok" },
            attempt_summary: account.attempt_summary,
            cache: account.cache.all(),
        },
    }
}

/// Summary of the answers so far.
#[derive(Default)]
struct BatchSummary {
    mixed: bool,
    cache: CacheAgreement,
    attempt_summary: CallSummary,
}

impl BatchSummary {
    /// `logged`: the attempts will be logged.
    fn add(&mut self, reply: &CallReply, logged: bool) {
        self.mixed |= reply.outcome != "ok";
        self.cache.add(reply.cache);
        if logged {
            self.attempt_summary.add_call(&reply.attempt_summary);
        }
    }
}

/// The answers to all entries, in order; some are requested ahead. `limited`: those that are dropped are
/// refused with the batch.
fn replies(request: Request, entries: Batch, limited: &Arc<AtomicBool>) -> Replies {
    let concurrency = request.snapshot.config.limits.batch_concurrency.max(1);
    let (asking, limited) = (request.clone(), Arc::clone(limited));
    let answered = stream::iter(entries)
        .map(move |entry| {
            let (request, asked) = (asking.clone(), entry.clone());
            let limited = Arc::clone(&limited);
            let cancelled = move || {
                if limited.load(Ordering::Acquire) {
                    RATE_LIMITED
                } else {
                    CLIENT_GONE
                }
            };
            // A task of its own: others may wait for this call, and must not wait for a client that
            // is slow to accept what precedes it in the batch.
            let task = tokio::spawn(async move { call::answer(&request, asked, cancelled).await });
            let entered = PendingEntry(task);
            async move { (entered.await, entry) }
        })
        .buffered(concurrency);
    Box::pin(in_order(request, Box::pin(answered)))
}

/// Whether a batch contains only reads. Checked only if one was limited: the body is parsed again.
fn only_reads(request: &Request, body: &Bytes) -> bool {
    match jsonrpc::parse(body, usize::MAX) {
        Ok(RequestPayload::Batch(mut entries)) => entries.all(|entry| match entry {
            RequestEntry::Call(call) => call.id.is_none() || request.is_read(&call),
            RequestEntry::Invalid(_) => true,
        }),
        Ok(RequestPayload::Single(_)) | Err(_) => false,
    }
}

/// The rate-limited part of a batch.
#[derive(Default)]
struct BatchRateLimit {
    /// The longest wait named, in seconds: after it all may be answered.
    retry_after: Option<u64>,
    wrote: bool,
}

impl BatchRateLimit {
    /// Returns whether it is the first that is limited.
    fn add(&mut self, reply: &CallReply) -> bool {
        self.wrote |= reply.wrote;
        let first = self.retry_after.is_none();
        if reply.status == 429 {
            self.retry_after = self.retry_after.max(reply.retry_after);
        }
        first && self.retry_after.is_some()
    }

    /// The answer to the whole batch, if it may be repeated.
    fn response(&self, calls: usize) -> Option<Response> {
        let seconds = self.retry_after.filter(|_| !self.wrote)?;
        let rejection = Rejection::RateLimited {
            retry_after: Duration::from_secs(seconds),
        };
        let mut response = Response::rejected(&rejection, &Id::null(), "batch");
        response.summary.calls = calls;
        Some(response)
    }
}

/// The answer to one entry, in progress. Dropping it cancels the call.
struct PendingEntry(JoinHandle<CallReply>);

impl Future for PendingEntry {
    type Output = CallReply;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<CallReply> {
        match Pin::new(&mut self.0).poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(reply)) => Poll::Ready(reply),
            Poll::Ready(Err(error)) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // Only the end of the runtime cancels it while somebody polls.
                Err(_cancelled) => Poll::Pending,
            },
        }
    }
}

impl Drop for PendingEntry {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Whether all answers so far have the same cache status.
#[derive(Default)]
enum CacheAgreement {
    #[default]
    Nothing,
    On(Option<CacheStatus>),
    Differ,
}

impl CacheAgreement {
    fn add(&mut self, status: Option<CacheStatus>) {
        *self = match self {
            Self::Nothing => Self::On(status),
            Self::On(known) if *known == status => return,
            _ => Self::Differ,
        };
    }

    fn all(self) -> Option<CacheStatus> {
        match self {
            Self::On(status) => status,
            Self::Nothing | Self::Differ => None,
        }
    }
}

/// Only notifications: a node answers nothing, not an empty array.
fn close(mut collected: BytesMut) -> ResponseBody {
    if collected.is_empty() {
        return ResponseBody::Empty;
    }
    collected.extend_from_slice(b"]");
    ResponseBody::Whole(collected.freeze())
}

fn separate(collected: &mut BytesMut) {
    collected.extend_from_slice(if collected.is_empty() { b"[" } else { b"," });
}

fn go_on(
    collected: BytesMut,
    current: Option<Box<CallBodyStream>>,
    replies: Replies,
) -> ResponseBody {
    let stream = BatchStream {
        ready: Some(collected.freeze()),
        current,
        replies: Some(replies),
    };
    let chunks = stream::unfold(stream, |mut stream| async move {
        let next = stream.next().await?;
        Some((next, stream))
    });
    ResponseBody::Stream {
        length: None,
        stream: ResponseStream::new(chunks),
    }
}

/// The rest of a batch, one answer after the other.
struct BatchStream {
    ready: Option<Bytes>,
    current: Option<Box<CallBodyStream>>,
    /// `None` when the closing bracket has been sent.
    replies: Option<Replies>,
}

impl BatchStream {
    async fn next(&mut self) -> Option<Result<Bytes, ResponseStreamFault>> {
        loop {
            if let Some(bytes) = self.ready.take() {
                return Some(Ok(bytes));
            }
            if let Some(part) = &mut self.current {
                match part.next().await {
                    Some(next) => return Some(next),
                    None => self.current = None,
                }
            }
            let Some(reply) = self.replies.as_mut()?.next().await else {
                self.replies = None;
                return Some(Ok(Bytes::from_static(b"]")));
            };
            match reply.body {
                CallBody::Nothing => {}
                CallBody::Stream(part) => {
                    self.current = Some(part);
                    return Some(Ok(Bytes::from_static(b",")));
                }
                whole => {
                    self.ready = Some(whole.joined());
                    return Some(Ok(Bytes::from_static(b",")));
                }
            }
        }
    }
}
