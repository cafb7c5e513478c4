//! The public listener: one call of [`RpcApp::process_new_http`] per request.

use std::sync::Arc;

use async_trait::async_trait;
use pingora::apps::{HttpPersistentSettings, HttpServerApp, HttpServerOptions, ReusedHttpStream};
use pingora::protocols::http::ServerSession;
use pingora::server::ShutdownWatch;
use tokio::time::Instant;

use super::access::{self, Entry};
use super::body::{self, BodyFault};
use super::drain::Drain;
use super::fields::Fields;
use super::head::{self, Head, Kind};
use super::metrics::EdgeMetrics;
use super::reply::{self, Refusal, Sent, WriteFault};
use crate::auth::ConsumerId;
use crate::error::Rejection;
use crate::pipeline::{Pipeline, Request};
use crate::snapshot::{Published, Snapshot};

/// A node calls itself healthy up to this many slots behind the cluster (Agave's default of
/// `--health-check-slot-distance`).
const AGAVE_HEALTHY_LAG: u64 = 128;

/// Serves JSON-RPC on any path, as Agave does, and what of Jupiter's API is told without Jupiter.
#[derive(Clone)]
pub struct RpcApp {
    pub published: Arc<Published>,
    pub pipeline: Arc<Pipeline>,
    pub drain: Arc<Drain>,
    pub metrics: EdgeMetrics,
    pub options: HttpServerOptions,
}

#[async_trait]
impl HttpServerApp for RpcApp {
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        _shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        self.exchange(&mut session).await.ok()?;
        let settings = HttpPersistentSettings::for_session(&session);
        let stream = session.finish().await.ok().flatten()?;
        Some(ReusedHttpStream::from_reusable_stream(stream, settings))
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        Some(&self.options)
    }
}

impl RpcApp {
    /// Reads one request and answers it. The session may still have to be finished.
    pub(super) async fn exchange(&self, session: &mut ServerSession) -> Result<(), Cut> {
        let waiting = self.drain.waiting();
        let read = session.read_request().await;
        let _serving = self.drain.serving();
        drop(waiting);
        match read {
            Ok(true) => {}
            Ok(false) => return Err(Cut),
            Err(malformed) => {
                // The error's text quotes the head, and a key may stand in it.
                tracing::debug!(error = malformed.etype().as_str(), "request head refused");
                self.refuse_unread(session).await;
                return Err(Cut);
            }
        }
        let snapshot = self.published.load();
        self.keep_alive(session, &snapshot);
        self.serve(session, &snapshot).await
    }
}

/// The connection is of no more use.
pub(super) struct Cut;

/// Why a request ends before its answer is written.
enum Stop {
    Refused(Rejection),
    /// The same, told as Jupiter tells it.
    RefusedByApi(Rejection),
    /// The client has gone.
    Gone,
    Cut,
}

impl Stop {
    /// The same for callers of Jupiter's API.
    fn by_api(self) -> Self {
        match self {
            Self::Refused(rejection) => Self::RefusedByApi(rejection),
            other => other,
        }
    }
}

impl From<Rejection> for Stop {
    fn from(rejection: Rejection) -> Self {
        Self::Refused(rejection)
    }
}

impl From<BodyFault> for Stop {
    fn from(fault: BodyFault) -> Self {
        match fault {
            BodyFault::Rejected(rejection) => Self::Refused(rejection),
            BodyFault::Gone => Self::Gone,
        }
    }
}

impl RpcApp {
    fn keep_alive(&self, session: &mut ServerSession, snapshot: &Snapshot) {
        let seconds = snapshot.config.listen.keepalive.as_secs();
        // A client of HTTP/1.0 waits for the end of the connection to know that of the answer.
        let old = session.req_header().version == http::Version::HTTP_10;
        let leaving = self.drain.is_leaving() || seconds == 0 || old;
        session.set_keepalive((!leaving).then_some(seconds));
        session.set_pipelining_enabled(true);
    }

    async fn serve(
        &self,
        session: &mut ServerSession,
        snapshot: &Arc<Snapshot>,
    ) -> Result<(), Cut> {
        let started = Instant::now();
        let fields = head::fields(session);
        let head = Head::new(&fields, head::client_ip(session));
        let kind = head::kind(session, &fields);
        let uri = &session.req_header().uri;
        let who = head::identify(&fields, uri.path(), uri.query(), snapshot);
        let served = match kind {
            Ok(Kind::Rpc) => self.call(session, snapshot, &head, who, started).await,
            Ok(Kind::Preflight) => ended(reply::preflight(session, &head).await),
            Ok(Kind::Health) => ended(reply::health(session, health_word(snapshot), &head).await),
            Ok(Kind::Price) => {
                let served = self.price(session, snapshot, &head, who, started).await;
                served.map_err(Stop::by_api)
            }
            Err(rejection) => Err(Stop::Refused(rejection)),
        };
        match served {
            Ok(()) => Ok(()),
            Err(Stop::Refused(rejection)) => {
                let refusal = Refusal::rpc(&rejection);
                self.refuse(session, snapshot, &refusal, &head, started)
                    .await
            }
            Err(Stop::RefusedByApi(rejection)) => {
                let refusal = Refusal::api(&rejection);
                self.refuse(session, snapshot, &refusal, &head, started)
                    .await
            }
            Err(Stop::Gone) => {
                self.metrics.client_gone();
                Err(Cut)
            }
            Err(Stop::Cut) => Err(Cut),
        }
    }

