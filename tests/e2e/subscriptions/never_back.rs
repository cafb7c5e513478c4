//! What a notification has told a client binds the answers to its calls, over whatever connection.

use perijove_tests::sandbox::{Fault, Settings};
use serde_json::{Value, json};

use super::told::LEVELS;
use super::{Watched, account};
use crate::scene::equals;

#[tokio::test]
async fn answers_are_not_from_before_what_a_notification_has_told() {
    let scene = Watched::with(Settings::default(), |cluster| {
        equals(cluster).set("cluster.slot_time", "200ms")
    })
    .await;
    // It is asked as often as the other, whose notifications are heard.
    scene.cluster.validator(1).fault(Fault::lag(2));
    let key = account();
    let (mut asked, mut back) = (0, Vec::new());
    for level in LEVELS {
        let mut socket = scene.socket().await;
        let params = json!([key, {"commitment": level, "encoding": "base64"}]);
        socket.subscribe("accountSubscribe", &params).await;
        let read = json!([key, {"commitment": level}]);
        for _ in 0..20 {
            let told = socket.notification().await.slot().unwrap();
            let over_http = scene.gateway.rpc("getBalance", read.clone()).await.json();
            let over_socket = socket.call("getBalance", &read).await;
            for answer in [over_http, over_socket] {
                let slot = answer.pointer("/result/context/slot");
                let slot = slot.and_then(Value::as_u64).unwrap();
                asked += 1;
                if slot < told {
                    back.push((level, slot, told));
                }
            }
        }
    }
    // Where the other one cannot be asked in time, as on a machine that is overloaded, an answer is
    // given as it is.
    assert!(back.len() * 8 < asked, "{back:?}");
}
