//! The upstreams of Jupiter's API: their connections, their health, and the order in which a
//! request goes to them. [`crate::jupiter`] knows what an answer means; the pipeline does attempts,
//! hedges and retries.
//!
//! They are a pool separate from that of RPC: common parts (connections, breaker, latency, trusted
//! certificates) are shared, but what makes an RPC node fit (slots, capabilities, methods) does not
//! apply to them.

mod call;
mod canary;
mod canary_fault;
mod candidate;
mod choices;
mod doubt;
mod fitness;
mod holds;
mod metrics;
mod organisation;
mod pool;
mod priority;
mod state;
mod status;

use std::sync::Arc;
use std::time::Duration;

use perijove_core::{Slot, UnixClock};
use tokio::time::Instant;

use crate::config;
use crate::jupiter::{Api, ApiFault, ApiRoute, PathMap, Product};
use crate::upstream::peer::Peer;
use crate::upstream::selection::pool::{PoolError, SharedParts};
use crate::upstream::state::breaker::Admission;
use crate::upstream::transport::connect_settings::ConnectSettings;
use crate::upstream::transport::endpoint::Endpoint;

pub use self::candidate::{ApiCandidate, ApiFailureReporter};
pub use self::choices::ApiChoices;
pub use self::fitness::ApiFitness;
pub use self::metrics::ApiMetrics;
pub use self::pool::{ApiChoice, ApiPool};
pub use self::priority::priority;
pub use self::status::ApiStatus;

use self::organisation::Organisation;
use self::state::ApiState;

/// One configured upstream. What was learned about it outlives the configuration.
pub struct ApiUpstream {
    settings: config::JupiterUpstream,
    name: Arc<str>,
    paths: PathMap,
    /// The path prefix of its URL.
    prefix: String,
    wire: Arc<ConnectSettings>,
    state: Arc<ApiState>,
    organisation: Arc<Organisation>,
    breaker: config::BreakerSettings,
    health: config::JupiterHealth,
    clock: UnixClock,
}

impl ApiUpstream {
    fn new(
        settings: &config::JupiterUpstream,
        config: &config::Config,
        (state, organisation): (Arc<ApiState>, Arc<Organisation>),
        parts: &SharedParts,
    ) -> Result<Self, PoolError> {
        let endpoint = as_endpoint(settings);
        let connector = parts
            .connectors
            .of(&endpoint)
            .map_err(|source| PoolError::Trust {
                upstream: settings.id.clone(),
                source,
            })?;
        let url = settings.url.expose();
        Ok(Self {
            name: settings.id.as_str().into(),
            paths: paths(settings),
            prefix: url.path().trim_end_matches('/').to_owned(),
            wire: Arc::new(ConnectSettings {
                endpoint: Endpoint::bare(&endpoint)?,
                addresses: Arc::clone(&state.addresses),
                timeouts: settings.timeouts.clone(),
                connector,
            }),
            state,
            organisation,
            breaker: config.breaker.clone(),
            health: config.jupiter.health.clone(),
            settings: settings.clone(),
            clock: parts.clock,
        })
    }

    /// The name in metrics, logs and headers.
    pub fn id(&self) -> &str {
        &self.name
    }

    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub fn settings(&self) -> &config::JupiterUpstream {
        &self.settings
    }

    /// Whether it serves this part of the API.
    pub fn has(&self, api: Api) -> bool {
        self.paths.has(api)
    }

    /// Path and query of a route there.
    pub fn target(&self, route: &ApiRoute<'_>, query: &str) -> Option<String> {
        let path = self.paths.path(route)?;
        let (prefix, mark) = (&self.prefix, if query.is_empty() { "" } else { "?" });
        let slash = if path.is_empty() { "/" } else { "" };
        Some(format!("{prefix}{path}{slash}{mark}{query}"))
    }

    /// How long it is held off: it asked for that, or its budget is used up.
    pub fn wait(&self, product: Product, now: Instant) -> Option<Duration> {
        let refuses = self.state.refuses(product, now);
        refuses.max(self.organisation.wait(product, now))
    }

    /// Whether it has asked for a pause that is not over.
    pub fn is_held_off(&self, product: Product, now: Instant) -> bool {
        let held = self.state.refuses(product, now);
        held.or(self.organisation.held_off(product, now)).is_some()
    }

    /// How long the limits of its organisation keep it from being asked.
    fn limited(&self, product: Product, now: Instant) -> Option<Duration> {
        self.organisation.wait(product, now)
    }

    /// Whether it refuses the gateway's key, or blocks the gateway.
    fn refuses(&self, product: Product, now: Instant) -> bool {
        self.state.refuses(product, now).is_some()
    }

