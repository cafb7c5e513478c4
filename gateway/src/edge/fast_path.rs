//! The fast path of simple calls over HTTP/1: served from the bytes as they were read. Every other
//! request goes to the full parser, [`super::http1`], with all its bytes; only that one refuses
//! requests.
//!
//! ```text
//! read ─▶ simple? ─ yes ─▶ pipeline ─▶ write ─▶ next read
//!           └ no ─▶ full parser ─▶ …       ─▶ next read
//! ```

mod idle_timer;
pub(super) mod simple_request;
pub(super) mod wire;

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures::FutureExt;
use http::Method;
use pingora::protocols::Stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

use self::idle_timer::IdleTimer;
use self::simple_request::SimpleRequest;
use self::wire::{DirectWrite, WriteMode};
use super::access::AccessEntry;
use super::api_path;
use super::connections::TrackedConnection;
use super::fields::RequestFields;
use super::head;
use super::http1::request::{HeadEndSeeker, ParsedRequest};
use super::http1::{ConnectionEnd, Http1};
use super::reply::{self, ApiRefusal};
use super::request_end::ConnectionCut;
use super::request_head::RequestHead;
use super::rpc_app::{RpcApp, note};
use super::session::HttpSession as _;
use super::websocket::{self, UpgradeRequest, UpgradedConnection};
use crate::config::Limits;
use crate::context::Protocol;
use crate::error::Rejection;
use crate::snapshot::Snapshot;

/// Bytes read at once; a larger request goes to the full parser.
const ROOM: usize = 8 * 1024;

/// How long, and for how many bytes, a client is read from that was refused before it had sent its
/// whole request. If the connection were closed at once it would be reset, and the answer lost.
const FAREWELL: Duration = Duration::from_secs(1);
const FAREWELL_BYTES: usize = 1024 * 1024;

/// Serves an HTTP/1 connection until its end, or until it becomes a WebSocket. `patience` limits the silence before the first
/// request; before later ones the current configuration does.
pub(super) async fn serve(
    app: &Arc<RpcApp>,
    stream: Stream,
    tracked: &Arc<TrackedConnection>,
    (patience, only_websocket): (Duration, bool),
) -> Option<UpgradedConnection> {
    let mut connection = FastConnection::new(stream, tracked, patience, only_websocket);
    loop {
        // Counted until the request is, so that one of the two always counts.
        let waiting = app.drain.waiting();
        if connection.unread.is_empty() {
            if !connection.read().await {
                return None;
            }
        } else {
            // A client that pipelines many requests leaves room for others.
            tokio::task::consume_budget().await;
        }
        if connection.skip_line() && connection.unread.is_empty() {
            continue;
        }
        let snapshot = app.published.load();
        let Some(call) = connection.call(app, &snapshot) else {
            match connection.long_way(app, &snapshot).await {
                Ok(None) => continue,
                Ok(Some(opening)) => return Some(connection.upgraded(opening)),
                Err(ConnectionCut) => return None,
            }
        };
        let _serving = app.drain.serving();
        drop(waiting);
        if !tracked.begin() {
            return None;
        }
        connection.answer(app, &snapshot, call).await.ok()?;
        tracked.end(connection.silence.since);
    }
}

/// A connection between two requests.
struct FastConnection<'a> {
    stream: Stream,
    tracked: &'a Arc<TrackedConnection>,
    /// The beginning of the next request, and of those after it.
    unread: BytesMut,
    /// An empty line before the next request was skipped.
    skipped: bool,
    /// For heads and small answers.
    buffer: Vec<u8>,
    /// The first bytes were examined before, and arrive by themselves.
    looked_at: bool,
    silence: IdleTimer,
    /// This port serves WebSocket only.
    only_websocket: bool,
}

/// A parsed call.
struct FastCall {
    head: RequestHead,
    body: Bytes,
}

impl<'a> FastConnection<'a> {
    fn new(
        stream: Stream,
        tracked: &'a Arc<TrackedConnection>,
        patience: Duration,
        only_websocket: bool,
    ) -> Self {
        Self {
            stream,
            tracked,
            unread: BytesMut::new(),
            skipped: false,
            buffer: Vec::new(),
            looked_at: true,
            silence: IdleTimer::new(patience),
            only_websocket,
        }
    }

