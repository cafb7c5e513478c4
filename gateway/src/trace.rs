//! How a request is told from others, here and where it goes: its id, and its place in a trace as W3C's
//! [Trace Context](https://www.w3.org/TR/trace-context/) has it; and the spans that are recorded of it.

mod context;
mod headers;
mod hops;
mod ids;
mod request_id;
mod sampling;
pub mod span;
mod traceparent;
mod tracestate;

pub use context::TraceContext;
pub use headers::CorrelationHeaders;
pub use hops::{GatewayLoop, Hops};
pub use ids::{SpanId, TraceId};
pub use request_id::HttpRequestId;
pub use sampling::Sampling;
pub use span::TARGET as SPAN_TARGET;
pub use tracestate::TraceState;
