//! What the tests of this layer share: settings and upstreams that need no file.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use perijove_core::{BreakerState, Slot, UnixClock};
use prometheus::Registry;
use tokio::time::Instant;

use crate::config::{
    Config, HttpVersion, JupiterKind, JupiterPaths, JupiterUpstream, ProbeSettings, Propagate,
    Tier, Timeouts, UpstreamSettings, UpstreamTls, UpstreamUrl,
};
use crate::solana::{Blame, FaultKind, Penalty, Retry, Scope, Verdict};
use crate::upstream::health::slot_look::{SightingSource, SlotLook};
use crate::upstream::{ApiMetrics, ApiPool, Connectors, Pool, SharedParts, UpstreamMetrics};

/// Settings of a local upstream with every default.
pub(crate) fn settings(id: &str, url: &str) -> UpstreamSettings {
    UpstreamSettings {
        id: id.to_owned(),
        url: UpstreamUrl::parse(url).unwrap(),
        ws_url: None,
        tier: Tier::Local,
        weight: 1,
        headers: BTreeMap::new(),
        budget: None,
        metered: false,
        timeouts: Timeouts::default(),
        http: HttpVersion::Auto,
        connections: 20,
        connections_ceiling: 1024,
        adaptive_concurrency: false,
        idle_timeout: Duration::from_mins(1),
        tls: UpstreamTls::default(),
        dns_refresh: Duration::from_secs(30),
        propagate: Propagate::default(),
        allow: Vec::new(),
        deny: Vec::new(),
        capabilities: None,
        probe: ProbeSettings::default(),
    }
}

pub(crate) fn config(upstreams: Vec<UpstreamSettings>) -> Config {
    Config {
        upstreams,
        ..Config::default()
    }
}

pub(crate) fn parts() -> SharedParts {
    SharedParts {
        connectors: Connectors::default(),
        metrics: UpstreamMetrics::register(&Registry::new()).unwrap(),
        clock: UnixClock::new(|| 1_790_000_000_000),
        jupiter_budgets: Arc::default(),
        budgets: Arc::default(),
    }
}

/// A pool whose background tasks do not run.
pub(crate) fn pool(upstreams: Vec<UpstreamSettings>) -> Arc<Pool> {
    let pool = Pool::compile(&config(upstreams), None, &parts()).unwrap();
    let members = pool.upstreams().iter().map(|up| Arc::clone(up.state()));
    pool.cluster().replace(members.collect());
    Arc::new(pool)
}

/// The same with every upstream probed and healthy, at slot 1000.
pub(crate) fn healthy(upstreams: Vec<UpstreamSettings>) -> Arc<Pool> {
    let pool = pool(upstreams);
    for upstream in pool.upstreams() {
        upstream.seen_at(1000);
    }
    pool
}

/// A pool of upstreams of Jupiter's API, each in a tier, that nothing is known of. No canaries run.
pub(crate) fn jupiter(upstreams: &[(&str, Tier)]) -> ApiPool {
    let upstreams: Vec<_> = upstreams.iter().map(|(id, tier)| (*id, *tier, 0)).collect();
    jupiter_with_fees(&upstreams, false)
}

/// The same with these fees, in hundredths of a percent.
pub(crate) fn jupiter_with_fees(upstreams: &[(&str, Tier, u32)], fee_fallback: bool) -> ApiPool {
    let mut config = Config::default();
    config.jupiter.fee_fallback = fee_fallback;
    config.jupiter.upstreams = upstreams
        .iter()
        .map(|(id, tier, fee)| JupiterUpstream {
            platform_fee_bps: *fee,
            ..jupiter_settings(id, *tier)
        })
        .collect();
    let metrics = ApiMetrics::register(&Registry::new()).unwrap();
    ApiPool::compile(&config, None, &parts(), &metrics).unwrap()
}

fn jupiter_settings(id: &str, tier: Tier) -> JupiterUpstream {
    let settings = settings(id, "http://127.0.0.1:1/");
    JupiterUpstream {
        id: settings.id,
        url: settings.url,
        kind: JupiterKind::Hosted,
        paths: JupiterPaths::default(),
        tier,
        weight: 1,
        key: None,
        organisation: None,
        budget: None,
        key_header: "x-api-key".to_owned(),
        platform_fee_bps: 0,
        metered: tier != Tier::Local,
        timeouts: settings.timeouts,
        http: settings.http,
        connections: settings.connections,
        connections_ceiling: settings.connections_ceiling,
        idle_timeout: settings.idle_timeout,
        tls: settings.tls,
        dns_refresh: settings.dns_refresh,
        propagate: settings.propagate,
    }
}

impl crate::upstream::Upstream {
    /// It asks for a pause of this length.
    pub(crate) fn rest_for(&self, pause: Duration) {
        let verdict = Verdict {
            kind: FaultKind::RateLimited,
            blame: Blame::Upstream,
            retry: Retry::Elsewhere,
            penalty: Penalty::HoldOff {
                scope: Scope::Upstream,
                at_least: Some(pause),
                credits: false,
            },
        };
        let now = Instant::now();
        self.member
            .penalise(&verdict, None, "getBalance", None, now);
    }

    /// A probe finds it at this slot, at every commitment.
    pub(crate) fn seen_at(&self, slot: u64) {
        let now = Instant::now();
        let look = SlotLook {
            source: SightingSource::Probe,
            slots: [Some(Slot(slot)); 3],
            started: now,
            at: now,
            vouched: false,
            outrun: false,
        };
        let limits = &self.member.policy.health;
        self.member
            .judge(&look, |tracker| tracker.succeeded(limits));
    }

    /// Whether its breaker lets calls through.
    pub(crate) fn breaker_is_closed(&self) -> bool {
        self.member.live.breaker.lock().shown() == BreakerState::Closed
    }
}
