//! The body of an answer on its stream. The upstream gets window for more only when what has
//! arrived is consumed.

use bytes::{Bytes, BytesMut};
use h2::{Reason, RecvStream};

use super::stream_lease::StreamLease;
use crate::framing::Framing;
use crate::solana::FaultKind;
use crate::upstream::transport::coding::{Coding, Decoder};
use crate::upstream::transport::fault::TransportFault;

/// A body being read. Dropped before its end, the stream is reset.
#[derive(Debug)]
pub(in crate::upstream) struct IncomingBody {
    stream: RecvStream,
    /// What is missing, if the upstream announced a length.
    left: Option<u64>,
    /// Bytes returned last, whose window was not released yet.
    taken: usize,
    /// For a compressed body.
    decoder: Option<Box<Decoder>>,
    /// Counts the stream while the body lives.
    lease: StreamLease,
}

impl IncomingBody {
    pub(in crate::upstream) fn new(
        stream: RecvStream,
        framing: Framing,
        coding: Option<Coding>,
        lease: StreamLease,
    ) -> Self {
        let left = match framing {
            Framing::Length(length) => Some(length),
            Framing::Chunked | Framing::UntilClose => None,
        };
        Self {
            stream,
            left,
            taken: 0,
            decoder: coding.map(|coding| Box::new(Decoder::new(coding))),
            lease,
        }
    }

    /// The next piece, never empty; `None` at the end. The call implies that the previous piece is
    /// consumed. Cancel-safe.
    pub(in crate::upstream) async fn next(&mut self) -> Result<Option<Bytes>, TransportFault> {
        loop {
            if let Some(decoder) = &mut self.decoder
                && let Some(piece) = decoder.take()?
            {
                return Ok(Some(piece));
            }
            let came = self.receive().await?;
            match (&mut self.decoder, came) {
                (Some(decoder), Some(packed)) => decoder.push(packed),
                (Some(decoder), None) => {
                    decoder.finish()?;
                    return Ok(None);
                }
                (None, came) => return Ok(came),
            }
        }
    }

    /// The next piece as it comes.
    async fn receive(&mut self) -> Result<Option<Bytes>, TransportFault> {
        loop {
            let taken = std::mem::take(&mut self.taken);
            if taken > 0 {
                // Fails only on a stream that has ended.
                drop(self.stream.flow_control().release_capacity(taken));
            }
            match self.stream.data().await {
                None => return self.end(),
                Some(Ok(bytes)) if bytes.is_empty() => {}
                Some(Ok(bytes)) => {
                    self.taken = bytes.len();
                    self.left = self
                        .left
                        .map(|left| left.saturating_sub(bytes.len() as u64));
                    return Ok(Some(bytes));
                }
                // After a whole answer (RFC 9113 §8.1) h2 says that the body has ended; here it has not,
                // unless all that was announced is there.
                Some(Err(error)) if is_no_error(&error) && self.left == Some(0) => return Ok(None),
                Some(Err(error)) => {
                    let kind = if error.is_library() || is_no_error(&error) {
                        FaultKind::Truncated
                    } else {
                        FaultKind::Reset
                    };
                    return Err(TransportFault::after(kind));
                }
            }
        }
    }

    /// The upstream mixes up answers: no new calls on this connection.
    pub(in crate::upstream) fn retire(&self) {
        self.lease.session().retire();
    }

    fn end(&self) -> Result<Option<Bytes>, TransportFault> {
        match self.left {
            None | Some(0) => Ok(None),
            Some(_) => Err(TransportFault::after(FaultKind::Truncated)),
        }
    }
}

fn is_no_error(error: &h2::Error) -> bool {
    error.reason() == Some(Reason::NO_ERROR)
}

/// Pieces of a body, joined. The common case of one needs no copy.
#[derive(Debug, Default)]
pub(in crate::upstream) struct JoinedPieces {
    first: Bytes,
    joined: BytesMut,
}

impl JoinedPieces {
    /// Adds a piece; `expected` is the length of the whole, if known.
    pub(in crate::upstream) fn push(&mut self, piece: Bytes, expected: usize) {
        if self.first.is_empty() && self.joined.is_empty() {
            self.first = piece;
            return;
        }
        if self.joined.is_empty() {
            self.joined
                .reserve(expected.max(self.first.len() + piece.len()));
            self.joined
                .extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.joined.extend_from_slice(&piece);
    }

    pub(in crate::upstream) fn len(&self) -> usize {
        self.first.len().max(self.joined.len())
    }

    pub(in crate::upstream) fn into_bytes(self) -> Bytes {
        if self.joined.is_empty() {
            self.first
        } else {
            self.joined.freeze()
        }
    }
}
