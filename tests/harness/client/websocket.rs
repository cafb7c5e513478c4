//! A WebSocket client for tests: calls and their answers, notifications in the order in which they
//! came, and how the socket ended.

use std::collections::VecDeque;

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use crate::wait::PATIENCE;

/// Longest message a client takes.
const LONGEST: usize = 256 * 1024 * 1024;

/// An open socket.
#[derive(Debug)]
pub struct WebSocket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Notifications that came while an answer was awaited.
    early: VecDeque<Value>,
    last_id: u64,
}

/// What comes over a socket.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    /// A message that is JSON.
    Json(Value),
    /// Any other message.
    Other(Message),
    /// The peer closed, with this code if it gave one.
    Closed(Option<u16>),
    /// The socket broke: cut, or with bytes that are no frames.
    Broken(String),
}

/// A notification.
#[derive(Debug, Clone, PartialEq)]
pub struct Notification {
    pub method: String,
    pub subscription: u64,
    pub result: Value,
}

impl Notification {
    /// The slot of its context.
    pub fn slot(&self) -> Option<u64> {
        self.result.pointer("/context/slot")?.as_u64()
    }

    fn read(json: &Value) -> Option<Self> {
        let params = json.get("params")?;
        Some(Self {
            method: json.get("method")?.as_str()?.to_owned(),
            subscription: params.get("subscription")?.as_u64()?,
            result: params.get("result")?.clone(),
        })
    }
}

impl WebSocket {
    /// Connects and shakes hands.
    pub async fn open(url: &str) -> Result<Self, Error> {
        Self::open_with(url.into_client_request()?).await
    }

    /// The same with headers of one's own.
    pub async fn open_with(request: Request) -> Result<Self, Error> {
        let config = WebSocketConfig::default()
            .max_message_size(Some(LONGEST))
            .max_frame_size(Some(LONGEST));
        let opened = connect_async_with_config(request, Some(config), true);
        let opened = timeout(PATIENCE, opened).await;
        let (stream, _) = opened.expect("the handshake to end")?;
        Ok(Self {
            stream,
            early: VecDeque::new(),
            last_id: 0,
        })
    }

    /// Sends a message.
    pub async fn send(&mut self, message: Message) -> Result<(), Error> {
        self.stream.send(message).await
    }

    /// Calls a method and waits for the whole answer.
    ///
    /// # Panics
    /// If there is none.
    pub async fn call(&mut self, method: &str, params: &Value) -> Value {
        self.last_id += 1;
        let id = self.last_id;
        let call = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let sent = self.send(Message::text(call.to_string())).await;
        sent.expect("an open socket");
        loop {
            match self.hear().await {
                Heard::Json(json) if json.get("id") == Some(&json!(id)) => return json,
                Heard::Json(json) => self.early.push_back(json),
                other => panic!("no answer to {method}: {other:?}"),
            }
        }
    }

    /// Subscribes and gives the id.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn subscribe(&mut self, method: &str, params: &Value) -> u64 {
        let answer = self.call(method, params).await;
        let id = answer.get("result").and_then(Value::as_u64);
        id.unwrap_or_else(|| panic!("{method} was refused: {answer}"))
    }

    /// The next notification.
    ///
    /// # Panics
    /// If something else comes, or nothing.
    pub async fn notification(&mut self) -> Notification {
        let heard = match self.early.pop_front() {
            Some(json) => Heard::Json(json),
            None => self.hear().await,
        };
        let read = match &heard {
            Heard::Json(json) => Notification::read(json),
            _ => None,
        };
        read.unwrap_or_else(|| panic!("no notification: {heard:?}"))
    }

    /// So many of them.
    pub async fn notifications(&mut self, count: usize) -> Vec<Notification> {
        let mut all = Vec::with_capacity(count);
        while all.len() < count {
            all.push(self.notification().await);
        }
        all
    }

    /// Notifications that have come and were not asked for yet: all that were sent before the answer
    /// to a call made now.
    pub async fn pending(&mut self) -> Vec<Notification> {
        // No node has this method; it answers nevertheless, in its turn.
        self.call("sandboxPending", &json!([])).await;
        let early = std::mem::take(&mut self.early);
        early.iter().filter_map(Notification::read).collect()
    }

    /// The next thing that comes, notifications that came early not among it.
    ///
    /// # Panics
    /// If nothing comes.
    pub async fn hear(&mut self) -> Heard {
        loop {
            let next = timeout(PATIENCE, self.stream.next()).await;
            match next.expect("something to come over the socket") {
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(frame))) => {
                    return Heard::Closed(frame.map(|frame| frame.code.into()));
                }
                Some(Ok(message)) => {
                    let json = message.to_text().ok().map(serde_json::from_str);
                    return match json {
                        Some(Ok(json)) => Heard::Json(json),
                        _ => Heard::Other(message),
                    };
                }
                Some(Err(error)) => return Heard::Broken(error.to_string()),
                None => return Heard::Broken("no more".to_owned()),
            }
        }
    }

    /// Sends a ping of the protocol and waits for its pong.
    ///
    /// # Panics
    /// If something else comes, or nothing.
    pub async fn ping(&mut self) {
        let sent = self.send(Message::Ping("are you there?".into())).await;
        sent.expect("an open socket");
        loop {
            let next = timeout(PATIENCE, self.stream.next()).await;
            match next.expect("a pong") {
                Some(Ok(Message::Pong(_))) => return,
                Some(Ok(message)) => {
                    let text = message.to_text().expect("a text message");
                    let json = serde_json::from_str(text).expect("JSON");
                    self.early.push_back(json);
                }
                other => panic!("no pong: {other:?}"),
            }
        }
    }
}
