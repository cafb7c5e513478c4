//! The head of a request, parsed strictly by RFC 9112. What two servers could read differently is
//! refused: a proxy before this server must have read the same.

use std::ops::Range;

use bytes::Bytes;
use http::Method;

pub(in crate::edge) use self::request_line::is_visible_target;
use self::request_line::{BAD_LINE, RequestLine};
use crate::edge::fields::{RequestFields, says};
use crate::error::Rejection;
use crate::framing::Framing;
use crate::framing::host::is_host;
use crate::framing::line::{self, BadField};

mod request_line;
#[cfg(test)]
mod tests;

/// The largest head.
pub(in crate::edge) const MOST_HEAD: usize = 64 * 1024;

/// The most fields of a head.
pub(in crate::edge) const MOST_FIELDS: usize = 128;

/// Searches the end of a head as its bytes arrive.
#[derive(Debug, Default)]
pub(in crate::edge) struct HeadEndSeeker {
    /// Bytes known not to contain the end.
    seen: usize,
    /// Start of the current line.
    line: usize,
}

impl HeadEndSeeker {
    /// The length of the head at the beginning of `bytes`, which begin as in the previous call;
    /// `None` while it is incomplete.
    ///
    /// # Errors
    /// As soon as it cannot become a valid head: nobody has to wait for the end of something that
    /// will be refused.
    pub(in crate::edge) fn seek(&mut self, bytes: &[u8]) -> Result<Option<usize>, Rejection> {
        let fresh = bytes.get(self.seen..).unwrap_or_default();
        for (offset, byte) in fresh.iter().enumerate() {
            let at = self.seen + offset;
            match byte {
                b'\n' => {
                    let line = bytes.get(self.line..at).unwrap_or_default();
                    if !line.ends_with(b"\r") {
                        return bad("a line ends without CRLF");
                    }
                    if line == b"\r" {
                        return Ok(Some(at + 1));
                    }
                    self.line = at + 1;
                }
                b'\t' | b'\r' | b' '..=b'~' | 0x80.. => {}
                _ => return bad("a control character stands in the head"),
            }
            if at >= MOST_HEAD {
                return Err(Rejection::HeadTooLarge);
            }
        }
        self.seen = bytes.len();
        Ok(None)
    }
}

/// A request's head.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "facts that do not depend on each other"
)]
pub(in crate::edge) struct ParsedRequest {
    pub(in crate::edge) method: Method,
    pub(in crate::edge) path: String,
    pub(in crate::edge) query: Option<String>,
    /// HTTP/1.1, not 1.0.
    pub(in crate::edge) is_current: bool,
    pub(in crate::edge) framing: Framing,
    /// Whether the connection may be used again.
    pub(in crate::edge) keeps_alive: bool,
    pub(in crate::edge) expects_continue: bool,
    pub(in crate::edge) asks_for_websocket: bool,
    head: Bytes,
    /// Position of the fields in the head.
    lines: Range<usize>,
}

impl ParsedRequest {
    /// Parses a complete head, from the request line to the empty line.
    ///
    /// # Errors
    /// [`Rejection::BadHttp`] with the reason.
    pub(in crate::edge) fn read(head: Bytes) -> Result<Self, Rejection> {
        let lines = head.strip_suffix(b"\r\n\r\n").unwrap_or(&head);
        let (first, fields) = match memchr::memmem::find(lines, b"\r\n") {
            Some(end) => (lines.get(..end), end + 2..lines.len()),
            None => (Some(lines), lines.len()..lines.len()),
        };
        let line = RequestLine::read(first.unwrap_or_default())?;
        let mut course = RequestCourse::new(line.is_current);
        let mut count = 0;
        for text in lines_of(lines.get(fields.clone()).unwrap_or_default()) {
            count += 1;
            if count > MOST_FIELDS {
                return Err(Rejection::HeadTooLarge);
            }
            let (name, value) = line::field(text).map_err(|bad| Rejection::BadHttp {
                reason: reason(bad),
            })?;
            course.add(name, value)?;
        }
        course.check(line.authority)?;
        let method = Method::from_bytes(line.method).map_err(|_no_token| BAD_LINE)?;
        // Of several protocols the server chooses, and may choose none.
        let opens = method == Method::GET && course.has_websocket_key;
        let asks_for_websocket = course.websocket && (!course.others || opens);
        let (path, query) = match line.path.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (line.path, None),
        };
        Ok(Self {
            method,
            path: path.to_owned(),
            query,
            is_current: line.is_current,
            framing: course.framing(),
            // An HTTP/1.0 client recognises the end of the answer by the end of the connection.
            keeps_alive: line.is_current && !course.closes,
            expects_continue: line.is_current && course.expects_continue,
            // An HTTP/1.0 client cannot ask for another protocol (RFC 9110 §7.8).
            asks_for_websocket: line.is_current && asks_for_websocket,
            lines: fields,
            head,
        })
    }

    pub(in crate::edge) fn head_bytes(&self) -> usize {
        self.head.len()
    }

    /// The values of every field of this name, which is in lower case.
    pub(in crate::edge) fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.lines()
            .filter(move |(given, _)| given.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
    }

    pub(in crate::edge) fn fields(&self) -> RequestFields<'_> {
        RequestFields::of(self.lines())
    }

    /// Name and value of each field, in their order.
    pub(in crate::edge) fn lines(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let lines = lines_of(self.head.get(self.lines.clone()).unwrap_or_default());
        lines.filter_map(|text| line::field(text).ok())
    }
}

