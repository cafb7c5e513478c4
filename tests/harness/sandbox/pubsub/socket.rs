//! One WebSocket of a node: calls in, answers and notifications out, with whatever the node's
//! faults do to them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::feed::Cursor;
use super::subscription::{Order, Subject, Subscription, offered, order};
use super::{OpenSocket, told};
use crate::sandbox::afflictions::Spell;
use crate::sandbox::body::Body;
use crate::sandbox::failure::Failure;
use crate::sandbox::fault::{Garbage, Kind};
use crate::sandbox::params::Params;
use crate::sandbox::rpc::{Call, Incoming, error_body};
use crate::sandbox::validator::Validator;

/// Longest message a node takes.
const LONGEST: usize = 4_096;
/// How long a peer may take to answer a close frame.
const GOODBYE: Duration = Duration::from_secs(5);

/// A subscription of this socket.
#[derive(Debug)]
struct Entry {
    id: u64,
    /// The method that made it.
    method: String,
    what: Subscription,
    /// Whether the notification that its transaction was received is still due.
    awaits_receipt: bool,
}

/// A WebSocket and its client's subscriptions.
#[derive(Debug)]
pub(in crate::sandbox) struct Socket {
    stream: WebSocketStream<TcpStream>,
    validator: Arc<Validator>,
    entries: Vec<Entry>,
    cursor: Cursor,
    steering: watch::Receiver<()>,
    setting: watch::Receiver<u64>,
    /// The number of the last fault when it was opened.
    born: u64,
    /// Notifications sent since each fault that counts them was set.
    sent: HashMap<u64, u64>,
    /// Subscriptions asked for.
    asked: u64,
    /// What waits for the next one to overtake it.
    held: Option<(String, String)>,
    _open: OpenSocket,
}

/// Why a socket ends. It is not reported: the client sees it.
#[derive(Debug)]
enum End {
    Peer,
    Close { code: u16, reason: String },
}

impl From<Error> for End {
    fn from(_error: Error) -> Self {
        Self::Peer
    }
}

impl From<std::io::Error> for End {
    fn from(_error: std::io::Error) -> Self {
        Self::Peer
    }
}

impl Socket {
    /// Takes over a connection after the handshake, and the bytes that came with it.
    pub(in crate::sandbox) async fn new(
        stream: TcpStream,
        read_ahead: Vec<u8>,
        validator: Arc<Validator>,
    ) -> Self {
        let config = WebSocketConfig::default()
            .max_message_size(Some(LONGEST))
            .max_frame_size(Some(LONGEST));
        let stream =
            WebSocketStream::from_partially_read(stream, read_ahead, Role::Server, Some(config))
                .await;
        let setting = validator.faults().setting();
        let born = *setting.borrow();
        Self {
            stream,
            entries: Vec::new(),
            cursor: Cursor::new(validator.sight()),
            steering: validator.cluster().clock.steering(),
            born,
            setting,
            sent: HashMap::new(),
            asked: 0,
            held: None,
            _open: validator.desk().open(),
            validator,
        }
    }

    /// Serves until either side closes.
    pub(in crate::sandbox) async fn serve(mut self) {
        let end = loop {
            if let Err(end) = self.turn().await {
                break end;
            }
        };
        if let End::Close { code, reason } = end {
            // The peer may be gone by now.
            self.close(code, &reason).await.unwrap_or_default();
        }
    }

    /// Does what is due, and waits for the next thing to happen.
    async fn turn(&mut self) -> Result<(), End> {
        let spells = self.validator.faults().spells();
        self.meet_close(&spells)?;
        if spells
            .iter()
            .any(|spell| spell.fault.kind == Kind::WsFreeze)
        {
            // The faults outlive the socket.
            return self.setting.changed().await.map_err(|_gone| End::Peer);
        }
        if !spells.iter().any(|one| one.fault.kind == Kind::WsReorder)
            && let Some((method, text)) = self.held.take()
        {
            self.send(&method, text).await?;
        }
        let tip = self.validator.cluster().clock.tip();
        self.tell(&spells).await?;
        let validator = Arc::clone(&self.validator);
        tokio::select! {
            message = self.stream.next() => match message {
                Some(message) => {
                    let message = message?;
                    // An answer is about now: it does not overtake what came about before.
                    let spells = self.validator.faults().spells();
                    self.tell(&spells).await?;
                    self.hear(message).await
                }
                None => Err(End::Peer),
            },
            () = validator.cluster().clock.beyond(tip, &mut self.steering) => Ok(()),
            changed = self.setting.changed() => changed.map_err(|_gone| End::Peer),
        }
    }

