//! The two ways in which the gateway reads requests of HTTP/1, each over bytes that are all there.

#[allow(dead_code)]
mod compress;
mod fast_path {
    pub(super) mod simple_request;
}
#[allow(dead_code)]
mod fields;
mod http1 {
    pub(super) mod request;
}

use bytes::{Bytes, BytesMut};

use crate::framing::{BodyChunk, BodyReader};

/// What a reader makes of the beginning of a connection.
#[derive(Debug, PartialEq, Eq)]
pub struct Seen {
    pub method: String,
    /// Path and query.
    pub target: String,
    pub body: Vec<u8>,
    /// What is left for the next request.
    pub rest: Vec<u8>,
}

/// The short way.
pub fn fast_path(bytes: &[u8]) -> Option<Seen> {
    let simple = fast_path::simple_request::SimpleRequest::read(bytes)?;
    let (head, length) = (simple.head, simple.body);
    Some(Seen {
        method: "POST".to_owned(),
        target: join(simple.path, simple.query),
        body: bytes[head..head + length].to_vec(),
        rest: bytes[head + length..].to_vec(),
    })
}

/// The long way.
pub fn to_the_letter(bytes: &[u8]) -> Option<Seen> {
    let bytes = bytes.strip_prefix(b"\r\n").unwrap_or(bytes);
    let end = http1::request::HeadEndSeeker::default().seek(bytes).ok()??;
    let request = http1::request::ParsedRequest::read(Bytes::copy_from_slice(&bytes[..end])).ok()?;
    let mut input = BytesMut::from(&bytes[end..]);
    let (mut reader, mut body) = (BodyReader::new(request.framing), Vec::new());
    loop {
        match reader.take(&mut input).ok()? {
            BodyChunk::Data(data) => body.extend_from_slice(&data),
            BodyChunk::More => return None,
            BodyChunk::End => break,
        }
    }
    Some(Seen {
        method: request.method.to_string(),
        target: join(&request.path, request.query.as_deref()),
        body,
        rest: input.to_vec(),
    })
}

fn join(path: &str, query: Option<&str>) -> String {
    match query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    }
}
