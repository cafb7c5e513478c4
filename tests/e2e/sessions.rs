//! What one client is told of the head of the chain: never older than before while an upstream that
//! is fit has reached it, by whatever way the answer comes. And what is forgotten when an upstream
//! turns out to belong to another cluster.

use perijove_tests::client::{Reply, call};
use perijove_tests::gateway::{Endpoint, Gateway, GatewayConfig};
use perijove_tests::sandbox::sight::Level;
use perijove_tests::sandbox::{Fault, Kind, Sandbox, chain};
use perijove_tests::wait::until;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::cache::stage::{Stage, at, moving};
use crate::redis::scene::{Shared, blocks};
use crate::scene::{KEY, Scene, all_probed, brisk, equals, on_reads};

/// Calls whose answers tell a slot of the same bank, and where it stands.
const READS: [(&str, &str); 7] = [
    ("getSlot", "/result"),
    ("getBalance", "/result/context/slot"),
    ("getEpochInfo", "/result/absoluteSlot"),
    ("getAccountInfo", "/result/context/slot"),
    ("getLatestBlockhash", "/result/context/slot"),
    ("getMultipleAccounts", "/result/context/slot"),
    ("getTokenSupply", "/result/context/slot"),
];

fn params(method: &str, commitment: &str) -> Value {
    let config = json!({ "commitment": commitment });
    match method {
        "getSlot" | "getEpochInfo" | "getLatestBlockhash" => json!([config]),
        "getMultipleAccounts" => json!([[KEY, chain::blockhash(1)], config]),
        _ => json!([KEY, config]),
    }
}

fn number(answer: &Value, place: &str) -> u64 {
    let found = answer.pointer(place).and_then(Value::as_u64);
    found.unwrap_or_else(|| panic!("{place} in {answer}"))
}

/// Nobody is given up for being slow or far behind: how old an answer is, not how fast it comes, is
/// what is tested.
fn patient(config: GatewayConfig) -> GatewayConfig {
    config
        .set("health.exclude_lag", 1_000)
        .set("health.readmit_lag", 999)
        .set("cluster.slot_time", "100ms")
}

/// Three equal upstreams that stand at different slots of a cluster that moves fast.
async fn apart(change: impl FnOnce(GatewayConfig) -> GatewayConfig) -> Scene {
    let cluster = brisk(3).await;
    cluster.validator(1).fault(Fault::lag(3));
    cluster.validator(2).fault(Fault::lag(6));
    let gateway = Gateway::start(change(patient(equals(&cluster)))).await;
    // Until the cluster is known by its genesis hash, what was shown may be forgotten.
    all_probed(&gateway).await;
    Scene { cluster, gateway }
}

/// Asks all kinds of reads in turn; the slot must never go back.
async fn never_goes_back(scene: &Scene) {
    for commitment in ["processed", "confirmed", "finalized"] {
        let mut last = 0;
        for (method, place) in READS.into_iter().cycle().take(60) {
            let reply = scene.gateway.rpc(method, params(method, commitment)).await;
            let now = number(&reply.json(), place);
            let from = reply.upstream();
            assert!(
                now >= last,
                "{method} {commitment}: {now} after {last} from {from}"
            );
            last = now;
        }
    }
}

#[tokio::test]
async fn the_slot_of_no_answer_goes_back_whatever_is_asked_for() {
    never_goes_back(&apart(|config| config).await).await;
}

#[tokio::test]
async fn nor_where_answers_are_kept_and_shared() {
    let kept = |config: GatewayConfig| config.set("cache.enabled", true);
    let scene = apart(kept).await;
    never_goes_back(&scene).await;
    // Side by side, each in its own order.
    let scene = &scene;
    let one = |_| async move { never_goes_back(scene).await };
    futures::future::join_all((0..3).map(one)).await;
}

#[tokio::test]
async fn nor_where_large_answers_stream() {
    let small = |config: GatewayConfig| config.set("limits.answer_buffer", "4KiB");
    let scene = apart(small).await;
    for validator in scene.cluster.validators() {
        validator.fault(Fault::from(Kind::Big { bytes: 64 * 1024 }).on("getAccountInfo"));
    }
    let mut last = 0;
    for _ in 0..60 {
        let params = params("getAccountInfo", "confirmed");
        let reply = scene.gateway.rpc("getAccountInfo", params).await;
        let now = number(&reply.json(), "/result/context/slot");
        assert!(reply.text().len() > 60_000);
        assert!(now >= last, "{now} after {last} from {}", reply.upstream());
        last = now;
    }
}