    /// Closes for a fault that was set since the socket was opened, once.
    fn meet_close(&mut self, spells: &[Spell]) -> Result<(), End> {
        for spell in spells {
            let Kind::WsClose {
                code,
                reason,
                after,
            } = &spell.fault.kind
            else {
                continue;
            };
            let due = match after {
                None => spell.number > self.born,
                Some(after) => self.sent.get(&spell.number).copied().unwrap_or(0) >= *after,
            };
            if due && self.validator.faults().use_up(spell.number) {
                return Err(End::Close {
                    code: *code,
                    reason: reason.clone(),
                });
            }
        }
        Ok(())
    }

    async fn hear(&mut self, message: Message) -> Result<(), End> {
        let text = match &message {
            Message::Text(text) => text.as_bytes(),
            Message::Binary(bytes) => bytes,
            // Tungstenite answers them by itself.
            Message::Ping(_) => {
                self.validator.desk().count(|tally| tally.pings += 1);
                return Ok(());
            }
            _ => return Ok(()),
        };
        self.validator.desk().count(|tally| tally.received += 1);
        let answer = match Incoming::parse(text) {
            Ok(incoming) => incoming.answer(|call| {
                let answer = self.call(call);
                if answer.is_err() {
                    self.validator.desk().count(|tally| tally.refused += 1);
                }
                answer
            }),
            Err(failure) => error_body(&failure, "null", false),
        };
        let answer = answer.collect();
        let text = String::from_utf8_lossy(&answer);
        if !text.is_empty() {
            self.stream.send(Message::text(text.trim_end())).await?;
        }
        Ok(())
    }

    fn call(&mut self, call: &Call) -> Result<Body, Failure> {
        let Some((order, stem)) = order(&call.method) else {
            if call.method == "getVersion" {
                return self.validator.version();
            }
            return Err(Failure::new(-32601, "Method not found"));
        };
        offered(stem, self.validator.offer())?;
        let params = Params::parse(call.params.as_deref())?;
        let result = match order {
            Order::Subscribe => json!(self.subscribe(&call.method, stem, &params)?),
            Order::Unsubscribe => {
                self.unsubscribe(params.number(0)?)?;
                json!(true)
            }
        };
        Ok(result.to_string().into())
    }

    fn subscribe(&mut self, method: &str, stem: &str, params: &Params) -> Result<u64, Failure> {
        let what = Subscription::read(stem, params)?;
        self.asked += 1;
        let full =
            self.validator.faults().spells().iter().any(
                |spell| matches!(spell.fault.kind, Kind::WsRefuse { from } if self.asked >= from),
            );
        if full {
            return Err(Failure::new(
                -32603,
                "Internal Error: Subscription refused. Node subscription limit reached",
            ));
        }
        if let Some(entry) = self.entries.iter().find(|entry| entry.what == what) {
            return Ok(entry.id);
        }
        let id = self.validator.desk().subscribe(method, &what.key());
        let awaits_receipt = match &what.subject {
            Subject::Signature {
                signature,
                received: true,
            } => self.validator.cluster().ledger.find(signature).is_none(),
            _ => false,
        };
        self.entries.push(Entry {
            id,
            method: method.to_owned(),
            what,
            awaits_receipt,
        });
        Ok(id)
    }

