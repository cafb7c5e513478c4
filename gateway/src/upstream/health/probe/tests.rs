//! What is asked when, and what a node's answers do to its health.

mod genesis;
mod metered;
mod plan;
mod returns;
mod withheld;

use std::collections::HashMap;
use std::time::Duration;

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::config;
use crate::upstream::testing::{self, pool, settings};
use crate::upstream::{Health, Pool, Upstream};

#[test]
fn results_are_read_strictly() {
    for (result, number) in [
        ("5", Some(5)),
        (" 5 ", Some(5)),
        ("-5", None),
        ("\"5\"", None),
    ] {
        assert_eq!(unsigned(result.as_bytes()), number, "{result}");
    }
    for (result, hash) in [("\"abc\"", Some("abc")), ("abc", None), (r#""a\"b""#, None)] {
        assert_eq!(text(result.as_bytes()), hash, "{result}");
    }
}

/// A node that answers what its table says, and counts what it was asked.
struct Node {
    answers: Mutex<HashMap<&'static str, String>>,
    asked: Mutex<HashMap<String, u32>>,
    statuses: Mutex<HashMap<&'static str, u16>>,
    silent: AtomicBool,
    address: SocketAddr,
}

impl Node {
    async fn start(slot: u64) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let node = Arc::new(Self {
            answers: Mutex::default(),
            asked: Mutex::default(),
            statuses: Mutex::default(),
            silent: AtomicBool::new(false),
            address: listener.local_addr().unwrap(),
        });
        node.says("getSlot", &result(slot));
        node.says("getBlockHeight", &result(slot - 50));
        node.says("getMaxShredInsertSlot", &result(slot + 2));
        node.says("getHealth", &result("\"ok\""));
        node.says("getGenesisHash", &result("\"abc\""));
        let epoch = r#"{"absoluteSlot":1000,"slotIndex":900,"slotsInEpoch":1000}"#;
        node.says("getEpochInfo", &result(epoch));
        node.says("minimumLedgerSlot", &result(100));
        node.says("getFirstAvailableBlock", &result(102));
        let server = Arc::clone(&node);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&server).serve(stream));
            }
        });
        node
    }

    fn says(&self, method: &'static str, answer: &str) {
        self.answers.lock().insert(method, answer.to_owned());
    }

    fn asked(&self, method: &str) -> u32 {
        self.asked.lock().get(method).copied().unwrap_or_default()
    }

    async fn serve(self: Arc<Self>, mut stream: tokio::net::TcpStream) {
        let mut bytes = vec![0; 4096];
        while let Ok(read @ 1..) = stream.read(&mut bytes).await {
            let request = String::from_utf8_lossy(&bytes[..read]).into_owned();
            let method = request.split("\"method\":\"").nth(1).unwrap();
            let method = method.split('"').next().unwrap();
            *self.asked.lock().entry(method.to_owned()).or_default() += 1;
            if self.silent.load(Ordering::SeqCst) {
                return;
            }
            let id = request.rsplit("\"id\":").next().unwrap();
            let id = format!("\"id\":{id}");
            let body = self.answers.lock()[method].replace("\"id\":1}", &id);
            let length = body.len();
            let status = self.statuses.lock().get(method).copied().unwrap_or(200);
            let response =
                format!("HTTP/1.1 {status} It\r\ncontent-length: {length}\r\n\r\n{body}");
            stream.write_all(response.as_bytes()).await.unwrap();
        }
    }

    fn settings(&self, id: &str) -> config::UpstreamSettings {
        settings(id, &format!("http://{}/", self.address))
    }
}