/// Calls of one batch are under way at the same time: among themselves they may differ by what that
/// time explains, but none goes back to before the batch.
#[tokio::test]
async fn nor_from_one_batch_to_the_next() {
    let scene = apart(|config| config).await;
    let mut before = 0;
    for _ in 0..20 {
        let calls = READS.map(|(method, _)| call(method, &params(method, "confirmed")));
        let begun = Instant::now();
        let reply = scene.gateway.post(format!("[{}]", calls.join(","))).await;
        let explained = u64::try_from(begun.elapsed().as_millis()).unwrap() / 100 + 1;
        let answers = reply.json();
        let mut newest = before;
        for (index, (method, place)) in READS.into_iter().enumerate() {
            let now = number(&answers[index], place);
            assert!(now >= before, "{method}: {now} after {before}");
            assert!(now + explained >= newest, "{method}: {now} after {newest}");
            newest = newest.max(now);
        }
        before = newest;
    }
}

/// `v0` is local and trails, `v1` is bought and does not; whoever asks was told by `v1` already.
async fn spoilt(change: impl FnOnce(GatewayConfig) -> GatewayConfig) -> (Scene, u64) {
    let change = |config| change(patient(config)).set("cluster.slot_time", "400ms");
    let scene = Scene::ranked_with(change).await;
    scene.v(0).fault(Fault::lag(6));
    scene.v(0).fault(on_reads(Fault::status(503)).times(1));
    let reply = scene
        .gateway
        .rpc("getBalance", params("getBalance", "processed"))
        .await;
    assert_eq!(reply.upstream(), "v1");
    let told = number(&reply.json(), "/result/context/slot");
    (scene, told)
}

#[tokio::test]
async fn a_client_that_was_told_by_a_fresher_upstream_is_not_led_back_by_the_usual_one() {
    let (scene, mut last) = spoilt(|config| config).await;
    for method in ["getBalance", "getLatestBlockhash"]
        .into_iter()
        .cycle()
        .take(30)
    {
        let reply = scene.gateway.rpc(method, params(method, "processed")).await;
        let now = number(&reply.json(), "/result/context/slot");
        assert!(
            now >= last,
            "{method}: {now} after {last} from {}",
            reply.upstream()
        );
        last = now;
    }
}

/// The probe of a paid upstream asks for its slot at one commitment.
#[tokio::test]
async fn nor_at_a_commitment_at_which_the_fresher_one_was_never_seen() {
    for commitment in ["processed", "confirmed", "finalized"] {
        let cluster = Sandbox::start(2).await.unwrap();
        let config = GatewayConfig::new()
            .upstream(cluster.validator(0))
            .endpoint(Endpoint::of(cluster.validator(1)).tier("paid"));
        let config = patient(config).set("cluster.slot_time", "400ms");
        let gateway = Gateway::start(config).await;
        all_probed(&gateway).await;
        let scene = Scene { cluster, gateway };
        let call = params("getBalance", commitment);
        let reply = scene.gateway.rpc("getBalance", call.clone()).await;
        assert_eq!(reply.upstream(), "v0");
        let told = number(&reply.json(), "/result/context/slot");
        scene.v(0).fault(Fault::lag(12));
        let reply = scene.gateway.rpc("getBalance", call).await;
        let now = number(&reply.json(), "/result/context/slot");
        let from = reply.upstream();
        assert!(now >= told, "{commitment}: {now} after {told} from {from}");
    }
}

/// An own node and a paid one of a cluster that moves fast.
async fn own_and_paid() -> Scene {
    let cluster = brisk(2).await;
    let config = GatewayConfig::new()
        .set("cluster.slot_time", "100ms")
        .upstream(cluster.validator(0))
        .endpoint(Endpoint::of(cluster.validator(1)).tier("paid"));
    let gateway = Gateway::start(config).await;
    all_probed(&gateway).await;
    Scene { cluster, gateway }
}

