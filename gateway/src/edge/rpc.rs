//! The public listener: [`RpcApp::serve`] is called once per request that is not simple.

use std::sync::Arc;
use std::time::Duration;

use pingora::protocols::http::ServerSession;
use tokio::time::timeout;

use super::access::{self, AccessEntry};
use super::body::{self, BodyFault};
use super::connections::{ClientConnections, TrackedConnection};
use super::drain::Drain;
use super::fields::RequestFields;
use super::head::{self, RequestHead, RequestKind};
use super::jupiter;
use super::metrics::EdgeMetrics;
use super::reply::{self, ApiRefusal, PacedHttp2, ResponseWriter, Sent, WriteFault};
use super::session::HttpSession;
use crate::auth::ConsumerId;
use crate::context::{Protocol, RequestContext};
use crate::dispatch::AttemptRecord;
use crate::error::Rejection;
use crate::pipeline::{CacheStatus, Pipeline, Request, Response, Unanswered};
use crate::pubsub::Hub;
use crate::snapshot::{Published, Snapshot};
use crate::trace::Hops;
use crate::upstream;

/// A node calls itself healthy up to this many slots behind the cluster (Agave's default of
/// `--health-check-slot-distance`).
const AGAVE_HEALTHY_LAG: u64 = 128;

/// Serves JSON-RPC on any path, as Agave does, and Jupiter's API.
pub struct RpcApp {
    pub published: Arc<Published>,
    pub pipeline: Arc<Pipeline>,
    pub drain: Arc<Drain>,
    pub connections: Arc<ClientConnections>,
    pub pubsub: Arc<Hub>,
    pub metrics: EdgeMetrics,
}

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
                let rejection = Rejection::BadHttp {
                    reason: "the request is not well-formed HTTP",
                };
                self.refuse_unread(session, tracked, &rejection).await;
                return Err(ConnectionCut);
            }
            Err(_elapsed) => {
                self.refuse_unread(session, tracked, &Rejection::HeadTimeout)
                    .await;
                return Err(ConnectionCut);
            }
        }
        let mut via = PacedHttp2::new(session, tracked, limits);
        self.serve(&mut via, &snapshot).await
    }
}

/// The connection is unusable.
pub(super) struct ConnectionCut;

/// Why a request ends before its answer is written.
pub(super) enum RequestEnd {
    Refused(Rejection),
    /// The same, in the form of Jupiter's API, after these attempts.
    RefusedByApi(Rejection, Vec<AttemptRecord>),
    /// The client disconnected.
    Gone,
    Cut,
}

impl RequestEnd {
    /// The same for callers of Jupiter's API.
    fn by_api(self) -> Self {
        match self {
            Self::Refused(rejection) => Self::RefusedByApi(rejection, Vec::new()),
            other => other,
        }
    }
}

impl From<Rejection> for RequestEnd {
    fn from(rejection: Rejection) -> Self {
        Self::Refused(rejection)
    }
}

impl From<Unanswered> for RequestEnd {
    fn from(refused: Unanswered) -> Self {
        Self::RefusedByApi(refused.rejection, refused.tried)
    }
}

