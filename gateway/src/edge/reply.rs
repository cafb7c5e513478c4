//! Answers as they are written: the lines of their heads, gzip, and a body that is whole or
//! streamed with back-pressure. [`ResponseWriter`] brings the bytes to the client: Pingora's HTTP/2
//! session here, the bare HTTP/1 connection in [`super::fast_path`].

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use smallvec::SmallVec;

use super::compress::{Gzip, gzip};
use super::connections::{NoRoom, TrackedConnection, UnsentBytes};
use super::cors::{self, HeaderLine};
use super::head::RequestHead;
use super::write_pace::{PIECE, WritePace};
use crate::config::{Config, Limits};
use crate::dispatch::AttemptRecord;
use crate::error::{Rejection, TEXT};
use crate::jsonrpc::Id;
use crate::limit::Remaining;
use crate::pipeline::{
    ApiContent, ApiResponse, CacheStatus, Provenance, Response, ResponseBody, ResponseStream,
};

/// Capacity for the headers of most answers.
const USUAL_HEADERS: usize = 10;

/// Answers up to this size are not counted while they wait: a connection cannot hold many.
const UNCOUNTED: usize = 4096;

/// Ends every answer of a node.
const NEWLINE: &[u8] = b"\n";

/// Why an answer did not reach the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WriteFault {
    /// The client disconnected.
    Gone,
    /// The upstream's answer broke off; the connection has to be closed so that the client notices.
    Broken,
    /// The client did not accept its answer in time.
    Stalled,
    /// Too many bytes wait for clients already. Nothing has been written.
    NoRoom,
}

/// Sessions fail because their peer went away; a header that cannot be written ends the same way.
impl From<Box<pingora::Error>> for WriteFault {
    fn from(_client_gone: Box<pingora::Error>) -> Self {
        Self::Gone
    }
}

/// Body bytes sent, before compression.
pub(super) type Sent = usize;

/// A body in consecutive pieces.
pub(super) type BodyPieces = SmallVec<[Bytes; 4]>;

/// The client side of one exchange, as far as answers need it.
pub(super) trait ResponseWriter: Send {
    /// Sends an answer whose body is known.
    fn whole(
        &mut self,
        lines: &ResponseHead<'_>,
        body: BodyPieces,
    ) -> impl Future<Output = Result<(), WriteFault>> + Send;

    /// Begins an answer of unknown length.
    fn begin(
        &mut self,
        lines: &ResponseHead<'_>,
    ) -> impl Future<Output = Result<(), WriteFault>> + Send;

    /// Sends a piece that is not empty.
    fn push(&mut self, chunk: Bytes) -> impl Future<Output = Result<(), WriteFault>> + Send;

    /// Ends the answer.
    fn end(&mut self) -> impl Future<Output = Result<(), WriteFault>> + Send;
}

/// The head of an answer, without what belongs to the connection.
#[derive(Debug)]
pub(super) struct ResponseHead<'a> {
    pub status: u16,
    content_type: &'a str,
    head: &'a RequestHead,
    /// The upstream that gave the answer.
    upstream: Option<&'a str>,
    cache: Option<CacheStatus>,
    retry_after: Option<u64>,
    /// What is left of the caller's plan.
    remaining: Option<Remaining>,
    /// The origin of an answer that no upstream gave.
    provenance: Option<Provenance>,
    gzip: bool,
    /// Header lines of the upstream's answer that are passed on, and further ones about it.
    others: &'a [(&'static str, Bytes)],
    /// The answer to a preflight, with what to allow.
    preflight: Option<Preflight<'a>>,
}

/// What the answer to a preflight needs besides the head.
#[derive(Clone, Copy, Debug)]
struct Preflight<'a> {
    /// The header names to allow.
    requested: Option<&'a [u8]>,
}

