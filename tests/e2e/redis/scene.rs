//! Two gateways with one Redis between them, and a load that notes every answer.

use std::time::Duration;

use perijove_tests::gateway::{Gateway, GatewayConfig};
use perijove_tests::metrics::Metrics;
use perijove_tests::redis::Redis;
use perijove_tests::sandbox::{Sandbox, Settings, chain};
use perijove_tests::wait::until;
use serde_json::{Value, json};

use super::load::Load;
use crate::scene::equals;

/// How long a lookup may take here.
const DEADLINE: Duration = Duration::from_millis(100);

/// Two validators.
pub async fn cluster() -> Sandbox {
    Sandbox::start(2).await.unwrap()
}

/// A gateway before these validators, with this Redis.
pub fn sharing(cluster: &Sandbox, url: &str) -> GatewayConfig {
    let redis = json!({
        "url": url,
        "deadline": milliseconds(DEADLINE),
        "connect": "500ms",
        "breaker": { "failures": 5, "open": "300ms" },
    });
    equals(cluster)
        .set("cache.enabled", true)
        .set("cache.redis", redis)
        .set(
            "cluster.slot_time",
            milliseconds(cluster.cluster().clock.slot_time()),
        )
        .set("log.access", false)
}

fn milliseconds(time: Duration) -> String {
    format!("{}ms", time.as_millis())
}

/// Parameters of `getBlock` for final slots, all of them different.
pub fn blocks(cluster: &Sandbox) -> Vec<Value> {
    let last = cluster.cluster().clock.tip() - 200;
    let slots = (last - 20_000..last).filter(|slot| !chain::skipped(*slot));
    let config = json!({ "transactionDetails": "none", "rewards": false });
    slots.map(|slot| json!([slot, config])).collect()
}

/// Waits until nobody but the one who asks is connected.
pub async fn until_alone(redis: &Redis) {
    until("the connections to end", || async {
        let told: String = redis.ask(&["CLIENT", "LIST"]).await;
        (told.lines().count() == 1).then_some(())
    })
    .await;
}

pub struct Shared {
    pub redis: Redis,
    pub cluster: Sandbox,
    pub gateways: Vec<Gateway>,
}

impl Shared {
    /// Waits until both gateways are connected.
    pub async fn start() -> Self {
        Self::before(cluster().await, |config| config).await
    }

    /// Both wait for each other for so long, before the only validator.
    pub async fn waiting(for_others: &str) -> Self {
        let cluster = Sandbox::start(1).await.unwrap();
        let waiting = |config: GatewayConfig| config.set("cache.redis.wait_for_others", for_others);
        Self::before(cluster, waiting).await
    }

    /// The same with slots of another length.
    pub async fn with_slots_of(slot_time: Duration) -> Self {
        let settings = Settings {
            validators: 2,
            slot_time,
            ..Settings::default()
        };
        let cluster = Sandbox::with(settings).await.unwrap();
        Self::before(cluster, |config| config).await
    }

    /// The same before this cluster, with changes to the configuration.
    pub async fn before(
        cluster: Sandbox,
        change: impl FnOnce(GatewayConfig) -> GatewayConfig,
    ) -> Self {
        let redis = Redis::start().await;
        let config = change(sharing(&cluster, &redis.url()));
        let mut gateways = Vec::new();
        for _ in 0..2 {
            gateways.push(Gateway::start(fresh(&config)).await);
        }
        cluster.reset_counts();
        let shared = Self {
            redis,
            cluster,
            gateways,
        };
        shared
            .until_each("both to be connected", |one| one.connections() >= 3)
            .await;
        shared
    }

    /// For one more gateway.
    pub fn config(&self) -> GatewayConfig {
        sharing(&self.cluster, &self.redis.url())
    }

    /// One of the blocks.
    pub fn block(&self, index: usize) -> Value {
        blocks(&self.cluster)[index].clone()
    }

    /// Waits until so many answers are in Redis.
    pub async fn until_written(&self, answers: usize) {
        until("answers to be written", || async {
            (self.redis.keys().await.len() >= answers).then_some(())
        })
        .await;
    }

    /// What each gateway counts.
    pub async fn counts(&self) -> Vec<Counts> {
        let mut counts = Vec::new();
        for gateway in &self.gateways {
            counts.push(Counts::of(gateway).await);
        }
        counts
    }

    /// Waits until this is so at each gateway.
    pub async fn until_each(&self, what: &str, condition: impl Fn(&Counts) -> bool) {
        until(what, || async {
            self.counts().await.iter().all(&condition).then_some(())
        })
        .await;
    }

    /// Waits until this is so at the second gateway.
    pub async fn until_second(&self, what: &str, condition: impl Fn(&Counts) -> bool) {
        until(what, || async {
            condition(&Counts::of(&self.gateways[1]).await).then_some(())
        })
        .await;
    }

    /// Has the first gateway put the first blocks into Redis.
    pub async fn fill(&self, answers: usize) {
        for params in blocks(&self.cluster).into_iter().take(answers) {
            self.gateways[0].rpc("getBlock", params).await;
        }
        self.until_written(answers).await;
    }

    /// Waits until the second gateway finds anew what the first has asked for.
    pub async fn until_used_again(&self, load: &Load) {
        let hits = async || Counts::of(&self.gateways[1]).await.hits();
        let before = hits().await;
        until("Redis to be used again", || async {
            assert!(load.goes_on(), "the load has ended");
            (hits().await >= before + 10).then_some(())
        })
        .await;
    }

    /// Begins to ask both gateways.
    pub fn load(&self) -> Load {
        Load::start(self)
    }
}

/// The same with ports of its own.
fn fresh(config: &GatewayConfig) -> GatewayConfig {
    let address = perijove_tests::gateway::loopback;
    config
        .clone()
        .set("listen.rpc", json!([address()]))
        .set("admin.listen", address())
}

/// What a gateway counts.
pub struct Counts(Metrics);

impl Counts {
    pub async fn of(gateway: &Gateway) -> Self {
        Self(gateway.metrics().await)
    }

    /// From the text of the metrics.
    pub fn read(text: &str) -> Self {
        Self(Metrics::parse(text))
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a whole number"
    )]
    fn sum(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.0.sum(name, labels) as u64
    }

    /// Lookups that failed for this reason.
    pub fn failed(&self, kind: &str) -> u64 {
        let labels = [("operation", "lookup"), ("kind", kind)];
        self.sum("perijove_redis_errors_total", &labels)
    }

    /// Writes for which there was no memory.
    pub fn refused_writes(&self) -> u64 {
        let labels = [("operation", "write"), ("kind", "oom")];
        self.sum("perijove_redis_errors_total", &labels)
    }

    /// 0 closed, 1 half-open, 2 open.
    pub fn breaker(&self) -> u64 {
        self.sum("perijove_redis_breaker_state", &[])
    }

    pub fn connections(&self) -> u64 {
        self.sum("perijove_redis_connections", &[])
    }

    /// Answers found in Redis.
    pub fn hits(&self) -> u64 {
        let labels = [("tier", "redis"), ("result", "hit")];
        self.sum("perijove_cache_lookups_total", &labels)
    }
}
