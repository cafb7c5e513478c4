//! A gateway before two swap APIs, a self-hosted and a hosted one, and validators that say which slot
//! it is.

use perijove_tests::client::Reply;
use perijove_tests::gateway::{Gateway, GatewayConfig, loopback};
use perijove_tests::sandbox::Sandbox;
use perijove_tests::wait::until;
use serde_json::{Value, json};

use super::scripted::{SOL, Scripted, USDC};
use crate::scene::equals;

/// The key of the hosted one.
pub const KEY: &str = "jupiter-key-of-the-operator";

pub struct Exchange {
    pub cluster: Sandbox,
    pub own: Scripted,
    pub hosted: Scripted,
    pub gateway: Gateway,
    pub config: GatewayConfig,
}

impl Exchange {
    pub async fn open() -> Self {
        Self::with(|config| config).await
    }

    /// With changes to the configuration.
    pub async fn with(change: impl FnOnce(GatewayConfig) -> GatewayConfig) -> Self {
        let cluster = Sandbox::start(2).await.unwrap();
        let tip = cluster.cluster().clock.tip();
        let (own, hosted) = (Scripted::start(tip).await, Scripted::start(tip).await);
        let config = equals(&cluster)
            .set("jupiter.upstreams", upstreams(&own, &hosted))
            .set("jupiter.health.interval", "50ms")
            .set("jupiter.health.metered_interval", "50ms")
            // The slots of the scripted ones stand still while the cluster's go on.
            .set("jupiter.health.exclude_lag", 50_000)
            .set("jupiter.health.readmit_lag", 50_000);
        let config = change(config);
        let served = config.get("jupiter.upstreams").is_some();
        let gateway = Gateway::start(config.clone()).await;
        let exchange = Self {
            cluster,
            own,
            hosted,
            gateway,
            config,
        };
        if served {
            exchange.until_fitness("own", "fit").await;
            exchange.until_fitness("hosted", "fit").await;
        }
        exchange.own.forget();
        exchange.hosted.forget();
        exchange
    }

    /// A second gateway with the same configuration.
    pub async fn another(&self) -> Gateway {
        let config = self.config.clone().set("listen.rpc", json!([loopback()]));
        Gateway::start(config.set("admin.listen", loopback())).await
    }

    /// What `/status` says of one of them.
    pub async fn status(&self, id: &str) -> Value {
        let status = self.gateway.status().await;
        let all = status["jupiter"]["upstreams"].as_array().cloned();
        let mut all = all.unwrap_or_default().into_iter();
        all.find(|one| one["id"] == id).unwrap_or_default()
    }

    pub async fn until_fitness(&self, id: &str, fitness: &str) {
        until(&format!("{id} to be {fitness}"), || async {
            (self.status(id).await["fitness"] == fitness).then_some(())
        })
        .await;
    }

    pub async fn get(&self, target: &str) -> Reply {
        let url = format!("{}{target}", self.gateway.url().trim_end_matches('/'));
        self.gateway.send(self.gateway.client().get(url)).await
    }

    pub async fn post(&self, target: &str, body: &Value) -> Reply {
        let url = format!("{}{target}", self.gateway.url().trim_end_matches('/'));
        let post = self.gateway.client().post(url);
        let post = post.header("content-type", "application/json");
        self.gateway.send(post.body(body.to_string())).await
    }

    /// A quote for so much SOL.
    pub async fn quote(&self, amount: u64) -> Reply {
        self.get(&quote_target("/swap/v1/quote", amount)).await
    }

    pub async fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.gateway.metrics().await.sum(name, labels)
    }
}

/// The target of a quote.
pub fn quote_target(path: &str, amount: u64) -> String {
    format!("{path}?inputMint={SOL}&outputMint={USDC}&amount={amount}")
}

fn upstreams(own: &Scripted, hosted: &Scripted) -> Value {
    json!([
        { "id": "own", "kind": "self-hosted", "url": own.url() },
        { "id": "hosted", "kind": "hosted", "url": hosted.url(), "key": KEY },
    ])
}