impl<'a> ResponseHead<'a> {
    fn new(status: u16, content_type: &'a str, head: &'a RequestHead) -> Self {
        Self {
            status,
            content_type,
            head,
            upstream: None,
            cache: None,
            retry_after: None,
            remaining: None,
            provenance: None,
            gzip: false,
            others: &[],
            preflight: None,
        }
    }

    /// Emits each line, name and value.
    pub(super) fn tell(&self, line: HeaderLine<'_>) {
        if let Some(Preflight { requested }) = self.preflight {
            return cors::preflight(self.head.origin.as_deref(), requested, line);
        }
        if !self.content_type.is_empty() {
            line("content-type", self.content_type.as_bytes());
        }
        for (name, value) in self.others {
            line(name, value);
        }
        line("x-request-id", self.head.context.id.as_bytes());
        if self.status == 426 {
            line("upgrade", b"websocket");
            line("sec-websocket-version", b"13");
        }
        if let Some(origin) = &self.head.origin {
            cors::allow(origin, &mut *line);
        }
        if let Some(upstream) = self.upstream {
            line("x-perijove-upstream", upstream.as_bytes());
        }
        if let Some(cache) = self.cache {
            line("x-perijove-cache", cache.label().as_bytes());
        }
        if let Some(seconds) = self.retry_after {
            line("retry-after", seconds.to_string().as_bytes());
        }
        if let Some(remaining) = &self.remaining {
            let reset = remaining.reset.as_secs() + u64::from(remaining.reset.subsec_nanos() > 0);
            let mut number = itoa::Buffer::new();
            line(
                "x-ratelimit-limit",
                number.format(remaining.limit).as_bytes(),
            );
            let left = number.format(remaining.remaining);
            line("x-ratelimit-remaining", left.as_bytes());
            line("x-ratelimit-reset", number.format(reset).as_bytes());
        }
        if let Some(provenance) = &self.provenance {
            line("x-perijove-source", provenance.source.label().as_bytes());
            // What is valid now must not be stored by a cache on the way.
            line("cache-control", b"no-store");
            if let Some(age) = provenance.age {
                line("age", age.as_secs().to_string().as_bytes());
            }
        }
        if self.gzip {
            line("content-encoding", b"gzip");
            line("vary", b"accept-encoding");
        }
    }
}

/// Writes the answer to a call.
pub(super) async fn write(
    wire: &mut impl ResponseWriter,
    response: Response,
    head: &RequestHead,
    config: &Config,
) -> Result<Sent, WriteFault> {
    let Response {
        status,
        content_type,
        body,
        retry_after,
        provenance,
        admitted,
        remaining,
        summary,
    } = response;
    let remaining = admitted
        .as_ref()
        .and_then(|admitted| admitted.remaining)
        .or(remaining);
    let compression = &config.compression;
    let level = (head.accepts_gzip && compression.enabled).then_some(compression.level);
    let mut lines = ResponseHead {
        upstream: summary
            .attempt_summary
            .upstream
            .as_ref()
            .map(|upstream| upstream.id()),
        cache: summary.cache,
        retry_after,
        remaining,
        provenance,
        ..ResponseHead::new(status, content_type, head)
    };
    let mut pieces = BodyPieces::new();
    match body {
        ResponseBody::Empty => {}
        ResponseBody::Verbatim(body) => pieces.push(body),
        ResponseBody::Whole(body) => {
            pieces.push(body);
            add_newline(&mut pieces);
        }
        ResponseBody::Shared(shared) => {
            pieces.extend(*shared);
            add_newline(&mut pieces);
        }
        ResponseBody::Stream { length, stream } => {
            let least = u64::try_from(compression.min_bytes).unwrap_or(u64::MAX);
            let level = level.filter(|_| length.is_none_or(|length| length >= least));
            lines.gzip = level.is_some();
            wire.begin(&lines).await?;
            return streamed(wire, stream, level).await;
        }
    }
    let sent = pieces.iter().map(Bytes::len).sum();
    if let Some(level) = level.filter(|_| sent >= compression.min_bytes) {
        lines.gzip = true;
        pieces = BodyPieces::from_iter([gzip(&pieces.concat(), level)]);
    }
    wire.whole(&lines, pieces).await?;
    Ok(sent)
}