/// The lines of fields, without their line ends.
fn lines_of(mut text: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        if text.is_empty() {
            return None;
        }
        let Some(end) = memchr::memmem::find(text, b"\r\n") else {
            return Some(std::mem::take(&mut text));
        };
        let (line, rest) = text.split_at(end);
        text = rest.get(2..).unwrap_or_default();
        Some(line)
    })
}

/// What the fields say about where the request ends, and what has to happen before and after.
#[derive(Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "facts that do not depend on each other"
)]
struct RequestCourse<'a> {
    is_current: bool,
    host: Option<&'a [u8]>,
    length: Option<u64>,
    chunked: bool,
    closes: bool,
    expects_continue: bool,
    /// WebSocket is requested, or another protocol is.
    websocket: bool,
    others: bool,
    has_websocket_key: bool,
}

impl<'a> RequestCourse<'a> {
    fn new(is_current: bool) -> Self {
        Self {
            is_current,
            ..Self::default()
        }
    }

    fn add(&mut self, name: &[u8], value: &'a [u8]) -> Result<(), Rejection> {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        match name.len() {
            4 if is("host") => {
                if self.host.replace(value).is_some() {
                    return bad("host is given twice");
                }
                if !is_host(value) {
                    return bad("host is malformed");
                }
            }
            6 if is("expect") => self.expects_continue |= says(value, b"100-continue"),
            7 if is("upgrade") => self.upgrade(value),
            // Whatever other fields of that name say.
            10 if is("connection") => self.closes |= says(value, b"close"),
            14 if is("content-length") => {
                let length = digits(value).ok_or(Rejection::BadHttp {
                    reason: "content-length is not a number",
                })?;
                if self.length.replace(length).is_some() {
                    return bad("content-length is given twice");
                }
            }
            17 if is("sec-websocket-key") => self.has_websocket_key = true,
            17 if is("transfer-encoding") => {
                if std::mem::replace(&mut self.chunked, true) {
                    return bad("transfer-encoding is given twice");
                }
                if !value.eq_ignore_ascii_case(b"chunked") {
                    return bad("transfer-encoding is not chunked");
                }
                if !self.is_current {
                    return bad("transfer-encoding is given in HTTP/1.0");
                }
            }
            _ => {}
        }
        if self.chunked && self.length.is_some() {
            return bad("content-length and transfer-encoding are both given");
        }
        Ok(())
    }

    /// The name of a protocol precedes its version.
    fn upgrade(&mut self, value: &[u8]) {
        for protocol in value.split(|byte| *byte == b',') {
            let name = protocol.split(|byte| *byte == b'/').next();
            match name.map(<[u8]>::trim_ascii) {
                Some(b"") | None => {}
                Some(name) if name.eq_ignore_ascii_case(b"websocket") => self.websocket = true,
                Some(_) => self.others = true,
            }
        }
    }

    fn check(&self, authority: Option<&str>) -> Result<(), Rejection> {
        match (self.host, authority) {
            (None, _) if self.is_current => bad("host is missing"),
            (Some(host), Some(authority)) if host != authority.as_bytes() => {
                bad("host and target name different servers")
            }
            _ => Ok(()),
        }
    }

    fn framing(&self) -> Framing {
        if self.chunked {
            Framing::Chunked
        } else {
            Framing::Length(self.length.unwrap_or(0))
        }
    }
}

fn digits(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    // Pingora reads lengths as signed numbers.
    let length: u64 = std::str::from_utf8(value).ok()?.parse().ok()?;
    (length <= i64::MAX.unsigned_abs()).then_some(length)
}

fn reason(bad: BadField) -> &'static str {
    match bad {
        BadField::Folded => "a header is folded over two lines",
        BadField::NoColon => "a header line has no colon",
        BadField::Name => "a header name is malformed",
        BadField::Value => "a header value holds a control character",
    }
}

fn bad<T>(reason: &'static str) -> Result<T, Rejection> {
    Err(Rejection::BadHttp { reason })
}
