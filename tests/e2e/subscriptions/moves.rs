//! The upstream that tells goes: killed, closing with every code, frozen, silent, lagging, or taken
//! out of the configuration. Clients notice nothing: nothing is lost, nothing is told twice.

use std::time::Duration;

use perijove_tests::gateway::{Endpoint, Gateway, GatewayConfig};
use perijove_tests::sandbox::fault::HANDSHAKE;
use perijove_tests::sandbox::{Fault, Kind, Settings, chain};
use perijove_tests::wait::until;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::told::Told;
use super::{Watched, account, cluster};
use crate::scene::{all_probed, ranked};

/// Goes through one loss, with two clients.
async fn survives(what: &str, lose: impl AsyncFnOnce(&Watched)) {
    survives_in(Watched::ranked().await, what, lose).await;
}

async fn survives_in(scene: Watched, what: &str, lose: impl AsyncFnOnce(&Watched)) {
    let key = account();
    let mut sockets = Vec::new();
    for _ in 0..2 {
        let mut socket = scene.socket().await;
        let told = Told::subscribe(&mut socket, &key).await;
        sockets.push((socket, told));
    }
    let tip = scene.cluster.cluster().clock.tip();
    for (socket, told) in &mut sockets {
        told.until_slot(socket, tip + 5).await;
    }
    assert_eq!(scene.live(0, "accountSubscribe"), 3, "{what}: v0 tells");
    lose(&scene).await;
    let lost_at = Instant::now();
    until(&format!("{what}: the subscriptions to move"), || async {
        (scene.live(1, "accountSubscribe") == 3).then_some(())
    })
    .await;
    eprintln!("{what}: moved after {:?}", lost_at.elapsed());
    let tip = scene.cluster.cluster().clock.tip();
    for (socket, told) in &mut sockets {
        told.until_slot(socket, tip + 15).await;
    }
    // When nothing changes any more, clients know the present state.
    scene.cluster.cluster().clock.stop();
    let tip = scene.cluster.cluster().clock.tip();
    for (socket, told) in &mut sockets {
        told.for_a_while(socket, Duration::from_millis(2500)).await;
        told.check(what, &scene.cluster);
        told.check_last(what, &scene.cluster, tip);
    }
    let metrics = scene.gateway.metrics().await;
    let moves = metrics.sum("perijove_websocket_moves_total", &[]);
    assert!(moves >= 6.0, "{what}: {moves} moves are counted");
}

#[tokio::test]
async fn an_upstream_that_is_killed_is_not_missed() {
    survives("killed", async |scene| {
        scene.cluster.validator(0).down().await;
    })
    .await;
}

#[tokio::test]
async fn an_upstream_that_closes_with_whatever_code_is_not_missed() {
    for code in [0, 1000, 1001, 1006, 1008, 1011, 1012, 1013, 4000] {
        survives(&format!("closed with {code}"), async |scene| {
            scene.cluster.validator(0).fault(Fault::ws_close(code));
        })
        .await;
    }
}

#[tokio::test]
async fn an_upstream_that_freezes_or_falls_silent_is_not_missed() {
    survives("frozen", async |scene| {
        scene.cluster.validator(0).fault(Kind::WsFreeze);
    })
    .await;
    survives("silent", async |scene| {
        let silence = Kind::WsSilence { after: 0 };
        scene.cluster.validator(0).fault(silence);
    })
    .await;
}

/// The upstream is a process of its own: another gateway in front of `v0`.
#[tokio::test]
async fn a_process_that_is_stopped_is_not_missed() {
    let cluster = cluster(Settings::default()).await;
    let first = Gateway::start(GatewayConfig::new().upstream(cluster.validator(0))).await;
    let ws_url = format!("ws://{}/", first.address());
    let config = GatewayConfig::new()
        .endpoint(Endpoint::at("first", &first.url()).set("ws_url", ws_url))
        .endpoint(
            Endpoint::of(cluster.validator(1))
                .tier("paid")
                .set("metered", false),
        );
    let gateway = Gateway::start(config).await;
    all_probed(&gateway).await;
    let scene = Watched { cluster, gateway };
    survives_in(scene, "stopped", async |_| first.process.signal("STOP")).await;
}