/// Writes an answer of Jupiter's API, unchanged.
pub(super) async fn write_api(
    wire: &mut impl ResponseWriter,
    (response, remaining): (ApiResponse, Option<Remaining>),
    head: &RequestHead,
    config: &Config,
) -> Result<Sent, WriteFault> {
    let compression = &config.compression;
    let level = (head.accepts_gzip && compression.enabled).then_some(compression.level);
    let mut fields = response.fields;
    if let Some(slots) = response.slots_behind {
        fields.push(("x-perijove-slots-behind", slots.to_string().into()));
    }
    fields.extend(response.notes);
    let mut lines = ResponseHead {
        upstream: response.upstream.as_deref(),
        cache: response.cache,
        others: &fields,
        remaining,
        // Among the others, if there is one.
        ..ResponseHead::new(response.status, "", head)
    };
    match response.content {
        ApiContent::Whole(body) => {
            let sent = body.len();
            let level = level.filter(|_| sent >= compression.min_bytes);
            lines.gzip = level.is_some();
            let body = level.map_or(body.clone(), |level| gzip(&body, level));
            let pieces = Some(body).filter(|body| !body.is_empty());
            wire.whole(&lines, BodyPieces::from_iter(pieces)).await?;
            Ok(sent)
        }
        ApiContent::Streaming { first, mut rest } => {
            let mut gzip = level.map(Gzip::new);
            lines.gzip = gzip.is_some();
            wire.begin(&lines).await?;
            let mut sent = first.len();
            push(wire, first, gzip.as_mut()).await?;
            while let Some(next) = rest.next().await {
                let chunk = next.map_err(|fault| {
                    tracing::warn!(error = %fault, sent, "streamed response aborted");
                    WriteFault::Broken
                })?;
                sent += chunk.len();
                push(wire, chunk, gzip.as_mut()).await?;
            }
            rest.complete();
            if let Some(gzip) = gzip {
                push(wire, gzip.finish(), None).await?;
            }
            wire.end().await?;
            Ok(sent)
        }
    }
}

/// A refusal in the form of the API that was called.
pub(super) struct ApiRefusal<'r> {
    pub rejection: &'r Rejection,
    /// The upstreams that did not answer it.
    pub tried: &'r [AttemptRecord],
    body: Bytes,
    content_type: &'static str,
}

impl<'r> ApiRefusal<'r> {
    /// One that is not a JSON-RPC answer (or has no id to answer to).
    pub(super) fn rpc(rejection: &'r Rejection) -> Self {
        let (body, content_type) = rejection.body(&Id::null());
        Self {
            rejection,
            tried: &[],
            body,
            content_type,
        }
    }

    /// One for callers of Jupiter's API.
    pub(super) fn api(rejection: &'r Rejection, tried: &'r [AttemptRecord]) -> Self {
        let (body, content_type) = rejection.api_body();
        Self {
            rejection,
            tried,
            body,
            content_type,
        }
    }
}

/// Writes a refusal.
pub(super) async fn refuse(
    wire: &mut impl ResponseWriter,
    refusal: &ApiRefusal<'_>,
    head: &RequestHead,
) -> Result<Sent, WriteFault> {
    let rejection = refusal.rejection;
    let allow = rejection.allow().map(|verbs| ("allow", Bytes::from(verbs)));
    let lines = ResponseHead {
        others: allow.as_slice(),
        retry_after: rejection.retry_after(),
        remaining: rejection.remaining(),
        ..ResponseHead::new(rejection.status(), refusal.content_type, head)
    };
    let mut body = BodyPieces::from_iter([refusal.body.clone()]);
    add_newline(&mut body);
    let sent = body.iter().map(Bytes::len).sum();
    wire.whole(&lines, body).await?;
    Ok(sent)
}

