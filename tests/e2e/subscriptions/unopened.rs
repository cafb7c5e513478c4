//! Upstreams that answer calls and offer no WebSocket where the gateway looks.

use perijove_tests::gateway::{Gateway, GatewayConfig};
use perijove_tests::sandbox::accounts::{Nature, keys};
use perijove_tests::sandbox::{Sandbox, Settings};
use perijove_tests::wait::until;
use serde_json::{Value, json};

use super::Watched;
use crate::scene::ranked;

/// Nothing listens there.
const NOWHERE: &str = "ws://127.0.0.1:1";

fn misled(cluster: &Sandbox) -> GatewayConfig {
    let config = ranked(cluster);
    let mut upstreams = config.get("upstreams").unwrap().clone();
    for upstream in upstreams.as_array_mut().unwrap() {
        upstream["ws_url"] = json!(NOWHERE);
    }
    config
        .set("upstreams", upstreams)
        .set("websocket.feed.subscribe_timeout", "8s")
        .set("websocket.feed.track_slots", true)
}

/// Lines at WARN or above with this in their message.
fn alarms(gateway: &Gateway, words: &str) -> Vec<Value> {
    let log = gateway.process.log();
    let lines = log
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines
        .filter(|line| line["level"] == "ERROR" || line["level"] == "WARN")
        .filter(|line| line["message"].as_str().unwrap().contains(words))
        .collect()
}

#[tokio::test]
async fn upstreams_without_websocket_are_named_once_and_so_is_that_nobody_serves() {
    let settings = Settings {
        validators: 2,
        ..Settings::default()
    };
    let watched = Watched::with(settings, misled).await;
    let gateway = &watched.gateway;
    let unopened = "no subscription socket to the upstream can be opened";
    // Before anybody subscribes.
    until("both upstreams to be told of", || async {
        (alarms(gateway, unopened).len() > 1).then_some(())
    })
    .await;
    let mut socket = watched.socket().await;
    let key = keys(Nature::Moving, 1).remove(0);
    for _ in 0..2 {
        let refused = socket.call("accountSubscribe", &json!([key])).await;
        assert_eq!(refused["error"]["code"], -32005, "{refused}");
    }
    let told = alarms(gateway, unopened);
    assert_eq!(told.len(), 2, "once each: {told:?}");
    for line in &told {
        assert_eq!(
            line["cause"], "ws://127.0.0.1:1 (connect-refused)",
            "{line}"
        );
        assert!(
            line["cure"].as_str().unwrap().contains("`ws_url`"),
            "{line}"
        );
    }
    let nobody = alarms(gateway, "no upstream serves subscriptions");
    assert_eq!(nobody.len(), 1, "{nobody:?}");
    assert_eq!(nobody[0]["level"], "ERROR");
    assert_eq!(nobody[0]["upstreams"][0]["upstream"], "v0", "{nobody:?}");
    let lost = alarms(gateway, "subscription socket lost");
    assert_eq!(lost, Vec::<Value>::new(), "none was open");
    let status = gateway.status().await;
    let feeds = &status["websocket"]["upstreams"];
    assert_eq!(feeds["nobody_serves"], true, "{feeds}");
    assert_eq!(feeds["unreachable"][1]["upstream"], "v1", "{feeds}");
}
