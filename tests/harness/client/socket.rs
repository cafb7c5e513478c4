//! A client that speaks WebSocket, message by message.

#![expect(clippy::expect_used, reason = "a harness fails the test it is used in")]

use std::net::SocketAddr;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

/// Longer than anything takes that happens at all.
const PATIENCE: Duration = Duration::from_mins(1);

/// An open socket.
#[derive(Debug)]
pub struct Socket {
    frames: WebSocketStream<TcpStream>,
    asked: u64,
    /// Notifications that came while an answer was waited for.
    kept: std::collections::VecDeque<Value>,
}

impl Socket {
    /// Opens a socket.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn open(address: SocketAddr, path: &str) -> Self {
        Self::try_open(address, path).await.expect("a WebSocket")
    }

    /// Opens a socket, or returns why it could not.
    ///
    /// # Errors
    /// Tungstenite's; [`Error::Http`] holds the refusal.
    pub async fn try_open(address: SocketAddr, path: &str) -> Result<Self, Error> {
        Self::try_open_with(address, path, &[]).await
    }

    /// The same with header fields in the handshake.
    ///
    /// # Errors
    /// Tungstenite's; [`Error::Http`] holds the refusal.
    ///
    /// # Panics
    /// If a value cannot be written into a header.
    pub async fn try_open_with(
        address: SocketAddr,
        path: &str,
        fields: &[(&'static str, &str)],
    ) -> Result<Self, Error> {
        let stream = TcpStream::connect(address).await?;
        let mut request = format!("ws://{address}{path}").into_client_request()?;
        for (name, value) in fields {
            let value = value.parse().expect("a value of a header field");
            request.headers_mut().append(*name, value);
        }
        let (frames, _) = client_async(request, stream).await?;
        Ok(Self {
            frames,
            asked: 0,
            kept: std::collections::VecDeque::new(),
        })
    }

    /// Sends a text.
    ///
    /// # Panics
    /// If the socket is closed.
    pub async fn say(&mut self, text: impl Into<String>) {
        let text = Message::text(text.into());
        self.frames.send(text).await.expect("an open socket");
    }

    /// The next text, as JSON. `None` when the socket has ended.
    ///
    /// # Panics
    /// If none comes, or one that is no JSON.
    pub async fn hear(&mut self) -> Option<Value> {
        if let Some(kept) = self.kept.pop_front() {
            return Some(kept);
        }
        self.receive().await
    }

    async fn receive(&mut self) -> Option<Value> {
        loop {
            let message = timeout(PATIENCE, self.frames.next()).await;
            match message.expect("a message in time") {
                Some(Ok(Message::Text(text))) => {
                    return Some(serde_json::from_str(text.as_str()).expect("JSON"));
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }

    /// Calls a method and waits for its answer; notifications that come before it are kept.
    ///
    /// # Panics
    /// If no answer comes.
    pub async fn call(&mut self, method: &str, params: Value) -> Value {
        self.asked += 1;
        let id = self.asked;
        let call = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        self.say(call.to_string()).await;
        loop {
            let heard = self.receive().await.expect("an answer");
            if heard.get("id") == Some(&json!(id)) {
                return heard;
            }
            self.kept.push_back(heard);
        }
    }

    /// Subscribes and returns the id of the subscription.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn subscribe(&mut self, method: &str, params: Value) -> u64 {
        let answer = self.call(method, params).await;
        let id = answer.get("result").and_then(Value::as_u64);
        id.unwrap_or_else(|| panic!("{method}: {answer}"))
    }

    /// Reads until the socket is closed; the code it is closed with, 1006 without one.
    ///
    /// # Panics
    /// If it is not closed.
    pub async fn closes(&mut self) -> u16 {
        loop {
            let message = timeout(PATIENCE, self.frames.next()).await;
            match message.expect("a close frame in time") {
                Some(Ok(Message::Close(frame))) => {
                    return frame.map_or(1005, |frame| frame.code.into());
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return 1006,
            }
        }
    }

    /// The stream below, for what no client should do.
    pub fn stream(&mut self) -> &mut TcpStream {
        self.frames.get_mut()
    }
}
