//! Upstreams that tell in the wrong order, twice, too much, or what is no notification at all.

use std::time::Duration;

use perijove_tests::sandbox::fault::Garbage;
use perijove_tests::sandbox::{Fault, Kind, Settings};
use perijove_tests::wait::until;
use serde_json::json;

use super::told::Told;
use super::{Watched, account};
use crate::scene::ranked;

/// More than any message of an upstream may be.
const TOO_LARGE: u64 = 129 * 1024 * 1024;

/// Lets a client be told of everything while its upstream has a fault: nothing is missing, nothing
/// comes twice, and what comes is in order and true.
async fn sees_through(what: &str, fault: impl Into<Fault>) -> Watched {
    let scene = Watched::with(Settings::default(), ranked).await;
    let mut socket = scene.socket().await;
    let mut told = Told::subscribe(&mut socket, &account()).await;
    let tip = scene.cluster.cluster().clock.tip();
    told.until_slot(&mut socket, tip + 3).await;
    scene.cluster.validator(0).fault(fault);
    told.until_slot(&mut socket, tip + 15).await;
    scene.cluster.validator(0).heal().unwrap();
    told.until_slot(&mut socket, tip + 25).await;
    scene.cluster.cluster().clock.stop();
    let tip = scene.cluster.cluster().clock.tip();
    told.for_a_while(&mut socket, Duration::from_secs(2)).await;
    told.check(what, &scene.cluster);
    told.check_last(what, &scene.cluster, tip);
    scene
}

#[tokio::test]
async fn what_comes_twice_is_told_once() {
    let scene = sees_through("twice", Kind::WsDuplicate).await;
    let metrics = scene.gateway.metrics().await;
    let repeated = [("reason", "repeated")];
    assert!(metrics.sum("perijove_websocket_untold_total", &repeated) > 0.0);
}

#[tokio::test]
async fn an_account_that_is_told_in_the_wrong_order_never_goes_back() {
    let reorder = Fault::from(Kind::WsReorder).on("accountNotification");
    let scene = sees_through("accounts", reorder).await;
    // Nothing was wrong enough for a move.
    let metrics = scene.gateway.metrics().await;
    assert!(metrics.sum("perijove_websocket_moves_total", &[]) < 1.0);
}

#[tokio::test]
async fn slots_that_come_in_the_wrong_order_are_told_in_order() {
    let scene = Watched::with(Settings::default(), ranked).await;
    let mut socket = scene.socket().await;
    let mut told = Told::of_slots(&mut socket).await;
    let reorder = Fault::from(Kind::WsReorder).on("slotNotification");
    scene.cluster.validator(0).fault(reorder);
    let tip = scene.cluster.cluster().clock.tip();
    told.until_slot(&mut socket, tip + 30).await;
    told.check("slots", &scene.cluster);
}

#[tokio::test]
async fn a_slot_that_an_upstream_leaves_out_is_found_out() {
    let scene = Watched::with(Settings::default(), ranked).await;
    let mut socket = scene.socket().await;
    let mut told = Told::of_slots(&mut socket).await;
    let tip = scene.cluster.cluster().clock.tip();
    told.until_slot(&mut socket, tip + 3).await;
    for what in [Garbage::Json, Garbage::Stranger] {
        let swallowed = Fault::from(Kind::WsGarbage { what }).on("slotNotification");
        scene.cluster.validator(0).fault(swallowed.times(1));
        let tip = scene.cluster.cluster().clock.tip();
        told.until_slot(&mut socket, tip + 10).await;
    }
    told.check("left out", &scene.cluster);
    let metrics = scene.gateway.metrics().await;
    assert!(metrics.sum("perijove_websocket_moves_total", &[]) < 1.0);
}

#[tokio::test]
async fn notifications_that_are_larger_than_they_need_be_are_told() {
    let padded = Kind::WsOversized { bytes: 300_000 };
    sees_through("padded", Fault::from(padded).times(50)).await;
}

#[tokio::test]
async fn an_upstream_that_tells_what_is_no_message_is_left_and_nothing_is_missed() {
    for what in [
        Garbage::Text,
        Garbage::Binary,
        Garbage::Utf8,
        Garbage::Frame,
    ] {
        let garbage = Fault::from(Kind::WsGarbage { what }).times(1);
        leaves(&format!("{what:?}"), garbage).await;
    }
}

#[tokio::test]
async fn an_upstream_whose_message_is_too_large_is_left_and_nothing_is_missed() {
    let large = Kind::WsOversized { bytes: TOO_LARGE };
    leaves("too large", Fault::from(large).times(1)).await;
}

/// Believed, it would be the last that clients were told of: all else is older.
#[tokio::test]
async fn an_upstream_that_tells_of_a_slot_that_cannot_be_is_left_and_nothing_is_missed() {
    for topic in ["account", "program", "slot", "root"] {
        let garbage = Kind::WsGarbage {
            what: Garbage::Slot,
        };
        let fault = Fault::from(garbage).on(&format!("{topic}Notification"));
        leaves(&format!("impossible slot of {topic}"), fault.times(1)).await;
    }
}

async fn leaves(what: &str, fault: Fault) {
    let scene = sees_through(what, fault).await;
    let metrics = scene.gateway.metrics().await;
    let moves = metrics.sum("perijove_websocket_moves_total", &[]);
    assert!(moves >= 6.0, "{what}: {moves}");
}

#[tokio::test]
async fn garbage_without_end_does_not_keep_clients_from_being_told() {
    let scene = Watched::with(Settings::default(), ranked).await;
    let mut socket = scene.socket().await;
    let what = Garbage::Text;
    scene.cluster.validator(0).fault(Kind::WsGarbage { what });
    let id = socket.subscribe("slotSubscribe", &json!([])).await;
    until("slots to be told by the other", || async {
        (scene.live(1, "slotSubscribe") > 0).then_some(())
    })
    .await;
    for told in socket.notifications(10).await {
        assert_eq!(told.subscription, id);
    }
}
