//! Export of spans over OTLP. Requests only put them into a queue; a thread of its own takes them to the
//! collector, so that one which is down, slow or hostile costs no request anything.
//!
//! Which requests have spans is decided at the edge ([`crate::trace::Sampling`]).

mod connect;
mod metrics;
mod queue;
mod sampler;
mod worker;

use std::collections::HashMap;
use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{
    ExporterBuildError, Protocol, SpanExporter, WithExportConfig, WithHttpConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanExporter as _};
use perijove_core::telemetry::SpanLayer;
use tokio::runtime;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;

use self::queue::SpanQueue;
use self::sampler::EdgeDecides;
use crate::config::Otlp;
use crate::trace::SPAN_TARGET;

pub(super) use self::metrics::SpanMetrics;

/// Longest wait for the last spans when the process leaves.
const FAREWELL: Duration = Duration::from_secs(5);

/// Why spans cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum OtlpError {
    #[error("telemetry.otlp: {0}")]
    Exporter(#[from] ExporterBuildError),
    #[error("telemetry.otlp: TLS: {0}")]
    Tls(#[from] rustls::Error),
    #[error("telemetry.otlp: cannot start its thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// The running export.
#[derive(Clone, Debug)]
pub(super) struct SpanExport {
    flushes: mpsc::Sender<oneshot::Sender<()>>,
}

/// Starts the export, and gives the layer that feeds it.
///
/// # Errors
/// The collector's address or the TLS settings cannot be used.
pub(super) fn start(
    settings: &Otlp,
    metrics: &SpanMetrics,
) -> Result<(SpanLayer, SpanExport), OtlpError> {
    let headers = settings.headers.iter();
    let headers = headers.map(|(name, value)| (name.clone(), value.expose().trim().to_owned()));
    let mut exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(settings.traces_url())
        .with_timeout(settings.timeout)
        .with_headers(headers.collect::<HashMap<_, _>>())
        .with_http_client(connect::client(settings.timeout)?)
        .build()?;
    let resource = Resource::builder()
        .with_service_name(settings.service_name.clone())
        .with_attribute(opentelemetry::KeyValue::new(
            "service.version",
            env!("CARGO_PKG_VERSION"),
        ))
        .build();
    exporter.set_resource(&resource);
    let (queue, spans) = SpanQueue::new(settings.queue, metrics.clone());
    let (flushes, flushed) = mpsc::channel(1);
    let (bound, metrics) = (settings.timeout, metrics.clone());
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::Builder::new()
        .name("otlp".to_owned())
        .spawn(move || {
            runtime.block_on(worker::run(exporter, (spans, flushed), bound, &metrics));
        })?;
    let provider = SdkTracerProvider::builder()
        .with_span_processor(queue)
        .with_sampler(EdgeDecides::new(settings.ratio))
        .with_resource(resource)
        .build();
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("perijove"))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_context_activation(false)
        .with_filter(filter_fn(|of| of.target() == SPAN_TARGET));
    Ok((layer.boxed(), SpanExport { flushes }))
}

impl SpanExport {
    /// Sends what still waits, for as long as a process that leaves can wait for it.
    pub(super) async fn flush(&self) {
        let (done, sent) = oneshot::channel();
        let flush = async {
            self.flushes.send(done).await.ok()?;
            sent.await.ok()
        };
        drop(timeout(FAREWELL, flush).await);
    }
}
