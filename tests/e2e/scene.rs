//! What most tests begin with: a cluster, a gateway in front of it, and the calls they make.

use perijove_tests::client::Reply;
use perijove_tests::gateway::{Endpoint, Gateway, GatewayConfig};
use perijove_tests::sandbox::{Fault, Sandbox, Settings, Validator, chain, transaction};
use perijove_tests::wait::until;
use serde_json::json;
use std::sync::Arc;

/// An account everybody asks about.
pub const KEY: &str = "3qri489hLgWkzeAw76pCNPwRF2RiCmi5iQgKpLioeJz2";

/// A cluster and a gateway in front of it.
pub struct Scene {
    pub cluster: Sandbox,
    pub gateway: Gateway,
}

impl Scene {
    /// `v0` is asked first and `v1` only when `v0` is no use.
    pub async fn ranked() -> Self {
        Self::ranked_with(|config| config).await
    }

    /// The same with changes to the configuration.
    pub async fn ranked_with(change: impl FnOnce(GatewayConfig) -> GatewayConfig) -> Self {
        Self::ranked_of(2, change).await
    }

    /// The same with up to three upstreams, each of a worse tier than the one before.
    pub async fn ranked_of(
        validators: usize,
        change: impl FnOnce(GatewayConfig) -> GatewayConfig,
    ) -> Self {
        let cluster = Sandbox::start(validators).await.unwrap();
        let config = change(ranked(&cluster));
        let gateway = Gateway::start(config).await;
        all_probed(&gateway).await;
        cluster.reset_counts();
        Self { cluster, gateway }
    }

    /// `validators` equal upstreams.
    pub async fn equals(validators: usize) -> Self {
        Self::equals_with(validators, |config| config).await
    }

    /// The same with changes to the configuration.
    pub async fn equals_with(
        validators: usize,
        change: impl FnOnce(GatewayConfig) -> GatewayConfig,
    ) -> Self {
        let cluster = Sandbox::start(validators).await.unwrap();
        let config = change(equals(&cluster));
        let gateway = Gateway::start(config).await;
        all_probed(&gateway).await;
        cluster.reset_counts();
        Self { cluster, gateway }
    }

    pub fn v(&self, index: usize) -> &Arc<Validator> {
        self.cluster.validator(index)
    }

    /// A read.
    pub async fn balance(&self) -> Reply {
        self.gateway.rpc("getBalance", json!([KEY])).await
    }

    /// Hits of each validator by one method.
    pub fn hits(&self, method: &str) -> Vec<u64> {
        let all = self.cluster.validators().iter();
        all.map(|one| one.hits(method)).collect()
    }

    /// Reads until this upstream answers.
    pub async fn until_answered_by(&self, upstream: &str) {
        until(&format!("{upstream} to answer"), || async {
            (self.balance().await.upstream() == upstream).then_some(())
        })
        .await;
    }

    /// Reads until only this upstream is asked, then some more, for which it must be so too. While
    /// another is still asked first, its answers may come from this one all the same.
    pub async fn settles_on(&self, index: usize) {
        let name = format!("v{index}");
        let mut expected = vec![0; self.cluster.validators().len()];
        expected[index] = 10;
        let ten_reads = async || {
            self.cluster.reset_counts();
            for _ in 0..10 {
                if self.balance().await.upstream() != name {
                    break;
                }
            }
            self.hits("getBalance")
        };
        until(&format!("only {name} to be asked"), || async {
            (ten_reads().await == expected).then_some(())
        })
        .await;
        assert_eq!(ten_reads().await, expected);
    }

    /// Reads, all of which `v1` answers, until `v0` is not asked first any more.
    pub async fn goes_past_the_first(&self) {
        until("reads to go past v0", || async {
            let before = self.v(0).hits("getBalance");
            for _ in 0..5 {
                assert_eq!(self.balance().await.upstream(), "v1");
            }
            (self.v(0).hits("getBalance") == before).then_some(())
        })
        .await;
    }

    /// Params of `sendTransaction` for a transaction nobody sent before.
    pub fn transaction(&self, mark: u64) -> serde_json::Value {
        let tip = self.cluster.cluster().clock.tip();
        let hash = chain::blockhash(chain::block_at_or_before(tip - 60));
        let text = bs58::encode(transaction::sample(mark, &hash)).into_string();
        json!([text])
    }
}

/// Waits until something is known of every upstream: the gateway is ready with the first.
pub async fn all_probed(gateway: &Gateway) {
    until("all upstreams to be probed", || async {
        let status = gateway.status().await;
        let upstreams = status["upstreams"].as_array()?;
        let probed = upstreams.iter().all(|one| one["health"] != "unprobed");
        probed.then_some(())
    })
    .await;
}

/// `v0` local, `v1` bought, `v2` public, all probed often and none metered.
pub fn ranked(cluster: &Sandbox) -> GatewayConfig {
    let tiers = ["local", "paid", "public"];
    let validators = cluster.validators();
    assert!(validators.len() <= tiers.len(), "equals have no order");
    let ranked = validators.iter().zip(tiers);
    ranked.fold(GatewayConfig::new(), |config, (validator, tier)| {
        let endpoint = Endpoint::of(validator).tier(tier);
        config.endpoint(endpoint.set("metered", false))
    })
}

/// All local.
pub fn equals(cluster: &Sandbox) -> GatewayConfig {
    cluster
        .validators()
        .iter()
        .fold(GatewayConfig::new(), |config, one| config.upstream(one))
}

/// A cluster whose slots move fast, for tests that wait for slots.
pub async fn brisk(validators: usize) -> Sandbox {
    Sandbox::with(Settings {
        validators,
        slot_time: std::time::Duration::from_millis(100),
        ..Settings::default()
    })
    .await
    .unwrap()
}

/// Every read meets it, probes do not.
pub fn on_reads(fault: impl Into<Fault>) -> Fault {
    fault.into().on("getBalance")
}