impl From<BodyFault> for RequestEnd {
    fn from(fault: BodyFault) -> Self {
        match fault {
            BodyFault::Rejected(rejection) => Self::Refused(rejection),
            BodyFault::Gone => Self::Gone,
        }
    }
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
        let fields = session.fields();
        let protocol = session.protocol();
        let mut context = head::context(&fields, session.tracked(), protocol, snapshot);
        let kind = head::kind(session, &fields);
        let (path, query) = (session.path(), session.query());
        let who = self.identify(&fields, path, query, &context, snapshot);
        let who = who.map(|consumer| context.identified(consumer));
        let verb = session.method().as_str();
        context.begin(verb, snapshot.sampling);
        let hops = Hops::of(fields.instance, fields.via, upstream::instance());
        let comes_back = hops.is_err();
        context.hops = hops.unwrap_or_default();
        let head = RequestHead::new(&fields, context);
        let is_api =
            jupiter::is_api(session.method(), path, snapshot) && !session.asks_for_websocket();
        let served = match kind {
            _ if comes_back => Err(RequestEnd::Refused(Rejection::Loop)),
            _ if is_api => {
                let api = self.api(session, snapshot, &head, who);
                Box::pin(api).await.map_err(RequestEnd::by_api)
            }
            Ok(RequestKind::Rpc) => self.call(session, snapshot, &head, who).await,
            Ok(RequestKind::Preflight) => {
                let requested = fields.requested_headers.map(<[u8]>::to_vec);
                let mut wire = session.wire();
                self.ended(reply::preflight(&mut wire, &head, requested.as_deref()).await)
            }
            Ok(RequestKind::Health) => {
                let word = health_word(snapshot);
                self.ended(reply::health(&mut session.wire(), word, &head).await)
            }
            Ok(RequestKind::Price) => {
                let served = self.price(session, snapshot, &head, who).await;
                served.map_err(RequestEnd::by_api)
            }
            Err(rejection) => Err(RequestEnd::Refused(rejection)),
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

    /// The consumer behind a request's key. A wrong key is counted against its address.
    pub(super) fn identify(
        &self,
        fields: &RequestFields<'_>,
        path: &str,
        query: Option<&str>,
        context: &RequestContext,
        snapshot: &Snapshot,
    ) -> Result<Option<ConsumerId>, Rejection> {
        let allowances = &self.pipeline.allowances;
        let who = head::identify(fields, path, query, context, snapshot, allowances);
        if let (Err(Rejection::Unauthorised), Some(address)) = (&who, context.address)
            && let Some(key) = head::shown_key(fields, path, query)
        {
            allowances.wrong_key(address, key);
        }
        who
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
        let limits = &snapshot.config.limits;
        let body = body::read(session, limits, &self.connections).await?;
        if session.tracked().has_no_room(limits) {
            return Err(RequestEnd::Refused(Rejection::TooMuchUnsent));
        }
        let _serving = session.tracked().serving().ok_or(RequestEnd::Cut)?;
        let request = self.request(snapshot, head);
        let response = tokio::select! {
            biased;
            response = request.answer(body) => response,
            () = session.gone() => return Err(RequestEnd::Gone),
        };
        let log = snapshot.config.log.access;
        let entry = log.then(|| AccessEntry::new(&response, head));
        self.metrics
            .replied_to(&head.context, response.status, snapshot);
        note(&response, head);
        let written = reply::write(&mut session.wire(), response, head, &snapshot.config).await;
        if written == Err(WriteFault::NoRoom) {
            return Err(RequestEnd::Refused(Rejection::TooMuchUnsent));
        }
        self.account(entry.as_ref(), written)
            .map_err(|ConnectionCut| RequestEnd::Cut)
    }

    /// Jupiter's `GET /price/v3`.
    async fn price(
        &self,
        session: &mut impl HttpSession,
        snapshot: &Arc<Snapshot>,
        head: &RequestHead,
        who: Result<(), Rejection>,
    ) -> Result<(), RequestEnd> {
        who?;
        let consumer = head.context.consumer.as_ref();
        self.metrics.called_by(consumer, &snapshot.config);
        let cost = jupiter::cost(session.method(), session.path(), consumer, snapshot)?;
        let limits = &snapshot.config.limits;
        // It should have no body, and what it has must not be taken for the next request.
        let body = body::read(session, limits, &self.connections).await?;
        let _serving = session.tracked().serving().ok_or(RequestEnd::Cut)?;
        let (pipeline, address) = (&self.pipeline, head.context.address);
        let admitted = pipeline.admit(snapshot, consumer, address, cost);
        let admitted = admitted.await?;
        // For what ingest does not know.
        let jupiter = self.api_call(session, snapshot, head, body);
        let (query, started) = (session.query(), head.context.started);
        let prices = self.pipeline.prices(snapshot, query, started, jupiter);
        let mut response = prices.await?;
        response.belongs_to(admitted);
        let log = snapshot.config.log.access;
        let entry = log.then(|| AccessEntry::new(&response, head));
        self.metrics
            .replied_to(&head.context, response.status, snapshot);
        note(&response, head);
        let written = reply::write(&mut session.wire(), response, head, &snapshot.config).await;
        if written == Err(WriteFault::NoRoom) {
            return Err(RequestEnd::Refused(Rejection::TooMuchUnsent));
        }
        self.account(entry.as_ref(), written)
            .map_err(|ConnectionCut| RequestEnd::Cut)
    }

    /// A response without an answer to a call was written.
    fn ended(&self, written: Result<Sent, WriteFault>) -> Result<(), RequestEnd> {
        self.metrics.replied(200);
        written.map(drop).map_err(|_fault| RequestEnd::Cut)
    }

    /// The request in the pipeline's form.
    pub(super) fn request(&self, snapshot: &Arc<Snapshot>, head: &RequestHead) -> Request {
        Request {
            pipeline: Arc::clone(&self.pipeline),
            snapshot: Arc::clone(snapshot),
            context: Arc::clone(&head.context),
            cache_use: head.cache_use,
            ledger_only: head.ledger_only,
            shown_before: None,
        }
    }

    /// Counts an answer, and logs it if configured.
    pub(super) fn account(
        &self,
        entry: Option<&AccessEntry>,
        written: Result<Sent, WriteFault>,
    ) -> Result<(), ConnectionCut> {
        self.metrics.answered(written);
        if let Some(entry) = entry {
            access::log(entry, written);
        }
        written.map(drop).map_err(|_fault| ConnectionCut)
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
        drop(self.tell(via, &snapshot, &refusal, &head).await);
    }

    /// Refuses a request. Its body may be unread; after ambiguous framing and after a body that did
    /// not arrive, the connection is closed in any case.
    pub(super) async fn refuse(
        &self,
        session: &mut impl HttpSession,
        snapshot: &Snapshot,
        refusal: &ApiRefusal<'_>,
        head: &RequestHead,
    ) -> Result<(), ConnectionCut> {
        if matches!(
            refusal.rejection,
            Rejection::BadHttp { .. } | Rejection::BodyTimeout | Rejection::TooManyBodies
        ) {
            session.close();
        }
        let mut wire = session.wire();
        self.tell(&mut wire, snapshot, refusal, head).await
    }

    /// Writes, counts and logs a refusal.
    pub(super) async fn tell(
        &self,
        wire: &mut impl ResponseWriter,
        snapshot: &Snapshot,
        refusal: &ApiRefusal<'_>,
        head: &RequestHead,
    ) -> Result<(), ConnectionCut> {
        let rejection = refusal.rejection;
        let log = snapshot.config.log.access;
        let entry = log.then(|| AccessEntry::refused(rejection, refusal.tried, head));
        self.metrics.refused(rejection.label());
        if head::is_of_stranger(rejection) {
            self.metrics
                .refused_stranger(&head.context, rejection.status());
        } else {
            self.metrics
                .replied_to(&head.context, rejection.status(), snapshot);
        }
        head.context.answered(rejection.status(), rejection.label());
        let written = reply::refuse(wire, refusal, head).await;
        if let Some(entry) = &entry {
            access::log(entry, written);
        }
        written.map(drop).map_err(|_fault| ConnectionCut)
    }
}

/// Tells a request's span what it is answered with.
pub(super) fn note(response: &Response, head: &RequestHead) {
    let (context, summary) = (&head.context, &response.summary);
    context.called(
        summary.method,
        summary.calls,
        summary.cache.map(CacheStatus::label),
    );
    context.answered(response.status, summary.outcome);
}

/// One of Agave's three words, for the freshest upstream in service.
fn health_word(snapshot: &Snapshot) -> &'static str {
    match snapshot.pool.least_lag() {
        Some(lag) if lag <= AGAVE_HEALTHY_LAG => "ok",
        Some(_) => "behind",
        None => "unknown",
    }
}
