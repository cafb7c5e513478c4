//! Faults of the sandbox's sockets.

use super::*;

#[tokio::test]
async fn open_sockets_are_closed_with_the_code_asked_for_and_new_ones_are_not() {
    for code in [1000, 1001, 1008, 1011, 1012, 1013, 4000] {
        let (cluster, mut socket) = told_of_slots().await;
        cluster.validator(0).fault(Fault::ws_close(code));
        assert_eq!(socket.hear().await, Heard::Closed(Some(code)));
        let mut second = self::socket(&cluster).await;
        second.ping().await;
    }
    let (cluster, mut socket) = told_of_slots().await;
    cluster.validator(0).fault(Fault::ws_close(0));
    assert_eq!(socket.hear().await, Heard::Closed(None));
    let (cluster, mut socket) = told_of_slots().await;
    cluster.validator(0).fault(Fault::ws_close(1006));
    assert!(matches!(socket.hear().await, Heard::Broken(_)));
}

#[tokio::test]
async fn a_socket_may_be_closed_after_so_many_notifications() {
    let (cluster, mut socket) = told_of_slots().await;
    cluster.validator(0).fault(Kind::WsClose {
        code: 1011,
        reason: "enough".to_owned(),
        after: Some(2),
    });
    let tip = advance(&cluster, 4);
    assert_eq!(slots(&socket.notifications(2).await), [tip - 3, tip - 2]);
    assert_eq!(socket.hear().await, Heard::Closed(Some(1011)));
}

#[tokio::test]
async fn a_frozen_socket_says_what_it_missed_when_it_thaws() {
    let (cluster, mut socket) = told_of_slots().await;
    let validator = cluster.validator(0);
    validator.fault(Kind::WsFreeze);
    // A new one is accepted, and hears nothing either.
    let mut second = self::socket(&cluster).await;
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"getVersion"}"#;
    second.send(Message::text(call)).await.unwrap();
    let tip = advance(&cluster, 3);
    // The other validator is not frozen: what it tells has come about.
    let url = cluster.validator(1).websocket_url();
    let mut other = WebSocket::open(&url).await.unwrap();
    other.subscribe("slotSubscribe", &json!([])).await;
    let tip = {
        advance(&cluster, 1);
        tip + 1
    };
    assert_eq!(slots(&other.notifications(1).await), [tip]);
    assert_eq!(validator.pubsub().notified("slotNotification"), 0);
    validator.heal().unwrap();
    assert_eq!(
        slots(&socket.notifications(4).await),
        [tip - 3, tip - 2, tip - 1, tip]
    );
    assert!(matches!(second.hear().await, Heard::Json(_)));
}

#[tokio::test]
async fn a_silent_socket_answers_and_loses_what_it_does_not_tell() {
    let (cluster, mut socket) = told_of_slots().await;
    cluster.validator(0).fault(Kind::WsSilence { after: 1 });
    let tip = advance(&cluster, 3);
    assert_eq!(slots(&socket.notifications(1).await), [tip - 2]);
    socket.ping().await;
    assert!(socket.pending().await.is_empty());
    cluster.validator(0).heal().unwrap();
    advance(&cluster, 1);
    assert_eq!(slots(&socket.notifications(1).await), [tip + 1]);
}

#[tokio::test]
async fn a_lagging_socket_trails_what_the_node_answers() {
    let (cluster, mut socket) = told_of_slots().await;
    cluster.validator(0).fault(Kind::WsLag { slots: 5 });
    let tip = advance(&cluster, 8);
    assert_eq!(
        slots(&socket.notifications(3).await),
        [tip - 7, tip - 6, tip - 5]
    );
    let asked = client::keep_alive()
        .post(cluster.validator(0).url())
        .header("content-type", "application/json")
        .body(client::call(
            "getSlot",
            &json!([{"commitment": "processed"}]),
        ));
    let reply = Reply::read(asked.send().await.unwrap()).await.unwrap();
    assert_eq!(reply.result(), json!(tip));
    cluster.validator(0).heal().unwrap();
    let rest: Vec<_> = ((tip - 4)..=tip).collect();
    assert_eq!(slots(&socket.notifications(5).await), rest);
}

