//! Reading an HTTP/1.1 response from bytes: the head, and the body in whatever framing. Pure, so
//! that any split of the byte stream can be tested; [`crate::upstream::client`] does the I/O.
//!
//! It is strict where two readings are possible (a connection must not get out of step with the
//! upstream) and looks at no header that nobody asked for.

use std::mem::MaybeUninit;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};

use crate::solana::ReplyHints;
use crate::upstream::hints::{self, number};

#[cfg(test)]
mod tests;

/// Largest head of a response, interim responses not counted.
pub(super) const MOST_HEAD: usize = 32 * 1024;
const MOST_HEADERS: usize = 100;
/// Longest line with a chunk's size, its extensions included.
const MOST_CHUNK_LINE: usize = 1024;
const MOST_TRAILERS: usize = 8 * 1024;

/// Bytes that are not an HTTP response the gateway can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadResponse {
    #[error("not an HTTP/1 response head")]
    Head,
    #[error("head of the response over {MOST_HEAD} bytes")]
    HeadTooLarge,
    #[error("body length given twice, or not a number")]
    Length,
    #[error("transfer coding other than chunked")]
    Transfer,
    #[error("content coding that was not asked for")]
    Encoded,
    #[error("protocol switched without being asked")]
    Switched,
    #[error("malformed chunk")]
    Chunk,
    #[error("body ended early")]
    Truncated,
}

/// What the beginning of a buffer holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// Not yet a whole head.
    Partial,
    /// An interim response (1xx) of this length: to be skipped.
    Interim {
        length: usize,
    },
    Final {
        head: Head,
        length: usize,
    },
}

/// The part of a response's head that matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) hints: ReplyHints,
    pub(super) framing: Framing,
    /// Whether the connection may carry another call afterwards.
    pub(super) keep_alive: bool,
    /// How long the upstream keeps an unused connection, if it says.
    pub(super) keep_for: Option<Duration>,
}

/// How the end of the body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
}

/// Reads the head at the beginning of `bytes`.
pub(super) fn parse_head(bytes: &[u8]) -> Result<Parsed, BadResponse> {
    let mut headers = [const { MaybeUninit::uninit() }; MOST_HEADERS];
    let mut response = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut response,
        bytes,
        &mut headers,
    );
    let length = match parsed {
        Ok(httparse::Status::Complete(length)) if length <= MOST_HEAD => length,
        Ok(httparse::Status::Partial) if bytes.len() <= MOST_HEAD => return Ok(Parsed::Partial),
        Ok(_) => return Err(BadResponse::HeadTooLarge),
        Err(_) => return Err(BadResponse::Head),
    };
    match response.code.unwrap_or_default() {
        101 => Err(BadResponse::Switched),
        100..200 => Ok(Parsed::Interim { length }),
        status => Ok(Parsed::Final {
            head: read_headers(status, response.version == Some(1), response.headers)?,
            length,
        }),
    }
}

/// What was seen of the headers so far.
struct Fields {
    hints: ReplyHints,
    length: Option<u64>,
    chunked: bool,
    keep_alive: bool,
    keep_for: Option<Duration>,
}

fn read_headers(
    status: u16,
    version_1_1: bool,
    headers: &[httparse::Header<'_>],
) -> Result<Head, BadResponse> {
    let mut fields = Fields::new(version_1_1);
    for header in headers {
        fields.read(header.name, header.value)?;
    }
    fields.into_head(status, version_1_1)
}

/// The head of a response over HTTP/2, where the end of the body needs no header and the connection
/// is nobody's business.
pub(super) fn head_of(status: u16, headers: &http::HeaderMap) -> Result<Head, BadResponse> {
    let mut fields = Fields::new(true);
    for (name, value) in headers {
        fields.read(name.as_str(), value.as_bytes())?;
    }
    fields.into_head(status, true)
}

impl Fields {
    fn new(keep_alive: bool) -> Self {
        Self {
            hints: ReplyHints::default(),
            length: None,
            chunked: false,
            keep_alive,
            keep_for: None,
        }
    }

    fn into_head(self, status: u16, version_1_1: bool) -> Result<Head, BadResponse> {
        let framing = match (self.chunked, self.length) {
            // Either may be a lie; the next response would be read from the middle of this one.
            (true, Some(_)) => return Err(BadResponse::Length),
            (true, None) if !version_1_1 => return Err(BadResponse::Transfer),
            _ if status == 204 || status == 304 => Framing::Length(0),
            (true, None) => Framing::Chunked,
            (false, Some(length)) => Framing::Length(length),
            (false, None) => Framing::UntilClose,
        };
        Ok(Head {
            status,
            hints: self.hints,
            framing,
            keep_alive: self.keep_alive && framing != Framing::UntilClose,
            keep_for: self.keep_for,
        })
    }

    /// Length first: it differs for nearly all names, and no name is compared needlessly.
    fn read(&mut self, name: &str, value: &[u8]) -> Result<(), BadResponse> {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        match name.len() {
            10 if is("connection") => self.connection(value),
            10 if is("keep-alive") => self.keep_for = keep_alive_timeout(value),
            14 if is("content-length") => self.content_length(value)?,
            16 if is("content-encoding") && !value.eq_ignore_ascii_case(b"identity") => {
                return Err(BadResponse::Encoded);
            }
            17 if is("transfer-encoding") => {
                if self.chunked || !value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
                    return Err(BadResponse::Transfer);
                }
                self.chunked = true;
            }
            _ => hints::read(&mut self.hints, name, value),
        }
        Ok(())
    }

    fn connection(&mut self, value: &[u8]) {
        for option in value.split(|byte| *byte == b',') {
            let option = option.trim_ascii();
            if option.eq_ignore_ascii_case(b"close") {
                self.keep_alive = false;
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            }
        }
    }

    /// Several lengths are fine as long as they are equal (RFC 9110, section 8.6).
    fn content_length(&mut self, value: &[u8]) -> Result<(), BadResponse> {
        for part in value.split(|byte| *byte == b',') {
            let length = number(part).ok_or(BadResponse::Length)?;
            if self.length.is_some_and(|earlier| earlier != length) {
                return Err(BadResponse::Length);
            }
            self.length = Some(length);
        }
        Ok(())
    }
}

