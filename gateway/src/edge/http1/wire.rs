//! Writes answers on a bare HTTP/1 connection.

use std::io::{IoSlice, Write as _};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use pingora::protocols::Stream;
use pingora::protocols::http::date::get_cached_date;
use smallvec::SmallVec;
use tokio::io::AsyncWriteExt;

use crate::config::Limits;
use crate::edge::connections::TrackedConnection;
use crate::edge::cors::HeaderLine;
use crate::edge::reply_head::ReplyHead;
use crate::edge::response_writer::{BodyPieces, ResponseWriter};
use crate::edge::write_pace::{PIECE, WriteFault, WritePace};

/// Bodies up to this size are copied after their heads.
const SMALL: usize = 4096;

/// The end of the last chunk.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

type Slices<'a> = SmallVec<[IoSlice<'a>; 5]>;

/// How the client of one request has to be answered, and with what result.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "facts that do not depend on each other"
)]
pub(in crate::edge) struct WriteMode {
    keeps_alive: bool,
    /// Whether the client understands chunks; otherwise the end of the connection ends an answer of
    /// unknown length.
    chunks: bool,
    /// The client requested the head only.
    bodyless: bool,
    /// An answer has begun that only the end of the connection would end.
    open_ended: bool,
}

impl WriteMode {
    /// For a request over HTTP/1.1 (`is_current`) or 1.0.
    pub(in crate::edge) const fn for_request(
        keeps_alive: bool,
        is_current: bool,
        bodyless: bool,
    ) -> Self {
        Self {
            keeps_alive,
            chunks: is_current,
            bodyless,
            open_ended: false,
        }
    }

    /// The usual framing.
    pub(in crate::edge) const fn kept_alive() -> Self {
        Self::for_request(true, true, false)
    }

    pub(in crate::edge) fn close(&mut self) {
        self.keeps_alive = false;
    }

    pub(in crate::edge) const fn keeps_alive(&self) -> bool {
        self.keeps_alive
    }

    /// Whether closing the connection would look like a complete answer although it is not.
    pub(in crate::edge) const fn is_cut_short(&self) -> bool {
        self.open_ended
    }
}

/// One answer being written.
pub(in crate::edge) struct DirectWrite<'a> {
    stream: &'a mut Stream,
    /// What is written at once; its space is reused.
    buffer: &'a mut Vec<u8>,
    mode: &'a mut WriteMode,
    pace: WritePace<'a>,
}

impl<'a> DirectWrite<'a> {
    pub(in crate::edge) fn new(
        stream: &'a mut Stream,
        buffer: &'a mut Vec<u8>,
        mode: &'a mut WriteMode,
        tracked: &'a Arc<TrackedConnection>,
        limits: &'a Limits,
    ) -> Self {
        Self {
            stream,
            buffer,
            mode,
            pace: WritePace::new(tracked, limits),
        }
    }

