//! HTTP/1 as bytes: reading a request from a connection and writing the head of a reply. Written
//! out by hand because the faults need every byte and every close under control.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::treatment::{Close, Framing, Reply};

/// Longest request head.
const MAX_HEAD: usize = 64 * 1024;
/// Longest request body.
const MAX_BODY: usize = 64 * 1024 * 1024;

/// A request, whole.
#[derive(Debug)]
pub struct Request {
    pub method: String,
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

impl Request {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(own, _)| own == name)
            .map(|(_, value)| value.as_str())
    }

    /// Whether the client wants the connection closed after the reply.
    pub fn wants_close(&self) -> bool {
        self.header("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

/// Reads the next request; `None` when the peer has closed between requests.
pub async fn read_request(
    stream: &mut TcpStream,
    inbox: &mut BytesMut,
) -> io::Result<Option<Request>> {
    let mut request = loop {
        if let Some((length, request)) = parse_head(inbox)? {
            drop(inbox.split_to(length));
            break request;
        }
        if inbox.len() > MAX_HEAD {
            return Err(invalid("request head too long"));
        }
        if stream.read_buf(inbox).await? == 0 {
            return if inbox.is_empty() {
                Ok(None)
            } else {
                Err(io::ErrorKind::UnexpectedEof.into())
            };
        }
    };
    if request.header("expect").is_some() {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    request.body = if request.header("transfer-encoding").is_some() {
        read_chunks(stream, inbox).await?
    } else {
        let length = request.header("content-length").unwrap_or("0");
        let length = length.parse().map_err(|_text| invalid("content-length"))?;
        read_exactly(stream, inbox, length).await?
    };
    Ok(Some(request))
}

fn parse_head(inbox: &[u8]) -> io::Result<Option<(usize, Request)>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Request::new(&mut headers);
    let parsed = head
        .parse(inbox)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    let httparse::Status::Complete(length) = parsed else {
        return Ok(None);
    };
    let headers = head.headers.iter().map(|header| {
        let value = String::from_utf8_lossy(header.value).into_owned();
        (header.name.to_ascii_lowercase(), value)
    });
    Ok(Some((
        length,
        Request {
            method: head.method.unwrap_or_default().to_owned(),
            target: head.path.unwrap_or_default().to_owned(),
            headers: headers.collect(),
            body: Bytes::new(),
        },
    )))
}

async fn read_exactly(
    stream: &mut TcpStream,
    inbox: &mut BytesMut,
    length: usize,
) -> io::Result<Bytes> {
    if length > MAX_BODY {
        return Err(invalid("request body too long"));
    }
    while inbox.len() < length {
        if stream.read_buf(inbox).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(inbox.split_to(length).freeze())
}

async fn read_chunks(stream: &mut TcpStream, inbox: &mut BytesMut) -> io::Result<Bytes> {
    let mut body = BytesMut::new();
    loop {
        let line = read_line(stream, inbox).await?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).map_err(|_text| invalid("chunk size"))?;
        if size == 0 {
            while !read_line(stream, inbox).await?.is_empty() {}
            return Ok(body.freeze());
        }
        if body.len() + size > MAX_BODY {
            return Err(invalid("request body too long"));
        }
        body.extend_from_slice(&read_exactly(stream, inbox, size).await?);
        read_line(stream, inbox).await?;
    }
}

async fn read_line(stream: &mut TcpStream, inbox: &mut BytesMut) -> io::Result<String> {
    loop {
        if let Some(end) = inbox.iter().position(|byte| *byte == b'\n') {
            let line = inbox.split_to(end + 1);
            return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
        }
        if inbox.len() > MAX_HEAD || stream.read_buf(inbox).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// The head of a reply.
pub fn head(reply: &Reply, validator: usize, framing: Framing, close: Close) -> String {
    let version = if framing == Framing::UntilClose {
        "HTTP/1.0"
    } else {
        "HTTP/1.1"
    };
    let status = reply.status;
    let reason = http::StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("Unknown");
    let mut head = format!("{version} {status} {reason}\r\n");
    let mut line = |name: &str, value: &str| {
        head.push_str(name);
        head.push_str(": ");
        head.push_str(value);
        head.push_str("\r\n");
    };
    line("content-type", reply.content_type);
    line("x-sandbox-validator", &validator.to_string());
    for (name, value) in &reply.headers {
        line(name, value);
    }
    match framing {
        Framing::Length => line("content-length", &reply.body.len().to_string()),
        Framing::Chunked => line("transfer-encoding", "chunked"),
        Framing::UntilClose => {}
    }
    if close == Close::Announced {
        line("connection", "close");
    }
    head.push_str("\r\n");
    head
}