    async fn call(
        &self,
        session: &mut ServerSession,
        snapshot: &Arc<Snapshot>,
        head: &Head,
        who: Result<Option<ConsumerId>, Rejection>,
        started: Instant,
    ) -> Result<(), Stop> {
        let consumer = who?;
        let limits = &snapshot.config.limits;
        let body = body::read(session, limits.max_body, limits.body_timeout).await?;
        let request = self.request(snapshot, head, consumer.as_ref(), started);
        let response = tokio::select! {
            biased;
            response = request.answer(body) => response,
            () = gone(session) => return Err(Stop::Gone),
        };
        let log = snapshot.config.log.access;
        let entry = log.then(|| Entry::new(&response, head, consumer, started));
        let written = reply::write(session, response, head, &snapshot.config).await;
        self.account(entry.as_ref(), written)
            .map_err(|Cut| Stop::Cut)
    }

    /// Jupiter's `GET /price/v3`.
    async fn price(
        &self,
        session: &mut ServerSession,
        snapshot: &Arc<Snapshot>,
        head: &Head,
        who: Result<Option<ConsumerId>, Rejection>,
        started: Instant,
    ) -> Result<(), Stop> {
        let consumer = who?;
        let limits = &snapshot.config.limits;
        // It should have none, and what it has must not be taken for the next request.
        body::read(session, limits.max_body, limits.body_timeout).await?;
        let query = session.req_header().uri.query();
        let response = self.pipeline.prices(snapshot, query, started).await?;
        let log = snapshot.config.log.access;
        let entry = log.then(|| Entry::new(&response, head, consumer, started));
        let written = reply::write(session, response, head, &snapshot.config).await;
        self.account(entry.as_ref(), written)
            .map_err(|Cut| Stop::Cut)
    }

    /// A request as the pipeline takes it.
    pub(super) fn request(
        &self,
        snapshot: &Arc<Snapshot>,
        head: &Head,
        consumer: Option<&ConsumerId>,
        started: Instant,
    ) -> Request {
        Request {
            pipeline: Arc::clone(&self.pipeline),
            snapshot: Arc::clone(snapshot),
            client: head.client_key(consumer),
            started,
            deadline: started + snapshot.config.limits.request_timeout,
            cache_use: head.cache_use,
            ledger_only: head.ledger_only,
        }
    }

    /// Counts an answer, and logs it if there is to be a log.
    pub(super) fn account(
        &self,
        entry: Option<&Entry>,
        written: Result<Sent, WriteFault>,
    ) -> Result<(), Cut> {
        self.metrics.answered(written);
        if let Some(entry) = entry {
            access::log(entry, written);
        }
        written.map(drop).map_err(|_fault| Cut)
    }

    /// Refuses a request whose head is none: nothing is known of it but where it came from.
    async fn refuse_unread(&self, session: &mut ServerSession) {
        let rejection = Rejection::BadHttp {
            reason: "the request is not well-formed HTTP",
        };
        let snapshot = self.published.load();
        let head = Head::new(&Fields::default(), head::client_ip(session));
        let refusal = Refusal::rpc(&rejection);
        session.set_keepalive(None);
        // Nobody may be listening any more; there is nothing else to do for them.
        drop(
            self.refuse(session, &snapshot, &refusal, &head, Instant::now())
                .await,
        );
    }

    /// Refuses a request. Its body may be unread, so the connection is only kept where Pingora
    /// finds it in order; after ambiguous framing it is closed in any case.
    async fn refuse(
        &self,
        session: &mut ServerSession,
        snapshot: &Snapshot,
        refusal: &Refusal<'_>,
        head: &Head,
        started: Instant,
    ) -> Result<(), Cut> {
        let rejection = refusal.rejection;
        let log = snapshot.config.log.access;
        let entry = log.then(|| Entry::refused(rejection, head, started));
        self.metrics.refused(rejection.label());
        if matches!(
            rejection,
            Rejection::BadHttp { .. } | Rejection::BodyTimeout
        ) {
            session.set_keepalive(None);
        }
        let written = reply::refuse(session, refusal, head).await;
        if let Some(entry) = &entry {
            access::log(entry, written);
        }
        written.map(drop).map_err(|_fault| Cut)
    }
}

fn ended(written: Result<Sent, WriteFault>) -> Result<(), Stop> {
    written.map(drop).map_err(|_fault| Stop::Cut)
}

/// Resolves when the client has closed its connection (or reset its stream).
async fn gone(session: &mut ServerSession) {
    if session.read_body_or_idle(true).await.is_ok() {
        std::future::pending::<()>().await;
    }
}

/// Agave's three words, for the freshest upstream in service.
fn health_word(snapshot: &Snapshot) -> &'static str {
    match snapshot.pool.least_lag() {
        Some(lag) if lag <= AGAVE_HEALTHY_LAG => "ok",
        Some(_) => "behind",
        None => "unknown",
    }
}
