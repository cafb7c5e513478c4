//! One request and what its attempts need to know besides what it asks.

use tokio::time::Instant;
use tracing::Span;

use super::settings::Settings;
use super::state::DispatchState;
use crate::context::RequestContext;

/// One request to be answered.
#[derive(Debug)]
pub struct Dispatch<'a, O> {
    pub operation: O,
    pub settings: &'a Settings,
    pub state: &'a DispatchState,
    /// The request that it is part of.
    pub context: &'a RequestContext,
    /// What its attempts are recorded below.
    pub span: &'a Span,
    /// When the request arrived.
    pub started: Instant,
    /// The end of the caller's time.
    pub deadline: Instant,
}