/// Answers a CORS preflight; `requested` is what the browser wants to send.
pub(super) async fn preflight(
    wire: &mut impl ResponseWriter,
    head: &RequestHead,
    requested: Option<&[u8]>,
) -> Result<Sent, WriteFault> {
    let lines = ResponseHead {
        preflight: Some(Preflight { requested }),
        ..ResponseHead::new(200, TEXT, head)
    };
    wire.whole(&lines, BodyPieces::new()).await?;
    Ok(0)
}

/// Answers `GET /health` with Agave's bare word: 200 whatever it says, and no newline.
pub(super) async fn health(
    wire: &mut impl ResponseWriter,
    word: &'static str,
    head: &RequestHead,
) -> Result<Sent, WriteFault> {
    let word = BodyPieces::from_iter([Bytes::from_static(word.as_bytes())]);
    wire.whole(&ResponseHead::new(200, TEXT, head), word)
        .await?;
    Ok(0)
}

/// Every answer of a node ends with a newline.
fn add_newline(body: &mut BodyPieces) {
    if !body.last().is_some_and(|last| last.ends_with(NEWLINE)) {
        body.push(Bytes::from_static(NEWLINE));
    }
}

async fn streamed(
    wire: &mut impl ResponseWriter,
    mut stream: ResponseStream,
    gzip_level: Option<u32>,
) -> Result<Sent, WriteFault> {
    let mut gzip = gzip_level.map(Gzip::new);
    let mut sent = 0;
    while let Some(next) = stream.next().await {
        let chunk = next.map_err(|fault| {
            tracing::warn!(error = %fault, sent, "streamed response aborted");
            WriteFault::Broken
        })?;
        sent += chunk.len();
        push(wire, chunk, gzip.as_mut()).await?;
    }
    push(wire, Bytes::from_static(NEWLINE), gzip.as_mut()).await?;
    if let Some(gzip) = gzip {
        push(wire, gzip.finish(), None).await?;
    }
    wire.end().await?;
    Ok(sent + 1)
}

async fn push(
    wire: &mut impl ResponseWriter,
    chunk: Bytes,
    gzip: Option<&mut Gzip>,
) -> Result<(), WriteFault> {
    let chunk = match gzip {
        Some(gzip) => gzip.push(&chunk),
        None => chunk,
    };
    if chunk.is_empty() {
        return Ok(());
    }
    wire.push(chunk).await
}

/// A Pingora HTTP/2 session whose client has to keep pace.
pub(super) struct PacedHttp2<'a> {
    pub session: &'a mut ServerSession,
    pub tracked: &'a Arc<TrackedConnection>,
    limits: &'a Limits,
}

/// Bytes given to an HTTP/2 connection, which may hold them until its client accepts them.
struct Http2Unsent {
    bytes: Bytes,
    _charge: UnsentBytes,
}

impl AsRef<[u8]> for Http2Unsent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl<'a> PacedHttp2<'a> {
    pub(super) fn new(
        session: &'a mut ServerSession,
        tracked: &'a Arc<TrackedConnection>,
        limits: &'a Limits,
    ) -> Self {
        Self {
            session,
            tracked,
            limits,
        }
    }

    /// Counts the bytes of an answer while they are held anywhere.
    fn counted(&self, bytes: Bytes) -> Result<Bytes, WriteFault> {
        if bytes.len() <= UNCOUNTED {
            return Ok(bytes);
        }
        match self.tracked.charge(bytes.len(), self.limits) {
            Err(NoRoom) => Err(WriteFault::NoRoom),
            Ok(charge) => Ok(Bytes::from_owner(Http2Unsent {
                bytes,
                _charge: charge,
            })),
        }
    }

