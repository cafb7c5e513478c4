//! What the tests of this layer share.

use std::sync::Arc;

use perijove_core::UnixClock;
use prometheus::Registry;

use super::upstream_socket::dial::{NetworkDialer, SocketDialer};
use super::{Hub, PubSubMetrics};
use crate::cache::{CacheMetrics, RedisMetrics, TieredCache};
use crate::config::{Config, UpstreamSettings};
use crate::dispatch::{DispatchMetrics, DispatchState};
use crate::pipeline::{Pipeline, PipelineMetrics};
use crate::snapshot::{Published, Snapshot};
use crate::upstream::{Pool, testing};

/// A hub in front of no upstream.
pub(super) fn hub() -> Arc<Hub> {
    hub_with(|_| {})
}

pub(super) fn hub_with(change: impl FnOnce(&mut Config)) -> Arc<Hub> {
    let mut config = Config::default();
    change(&mut config);
    build(config, testing::pool(Vec::new()), Box::new(NetworkDialer))
}

/// A hub in front of these upstreams, all well, whose sockets a test opens.
pub(super) fn hub_dialling(
    upstreams: Vec<UpstreamSettings>,
    dial: Box<dyn SocketDialer>,
) -> Arc<Hub> {
    hub_dialling_with(upstreams, dial, |_| {})
}

pub(super) fn hub_dialling_with(
    upstreams: Vec<UpstreamSettings>,
    dial: Box<dyn SocketDialer>,
    change: impl FnOnce(&mut Config),
) -> Arc<Hub> {
    let pool = testing::healthy(upstreams.clone());
    let mut config = Config {
        upstreams,
        ..Config::default()
    };
    // So that sockets are opened for subscriptions alone.
    config.websocket.feed.track_slots = false;
    change(&mut config);
    build(config, pool, dial)
}

fn build(config: Config, pool: Arc<Pool>, dial: Box<dyn SocketDialer>) -> Arc<Hub> {
    let registry = Registry::new();
    let cache = TieredCache::new(
        &config.cache,
        CacheMetrics::register(&registry).unwrap(),
        RedisMetrics::register(&registry).unwrap(),
        UnixClock::new(|| 0),
    );
    let live = DispatchState::new(
        DispatchMetrics::register(&registry).unwrap(),
        16,
        UnixClock::new(|| 0),
    );
    let metrics = PipelineMetrics::register(&registry).unwrap();
    let pipeline = Arc::new(Pipeline::new(live, metrics, cache));
    let published = Arc::new(Published::new(Snapshot::new(config, pool, 1)));
    let metrics = PubSubMetrics::register(&registry).unwrap();
    Hub::dialling(published, pipeline, metrics, dial)
}