    fn unsubscribe(&mut self, id: u64) -> Result<(), Failure> {
        let Some(at) = self.entries.iter().position(|entry| entry.id == id) else {
            return Err(Failure::params("Invalid subscription id."));
        };
        let entry = self.entries.remove(at);
        let desk = self.validator.desk();
        desk.forget(&entry.method, &entry.what.key());
        desk.count(|tally| *tally.unsubscribed.entry(entry.method).or_default() += 1);
        Ok(())
    }

    /// Notifies every subscription of what happened.
    async fn tell(&mut self, spells: &[Spell]) -> Result<(), End> {
        let lag = spells.iter().map(|spell| match spell.fault.kind {
            Kind::WsLag { slots } => slots,
            _ => 0,
        });
        let sight = self.validator.sight_behind(lag.max().unwrap_or(0));
        let validator = Arc::clone(&self.validator);
        let cluster = validator.cluster();
        let events = self.cursor.advance(sight);
        for event in &events {
            cluster.ledger.seal(event.moment.slot);
            let mut due = Vec::new();
            for entry in &self.entries {
                for result in told::results(cluster, &entry.what, event) {
                    due.push((entry.method.clone(), notification(entry, &result)));
                }
            }
            for (method, text) in due {
                self.push(&method, text).await?;
            }
        }
        if !events.is_empty() {
            self.tell_signatures().await?;
        }
        Ok(())
    }

    /// A subscription to a transaction ends with the word that it was processed.
    async fn tell_signatures(&mut self) -> Result<(), End> {
        let mut due = Vec::new();
        let mut done = Vec::new();
        let ledger = &self.validator.cluster().ledger;
        for entry in &mut self.entries {
            let Subject::Signature { signature, .. } = &entry.what.subject else {
                continue;
            };
            let Some(landed) = ledger.find(signature) else {
                continue;
            };
            let mut say = |entry: &Entry, result: &Value| {
                due.push((entry.method.clone(), notification(entry, result)));
            };
            if std::mem::take(&mut entry.awaits_receipt) {
                say(entry, &told::signature_received(landed.slot));
            }
            let seen = self.cursor.at(entry.what.level);
            if landed.slot <= seen {
                say(entry, &told::signature_result(seen, landed.err.as_ref()));
                done.push(entry.id);
            }
        }
        self.entries.retain(|entry| {
            let over = done.contains(&entry.id);
            if over {
                let desk = self.validator.desk();
                desk.forget(&entry.method, &entry.what.key());
            }
            !over
        });
        for (method, text) in due {
            self.push(&method, text).await?;
        }
        Ok(())
    }

    /// Sends a notification, or what the faults make of it.
    async fn push(&mut self, subscribed: &str, mut text: String) -> Result<(), End> {
        let method = notification_of(subscribed);
        let spells = self.validator.faults().spells();
        let (mut twice, mut reorder) = (false, false);
        let mut garbage = None;
        for spell in &spells {
            if !spell.fault.methods.is_empty() && !spell.fault.methods.contains(&method) {
                continue;
            }
            let used = || self.validator.faults().use_up(spell.number);
            match &spell.fault.kind {
                Kind::WsSilence { after } => {
                    let sent = self.sent.get(&spell.number).copied().unwrap_or(0);
                    if sent >= *after {
                        return Ok(());
                    }
                }
                Kind::WsOversized { bytes } if used() => text = padded(text, *bytes),
                Kind::WsGarbage { what } if used() => garbage = Some(*what),
                Kind::WsDuplicate if used() => twice = true,
                Kind::WsReorder => reorder = true,
                _ => {}
            }
        }
        if let Some(what) = garbage {
            return self.send_garbage(what, &text).await;
        }
        if reorder && self.held.is_none() {
            self.held = Some((method, text));
            return Ok(());
        }
        if twice {
            self.send(&method, text.clone()).await?;
        }
        self.send(&method, text).await?;
        // Of notifications that are not to change places, none overtakes what is held.
        if reorder && let Some((method, text)) = self.held.take() {
            self.send(&method, text).await?;
        }
        Ok(())
    }

