//! One caller's refused request, and what others notice of it.

use perijove_tests::wait::until;
use serde_json::json;

use super::scene::Exchange;
use super::scripted::{Answer, Asked};

const HISTORY: &str = "/trigger/v2/orders/history";
const SEARCH: &str = "/tokens/v2/search?query=%3Cscript%3E";

fn is_odd(asked: &Asked) -> bool {
    asked.path.starts_with("/trigger") || asked.query.contains("script")
}

async fn others_are_served(exchange: &Exchange) {
    let order = exchange.get("/ultra/v1/holdings/wallet").await;
    assert_eq!((order.status, order.upstream()), (200, "hosted"));
    let status = exchange.status("hosted").await;
    assert!(status["held_because"].is_null(), "{status}");
    assert_eq!(status["breaker"], "closed", "{status}");
}

#[tokio::test]
async fn a_caller_that_is_not_logged_in_is_told_so_and_nobody_else_notices() {
    for answer in [
        Answer::refused(401, &json!({ "error": "Unauthorized" })),
        Answer::refused(403, &json!({ "error": "Forbidden" })),
        Answer::text(401, ""),
        Answer::text(403, "<html>Just a moment...</html>").with("content-type", "text/html"),
    ] {
        let exchange = Exchange::open().await;
        let refusal = answer.clone();
        exchange.hosted.answers(move |asked| {
            if is_odd(asked) {
                return Some(refusal.clone());
            }
            let holdings = asked.path.starts_with("/ultra");
            holdings.then(|| Answer::json(&json!({ "SOL": {} })))
        });
        let reply = exchange.get(HISTORY).await;
        assert_eq!((reply.status, reply.text()), (answer.status, answer.body));
        others_are_served(&exchange).await;
    }
}

#[tokio::test]
async fn a_request_that_a_firewall_dislikes_is_nobody_elses_business() {
    for answer in [
        Answer::refused(
            403,
            &json!({ "code": 403, "message": "blocked by firewall" }),
        ),
        Answer::text(403, "<html>Just a moment...</html>").with("content-type", "text/html"),
        Answer::refused(401, &json!({ "error": "Unauthorized" })),
    ] {
        let exchange = Exchange::open().await;
        exchange.hosted.answers(move |asked| {
            if is_odd(asked) {
                return Some(answer.clone());
            }
            let holdings = asked.path.starts_with("/ultra");
            holdings.then(|| Answer::json(&json!({ "SOL": {} })))
        });
        for _ in 0..8 {
            let reply = exchange.get(SEARCH).await;
            assert_eq!(reply.status, 502, "{}", reply.text());
        }
        others_are_served(&exchange).await;
    }
}

#[tokio::test]
async fn a_key_that_the_canary_is_refused_for_too_is_not_used() {
    let exchange = Exchange::with(|config| {
        config
            .set("jupiter.health.interval", "50ms")
            .set("jupiter.health.metered_interval", "1h")
    })
    .await;
    let refused = Answer::refused(401, &json!({ "code": 401 }));
    exchange.hosted.always(refused);
    until("the canary to be refused", || async {
        let reply = exchange.get(SEARCH).await;
        assert_eq!(reply.status, 502, "{}", reply.text());
        let status = exchange.status("hosted").await;
        (status["held_because"] == "unauthorized").then_some(())
    })
    .await;
    exchange.hosted.forget();
    assert_eq!(exchange.get(SEARCH).await.status, 502);
    assert!(exchange.hosted.asked().is_empty());
}

#[tokio::test]
async fn a_corrected_key_is_used_at_once() {
    let exchange = Exchange::open().await;
    exchange.hosted.answers(|asked| {
        let right = asked.header("x-api-key") == Some("right");
        let holdings = asked.path.starts_with("/ultra");
        match (right, holdings) {
            (false, _) => Some(Answer::refused(401, &json!({ "code": 401 }))),
            (true, true) => Some(Answer::json(&json!({ "SOL": {} }))),
            (true, false) => None,
        }
    });
    until("the key to be refused", || async {
        let status = exchange.status("hosted").await;
        (status["held_because"] == "unauthorized").then_some(())
    })
    .await;
    let mut upstreams = exchange.config.get("jupiter.upstreams").cloned().unwrap();
    upstreams[1]["key"] = json!("right");
    let config = exchange.config.clone().set("jupiter.upstreams", upstreams);
    exchange.gateway.write_config(config);
    assert_eq!(exchange.gateway.reload().await.status, 200);
    others_are_served(&exchange).await;
}

#[tokio::test]
async fn a_page_that_all_upstreams_answer_is_the_callers() {
    let exchange = Exchange::open().await;
    exchange.hosted.answers(|asked| {
        let page = Answer::text(404, "<html>404 nginx</html>").with("content-type", "text/html");
        asked.path.starts_with("/tokens").then_some(page)
    });
    let reply = exchange.get("/tokens/v2/xyz").await;
    assert_eq!(
        (reply.status, reply.text().as_str()),
        (404, "<html>404 nginx</html>")
    );
    assert_eq!(reply.header("content-type"), Some("text/html"));
}