fn result(value: impl std::fmt::Display) -> String {
    format!(r#"{{"jsonrpc":"2.0","result":{value},"id":1}}"#)
}

fn error(code: i64, message: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","error":{{"code":{code},"message":"{message}"}},"id":1}}"#)
}

fn probe(pool: &Pool, id: &str) -> Probe {
    Probe::new(Arc::clone(&pool.upstream(id).unwrap().member))
}

fn health(pool: &Pool, id: &str) -> Health {
    pool.upstream(id).unwrap().health()
}

#[tokio::test]
async fn one_good_round_makes_an_upstream_healthy() {
    let node = Node::start(1000).await;
    let pool = pool(vec![node.settings("a")]);
    assert_eq!(health(&pool, "a"), Health::Unprobed);
    assert!(probe(&pool, "a").check(node.address).await);
    assert_eq!(health(&pool, "a"), Health::Healthy);
    for commitment in Commitment::ALL {
        assert_eq!(pool.tip(commitment), Some(Slot(1000)));
    }
    assert_eq!(pool.status().genesis.as_deref(), Some("abc"));
    assert_eq!(pool.status().upstreams[0].oldest_slot, Some(Slot(102)));
    let view = pool.slots().unwrap();
    assert_eq!(
        (view.epoch_start, view.epoch_end),
        (Some(Slot(100)), Some(Slot(1099)))
    );
}

#[tokio::test]
async fn an_upstream_is_failing_after_three_rounds_without_an_answer() {
    let node = Node::start(1000).await;
    let pool = pool(vec![node.settings("a")]);
    let probe = probe(&pool, "a");
    probe.check(node.address).await;
    node.silent.store(true, Ordering::SeqCst);
    for expected in [Health::Healthy, Health::Healthy, Health::Failing] {
        assert!(!probe.check(node.address).await);
        assert_eq!(health(&pool, "a"), expected);
    }
    node.silent.store(false, Ordering::SeqCst);
    probe.check(node.address).await;
    assert_eq!(health(&pool, "a"), Health::Failing);
    probe.check(node.address).await;
    assert_eq!(health(&pool, "a"), Health::Healthy);
}

#[tokio::test]
async fn one_dead_address_among_two_is_no_failure() {
    let node = Node::start(1000).await;
    let pool = pool(vec![node.settings("a")]);
    let probe = probe(&pool, "a");
    let dead = SocketAddr::new("127.0.0.2".parse().unwrap(), 1);
    let addresses = &pool.upstreams()[0].state().addresses;
    addresses.pretend(vec![node.address, dead]);
    for _ in 0..5 {
        assert!(probe.check(node.address).await);
        assert!(!probe.check(dead).await);
    }
    assert_eq!(health(&pool, "a"), Health::Healthy);
}

#[tokio::test]
async fn an_upstream_stands_where_the_foremost_of_its_addresses_does() {
    let (fore, late) = (Node::start(1000).await, Node::start(900).await);
    let other = Node::start(1000).await;
    let pool = pool(vec![fore.settings("a"), other.settings("other")]);
    probe(&pool, "other").check(other.address).await;
    let probe = probe(&pool, "a");
    let addresses = &pool.upstreams()[0].state().addresses;
    addresses.pretend(vec![fore.address, late.address]);
    let slot = || pool.upstreams()[0].state().slot(Commitment::Processed);
    for _ in 0..5 {
        for node in [&fore, &late] {
            assert!(probe.check(node.address).await);
            assert_eq!(slot(), Some(Slot(1000)));
            assert_eq!(health(&pool, "a"), Health::Healthy);
        }
    }
    // Where all of them are behind, so is it.
    for node in [&fore, &late] {
        node.says("getSlot", &result(850));
        node.says("getBlockHeight", &result(800));
        node.says("getMaxShredInsertSlot", &result(852));
    }
    for _ in 0..2 {
        probe.check(fore.address).await;
        probe.check(late.address).await;
    }
    assert_eq!(slot(), Some(Slot(850)));
    assert_eq!(health(&pool, "a"), Health::Lagging);
}

#[tokio::test]
async fn what_a_node_does_not_want_to_say_is_not_held_against_it() {
    let node = Node::start(1000).await;
    for method in [
        "getHealth",
        "getBlockHeight",
        "getMaxShredInsertSlot",
        "getGenesisHash",
    ] {
        node.says(method, &error(-32601, "Method not found"));
    }
    let pool = pool(vec![node.settings("a")]);
    assert!(probe(&pool, "a").check(node.address).await);
    assert_eq!(health(&pool, "a"), Health::Healthy);
    assert!(pool.status().upstreams[0].closed_methods.is_empty());
}

#[tokio::test]
async fn each_lie_is_found_out() {
    let cases = [
        (
            "getHealth",
            error(-32005, "Node is behind by 200 slots"),
            Health::Unwell,
        ),
        ("getMaxShredInsertSlot", result(1200), Health::Stale),
        ("getBlockHeight", result(1001), Health::Implausible),
        ("getGenesisHash", result("\"other\""), Health::WrongCluster),
        ("getSlot", result(900), Health::Lagging),
    ];
    for (method, answer, expected) in cases {
        let (good, bad) = (Node::start(1000).await, Node::start(1000).await);
        bad.says(method, &answer);
        if method == "getSlot" {
            bad.says("getBlockHeight", &result(800));
            bad.says("getMaxShredInsertSlot", &result(901));
        }
        let pool = pool(vec![good.settings("good"), bad.settings("bad")]);
        probe(&pool, "good").check(good.address).await;
        probe(&pool, "bad").check(bad.address).await;
        assert_eq!(health(&pool, "good"), Health::Healthy, "{method}");
        assert_eq!(health(&pool, "bad"), expected, "{method}");
    }
}

#[tokio::test]
async fn a_complaint_is_asked_about_in_every_round_until_it_is_withdrawn() {
    let node = Node::start(1000).await;
    node.says("getHealth", &error(-32005, "Node is unhealthy"));
    let pool = pool(vec![node.settings("a")]);
    let probe = probe(&pool, "a");
    for round in 1..4 {
        probe.check(node.address).await;
        assert_eq!(node.asked("getHealth"), round);
        assert_eq!(health(&pool, "a"), Health::Unwell);
    }
    node.says("getHealth", &result("\"ok\""));
    probe.check(node.address).await;
    assert_eq!(health(&pool, "a"), Health::Healthy);
    probe.check(node.address).await;
    assert_eq!(node.asked("getHealth"), 4);
}

#[tokio::test]
async fn probes_run_by_themselves_and_are_counted() {
    let node = Node::start(1000).await;
    let pool = pool(vec![node.settings("a")]);
    pool.start(&tokio::runtime::Handle::current(), None);
    while health(&pool, "a") != Health::Healthy {
        tokio::task::yield_now().await;
    }
    assert!(pool.can_serve());
    assert_eq!(pool.upstreams()[0].balancer.pick(), Some(node.address));
}

/// A pool whose cluster has this genesis hash.
fn pool_of(genesis: &str, upstreams: Vec<config::UpstreamSettings>) -> Pool {
    let mut config = testing::config(upstreams);
    config.cluster.genesis = config::GenesisRule::Hash(genesis.to_owned());
    let pool = Pool::compile(&config, None, &testing::parts()).unwrap();
    let members = pool.upstreams().iter().map(|up| Arc::clone(up.state()));
    pool.cluster().replace(members.collect());
    pool
}

#[tokio::test]
async fn a_probe_that_brings_no_slot_has_failed_and_the_cause_is_told() {
    for (status, answer, cause) in [
        (200, result("null"), "getSlot: bad-result"),
        (200, result("\"5\""), "getSlot: bad-result"),
        (200, result("{}"), "getSlot: bad-result"),
        (200, error(-32601, "Method not found"), "getSlot: "),
        (200, error(-32000, "no"), "getSlot: "),
        (200, error(-32602, "Invalid params"), "getSlot: "),
        (400, "Bad Request".to_owned(), "(HTTP 400)"),
        (403, "Forbidden".to_owned(), "(HTTP 403)"),
        (404, "Not Found".to_owned(), "(HTTP 404)"),
    ] {
        let node = Node::start(1000).await;
        node.says("getSlot", &answer);
        node.statuses.lock().insert("getSlot", status);
        let pool = pool(vec![node.settings("a")]);
        let probe = probe(&pool, "a");
        for _ in 0..3 {
            assert!(!probe.check(node.address).await, "{status} {answer}");
            assert_ne!(health(&pool, "a"), Health::Healthy, "{status} {answer}");
        }
        assert_eq!(health(&pool, "a"), Health::Failing, "{status} {answer}");
        let told = pool.status().upstreams[0].cause.clone().unwrap();
        assert!(told.contains(cause), "{told} for {status} {answer}");
    }
}

fn hears(pool: &Pool, slot: u64) {
    let member = &pool.upstreams()[0].member;
    let now = Instant::now();
    member.heard_slot(Commitment::Confirmed, Slot(slot), Duration::ZERO, now);
}
