//! Answers on a bare connection: HTTP/1.1, kept alive.

use std::io::{IoSlice, Write as _};
use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use pingora::protocols::Stream;
use pingora::protocols::http::date::get_cached_date;
use smallvec::SmallVec;
use tokio::io::AsyncWriteExt;

use crate::config::Limits;
use crate::edge::connections::Tracked;
use crate::edge::pace::Pace;
use crate::edge::reply::{Lines, Pieces, Wire, WriteFault};

/// Bodies up to this size are copied behind their heads.
const SMALL: usize = 4096;

/// The end of the last chunk.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

type Slices<'a> = SmallVec<[IoSlice<'a>; 5]>;

/// One answer being written.
pub(super) struct Plain<'a> {
    stream: &'a mut Stream,
    /// What is written at once; its room is used again.
    buffer: &'a mut Vec<u8>,
    pace: Pace<'a>,
}

impl<'a> Plain<'a> {
    pub(super) fn new(
        stream: &'a mut Stream,
        buffer: &'a mut Vec<u8>,
        tracked: &'a Arc<Tracked>,
        limits: &'a Limits,
    ) -> Self {
        Self {
            stream,
            buffer,
            pace: Pace::new(tracked, limits),
        }
    }

    /// Begins the head with everything but the framing and the empty line.
    fn head(&mut self, lines: &Lines<'_>) {
        self.buffer.clear();
        let status = StatusCode::from_u16(lines.status).unwrap_or_default();
        self.buffer.extend_from_slice(b"HTTP/1.1 ");
        self.buffer.extend_from_slice(status.as_str().as_bytes());
        self.buffer.push(b' ');
        let reason = status.canonical_reason().unwrap_or_default();
        self.buffer.extend_from_slice(reason.as_bytes());
        self.buffer.extend_from_slice(b"\r\n");
        lines.tell(&mut |name, value| self.line(name, value));
        self.line("date", get_cached_date().as_bytes());
        self.line("connection", b"keep-alive");
    }

    fn line(&mut self, name: &str, value: &[u8]) {
        self.buffer.extend_from_slice(name.as_bytes());
        self.buffer.extend_from_slice(b": ");
        self.buffer.extend_from_slice(value);
        self.buffer.extend_from_slice(b"\r\n");
    }

    /// Sends the buffer and what is to follow it.
    async fn send(&mut self, rest: &[Bytes]) -> Result<(), WriteFault> {
        let pieces = [self.buffer.as_slice()];
        let rest = rest.iter().map(Bytes::as_ref);
        let mut slices: Slices<'_> = pieces.into_iter().chain(rest).map(IoSlice::new).collect();
        let written = write_all(self.stream, &mut slices, &mut self.pace).await;
        self.pace.done();
        written
    }
}

impl Wire for Plain<'_> {
    async fn whole(&mut self, lines: &Lines<'_>, body: Pieces) -> Result<(), WriteFault> {
        let length: usize = body.iter().map(Bytes::len).sum();
        self.head(lines);
        write!(self.buffer, "content-length: {length}\r\n\r\n").ok();
        if length > SMALL {
            return self.send(&body).await;
        }
        for piece in &body {
            self.buffer.extend_from_slice(piece);
        }
        self.send(&[]).await
    }

    async fn begin(&mut self, lines: &Lines<'_>) -> Result<(), WriteFault> {
        self.head(lines);
        self.line("transfer-encoding", b"chunked");
        self.buffer.extend_from_slice(b"\r\n");
        self.send(&[]).await
    }

    async fn push(&mut self, chunk: Bytes) -> Result<(), WriteFault> {
        self.buffer.clear();
        write!(self.buffer, "{:x}\r\n", chunk.len()).ok();
        self.send(&[chunk, Bytes::from_static(b"\r\n")]).await
    }

    async fn end(&mut self) -> Result<(), WriteFault> {
        self.buffer.clear();
        self.buffer.extend_from_slice(LAST_CHUNK);
        self.send(&[]).await
    }
}

async fn write_all(
    stream: &mut Stream,
    mut slices: &mut [IoSlice<'_>],
    pace: &mut Pace<'_>,
) -> Result<(), WriteFault> {
    let mut left: usize = slices.iter().map(|slice| slice.len()).sum();
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
    let flushed = pace.hold(0, stream.flush()).await?;
    flushed.map_err(|_client_gone| WriteFault::Gone)
}