    /// Writes the beginning of the head: everything but the framing and the empty line.
    fn head(&mut self, status: u16, tell: impl FnOnce(HeaderLine<'_>)) {
        self.buffer.clear();
        let status = StatusCode::from_u16(status).unwrap_or_default();
        self.buffer.extend_from_slice(b"HTTP/1.1 ");
        self.buffer.extend_from_slice(status.as_str().as_bytes());
        self.buffer.push(b' ');
        let reason = status.canonical_reason().unwrap_or_default();
        self.buffer.extend_from_slice(reason.as_bytes());
        self.buffer.extend_from_slice(b"\r\n");
        tell(&mut |name, value| self.line(name, value));
        self.line("date", get_cached_date().as_bytes());
        let connection: &[u8] = if self.mode.keeps_alive {
            b"keep-alive"
        } else {
            b"close"
        };
        self.line("connection", connection);
    }

    /// Writes an answer with these lines in its head.
    pub(in crate::edge) async fn answer(
        &mut self,
        status: u16,
        tell: impl FnOnce(HeaderLine<'_>),
        body: BodyPieces,
    ) -> Result<(), WriteFault> {
        let length: usize = body.iter().map(Bytes::len).sum();
        self.head(status, tell);
        self.line(
            "content-length",
            itoa::Buffer::new().format(length).as_bytes(),
        );
        self.buffer.extend_from_slice(b"\r\n");
        if self.mode.bodyless {
            return self.send(&[]).await;
        }
        if length > SMALL {
            return self.send(&body).await;
        }
        for piece in &body {
            self.buffer.extend_from_slice(piece);
        }
        self.send(&[]).await
    }

    fn line(&mut self, name: &str, value: &[u8]) {
        self.buffer.extend_from_slice(name.as_bytes());
        self.buffer.extend_from_slice(b": ");
        self.buffer.extend_from_slice(value);
        self.buffer.extend_from_slice(b"\r\n");
    }

    /// Sends the buffer and what follows it.
    async fn send(&mut self, rest: &[Bytes]) -> Result<(), WriteFault> {
        let pieces = [self.buffer.as_slice()];
        let rest = rest.iter().map(Bytes::as_ref);
        let mut slices: Slices<'_> = pieces.into_iter().chain(rest).map(IoSlice::new).collect();
        let written = write_all(self.stream, &mut slices, &mut self.pace).await;
        self.pace.done();
        written
    }
}

impl ResponseWriter for DirectWrite<'_> {
    async fn whole(&mut self, lines: &ReplyHead<'_>, body: BodyPieces) -> Result<(), WriteFault> {
        self.answer(lines.status, |line| lines.tell(line), body)
            .await
    }

    fn is_bodyless(&self) -> bool {
        self.mode.bodyless
    }

    async fn begin(&mut self, lines: &ReplyHead<'_>) -> Result<(), WriteFault> {
        self.head(lines.status, |line| lines.tell(line));
        if self.mode.chunks {
            self.line("transfer-encoding", b"chunked");
        } else if !self.mode.bodyless {
            self.mode.open_ended = true;
        }
        self.buffer.extend_from_slice(b"\r\n");
        self.send(&[]).await
    }

    async fn push(&mut self, chunk: Bytes) -> Result<(), WriteFault> {
        if self.mode.bodyless {
            return Ok(());
        }
        self.buffer.clear();
        if !self.mode.chunks {
            return self.send(&[chunk]).await;
        }
        write!(self.buffer, "{:x}\r\n", chunk.len()).ok();
        self.send(&[chunk, Bytes::from_static(b"\r\n")]).await
    }

    async fn end(&mut self) -> Result<(), WriteFault> {
        self.mode.open_ended = false;
        if !self.mode.chunks || self.mode.bodyless {
            return Ok(());
        }
        self.buffer.clear();
        self.buffer.extend_from_slice(LAST_CHUNK);
        self.send(&[]).await
    }
}

async fn write_all(
    stream: &mut Stream,
    mut slices: &mut [IoSlice<'_>],
    pace: &mut WritePace<'_>,
) -> Result<(), WriteFault> {
    let all: usize = slices.iter().map(|slice| slice.len()).sum();
    let mut left = all;
    while !slices.is_empty() {
        let written = pace.hold(left, stream.write_vectored(slices)).await?;
        let written = written.map_err(|_client_gone| WriteFault::Gone)?;
        if written == 0 {
            return Err(WriteFault::Gone);
        }
        left -= written;
        pace.taken(written);
        IoSlice::advance_slices(&mut slices, written);
    }
    // TLS copies this much into a buffer of its own.
    let flushed = pace.hold(all.min(PIECE), stream.flush()).await?;
    flushed.map_err(|_client_gone| WriteFault::Gone)
}

/// Makes the connection reset when it is dropped, so that its end is not taken for an orderly one.
pub(in crate::edge) fn reset(stream: &Stream) {
    let socket = Descriptor(stream.id());
    let linger = socket2::SockRef::from(&socket).set_linger(Some(Duration::ZERO));
    if let Err(error) = linger {
        tracing::debug!(%error, "connection not reset; the client may take a truncated response for complete");
    }
}

/// The socket below a stream, however many layers are above it.
struct Descriptor(RawFd);

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}
