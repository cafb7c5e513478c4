//! The answer to one call on its way out: whole, as a stream, or nothing at all.

use std::collections::VecDeque;

use bytes::Bytes;
use futures::stream;

use super::cache_use::CacheStatus;
use super::response::{
    RequestSummary, Response, ResponseBody, ResponseStream, ResponseStreamFault,
};
use super::tee::Tee;
use crate::dispatch::{AnswerPayload, CallSummary, Delivered};
use crate::error::{JSON, RefusedPage, Rejection};
use crate::jsonrpc::{Id, Splicer};
use crate::upstream;

/// One answer and the facts about it.
#[derive(Debug)]
pub(super) struct CallReply {
    pub body: CallBody,
    /// HTTP status if this answer is the whole response.
    pub status: u16,
    pub retry_after: Option<u64>,
    /// The body that replaces it if it is the whole response, unchanged.
    pub page: Option<Box<RefusedPage>>,
    /// The call was not a pure read, and was sent to an upstream.
    pub wrote: bool,
    pub method: &'static str,
    pub outcome: &'static str,
    pub attempt_summary: CallSummary,
    /// The cache status, if the cache was involved.
    pub cache: Option<CacheStatus>,
}

/// The bytes of one answer, without the newline that ends a response.
#[derive(Debug)]
pub(super) enum CallBody {
    /// Notifications have no answer.
    Nothing,
    Whole(Bytes),
    /// A large one that is shared with others: before the id, the id, after it.
    Shared(Box<[Bytes; 3]>),
    Stream(Box<CallBodyStream>),
}

impl CallBody {
    /// The bytes of one that does not stream.
    pub(super) fn pieces(&self) -> &[Bytes] {
        match self {
            Self::Nothing | Self::Stream(_) => &[],
            Self::Whole(bytes) => std::slice::from_ref(bytes),
            Self::Shared(pieces) => pieces.as_slice(),
        }
    }

    /// The same as one piece.
    pub(super) fn joined(self) -> Bytes {
        match self {
            Self::Whole(bytes) => bytes,
            other => Bytes::from(other.pieces().concat()),
        }
    }
}

impl CallReply {
    /// An answer of the gateway itself.
    pub(super) fn own(body: Bytes, method: &'static str, outcome: &'static str) -> Self {
        Self::upstream(
            CallBody::Whole(body),
            method,
            outcome,
            CallSummary::default(),
        )
    }

    pub(super) fn nothing(method: &'static str) -> Self {
        Self::upstream(
            CallBody::Nothing,
            method,
            "notification",
            CallSummary::default(),
        )
    }

    pub(super) fn upstream(
        part: CallBody,
        method: &'static str,
        outcome: &'static str,
        attempt_summary: CallSummary,
    ) -> Self {
        Self {
            body: part,
            status: 200,
            retry_after: None,
            page: None,
            wrote: false,
            method,
            outcome,
            attempt_summary,
            cache: None,
        }
    }

    pub(super) fn rejected(rejection: &Rejection, id: &Id, method: &'static str) -> Self {
        let (body, _json) = rejection.body(id);
        Self {
            status: rejection.status(),
            retry_after: rejection.retry_after(),
            page: rejection.page().cloned().map(Box::new),
            ..Self::own(body, method, rejection.label())
        }
    }

    pub(super) fn traced(self, attempt_summary: CallSummary) -> Self {
        Self {
            attempt_summary,
            ..self
        }
    }

    pub(super) fn cached(self, status: CacheStatus) -> Self {
        Self {
            cache: Some(status),
            ..self
        }
    }

    /// The reply from what upstreams delivered, with the caller's id. `tee` receives what streams.
    pub(super) fn of_delivered(
        delivered: Delivered<AnswerPayload>,
        id: &Id,
        attempt_summary: CallSummary,
        label: &'static str,
        tee: Option<Tee>,
    ) -> Self {
        match delivered {
            Delivered::Payload(AnswerPayload::Whole(answer)) => {
                let outcome = if answer.error().is_some() {
                    "error"
                } else {
                    "ok"
                };
                Self::upstream(
                    CallBody::Whole(answer.into_spliced(id)),
                    label,
                    outcome,
                    attempt_summary,
                )
            }
            Delivered::Payload(AnswerPayload::Stream { head, length, rest }) => {
                let stream = CallBodyStream::new(id, head, length, rest, tee);
                Self::upstream(
                    CallBody::Stream(Box::new(stream)),
                    label,
                    "ok",
                    attempt_summary,
                )
            }
            Delivered::Rejected(rejection) => {
                Self::rejected(&rejection, id, label).traced(attempt_summary)
            }
        }
    }

