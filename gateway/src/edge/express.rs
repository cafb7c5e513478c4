//! The short way of ordinary calls over HTTP/1: answered from the bytes as they were read, without
//! a session of Pingora's being built for them. Everything that is not ordinary takes the long way
//! with not a byte of it taken away: [`RpcApp::exchange`], which also refuses what is to be refused.
//!
//! ```text
//! read ─▶ ordinary? ─ yes ─▶ pipeline ─▶ write ─▶ read on
//!            └ no ─▶ Pingora's session ─▶ …      ─▶ read on
//! ```

mod request;
mod wire;

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures::FutureExt;
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, Sleep, sleep, timeout};

use self::request::Ordinary;
use self::wire::Plain;
use super::access::Entry;
use super::connections::Tracked;
use super::head::{self, Head};
use super::reply;
use super::rpc::{Cut, RpcApp};
use crate::auth::ConsumerId;
use crate::snapshot::Snapshot;

/// Bytes that are read at once; what is larger takes the long way.
const ROOM: usize = 8 * 1024;

/// Serves a connection of HTTP/1 until its end. `patience` bounds the silence before the first
/// request; before later ones the configuration in force does.
pub(super) async fn serve(
    app: &Arc<RpcApp>,
    stream: Stream,
    tracked: &Arc<Tracked>,
    patience: Duration,
) {
    let mut connection = Connection::new(stream, tracked, patience);
    loop {
        // Counted until the request is, so that nobody thinks there is neither.
        let waiting = app.drain.waiting();
        if connection.unread.is_empty() {
            if !connection.read().await {
                return;
            }
        } else {
            // Whoever sends many requests at once leaves room for others.
            tokio::task::consume_budget().await;
        }
        let snapshot = app.published.load();
        let Some(call) = connection.call(app, &snapshot) else {
            let Some(next) = connection.long_way(app).await else {
                return;
            };
            connection = next;
            continue;
        };
        let _serving = app.drain.serving();
        drop(waiting);
        if !tracked.begin() {
            return;
        }
        if connection.answer(app, &snapshot, call).await.is_err() {
            return;
        }
        tracked.end(connection.silence.since);
    }
}

/// A connection between two requests.
struct Connection<'a> {
    stream: Stream,
    tracked: &'a Arc<Tracked>,
    client_ip: Option<IpAddr>,
    /// The beginning of the next request, and of those behind it.
    unread: BytesMut,
    /// For heads and small answers.
    buffer: Vec<u8>,
    /// The first bytes were looked at before, and come by themselves.
    looked_at: bool,
    silence: Silence,
}

/// A call that was read.
struct Call {
    started: Instant,
    head: Head,
    consumer: Option<ConsumerId>,
    body: Bytes,
}

impl<'a> Connection<'a> {
    fn new(stream: Stream, tracked: &'a Arc<Tracked>, patience: Duration) -> Self {
        Self {
            client_ip: head::peer_ip(&stream),
            stream,
            tracked,
            unread: BytesMut::new(),
            buffer: Vec::new(),
            looked_at: true,
            silence: Silence::new(patience),
        }
    }

    /// Waits for bytes; whether some came.
    async fn read(&mut self) -> bool {
        self.unread.reserve(ROOM);
        let came = tokio::select! {
            biased;
            read = self.stream.read_buf(&mut self.unread) => matches!(read, Ok(1..)),
            () = self.silence.too_long() => false,
        };
        if came && std::mem::take(&mut self.looked_at) {
            drop(self.stream.read_buf(&mut self.unread).now_or_never());
        }
        came
    }

    /// Takes the next call, if it is an ordinary one that may be answered here.
    fn call(&mut self, app: &RpcApp, snapshot: &Snapshot) -> Option<Call> {
        let keepalive = snapshot.config.listen.keepalive;
        if app.drain.is_leaving() || keepalive < Duration::from_secs(1) {
            return None;
        }
        let ordinary = Ordinary::read(&self.unread)?;
        if ordinary.body > snapshot.config.limits.max_body {
            return None;
        }
        let (fields, path, query) = (&ordinary.fields, ordinary.path, ordinary.query);
        let consumer = head::identify(fields, path, query, snapshot).ok()?;
        let head = Head::new(fields, self.client_ip);
        let (before, length) = (ordinary.head, ordinary.body);
        self.unread.advance(before);
        let started = Instant::now();
        self.silence.patience = keepalive;
        Some(Call {
            started,
            head,
            consumer,
            body: self.unread.split_to(length).freeze(),
        })
    }

    async fn answer(
        &mut self,
        app: &RpcApp,
        snapshot: &Arc<Snapshot>,
        call: Call,
    ) -> Result<(), Cut> {
        let Call {
            started,
            head,
            consumer,
            body,
        } = call;
        app.metrics.called_by(consumer.as_ref(), &snapshot.config);
        let request = app.request(snapshot, &head, consumer.as_ref(), started);
        let response = tokio::select! {
            biased;
            response = request.answer(body) => response,
            () = self.gone() => {
                app.metrics.client_gone();
                return Err(Cut);
            }
        };
        let log = snapshot.config.log.access;
        let entry = log.then(|| Entry::new(&response, &head, consumer, started));
        let limits = &snapshot.config.limits;
        let mut wire = Plain::new(&mut self.stream, &mut self.buffer, self.tracked, limits);
        app.metrics.replied(response.status);
        let written = reply::write(&mut wire, response, &head, &snapshot.config).await;
        app.account(entry.as_ref(), written)?;
        self.silence.since = Instant::now();
        Ok(())
    }

    /// Resolves when the client has closed its connection. What it sends meanwhile is kept.
    async fn gone(&mut self) {
        if matches!(self.stream.read_buf(&mut self.unread).await, Ok(1..)) {
            std::future::pending::<()>().await;
        }
    }

    /// Has the next request answered by a session of Pingora's. `None` ends the connection.
    async fn long_way(mut self, app: &Arc<RpcApp>) -> Option<Self> {
        // What follows is read behind it.
        self.unread.reserve(ROOM);
        let mut session = ServerSession::new_http1(self.stream);
        session.set_keepalive(Some(self.silence.patience.as_secs().max(1)));
        session.set_pipelined_prefix(self.unread);
        app.exchange(&mut session, self.tracked).await.ok()?;
        // What is left to be said is little, but it has to be taken too.
        let limit = app.published.load().config.limits.write_timeout;
        let finished = timeout(limit, session.finish()).await.ok()?;
        let (stream, unread) = finished.ok().flatten()?.into_parts();
        self.silence.since = Instant::now();
        Some(Self {
            stream,
            unread: unread.unwrap_or_default(),
            ..self
        })
    }
}

/// How long a client says nothing. One timer for the whole connection, which is looked at again
/// when it has run out: most requests come long before.
struct Silence {
    patience: Duration,
    since: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Silence {
    fn new(patience: Duration) -> Self {
        Self {
            patience,
            since: Instant::now(),
            timer: Box::pin(sleep(patience)),
        }
    }

    /// Resolves when it has lasted for as long as there is patience.
    async fn too_long(&mut self) {
        loop {
            self.timer.as_mut().await;
            let end = self.since + self.patience;
            if end <= Instant::now() {
                return;
            }
            self.timer.as_mut().reset(end);
        }
    }
}
