//! A gateway that stops, while clients wait for transactions.

use perijove_tests::client::websocket::{Heard, WebSocket};
use perijove_tests::sandbox::{Settings, chain, transaction};
use serde_json::json;

use super::Watched;
use crate::scene::ranked;

const CLIENTS: usize = 5;

async fn until_closed(socket: &mut WebSocket) {
    loop {
        match socket.hear().await {
            Heard::Closed(code) => return assert_eq!(code, Some(1012)),
            Heard::Json(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn who_waits_for_a_transaction_is_told_before_the_socket_is_closed() {
    let scene = Watched::with(Settings::default(), |cluster| {
        ranked(cluster).set("websocket.close_over", "10s")
    })
    .await;
    let tip = scene.cluster.cluster().clock.tip();
    let hash = chain::blockhash(chain::block_at_or_before(tip - 60));
    let bytes = transaction::sample(1, &hash);
    let signature = bs58::encode(&bytes[1..65]).into_string();
    let params = json!([signature, { "commitment": "confirmed" }]);
    let (mut idle, mut waiting) = (Vec::new(), Vec::new());
    for _ in 0..CLIENTS {
        idle.push(scene.socket().await);
        let mut socket = scene.socket().await;
        socket.subscribe("signatureSubscribe", &params).await;
        waiting.push(socket);
    }
    scene.gateway.sigterm();
    for socket in &mut idle {
        until_closed(socket).await;
    }
    // What clients send over their sockets is still answered.
    let encoded = bs58::encode(bytes).into_string();
    let sent = waiting[0].call("sendTransaction", &json!([encoded])).await;
    assert_eq!(sent["result"], json!(signature), "{sent}");
    for socket in &mut waiting {
        let told = socket.notification().await;
        assert_eq!(told.result["value"], json!({ "err": null }));
        until_closed(socket).await;
    }
}