#[tokio::test]
async fn an_upstream_that_lags_is_left() {
    survives("sockets lag", async |scene| {
        scene.cluster.validator(0).fault(Kind::WsLag { slots: 40 });
    })
    .await;
    survives("the node lags", async |scene| {
        scene.cluster.validator(0).fault(Kind::Lag { slots: 40 });
    })
    .await;
}

#[tokio::test]
async fn an_upstream_that_a_reload_takes_away_is_not_missed() {
    survives("reloaded", async |scene| {
        let text = std::fs::read_to_string(scene.gateway.config_file()).unwrap();
        let mut config: Value = serde_json::from_str(&text).unwrap();
        config["upstreams"].as_array_mut().unwrap().remove(0);
        scene.gateway.write_file(&config.to_string());
        assert_eq!(scene.gateway.reload().await.status, 200);
    })
    .await;
}

/// Clients may subscribe and nothing else: what the gateway asks on its own account is not theirs.
#[tokio::test]
async fn what_was_missed_is_asked_for_though_the_plan_of_clients_has_no_reads() {
    let scene = Watched::with(Settings::default(), |cluster| {
        let topics = ["account", "program", "root", "slot"];
        let allow = topics.map(|topic| format!("{topic}Subscribe"));
        let plan = json!([{"id": "listeners", "allow": allow}]);
        let config = ranked(cluster).set("plans", plan);
        config.set("anonymous_plan", "listeners")
    })
    .await;
    let refused = scene.gateway.rpc("getSlot", json!([])).await;
    assert!(refused.code().is_some(), "the plan holds for clients");
    nothing_fails_to_be_recovered(&scene).await;
}

/// The same with methods that nobody may call.
#[tokio::test]
async fn what_was_missed_is_asked_for_though_the_methods_are_denied_to_clients() {
    let scene = Watched::with(Settings::default(), |cluster| {
        let reads = ["getAccountInfo", "getProgramAccounts", "getBlocks"];
        ranked(cluster).set("methods.deny", json!(reads))
    })
    .await;
    let refused = scene.gateway.rpc("getBlocks", json!([1, 2])).await;
    assert_eq!(refused.code(), Some(-32601), "the list holds for clients");
    nothing_fails_to_be_recovered(&scene).await;
}