fn keep_alive_timeout(value: &[u8]) -> Option<Duration> {
    value.split(|byte| *byte == b',').find_map(|part| {
        let part = part.trim_ascii();
        let seconds = part
            .get(..8)
            .filter(|name| name.eq_ignore_ascii_case(b"timeout="))
            .and_then(|_| number(part.get(8..)?))?;
        Some(Duration::from_secs(seconds))
    })
}

/// A body being read.
#[derive(Debug)]
pub(super) struct Body {
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Length { left: u64 },
    ChunkSize,
    ChunkData { left: u64 },
    ChunkEnd,
    Trailers { seen: usize },
    UntilClose,
    Done,
}

/// What [`Body::take`] found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// A piece of the body, never empty.
    Data(Bytes),
    /// More bytes are needed.
    More,
    /// The body is complete. What is left in the input does not belong to it.
    End,
}

impl Body {
    pub(super) fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::Length(left) => State::Length { left },
            Framing::Chunked => State::ChunkSize,
            Framing::UntilClose => State::UntilClose,
        };
        Self { state }
    }

    /// Takes the next piece out of `input` without copying it.
    pub(super) fn take(&mut self, input: &mut BytesMut) -> Result<Taken, BadResponse> {
        loop {
            let next = match self.state {
                State::Done | State::Length { left: 0 } => {
                    self.state = State::Done;
                    return Ok(Taken::End);
                }
                State::Length { left } => match piece(input, left) {
                    None => return Ok(Taken::More),
                    Some((data, left)) => {
                        self.state = State::Length { left };
                        return Ok(Taken::Data(data));
                    }
                },
                State::UntilClose => match piece(input, u64::MAX) {
                    None => return Ok(Taken::More),
                    Some((data, _)) => return Ok(Taken::Data(data)),
                },
                State::ChunkData { left: 0 } => Some(State::ChunkEnd),
                State::ChunkData { left } => match piece(input, left) {
                    None => return Ok(Taken::More),
                    Some((data, left)) => {
                        self.state = State::ChunkData { left };
                        return Ok(Taken::Data(data));
                    }
                },
                State::ChunkSize => chunk_size(input)?,
                State::ChunkEnd => chunk_end(input)?,
                State::Trailers { seen } => trailer(input, seen)?,
            };
            match next {
                Some(state) => self.state = state,
                None => return Ok(Taken::More),
            }
        }
    }

    /// The upstream closed the connection: the end of the body, or the loss of it.
    pub(super) fn close(&mut self) -> Result<(), BadResponse> {
        match self.state {
            State::UntilClose | State::Done | State::Length { left: 0 } => {
                self.state = State::Done;
                Ok(())
            }
            _ => Err(BadResponse::Truncated),
        }
    }
}

/// Up to `left` bytes of the input, and what is left after them.
fn piece(input: &mut BytesMut, left: u64) -> Option<(Bytes, u64)> {
    if input.is_empty() {
        return None;
    }
    let size = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
    let data = input.split_to(size).freeze();
    Some((data, left - size as u64))
}

fn chunk_size(input: &mut BytesMut) -> Result<Option<State>, BadResponse> {
    match httparse::parse_chunk_size(input) {
        Ok(httparse::Status::Complete((length, size))) if length <= MOST_CHUNK_LINE => {
            input.advance(length);
            Ok(Some(match size {
                0 => State::Trailers { seen: 0 },
                left => State::ChunkData { left },
            }))
        }
        Ok(httparse::Status::Partial) if input.len() <= MOST_CHUNK_LINE => Ok(None),
        Ok(_) | Err(_) => Err(BadResponse::Chunk),
    }
}

fn chunk_end(input: &mut BytesMut) -> Result<Option<State>, BadResponse> {
    match input.get(..2) {
        None => Ok(None),
        Some(b"\r\n") => {
            input.advance(2);
            Ok(Some(State::ChunkSize))
        }
        Some(_) => Err(BadResponse::Chunk),
    }
}

/// Skips one line after the last chunk; an empty one ends the body.
fn trailer(input: &mut BytesMut, seen: usize) -> Result<Option<State>, BadResponse> {
    let Some(end) = memchr::memchr(b'\n', input) else {
        return if seen + input.len() > MOST_TRAILERS {
            Err(BadResponse::Chunk)
        } else {
            Ok(None)
        };
    };
    let line = input.split_to(end + 1);
    let seen = seen + line.len();
    match &line[..] {
        b"\r\n" => Ok(Some(State::Done)),
        [.., b'\r', b'\n'] if seen <= MOST_TRAILERS => Ok(Some(State::Trailers { seen })),
        _ => Err(BadResponse::Chunk),
    }
}
