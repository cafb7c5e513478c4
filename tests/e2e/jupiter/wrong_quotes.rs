//! Upstreams that answer another question than they were asked: another pair, amount or mode. A client
//! signs what its quote says.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use perijove_core::Pubkey;
use perijove_tests::client::Reply;
use perijove_tests::wait::until;
use serde_json::{Value, json};

use super::scene::{Exchange, quote_target};
use super::scripted::{Answer, Asked, CANARY, SOL, Scripted, USDC, quote};
use crate::logs::{line_of, tried};

const USDT: &str = "Es9vMFrzaCERmJfrF4H2FYD4KCoNkY11McCe8BenwNYB";

/// Quotes at this slot that are wrong in one member each.
fn wrong_ones(slot: u64, amount: u64) -> Vec<Value> {
    let wrong = [
        ("outputMint", json!(USDT)),
        ("inputMint", json!(USDC)),
        ("inAmount", json!("7000000000000")),
        ("inAmount", json!(format!("0{amount}"))),
        ("swapMode", json!("ExactOut")),
        ("outAmount", json!("+900000000000")),
        ("outAmount", json!("0900000000000")),
        ("outAmount", json!("18446744073709551621")),
    ];
    let altered = wrong.into_iter().map(|(member, value)| {
        let mut other = quote(slot, amount, 900_000);
        other[member] = value;
        other
    });
    altered.collect()
}

/// Everything but canaries is answered so.
fn says(upstream: &Scripted, answer: Value) {
    upstream.answers(move |asked| {
        let told = Answer::json(&answer);
        (!asked.query.contains(CANARY)).then_some(told)
    });
}

#[tokio::test]
async fn a_quote_for_another_question_is_neither_delivered_nor_kept() {
    let exchange = Exchange::open().await;
    let slot = exchange.cluster.cluster().clock.tip();
    for (index, wrong) in wrong_ones(slot, 1_000_000).into_iter().enumerate() {
        says(&exchange.own, wrong.clone());
        exchange.own.forget();
        let target = format!("{}&n={index}", quote_target("/swap/v1/quote", 1_000_000));
        let reply = exchange.get(&target).await;
        assert_eq!((reply.status, reply.upstream()), (200, "hosted"), "{wrong}");
        assert_eq!(reply.json()["outAmount"], "150000", "{wrong}");
        let line = line_of(&exchange.gateway, &reply).await;
        let all = tried(&line);
        assert_eq!(all.last(), Some(&("hosted", "good")), "{line}");
        // Its breaker may be open by then.
        let of_own = all.iter().find(|(upstream, _)| *upstream == "own");
        let bad = [
            Some(&("own", "wrong-quote")),
            Some(&("own", "unexpected-answer")),
        ];
        assert!(of_own.is_none() || bad.contains(&of_own), "{line}");
        let next = exchange.get(&target).await;
        assert_eq!(next.json()["outAmount"], "150000", "{wrong}");
    }
    let counted = [("upstream", "own"), ("result", "wrong_quote")];
    let counted = exchange
        .sum("perijove_jupiter_attempts_total", &counted)
        .await;
    assert!(counted > 0.5, "{counted}");
    // Where nobody answers the question, there is no quote.
    let mut wrong = quote(slot, 9, 150);
    wrong["outputMint"] = json!(USDT);
    says(&exchange.own, wrong.clone());
    says(&exchange.hosted, wrong);
    let reply = exchange.quote(9).await;
    assert_eq!(reply.status, 503, "{}", reply.text());
    assert!(!reply.text().contains(USDT));
}

async fn best(exchange: &Exchange, amount: u64) -> Reply {
    let target = quote_target("swap/v1/quote", amount);
    let get = exchange
        .gateway
        .client()
        .get(format!("{}{target}", exchange.gateway.url()));
    let get = get.header("x-perijove-optimize", "best");
    exchange.gateway.send(get).await
}

#[tokio::test]
async fn a_quote_for_another_question_is_never_the_best() {
    let exchange = Exchange::with(|config| config.set("jupiter.optimizer.deadline", "10s")).await;
    let slot = exchange.cluster.cluster().clock.tip();
    for wrong in wrong_ones(slot, 1_000_000) {
        says(&exchange.hosted, wrong.clone());
        let reply = best(&exchange, 1_000_000).await;
        assert_eq!((reply.status, reply.upstream()), (200, "own"), "{wrong}");
        assert_eq!(reply.json()["outAmount"], "150000", "{wrong}");
        let gain = reply.header("x-perijove-gain-bps");
        assert_eq!(gain, Some("0.00"), "{wrong}");
    }
}

#[tokio::test]
async fn an_upstream_whose_canaries_are_other_quotes_is_avoided() {
    let exchange = Exchange::open().await;
    let slot = exchange.cluster.cluster().clock.tip();
    let mut wrong = quote(slot, 10_000_000, 150);
    wrong["outputMint"] = json!(USDT);
    exchange.own.always(Answer::json(&wrong));
    exchange.until_fitness("own", "failing").await;
    let cause = exchange.status("own").await["cause"].to_string();
    assert!(cause.contains("wrong_quote"), "{cause}");
}

