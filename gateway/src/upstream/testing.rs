//! What the tests of this layer share: settings and upstreams that need no file.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use prometheus::Registry;

use crate::config::{Config, Probe, Tier, Timeouts, Upstream, UpstreamTls, UpstreamUrl};
use crate::upstream::{Connectors, Parts, Pool, UnixClock, UpstreamMetrics};

/// Settings of a local upstream with every default.
pub(super) fn settings(id: &str, url: &str) -> Upstream {
    Upstream {
        id: id.to_owned(),
        url: UpstreamUrl::parse(url).unwrap(),
        tier: Tier::Local,
        weight: 1,
        headers: BTreeMap::new(),
        metered: false,
        timeouts: Timeouts::default(),
        connections: 20,
        connections_ceiling: 1024,
        idle_timeout: Duration::from_mins(1),
        tls: UpstreamTls::default(),
        dns_refresh: Duration::from_secs(30),
        allow: Vec::new(),
        deny: Vec::new(),
        capabilities: None,
        probe: Probe::default(),
    }
}

pub(super) fn config(upstreams: Vec<Upstream>) -> Config {
    Config {
        upstreams,
        ..Config::default()
    }
}

pub(super) fn parts() -> Parts {
    Parts {
        connectors: Connectors::default(),
        metrics: UpstreamMetrics::register(&Registry::new()).unwrap(),
        clock: UnixClock::new(|| 1_790_000_000),
    }
}

/// A pool whose background does not run.
pub(super) fn pool(upstreams: Vec<Upstream>) -> Arc<Pool> {
    let pool = Pool::compile(&config(upstreams), None, &parts()).unwrap();
    let members = pool.upstreams().iter().map(|up| Arc::clone(up.live()));
    pool.cluster().replace(members.collect());
    Arc::new(pool)
}
