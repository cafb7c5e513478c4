//! Where the body of an HTTP/1.1 message ends: the same reader for requests and for answers of
//! upstreams. Pure, so that any split of the byte stream can be tested.
//!
//! It follows RFC 9112 strictly. Two readers that disagree about the end of a body take different
//! bytes for the next message; what only a lenient reader accepts is refused.

mod chunk;
pub mod host;
pub mod line;
#[cfg(test)]
mod tests;

use bytes::{Buf, Bytes, BytesMut};

/// Maximum size of all trailer fields of a message.
const MOST_TRAILERS: usize = 8 * 1024;

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// After so many bytes.
    Length(u64),
    Chunked,
    /// With the connection: answers only.
    UntilClose,
}

/// Bytes that are not the announced body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBody {
    #[error("malformed chunk")]
    Chunk,
    #[error("body ended early")]
    Truncated,
}

/// A body being read.
#[derive(Debug)]
pub struct BodyReader {
    state: BodyState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BodyState {
    Length { left: u64 },
    ChunkSize,
    ChunkData { left: u64 },
    ChunkEnd,
    Trailers { seen: usize },
    UntilClose,
    Done,
}

/// What [`BodyReader::take`] found.
#[derive(Debug, PartialEq, Eq)]
pub enum BodyChunk {
    /// A piece of the body, never empty.
    Data(Bytes),
    /// More bytes are needed.
    More,
    /// The body is complete. What is left in the input does not belong to it.
    End,
}

impl BodyReader {
    pub fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::Length(left) => BodyState::Length { left },
            Framing::Chunked => BodyState::ChunkSize,
            Framing::UntilClose => BodyState::UntilClose,
        };
        Self { state }
    }

    /// Takes the next piece out of `input` without copying it.
    ///
    /// # Errors
    /// The chunks are malformed. The connection cannot be used any more.
    pub fn take(&mut self, input: &mut BytesMut) -> Result<BodyChunk, BadBody> {
        loop {
            let next = match self.state {
                BodyState::Done | BodyState::Length { left: 0 } => {
                    self.state = BodyState::Done;
                    return Ok(BodyChunk::End);
                }
                BodyState::Length { left } => match piece(input, left) {
                    None => return Ok(BodyChunk::More),
                    Some((data, left)) => {
                        self.state = BodyState::Length { left };
                        return Ok(BodyChunk::Data(data));
                    }
                },
                BodyState::UntilClose => match piece(input, u64::MAX) {
                    None => return Ok(BodyChunk::More),
                    Some((data, _)) => return Ok(BodyChunk::Data(data)),
                },
                BodyState::ChunkData { left: 0 } => Some(BodyState::ChunkEnd),
                BodyState::ChunkData { left } => match piece(input, left) {
                    None => return Ok(BodyChunk::More),
                    Some((data, left)) => {
                        self.state = BodyState::ChunkData { left };
                        return Ok(BodyChunk::Data(data));
                    }
                },
                BodyState::ChunkSize => chunk_size(input)?,
                BodyState::ChunkEnd => chunk_end(input)?,
                BodyState::Trailers { seen } => trailer(input, seen)?,
            };
            match next {
                Some(state) => self.state = state,
                None => return Ok(BodyChunk::More),
            }
        }
    }

    /// Bytes of the current chunk, or of the body if its length is known, that have not been taken.
    pub fn announced(&self) -> u64 {
        match self.state {
            BodyState::Length { left } | BodyState::ChunkData { left } => left,
            _ => 0,
        }
    }

    /// The peer closed the connection: the end of the body, or a truncation.
    ///
    /// # Errors
    /// The body was incomplete.
    pub fn close(&mut self) -> Result<(), BadBody> {
        match self.state {
            BodyState::UntilClose | BodyState::Done | BodyState::Length { left: 0 } => {
                self.state = BodyState::Done;
                Ok(())
            }
            _ => Err(BadBody::Truncated),
        }
    }

    /// Whether it has been read to its end.
    pub fn is_done(&self) -> bool {
        matches!(self.state, BodyState::Done | BodyState::Length { left: 0 })
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

fn chunk_size(input: &mut BytesMut) -> Result<Option<BodyState>, BadBody> {
    let Some((length, size)) =
        chunk::size(input).map_err(|chunk::MalformedChunk| BadBody::Chunk)?
    else {
        return Ok(None);
    };
    input.advance(length);
    Ok(Some(match size {
        0 => BodyState::Trailers { seen: 0 },
        left => BodyState::ChunkData { left },
    }))
}

fn chunk_end(input: &mut BytesMut) -> Result<Option<BodyState>, BadBody> {
    match input[..] {
        [b'\r', b'\n', ..] => {
            input.advance(2);
            Ok(Some(BodyState::ChunkSize))
        }
        [] | [b'\r'] => Ok(None),
        _ => Err(BadBody::Chunk),
    }
}

/// Skips one field after the last chunk; an empty line ends the body.
fn trailer(input: &mut BytesMut, seen: usize) -> Result<Option<BodyState>, BadBody> {
    let Some(end) = memchr::memchr(b'\n', input) else {
        return if seen + input.len() > MOST_TRAILERS {
            Err(BadBody::Chunk)
        } else {
            Ok(None)
        };
    };
    let line = input.split_to(end + 1);
    let seen = seen + line.len();
    match line.strip_suffix(b"\r\n") {
        Some(b"") => Ok(Some(BodyState::Done)),
        Some(field) if seen <= MOST_TRAILERS && line::field(field).is_ok() => {
            Ok(Some(BodyState::Trailers { seen }))
        }
        _ => Err(BadBody::Chunk),
    }
}
