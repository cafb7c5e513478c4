//! Requests that are not simple: [`RpcApp::serve`] is called once for each.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use pingora::protocols::http::ServerSession;
use tokio::time::timeout;

use super::access::{self, AccessEntry};
use super::api_path;
use super::connections::TrackedConnection;
use super::fields::RequestFields;
use super::head::{self, RequestKind};
use super::http2::request_check;
use super::paced_http2::PacedHttp2;
use super::reply::{self, ApiRefusal};
use super::reply_head::Preflight;
use super::request_end::{ConnectionCut, RequestEnd};
use super::request_head::RequestHead;
use super::rpc_app::{RpcApp, annotate_span};
use super::session::HttpSession;
use crate::context::Protocol;
use crate::error::Rejection;
use crate::snapshot::Snapshot;
use crate::trace::{GatewayLoop, Hops};
use crate::upstream;

/// What is said of a request that Pingora could not read.
const MALFORMED: &str = "the request is not well-formed HTTP";

impl RpcApp {
    /// Reads one HTTP/2 request and answers it. The session may still have to be finished.
    pub(super) async fn exchange(
        &self,
        session: &mut ServerSession,
        tracked: &Arc<TrackedConnection>,
    ) -> Result<(), ConnectionCut> {
        let waiting = self.drain.waiting();
        let snapshot = self.published.load();
        let limits = &snapshot.config.limits;
        let read = timeout(limits.head_timeout, session.read_request()).await;
        let _serving = self.drain.serving();
        drop(waiting);
        match read {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => return Err(ConnectionCut),
            Ok(Err(malformed)) => {
                // The error's text quotes the head, which may contain a key.
                tracing::debug!(error = malformed.etype().as_str(), "invalid request head");
                let rejection = Rejection::BadHttp { reason: MALFORMED };
                self.refuse_unread(session, tracked, &rejection).await;
                return Err(ConnectionCut);
            }
            Err(_elapsed) => {
                self.refuse_unread(session, tracked, &Rejection::HeadTimeout)
                    .await;
                return Err(ConnectionCut);
            }
        }
        if let Err(rejection) = request_check::check(session.req_header()) {
            self.refuse_unread(session, tracked, &rejection).await;
            return Ok(());
        }
        let mut via = PacedHttp2::new(session, tracked, limits);
        self.serve(&mut via, &snapshot).await
    }
}

/// What a request is, or why it is refused.
fn kind(
    session: &impl HttpSession,
    fields: &RequestFields<'_>,
    snapshot: &Snapshot,
) -> Result<RequestKind, RequestEnd> {
    let (method, path) = (session.method(), session.path());
    if !session.asks_for_websocket() {
        if api_path::is_api(method, path, snapshot) {
            return Ok(RequestKind::Api);
        }
        let checked = api_path::check(method, path, snapshot);
        checked.map_err(|rejection| RequestEnd::Refused(rejection).by_api())?;
    }
    head::kind(session, fields).map_err(RequestEnd::Refused)
}

impl RpcApp {
    /// Answers a request whose head was parsed.
    pub(super) async fn serve<S: HttpSession>(
        &self,
        session: &mut S,
        snapshot: &Arc<Snapshot>,
    ) -> Result<(), ConnectionCut> {
        if self.drain.is_leaving() || snapshot.config.listen.keepalive < Duration::from_secs(1) {
            session.close();
        }
        let mut fields = session.fields();
        let protocol = session.protocol();
        let mut context = head::context(&fields, session.tracked(), protocol, snapshot);
        let kind = kind(session, &fields, snapshot);
        let (path, query) = (session.path(), session.query());
        // A token of Jupiter's is no key of ours; who calls is told by something else.
        let of_jupiter = matches!(kind, Ok(RequestKind::Api | RequestKind::Price));
        fields.authorization = fields
            .authorization
            .filter(|value| !(of_jupiter && snapshot.consumers.is_foreign_token(value)));
        let who = self.identify(&fields, path, query, &mut context, snapshot);
        let verb = session.method().as_str();
        context.begin(verb, snapshot.sampling);
        let before = fields.instance.and_then(|_| session.list("x-perijove-via"));
        let hops = Hops::of(fields.instance, before.as_deref(), upstream::instance());
        let comes_back = hops.is_err();
        if hops == Err(GatewayLoop::Own) {
            self.loops.came_back(session.tracked().address);
        }
        context.hops = hops.unwrap_or_default();
        let head = RequestHead::new(&fields, context);
        let served = match kind {
            _ if comes_back => Err(RequestEnd::Refused(Rejection::Loop)),
            Ok(kind) => self.answer(kind, session, snapshot, &head, who).await,
            Err(refused) => Err(refused),
        };
        match served {
            Ok(()) => Ok(()),
            Err(RequestEnd::Refused(rejection)) => {
                let refusal = ApiRefusal::rpc(&rejection);
                self.refuse(session, snapshot, &refusal, &head).await
            }
            Err(RequestEnd::RefusedByApi(rejection, tried)) => {
                let refusal = ApiRefusal::api(&rejection, &tried);
                self.refuse(session, snapshot, &refusal, &head).await
            }
            Err(RequestEnd::Gone) => {
                self.metrics.client_gone();
                Err(ConnectionCut)
            }
            Err(RequestEnd::Cut) => Err(ConnectionCut),
        }
    }