#[tokio::test]
async fn an_order_for_another_question_goes_to_nobody() {
    let exchange = Exchange::with(|config| {
        let upstreams = config.get("jupiter.upstreams").cloned().unwrap();
        let mut own = upstreams[0].clone();
        own["kind"] = json!("hosted");
        config.set("jupiter.upstreams", json!([own, upstreams[1]]))
    })
    .await;
    let orders = |id: &'static str, mint: &'static str, amount: &'static str| {
        move |asked: &Asked| {
            let order = json!({
                "requestId": id, "inputMint": SOL, "outputMint": mint, "inAmount": amount,
                "outAmount": "1", "swapMode": "ExactIn", "transaction": null,
            });
            asked.path.ends_with("/order").then(|| Answer::json(&order))
        }
    };
    exchange.hosted.answers(orders("fine", USDC, "7"));
    for path in ["/swap/v2/order", "/ultra/v1/order"] {
        for (mint, amount) in [(USDT, "7"), (USDC, "8")] {
            exchange.own.answers(orders("other", mint, amount));
            let reply = exchange.get(&quote_target(path, 7)).await;
            assert_eq!(reply.status, 200, "{}", reply.text());
            assert_eq!(reply.json()["requestId"], "fine", "{path} {mint} {amount}");
            assert_eq!(reply.upstream(), "hosted");
        }
    }
    exchange.own.answers(orders("fine too", USDC, "7"));
    let reply = exchange.get(&quote_target("/swap/v2/order", 7)).await;
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn an_order_that_another_wallet_signs_goes_to_nobody() {
    let exchange = Exchange::with(|config| {
        let upstreams = config.get("jupiter.upstreams").cloned().unwrap();
        let mut own = upstreams[0].clone();
        own["kind"] = json!("hosted");
        config.set("jupiter.upstreams", json!([own, upstreams[1]]))
    })
    .await;
    let [wallet, other] = [7, 8].map(|byte| Pubkey([byte; 32]));
    let says = |upstream: &Scripted, id: &str, wallet| {
        let order = json!({ "requestId": id, "transaction": transaction_of(wallet) });
        let order = Answer::json(&order);
        upstream.answers(move |asked| asked.path.ends_with("/order").then(|| order.clone()));
    };
    says(&exchange.own, "other", other);
    says(&exchange.hosted, "fine", wallet);
    for path in ["/swap/v2/order", "/ultra/v1/order"] {
        let target = format!("{}&taker={wallet}", quote_target(path, 7));
        let reply = exchange.get(&target).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(reply.json()["requestId"], "fine", "{path}");
    }
}

/// A transaction that this wallet signs and pays for.
fn transaction_of(wallet: Pubkey) -> String {
    let signature = [0; 64];
    let keys = [wallet.0, Pubkey([9; 32]).0].concat();
    let message = [&[0x80, 1, 0, 1, 2], keys.as_slice(), &[0; 34]].concat();
    STANDARD.encode([&[1], signature.as_slice(), &message].concat())
}

#[tokio::test]
async fn a_transaction_of_another_wallet_or_from_the_past_goes_to_nobody() {
    let exchange = Exchange::open().await;
    let [wallet, other] = [7, 8].map(|byte| Pubkey([byte; 32]));
    let slot = exchange.cluster.cluster().clock.tip();
    let body = json!({ "userPublicKey": wallet.to_string(), "quoteResponse": quote(slot, 7, 150) });
    let account = |key: Pubkey| json!({ "pubkey": key.to_string(), "isSigner": true });
    let (swap, instructions) = ("/swap", "/swap-instructions");
    let built = |wallet, last: u64| json!({ "swapTransaction": transaction_of(wallet), "lastValidBlockHeight": last });
    let instruction = |wallet| json!({ "swapInstruction": { "accounts": [account(wallet)] } });
    for (path, wrong, right) in [
        (swap, built(other, 1 << 40), built(wallet, 1 << 40)),
        (swap, built(wallet, 1), built(wallet, 1 << 40)),
        (instructions, instruction(other), instruction(wallet)),
    ] {
        let says = |upstream: &Scripted, answer: &Value| {
            let answer = Answer::json(answer);
            upstream.answers(move |asked| asked.path.ends_with(path).then(|| answer.clone()));
        };
        says(&exchange.own, &wrong);
        says(&exchange.hosted, &right);
        let reply = exchange.post(&format!("/swap/v1{path}"), &body).await;
        assert_eq!((reply.status, reply.upstream()), (200, "hosted"), "{wrong}");
        assert_eq!(reply.json(), right);
        says(&exchange.hosted, &wrong);
        let reply = exchange.post(&format!("/swap/v1{path}"), &body).await;
        assert_eq!(reply.status, 503, "{wrong}: {}", reply.text());
        says(&exchange.own, &right);
        says(&exchange.hosted, &right);
        until("both to be asked again", || async {
            let reply = exchange.post(&format!("/swap/v1{path}"), &body).await;
            (reply.status == 200 && reply.upstream() == "own").then_some(())
        })
        .await;
    }
}
