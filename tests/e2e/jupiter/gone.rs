//! Clients that leave before their answer: what was sent for them is counted, and what changes something
//! goes on to its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use perijove_core::Pubkey;
use perijove_tests::client::raw::RawConnection;
use perijove_tests::wait::until;
use serde_json::{Value, json};

use super::scene::{Exchange, quote_target};
use super::scripted::Answer;

/// Sends a request, and leaves once an upstream has it.
async fn leave(exchange: &Exchange, request: &str) {
    let asked = || exchange.own.asked().len() + exchange.hosted.asked().len();
    let before = asked();
    let mut client: RawConnection = exchange.gateway.raw().await;
    client.send(request.as_bytes()).await;
    until("an upstream to be asked", || async {
        (asked() > before).then_some(())
    })
    .await;
    drop(client);
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nhost: x\r\n\r\n")
}

fn execution() -> String {
    let body = json!({ "requestId": "r-1", "signedTransaction": "AA==" }).to_string();
    format!(
        "POST /ultra/v1/execute HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Waits until a series has counted something, which may have happened once.
async fn counted(exchange: &Exchange, name: &str, labels: &[(&str, &str)]) {
    let sum = until(&format!("{name} with {labels:?}"), || async {
        let sum = exchange.sum(name, labels).await;
        (sum > 0.5).then_some(sum)
    })
    .await;
    assert!(sum < 1.5, "{name}: {sum}");
}

#[tokio::test]
async fn what_was_asked_for_a_client_that_left_is_counted() {
    let exchange = Exchange::with(|config| {
        config
            .set("price.enabled", true)
            .set("cache.redis.url", "redis://127.0.0.1:1")
    })
    .await;
    exchange.own.hold();
    exchange.hosted.hold();
    let price = format!("/price/v3?ids={}", Pubkey([5; 32]));
    for (product, target) in [
        ("quote", quote_target("/swap/v1/quote", 77)),
        ("price", price),
    ] {
        leave(&exchange, &get(&target)).await;
        let gone = ("outcome", "client_gone");
        let labels = [("product", product), gone, ("upstream", "none")];
        counted(&exchange, "jupiter_api_requests_total", &labels).await;
        let labels = [("product", product), ("reason", "client_gone")];
        counted(&exchange, "jupiter_api_errors_total", &labels).await;
        let labels = [("product", product), ("upstream", "none")];
        counted(&exchange, "jupiter_api_latency_seconds_count", &labels).await;
        let labels = [("product", product), ("result", "client_gone")];
        counted(&exchange, "perijove_jupiter_attempts_total", &labels).await;
        let line = until("its line in the log", || async {
            let lines = exchange.gateway.process.log();
            let mut lines = lines
                .iter()
                .filter_map(|line| serde_json::from_str::<Value>(line).ok());
            lines.find(|line| line["target"] == "access" && line["method"] == product)
        })
        .await;
        assert_eq!(line["end"], "client_gone");
    }
}

#[tokio::test]
async fn an_execution_goes_on_to_its_end_when_its_client_leaves() {
    let exchange = Exchange::open().await;
    let carried_out = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&carried_out);
    // Not asked before it is released, and not at all if the connection is closed until then.
    exchange.hosted.answers(move |asked| {
        let executes = asked.path == "/ultra/v1/execute";
        executes.then(|| {
            count.fetch_add(1, Ordering::Relaxed);
            Answer::json(&json!({ "status": "Success", "signature": "x", "code": 0 }))
        })
    });
    exchange.hosted.hold();
    leave(&exchange, &execution()).await;
    let product = ("product", "execute");
    let labels = [product, ("outcome", "client_gone")];
    counted(&exchange, "jupiter_api_requests_total", &labels).await;
    exchange.hosted.release();
    let labels = [product, ("upstream", "hosted"), ("result", "ok")];
    counted(&exchange, "perijove_jupiter_attempts_total", &labels).await;
    assert_eq!(carried_out.load(Ordering::Relaxed), 1);
    let labels = [product];
    counted(&exchange, "perijove_jupiter_attempts_total", &labels).await;
}
