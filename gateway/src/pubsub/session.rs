//! The socket of one client: its messages are answered, its subscriptions are served, and if it has
//! to be closed, the code tells clients what to do.

mod client;
mod departure;
mod ending;
mod entry_terms;
mod farewell;
mod message_handler;
mod message_reply;
mod mixed_batch;
mod outbound;
mod shown;
mod subscriptions;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::FuturesUnordered;
use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

pub use self::client::{SocketClient, SocketObserver};
use self::departure::Departure;
pub use self::ending::EndedSocket;
use self::ending::{end, within};
use self::farewell::farewell;
use self::message_handler::MessageHandler;
use self::message_reply::MessageReply;
use self::outbound::FrameWriter;
use self::shown::ShownSlots;
use super::deflate::InflatingStream;
use super::hub::Hub;
use super::outbox::Outbox;
use super::socket_end::SocketEnd;
use crate::config::WebSocket;

#[cfg(test)]
mod compression_tests;
#[cfg(test)]
mod farewell_tests;
#[cfg(test)]
mod hostile_frames;
#[cfg(test)]
mod shown_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod unread_tests;

/// Read from and written to a socket at once.
const BUFFER: usize = 4096;
/// Messages that are written before others have a turn, and how long that may take.
const WRITES: usize = 64;
const WRITING: Duration = Duration::from_secs(1);

/// A socket whose handshake is over.
pub struct SubscriberSession<S> {
    hub: Arc<Hub>,
    socket: WebSocketStream<InflatingStream<S>>,
    frames: FrameWriter,
    outbox: Arc<Outbox>,
    shown: ShownSlots,
    speaker: MessageHandler,
    settings: WebSocket,
    write_timeout: Duration,
    calls: FuturesUnordered<Pin<Box<dyn Future<Output = MessageReply> + Send>>>,
    heard: Instant,
    pinged: Instant,
    /// When the credentials were last checked.
    checked: Instant,
    changes: watch::Receiver<u64>,
    /// A call or subscription was there when it was last looked.
    used: bool,
    /// More waits than could be written at once: what else there is comes first.
    yields: bool,
    messages: usize,
    notifications: usize,
    bytes: usize,
    compressed: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> SubscriberSession<S> {
    /// `unread` are bytes that followed the handshake.
    pub async fn new(hub: Arc<Hub>, stream: S, unread: Vec<u8>, client: SocketClient) -> Self {
        let snapshot = hub.published.load();
        let settings = snapshot.config.websocket.clone();
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER)
            .write_buffer_size(BUFFER)
            .max_message_size(Some(settings.max_message))
            .max_frame_size(Some(settings.max_message));
        let outbox = Outbox::among(&hub.total, settings.queue);
        let changes = hub.published.changes();
        let now = Instant::now();
        let agreement = client.compression;
        let (stream, unread) = match agreement {
            Some(_) => {
                let (inflaters, longest) = (Arc::clone(&hub.inflaters), settings.max_message);
                let stream = InflatingStream::agreed(stream, inflaters, &unread, longest);
                (stream, Vec::new())
            }
            None => (InflatingStream::plain(stream), unread),
        };
        Self {
            socket: WebSocketStream::from_partially_read(
                stream,
                unread,
                Role::Server,
                Some(config),
            )
            .await,
            frames: FrameWriter::new(Arc::clone(&hub), agreement, settings.compression.clone()),
            shown: ShownSlots::new(Arc::clone(&hub), client.context.client),
            speaker: MessageHandler::new(
                Arc::clone(&hub),
                Arc::clone(&outbox),
                client,
                settings.subscriptions,
            ),
            hub,
            outbox,
            write_timeout: snapshot.config.limits.write_timeout,
            settings,
            calls: FuturesUnordered::new(),
            heard: now,
            pinged: now,
            checked: now,
            changes,
            used: false,
            yields: false,
            messages: 0,
            notifications: 0,
            bytes: 0,
            compressed: 0,
        }
    }

    /// Serves the socket until its end.
    pub async fn serve(mut self) -> EndedSocket {
        let end = self.converse().await;
        self.speaker.leave();
        self.hub.metrics.closed(end);
        farewell(&mut self.socket, end).await;
        EndedSocket {
            end,
            messages: self.messages,
            notifications: self.notifications,
            bytes: self.bytes,
            compressed: self.compressed,
        }
    }