/// `v0` goes, and what was missed of each kind is recovered.
async fn nothing_fails_to_be_recovered(scene: &Watched) {
    let mut socket = scene.socket().await;
    let mut told = Told::subscribe(&mut socket, &account()).await;
    let tip = scene.cluster.cluster().clock.tip();
    told.until_slot(&mut socket, tip + 5).await;
    scene.cluster.validator(0).down().await;
    for kind in ["account", "program"] {
        until(&format!("what was missed of {kind}"), || async {
            let metrics = scene.gateway.metrics().await;
            let repairs = |outcome| {
                let labels = [("kind", kind), ("outcome", outcome)];
                metrics.sum("perijove_websocket_repairs_total", &labels)
            };
            assert!(repairs("failed") < 0.5, "{kind}");
            (repairs("told") + repairs("nothing") > 0.5).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn what_an_upstream_repeats_is_told_once() {
    let scene = Watched::with(Settings::default(), ranked).await;
    let mut socket = scene.socket().await;
    let mut told = Told::subscribe(&mut socket, &account()).await;
    scene.cluster.validator(0).fault(Kind::WsDuplicate);
    let tip = scene.cluster.cluster().clock.tip();
    told.until_slot(&mut socket, tip + 10).await;
    told.check("repeating", &scene.cluster);
}

#[tokio::test]
async fn a_signature_is_told_once_whoever_dies_meanwhile() {
    let scene = Watched::ranked().await;
    let mut socket = scene.socket().await;
    for mark in 0..5_u64 {
        let tip = scene.cluster.cluster().clock.tip();
        let hash = chain::blockhash(chain::block_at_or_before(tip - 60));
        let bytes = perijove_tests::sandbox::transaction::sample(mark, &hash);
        let signature = bs58::encode(&bytes[1..65]).into_string();
        let params = json!([signature, {"commitment": "confirmed"}]);
        let id = socket.subscribe("signatureSubscribe", &params).await;
        let sent = scene
            .gateway
            .rpc(
                "sendTransaction",
                json!([bs58::encode(&bytes).into_string()]),
            )
            .await;
        assert_eq!(sent.result(), json!(signature));
        let teller = usize::from(scene.live(0, "signatureSubscribe") == 0);
        scene.cluster.validator(teller).fault(Fault::ws_close(1011));
        let told = socket.notification().await;
        assert_eq!(told.subscription, id);
        assert_eq!(told.result["value"], json!({ "err": null }));
        // It is over: nothing more comes, and it is not there to be ended.
        let gone = socket.call("signatureUnsubscribe", &json!([id])).await;
        assert_eq!(gone["error"]["code"], -32602);
        assert!(socket.pending().await.is_empty());
    }
}

#[tokio::test]
async fn a_signature_is_told_though_no_upstream_accepts_subscriptions_any_more() {
    let scene = Watched::ranked().await;
    let mut socket = scene.socket().await;
    let tip = scene.cluster.cluster().clock.tip();
    let hash = chain::blockhash(chain::block_at_or_before(tip - 60));
    let transactions = [11, 12].map(|mark| {
        let bytes = perijove_tests::sandbox::transaction::sample(mark, &hash);
        (bs58::encode(&bytes[1..65]).into_string(), bytes)
    });
    let params = |signature: &str| json!([signature, {"commitment": "confirmed"}]);
    let [(first, before), (second, after)] = &transactions;
    let id = socket.subscribe("signatureSubscribe", &params(first)).await;
    for node in [0, 1] {
        let node = scene.cluster.validator(node);
        node.fault(
            Fault::from(Kind::HttpStatus {
                status: 503,
                body: None,
            })
            .on(HANDSHAKE),
        );
        node.fault(Fault::ws_close(1011));
    }
    for bytes in [before, after] {
        let encoded = bs58::encode(bytes).into_string();
        let sent = scene.gateway.rpc("sendTransaction", json!([encoded])).await;
        assert!(sent.result().is_string());
    }
    let told = socket.notification().await;
    assert_eq!(told.subscription, id);
    assert_eq!(told.result["value"], json!({ "err": null }));
    // And to one that subscribes only now.
    let id = socket
        .subscribe("signatureSubscribe", &params(second))
        .await;
    let told = socket.notification().await;
    assert_eq!(told.subscription, id);
    assert_eq!(told.result["value"], json!({ "err": null }));
    let gone = socket.call("signatureUnsubscribe", &json!([id])).await;
    assert_eq!(gone["error"]["code"], -32602);
    // Nothing else is accepted, and nothing is told twice.
    assert!(socket.pending().await.is_empty());
}

#[tokio::test]
async fn subscriptions_go_back_to_a_better_upstream_that_is_well_again() {
    let scene = Watched::ranked().await;
    let mut socket = scene.socket().await;
    let mut told = Told::subscribe(&mut socket, &account()).await;
    scene.cluster.validator(0).down().await;
    until("the subscriptions to move", || async {
        (scene.live(1, "accountSubscribe") == 3).then_some(())
    })
    .await;
    scene.cluster.validator(0).heal().unwrap();
    while scene.live(0, "accountSubscribe") < 3 || scene.live(1, "accountSubscribe") > 0 {
        let slot = told.newest_slot().unwrap_or(0) + 1;
        told.until_slot(&mut socket, slot).await;
    }
    assert_eq!(scene.live(0, "programSubscribe"), 1);
    let slot = scene.cluster.cluster().clock.tip() + 10;
    told.until_slot(&mut socket, slot).await;
    told.check("back", &scene.cluster);
    let metrics = scene.gateway.metrics().await;
    let better = metrics.sum("perijove_websocket_moves_total", &[("cause", "better")]);
    assert!(better >= 6.0, "{better}");
}
