//! Calls that keep coming while something happens to Redis, and what came of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use perijove_tests::client::{self, Reply};
use perijove_tests::wait::{PATIENCE, until};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::scene::{Counts, Shared, blocks};

/// Calls a second to each gateway.
const RATE: u32 = 100;

/// So many calls later the second gateway asks for what the first has asked for.
const BEHIND: usize = 20;

/// Fewer answers than this say little.
const ENOUGH: u64 = 200;

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
    pub fn start(shared: &Shared) -> Self {
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

    pub fn goes_on(&self) -> bool {
        self.tasks.iter().all(|task| !task.is_finished())
    }

    /// Waits until the second gateway has found what the first had asked for.
    pub async fn until_shared(&self) {
        until("answers to be shared", || async {
            let (client, url) = &self.second;
            let reply = Reply::read(client.get(url).send().await.ok()?).await.ok()?;
            (Counts::read(&reply.text()).hits() >= 10).then_some(())
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
    pub async fn assert_all_right(self) {
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