    async fn send(&mut self, method: &str, text: String) -> Result<(), End> {
        self.stream.send(Message::text(text)).await?;
        self.validator
            .desk()
            .count(|tally| *tally.notified.entry(method.to_owned()).or_default() += 1);
        let spells = self.validator.faults().spells();
        for spell in &spells {
            if matches!(
                spell.fault.kind,
                Kind::WsClose { after: Some(_), .. } | Kind::WsSilence { .. }
            ) {
                *self.sent.entry(spell.number).or_default() += 1;
            }
        }
        self.meet_close(&spells)
    }

    async fn send_garbage(&mut self, what: Garbage, instead_of: &str) -> Result<(), End> {
        let message = match what {
            Garbage::Text => Message::text("<<not json>>{\"jsonrpc\":"),
            Garbage::Json => Message::text("{\"status\":\"ok\"}"),
            Garbage::Stranger => Message::text(
                r#"{"jsonrpc":"2.0","method":"slotNotification","params":{"result":{"parent":1,"root":1,"slot":2},"subscription":9007199254740993}}"#,
            ),
            Garbage::Binary => Message::binary(vec![0xff, 0x00, 0xfe]),
            Garbage::Utf8 => return self.raw(&[0x81, 0x02, 0xc3, 0x28]).await,
            // Reserved bits and an opcode that there is not.
            Garbage::Frame => return self.raw(&[0xf3, 0x7e, 0xff]).await,
            Garbage::Slot => Message::text(of_unreachable_slot(instead_of)),
        };
        Ok(self.stream.send(message).await?)
    }

    /// Writes past the frames.
    async fn raw(&mut self, bytes: &[u8]) -> Result<(), End> {
        self.stream.flush().await?;
        Ok(self.stream.get_mut().write_all(bytes).await?)
    }

    /// Closes with any code, also those that no peer may send, and waits for the peer to go, so that
    /// what it still sends does not reset the connection under the frame.
    async fn close(&mut self, code: u16, reason: &str) -> Result<(), End> {
        if code == 1006 {
            return Ok(());
        }
        let mut payload = Vec::new();
        if code != 0 {
            payload.extend_from_slice(&code.to_be_bytes());
            payload.extend(reason.bytes().take(123));
        }
        let mut frame = vec![0x88, u8::try_from(payload.len()).unwrap_or(0)];
        frame.extend_from_slice(&payload);
        self.raw(&frame).await?;
        let stream = self.stream.get_mut();
        stream.shutdown().await?;
        let mut rest = Vec::new();
        let gone = timeout(GOODBYE, stream.read_to_end(&mut rest)).await;
        // A peer that stays is left behind.
        gone.map_or(Ok(()), |read| read.map(drop).map_err(End::from))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let desk = self.validator.desk();
        for entry in &self.entries {
            desk.forget(&entry.method, &entry.what.key());
        }
    }
}

/// `accountSubscribe` is notified by `accountNotification`.
fn notification_of(subscribed: &str) -> String {
    subscribed.replace("Subscribe", "Notification")
}

fn notification(entry: &Entry, result: &Value) -> String {
    let method = notification_of(&entry.method);
    let id = entry.id;
    format!(
        r#"{{"jsonrpc":"2.0","method":"{method}","params":{{"result":{result},"subscription":{id}}}}}"#
    )
}

/// The same notification, of the last slot that a u64 holds.
fn of_unreachable_slot(text: &str) -> String {
    let mut notification: Value = serde_json::from_str(text).unwrap_or_default();
    for place in ["/context/slot", "/slot", "/parent", ""] {
        let place = format!("/params/result{place}");
        if let Some(slot) = notification.pointer_mut(&place)
            && slot.is_u64()
        {
            *slot = u64::MAX.into();
        }
    }
    notification.to_string()
}

/// A notification with one unknown member more.
fn padded(text: String, bytes: u64) -> String {
    let missing = usize::try_from(bytes)
        .unwrap_or(0)
        .saturating_sub(text.len());
    let Some(open) = text.strip_suffix('}').filter(|_| missing > 0) else {
        return text;
    };
    format!(r#"{open},"padding":"{}"}}"#, "a".repeat(missing))
}
