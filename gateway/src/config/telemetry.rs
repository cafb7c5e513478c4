//! Where spans are exported to, and which.

use std::collections::BTreeMap;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use perijove_core::Secret;
use perijove_core::settings::Section;
use schemars::JsonSchema;

use crate::config::UpstreamUrl;

/// The path of traces behind an endpoint of OTLP.
const TRACES: &str = "/v1/traces";

/// What is told of requests beside log and metrics.
#[derive(Clone, Debug, Default, JsonSchema, PartialEq)]
pub struct TelemetrySettings {
    /// Export of spans; none without an endpoint.
    pub otlp: Option<Otlp>,
}

/// Export of spans over OTLP (HTTP with protobuf).
#[derive(Clone, Debug, JsonSchema, PartialEq)]
pub struct Otlp {
    /// `http://` or `https://`: the collector; `/v1/traces` is appended where it is missing. Without it
    /// `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` or `OTEL_EXPORTER_OTLP_ENDPOINT` counts.
    pub endpoint: UpstreamUrl,
    /// Sent with every export, such as the key of a collector. Without them those of
    /// `OTEL_EXPORTER_OTLP_HEADERS`.
    pub headers: BTreeMap<String, Secret>,
    /// How long one export may take.
    pub timeout: Duration,
    /// Share of the traces that begin here and are recorded, 0 to 1.
    pub ratio: f64,
    /// Whether a request whose client records its trace (`traceparent`) is recorded, and one whose
    /// client does not is not. Otherwise `ratio` counts for all.
    pub by_parent: bool,
    /// Spans that may wait for the collector; more are dropped and counted.
    pub queue: usize,
    /// `service.name` of the spans. Without it `OTEL_SERVICE_NAME`, else `perijove-gateway`.
    pub service_name: String,
}

impl Otlp {
    const TIMEOUT: Duration = Duration::from_secs(10);
    const RATIO: f64 = 0.01;
    const QUEUE: usize = 8192;
    const SERVICE: &'static str = "perijove-gateway";

    /// Where spans are posted to.
    pub fn traces_url(&self) -> String {
        let url = self.endpoint.expose();
        let mut traces = url.clone();
        let path = url.path().trim_end_matches('/');
        if !path.ends_with(TRACES) {
            traces.set_path(&format!("{path}{TRACES}"));
        }
        traces.into()
    }
}

impl TelemetrySettings {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let there = section.has("otlp");
        Self {
            otlp: section.nested("otlp", |section| Otlp::read(section, there)),
        }
    }
}

impl Otlp {
    /// Reads every key even if some are wrong. `None` where nothing is to be exported.
    fn read(section: &mut Section<'_>, there: bool) -> Option<Self> {
        let written: Option<String> = section.optional("endpoint");
        let from_environment = written.is_none();
        let endpoint = written.or_else(|| {
            let traces = section.variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
            traces.or_else(|| section.variable("OTEL_EXPORTER_OTLP_ENDPOINT"))
        });
        let headers = read_headers(section);
        let timeout = Duration::from_millis(100)..=Duration::from_mins(1);
        let timeout = section.within("timeout", Self::TIMEOUT, timeout);
        let sampler = EnvironmentSampler::read(section);
        let ratio = section.within("ratio", sampler.ratio, 0.0..=1.0);
        let by_parent = section.or("by_parent", sampler.by_parent);
        let queue = section.within("queue", Self::QUEUE, 64..=1_000_000);
        let service = section.optional::<String>("service_name");
        let service = service.or_else(|| section.variable("OTEL_SERVICE_NAME"));
        let is_off = |section: &Section<'_>| {
            let word = section.variable("OTEL_SDK_DISABLED");
            word.is_some_and(|word| word.eq_ignore_ascii_case("true"))
        };
        let Some(endpoint) = endpoint else {
            if there {
                section.violation("endpoint", "is missing");
            }
            return None;
        };
        section.doubt_references("endpoint", &endpoint);
        let endpoint = match UpstreamUrl::parse(&endpoint) {
            Ok(endpoint) => endpoint,
            Err(fault) => {
                section.violation("endpoint", fault);
                return None;
            }
        };
        if from_environment && is_off(section) {
            return None;
        }
        Some(Self {
            endpoint,
            headers,
            timeout,
            ratio,
            by_parent,
            queue,
            service_name: service.unwrap_or_else(|| Self::SERVICE.to_owned()),
        })
    }
}

