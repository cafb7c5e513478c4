//! The readers of answers.

mod http1 {
    pub mod response;
}
mod transport {
    pub mod bad_response;
    #[allow(dead_code)]
    pub mod coding;
    pub mod hints;
}

use bytes::BytesMut;

use crate::framing::{BodyChunk, Framing};
use http1::response::{self, Parsed};
use transport::coding;

/// What is made of a whole head: its length, and of a final one how the body ends.
#[derive(Debug, PartialEq, Eq)]
pub struct Head {
    pub length: usize,
    pub framing: Option<Framing>,
    pub keep_alive: bool,
}

/// Reads the head of an answer. `Ok(None)` while it is not there as a whole.
pub fn head(bytes: &[u8]) -> Result<Option<Head>, ()> {
    match response::parse_head(bytes).map_err(|_bad| ())? {
        Parsed::Partial => Ok(None),
        Parsed::Interim { length } => Ok(Some(Head {
            length,
            framing: None,
            keep_alive: true,
        })),
        Parsed::Final { head, length } => Ok(Some(Head {
            length,
            framing: Some(head.framing),
            keep_alive: head.keep_alive,
        })),
    }
}

/// Decompresses a body that ends with its connection, in steps; `Err` if it is not whole.
pub fn unpack(gzip: bool, packed: &[u8], step: usize) -> Result<Vec<u8>, ()> {
    let coding = if gzip {
        coding::Coding::Gzip
    } else {
        coding::Coding::Deflate
    };
    let mut body = coding::DecodedBody::new(Framing::UntilClose, Some(coding));
    let (mut input, mut plain) = (BytesMut::new(), Vec::new());
    for piece in packed.chunks(step) {
        input.extend_from_slice(piece);
        loop {
            match body.take(&mut input).map_err(|_bad| ())? {
                BodyChunk::Data(data) => {
                    assert!(data.len() <= 128 * 1024, "a piece of {}", data.len());
                    plain.extend_from_slice(&data);
                }
                BodyChunk::More => break,
                BodyChunk::End => return Err(()),
            }
        }
    }
    body.close().map_err(|_bad| ())?;
    Ok(plain)
}
