//! A client that offers permessage-deflate, frame by frame: the library of the other clients has none.

#![expect(clippy::expect_used, reason = "a harness fails the test it is used in")]

use std::net::SocketAddr;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::wait::PATIENCE;

/// What is taken off the end of a compressed message.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
/// Longest message a client takes.
const LONGEST: usize = 16 << 20;

/// An open socket.
#[derive(Debug)]
pub struct DeflatingSocket {
    stream: BufReader<TcpStream>,
    /// What was agreed: the value of `sec-websocket-extensions` in the answer.
    pub agreed: Option<String>,
}

/// A frame, its payload as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// With its bits.
    pub first: u8,
    pub payload: Vec<u8>,
}

/// A text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    pub text: String,
    /// What it took on the wire, if it was compressed.
    pub compressed: Option<usize>,
}

impl Text {
    /// # Panics
    /// If it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).expect("JSON")
    }
}

impl DeflatingSocket {
    /// Opens a socket with these fields of extensions.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn open(address: SocketAddr, offers: &[&str]) -> Self {
        let stream = TcpStream::connect(address).await.expect("a connection");
        stream.set_nodelay(true).expect("an open connection");
        // One of many in benchmarks: it should cost little.
        let mut stream = BufReader::with_capacity(2048, stream);
        let mut head = "GET / HTTP/1.1\r\nhost: gateway\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                        sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            .to_owned();
        for offer in offers {
            head += "Sec-WebSocket-Extensions: ";
            head += offer;
            head += "\r\n";
        }
        head += "\r\n";
        stream
            .write_all(head.as_bytes())
            .await
            .expect("an open connection");
        let mut answer = String::new();
        while !answer.ends_with("\r\n\r\n") {
            let byte = timeout(PATIENCE, stream.read_u8()).await;
            answer.push(char::from(
                byte.expect("an answer in time").expect("an answer"),
            ));
        }
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        let agreed = answer
            .lines()
            .find_map(|line| line.strip_prefix("sec-websocket-extensions: "))
            .map(str::to_owned);
        Self { stream, agreed }
    }

    /// Writes a frame, masked.
    ///
    /// # Panics
    /// If the socket is closed.
    pub async fn send(&mut self, first: u8, payload: &[u8]) {
        let mask = [0x12, 0x34, 0x56, 0x78];
        let mut frame = vec![first];
        let short = u8::try_from(payload.len()).ok();
        if let Some(length) = short.filter(|length| *length < 126) {
            frame.push(0x80 | length);
        } else {
            frame.push(0xff);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
        frame.extend(mask);
        let masked = payload.iter().zip(mask.iter().cycle());
        frame.extend(masked.map(|(byte, mask)| byte ^ mask));
        self.stream.write_all(&frame).await.expect("an open socket");
    }

    /// Sends a text, compressed.
    pub async fn say(&mut self, text: &str) {
        self.send(0xc1, &deflated(text.as_bytes())).await;
    }

    /// The next frame that is no ping.
    ///
    /// # Panics
    /// If none comes.
    pub async fn frame(&mut self) -> Frame {
        loop {
            let frame = timeout(PATIENCE, self.read()).await;
            let frame = frame.expect("a frame in time").expect("an open socket");
            if frame.first != 0x89 {
                return frame;
            }
        }
    }

    async fn read(&mut self) -> std::io::Result<Frame> {
        let first = self.stream.read_u8().await?;
        let length = match self.stream.read_u8().await? {
            126 => u64::from(self.stream.read_u16().await?),
            127 => self.stream.read_u64().await?,
            length => u64::from(length),
        };
        let mut payload = vec![0; usize::try_from(length).unwrap_or(usize::MAX).min(LONGEST)];
        self.stream.read_exact(&mut payload).await?;
        Ok(Frame { first, payload })
    }

    /// The next text.
    ///
    /// # Panics
    /// If something else comes, or nothing.
    pub async fn text(&mut self) -> Text {
        let Frame { first, payload } = self.frame().await;
        let (bytes, compressed) = match first {
            0x81 => (payload, None),
            0xc1 => (inflated(&payload), Some(payload.len())),
            _ => panic!("{first:#x}, no text: {payload:?}"),
        };
        let text = String::from_utf8(bytes).expect("UTF-8");
        Text { text, compressed }
    }

    /// Calls a method, compressed, and waits for the answer: whatever comes next.
    pub async fn call(&mut self, method: &str, params: &Value) -> Text {
        let call = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        self.say(&call.to_string()).await;
        self.text().await
    }

    /// Reads until the socket is closed; with which code.
    pub async fn closes(&mut self) -> u16 {
        loop {
            let Frame { first, payload } = self.frame().await;
            if first == 0x88 {
                let code = payload.first_chunk().copied();
                return code.map_or(1005, u16::from_be_bytes);
            }
        }
    }
}

/// A message as a client compresses it.
///
/// # Panics
/// Never.
pub fn deflated(text: &[u8]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(text.len() + 1000);
    Compress::new(Compression::fast(), false)
        .compress_vec(text, &mut payload, FlushCompress::Sync)
        .expect("bytes to be compressed");
    payload.truncate(payload.len() - TAIL.len());
    payload
}

/// A message as a client decompresses it, which keeps nothing of those before.
///
/// # Panics
/// If it is no deflate.
pub fn inflated(payload: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(LONGEST);
    Decompress::new(false)
        .decompress_vec(&[payload, &TAIL].concat(), &mut text, FlushDecompress::Sync)
        .expect("compressed bytes");
    text
}
