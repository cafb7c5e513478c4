//! Where a request stands in a trace.

use super::ids::{SpanId, TraceId};
use super::tracestate::TraceState;

/// Where a request stands in a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    pub trace_id: TraceId,
    /// The span that what happens next belongs to. As it comes from a client, that of its call.
    pub span_id: SpanId,
    /// Whether whoever began the trace records it.
    pub sampled: bool,
    /// What others on the way have to say to each other, passed on as it is.
    pub state: Option<TraceState>,
}

impl TraceContext {
    /// One that begins here.
    pub fn begin(sampled: bool) -> Self {
        Self {
            trace_id: TraceId::random(),
            span_id: SpanId::random(),
            sampled,
            state: None,
        }
    }

    /// The same trace as seen from a span within this one.
    #[must_use]
    pub fn within(&self, span_id: SpanId) -> Self {
        Self {
            span_id,
            ..self.clone()
        }
    }
}
