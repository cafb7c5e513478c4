//! The cached gateway against the cluster itself: clients ask thousands of questions while slots
//! move, upstreams fall behind and forks come and go, and every answer must be one that a node gave,
//! not longer ago than it may have been.
//!
//! The seed is printed; `PERIJOVE_SEED` repeats the questions and `PERIJOVE_CALLS` asks more of
//! them. What happens in which slot is not repeatable: the cluster moves with time.

mod clients;
mod questions;
mod verdict;
mod weather;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use parking_lot::Mutex;
use perijove_tests::gateway::{Gateway, GatewayConfig};
use perijove_tests::sandbox::{Sandbox, Settings};
use serde_json::json;

use crate::scene::equals;
use clients::{Errand, Record};
use questions::Asker;
use verdict::{Allowed, Findings};
use weather::Weather;

const CLIENTS: usize = 8;

/// One run.
struct Trial {
    slot_time: Duration,
    calls: usize,
    forks: bool,
}

impl Trial {
    /// Asks, and judges what was said.
    async fn run(&self, change: impl FnOnce(GatewayConfig) -> GatewayConfig) -> Findings {
        let seed = number("PERIJOVE_SEED").unwrap_or_else(|| fastrand::u64(..));
        let calls =
            number("PERIJOVE_CALLS").map_or(self.calls, |calls| usize::try_from(calls).unwrap());
        eprintln!("PERIJOVE_SEED={seed}");
        let cluster = Sandbox::with(Settings {
            validators: 3,
            slot_time: self.slot_time,
            moving: true,
            ..Settings::default()
        })
        .await
        .unwrap();
        let consumers: Vec<_> = (0..CLIENTS)
            .map(|client| json!({"id": format!("c{client}"), "keys": [key(client)]}))
            .collect();
        let config = equals(&cluster)
            .set(
                "cluster.slot_time",
                format!("{}ms", self.slot_time.as_millis()),
            )
            .set("consumers", json!(consumers))
            .set("cache.enabled", true)
            .set("hedge.enabled", true);
        let gateway = Gateway::start(change(config)).await;
        let cluster = Arc::new(cluster);
        let (records, weather) = self.ask(&cluster, &gateway, seed, calls).await;
        let allowed = Allowed {
            upstream_lag: weather::LAG,
            ahead: if self.forks { weather::AHEAD } else { 0 },
            weather,
        };
        let findings = Findings::of(&records, &cluster, &allowed);
        eprintln!("{}", findings.summary());
        findings
    }

    async fn ask(
        &self,
        cluster: &Arc<Sandbox>,
        gateway: &Gateway,
        seed: u64,
        calls: usize,
    ) -> (Vec<Record>, Weather) {
        let signatures = Arc::new(Mutex::new(Vec::new()));
        let done = Arc::new(AtomicBool::new(false));
        let landing = tokio::spawn(weather::transactions(
            Arc::clone(cluster),
            Arc::clone(&signatures),
            Arc::clone(&done),
        ));
        // The changes take as long however many calls there are: about as many slots.
        let changing = weather::changes(Arc::clone(cluster), 8, self.forks, Arc::clone(&done));
        let changing = tokio::spawn(changing);
        let asking: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let errand = Errand {
                    cluster: Arc::clone(cluster),
                    url: gateway.url(),
                    client,
                    key: key(client),
                    calls: calls / CLIENTS,
                    done: Arc::clone(&done),
                };
                let asker = Asker::new(seed, client as u64, Arc::clone(&signatures));
                tokio::spawn(errand.run(asker))
            })
            .collect();
        let mut records = Vec::new();
        for asked in asking {
            records.extend(asked.await.unwrap());
        }
        landing.await.unwrap();
        (records, changing.await.unwrap())
    }
}

fn key(client: usize) -> String {
    format!("differential-{client}")
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text} is no number")),
    )
}

fn assert_right(findings: &Findings) {
    let few = &findings.wrong[..findings.wrong.len().min(10)];
    assert!(few.is_empty(), "{}\n{}", findings.summary(), few.join("\n"));
    let kept: usize = ["hit", "coalesced"]
        .iter()
        .filter_map(|header| findings.by_header.get(*header))
        .sum();
    assert!(
        kept > 100,
        "hardly anything was kept: {}",
        findings.summary()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_is_one_a_node_gave_lately_while_slots_take_a_tenth_of_a_second() {
    let trial = Trial {
        slot_time: Duration::from_millis(100),
        calls: 6_000,
        forks: false,
    };
    assert_right(&trial.run(|config| config).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_is_one_a_node_gave_lately_while_slots_take_their_usual_time() {
    let trial = Trial {
        slot_time: Duration::from_millis(400),
        calls: 4_000,
        forks: false,
    };
    assert_right(&trial.run(|config| config).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_is_one_a_node_gave_lately_while_forks_come_and_go() {
    let trial = Trial {
        slot_time: Duration::from_millis(100),
        calls: 4_000,
        forks: true,
    };
    assert_right(&trial.run(|config| config).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_is_one_a_node_gave_lately_where_hot_accounts_are_heard_of() {
    let trial = Trial {
        slot_time: Duration::from_millis(200),
        calls: 6_000,
        forks: true,
    };
    let hears = |config: GatewayConfig| {
        config
            .set("cache.hot_accounts.most", 200)
            .set("cache.hot_accounts.reads", 2)
            .set("cache.hot_accounts.window", "500ms")
            .set("websocket.feed.track_slots", true)
    };
    assert_right(&trial.run(hears).await);
}

/// The test of the test: with lifetimes that are too long, it must find fault.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_are_kept_too_long_are_noticed() {
    let trial = Trial {
        slot_time: Duration::from_millis(100),
        calls: 2_000,
        forks: false,
    };
    let findings = trial
        .run(|config| {
            // Clients must not be kept from old answers by what they have been told already.
            let config = config.set("selection.step_back", 10_000);
            questions::read_at_the_head()
                .fold(config.set("cache.allow_looser", true), |config, method| {
                    config.set(&format!("cache.methods.{method}.slots"), 20)
                })
        })
        .await;
    let old = findings
        .wrong
        .iter()
        .filter(|wrong| !wrong.starts_with("backwards"));
    assert!(old.count() > 50, "{}", findings.summary());
}
