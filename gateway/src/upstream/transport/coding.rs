//! Decompression of answers. The gateway does not request compression, but some servers and
//! networks in front of them compress regardless. Decompressed data comes in pieces of bounded
//! size, however small it was compressed.

use std::io::Write;

use bytes::{Buf, Bytes};
use flate2::write::MultiGzDecoder;
use flate2::{Decompress, FlushDecompress, Status};

use crate::framing::{BadBody, BodyChunk, Framing};
use crate::upstream::transport::bad_response::BadResponse;

#[cfg(test)]
mod tests;

/// Size from which decompressed bytes form a piece. The decoder may hold as much again, and half of
/// that once more when it is flushed: a piece has less than four times as many.
const PIECE: usize = 32 * 1024;

/// How an answer is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::upstream) enum Coding {
    Gzip,
    Deflate,
}

impl Coding {
    /// Parses one name in a `content-encoding` header.
    pub(in crate::upstream) fn named(name: &[u8]) -> Option<Self> {
        if name.eq_ignore_ascii_case(b"gzip") || name.eq_ignore_ascii_case(b"x-gzip") {
            Some(Self::Gzip)
        } else if name.eq_ignore_ascii_case(b"deflate") {
            Some(Self::Deflate)
        } else {
            None
        }
    }
}

/// The body of an answer, decompressed if necessary.
#[derive(Debug)]
pub(in crate::upstream) struct DecodedBody {
    framed: crate::framing::BodyReader,
    decoder: Option<Box<Decoder>>,
}

impl DecodedBody {
    pub(in crate::upstream) fn new(framing: Framing, coding: Option<Coding>) -> Self {
        Self {
            framed: crate::framing::BodyReader::new(framing),
            decoder: coding.map(|coding| Box::new(Decoder::new(coding))),
        }
    }

    /// As [`crate::framing::Body::take`].
    pub(in crate::upstream) fn take(
        &mut self,
        input: &mut bytes::BytesMut,
    ) -> Result<BodyChunk, BadResponse> {
        let Some(decoder) = &mut self.decoder else {
            return Ok(self.framed.take(input)?);
        };
        loop {
            if let Some(data) = decoder.take()? {
                return Ok(BodyChunk::Data(data));
            }
            match self.framed.take(input)? {
                BodyChunk::Data(packed) => decoder.push(packed),
                BodyChunk::More => return Ok(BodyChunk::More),
                BodyChunk::End => {
                    decoder.finish()?;
                    return Ok(BodyChunk::End);
                }
            }
        }
    }

    /// As [`crate::framing::Body::close`], after everything that came was taken.
    pub(in crate::upstream) fn close(&mut self) -> Result<(), BadResponse> {
        self.framed.close()?;
        match &mut self.decoder {
            Some(decoder) => decoder.finish(),
            None => Ok(()),
        }
    }
}

/// Decompresses one body.
#[derive(Debug)]
pub(in crate::upstream) struct Decoder {
    inflate: Inflate,
    packed: Bytes,
}

#[derive(Debug)]
enum Inflate {
    /// Nothing has arrived yet.
    Untouched(Coding),
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
    Deflate {
        stream: Decompress,
        ended: bool,
    },
    Finished,
}

impl Decoder {
    pub(in crate::upstream) fn new(coding: Coding) -> Self {
        Self {
            inflate: Inflate::Untouched(coding),
            packed: Bytes::new(),
        }
    }

    /// Adds input, after [`Decoder::take`] has returned nothing more.
    pub(in crate::upstream) fn push(&mut self, packed: Bytes) {
        if let (Inflate::Untouched(coding), Some(first)) = (&self.inflate, packed.first()) {
            self.inflate = match coding {
                Coding::Gzip => Inflate::Gzip(Box::new(MultiGzDecoder::new(Vec::new()))),
                // By the standard it is wrapped like zlib, whose method is 8; some servers omit
                // that.
                Coding::Deflate => Inflate::Deflate {
                    stream: Decompress::new(first & 0x0f == 8),
                    ended: false,
                },
            };
        }
        self.packed = packed;
    }

    /// The next piece, never empty; `None` if more input is needed.
    pub(in crate::upstream) fn take(&mut self) -> Result<Option<Bytes>, BadResponse> {
        let piece = match &mut self.inflate {
            Inflate::Untouched(_) | Inflate::Finished => return Ok(None),
            Inflate::Gzip(gzip) => unzip(gzip, &mut self.packed)?,
            Inflate::Deflate { stream, ended } => inflate(stream, ended, &mut self.packed)?,
        };
        Ok((!piece.is_empty()).then(|| Bytes::from(piece)))
    }

    /// Handles the end of the body.
    ///
    /// # Errors
    /// The input was truncated.
    pub(in crate::upstream) fn finish(&mut self) -> Result<(), BadResponse> {
        let truncated = BadResponse::Body(BadBody::Truncated);
        match std::mem::replace(&mut self.inflate, Inflate::Finished) {
            Inflate::Gzip(mut gzip) => gzip.try_finish().map_err(|_corrupt| truncated),
            Inflate::Deflate { ended: false, .. } => Err(truncated),
            // Untouched: an answer without a body, as some refusals are.
            _ => Ok(()),
        }
    }
}

fn unzip(gzip: &mut MultiGzDecoder<Vec<u8>>, packed: &mut Bytes) -> Result<Vec<u8>, BadResponse> {
    while gzip.get_ref().len() < PIECE && !packed.is_empty() {
        match gzip.write(packed) {
            Ok(read @ 1..) => packed.advance(read),
            Ok(0) | Err(_) => return Err(BadResponse::Encoded),
        }
    }
    if packed.is_empty() {
        gzip.flush().map_err(|_corrupt| BadResponse::Encoded)?;
    }
    Ok(std::mem::take(gzip.get_mut()))
}

fn inflate(
    stream: &mut Decompress,
    ended: &mut bool,
    packed: &mut Bytes,
) -> Result<Vec<u8>, BadResponse> {
    if *ended {
        return if packed.is_empty() {
            Ok(Vec::new())
        } else {
            Err(BadResponse::Encoded)
        };
    }
    let mut piece = Vec::with_capacity(PIECE);
    let before = stream.total_in();
    let status = stream.decompress_vec(packed, &mut piece, FlushDecompress::None);
    let read = usize::try_from(stream.total_in() - before).unwrap_or(packed.len());
    match status {
        Ok(Status::StreamEnd) => *ended = true,
        Ok(Status::Ok | Status::BufError) => {}
        Err(_corrupt) => return Err(BadResponse::Encoded),
    }
    packed.advance(read.min(packed.len()));
    if *ended && piece.is_empty() && !packed.is_empty() {
        return Err(BadResponse::Encoded);
    }
    Ok(piece)
}
