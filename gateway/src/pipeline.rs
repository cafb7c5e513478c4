//! The path of a request from its body to its answer, as one readable list. It knows bytes, not
//! sessions: the `edge` reads and writes them.
//!
//! The list for JSON-RPC is in `call`; `batch` runs it for every entry of a batch. `price` serves
//! prices from ingest, `jupiter` the rest of Jupiter's API.

mod accounts;
mod admission;
mod batch;
mod batch_order;
mod cache_use;
mod cacheable;
mod call;
mod call_gate;
mod call_plan;
mod call_reply;
mod fetched;
mod forget;
mod hot_accounts;
mod join;
mod jupiter;
mod memory_lookup;
mod metrics;
mod price;
mod remote_lookup;
mod response;
mod shared_outcome;
mod store;
mod tee;
mod upstream_call;

use std::sync::Arc;

use bytes::Bytes;

pub use cache_use::{CacheStatus, CacheUse};
pub use hot_accounts::{HotRead, HotReads};
pub use jupiter::{ApiCall, ApiContent, ApiResponse, Unanswered};
pub use metrics::{ClassStatus, PipelineMetrics};
pub use response::{
    AnswerSource, Provenance, RequestSummary, Response, ResponseBody, ResponseStream,
    ResponseStreamFault,
};

use crate::cache::{SingleFlight, TieredCache};
use crate::context::RequestContext;
use crate::dispatch::{DispatchState, ReadSession, ShownHeads};
use crate::error::Rejection;
use crate::jsonrpc::{self, Call, Id, ParseError, RequestEntry, RequestPayload};
use crate::limit::Allowances;
use crate::snapshot::Snapshot;
use crate::solana::{self, Class, Idempotency};
use call_plan::{CallPlan, CallPlans};
use forget::Forgotten;
use jupiter::{JupiterPrices, Optimizer, QuoteOrigins, SharedQuote};
use shared_outcome::SharedOutcome;

/// What all requests share.
#[derive(Debug)]
pub struct Pipeline {
    pub dispatch_state: DispatchState,
    pub metrics: PipelineMetrics,
    pub cache: TieredCache,
    pub allowances: Allowances,
    single_flight: SingleFlight<SharedOutcome>,
    call_plans: CallPlans,
    forgotten: Forgotten,
    origins: QuoteOrigins,
    quote_flights: SingleFlight<SharedQuote>,
    optimizer: Optimizer,
    jupiter_prices: JupiterPrices,
    /// Counts reads of accounts, to find those worth subscribing to.
    pub hot: HotReads,
}

impl Pipeline {
    pub fn new(live: DispatchState, metrics: PipelineMetrics, cache: TieredCache) -> Self {
        Self {
            dispatch_state: live,
            metrics,
            cache,
            allowances: Allowances::default(),
            single_flight: SingleFlight::default(),
            call_plans: CallPlans::default(),
            forgotten: Forgotten::default(),
            origins: QuoteOrigins::default(),
            quote_flights: SingleFlight::default(),
            optimizer: Optimizer::default(),
            jupiter_prices: JupiterPrices::default(),
            hot: HotReads::default(),
        }
    }
}

/// One HTTP request whose body has been read.
#[derive(Clone, Debug)]
pub struct Request {
    pub pipeline: Arc<Pipeline>,
    pub snapshot: Arc<Snapshot>,
    pub context: Arc<RequestContext>,
    pub cache_use: CacheUse,
    /// The caller does not want the node to look into long-term storage (`x-bigtable: disabled`).
    pub ledger_only: bool,
    /// In a batch, what its client had been shown when it began: calls under way at the same time
    /// owe each other nothing.
    pub shown_before: Option<Arc<ShownHeads>>,
}

impl Request {
    /// Answers a JSON-RPC body: a call, a notification or a batch.
    pub async fn answer(self, body: Bytes) -> Response {
        self.pipeline.forget_strangers(&self.snapshot.pool);
        let payload = match jsonrpc::parse(&body, self.snapshot.max_batch(self.plan())) {
            Ok(payload) => payload,
            Err(unreadable) => return self.unreadable(unreadable),
        };
        // Without limits, nothing is allocated for them.
        let admitted = match self.plan() {
            None if self.context.consumer.is_none() => None,
            _ => match Box::pin(self.admit(&payload)).await {
                Ok(admitted) => admitted,
                Err(refused) => return refused,
            },
        };
        let mut response = match payload {
            RequestPayload::Single(entry) => call::answer(&self, entry).await.into_response(),
            RequestPayload::Batch(batch) if batch.is_empty() => Response::empty("batch"),
            RequestPayload::Batch(batch) => Box::pin(batch::answer(self, batch, body)).await,
        };
        response.belongs_to(admitted);
        response
    }

    /// Answers one entry of a batch that was admitted as a whole.
    pub async fn answer_entry(self, entry: RequestEntry) -> Response {
        self.pipeline.forget_strangers(&self.snapshot.pool);
        call::answer(&self, entry).await.into_response()
    }

    /// The plan of a call; if the cache is off, its answer has no keys.
    fn call_plan(&self, call: &Call) -> Arc<CallPlan> {
        let pool = &self.snapshot.pool;
        let cluster = self
            .snapshot
            .cache
            .enabled()
            .then(|| pool.genesis())
            .flatten();
        let call_plans = &self.pipeline.call_plans;
        let call_plan = call_plans.of(call, self.variant(), cluster.as_ref());
        let method = call_plan.class.method;
        if method.is_foreign() && self.snapshot.reads(call.method()) {
            return Arc::new(CallPlan::of_a_read());
        }
        call_plan
    }

    /// Whether a call only reads, judging by its method.
    fn is_read(&self, call: &Call) -> bool {
        let class = solana::classify(call.method(), None);
        let foreign = class.method.is_foreign();
        class.profile().idempotency == Idempotency::Read
            || (foreign && self.snapshot.reads(call.method()))
    }

    /// What the client was shown before, as far as it matters to a call.
    fn session(&self, class: &Class) -> ReadSession {
        let selection = &self.snapshot.config.selection;
        let live = &self.pipeline.dispatch_state;
        let session = ReadSession::of(
            &live.rpc,
            self.context.client,
            class,
            selection,
            self.context.started,
        );
        match &self.shown_before {
            Some(shown) => session.since(shown),
            None => session,
        }
    }

    /// A batch begins: what its client has been shown so far.
    fn begins_batch(&mut self) {
        let selection = &self.snapshot.config.selection;
        let memory = &self.pipeline.dispatch_state.rpc;
        let (client, now) = (self.context.client, self.context.started);
        self.shown_before = Some(Arc::new(ShownHeads::of(memory, client, selection, now)));
    }

    /// What distinguishes answers besides the call itself.
    fn variant(&self) -> &'static [u8] {
        if self.ledger_only {
            b"ledger only"
        } else {
            b""
        }
    }

    fn unreadable(&self, error: ParseError) -> Response {
        let (rejection, method) = match error {
            ParseError::Json => (Rejection::Parse, "other"),
            ParseError::Utf8 { .. } => (Rejection::BodyNotUtf8, "other"),
            ParseError::TooManyCalls { calls, limit } => {
                (Rejection::TooManyCalls { calls, limit }, "batch")
            }
        };
        self.pipeline.metrics.no_call(rejection.label());
        Response::rejected(&rejection, &Id::null(), method)
    }
}
