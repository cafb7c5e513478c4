//! Parses the head of an HTTP/1.1 response. Pure, so that any split of the byte stream can be
//! tested; [`crate::upstream::client`] does the I/O, and [`crate::framing`] finds the end of the
//! body.
//!
//! It is strict where two interpretations are possible (a connection must not get out of step with
//! the upstream) and reads only headers that matter.

use std::mem::MaybeUninit;
use std::time::Duration;

use crate::framing::Framing;
use crate::solana::ReplyHints;
use crate::upstream::transport::bad_response::{BadResponse, MOST_HEAD};
use crate::upstream::transport::coding::Coding;
use crate::upstream::transport::hints::{self, number};

#[cfg(test)]
mod tests;

const MOST_HEADERS: usize = 100;

/// How an alert of any version of TLS begins (RFC 8446 §5.1).
const TLS_ALERT: [u8; 2] = [0x15, 0x03];

/// What the beginning of a buffer holds.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::upstream) enum Parsed {
    /// Not yet a whole head.
    Partial,
    /// An interim response (1xx) of this length: to be skipped.
    Interim {
        length: usize,
    },
    Final {
        head: ResponseHead,
        length: usize,
    },
}

/// The part of a response's head that matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::upstream) struct ResponseHead {
    pub(in crate::upstream) status: u16,
    pub(in crate::upstream) hints: ReplyHints,
    pub(in crate::upstream) framing: Framing,
    /// The coding of the body, although none was requested.
    pub(in crate::upstream) coding: Option<Coding>,
    /// Whether the connection may carry another call afterwards.
    pub(in crate::upstream) keep_alive: bool,
    /// How long the upstream keeps an unused connection, if announced.
    pub(in crate::upstream) keep_for: Option<Duration>,
}

impl ResponseHead {
    /// The length of the answer, if announced: for a compressed one the announced length differs.
    pub(in crate::upstream) fn length(&self) -> Option<u64> {
        match (self.framing, self.coding) {
            (Framing::Length(length), None) => Some(length),
            _ => None,
        }
    }
}

/// Reads the head at the beginning of `bytes`.
pub(in crate::upstream) fn parse_head(bytes: &[u8]) -> Result<Parsed, BadResponse> {
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
        Err(_) if bytes.starts_with(&TLS_ALERT) => return Err(BadResponse::Tls),
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

/// The headers read so far.
struct ResponseFields {
    hints: ReplyHints,
    length: Option<u64>,
    chunked: bool,
    coding: Option<Coding>,
    keep_alive: bool,
    /// The upstream announced that it closes, which nothing overrides.
    closes: bool,
    keep_for: Option<Duration>,
}

fn read_headers(
    status: u16,
    version_1_1: bool,
    headers: &[httparse::Header<'_>],
) -> Result<ResponseHead, BadResponse> {
    let mut fields = ResponseFields::new(version_1_1);
    for header in headers {
        fields.read(header.name, header.value)?;
    }
    fields.into_head(status, version_1_1)
}

/// The head of a response over HTTP/2, where the end of the body needs no header and connection
/// headers do not exist.
pub(in crate::upstream) fn head_of(
    status: u16,
    headers: &http::HeaderMap,
) -> Result<ResponseHead, BadResponse> {
    let mut fields = ResponseFields::new(true);
    for (name, value) in headers {
        fields.read(name.as_str(), value.as_bytes())?;
    }
    fields.into_head(status, true)
}

impl ResponseFields {
    fn new(keep_alive: bool) -> Self {
        Self {
            hints: ReplyHints::default(),
            length: None,
            chunked: false,
            coding: None,
            keep_alive,
            closes: false,
            keep_for: None,
        }
    }

    fn into_head(self, status: u16, version_1_1: bool) -> Result<ResponseHead, BadResponse> {
        let framing = match (self.chunked, self.length) {
            // Either may be wrong; the next response would be read from the middle of this one.
            (true, Some(_)) => return Err(BadResponse::Length),
            (true, None) if !version_1_1 => return Err(BadResponse::Transfer),
            _ if status == 204 || status == 304 => Framing::Length(0),
            (true, None) => Framing::Chunked,
            (false, Some(length)) => Framing::Length(length),
            (false, None) => Framing::UntilClose,
        };
        Ok(ResponseHead {
            status,
            hints: self.hints,
            framing,
            coding: self.coding,
            keep_alive: self.keep_alive && !self.closes && framing != Framing::UntilClose,
            keep_for: self.keep_for,
        })
    }

    /// Length first: it differs for nearly all names, so that few names are compared.
    fn read(&mut self, name: &str, value: &[u8]) -> Result<(), BadResponse> {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        match name.len() {
            10 if is("connection") => self.connection(value),
            10 if is("keep-alive") => {
                self.keep_for = keep_alive_timeout(value).or(self.keep_for);
            }
            14 if is("content-length") => self.content_length(value)?,
            16 if is("content-encoding") => self.content_encoding(value)?,
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
                self.closes = true;
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            }
        }
    }

    /// A single known coding.
    fn content_encoding(&mut self, value: &[u8]) -> Result<(), BadResponse> {
        for name in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            if name.is_empty() || name.eq_ignore_ascii_case(b"identity") {
                continue;
            }
            let coding = Coding::named(name).ok_or(BadResponse::Encoded)?;
            if self.coding.replace(coding).is_some() {
                return Err(BadResponse::Encoded);
            }
        }
        Ok(())
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