    /// Whether pauses, budget and breaker allow a request now.
    fn may_be_asked(&self, product: Product, now: Instant) -> bool {
        self.wait(product, now).is_none()
            && self.state.admission(now, &self.breaker) != Admission::Refused
    }

    /// Records that it has refused a request. Rate limits concern its organisation, everything else
    /// the upstream itself.
    fn refused(&self, product: Product, fault: ApiFault, now: Instant) {
        match fault {
            ApiFault::RateLimited(_) => self.organisation.refused(product, fault, now),
            _ => self.state.holds.lock().hold(product, fault, now),
        }
    }

    /// Charges for a request that is sent in any case.
    fn charge(&self, product: Product, now: Instant) {
        self.organisation.charge(product, now);
    }

    /// Whether a field of the caller's goes there: where the operator's own key is sent, nothing of the
    /// caller's is.
    pub fn passes_on(&self, field: &str) -> bool {
        self.settings.key.is_none() || self.settings.key_header != field
    }

    /// Has the next canary sent early.
    pub fn look_soon(&self) {
        self.state.doubt.raise();
    }

    /// A request of this part of the API was refused as if the gateway's key or address were.
    pub fn doubt(&self, product: Product, fault: ApiFault, now: Instant) {
        let doubt = &self.state.doubt;
        if self.has(Api::SwapV1) {
            self.look_soon();
        } else if doubt.is_certain() {
            self.refused(product, fault, now);
        }
    }

    /// Whether nothing speaks against asking it.
    pub fn is_fit(&self, now: Instant) -> bool {
        let admission = self.state.admission(now, &self.breaker);
        self.state.is_usable() && admission == Admission::Free
    }

    /// Learns from a quote how old its market state is.
    pub fn quoted(&self, slot: Option<Slot>, tip: Option<Slot>, now: Instant) {
        self.state.quoted(slot, tip, now, &self.health);
    }

    /// Notes how long an answer took; `quantile` is the share of them that a usual one is among.
    pub fn observe_latency(&self, product: Product, latency: Duration, quantile: f64) {
        if let Some(known) = self.state.latency(product) {
            known.observe(latency, quantile);
        }
    }

    /// How long an answer usually takes at most; `None` while too little is known.
    pub fn usual_latency(&self, product: Product) -> Option<Duration> {
        self.state.latency(product)?.estimate()
    }
}

impl std::fmt::Debug for ApiUpstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ApiUpstream").field(&self.id()).finish()
    }
}

fn paths(settings: &config::JupiterUpstream) -> PathMap {
    match settings.kind {
        config::JupiterKind::SelfHosted => PathMap::self_hosted(),
        config::JupiterKind::Hosted => PathMap::hosted(),
        config::JupiterKind::Other => {
            let given = &settings.paths;
            let parts = [
                (Api::SwapV1, &given.swap_v1),
                (Api::SwapV2, &given.swap_v2),
                (Api::UltraV1, &given.ultra_v1),
                (Api::PriceV3, &given.price_v3),
                (Api::TokensV2, &given.tokens_v2),
                (Api::Other, &given.other),
            ];
            let parts = parts.into_iter();
            let parts: Vec<_> = parts
                .filter_map(|(api, path)| Some((api, path.clone()?)))
                .collect();
            PathMap::of(&parts)
        }
    }
}

/// What is needed to connect, as with an upstream of RPC. A key is sent only if there is one.
fn as_endpoint(settings: &config::JupiterUpstream) -> config::UpstreamSettings {
    let key = settings.key.as_ref().filter(|key| !key.is_empty());
    let header = key.map(|key| (settings.key_header.clone(), key.clone()));
    config::UpstreamSettings {
        id: settings.id.clone(),
        url: settings.url.clone(),
        ws_url: None,
        budget: None,
        tier: settings.tier,
        weight: settings.weight,
        headers: header.into_iter().collect(),
        metered: settings.metered,
        timeouts: settings.timeouts.clone(),
        http: settings.http,
        connections: settings.connections,
        connections_ceiling: settings.connections_ceiling,
        adaptive_concurrency: false,
        idle_timeout: settings.idle_timeout,
        tls: settings.tls.clone(),
        dns_refresh: settings.dns_refresh,
        propagate: settings.propagate,
        allow: Vec::new(),
        deny: Vec::new(),
        capabilities: None,
        probe: config::ProbeSettings::default(),
    }
}

impl Peer for ApiUpstream {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn address(&self) -> (&str, u16) {
        let url = &self.settings.url;
        (url.host(), url.port())
    }

    fn timeouts(&self) -> &config::Timeouts {
        &self.settings.timeouts
    }

    fn propagate(&self) -> config::Propagate {
        self.settings.propagate
    }

    fn is_healthy(&self) -> bool {
        self.is_fit(Instant::now())
    }
}
