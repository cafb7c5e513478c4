//! The public listener's application: what its requests share, and how answers and refusals are written,
//! counted and logged.

use std::sync::Arc;

use bytes::Bytes;

use super::access::{self, AccessEntry};
use super::body;
use super::connections::{ClientConnections, ServingRequest};
use super::drain::Drain;
use super::fields::RequestFields;
use super::head;
use super::loop_alarm::LoopAlarm;
use super::metrics::EdgeMetrics;
use super::reply::{self, ApiRefusal};
use super::request_end::{ConnectionCut, RequestEnd};
use super::request_head::RequestHead;
use super::response_writer::{ResponseWriter, Sent};
use super::session::HttpSession;
use super::write_pace::WriteFault;
use crate::config::Limits;
use crate::context::RequestContext;
use crate::error::Rejection;
use crate::limit::Remaining;
use crate::pipeline::{CacheStatus, Pipeline, Request, Response};
use crate::pubsub::Hub;
use crate::snapshot::{Published, Snapshot};

/// Serves JSON-RPC on any path, as Agave does, and Jupiter's API.
pub struct RpcApp {
    pub published: Arc<Published>,
    pub pipeline: Arc<Pipeline>,
    pub drain: Arc<Drain>,
    pub connections: Arc<ClientConnections>,
    pub pubsub: Arc<Hub>,
    pub metrics: EdgeMetrics,
    pub loops: LoopAlarm,
}

impl RpcApp {
    /// Notes the consumer behind a request's key. A wrong key is counted against its address.
    ///
    /// # Errors
    /// The caller is not known, or may not call from here.
    pub(super) fn identify(
        &self,
        fields: &RequestFields<'_>,
        path: &str,
        query: Option<&str>,
        context: &mut RequestContext,
        snapshot: &Snapshot,
    ) -> Result<(), Rejection> {
        let allowances = &self.pipeline.allowances;
        let who = head::identify(fields, path, query, context, snapshot, allowances);
        if let (Err(Rejection::Unauthorised), Some(address)) = (&who, context.address)
            && let Some(key) = head::shown_key(fields, path, query)
        {
            allowances.wrong_key(address, key);
        }
        context.identified(who?);
        head::check_origin(fields.origin, context, snapshot)
    }

    /// A response without an answer to a call was written.
    pub(super) fn ended(&self, written: Result<Sent, WriteFault>) -> Result<(), RequestEnd> {
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

    /// Counts a request whose client has gone before there was an answer, and logs it by the body that
    /// was kept for this.
    pub(super) fn left(&self, body: Option<&Bytes>, head: &RequestHead, snapshot: &Snapshot) {
        let context = &head.context;
        self.metrics.left(context, snapshot);
        if let Some(body) = body {
            let entry = AccessEntry::gone(body, context, context.started);
            access::log(&entry, Err(WriteFault::Gone));
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

    /// Concludes a request whose answer was written, as far as that went: where there was no room for it,
    /// it is refused instead.
    pub(super) fn conclude(
        &self,
        entry: Option<&AccessEntry>,
        written: Result<Sent, WriteFault>,
    ) -> Result<(), RequestEnd> {
        if written == Err(WriteFault::NoRoom) {
            return Err(RequestEnd::Refused(Rejection::TooMuchUnsent));
        }
        self.account(entry, written)
            .map_err(|ConnectionCut| RequestEnd::Cut)
    }

    /// The whole body of a request that is served from now on; refused where the connection has no room for
    /// an answer.
    pub(super) async fn accept(
        session: &mut impl HttpSession,
        limits: &Limits,
    ) -> Result<(Bytes, ServingRequest), RequestEnd> {
        let body = body::read(session, limits).await?;
        if session.tracked().has_no_room(limits) {
            return Err(RequestEnd::Refused(Rejection::TooMuchUnsent));
        }
        let serving = session.tracked().serving().ok_or(RequestEnd::Cut)?;
        Ok((body, serving))
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
        self.write_refusal(&mut wire, snapshot, refusal, head).await
    }

    /// What is left of the plan of a caller that is known.
    fn remaining(&self, context: &RequestContext, snapshot: &Snapshot) -> Option<Remaining> {
        let (consumer, address) = (context.consumer.as_ref(), context.address);
        let known = context.is_identified;
        known.then(|| self.pipeline.remaining(snapshot, consumer, address))?
    }

    /// Writes, counts and logs a refusal.
    pub(super) async fn write_refusal(
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
        let remaining = rejection
            .remaining()
            .or_else(|| self.remaining(&head.context, snapshot));
        let written = reply::refuse(wire, (refusal, remaining), head).await;
        if let Some(entry) = &entry {
            access::log(entry, written);
        }
        written.map(drop).map_err(|_fault| ConnectionCut)
    }
}

/// Tells a request's span what it is answered with.
pub(super) fn annotate_span(response: &Response, head: &RequestHead) {
    let (context, summary) = (&head.context, &response.summary);
    context.called(
        summary.method,
        summary.calls,
        summary.cache.map(CacheStatus::label),
    );
    context.answered(response.status, summary.outcome);
}
