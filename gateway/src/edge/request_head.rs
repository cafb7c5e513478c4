//! A request head, as far as its answer depends on it.

use std::sync::Arc;

use super::fields::RequestFields;
use crate::context::RequestContext;
use crate::pipeline::CacheUse;

/// A request head, reduced to what the gateway needs.
#[derive(Debug)]
pub(super) struct RequestHead {
    pub context: Arc<RequestContext>,
    pub origin: Option<Box<[u8]>>,
    pub accepts_gzip: bool,
    pub cache_use: CacheUse,
    pub ledger_only: bool,
}

impl RequestHead {
    /// That of a request of which nothing more will be known.
    pub(super) fn new(fields: &RequestFields<'_>, context: RequestContext) -> Self {
        Self {
            context: Arc::new(context),
            origin: fields.origin.map(Box::from),
            accepts_gzip: fields.accepts_gzip(),
            cache_use: cache_use(fields),
            ledger_only: fields.ledger_only(),
        }
    }
}

/// The caller's wishes about the cache. `no-cache` asks for a fresh answer, `no-store` for one that
/// is not shared.
fn cache_use(fields: &RequestFields<'_>) -> CacheUse {
    if fields.bypasses {
        CacheUse::Bypass
    } else if fields.revalidates {
        CacheUse::Revalidate
    } else {
        CacheUse::Normal
    }
}
