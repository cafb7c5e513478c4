//! A gateway before the sandbox's Jupiter: servers over one market whose pools trade with every slot, so
//! that a test can tell what any quote must have said. The clock is in the test's hand.

use std::sync::Arc;

use perijove_tests::client::Reply;
use perijove_tests::gateway::{Gateway, GatewayConfig};
use perijove_tests::jupiter::tokens::{SOL, USDC};
use perijove_tests::jupiter::{Chain, Jupiter, Server, Settings, Shape};
use perijove_tests::sandbox::Sandbox;
use perijove_tests::wait::until;
use serde_json::{Value, json};

use super::scripted::CANARY;
use crate::scene::equals;

pub struct Trading {
    pub cluster: Sandbox,
    pub jupiter: Jupiter,
    pub gateway: Gateway,
}

impl Trading {
    /// A self-hosted server, asked first, and a hosted one.
    pub async fn usual() -> Self {
        Self::open(vec![Settings::default(), Settings::hosted()], |config| {
            config
        })
        .await
    }

    /// With these servers: the first self-hosted one is called `own`, others by their numbers.
    pub async fn open(
        settings: Vec<Settings>,
        change: impl FnOnce(GatewayConfig) -> GatewayConfig,
    ) -> Self {
        let cluster = Sandbox::start(2).await.unwrap();
        cluster.cluster().clock.stop();
        let jupiter = Jupiter::start(Chain::of(&cluster), settings).await.unwrap();
        let config = equals(&cluster)
            // The clock goes on only when it is moved.
            .set("cluster.slot_time", "10s")
            .set("health.stopped_after", "10m")
            .set("jupiter.upstreams", upstreams(&jupiter))
            .set("jupiter.health.interval", "50ms")
            .set("jupiter.health.metered_interval", "50ms")
            .set("jupiter.health.timeout", "1s")
            .set("jupiter.health.slow_start", "0s");
        let gateway = Gateway::start(change(config)).await;
        let trading = Self {
            cluster,
            jupiter,
            gateway,
        };
        for server in trading.jupiter.servers() {
            trading.until_fitness(&id(server), "fit").await;
        }
        trading.noticed().await;
        trading
    }

    pub fn server(&self, index: usize) -> &Arc<Server> {
        self.jupiter.server(index)
    }

    pub fn tip(&self) -> u64 {
        self.cluster.cluster().clock.tip()
    }

    /// Moves the cluster on and waits until the gateway knows.
    pub async fn advance(&self, slots: u64) {
        self.cluster.cluster().clock.advance(slots);
        self.noticed().await;
    }

    async fn noticed(&self) {
        until("the gateway to know the slot", || async {
            let status = self.gateway.status().await;
            (status["tip"]["processed"].as_u64() == Some(self.tip())).then_some(())
        })
        .await;
    }

    /// What `/status` says of one of the servers.
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
        self.get(&swap(SOL, USDC, amount)).await
    }

    /// Requests of clients that a server has seen under this path.
    pub fn asked(&self, index: usize, path: &str) -> usize {
        let seen = self.server(index).seen(path);
        let canary = |target: &str| target.contains(CANARY);
        seen.iter().filter(|seen| !canary(&seen.target)).count()
    }

    /// What a quote must have said, to the byte.
    pub fn said(&self, index: usize, slot: u64, target: &str) -> String {
        let said = self.server(index).said_at(slot, target);
        said.expect("it has an answer").to_string()
    }
}

/// The target of a quote of version 1.
pub fn swap(input: &str, output: &str, amount: u64) -> String {
    format!("/swap/v1/quote?inputMint={input}&outputMint={output}&amount={amount}")
}

/// The slot of the markets that a quote is from.
pub fn context(reply: &Reply) -> u64 {
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()["contextSlot"].as_u64().expect("a slot")
}

fn id(server: &Server) -> String {
    match (server.settings().shape, server.index()) {
        (Shape::SelfHosted, 0) => "own".to_owned(),
        (Shape::SelfHosted, index) => format!("own-{index}"),
        (Shape::Hosted, 1) => "hosted".to_owned(),
        (Shape::Hosted, index) => format!("hosted-{index}"),
    }
}

fn upstreams(jupiter: &Jupiter) -> Value {
    let all = jupiter.servers().iter().map(|server| {
        let settings = server.settings();
        let kind = match settings.shape {
            Shape::SelfHosted => "self-hosted",
            Shape::Hosted => "hosted",
        };
        let mut upstream = json!({ "id": id(server), "kind": kind, "url": server.url() });
        if let Some(key) = settings.keys.first() {
            upstream["key"] = json!(key);
        }
        if settings.fee_bps > 0 {
            upstream["platform_fee_bps"] = json!(settings.fee_bps);
        }
        upstream
    });
    all.collect()
}