    /// Writes a head and what follows it.
    async fn write(
        &mut self,
        header: ResponseHeader,
        body: Bytes,
        end: bool,
    ) -> Result<(), WriteFault> {
        let mut pace = WritePace::new(self.tracked, self.limits);
        let writing = self.session.write_response_header(Box::new(header));
        pace.hold(body.len(), writing).await??;
        self.write_body(pace, body, end).await
    }

    async fn write_body(
        &mut self,
        mut pace: WritePace<'_>,
        mut body: Bytes,
        end: bool,
    ) -> Result<(), WriteFault> {
        loop {
            let piece = body.split_to(body.len().min(PIECE));
            let (length, last) = (piece.len(), body.is_empty());
            let writing = self.session.write_response_body(piece, end && last);
            // They are counted already.
            pace.hold(0, writing).await??;
            if last {
                return Ok(());
            }
            pace.taken(length);
        }
    }

    async fn push_body(&mut self, body: Bytes, end: bool) -> Result<(), WriteFault> {
        let pace = WritePace::new(self.tracked, self.limits);
        self.write_body(pace, body, end).await
    }
}

impl<W: ResponseWriter> ResponseWriter for &mut W {
    async fn whole(
        &mut self,
        lines: &ResponseHead<'_>,
        body: BodyPieces,
    ) -> Result<(), WriteFault> {
        W::whole(self, lines, body).await
    }

    async fn begin(&mut self, lines: &ResponseHead<'_>) -> Result<(), WriteFault> {
        W::begin(self, lines).await
    }

    async fn push(&mut self, chunk: Bytes) -> Result<(), WriteFault> {
        W::push(self, chunk).await
    }

    async fn end(&mut self) -> Result<(), WriteFault> {
        W::end(self).await
    }
}

impl ResponseWriter for PacedHttp2<'_> {
    async fn whole(
        &mut self,
        lines: &ResponseHead<'_>,
        body: BodyPieces,
    ) -> Result<(), WriteFault> {
        let body = self.counted(joined(body))?;
        let mut header = header(lines)?;
        header.set_content_length(body.len())?;
        self.write(header, body, true).await
    }

    async fn begin(&mut self, lines: &ResponseHead<'_>) -> Result<(), WriteFault> {
        self.write(header(lines)?, Bytes::new(), false).await
    }

    async fn push(&mut self, chunk: Bytes) -> Result<(), WriteFault> {
        // An answer that has begun cannot be refused any more.
        let chunk = self
            .counted(chunk)
            .map_err(|_no_room| WriteFault::Stalled)?;
        self.push_body(chunk, false).await
    }

    async fn end(&mut self) -> Result<(), WriteFault> {
        self.push_body(Bytes::new(), true).await
    }
}

fn header(lines: &ResponseHead<'_>) -> pingora::Result<ResponseHeader> {
    let mut header = ResponseHeader::build_no_case(lines.status, Some(USUAL_HEADERS))?;
    filled(&mut header, |line| lines.tell(line))?;
    Ok(header)
}

/// Puts the emitted lines into a header.
fn filled(header: &mut ResponseHeader, tell: impl FnOnce(HeaderLine<'_>)) -> pingora::Result<()> {
    let mut filled = Ok(());
    tell(&mut |name, value| {
        if filled.is_ok() {
            filled = header.append_header(name, value).map(drop);
        }
    });
    filled
}

/// Joins the pieces. The first usually has capacity for the rest.
fn joined(pieces: BodyPieces) -> Bytes {
    let length = pieces.iter().map(Bytes::len).sum();
    let mut pieces = pieces.into_iter();
    let first = pieces.next().unwrap_or_default();
    if first.len() == length {
        return first;
    }
    let mut whole = first.try_into_mut().unwrap_or_else(|shared| {
        let mut copy = BytesMut::with_capacity(length);
        copy.extend_from_slice(&shared);
        copy
    });
    for piece in pieces {
        whole.extend_from_slice(&piece);
    }
    whole.freeze()
}
