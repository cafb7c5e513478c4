//! Which spans are recorded: all of requests, which the edge decided on before it made them, and a share
//! of the probes.

use opentelemetry::trace::{Link, SpanKind, TraceContextExt, TraceId};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, SamplingResult, ShouldSample};

#[derive(Clone, Debug)]
pub(super) struct EdgeDecides {
    probes: Sampler,
}

impl EdgeDecides {
    /// `ratio` is that of probes, 0 to 1.
    pub(super) fn new(ratio: f64) -> Self {
        Self {
            probes: Sampler::TraceIdRatioBased(ratio),
        }
    }
}

impl ShouldSample for EdgeDecides {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let parent_span = parent.filter(|parent| parent.has_active_span());
        if parent_span.is_none() && *kind != SpanKind::Server {
            let probes = &self.probes;
            return probes.should_sample(parent, trace_id, name, kind, attributes, links);
        }
        let state = parent_span.map(|parent| parent.span().span_context().trace_state().clone());
        let decision = match parent_span {
            // Below a probe that is not recorded.
            Some(parent)
                if *kind != SpanKind::Server && !parent.span().span_context().is_sampled() =>
            {
                SamplingDecision::Drop
            }
            _ => SamplingDecision::RecordAndSample,
        };
        SamplingResult {
            decision,
            attributes: Vec::new(),
            trace_state: state.unwrap_or_default(),
        }
    }
}
