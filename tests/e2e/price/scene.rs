//! A gateway that tells prices, the Redis they stand in, and validators that nobody should ask.

use std::time::Duration;

use perijove_core::Pubkey;
use perijove_tests::client::Reply;
use perijove_tests::gateway::Gateway;
use perijove_tests::redis::Redis;
use perijove_tests::sandbox::Sandbox;
use perijove_tests::wait::until;
use serde_json::{Value, json};

use crate::scene::equals;

pub use perijove_tests::gateway::GatewayConfig;

/// A token somebody trades.
pub const TOKEN: Pubkey = Pubkey([77; 32]);

/// How long a look into Redis may take here.
const DEADLINE: Duration = Duration::from_millis(200);

pub const fn ago(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub struct Market {
    pub redis: Redis,
    pub cluster: Sandbox,
    pub gateway: Gateway,
}

impl Market {
    /// Prices are enabled, and answers are not kept.
    pub async fn open() -> Self {
        Self::with(|config| config).await
    }

    /// The same with changes to the configuration.
    pub async fn with(change: impl FnOnce(GatewayConfig) -> GatewayConfig) -> Self {
        let redis = Redis::start().await;
        let cluster = Sandbox::start(2).await.unwrap();
        let config = change(telling(&cluster, &redis));
        let connects = config.get("price.enabled") == Some(&json!(true));
        let gateway = Gateway::start(config).await;
        cluster.reset_counts();
        let market = Self {
            redis,
            cluster,
            gateway,
        };
        if connects {
            market.until_connected().await;
        }
        market
    }

    /// Waits until all connections to Redis are there.
    pub async fn until_connected(&self) {
        until("the connections to Redis", || async {
            let connections = self.sum("perijove_redis_connections", &[]).await;
            (connections >= 3).then_some(())
        })
        .await;
    }

    /// Puts another configuration in force.
    pub async fn reload(&self, change: impl FnOnce(GatewayConfig) -> GatewayConfig) {
        let listens = [
            ("listen.rpc", json!([self.gateway.address().to_string()])),
            (
                "admin.listen",
                json!(self.gateway.admin_url("").replace("http://", "")),
            ),
        ];
        let config = change(telling(&self.cluster, &self.redis));
        let same = listens.into_iter();
        let config = same.fold(config, |config, (path, value)| config.set(path, value));
        self.gateway.write_config(config);
        assert_eq!(self.gateway.reload().await.json()["errors"], json!([]));
    }

    /// Where the prices of these are asked for.
    pub fn url(&self, tokens: &[Pubkey]) -> String {
        let ids: Vec<_> = tokens.iter().map(Pubkey::to_string).collect();
        format!("{}price/v3?ids={}", self.gateway.url(), ids.join(","))
    }

    /// Asks for the prices of these.
    pub async fn prices(&self, tokens: &[Pubkey]) -> Reply {
        self.get(&self.url(tokens)).await
    }

    pub async fn get(&self, url: &str) -> Reply {
        self.gateway.send(self.gateway.client().get(url)).await
    }

    /// Asks with a query of the caller's making.
    pub async fn query(&self, query: &str) -> Reply {
        self.get(&format!("{}price/v3?{query}", self.gateway.url()))
            .await
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a whole number"
    )]
    pub async fn sum(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.gateway.metrics().await.sum(name, labels) as u64
    }

    /// Tokens of which this was told.
    pub async fn told(&self, result: &str) -> u64 {
        self.sum("perijove_price_tokens_total", &[("result", result)])
            .await
    }

    /// Lookups of prices that failed for this reason.
    pub async fn failed(&self, kind: &str) -> u64 {
        let labels = [("operation", "price"), ("kind", kind)];
        self.sum("perijove_redis_errors_total", &labels).await
    }

    /// The line of a request in the access log.
    pub async fn access_log(&self, request_id: &str) -> Value {
        until("a line in the access log", || async {
            let log = self.gateway.process.log();
            let mut lines = log
                .iter()
                .filter_map(|line| serde_json::from_str::<Value>(line).ok());
            lines.find(|line| line["request_id"] == request_id)
        })
        .await
    }

    /// No upstream has had a call.
    pub async fn asked_nobody(&self) {
        for validator in self.cluster.validators() {
            assert_eq!(validator.hits_total(), 0);
        }
        assert_eq!(self.sum("perijove_upstream_attempts_total", &[]).await, 0);
    }
}

fn telling(cluster: &Sandbox, redis: &Redis) -> GatewayConfig {
    let settings = json!({
        "url": redis.url(),
        "deadline": format!("{}ms", DEADLINE.as_millis()),
        "connect": "500ms",
        "breaker": { "failures": 5, "open": "300ms" },
    });
    equals(cluster)
        .set("cache.redis", settings)
        .set("price.enabled", true)
}