    /// Answers a request of this kind.
    async fn answer(
        &self,
        kind: RequestKind,
        session: &mut impl HttpSession,
        snapshot: &Arc<Snapshot>,
        head: &RequestHead,
        who: Result<(), Rejection>,
    ) -> Result<(), RequestEnd> {
        match kind {
            RequestKind::Api => {
                let api = self.api(session, snapshot, head, who);
                Box::pin(api).await.map_err(RequestEnd::by_api)
            }
            RequestKind::Rpc => self.call(session, snapshot, head, who).await,
            RequestKind::Preflight => {
                let requested = session.list("access-control-request-headers");
                let requested = requested.map(Cow::into_owned);
                let allowed = Preflight {
                    requested: requested.as_deref(),
                    verbs: api_path::verbs(session.path(), snapshot),
                };
                let mut wire = session.wire();
                self.ended(reply::preflight(&mut wire, head, allowed).await)
            }
            RequestKind::Health => {
                let word = snapshot.pool.health().word();
                self.ended(reply::health(&mut session.wire(), word, head).await)
            }
            RequestKind::Price => {
                let served = self.price(session, snapshot, head, who).await;
                served.map_err(RequestEnd::by_api)
            }
        }
    }

    async fn call(
        &self,
        session: &mut impl HttpSession,
        snapshot: &Arc<Snapshot>,
        head: &RequestHead,
        who: Result<(), Rejection>,
    ) -> Result<(), RequestEnd> {
        who?;
        let consumer = head.context.consumer.as_ref();
        self.metrics.called_by(consumer, &snapshot.config);
        let (body, _serving) = Self::accept(session, &snapshot.config.limits).await?;
        let request = self.request(snapshot, head);
        let log = snapshot.config.log.access;
        let kept = log.then(|| body.clone());
        let response = tokio::select! {
            biased;
            response = request.answer(body) => response,
            () = session.gone() => {
                self.left(kept.as_ref(), head, snapshot);
                return Err(RequestEnd::Gone);
            }
        };
        let entry = log.then(|| AccessEntry::new(&response, head));
        self.metrics
            .replied_to(&head.context, response.status, snapshot);
        annotate_span(&response, head);
        let written = reply::write(&mut session.wire(), response, head, &snapshot.config).await;
        self.conclude(entry.as_ref(), written)
    }

    /// Counts and logs a request over HTTP/2 that Pingora has refused by itself: with a 400 that has no
    /// body, or by a reset of its stream.
    pub(super) fn note_malformed(&self, tracked: &Arc<TrackedConnection>) {
        let rejection = Rejection::BadHttp { reason: MALFORMED };
        self.metrics.refused(rejection.label());
        self.metrics.replied(rejection.status());
        let snapshot = self.published.load();
        if snapshot.config.log.access {
            let fields = RequestFields::default();
            let context = head::context(&fields, tracked, Protocol::Http2, &snapshot);
            let head = RequestHead::new(&fields, context);
            access::log(&AccessEntry::refused(&rejection, &[], &head), Ok(0));
        }
    }

    /// Refuses a request with an invalid head, of which only the origin is known.
    async fn refuse_unread(
        &self,
        session: &mut ServerSession,
        tracked: &Arc<TrackedConnection>,
        rejection: &Rejection,
    ) {
        let snapshot = self.published.load();
        let via = &mut PacedHttp2::new(session, tracked, &snapshot.config.limits);
        let fields = RequestFields::default();
        let context = head::context(&fields, tracked, Protocol::Http2, &snapshot);
        let head = RequestHead::new(&fields, context);
        let refusal = ApiRefusal::rpc(rejection);
        // The client may be gone already; nothing else can be done.
        drop(self.write_refusal(via, &snapshot, &refusal, &head).await);
    }
}
