//! One request of Jupiter's API in the pipeline's form.

use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use perijove_core::Slot;
use tokio::time::Instant;

use crate::config;
use crate::context::RequestContext;
use crate::jupiter::{self, AskedSwap, AskedTransaction};
use crate::pipeline::{CacheUse, Pipeline};
use crate::snapshot::Snapshot;

/// One request of Jupiter's API, whose body has been read.
#[derive(Debug)]
pub struct ApiCall {
    pub pipeline: Arc<Pipeline>,
    pub snapshot: Arc<Snapshot>,
    pub method: Method,
    pub path: String,
    pub query: String,
    /// Fields of the request that are passed on.
    pub fields: Vec<(&'static str, Bytes)>,
    pub body: Bytes,
    /// Equal for all requests of a consumer, or of what it calls a session.
    pub affinity: u64,
    pub context: Arc<RequestContext>,
    pub cache_use: CacheUse,
    /// What a quote or an order has to be for, once its query was read.
    pub asked: Option<AskedSwap>,
    /// What a transaction has to be for.
    pub built_for: Option<AskedTransaction>,
    /// The best of several quotes is requested.
    pub optimize: bool,
    /// The operator's fee was added.
    pub charged: bool,
}

impl ApiCall {
    /// Other callers that share the answer have not sent the other fields, so these must not
    /// matter.
    pub(super) fn leave_out_what_is_not_shared(&mut self) {
        self.body = Bytes::new();
        self.fields = vec![("accept", Bytes::from_static(jupiter::JSON.as_bytes()))];
    }

    pub(super) fn optimizer(&self) -> &config::OptimizerSettings {
        &self.snapshot.config.jupiter.optimizer
    }

    /// The newest slot of the cluster.
    pub(super) fn tip(&self) -> Option<Slot> {
        self.snapshot.pool.slots().map(|view| view.now)
    }

    /// When the answer is no longer useful.
    pub(super) fn deadline(&self) -> Instant {
        self.context.deadline
    }
}
