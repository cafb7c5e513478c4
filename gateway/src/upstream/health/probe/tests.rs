//! What is asked when, and what a node's answers do to its health.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::config;
use crate::upstream::testing::{self, pool, settings};
use crate::upstream::{Health, Pool, Upstream};

fn circumstances(round: u64, metered: bool) -> ProbeCircumstances {
    ProbeCircumstances {
        round,
        sparing: metered,
        unwell: false,
        unproven: false,
        told: [false; 3],
        fed: false,
        may_skip: true,
        failed: false,
    }
}

fn methods(given: &ProbeCircumstances) -> Vec<&'static str> {
    plan(given).into_iter().map(ProbeQuestion::method).collect()
}

#[test]
fn everything_is_asked_at_the_start_and_the_slots_in_every_round() {
    let slots = ["getSlot"; 3];
    let start = methods(&circumstances(0, false));
    assert_eq!(start[..2], ["getGenesisHash", "getBlockHeight"]);
    assert_eq!(start[2..5], slots);
    assert_eq!(
        start[5..],
        [
            "getMaxShredInsertSlot",
            "getHealth",
            "getEpochInfo",
            "minimumLedgerSlot",
            "getFirstAvailableBlock"
        ]
    );
    assert_eq!(methods(&circumstances(1, false)), slots);
    assert_eq!(methods(&circumstances(5, false)).len(), 5);
}

#[test]
fn of_a_node_whose_slots_are_heard_one_other_commitment_is_asked_by_turns() {
    let slots = |round, change: fn(&mut ProbeCircumstances)| {
        let mut given = ProbeCircumstances {
            fed: true,
            ..circumstances(round, false)
        };
        change(&mut given);
        let questions = plan(&given).into_iter();
        let level = |question| match question {
            ProbeQuestion::Slot(level) => Some(level),
            _ => None,
        };
        questions.filter_map(level).collect::<Vec<_>>()
    };
    assert_eq!(slots(2, |_| {}), [Commitment::Confirmed]);
    assert_eq!(slots(3, |_| {}), [Commitment::Finalized]);
    // The height is held against the processed slot.
    assert_eq!(slots(10, |_| {}), Commitment::ALL);
    for doubtful in [
        (|given| given.unwell = true) as fn(&mut ProbeCircumstances),
        |given| given.unproven = true,
        |given| given.failed = true,
        |given| given.fed = false,
    ] {
        assert_eq!(slots(3, doubtful), Commitment::ALL);
    }
}

#[test]
fn a_node_that_was_away_is_asked_who_it_is() {
    let mut given = circumstances(3, false);
    given.failed = true;
    assert!(plan(&given).contains(&ProbeQuestion::Genesis));
}

#[test]
fn a_metered_upstream_is_asked_for_one_slot() {
    assert_eq!(
        methods(&circumstances(0, true)),
        [
            "getGenesisHash",
            "getSlot",
            "getEpochInfo",
            "getFirstAvailableBlock"
        ]
    );
    for round in 1..100 {
        assert_eq!(methods(&circumstances(round, true)), ["getSlot"]);
    }
    let mut unwell = circumstances(7, true);
    unwell.unwell = true;
    assert_eq!(methods(&unwell), ["getSlot", "getHealth"]);
}

#[test]
fn where_history_begins_is_asked_rarely() {
    let rounds = |metered: bool, most: u64| {
        let asks = |round: &u64| {
            methods(&circumstances(*round, metered)).contains(&"getFirstAvailableBlock")
        };
        (0..most).filter(asks).count()
    };
    assert_eq!(rounds(false, 1_500), 10, "once a minute");
    assert_eq!(rounds(true, 2 * 2_880), 2, "once a day");
    let mut back = circumstances(3, false);
    back.failed = true;
    assert!(methods(&back).contains(&"minimumLedgerSlot"));
    back.sparing = true;
    assert!(!methods(&back).contains(&"getFirstAvailableBlock"));
}

