//! Pingora's own reader of requests as a second opinion: whatever the gateway accepts it reads with
//! the same method, target, body and end. The fuzz target `request_head` looks further.

use std::io::Cursor;

use bytes::BytesMut;
use pingora::protocols::http::ServerSession;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::request::{HeadEndSeeker, ParsedRequest};
use super::*;
use crate::edge::fast_path::simple_request::SimpleRequest;

/// What a reader makes of the beginning of a connection.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    method: String,
    target: String,
    body: Vec<u8>,
    /// What is left for the next request.
    rest: Vec<u8>,
}

fn target(path: &str, query: Option<&str>) -> String {
    query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"))
}

fn short_way(bytes: &[u8]) -> Option<Seen> {
    let simple = SimpleRequest::read(bytes)?;
    let (head, length) = (simple.head, simple.body);
    Some(Seen {
        method: "POST".to_owned(),
        target: target(simple.path, simple.query),
        body: bytes[head..head + length].to_vec(),
        rest: bytes[head + length..].to_vec(),
    })
}

fn long_way(bytes: &[u8]) -> Option<Seen> {
    let bytes = bytes.strip_prefix(b"\r\n").unwrap_or(bytes);
    let end = HeadEndSeeker::default().seek(bytes).ok()??;
    let request = ParsedRequest::read(Bytes::copy_from_slice(&bytes[..end])).ok()?;
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
        target: target(&request.path, request.query.as_deref()),
        body,
        rest: input.to_vec(),
    })
}

/// Method, target and body; `None` if it is refused or not there as a whole.
async fn pingora(bytes: &[u8]) -> Option<(String, String, Vec<u8>)> {
    let mut session = ServerSession::new_http1(Box::new(Cursor::new(bytes.to_vec())));
    session.read_request().await.ok().filter(|read| *read)?;
    let mut body = Vec::new();
    while let Some(piece) = session.read_request_body().await.ok()? {
        body.extend_from_slice(&piece);
    }
    let head = session.req_header();
    let (method, uri) = (head.method.to_string(), &head.uri);
    Some((method, target(uri.path(), uri.query()), body))
}

/// Whether the request is accepted.
fn agrees(bytes: &[u8]) -> bool {
    let shown = String::from_utf8_lossy(bytes);
    let ours = long_way(bytes);
    if let Some(short) = short_way(bytes) {
        assert_eq!(ours.as_ref(), Some(&short), "{shown:?}");
    }
    let Some(ours) = ours else { return false };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let end = bytes.len() - ours.rest.len();
    let mut expected = Some((ours.method, ours.target, ours.body));
    for taken in [bytes, &bytes[..end]] {
        let theirs = runtime.block_on(pingora(taken));
        if let (Some(ours), Some(theirs)) = (&mut expected, &theirs)
            && ours.0 == "CONNECT"
        {
            // It names no path, and is refused.
            ours.1.clone_from(&theirs.1);
        }
        assert_eq!(theirs, expected, "{shown:?}");
    }
    let theirs = runtime.block_on(pingora(&bytes[..end - 1]));
    assert_eq!(theirs, None, "without the last byte: {shown:?}");
    true
}

const HEAD: &str = "POST /rpc?a=b HTTP/1.1\r\nHost: a:1\r\nContent-Type: application/json\r\n";

fn requests() -> Vec<String> {
    let next = "GET /health HTTP/1.1\r\nHost: a:1\r\n\r\n";
    vec![
        format!("{HEAD}Content-Length: 4\r\n\r\n{{}}\r\n{next}"),
        format!("\r\n{HEAD}Content-Length: 2\r\n\r\n{{}}"),
        format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n{next}"),
        format!(
            "{HEAD}Transfer-Encoding: Chunked\r\n\r\n1;a=b\r\n{{\r\n01;c=\"d;\\\"e\"\r\n}}\r\n0;f\r\nx: y\r\n\r\n{next}"
        ),
        format!("OPTIONS * HTTP/1.1\r\nHost: a:1\r\nConnection: close\r\n\r\n{next}"),
        "GET http://a:1/health?x HTTP/1.1\r\nHost: a:1\r\nExpect: 100-continue\r\n\r\n".to_owned(),
        "GET //x HTTP/1.0\r\n\r\n".to_owned(),
    ]
}

#[test]
fn pingora_reads_what_is_accepted_as_the_gateway_does() {
    for request in requests() {
        assert!(agrees(request.as_bytes()), "{request:?}");
    }
    for target in [
        "/a\\b",
        "/a|b",
        "/{}",
        "/%zz",
        "/a^b",
        "/?",
        "/??a?",
        "/a//b/../c",
        "/;",
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: a:1\r\n\r\n");
        assert!(agrees(request.as_bytes()), "{request:?}");
    }
}

/// What makes the difference between readers.
const TELLING: &[&str] = &[
    "\r\n",
    "\n",
    "\r",
    "\r\n\r\n",
    " ",
    "\t",
    "\0",
    "\u{b}",
    ":",
    ";",
    ",",
    "\"",
    "\\",
    "0",
    "5",
    "a",
    "g",
    "+",
    "-",
    "/",
    "?",
    "#",
    "@",
    "%",
    "=",
    "0\r\n",
    "0\r\n\r\n",
    ";a\r\n",
    "Host: a:1\r\n",
    "Content-Length: 2\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Connection: close\r\n",
    "chunked",
    "HTTP/1.0",
    "http://",
    "[",
    "\u{e9}",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn pingora_reads_what_is_accepted_of_the_nearly_right_as_the_gateway_does(
        request in select(requests()),
        changes in prop::collection::vec((any::<Index>(), 0_usize..4, select(TELLING)), 0..4),
    ) {
        let mut bytes = request.into_bytes();
        for (place, removed, added) in changes {
            let at = place.index(bytes.len() + 1);
            let end = (at + removed).min(bytes.len());
            bytes.splice(at..end, added.bytes());
        }
        agrees(&bytes);
    }
}
