//! What a simple request is: unambiguous, complete, and with no demands on its connection.
//! Accepting fewer requests as simple does no harm: all others go to the full parser.

use std::mem::MaybeUninit;

use http::Method;

use crate::edge::fields::RequestFields;
use crate::framing::host::is_host;

/// Maximum number of fields of a simple head.
const MOST_FIELDS: usize = 32;

/// Maximum number of digits of a length.
const MOST_DIGITS: usize = 6;

/// A call posted over HTTP/1.1, at the beginning of what has been read.
#[derive(Debug)]
pub(in crate::edge) struct SimpleRequest<'a> {
    pub fields: RequestFields<'a>,
    pub path: &'a str,
    pub query: Option<&'a str>,
    /// Bytes of the head; the body follows.
    pub head: usize,
    /// Bytes of the body.
    pub body: usize,
}

impl<'a> SimpleRequest<'a> {
    /// Parses one; `None` if it is anything else, or not complete.
    pub(in crate::edge) fn read(unread: &'a [u8]) -> Option<Self> {
        let mut places = [const { MaybeUninit::uninit() }; MOST_FIELDS];
        let mut request = httparse::Request::new(&mut []);
        let parsed = request.parse_with_uninit_headers(unread, &mut places);
        let head = match parsed {
            Ok(httparse::Status::Complete(head)) => head,
            Ok(httparse::Status::Partial) | Err(_) => return None,
        };
        if request.method != Some(Method::POST.as_str()) || request.version != Some(1) {
            return None;
        }
        let (path, query) = target(request.path?)?;
        // Some servers read this as the end of a line and others do not.
        if !is_of_lines(unread.get(..head)?) {
            return None;
        }
        let lines = request.headers.iter();
        let fields = RequestFields::of(lines.map(|line| (line.name.as_bytes(), line.value)));
        let framing = &fields.framing;
        if framing.special || !is_plain_host(framing.host?) || !fields.is_json() {
            return None;
        }
        let body = length(framing.content_length?)?;
        (unread.len() - head >= body).then_some(Self {
            fields,
            path,
            query,
            head,
            body,
        })
    }
}

/// Path and query of a target in origin form, without characters that some servers rewrite.
fn target(target: &str) -> Option<(&str, Option<&str>)> {
    let plain = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'/' | b'-' | b'_' | b'.' | b'~' | b'?' | b'&' | b'=' | b'%'
            )
    };
    let rooted = target.starts_with('/') && !target.starts_with("//");
    if !rooted || !target.bytes().all(plain) {
        return None;
    }
    Some(match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    })
}

/// The usual ones.
fn is_plain_host(host: &[u8]) -> bool {
    let plain = |byte: &u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']')
    };
    host.iter().all(plain) && is_host(host)
}

/// Whether every line ends with CRLF, beginning with the first.
fn is_of_lines(head: &[u8]) -> bool {
    let ends = |at: usize| at.checked_sub(1).and_then(|before| head.get(before)) == Some(&b'\r');
    head.starts_with(b"POST ") && memchr::memchr_iter(b'\n', head).all(ends)
}

fn length(digits: &[u8]) -> Option<usize> {
    if !(1..=MOST_DIGITS).contains(&digits.len()) {
        return None;
    }
    digits.iter().try_fold(0, |number, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        Some(number * 10 + usize::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: &str = "POST /rpc?api-key=x HTTP/1.1\r\nHost: 127.0.0.1:8899\r\nContent-Type: application/json\r\n";

    fn head_and_body(request: &str) -> Option<(usize, usize)> {
        SimpleRequest::read(request.as_bytes()).map(|simple| (simple.head, simple.body))
    }

    #[test]
    fn a_plain_call_is_ordinary_with_another_behind_it_too() {
        let head = format!("{USUAL}Content-Length: 2\r\n\r\n");
        assert_eq!(head_and_body(&format!("{head}{{}}")), Some((head.len(), 2)));
        let two = format!("{head}{{}}{head}{{");
        let simple = SimpleRequest::read(two.as_bytes()).unwrap();
        assert_eq!((simple.head, simple.body), (head.len(), 2));
        assert_eq!((simple.path, simple.query), ("/rpc", Some("api-key=x")));
    }

    #[test]
    fn no_beginning_of_a_call_is_ordinary() {
        let whole = format!("{USUAL}content-length: 2\r\n\r\n{{}}");
        for end in 0..whole.len() {
            assert_eq!(head_and_body(whole.get(..end).unwrap()), None, "{end}");
        }
        assert!(head_and_body(&whole).is_some());
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_not_ordinary() {
        for lines in [
            "Content-Length: 2\r\nContent-Length: 2\r\n",
            "Content-Length: 2, 2\r\n",
            "Content-Length: +2\r\n",
            "Content-Length: 0x2\r\n",
            "Content-Length:\r\n",
            "Content-Length : 2\r\n",
            "Content-Length: 9999999\r\n",
            "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: identity\r\nContent-Length: 2\r\n",
            "Content-Length: 2\r\nHost: b\r\n",
            "Content-Length: 2\r\nExpect: 100-continue\r\n",
            "Content-Length: 2\r\nUpgrade: h2c\r\n",
            "Content-Length: 2\r\nConnection: close\r\n",
            "X: a\r\n Content-Length: 3\r\nContent-Length: 2\r\n",
            "X: a\nContent-Length: 2\r\n",
            "X: a\rContent-Length: 2\r\n",
            "Content-Length: 2\n",
            ": a\r\nContent-Length: 2\r\n",
            "",
        ] {
            assert_eq!(
                head_and_body(&format!("{USUAL}{lines}\r\n{{}}")),
                None,
                "{lines:?}"
            );
        }
    }

    #[test]
    fn other_methods_versions_targets_and_hosts_are_not_ordinary() {
        let usual = format!("{USUAL}content-length: 2\r\n\r\n{{}}");
        for (usually, instead) in [
            ("POST", "PUT"),
            ("POST", "post"),
            ("POST", "\r\nPOST"),
            ("HTTP/1.1", "HTTP/1.0"),
            ("/rpc", "http://a/rpc"),
            ("/rpc", "//a/rpc"),
            ("/rpc", "/a\\b"),
            ("/rpc", "/a#b"),
            ("/rpc", "*"),
            ("127.0.0.1", "user@a"),
            ("Host: 127.0.0.1:8899\r\n", ""),
            ("application/json", "text/plain"),
        ] {
            assert_eq!(
                head_and_body(&usual.replace(usually, instead)),
                None,
                "{instead}"
            );
        }
        assert!(head_and_body(&usual).is_some());
    }
}
