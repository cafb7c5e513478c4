//! Two gateways with one Redis between them, and a load that notes every answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use perijove_tests::client::{self, Reply};
use perijove_tests::gateway::{Gateway, GatewayConfig};
use perijove_tests::metrics::Metrics;
use perijove_tests::redis::Redis;
use perijove_tests::sandbox::{Sandbox, Settings, chain};
use perijove_tests::wait::{PATIENCE, until};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::scene::equals;

/// How long a lookup may take here.
pub const DEADLINE: Duration = Duration::from_millis(100);

/// Calls a second to each gateway.
const RATE: u32 = 100;

/// So many calls later the second gateway asks for what the first has asked for.
const BEHIND: usize = 20;

/// Fewer answers than this say little.
const ENOUGH: u64 = 200;

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

    async fn before(cluster: Sandbox, change: impl FnOnce(GatewayConfig) -> GatewayConfig) -> Self {
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

/// A load under way.
pub struct Load {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<Vec<Asked>>>,
    answered: Arc<AtomicU64>,
    validator: String,
    second: (reqwest::Client, String),
}

/// One call and what came of it.
struct Asked {
    params: Value,
    outcome: Result<Reply, String>,
    took: Duration,
}

impl Load {
    fn start(shared: &Shared) -> Self {
        let blocks = Arc::new(blocks(&shared.cluster));
        let (stop, stopped) = watch::channel(false);
        let answered = Arc::new(AtomicU64::new(0));
        let tasks = shared
            .gateways
            .iter()
            .enumerate()
            .map(|(index, gateway)| {
                let first = if index == 0 { BEHIND } else { 0 };
                let asking = ask(
                    (client::keep_alive(), gateway.url()),
                    (Arc::clone(&blocks), first),
                    stopped.clone(),
                    Arc::clone(&answered),
                );
                tokio::spawn(asking)
            })
            .collect();
        Self {
            stop,
            tasks,
            answered,
            validator: shared.cluster.validator(0).url(),
            second: (
                client::keep_alive(),
                shared.gateways[1].admin_url("/metrics"),
            ),
        }
    }

    fn goes_on(&self) -> bool {
        self.tasks.iter().all(|task| !task.is_finished())
    }

    /// Waits until the second gateway has found what the first had asked for.
    pub async fn until_shared(&self) {
        until("answers to be shared", || async {
            let (client, url) = &self.second;
            let reply = Reply::read(client.get(url).send().await.ok()?).await.ok()?;
            (Counts(Metrics::parse(&reply.text())).hits() >= 10).then_some(())
        })
        .await;
    }

    /// Waits for some more answers.
    pub async fn some_more(&self) {
        let before = self.answered.load(Ordering::Relaxed);
        until("more answers", || async {
            (self.answered.load(Ordering::Relaxed) >= before + 100).then_some(())
        })
        .await;
    }

    /// Ends it and compares every answer with what a validator says.
    pub async fn assert_all_right(self) -> Outcomes {
        until("answers enough to judge by", || async {
            (self.answered.load(Ordering::Relaxed) > ENOUGH).then_some(())
        })
        .await;
        self.stop.send_replace(true);
        let mut all = Vec::new();
        for task in self.tasks {
            all.extend(task.await.unwrap());
        }
        assert!(all.len() as u64 > ENOUGH, "a load ended early");
        let direct = client::keep_alive();
        for asked in &all {
            let reply = asked
                .outcome
                .as_ref()
                .unwrap_or_else(|error| panic!("{} after {:?}: {error}", asked.params, asked.took));
            let body = client::call("getBlock", &asked.params);
            let truth = post(&direct, &self.validator, body).await.unwrap();
            assert_eq!(
                reply.json(),
                truth.json(),
                "{} by {}",
                asked.params,
                reply.cache()
            );
        }
        Outcomes(all)
    }
}

/// What a load was told.
pub struct Outcomes(Vec<Asked>);

impl Outcomes {
    pub fn slowest(&self) -> Duration {
        let times = self.0.iter().map(|asked| asked.took);
        times.max().unwrap_or_default()
    }
}

/// Asks for one block after the other, on schedule whether or not earlier ones were answered.
async fn ask(
    (client, url): (reqwest::Client, String),
    (blocks, first): (Arc<Vec<Value>>, usize),
    stopped: watch::Receiver<bool>,
    answered: Arc<AtomicU64>,
) -> Vec<Asked> {
    let mut due = interval(Duration::from_secs(1) / RATE);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let end = Instant::now() + 4 * PATIENCE;
    let mut under_way = tokio::task::JoinSet::new();
    for params in blocks.iter().cycle().skip(first) {
        if *stopped.borrow() || Instant::now() > end {
            break;
        }
        due.tick().await;
        let (client, url, params) = (client.clone(), url.clone(), params.clone());
        let answered = Arc::clone(&answered);
        under_way.spawn(async move {
            let began = Instant::now();
            let outcome = post(&client, &url, client::call("getBlock", &params)).await;
            answered.fetch_add(1, Ordering::Relaxed);
            Asked {
                params,
                outcome,
                took: began.elapsed(),
            }
        });
    }
    under_way.join_all().await
}

async fn post(client: &reqwest::Client, url: &str, body: String) -> Result<Reply, String> {
    let request = client
        .post(url)
        .header("content-type", "application/json")
        .body(body);
    let response = request.send().await.map_err(|error| error.to_string())?;
    Reply::read(response)
        .await
        .map_err(|error| error.to_string())
}
