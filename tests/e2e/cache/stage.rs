//! What these tests begin with: a moving cluster whose clock is in the test's hand, and a gateway
//! that keeps answers.

use std::sync::Arc;

use perijove_tests::client::{self, Reply};
use perijove_tests::gateway::{Gateway, GatewayConfig};
use perijove_tests::sandbox::accounts::{Nature, keys};
use perijove_tests::sandbox::chain::{Line, Moment};
use perijove_tests::sandbox::sight::{Level, Sight};
use perijove_tests::sandbox::{Sandbox, Settings, Validator, transaction};
use perijove_tests::wait::until;
use serde_json::{Value, json};

use crate::scene::{Scene, equals, ranked};

/// A stopped cluster and a gateway with a cache in front of it.
pub struct Stage {
    scene: Scene,
}

impl Stage {
    /// One validator.
    pub async fn single() -> Self {
        Self::single_with(|config| config).await
    }

    pub async fn single_with(change: impl FnOnce(GatewayConfig) -> GatewayConfig) -> Self {
        Self::begin(resting(1).await, equals, change).await
    }

    /// `v0` is asked first and `v1` only when `v0` is no use.
    pub async fn ranked() -> Self {
        Self::ranked_with(|config| config).await
    }

    pub async fn ranked_with(change: impl FnOnce(GatewayConfig) -> GatewayConfig) -> Self {
        Self::begin(resting(2).await, ranked, change).await
    }

    pub async fn begin(
        cluster: Sandbox,
        upstreams: impl FnOnce(&Sandbox) -> GatewayConfig,
        change: impl FnOnce(GatewayConfig) -> GatewayConfig,
    ) -> Self {
        let config = change(cached(upstreams(&cluster)));
        let gateway = Gateway::start(config).await;
        let scene = Scene { cluster, gateway };
        let stage = Self { scene };
        stage.noticed().await;
        stage.cluster().reset_counts();
        stage
    }

    pub fn cluster(&self) -> &Sandbox {
        &self.scene.cluster
    }

    pub fn gateway(&self) -> &Gateway {
        &self.scene.gateway
    }

    pub fn v(&self, index: usize) -> &Arc<Validator> {
        self.scene.v(index)
    }

    /// The configuration as it was before the test changed it.
    pub fn config(&self) -> GatewayConfig {
        cached(ranked(self.cluster()))
    }

    /// Moves the cluster on and waits until the gateway knows.
    pub async fn advance(&self, slots: u64) {
        self.cluster().cluster().clock.advance(slots);
        self.noticed().await;
    }

    /// Waits until the gateway knows where every validator is.
    pub async fn noticed(&self) {
        let validators = self.cluster().validators();
        let sights: Vec<_> = validators.iter().map(|one| one.sight()).collect();
        until("the gateway to know the slots", || async {
            let status = self.gateway().status().await;
            let known = Level::ALL.iter().all(|level| {
                let name = level.label();
                let newest = sights.iter().map(|sight| sight.at(*level)).max();
                let each = sights.iter().enumerate().all(|(index, sight)| {
                    let seen = &status["upstreams"][index]["slots"][name];
                    seen.as_u64() >= Some(sight.at(*level))
                });
                status["tip"][name].as_u64() == newest && each
            });
            known.then_some(())
        })
        .await;
    }

    /// What a validator without faults sees.
    pub fn sight(&self) -> Sight {
        let clock = &self.cluster().cluster().clock;
        Sight::of(clock.tip()).rooted_at_most(clock.root())
    }

    pub async fn ask(&self, method: &str, params: &Value) -> Reply {
        self.gateway().rpc(method, params.clone()).await
    }

    /// Asks with a header more.
    pub async fn ask_with(&self, header: (&str, &str), method: &str, params: &Value) -> Reply {
        let request = self
            .gateway()
            .client()
            .post(self.gateway().url())
            .header("content-type", "application/json")
            .header(header.0, header.1)
            .body(client::call(method, params));
        self.gateway().send(request).await
    }

    /// Asks, and the answer must come from an upstream, once.
    pub async fn asks(&self, method: &str, params: &Value) -> Value {
        let before = self.cluster().hits(method);
        let reply = self.ask(method, params).await;
        let asked = self.cluster().hits(method) - before;
        let what = format!("{method} {params}: {}", reply.text());
        assert_eq!((reply.cache(), asked), ("miss", 1), "{what}");
        reply.json()
    }

    /// Asks, and the answer must be known already.
    pub async fn knows(&self, method: &str, params: &Value) -> Value {
        let before: u64 = self.cluster().hits_each().iter().sum();
        let reply = self.ask(method, params).await;
        let asked = self.cluster().hits_each().iter().sum::<u64>() - before;
        let what = format!("{method} {params}: {}", reply.text());
        assert_eq!((reply.cache(), asked), ("hit", 0), "{what}");
        reply.json()
    }

    /// Asks for what is never kept: every time an upstream is asked.
    pub async fn always_asks(&self, method: &str, params: &Value) {
        for _ in 0..2 {
            let before = self.cluster().hits(method);
            let reply = self.ask(method, params).await;
            let asked = self.cluster().hits(method) - before;
            assert!(asked >= 1, "{method} {params}: {}", reply.text());
            let from = reply.cache();
            assert!(!["hit", "stale"].contains(&from), "{method}: {from}");
        }
    }

    /// What a validator says at a slot of the main line.
    pub fn said(&self, slot: u64, method: &str, params: &Value) -> Value {
        let moment = Moment {
            slot,
            line: Line::MAIN,
        };
        self.cluster().said_at(moment, method, params).unwrap()
    }

    /// Lands a transaction in the next slot.
    pub fn land(&self, mark: u64) -> String {
        let bytes = transaction::sample(mark, "");
        self.cluster().cluster().land(&bytes).unwrap()
    }
}

/// With a cache, and with no sense of time: the gateway's slots move only when it sees them move.
pub fn cached(config: GatewayConfig) -> GatewayConfig {
    config
        .set("cache.enabled", true)
        .set("cluster.slot_time", "10s")
        .set("health.stopped_after", "10m")
}

/// An account that changes with every slot.
pub fn moving() -> String {
    keys(Nature::Moving, 1).remove(0)
}

/// `[key, {"commitment": level}]`.
pub fn at(key: &str, level: Level) -> Value {
    json!([key, {"commitment": level.label()}])
}

/// A cluster whose accounts change with the slot, and whose slot stands still.
pub async fn resting(validators: usize) -> Sandbox {
    resting_at(validators, Settings::default().start_slot).await
}

pub async fn resting_at(validators: usize, start_slot: u64) -> Sandbox {
    let cluster = Sandbox::with(Settings {
        validators,
        start_slot,
        moving: true,
        ..Settings::default()
    })
    .await
    .unwrap();
    cluster.cluster().clock.stop();
    cluster
}
