//! A TCP connection to the gateway, byte by byte: for requests that no HTTP library would send.

#![expect(clippy::expect_used, reason = "a harness fails the test it is used in")]

use std::fmt::Debug;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::tls::Identity;
use crate::wait::PATIENCE;

/// In clear or within TLS.
trait Wire: AsyncRead + AsyncWrite + Debug + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Debug + Send + Unpin> Wire for T {}

/// A connection and its bytes not yet used.
#[derive(Debug)]
pub struct RawConnection {
    stream: Box<dyn Wire>,
    inbox: Vec<u8>,
}

/// How an answer that takes its connection along comes to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// All that was announced has come.
    Whole,
    /// Less than was announced has come.
    Short,
    /// Without a length, closed in good order.
    Closed,
    /// Without a length, reset.
    Reset,
}

impl End {
    /// Whether the client sees that something is missing.
    pub fn is_cut(self) -> bool {
        matches!(self, Self::Short | Self::Reset)
    }
}

/// A reply taken off a raw connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawReply {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl RawReply {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(own, _)| own == name)
            .map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl RawConnection {
    /// Connects.
    ///
    /// # Panics
    /// If nobody listens.
    pub async fn open(address: SocketAddr) -> Self {
        Self::over(Box::new(connect(address).await))
    }

    /// Connects and agrees on TLS with a server of this identity and the name `localhost`, without a
    /// word about versions of HTTP.
    ///
    /// # Panics
    /// If nobody listens, or it is another server.
    pub async fn open_tls(address: SocketAddr, identity: &Identity) -> Self {
        let stream = identity.dial(connect(address).await).await;
        Self::over(Box::new(stream))
    }

    fn over(stream: Box<dyn Wire>) -> Self {
        Self {
            stream,
            inbox: Vec::new(),
        }
    }

    /// Sends bytes; a peer that has closed already is noticed when reading.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let sent = async {
            self.stream.write_all(bytes.as_ref()).await?;
            self.stream.flush().await
        };
        sent.await.unwrap_or_default();
    }

    /// Reads the next reply, `None` if the connection ends before one is complete.
    pub async fn reply(&mut self) -> Option<RawReply> {
        let mut reply = loop {
            if let Some((length, reply)) = parse_head(&self.inbox) {
                drop(self.inbox.drain(..length));
                // An interim reply is followed by the real one.
                if reply.status != 101 && reply.status / 100 == 1 {
                    return Some(reply);
                }
                break reply;
            }
            self.more().await?;
        };
        if let Some(length) = reply.header("content-length") {
            let length = length.parse().expect("a number in content-length");
            while self.inbox.len() < length {
                self.more().await?;
            }
            reply.body = self.inbox.drain(..length).collect();
        } else if reply.header("transfer-encoding").is_some() {
            reply.body = self.chunks().await?;
        } else {
            while self.more().await.is_some() {}
            reply.body = std::mem::take(&mut self.inbox);
        }
        Some(reply)
    }

    /// Reads an answer to its end; whether the connection then ended as after a complete answer.
    ///
    /// # Panics
    /// If it keeps the connection open.
    pub async fn ends(mut self) -> End {
        let mut length = None;
        let end = loop {
            if length.is_none()
                && let Some((head, reply)) = parse_head(&self.inbox)
            {
                let announced = reply.header("content-length");
                let body = announced.map(|text| text.parse::<usize>().expect("a length"));
                length = Some(body.map(|body| head + body));
            }
            let read = timeout(PATIENCE, self.stream.read_buf(&mut self.inbox)).await;
            match read.expect("bytes or the end of the connection") {
                Ok(0) => break End::Closed,
                Ok(_) => {}
                Err(_) => break End::Reset,
            }
        };
        match length.flatten() {
            Some(whole) if self.inbox.len() < whole => End::Short,
            Some(_) => End::Whole,
            None => end,
        }
    }

    /// Waits until the peer closes, and gives what it still sent.
    ///
    /// # Panics
    /// If it keeps the connection open.
    pub async fn closed(mut self) -> Vec<u8> {
        while self.more().await.is_some() {}
        self.inbox
    }

    /// Stops sending but goes on listening.
    pub async fn finish(&mut self) {
        self.stream.shutdown().await.unwrap_or_default();
    }

    async fn chunks(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.line().await?;
            let size = usize::from_str_radix(line.trim(), 16).expect("a chunk size");
            while self.inbox.len() < size + 2 {
                self.more().await?;
            }
            body.extend(self.inbox.drain(..size));
            drop(self.inbox.drain(..2));
            if size == 0 {
                return Some(body);
            }
        }
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.inbox.iter().position(|byte| *byte == b'\n') {
                let line: Vec<_> = self.inbox.drain(..=end).collect();
                return Some(String::from_utf8_lossy(&line).into_owned());
            }
            self.more().await?;
        }
    }

    /// Reads some more; `None` at the end, a reset counting as one.
    async fn more(&mut self) -> Option<()> {
        let read = timeout(PATIENCE, self.stream.read_buf(&mut self.inbox))
            .await
            .expect("bytes or the end of the connection");
        match read {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(()),
        }
    }
}

async fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).await.expect("a connection");
    stream.set_nodelay(true).expect("TCP_NODELAY");
    stream
}

fn parse_head(inbox: &[u8]) -> Option<(usize, RawReply)> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = head.parse(inbox).expect("an HTTP reply") else {
        return None;
    };
    let headers = head.headers.iter().map(|header| {
        let value = String::from_utf8_lossy(header.value).into_owned();
        (header.name.to_ascii_lowercase(), value)
    });
    Some((
        length,
        RawReply {
            status: head.code.unwrap_or_default(),
            headers: headers.collect(),
            body: Vec::new(),
        },
    ))
}

/// An HTTP/1.1 POST with these extra header lines, correctly framed.
pub fn post(body: &str, extra: &str) -> String {
    format!(
        "POST / HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\ncontent-length: \
         {}\r\n{extra}\r\n{body}",
        body.len()
    )
}
