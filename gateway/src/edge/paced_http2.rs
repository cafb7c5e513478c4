//! Pingora's HTTP/2 session as a session of the edge: its client has to keep pace, and what it does not
//! accept is counted.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, EXPECT};
use http::{HeaderValue, Method};
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use tokio::time::timeout;

use super::connections::{NoRoom, TrackedConnection, UnsentBytes};
use super::cors::HeaderLine;
use super::fields::{RequestFields, says};
use super::reply_head::ReplyHead;
use super::response_writer::{BodyPieces, ResponseWriter};
use super::session::{BodyFault, HttpSession};
use super::write_pace::{PIECE, WriteFault, WritePace};
use crate::config::Limits;
use crate::context::Protocol;
use crate::error::Rejection;

/// Capacity for the headers of most answers.
const USUAL_HEADERS: usize = 10;

/// How long a client may wait for a `100 Continue`, which Pingora does not send over HTTP/2. Most clients go
/// on without it after a second; others would wait for ever.
const EXPECTATION: Duration = Duration::from_secs(2);

/// Answers up to this size are not counted while they wait: those of all the streams of a connection take
/// no more than the connection itself.
const UNCOUNTED: usize = 256;

/// What a field takes besides its bytes, as HTTP/2 counts it (RFC 9113 §6.5.2).
const FIELD_OVERHEAD: usize = 32;

/// A Pingora HTTP/2 session whose client has to keep pace.
pub(super) struct PacedHttp2<'a> {
    session: &'a mut ServerSession,
    tracked: &'a Arc<TrackedConnection>,
    limits: &'a Limits,
    /// Its client may wait for `100 Continue`.
    expects: bool,
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
            expects: false,
        }
    }

    async fn next_piece(&mut self) -> Result<Option<Bytes>, BodyFault> {
        let read = self.session.read_request_body().await;
        read.map_err(|_gone| BodyFault::Gone)
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

    /// Writes a head that is the whole answer: clients that would decompress what follows must not get even
    /// an empty frame.
    async fn write_head(&mut self, header: ResponseHeader) -> Result<(), WriteFault> {
        match self.session {
            ServerSession::H2(session) => {
                Ok(session.write_response_header(Box::new(header), true)?)
            }
            _ => self.write(header, Bytes::new(), true).await,
        }
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

impl HttpSession for PacedHttp2<'_> {
    fn method(&self) -> &Method {
        &self.session.req_header().method
    }

    fn path(&self) -> &str {
        self.session.req_header().uri.path()
    }

    fn query(&self) -> Option<&str> {
        self.session.req_header().uri.query()
    }

    fn fields(&self) -> RequestFields<'_> {
        let headers = self.session.req_header().headers.iter();
        RequestFields::of(headers.map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes())))
    }

    fn values<'b>(&'b self, name: &'b str) -> impl Iterator<Item = &'b [u8]> {
        let values = self.session.req_header().headers.get_all(name);
        values.iter().map(HeaderValue::as_bytes)
    }

    fn protocol(&self) -> Protocol {
        Protocol::Http2
    }

    fn tracked(&self) -> &Arc<TrackedConnection> {
        self.tracked
    }

    /// HTTP/2 has no `upgrade`.
    fn asks_for_websocket(&self) -> bool {
        false
    }

    fn head_bytes(&self) -> usize {
        let head = self.session.req_header();
        let sizes = head.headers.iter();
        let fields = sizes.map(|(name, value)| name.as_str().len() + value.len() + FIELD_OVERHEAD);
        fields.sum::<usize>() + head.raw_path().len()
    }

    fn announced(&self) -> Option<usize> {
        let length = self.session.get_header(CONTENT_LENGTH)?.to_str().ok()?;
        length.trim().parse().ok()
    }

    async fn invite(&mut self) -> Result<(), BodyFault> {
        let expects = |value| says(value, b"100-continue");
        let expected = self.values(EXPECT.as_str()).any(expects);
        self.expects = expected;
        Ok(())
    }

    async fn piece(&mut self) -> Result<Option<Bytes>, BodyFault> {
        if !std::mem::take(&mut self.expects) {
            return self.next_piece().await;
        }
        let first = timeout(EXPECTATION, self.next_piece()).await;
        first.unwrap_or(Err(BodyFault::Rejected(Rejection::Expectation)))
    }

    async fn gone(&mut self) {
        if self.session.read_body_or_idle(true).await.is_ok() {
            std::future::pending::<()>().await;
        }
    }

    fn close(&mut self) {
        self.session.set_keepalive(None);
    }

    fn wire(&mut self) -> impl ResponseWriter {
        self
    }
}

impl ResponseWriter for PacedHttp2<'_> {
    async fn whole(&mut self, lines: &ReplyHead<'_>, body: BodyPieces) -> Result<(), WriteFault> {
        let body = self.counted(joined(body))?;
        let mut header = header(lines)?;
        header.set_content_length(body.len())?;
        if self.is_bodyless() {
            return self.write_head(header).await;
        }
        self.write(header, body, true).await
    }

    fn is_bodyless(&self) -> bool {
        self.session.req_header().method == Method::HEAD
    }

    async fn begin(&mut self, lines: &ReplyHead<'_>) -> Result<(), WriteFault> {
        if self.is_bodyless() {
            return self.write_head(header(lines)?).await;
        }
        self.write(header(lines)?, Bytes::new(), false).await
    }

    async fn push(&mut self, chunk: Bytes) -> Result<(), WriteFault> {
        if self.is_bodyless() {
            return Ok(());
        }
        // An answer that has begun cannot be refused any more.
        let chunk = self
            .counted(chunk)
            .map_err(|_no_room| WriteFault::Stalled)?;
        self.push_body(chunk, false).await
    }

    async fn end(&mut self) -> Result<(), WriteFault> {
        if self.is_bodyless() {
            return Ok(());
        }
        self.push_body(Bytes::new(), true).await
    }
}

fn header(lines: &ReplyHead<'_>) -> pingora::Result<ResponseHeader> {
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
