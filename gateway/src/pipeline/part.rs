//! The answer to one call on its way out: whole, as a stream, or nothing at all.

use std::collections::VecDeque;

use bytes::Bytes;

use super::cache_use::CacheStatus;
use super::copied::Copying;
use super::response::{Body, BodyFault, BodyStream, Response, Summary};
use crate::dispatch::Trace;
use crate::error::{JSON, Page, Rejection};
use crate::jsonrpc::{Id, Splicer};
use crate::upstream;

/// One answer with what is to be said about it.
#[derive(Debug)]
pub(super) struct Reply {
    pub part: Part,
    /// HTTP status if this answer is the whole response.
    pub status: u16,
    pub retry_after: Option<u64>,
    /// What stands for this answer if it is the whole response, word for word.
    pub page: Option<Page>,
    /// The call was none that only reads, and went out to an upstream.
    pub wrote: bool,
    pub method: &'static str,
    pub outcome: &'static str,
    pub trace: Trace,
    /// What part the cache had, where it could have had one.
    pub cache: Option<CacheStatus>,
}

/// The bytes of one answer, without the newline that ends a response.
#[derive(Debug)]
pub(super) enum Part {
    /// Notifications have no answer.
    Nothing,
    Whole(Bytes),
    /// A large one that others are given too: before the id, the id, behind it.
    Shared([Bytes; 3]),
    Stream(Box<PartStream>),
}

impl Part {
    /// The bytes of one that does not stream.
    pub(super) fn pieces(&self) -> &[Bytes] {
        match self {
            Self::Nothing | Self::Stream(_) => &[],
            Self::Whole(bytes) => std::slice::from_ref(bytes),
            Self::Shared(pieces) => pieces,
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

impl Reply {
    /// An answer of the gateway's own.
    pub(super) fn own(body: Bytes, method: &'static str, outcome: &'static str) -> Self {
        Self::upstream(Part::Whole(body), method, outcome, Trace::default())
    }

    pub(super) fn nothing(method: &'static str) -> Self {
        Self::upstream(Part::Nothing, method, "notification", Trace::default())
    }

    pub(super) fn upstream(
        part: Part,
        method: &'static str,
        outcome: &'static str,
        trace: Trace,
    ) -> Self {
        Self {
            part,
            status: 200,
            retry_after: None,
            page: None,
            wrote: false,
            method,
            outcome,
            trace,
            cache: None,
        }
    }

    pub(super) fn rejected(rejection: &Rejection, id: &Id, method: &'static str) -> Self {
        let (body, _json) = rejection.body(id);
        Self {
            status: rejection.status(),
            retry_after: rejection.retry_after(),
            page: rejection.page().cloned(),
            ..Self::own(body, method, rejection.label())
        }
    }

    pub(super) fn traced(self, trace: Trace) -> Self {
        Self { trace, ..self }
    }

    pub(super) fn cached(self, status: CacheStatus) -> Self {
        Self {
            cache: Some(status),
            ..self
        }
    }

    /// This answer as a whole response.
    pub(super) fn into_response(self) -> Response {
        let content_type = self.page.as_ref().map_or(JSON, |page| page.content_type);
        let body = match self.part {
            Part::Nothing => Body::Empty,
            Part::Whole(bytes) => Body::Whole(bytes),
            Part::Shared(pieces) => Body::Shared(pieces),
            Part::Stream(stream) => {
                let length = stream.length();
                Body::Stream {
                    length,
                    stream: BodyStream::Single(stream),
                }
            }
        };
        Response {
            status: self.status,
            content_type,
            body: self.page.map_or(body, |page| Body::Verbatim(page.body)),
            retry_after: self.retry_after,
            provenance: None,
            admitted: None,
            remaining: None,
            summary: Summary {
                method: self.method,
                calls: 1,
                outcome: self.outcome,
                trace: self.trace,
                cache: self.cache,
            },
        }
    }
}

/// An answer too large to be held, with the caller's id put in on the way through.
#[derive(Debug)]
pub(super) struct PartStream {
    splicer: Option<Splicer>,
    ready: VecDeque<Bytes>,
    scratch: Vec<Bytes>,
    rest: upstream::BodyStream,
    length: Option<u64>,
    /// For the cache.
    copying: Option<Copying>,
}

impl PartStream {
    /// `head` is what has been read; `length` the length of the whole answer if it was announced.
    /// `copying` is shown what the upstream sends.
    pub(super) fn new(
        id: &Id,
        head: Bytes,
        length: Option<u64>,
        rest: upstream::BodyStream,
        mut copying: Option<Copying>,
    ) -> Self {
        let mut splicer = Splicer::new(id, rest.asked());
        let mut scratch = Vec::with_capacity(4);
        if let Some(copying) = &mut copying {
            copying.push(&head);
        }
        splicer.push(head, &mut scratch);
        Self {
            splicer: Some(splicer),
            ready: scratch.drain(..).collect(),
            scratch,
            rest,
            length,
            copying,
        }
    }

    /// Length of the upstream's answer; the spliced one may differ, so it is no content length.
    pub(super) fn length(&self) -> Option<u64> {
        self.length
    }

    /// The next bytes to send, or `None` at the end.
    pub(super) async fn next(&mut self) -> Option<Result<Bytes, BodyFault>> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                return Some(Ok(bytes));
            }
            let splicer = self.splicer.as_mut()?;
            match self.rest.next().await {
                Some(Ok(chunk)) => {
                    if let Some(copying) = &mut self.copying {
                        copying.push(&chunk);
                    }
                    splicer.push(chunk, &mut self.scratch);
                }
                Some(Err(fault)) => {
                    self.splicer = None;
                    return Some(Err(BodyFault::Upstream(fault.kind)));
                }
                None => {
                    let finished = self.splicer.take()?.finish(&mut self.scratch);
                    if let Err(malformed) = finished {
                        self.rest.broken(malformed.kind.into());
                        return Some(Err(BodyFault::Malformed));
                    }
                    self.rest.complete();
                    if let Some(copying) = self.copying.take() {
                        copying.finish(self.rest.asked());
                    }
                }
            }
            self.ready.extend(self.scratch.drain(..));
        }
    }
}
