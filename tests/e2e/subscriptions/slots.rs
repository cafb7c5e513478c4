//! Sockets to upstreams that tell where they stand: fewer probes, a fresher tip, and probes again
//! where a socket tells nothing.

use perijove_tests::gateway::{Endpoint, Gateway, GatewayConfig};
use perijove_tests::sandbox::{Kind, Sandbox, Settings};
use perijove_tests::wait::{eventually, until};

use super::cluster;
use crate::scene::all_probed;

async fn hearing(cluster: &Sandbox, index: usize, probes: &str, hears: bool) -> Gateway {
    let endpoint = Endpoint::of(cluster.validator(index)).set("probe.interval", probes);
    let config = GatewayConfig::new()
        .endpoint(endpoint)
        .set("websocket.feed.track_slots", hears);
    let gateway = Gateway::start(config).await;
    all_probed(&gateway).await;
    gateway
}

/// The newest processed slot that the gateway knows of.
async fn tip(gateway: &Gateway) -> u64 {
    let status = gateway.status().await;
    status["upstreams"][0]["slots"]["processed"]
        .as_u64()
        .unwrap_or(0)
}

async fn until_tip(cluster: &Sandbox, gateway: &Gateway) {
    let slot = cluster.cluster().clock.tip() + 1;
    until(&format!("slot {slot} to be known"), || async {
        (tip(gateway).await >= slot).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_upstream_that_tells_of_its_slots_is_asked_less() {
    let cluster = cluster(Settings::default()).await;
    let _hears = hearing(&cluster, 0, "100ms", true).await;
    let _asks = hearing(&cluster, 1, "100ms", false).await;
    eventually("a subscription to slots", || {
        cluster.validator(0).pubsub().live("slotSubscribe") == 1
    })
    .await;
    cluster.reset_counts();
    eventually("so many probes", || {
        cluster.validator(1).probe_hits("getSlot") >= 150
    })
    .await;
    let (heard, asked) = (
        cluster.validator(0).probe_hits("getSlot"),
        cluster.validator(1).probe_hits("getSlot"),
    );
    assert!(heard * 2 < asked, "{heard} against {asked}");
    assert!(heard > 0, "it is still looked at");
    assert_eq!(cluster.validator(1).pubsub().accepted, 0);
}

#[tokio::test]
async fn the_tip_follows_the_socket_and_not_the_probes() {
    let cluster = cluster(Settings::default()).await;
    let gateway = hearing(&cluster, 0, "10m", true).await;
    for _ in 0..10 {
        until_tip(&cluster, &gateway).await;
    }
}

#[tokio::test]
async fn a_socket_that_falls_silent_does_not_stop_the_tip() {
    let cluster = cluster(Settings::default()).await;
    let gateway = hearing(&cluster, 0, "100ms", true).await;
    eventually("a subscription to slots", || {
        cluster.validator(0).pubsub().live("slotSubscribe") == 1
    })
    .await;
    for silence in [
        Kind::WsSilence { after: 0 },
        Kind::WsFreeze,
        Kind::WsLag { slots: 50 },
    ] {
        cluster.validator(0).fault(silence);
        for _ in 0..5 {
            until_tip(&cluster, &gateway).await;
        }
        let status = gateway.status().await;
        assert_eq!(status["upstreams"][0]["health"], "healthy");
        cluster.validator(0).heal().unwrap();
    }
}

#[tokio::test]
async fn an_upstream_without_websocket_is_probed_as_ever() {
    let offer = perijove_tests::sandbox::pubsub::Offer {
        websocket: false,
        ..Default::default()
    };
    let cluster = cluster(Settings {
        pubsub: offer,
        ..Settings::default()
    })
    .await;
    let gateway = hearing(&cluster, 0, "100ms", true).await;
    for _ in 0..5 {
        until_tip(&cluster, &gateway).await;
    }
}
