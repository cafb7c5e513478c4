//! `GET /price/v3`, where ingest knows prices.

use std::sync::Arc;

use super::access::AccessEntry;
use super::api_path;
use super::reply;
use super::request_end::RequestEnd;
use super::request_head::RequestHead;
use super::rpc_app::{RpcApp, annotate_span};
use super::session::HttpSession;
use crate::error::Rejection;
use crate::snapshot::Snapshot;

impl RpcApp {
    /// Jupiter's `GET /price/v3`.
    pub(super) async fn price(
        &self,
        session: &mut impl HttpSession,
        snapshot: &Arc<Snapshot>,
        head: &RequestHead,
        who: Result<(), Rejection>,
    ) -> Result<(), RequestEnd> {
        who?;
        let consumer = head.context.consumer.as_ref();
        self.metrics.called_by(consumer, &snapshot.config);
        let cost = api_path::cost(session.path(), consumer, snapshot)?;
        // It should have no body, and what it has must not be taken for the next request.
        let (body, _serving) = Self::accept(session, &snapshot.config.limits).await?;
        let (pipeline, address) = (&self.pipeline, head.context.address);
        let admitted = pipeline.admit(snapshot, consumer, address, cost);
        let admitted = admitted.await?;
        // For what ingest does not know.
        let jupiter = self.api_call(session, snapshot, head, body);
        let query = session.query().map(str::to_owned);
        let (query, started) = (query.as_deref(), head.context.started);
        let prices = pipeline.prices(snapshot, query, started, jupiter);
        let mut response = tokio::select! {
            biased;
            response = prices => response?,
            () = session.gone() => return Err(self.api_gone(session.path(), snapshot, head)),
        };
        response.belongs_to(admitted);
        let log = snapshot.config.log.access;
        let entry = log.then(|| AccessEntry::new(&response, head));
        self.metrics
            .replied_to(&head.context, response.status, snapshot);
        annotate_span(&response, head);
        let written = reply::write(&mut session.wire(), response, head, &snapshot.config).await;
        self.conclude(entry.as_ref(), written)
    }
}
