//! Accounts that are read often are heard of, and reads are answered from what was heard.

use std::collections::HashSet;
use std::time::Duration;

use perijove_tests::sandbox::Settings;
use perijove_tests::sandbox::accounts::{Nature, keys};
use perijove_tests::sandbox::chain::{Line, Moment};
use perijove_tests::wait::{PATIENCE, eventually, until};
use serde_json::json;
use tokio::time::{sleep, timeout};

use super::{Watched, account};
use crate::scene::{all_probed, ranked};

async fn scene(most: u64) -> Watched {
    let settings = Settings {
        validators: 2,
        moving: true,
        slot_time: Duration::from_secs(1),
        start_slot: 41 * 7_000_000 + 20,
        ..Settings::default()
    };
    let cluster = perijove_tests::sandbox::Sandbox::with(settings)
        .await
        .unwrap();
    let config = ranked(&cluster)
        .set("cluster.slot_time", "1s")
        .set("cache.enabled", true)
        .set("cache.hot_accounts.most", most)
        .set("cache.hot_accounts.reads", 3)
        .set("cache.hot_accounts.window", "3s")
        .set("websocket.feed.track_slots", true);
    let gateway = perijove_tests::gateway::Gateway::start(config).await;
    all_probed(&gateway).await;
    Watched { cluster, gateway }
}

#[tokio::test]
async fn an_account_that_is_read_often_is_answered_from_what_is_told_of_it_until_it_cools() {
    let scene = scene(10).await;
    let key = account();
    let params = json!([key, {"commitment": "processed", "encoding": "base64"}]);
    let (mut asked, mut heard) = (HashSet::new(), HashSet::new());
    let reading = async {
        // Slots that were never asked for of an upstream, and yet are known.
        while heard.difference(&asked).count() < 3 {
            let reply = scene.gateway.rpc("getAccountInfo", params.clone()).await;
            let result = reply.result();
            let slot = result["context"]["slot"].as_u64().unwrap();
            let moment = Moment {
                slot,
                line: Line::MAIN,
            };
            let text = params.to_string();
            let cluster = scene.cluster.cluster();
            let said = cluster.said_at(moment, "getAccountInfo", Some(&text));
            assert_eq!(result["value"], said.unwrap()["value"], "at {slot}");
            if reply.header("x-perijove-cache") == Some("hit") {
                heard.insert(slot);
            } else {
                asked.insert(slot);
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    let read = timeout(PATIENCE, reading).await;
    read.expect("reads of slots that no upstream was asked for");
    assert_eq!(scene.live(0, "accountSubscribe"), 1);
    let metrics = scene.gateway.metrics().await;
    let heard = metrics.sum("perijove_websocket_hot_accounts", &[]);
    assert!((0.5..1.5).contains(&heard), "{heard}");
    // Nobody reads it any more.
    eventually("it to be left alone", || {
        scene.live(0, "accountSubscribe") == 0
    })
    .await;
}

#[tokio::test]
async fn accounts_that_are_read_seldom_or_in_short_encodings_are_not_subscribed_to() {
    let scene = scene(1).await;
    let seldom = account();
    let often = keys(Nature::Moving, 3).pop().unwrap();
    let base64 = json!([often, {"commitment": "confirmed", "encoding": "base64"}]);
    until("the hottest to be subscribed to", || async {
        for _ in 0..5 {
            scene.gateway.rpc("getAccountInfo", base64.clone()).await;
            let bare = json!([often]);
            scene.gateway.rpc("getAccountInfo", bare).await;
        }
        (scene.live(0, "accountSubscribe") == 1).then_some(())
    })
    .await;
    let config = json!({"encoding": "base64"});
    scene
        .gateway
        .rpc("getAccountInfo", json!([seldom, config]))
        .await;
    assert_eq!(
        scene
            .cluster
            .validator(0)
            .pubsub()
            .subscribed("accountSubscribe"),
        1
    );
}

#[tokio::test]
async fn nothing_is_subscribed_to_unless_that_is_switched_on() {
    let scene = scene(0).await;
    let params = json!([account(), {"encoding": "base64"}]);
    for _ in 0..50 {
        scene.gateway.rpc("getAccountInfo", params.clone()).await;
    }
    let mut socket = scene.socket().await;
    // A subscription asked for later has been made.
    socket.subscribe("rootSubscribe", &json!([])).await;
    for validator in scene.cluster.validators() {
        assert_eq!(validator.pubsub().subscribed("accountSubscribe"), 0);
    }
}
