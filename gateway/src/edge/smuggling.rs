//! Refuses request heads on whose framing two servers might disagree. Pingora accepts some of them
//! by choosing one reading (transfer-encoding wins over content-length, bare LF ends a line); we
//! rather close the connection than guess.

use crate::error::Rejection;

/// Checks a raw HTTP/1 request head, from the request line to the empty line.
///
/// Refused are (RFC 9112 §2.2, §5.2, §6.1, §6.3): a line that ends without CR, a bare CR, a folded
/// header, white space before a header's colon, more than one `content-length` or
/// `transfer-encoding`, both together, a `content-length` that is not plain digits, and a
/// `transfer-encoding` other than exactly `chunked`.
///
/// # Errors
/// [`Rejection::BadHttp`], with the reason as the body of the 400.
pub(super) fn check_head(head: &[u8]) -> Result<(), Rejection> {
    let mut framing = Framing::default();
    let mut rest = head;
    let mut first = true;
    while let Some(end) = memchr::memchr(b'\n', rest) {
        let (line, after) = rest.split_at(end);
        rest = after.get(1..).unwrap_or_default();
        let Some(line) = line.strip_suffix(b"\r") else {
            return bad("a header line ends without CRLF");
        };
        if memchr::memchr(b'\r', line).is_some() {
            return bad("a header line contains a bare CR");
        }
        if first {
            first = false;
        } else if line.is_empty() {
            break;
        } else {
            framing.header(line)?;
        }
    }
    Ok(())
}

/// The two headers that decide where a request's body ends.
#[derive(Default)]
struct Framing {
    content_length: bool,
    transfer_encoding: bool,
}

impl Framing {
    fn header(&mut self, line: &[u8]) -> Result<(), Rejection> {
        if matches!(line.first(), Some(b' ' | b'\t')) {
            return bad("a header is folded over two lines");
        }
        let Some(colon) = memchr::memchr(b':', line) else {
            return bad("a header line has no colon");
        };
        let (name, value) = line.split_at(colon);
        if name.last().is_none_or(u8::is_ascii_whitespace) {
            return bad("a header name is empty or ends with white space");
        }
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if name.eq_ignore_ascii_case(b"content-length") {
            if std::mem::replace(&mut self.content_length, true) {
                return bad("content-length is given twice");
            }
            if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
                return bad("content-length is not a number");
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if std::mem::replace(&mut self.transfer_encoding, true) {
                return bad("transfer-encoding is given twice");
            }
            if !value.eq_ignore_ascii_case(b"chunked") {
                return bad("transfer-encoding is not chunked");
            }
        }
        if self.content_length && self.transfer_encoding {
            return bad("content-length and transfer-encoding are both given");
        }
        Ok(())
    }
}

fn bad(reason: &'static str) -> Result<(), Rejection> {
    Err(Rejection::BadHttp { reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(headers: &str) -> bool {
        check_head(format!("POST / HTTP/1.1\r\n{headers}\r\n\r\n").as_bytes()).is_err()
    }

    #[test]
    fn ordinary_heads_pass() {
        for headers in [
            "Host: a\r\nContent-Length: 12",
            "host:a\r\ncontent-length:12 ",
            "Host: a\r\nTransfer-Encoding: Chunked",
            "X-Content-Length: 1\r\nContent-Length: 2",
            "X: \tfolded looking",
        ] {
            assert!(!refused(headers), "{headers:?}");
        }
    }

    #[test]
    fn every_ambiguous_framing_is_refused() {
        for headers in [
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nContent-Length: 5",
            "Content-Length: 5\r\ncontent-length: 5",
            "Content-Length: 5, 5",
            "Content-Length: +5",
            "Content-Length: 0x5",
            "Content-Length:",
            "Content-Length : 5",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: identity",
            "Transfer-Encoding: \u{b}chunked",
            "X: a\r\n folded",
            "X: a\r\n\tfolded",
            "X: a\nContent-Length: 5",
            "X: a\rContent-Length: 5",
            "no colon here",
            ": no name",
        ] {
            assert!(refused(headers), "{headers:?}");
        }
    }

    #[test]
    fn a_request_line_that_ends_in_a_bare_lf_is_refused() {
        assert!(check_head(b"POST / HTTP/1.1\nHost: a\r\n\r\n").is_err());
    }
}