/// `getBalance` at the default commitment: who answered, and how many slots behind what the cluster
/// has made final.
async fn balance(scene: &Scene) -> (String, u64) {
    let reply = scene.gateway.rpc("getBalance", json!([KEY])).await;
    let slot = number(&reply.json(), "/result/context/slot");
    let finalized = scene.v(1).sight().finalized;
    (reply.upstream().to_owned(), finalized.saturating_sub(slot))
}

#[tokio::test]
async fn a_node_that_makes_nothing_final_any_more_does_not_answer_with_what_was_final() {
    let scene = own_and_paid().await;
    assert_eq!(balance(&scene).await.0, "v0");
    scene.v(0).fault(Kind::StopFinality);
    until("the paid upstream to answer", || async {
        (balance(&scene).await.0 == "v1").then_some(())
    })
    .await;
    until("nothing but new answers", || async {
        for _ in 0..20 {
            if balance(&scene).await.1 > 20 {
                return None;
            }
        }
        Some(())
    })
    .await;
    scene.v(0).heal().unwrap();
    until("the own node to answer again", || async {
        (balance(&scene).await.0 == "v0").then_some(())
    })
    .await;
}

#[tokio::test]
async fn where_the_whole_cluster_makes_nothing_final_the_own_node_goes_on_answering() {
    let scene = own_and_paid().await;
    for validator in scene.cluster.validators() {
        validator.fault(Kind::StopFinality);
    }
    until("finality to be far behind", || async {
        assert_eq!(balance(&scene).await.0, "v0");
        let sight = scene.v(0).sight();
        (sight.confirmed > sight.finalized + 100).then_some(())
    })
    .await;
    until("nothing to be asked there again", || async {
        let asked = scene.v(1).hits("getBalance");
        for _ in 0..50 {
            assert_eq!(balance(&scene).await.0, "v0");
        }
        (scene.v(1).hits("getBalance") == asked).then_some(())
    })
    .await;
}

#[tokio::test]
async fn how_far_back_is_allowed_is_the_operators_to_say() {
    let step_back = |config: GatewayConfig| config.set("selection.step_back", 8);
    let (scene, told) = spoilt(step_back).await;
    let reply = until("v0 to answer", || async {
        let params = params("getBalance", "processed");
        let reply = scene.gateway.rpc("getBalance", params).await;
        (reply.upstream() == "v0").then_some(reply)
    })
    .await;
    assert!(number(&reply.json(), "/result/context/slot") + 8 >= told);
}

#[tokio::test]
async fn what_binds_one_client_and_commitment_does_not_bind_others() {
    let consumers = json!([
        {"id": "spoilt", "keys": ["first-of-two"]},
        {"id": "other", "keys": ["second-of-two"]},
    ]);
    let cluster = Sandbox::start(2).await.unwrap();
    cluster.validator(0).fault(Fault::lag(6));
    let config = patient(crate::scene::ranked(&cluster)).set("consumers", consumers);
    let gateway = Gateway::start(config.set("cluster.slot_time", "400ms")).await;
    let ask = async |key: &str, params: Value| -> Reply {
        let request = gateway.client().post(gateway.url());
        let request = request.header("content-type", "application/json");
        let request = request.header("x-api-key", key);
        gateway
            .send(request.body(call("getBalance", &params)))
            .await
    };
    let newest = cluster.validator(1).sight().processed;
    let least = json!([KEY, {"commitment": "processed", "minContextSlot": newest}]);
    until("v1 to answer", || async {
        let reply = ask("first-of-two", least.clone()).await;
        (reply.upstream() == "v1").then_some(())
    })
    .await;
    let processed = params("getBalance", "processed");
    assert_eq!(
        ask("first-of-two", processed.clone()).await.upstream(),
        "v1"
    );
    assert_eq!(ask("second-of-two", processed).await.upstream(), "v0");
    let finalized = params("getBalance", "finalized");
    assert_eq!(ask("first-of-two", finalized).await.upstream(), "v0");
}

#[tokio::test]
async fn where_nobody_has_reached_the_floor_an_older_answer_is_better_than_none() {
    let (scene, told) = spoilt(|config| config).await;
    scene.v(1).down().await;
    let reply = scene
        .gateway
        .rpc("getBalance", params("getBalance", "processed"))
        .await;
    assert_eq!(
        (reply.status, reply.upstream()),
        (200, "v0"),
        "{}",
        reply.text()
    );
    // A bare number need not go back.
    let slot = scene
        .gateway
        .rpc("getSlot", params("getSlot", "processed"))
        .await;
    assert!(number(&slot.json(), "/result") >= told);
}

