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

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use http::Method;
use pingora::protocols::Stream;
use tokio::time::Instant;

use self::idle_timer::IdleTimer;
use self::simple_request::SimpleRequest;
use super::access::AccessEntry;
use super::api_path;
use super::connections::TrackedConnection;
use super::fields::RequestFields;
use super::head;
use super::http1::connection::Http1Connection;
use super::http1::request::ParsedRequest;
use super::http1::wire::{self, DirectWrite, WriteMode};
use super::http1::{ConnectionEnd, Http1};
use super::reply::{self, ApiRefusal};
use super::request_end::ConnectionCut;
use super::request_head::RequestHead;
use super::rpc_app::{RpcApp, annotate_span};
use super::session::HttpSession as _;
use super::websocket::{self, UpgradeRequest, UpgradedConnection};
use crate::context::Protocol;
use crate::error::Rejection;
use crate::snapshot::Snapshot;

/// Serves an HTTP/1 connection until its end, or until it becomes a WebSocket. `patience` limits the
/// idle time before the first request; before later ones the current configuration does.
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
        if connection.http1.unread.is_empty() {
            if !connection.read().await {
                return None;
            }
        } else {
            // A client that pipelines many requests leaves room for others.
            tokio::task::consume_budget().await;
        }
        if connection.http1.skip_line() && connection.http1.unread.is_empty() {
            let limits = &app.published.load().config.limits;
            connection.idle.shorten(limits.head_timeout);
            continue;
        }
        let snapshot = app.published.load();
        let Some(call) = connection.call(app, &snapshot) else {
            match connection.serve_parsed(app, &snapshot).await {
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
        tracked.end(connection.idle.since);
    }
}

/// A connection between two requests.
struct FastConnection<'a> {
    http1: Http1Connection,
    tracked: &'a Arc<TrackedConnection>,
    /// The first bytes were examined before, and arrive by themselves.
    looked_at: bool,
    idle: IdleTimer,
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
            http1: Http1Connection::new(stream),
            tracked,
            looked_at: true,
            idle: IdleTimer::new(patience),
            only_websocket,
        }
    }

    fn upgraded(self, opening: Box<UpgradeRequest>) -> UpgradedConnection {
        UpgradedConnection {
            stream: self.http1.stream,
            unread: self.http1.unread,
            opening,
        }
    }

    /// Waits for bytes; returns whether some arrived.
    async fn read(&mut self) -> bool {
        let came = tokio::select! {
            biased;
            came = self.http1.read() => came,
            () = self.idle.expired() => false,
        };
        if came && std::mem::take(&mut self.looked_at) {
            self.http1.read().now_or_never();
        }
        came
    }

    /// Takes the next call, if it is a simple one that may be answered here.
    fn call(&mut self, app: &RpcApp, snapshot: &Snapshot) -> Option<FastCall> {
        let keepalive = snapshot.config.listen.keepalive;
        if self.only_websocket || app.drain.is_leaving() || keepalive < Duration::from_secs(1) {
            return None;
        }
        let simple = SimpleRequest::read(&self.http1.unread)?;
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
        head::check_origin(fields.origin, &context, snapshot).ok()?;
        context.begin("POST", snapshot.sampling);
        let head = RequestHead::new(fields, context);
        let (before, length) = (simple.head, simple.body);
        drop(self.http1.take_head(before));
        self.idle.patience = keepalive;
        Some(FastCall {
            head,
            body: self.http1.unread.split_to(length).freeze(),
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
            () = self.http1.gone() => {
                app.left(kept.as_ref(), &head, snapshot);
                app.metrics.client_gone();
                return Err(ConnectionCut);
            }
        };
        let entry = log.then(|| AccessEntry::new(&response, &head));
        let limits = &snapshot.config.limits;
        let Http1Connection { stream, buffer, .. } = &mut self.http1;
        let mut mode = WriteMode::kept_alive();
        let mut wire = DirectWrite::new(stream, buffer, &mut mode, self.tracked, limits);
        app.metrics
            .replied_to(&head.context, response.status, snapshot);
        annotate_span(&response, &head);
        let written = reply::write(&mut wire, response, &head, &snapshot.config).await;
        app.account(entry.as_ref(), written)?;
        self.idle.since = Instant::now();
        Ok(())
    }

    /// Parses the next request fully and answers it, unless it asks for a WebSocket. An error ends
    /// the connection.
    async fn serve_parsed(
        &mut self,
        app: &RpcApp,
        snapshot: &Arc<Snapshot>,
    ) -> Result<Option<Box<UpgradeRequest>>, ConnectionCut> {
        let limits = &snapshot.config.limits;
        let read = self.http1.head(self.tracked, limits).await?;
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
        let mut session = Http1::new(&mut self.http1, &request, (self.tracked, limits));
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
                self.idle.patience = snapshot.config.listen.keepalive;
                self.idle.since = Instant::now();
                Ok(None)
            }
            (_, ConnectionEnd::Reset) => {
                wire::reset(&self.http1.stream);
                Err(ConnectionCut)
            }
            (Ok(()), ConnectionEnd::Unread) => {
                self.http1.linger().await;
                Err(ConnectionCut)
            }
            _ => Err(ConnectionCut),
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
        let mut mode = WriteMode::for_request(false, true, false);
        let Http1Connection { stream, buffer, .. } = &mut self.http1;
        let limits = &snapshot.config.limits;
        let mut wire = DirectWrite::new(stream, buffer, &mut mode, self.tracked, limits);
        let refusal = ApiRefusal::rpc(rejection);
        app.write_refusal(&mut wire, snapshot, &refusal, &head)
            .await?;
        self.http1.linger().await;
        Err(ConnectionCut)
    }
}