/// What `OTEL_TRACES_SAMPLER` and its argument say, as the defaults of what the file does not.
struct EnvironmentSampler {
    ratio: f64,
    by_parent: bool,
}

impl EnvironmentSampler {
    fn read(section: &Section<'_>) -> Self {
        let argument = section.variable("OTEL_TRACES_SAMPLER_ARG");
        let argument = argument.and_then(|text| text.parse::<f64>().ok());
        let ratio = argument.filter(|ratio| (0.0..=1.0).contains(ratio));
        let ratio = ratio.unwrap_or(1.0);
        let word = section.variable("OTEL_TRACES_SAMPLER");
        let (ratio, by_parent) = match word.as_deref() {
            Some("always_on") => (1.0, false),
            Some("always_off") => (0.0, false),
            Some("traceidratio") => (ratio, false),
            Some("parentbased_always_on") => (1.0, true),
            Some("parentbased_always_off") => (0.0, true),
            Some("parentbased_traceidratio") => (ratio, true),
            _ => (Otlp::RATIO, true),
        };
        Self { ratio, by_parent }
    }
}

fn read_headers(section: &mut Section<'_>) -> BTreeMap<String, Secret> {
    let mut headers = BTreeMap::new();
    for (path, name, value) in section.named_secrets("headers") {
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
            section.violation_at(&path, "is not the name of a header");
            continue;
        };
        if HeaderValue::from_str(value.expose().trim()).is_err() {
            section.violation_at(&path, "cannot be sent: it has a line break or the like");
        } else {
            headers.insert(name.as_str().to_owned(), value);
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::Path;

    use super::*;
    use crate::config::{self, Config, Environment};

    /// Has these variables.
    struct Variables(&'static [(&'static str, &'static str)]);

    impl Environment for Variables {
        fn variable(&self, name: &str) -> Option<String> {
            let named = |(own, _): &&(&str, &str)| *own == name;
            let found = self.0.iter().find(named);
            found.map(|(_, value)| (*value).to_owned())
        }

        fn directory(&self) -> &Path {
            Path::new("")
        }

        fn read(&self, _: &Path) -> io::Result<String> {
            Err(io::ErrorKind::NotFound.into())
        }
    }

    fn otlp(text: &str, variables: &'static [(&'static str, &'static str)]) -> Option<Otlp> {
        let text =
            format!("{text}\nupstreams: [{{id: a, url: 'http://127.0.0.1:1', tier: local}}]");
        let loaded: Config = config::parse(&text, &Variables(variables)).unwrap().config;
        loaded.telemetry.otlp
    }

    #[test]
    fn nothing_is_exported_unless_somebody_says_where() {
        assert_eq!(otlp("", &[]), None);
        assert_eq!(otlp("", &[("OTEL_TRACES_SAMPLER", "always_on")]), None);
        let there = &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318"),
            ("OTEL_SDK_DISABLED", "true"),
        ];
        assert_eq!(otlp("", there), None);
        let written = "telemetry: {otlp: {endpoint: 'http://other:4318'}}";
        let url = otlp(written, there).unwrap().traces_url();
        assert_eq!(url, "http://other:4318/v1/traces");
    }

    #[test]
    fn the_environment_counts_where_the_file_is_silent() {
        let variables = &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/"),
            ("OTEL_SERVICE_NAME", "edge"),
            ("OTEL_TRACES_SAMPLER", "traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
        ];
        let otlp = |text| otlp(text, variables).unwrap();
        let silent = otlp("");
        assert_eq!(silent.traces_url(), "http://collector:4318/v1/traces");
        assert_eq!(silent.service_name, "edge");
        assert!((silent.ratio - 0.25).abs() < f64::EPSILON && !silent.by_parent);
        let text = "telemetry: {otlp: {ratio: 0.5, by_parent: true, service_name: own}}";
        let said = otlp(text);
        assert_eq!(said.service_name, "own");
        assert!((said.ratio - 0.5).abs() < f64::EPSILON && said.by_parent);
    }
}