#[tokio::test]
async fn what_is_kept_is_no_answer_for_a_client_that_was_told_of_a_later_slot() {
    let stage = Stage::ranked().await;
    let key = moving();
    let params = at(&key, Level::Finalized);
    stage.v(0).fault(Fault::lag(1));
    let older = stage.sight().finalized - 1;
    let first = stage.ask("getBalance", &params).await;
    assert_eq!(number(&first.json(), "/result/context/slot"), older);
    // Good for one slot more at `finalized`, and for those who know no better.
    stage.knows("getBalance", &params).await;
    let least = json!([KEY, {"commitment": "finalized", "minContextSlot": older + 1}]);
    let told = stage.ask("getBalance", &least).await;
    assert_eq!(number(&told.json(), "/result/context/slot"), older + 1);
    let again = stage.ask("getBalance", &params).await;
    assert_eq!(
        again.json()["result"],
        stage.said(older + 1, "getBalance", &params)
    );
}

#[tokio::test]
async fn what_an_upstream_of_another_cluster_said_is_forgotten() {
    let stage = Stage::ranked().await;
    let signature = stage.land(1);
    stage.advance(40).await;
    let (transaction, balance) = (json!([signature]), at(&moving(), Level::Processed));
    let kept = stage.asks("getTransaction", &transaction).await;
    stage.knows("getTransaction", &transaction).await;
    // What it says of the head is of another chain, ahead of this one, but not incredibly so.
    stage.v(0).fault(Kind::Fork { ahead: 12 });
    let processed = json!([{ "commitment": "processed" }]);
    let reply = stage.ask("getSlot", &processed).await;
    assert_eq!(reply.upstream(), "v0");
    let honest = stage.sight().processed;
    assert!(reply.result().as_u64() > Some(honest));
    stage.ask("getBalance", &balance).await;
    stage.v(0).fault(Kind::WrongGenesis);
    until("v0 to be found out", || async {
        let status = stage.gateway().status().await;
        (status["upstreams"][0]["health"] == "wrong-cluster").then_some(())
    })
    .await;
    // The floor of its slots is gone, its answers are, and the clock is that of the others.
    let reply = stage.ask("getSlot", &processed).await;
    assert_eq!((reply.upstream(), reply.result()), ("v1", json!(honest)));
    let reply = stage.ask("getBalance", &balance).await;
    assert_eq!(reply.result(), stage.said(honest, "getBalance", &balance));
    let before = stage.v(1).hits("getTransaction");
    let reply = stage.ask("getTransaction", &transaction).await;
    assert_eq!((reply.cache(), reply.json()), ("miss", kept));
    assert_eq!(stage.v(1).hits("getTransaction"), before + 1);
    let status = stage.gateway().status().await;
    assert_eq!(status["tip"]["processed"], json!(honest));
    stage.knows("getTransaction", &transaction).await;
}

#[tokio::test]
async fn what_it_wrote_to_the_shared_cache_is_taken_back() {
    let cluster = Sandbox::start(2).await.unwrap();
    let shared = Shared::before(cluster, |config| config).await;
    let mut blocks = blocks(&shared.cluster).into_iter();
    let mut givers = Vec::new();
    for params in blocks.by_ref().take(6) {
        let reply = shared.gateways[0].rpc("getBlock", params).await;
        givers.push(reply.upstream().to_owned());
    }
    shared.until_written(givers.len()).await;
    let stranger = usize::from(givers[0] == "v1");
    shared.cluster.validator(stranger).fault(Kind::WrongGenesis);
    until("the stranger to be found out", || async {
        let status = shared.gateways[0].status().await;
        (status["upstreams"][stranger]["health"] == "wrong-cluster").then_some(())
    })
    .await;
    givers.retain(|giver| *giver != format!("v{stranger}"));
    // Whoever asks next makes the gateway forget; that answer is kept.
    let reply = shared.gateways[0]
        .rpc("getBlock", blocks.next().unwrap())
        .await;
    assert_eq!(reply.upstream(), format!("v{}", 1 - stranger));
    until(
        "the stranger's answers to be gone, and no others",
        || async {
            let left = shared.redis.keys().await.len();
            (left == givers.len() + 1).then_some(())
        },
    )
    .await;
}