    /// This answer as a whole response.
    pub(super) fn into_response(self) -> Response {
        let content_type = self.page.as_ref().map_or(JSON, |page| page.content_type);
        let body = match self.body {
            CallBody::Nothing => ResponseBody::Empty,
            CallBody::Whole(bytes) => ResponseBody::Whole(bytes),
            CallBody::Shared(pieces) => ResponseBody::Shared(pieces),
            CallBody::Stream(stream) => {
                let length = stream.length();
                ResponseBody::Stream {
                    length,
                    stream: stream.into_response_stream(),
                }
            }
        };
        Response {
            status: self.status,
            content_type,
            body: self
                .page
                .map_or(body, |page| ResponseBody::Verbatim(page.body)),
            retry_after: self.retry_after,
            provenance: None,
            admitted: None,
            remaining: None,
            summary: RequestSummary {
                method: self.method,
                calls: 1,
                outcome: self.outcome,
                attempt_summary: self.attempt_summary,
                cache: self.cache,
            },
        }
    }
}

/// An answer too large to be buffered, with the caller's id inserted as it passes.
#[derive(Debug)]
pub(super) struct CallBodyStream {
    splicer: Option<Splicer>,
    ready: VecDeque<Bytes>,
    scratch: Vec<Bytes>,
    rest: upstream::UpstreamBodyStream,
    length: Option<u64>,
    /// For the cache.
    tee: Option<Tee>,
}

impl CallBodyStream {
    /// `head` is what has been read; `length` the announced length of the whole answer. `tee`
    /// receives what the upstream sends.
    pub(super) fn new(
        id: &Id,
        head: Bytes,
        length: Option<u64>,
        rest: upstream::UpstreamBodyStream,
        mut tee: Option<Tee>,
    ) -> Self {
        let mut splicer = Splicer::new(id, rest.asked());
        let mut scratch = Vec::with_capacity(4);
        if let Some(tee) = &mut tee {
            tee.push(&head);
        }
        splicer.push(head, &mut scratch);
        Self {
            splicer: Some(splicer),
            ready: scratch.drain(..).collect(),
            scratch,
            rest,
            length,
            tee,
        }
    }

    fn into_response_stream(self: Box<Self>) -> ResponseStream {
        ResponseStream::new(stream::unfold(self, |mut stream| async move {
            let next = stream.next().await?;
            Some((next, stream))
        }))
    }

    /// Length of the upstream's answer; the spliced one may differ, so it is no content length.
    pub(super) fn length(&self) -> Option<u64> {
        self.length
    }

    /// The next bytes to send, or `None` at the end.
    pub(super) async fn next(&mut self) -> Option<Result<Bytes, ResponseStreamFault>> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                return Some(Ok(bytes));
            }
            let splicer = self.splicer.as_mut()?;
            match self.rest.next().await {
                Some(Ok(chunk)) => {
                    if let Some(tee) = &mut self.tee {
                        tee.push(&chunk);
                    }
                    splicer.push(chunk, &mut self.scratch);
                }
                Some(Err(fault)) => {
                    self.splicer = None;
                    return Some(Err(ResponseStreamFault::Upstream(fault.kind)));
                }
                None => {
                    let finished = self.splicer.take()?.finish(&mut self.scratch);
                    if let Err(malformed) = finished {
                        self.rest.broken(malformed.kind.into());
                        return Some(Err(ResponseStreamFault::Malformed));
                    }
                    self.rest.complete();
                    if let Some(tee) = self.tee.take() {
                        tee.finish(self.rest.asked());
                    }
                }
            }
            self.ready.extend(self.scratch.drain(..));
        }
    }
}