    async fn converse(&mut self) -> SocketEnd {
        let hub = Arc::clone(&self.hub);
        // The configuration may have changed between the handshake and now.
        if let Err(end) = self.check() {
            return end;
        }
        let mut leave = std::pin::pin!(hub.leaves());
        let mut leaving: Option<Departure> = None;
        loop {
            let leaves_at = leaving.as_mut().map(|departure| {
                let waits = self.speaker.awaits_signature();
                if waits {
                    departure.waits();
                }
                departure.at(waits)
            });
            let leaves = leaves_at.is_some_and(|at| at <= Instant::now());
            if leaves && self.calls.is_empty() && self.outbox.is_empty() {
                return SocketEnd::Leaving;
            }
            self.tell_use();
            let looks_at = self.next_look();
            let wakes = match leaves_at {
                Some(at) if !leaves => at.min(looks_at),
                _ => looks_at,
            };
            // Calls in progress are still answered.
            let listens = self.has_room() && !leaves;
            let yields = std::mem::take(&mut self.yields);
            let step = tokio::select! {
                biased;
                () = self.outbox.filled(), if !yields => self.write().await,
                Some(answer) = self.calls.next(), if !self.calls.is_empty() => {
                    self.outbox.answer(answer.text, &answer.makes_known);
                    // It counts there from here on.
                    drop(answer.held);
                    Ok(())
                }
                message = self.socket.next(), if listens => self.hear(message),
                Ok(()) = self.changes.changed() => self.check(),
                () = &mut leave, if leaving.is_none() => {
                    leaving = Some(Departure::within(self.settings.close_over));
                    Ok(())
                }
                () = sleep_until(wakes) => self.look().await,
                () = std::future::ready(()), if yields => Ok(()),
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    /// Tells the edge whether something is done for the client, when that changes.
    fn tell_use(&mut self) {
        let used = !self.calls.is_empty() || self.speaker.is_subscribed();
        if used != std::mem::replace(&mut self.used, used) {
            self.speaker.is_used(used);
        }
    }

    /// Whether the client may continue. Keys may be revoked, tokens expire, and plans change.
    fn check(&mut self) -> Result<(), SocketEnd> {
        self.checked = Instant::now();
        self.speaker.tidy();
        self.speaker.may_stay()
    }

    /// When the client's silence has to be checked.
    fn next_ping(&self) -> Instant {
        self.heard.max(self.pinged) + self.settings.ping_interval
    }

    fn next_look(&self) -> Instant {
        self.next_ping()
            .min(self.checked + self.settings.ping_interval)
    }

    /// Whether another message may be read.
    fn has_room(&self) -> bool {
        self.calls.len() < self.settings.calls && !self.outbox.is_full()
    }

    async fn look(&mut self) -> Result<(), SocketEnd> {
        let now = Instant::now();
        if !self.has_room() {
            // Whatever the client sends, nobody reads it.
            self.heard = now;
        }
        if now >= self.checked + self.settings.ping_interval {
            self.check()?;
        }
        if now < self.next_ping() {
            return Ok(());
        }
        if now.saturating_duration_since(self.heard) >= self.settings.ping_interval * 3 {
            return Err(SocketEnd::Silent);
        }
        self.pinged = now;
        let ping = self.socket.send(Message::Ping(Bytes::new()));
        match timeout(self.write_timeout, ping).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_gone)) => Err(SocketEnd::Client),
            Err(_elapsed) => Err(SocketEnd::Slow),
        }
    }

    fn hear(&mut self, message: Option<Result<Message, Error>>) -> Result<(), SocketEnd> {
        self.heard = Instant::now();
        let text: Bytes = match message {
            Some(Ok(Message::Text(text))) => text.into(),
            // A node accepts these too.
            Some(Ok(Message::Binary(bytes))) => bytes,
            Some(Ok(Message::Ping(_))) => {
                // Tungstenite has the answer ready. It is written before anything more is read, or
                // answers would pile up for a client that reads none.
                self.outbox.has_more();
                return Ok(());
            }
            Some(Ok(Message::Pong(_) | Message::Frame(_))) => return Ok(()),
            Some(Ok(Message::Close(_))) | None => return Err(SocketEnd::Client),
            Some(Err(error)) => return Err(end(&error)),
        };
        if message_handler::is_ping(&text) {
            return Ok(());
        }
        self.messages += 1;
        self.hub.metrics.message();
        self.calls.push(self.speaker.answer(text));
        Ok(())
    }

    /// Writes what waits, for a while. A client that accepts nothing is disconnected in time; for one that
    /// accepts it slowly calls go on meanwhile, since they hold connections of upstreams.
    async fn write(&mut self) -> Result<(), SocketEnd> {
        let (socket, outbox, calls) = (&mut self.socket, &self.outbox, &mut self.calls);
        let frames = &self.frames;
        let (notifications, bytes) = (&mut self.notifications, &mut self.bytes);
        let (compressed, shown) = (&mut self.compressed, &mut self.shown);
        let patience = self.write_timeout;
        let (begun, mut turns) = (Instant::now(), 0..WRITES);
        let writing = async {
            // What was fed before the last message has been sent by then.
            let mut under_way = None;
            while begun.elapsed() < WRITING
                && turns.next().is_some()
                && let Some(item) = outbox.take()
            {
                *notifications += usize::from(item.is_notification());
                if let Some(slot) = item.shows() {
                    shown.tell(slot);
                }
                let charge = outbox.writes(item.length());
                let written = frames.frame(item).await?;
                *bytes += written.text;
                *compressed += usize::from(written.is_compressed);
                within(patience, socket.feed(written.frame)).await?;
                under_way = Some(charge);
            }
            let flushed = within(patience, socket.flush()).await;
            outbox.wrote();
            drop(under_way);
            flushed
        };
        let answering = async {
            while let Some(answer) = calls.next().await {
                outbox.answer(answer.text, &answer.makes_known);
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            () = outbox.overflows() => Err(SocketEnd::Slow),
            written = writing => written,
            () = answering => Ok(()),
        }?;
        self.yields = !self.outbox.is_empty();
        if self.yields {
            self.outbox.has_more();
        }
        if self.outbox.has_overflowed() {
            return Err(SocketEnd::Slow);
        }
        Ok(())
    }
}
