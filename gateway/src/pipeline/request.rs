//! One HTTP request in the pipeline's form, and what follows from it for a call.

use std::sync::Arc;

use super::cache_use::CacheUse;
use super::shared::Pipeline;
use crate::context::RequestContext;
use crate::dispatch::{ReadSession, ShownHeads};
use crate::jsonrpc::Call;
use crate::snapshot::Snapshot;
use crate::solana::{self, Class, Idempotency};

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
    /// Whether a call only reads, judging by its method.
    pub(super) fn is_read(&self, call: &Call) -> bool {
        let class = solana::classify(call.method(), None);
        let foreign = class.method.is_foreign();
        class.profile().idempotency == Idempotency::Read
            || (foreign && self.snapshot.reads(call.method()))
    }

    /// What the client was shown before, as far as it matters to a call.
    pub(super) fn session(&self, class: &Class) -> ReadSession {
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
    pub(super) fn begins_batch(&mut self) {
        let selection = &self.snapshot.config.selection;
        let memory = &self.pipeline.dispatch_state.rpc;
        let (client, now) = (self.context.client, self.context.started);
        self.shown_before = Some(Arc::new(ShownHeads::of(memory, client, selection, now)));
    }

    /// What distinguishes answers besides the call itself.
    pub(super) fn variant(&self) -> &'static [u8] {
        if self.ledger_only {
            b"ledger only"
        } else {
            b""
        }
    }
}