#[tokio::test]
async fn notifications_may_come_twice_or_change_places() {
    let (cluster, mut socket) = told_of_slots().await;
    cluster
        .validator(0)
        .fault(Fault::from(Kind::WsDuplicate).times(1));
    let tip = advance(&cluster, 2);
    let told = slots(&socket.notifications(3).await);
    assert_eq!(told, [tip - 1, tip - 1, tip]);
    cluster.validator(0).fault(Kind::WsReorder);
    advance(&cluster, 3);
    let told = slots(&socket.notifications(2).await);
    assert_eq!(told, [tip + 2, tip + 1]);
    cluster.validator(0).heal().unwrap();
    assert_eq!(slots(&socket.notifications(1).await), [tip + 3]);
}

#[tokio::test]
async fn notifications_may_be_huge() {
    let (cluster, mut socket) = told_of_slots().await;
    cluster
        .validator(0)
        .fault(Fault::from(Kind::WsOversized { bytes: 5_000_000 }).times(1));
    advance(&cluster, 1);
    let Heard::Json(told) = socket.hear().await else {
        panic!("no message");
    };
    assert!(told.to_string().len() >= 5_000_000);
}

#[tokio::test]
async fn garbage_comes_in_place_of_a_notification() {
    for what in [
        Garbage::Text,
        Garbage::Json,
        Garbage::Stranger,
        Garbage::Binary,
        Garbage::Utf8,
        Garbage::Frame,
        Garbage::Slot,
    ] {
        let (cluster, mut socket) = told_of_slots().await;
        let fault = Fault::from(Kind::WsGarbage { what })
            .times(1)
            .on("slotNotification");
        cluster.validator(0).fault(fault);
        let tip = advance(&cluster, 2);
        let heard = socket.hear().await;
        let right = match what {
            Garbage::Text | Garbage::Binary => matches!(heard, Heard::Other(_)),
            Garbage::Json => heard == Heard::Json(json!({"status": "ok"})),
            Garbage::Stranger => {
                matches!(&heard, Heard::Json(json) if json["params"]["subscription"] == json!(9_007_199_254_740_993_u64))
            }
            Garbage::Utf8 | Garbage::Frame => matches!(heard, Heard::Broken(_)),
            Garbage::Slot => {
                matches!(&heard, Heard::Json(json) if json["params"]["result"]["slot"] == u64::MAX)
            }
        };
        assert!(right, "{what:?}: {heard:?}");
        if !matches!(what, Garbage::Utf8 | Garbage::Frame) {
            assert_eq!(slots(&socket.notifications(1).await), [tip]);
        }
    }
}

#[tokio::test]
async fn a_full_node_refuses_subscriptions_from_the_nth_on() {
    let (cluster, mut socket) = scene().await;
    cluster.validator(0).fault(Kind::WsRefuse { from: 2 });
    socket.subscribe("slotSubscribe", &json!([])).await;
    for _ in 0..2 {
        let refused = socket.call("rootSubscribe", &json!([])).await;
        assert_eq!(
            error(&refused),
            (
                -32603,
                "Internal Error: Subscription refused. Node subscription limit reached"
            )
        );
    }
    cluster.validator(0).heal().unwrap();
    socket.subscribe("rootSubscribe", &json!([])).await;
    assert_eq!(cluster.validator(0).pubsub().refused, 2);
}

#[tokio::test]
async fn handshakes_meet_only_the_faults_that_name_them() {
    let cluster = cluster(Offer::default()).await;
    let validator = cluster.validator(0);
    validator.fault(Fault::status(503));
    socket(&cluster).await.ping().await;
    validator.heal().unwrap();
    validator.fault(Fault::status(503).on("webSocket").times(1));
    let refused = WebSocket::open(&validator.websocket_url()).await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("503"), "{refused}");
    validator.fault(Fault::no_handshake());
    let url = validator.websocket_url();
    let shaking = tokio::spawn(async move { WebSocket::open(&url).await.is_ok() });
    eventually("the handshake to be taken", || {
        validator.faults().list().len() == 1
    })
    .await;
    assert!(!shaking.is_finished());
    shaking.abort();
    validator.heal().unwrap();
    socket(&cluster).await.ping().await;
}

#[tokio::test]
async fn a_validator_that_goes_down_takes_its_sockets_with_it() {
    let (cluster, mut socket) = told_of_slots().await;
    cluster.validator(0).down().await;
    assert!(matches!(socket.hear().await, Heard::Broken(_)));
    let url = cluster.validator(0).websocket_url();
    assert!(WebSocket::open(&url).await.is_err());
    assert_eq!(cluster.validator(0).pubsub().open, 0);
    cluster.validator(0).heal().unwrap();
    self::socket(&cluster).await.ping().await;
}
