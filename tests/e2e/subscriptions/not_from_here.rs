//! A plan that a reload closes to addresses or pages closes the sockets that were opened from there.

use perijove_tests::client::socket::Socket;
use perijove_tests::sandbox::Settings;
use serde_json::{Value, json};

use super::Watched;
use crate::scene::ranked;

#[tokio::test]
async fn sockets_from_where_a_plan_is_not_for_any_more_are_closed_and_no_others() {
    let plan = |restriction: Value| {
        let mut plan = json!({"id": "public"});
        plan.as_object_mut()
            .unwrap()
            .extend(restriction.as_object().unwrap().clone());
        json!([plan])
    };
    for restriction in [
        json!({"deny_addresses": ["127.0.0.0/8"]}),
        json!({"allow_addresses": ["192.0.2.0/24"]}),
        // The clients come from no page.
        json!({"allow_origins": ["https://app.example"]}),
    ] {
        let scene = Watched::with(Settings::default(), |cluster| {
            ranked(cluster)
                .set("anonymous", true)
                .set("anonymous_plan", "public")
                .set("plans", plan(json!({})))
                .set("consumers", json!([{"id": "bot", "keys": ["bots-key"]}]))
        })
        .await;
        let address = scene.gateway.address();
        let mut stranger = Socket::open(address, "/").await;
        stranger.call("getHealth", json!([])).await;
        let mut stays = Socket::open(address, "/bots-key").await;
        stays.subscribe("slotSubscribe", json!([])).await;
        let text = std::fs::read_to_string(scene.gateway.config_file()).unwrap();
        let mut config: Value = serde_json::from_str(&text).unwrap();
        config["plans"] = plan(restriction.clone());
        scene.gateway.write_file(&config.to_string());
        assert_eq!(scene.gateway.reload().await.status, 200, "{restriction}");
        assert_eq!(stranger.closes().await, 1008, "{restriction}");
        assert_eq!(stays.hear().await.unwrap()["method"], "slotNotification");
        let metrics = scene.gateway.metrics().await;
        let cause = [("cause", "not_from_here")];
        let closed = metrics.sum("perijove_websocket_closed_total", &cause);
        assert!((closed - 1.0).abs() < 0.5, "{restriction}: {closed}");
    }
}