    fn upgraded(self, opening: Box<UpgradeRequest>) -> UpgradedConnection {
        UpgradedConnection {
            stream: self.stream,
            unread: self.unread,
            opening,
        }
    }

    /// Waits for bytes; returns whether some arrived.
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

    /// Takes the next call, if it is a simple one that may be answered here.
    fn call(&mut self, app: &RpcApp, snapshot: &Snapshot) -> Option<FastCall> {
        let keepalive = snapshot.config.listen.keepalive;
        if self.only_websocket || app.drain.is_leaving() || keepalive < Duration::from_secs(1) {
            return None;
        }
        let simple = SimpleRequest::read(&self.unread)?;
        if simple.body > snapshot.config.limits.max_body {
            return None;
        }
        let (fields, path, query) = (&simple.fields, simple.path, simple.query);
        if fields.instance.is_some() {
            return None;
        }
        if api_path::is_api(&Method::POST, path, snapshot) {
            return None;
        }
        let mut context = head::context(fields, self.tracked, Protocol::Http1, snapshot);
        let allowances = &app.pipeline.allowances;
        let consumer = head::identify(fields, path, query, &context, snapshot, allowances).ok()?;
        context.identified(consumer);
        head::check_origin(fields, &context, snapshot).ok()?;
        context.begin("POST", snapshot.sampling);
        let head = RequestHead::new(fields, context);
        let (before, length) = (simple.head, simple.body);
        self.unread.advance(before);
        self.skipped = false;
        self.silence.patience = keepalive;
        Some(FastCall {
            head,
            body: self.unread.split_to(length).freeze(),
        })
    }

