//! Clients that go before their answer: what they asked for can be found in the log.

use perijove_tests::client::{call, raw};
use perijove_tests::sandbox::{Fault, Kind};
use perijove_tests::wait::until;
use serde_json::{Value, json};

use crate::scene::{KEY, Scene};

#[tokio::test]
async fn what_a_client_asked_for_that_has_gone_is_in_the_log() {
    let scene = Scene::equals(1).await;
    let held = Fault::from(Kind::Hold);
    scene.v(0).fault(held.on("getBalance").on("sandboxEcho"));
    let balance = call("getBalance", &json!([KEY]));
    let echo = call("sandboxEcho", &json!([1]));
    let batch = format!("[{echo},{echo}]");
    // Neither of the last two is a simple request.
    for (body, extra, method, calls) in [
        (balance.as_str(), "", "getBalance", 1),
        (&balance, "expect: x\r\n", "getBalance", 1),
        (&batch, "connection: close\r\n", "batch", 2),
    ] {
        scene.cluster.reset_counts();
        let mut client = scene.gateway.raw().await;
        client
            .send(raw::post(
                body,
                &format!("x-request-id: {method}{extra:.1}\r\n{extra}"),
            ))
            .await;
        until("the upstream to be asked", || async {
            (scene.v(0).hits("getBalance") + scene.v(0).hits("sandboxEcho") > 0).then_some(())
        })
        .await;
        drop(client);
        let line = until("the line of the request", || async {
            let lines = scene.gateway.process.log();
            let mut lines = lines
                .iter()
                .filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let id = format!("{method}{extra:.1}");
            lines.find(|line| line["target"] == "access" && line["request_id"] == id.as_str())
        })
        .await;
        assert_eq!(line["method"], method, "{line}");
        assert_eq!(line["calls"], calls, "{line}");
        assert_eq!(line["status"], 0, "{line}");
        assert_eq!(
            (&line["outcome"], &line["end"]),
            (&json!("client_gone"), &json!("client_gone"))
        );
    }
}