#[test]
fn what_live_answers_told_is_not_asked_for_a_while() {
    let mut given = circumstances(1, false);
    given.told = [false, true, true];
    assert_eq!(plan(&given), [ProbeQuestion::Slot(Commitment::Processed)]);
    given.may_skip = false;
    assert_eq!(plan(&given).len(), 3);
    let mut metered = circumstances(1, true);
    metered.told = [true; 3];
    assert_eq!(plan(&metered), []);
}

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

    fn settings(&self, id: &str) -> config::Upstream {
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
async fn a_metered_upstream_costs_one_call_a_round_and_none_while_it_rests() {
    let node = Node::start(1000).await;
    let mut settings = node.settings("a");
    settings.metered = true;
    let pool = pool(vec![settings]);
    let probe = probe(&pool, "a");
    for _ in 0..3 {
        probe.check(node.address).await;
    }
    assert_eq!(
        (node.asked("getSlot"), node.asked("getGenesisHash")),
        (3, 1)
    );
    assert_eq!(node.asked("getHealth"), 0);
    node.says("getSlot", &error(429, "Too many requests"));
    probe.check(node.address).await;
    for _ in 0..5 {
        assert!(probe.check(node.address).await);
    }
    assert_eq!(node.asked("getSlot"), 4);
    assert_eq!(health(&pool, "a"), Health::Healthy);
}

/// Settings with a budget.
fn sold(node: &Node, id: &str, requests: u64, burst: u32) -> config::Upstream {
    let rate = config::BudgetRate {
        requests,
        per: config::Per::Hour,
        burst,
        reserve: 0,
        sliding: false,
    };
    config::Upstream {
        budget: Some(config::Budget {
            rate,
            costs: std::collections::BTreeMap::new(),
            groups: Vec::new(),
            organisation: None,
        }),
        ..node.settings(id)
    }
}

#[tokio::test]
async fn probes_use_little_of_a_small_budget_and_the_upstream_is_healthy_all_the_same() {
    let node = Node::start(1000).await;
    let pool = pool(vec![sold(&node, "a", 100, 20)]);
    let probe = probe(&pool, "a");
    for _ in 0..100 {
        assert!(probe.check(node.address).await);
    }
    assert_eq!(health(&pool, "a"), Health::Healthy);
    let asked = node.asked.lock().values().sum::<u32>();
    assert!((4..=10).contains(&asked), "{asked}");
    let budget = &pool.upstreams()[0].state().budget;
    assert_eq!(budget.left(Instant::now()), Some(20 - u64::from(asked)));
    // What is kept for the time when it is away.
    probe.look_once().await;
    assert_eq!(node.asked.lock().values().sum::<u32>(), asked + 1);
    for _ in 0..20 {
        probe.look_once().await;
        probe.recheck().await;
    }
    assert!(budget.left(Instant::now()) >= Some(10));
}

#[tokio::test]
async fn a_budget_that_is_used_up_is_not_exceeded_by_probes_after_a_restart_either() {
    let node = Node::start(1000).await;
    let pool = pool(vec![sold(&node, "a", 60, 10)]);
    let budget = &pool.upstreams()[0].state().budget;
    while budget
        .take("getBalance", Priority::Medium, Instant::now())
        .is_some()
    {}
    let probe = probe(&pool, "a");
    for _ in 0..10 {
        probe.check(node.address).await;
        probe.look_once().await;
        probe.recheck().await;
    }
    assert_eq!(node.asked.lock().values().sum::<u32>(), 0);
    assert_eq!(health(&pool, "a"), Health::Unprobed);
}

#[tokio::test]
async fn probes_that_could_not_be_sent_cost_nothing() {
    let node = Node::start(1000).await;
    let pool = pool(vec![sold(&node, "a", 60, 10)]);
    let probe = probe(&pool, "a");
    let dead = SocketAddr::new("127.0.0.2".parse().unwrap(), 1);
    let state = pool.upstreams()[0].state();
    state.addresses.pretend(vec![dead]);
    for _ in 0..20 {
        probe.check(dead).await;
    }
    assert_eq!(health(&pool, "a"), Health::Failing);
    assert_eq!(state.budget.left(Instant::now()), Some(10));
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

#[tokio::test]
async fn an_upstream_that_proves_to_be_of_another_cluster_begins_a_new_generation_once() {
    let (good, bad) = (Node::start(1000).await, Node::start(1000).await);
    let pool = pool(vec![good.settings("good"), bad.settings("bad")]);
    probe(&pool, "good").check(good.address).await;
    let changing = probe(&pool, "bad");
    changing.check(bad.address).await;
    let before = pool.generation();
    bad.says("getGenesisHash", &result("\"other\""));
    for _ in 0..20 {
        changing.check(bad.address).await;
    }
    assert_eq!(health(&pool, "bad"), Health::WrongCluster);
    let after = pool.generation();
    assert!(after > before, "{after} after {before}");
    for _ in 0..20 {
        changing.check(bad.address).await;
    }
    assert_eq!(pool.generation(), after, "it is known by now");
}

/// A pool whose cluster has this genesis hash.
fn pool_of(genesis: &str, upstreams: Vec<config::Upstream>) -> Pool {
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

#[tokio::test]
async fn where_the_genesis_hash_is_configured_an_upstream_serves_once_it_has_shown_it() {
    let node = Node::start(1000).await;
    node.says("getGenesisHash", &error(-32601, "Method not found"));
    let pool = pool_of("abc", vec![node.settings("a")]);
    let probe = probe(&pool, "a");
    for _ in 0..3 {
        assert!(!probe.check(node.address).await);
    }
    assert_eq!(health(&pool, "a"), Health::Failing);
    let cause = pool.status().upstreams[0].cause.clone().unwrap();
    assert!(cause.starts_with("getGenesisHash: "), "{cause}");
    assert_eq!(
        node.asked("getGenesisHash"),
        3,
        "it is asked again each time"
    );
    node.says("getGenesisHash", &result("\"abc\""));
    for _ in 0..2 {
        probe.check(node.address).await;
    }
    assert_eq!(health(&pool, "a"), Health::Healthy);
    node.says("getGenesisHash", &error(-32601, "Method not found"));
    for _ in 0..20 {
        assert!(probe.check(node.address).await, "what it has shown counts");
    }
}

fn hears(pool: &Pool, slot: u64) {
    let member = &pool.upstreams()[0].member;
    let now = Instant::now();
    member.heard_slot(Commitment::Confirmed, Slot(slot), Duration::ZERO, now);
}

#[tokio::test]
async fn an_upstream_whose_slots_jump_is_asked_at_once_which_cluster_it_is() {
    for jump in [400_000, 10] {
        let node = Node::start(100_000).await;
        let mut settings = node.settings("a");
        settings.metered = true;
        let pool = pool_of("abc", vec![settings]);
        probe(&pool, "a").check(node.address).await;
        assert_eq!(health(&pool, "a"), Health::Healthy);
        let before = pool.generation();

        node.says("getGenesisHash", &result("\"other\""));
        let asked = node.asked("getGenesisHash");
        let member = Arc::clone(&pool.upstreams()[0].member);
        let watch = tokio::spawn(async move { Probe::new(member).answer_questions().await });
        hears(&pool, jump);
        while health(&pool, "a") != Health::WrongCluster {
            tokio::task::yield_now().await;
        }
        watch.abort();
        assert_eq!(node.asked("getGenesisHash"), asked + 1);
        assert!(pool.generation() > before);
        let slot = pool.upstreams()[0].state().slot(Commitment::Confirmed);
        assert_eq!(slot, Some(Slot(100_000)), "it was not believed meanwhile");
    }
}

#[tokio::test]
async fn an_upstream_whose_slots_jump_is_believed_when_it_shows_the_right_hash() {
    let node = Node::start(100_000).await;
    let mut settings = node.settings("a");
    settings.metered = true;
    let pool = pool_of("abc", vec![settings]);
    probe(&pool, "a").check(node.address).await;
    node.says("getSlot", &result(400_000));
    hears(&pool, 400_000);
    assert_eq!(health(&pool, "a"), Health::Suspect);
    probe(&pool, "a").recheck().await;
    assert_eq!(health(&pool, "a"), Health::Healthy);
    assert_eq!(pool.tip(Commitment::Confirmed), Some(Slot(400_000)));
}

/// Fails so often that the breaker opens, and says when.
fn open_breaker(upstream: &Upstream) -> Instant {
    let now = Instant::now();
    let mut breaker = upstream.state().breaker.lock();
    for _ in 0..5 {
        breaker.failure(None, now, &upstream.member.policy.breaker);
    }
    now
}

#[tokio::test]
async fn a_good_probe_lets_an_open_breaker_try_calls_sooner() {
    let node = Node::start(1000).await;
    let pool = pool(vec![node.settings("a")]);
    let upstream = &pool.upstreams()[0];
    let start = open_breaker(upstream);
    let open = || upstream.state().breaker.lock().open_for(start).unwrap();
    assert_eq!(open(), Duration::from_mins(1));
    probe(&pool, "a").check(node.address).await;
    assert!(open() <= Duration::from_secs(30), "{:?}", open());
}

#[tokio::test]
async fn a_metered_upstream_that_is_away_is_back_with_one_good_look() {
    let node = Node::start(1000).await;
    let mut settings = node.settings("a");
    settings.metered = true;
    let pool = pool(vec![settings]);
    probe(&pool, "a").check(node.address).await;
    let asked = node.asked("getSlot");
    let upstream = &pool.upstreams()[0];
    let start = open_breaker(upstream);
    let open = || upstream.state().breaker.lock().open_for(start).unwrap();
    node.says("getSlot", &result("null"));
    probe(&pool, "a").look_once().await;
    assert_eq!(open(), Duration::from_mins(1), "no slot is no good look");
    node.says("getSlot", &result(1001));
    let member = Arc::clone(&upstream.member);
    let watch = tokio::spawn(async move { Probe::new(member).look_while_away().await });
    while open() > Duration::from_secs(30) {
        tokio::task::yield_now().await;
    }
    watch.abort();
    assert_eq!(node.asked("getSlot"), asked + 2);
}

#[tokio::test]
async fn a_metered_upstream_that_called_itself_unhealthy_is_back_soon_after_it_no_longer_does() {
    let node = Node::start(1000).await;
    let mut settings = node.settings("a");
    settings.metered = true;
    let pool = pool(vec![settings]);
    probe(&pool, "a").check(node.address).await;
    let upstream = &pool.upstreams()[0];
    let limits = &upstream.member.policy.health;
    upstream
        .state()
        .track(limits, Instant::now(), |tracker| tracker.says_unwell(true));
    assert_eq!(health(&pool, "a"), Health::Unwell);
    node.says(
        "getHealth",
        r#""error":{"code":-32005,"message":"Node is unhealthy"}"#,
    );
    probe(&pool, "a").look_once().await;
    assert_eq!(health(&pool, "a"), Health::Unwell, "so it says");
    node.says("getHealth", &result("\"ok\""));
    let asked = node.asked("getHealth");
    let member = Arc::clone(&upstream.member);
    let watch = tokio::spawn(async move { Probe::new(member).look_while_away().await });
    while health(&pool, "a") != Health::Healthy {
        tokio::task::yield_now().await;
    }
    watch.abort();
    assert_eq!(node.asked("getHealth"), asked + 1);
}

#[tokio::test]
async fn a_metered_upstream_in_doubt_is_back_as_soon_as_it_shows_where_it_is() {
    let node = Node::start(100_000).await;
    let mut settings = node.settings("a");
    settings.metered = true;
    let pool = pool_of("abc", vec![settings]);
    probe(&pool, "a").check(node.address).await;
    hears(&pool, 400_000);
    assert_eq!(health(&pool, "a"), Health::Suspect);
    node.says("getSlot", &result(100_001));
    let asked = node.asked("getSlot");
    let member = Arc::clone(&pool.upstreams()[0].member);
    let watch = tokio::spawn(async move { Probe::new(member).look_while_away().await });
    while health(&pool, "a") == Health::Suspect {
        tokio::task::yield_now().await;
    }
    watch.abort();
    assert_eq!(health(&pool, "a"), Health::Healthy);
    assert_eq!(node.asked("getSlot"), asked + 1);
}

#[tokio::test]
async fn a_metered_upstream_in_service_is_not_asked_for_that() {
    tokio::time::pause();
    let node = Node::start(1000).await;
    let mut settings = node.settings("a");
    settings.metered = true;
    let pool = pool(vec![settings]);
    probe(&pool, "a").check(node.address).await;
    assert_eq!(health(&pool, "a"), Health::Healthy);
    let asked = node.asked("getSlot");
    let member = Arc::clone(&pool.upstreams()[0].member);
    let watch = tokio::spawn(async move { Probe::new(member).look_while_away().await });
    tokio::time::sleep(Duration::from_mins(1)).await;
    watch.abort();
    assert_eq!(node.asked("getSlot"), asked);
}

#[tokio::test]
async fn a_metered_upstream_that_answers_from_far_behind_is_looked_at_at_once() {
    let (node, other) = (Node::start(1000).await, Node::start(1000).await);
    let settings = [&node, &other]
        .into_iter()
        .zip(["a", "b"])
        .map(|(node, id)| {
            let mut settings = node.settings(id);
            settings.metered = true;
            settings
        });
    let pool = pool(settings.collect());
    probe(&pool, "a").check(node.address).await;
    probe(&pool, "b").check(other.address).await;
    assert_eq!(health(&pool, "a"), Health::Healthy);
    let asked = node.asked("getSlot");
    let member = Arc::clone(&pool.upstreams()[0].member);
    let watch = tokio::spawn(async move { Probe::new(member).look_while_away().await });

    node.says("getSlot", &result(950));
    hears(&pool, 990);
    tokio::task::yield_now().await;
    assert_eq!(node.asked("getSlot"), asked, "others may be as far");
    hears(&pool, 950);
    while health(&pool, "a") != Health::Lagging {
        tokio::task::yield_now().await;
    }
    watch.abort();
    assert_eq!(node.asked("getSlot"), asked + 1);
}

#[tokio::test]
async fn a_metered_upstream_of_another_cluster_is_back_soon_after_it_shows_the_right_hash() {
    let node = Node::start(100_000).await;
    let mut settings = node.settings("a");
    settings.metered = true;
    settings.probe.interval = Duration::from_millis(50);
    let pool = pool_of("abc", vec![settings]);
    probe(&pool, "a").check(node.address).await;
    node.says("getGenesisHash", &result("\"other\""));
    node.says("getSlot", &result(50_000_000));
    probe(&pool, "a").recheck().await;
    for _ in 0..3 {
        probe(&pool, "a").check(node.address).await;
    }
    assert_eq!(health(&pool, "a"), Health::WrongCluster);

    node.says("getGenesisHash", &result("\"abc\""));
    node.says("getSlot", &result(100_010));
    let asked = node.asked("getGenesisHash");
    let member = Arc::clone(&pool.upstreams()[0].member);
    let watch = tokio::spawn(async move { Probe::new(member).look_while_away().await });
    while health(&pool, "a") != Health::Healthy {
        tokio::task::yield_now().await;
    }
    watch.abort();
    assert_eq!(node.asked("getGenesisHash"), asked + 1);
    assert_eq!(pool.tip(Commitment::Confirmed), Some(Slot(100_010)));
}