    async fn answer(
        &mut self,
        app: &RpcApp,
        snapshot: &Arc<Snapshot>,
        call: FastCall,
    ) -> Result<(), ConnectionCut> {
        let FastCall { head, body } = call;
        let consumer = head.context.consumer.as_ref();
        app.metrics.called_by(consumer, &snapshot.config);
        let request = app.request(snapshot, &head);
        let log = snapshot.config.log.access;
        let kept = log.then(|| body.clone());
        let response = tokio::select! {
            biased;
            response = request.answer(body) => response,
            () = self.gone() => {
                RpcApp::log_gone(kept.as_ref(), &head);
                app.metrics.client_gone();
                return Err(ConnectionCut);
            }
        };
        let entry = log.then(|| AccessEntry::new(&response, &head));
        let limits = &snapshot.config.limits;
        let (stream, buffer, mut manner) =
            (&mut self.stream, &mut self.buffer, WriteMode::kept_alive());
        let mut wire = DirectWrite::new(stream, buffer, &mut manner, self.tracked, limits);
        app.metrics
            .replied_to(&head.context, response.status, snapshot);
        note(&response, &head);
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

    /// Skips one empty line before the next request: old clients end a body with it (RFC 9112
    /// §2.2).
    fn skip_line(&mut self) -> bool {
        let skips = !self.skipped && self.unread.starts_with(b"\r\n");
        if skips {
            self.unread.advance(2);
            self.skipped = true;
        }
        skips
    }

    /// Parses the next request fully and answers it, unless it asks for a WebSocket. An error ends
    /// the connection.
    async fn long_way(
        &mut self,
        app: &RpcApp,
        snapshot: &Arc<Snapshot>,
    ) -> Result<Option<Box<UpgradeRequest>>, ConnectionCut> {
        let limits = &snapshot.config.limits;
        let read = self.head(limits).await?;
        let _serving = app.drain.serving();
        let request = match read.and_then(ParsedRequest::read) {
            Ok(request) => request,
            Err(rejection) => {
                self.refuse(app, snapshot, &rejection).await?;
                return Ok(None);
            }
        };
        let refused = match websocket::look_at(app, snapshot, &request, self.tracked) {
            Some(Ok(opening)) => return Ok(Some(opening)),
            Some(Err(refused)) => Some(refused),
            None if self.only_websocket => {
                Some(websocket::wanted(app, snapshot, &request, self.tracked))
            }
            None => None,
        };
        let mut session = Http1::new(
            &mut self.stream,
            (&mut self.unread, &mut self.buffer),
            &request,
            (self.tracked, limits),
        );
        let served = match refused {
            Some(refused) => {
                let websocket::RefusedUpgrade { rejection, context } = *refused;
                let head = RequestHead::new(&session.fields(), context);
                let refusal = ApiRefusal::rpc(&rejection);
                app.refuse(&mut session, snapshot, &refusal, &head).await
            }
            None => app.serve(&mut session, snapshot).await,
        };
        let ends = session.ends();
        match (served, ends) {
            (Ok(()), ConnectionEnd::GoesOn) => {
                self.silence.patience = snapshot.config.listen.keepalive;
                self.silence.since = Instant::now();
                Ok(None)
            }
            (_, ConnectionEnd::Reset) => {
                wire::reset(&self.stream);
                Err(ConnectionCut)
            }
            (Ok(()), ConnectionEnd::Unread) => {
                self.farewell().await;
                Err(ConnectionCut)
            }
            _ => Err(ConnectionCut),
        }
    }

    /// The next complete head, within the limits.
    async fn head(&mut self, limits: &Limits) -> Result<Result<Bytes, Rejection>, ConnectionCut> {
        let end = Instant::now() + limits.head_timeout;
        let mut seeker = HeadEndSeeker::default();
        let mut unfinished = self.tracked.unfinished_body(limits.unfinished_bodies);
        let mut counted = 0;
        loop {
            if self.skip_line() {
                seeker = HeadEndSeeker::default();
            }
            match seeker.seek(&self.unread) {
                Ok(Some(length)) => {
                    self.skipped = false;
                    return Ok(Ok(self.unread.split_to(length).freeze()));
                }
                Ok(None) => {}
                Err(rejection) => return Ok(Err(rejection)),
            }
            let more = self.unread.len().saturating_sub(counted);
            counted += more;
            if !unfinished.add(more) {
                return Ok(Err(Rejection::TooManyBodies));
            }
            self.unread.reserve(ROOM);
            match timeout_at(end, self.stream.read_buf(&mut self.unread)).await {
                Ok(Ok(1..)) => {}
                Ok(Ok(0) | Err(_)) => return Err(ConnectionCut),
                Err(_elapsed) => return Ok(Err(Rejection::HeadTimeout)),
            }
        }
    }

    /// Refuses an invalid request, of which only the origin is known.
    async fn refuse(
        &mut self,
        app: &RpcApp,
        snapshot: &Snapshot,
        rejection: &Rejection,
    ) -> Result<(), ConnectionCut> {
        tracing::debug!(%rejection, "invalid request head");
        let fields = RequestFields::default();
        let context = head::context(&fields, self.tracked, Protocol::Http1, snapshot);
        let head = RequestHead::new(&fields, context);
        let mut manner = WriteMode::for_request(false, true, false);
        let (stream, buffer) = (&mut self.stream, &mut self.buffer);
        let limits = &snapshot.config.limits;
        let mut wire = DirectWrite::new(stream, buffer, &mut manner, self.tracked, limits);
        let refusal = ApiRefusal::rpc(rejection);
        app.tell(&mut wire, snapshot, &refusal, &head).await?;
        self.farewell().await;
        Err(ConnectionCut)
    }

    /// Ends the connection, but reads until the client has received its answer and closed.
    async fn farewell(&mut self) {
        let leave = async {
            self.stream.shutdown().await.ok()?;
            let mut heard = self.unread.len();
            while heard < FAREWELL_BYTES {
                self.unread.clear();
                self.unread.reserve(ROOM);
                match self.stream.read_buf(&mut self.unread).await {
                    Ok(read @ 1..) => heard += read,
                    Ok(0) | Err(_) => break,
                }
            }
            Some(())
        };
        drop(timeout(FAREWELL, leave).await);
    }
}
