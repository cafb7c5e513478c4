//! The stand-ins for Jupiter, asked directly. The clock stands still but for what a test moves it.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use perijove_core::redis::{POOLS, announced, pool};
use perijove_core::{Pubkey, Slot};
use perijove_tests::jupiter::feed::Feed;
use perijove_tests::jupiter::tokens::{SOL, USDC};
use perijove_tests::jupiter::{Chain, Fault, Jupiter, Kind, Server, Settings};
use perijove_tests::redis::Redis;
use perijove_tests::sandbox::accounts::made_up;
use perijove_tests::sandbox::{Sandbox, chain, transaction::Transaction};
use perijove_tests::wait::{PATIENCE, eventually, until};
use reqwest::Response;
use serde_json::{Value, json};
use tokio::time::timeout;

async fn jupiters(settings: Vec<Settings>) -> (Sandbox, Jupiter) {
    let cluster = Sandbox::start(1).await.unwrap();
    cluster.cluster().clock.stop();
    let jupiter = Jupiter::start(Chain::of(&cluster), settings).await.unwrap();
    (cluster, jupiter)
}

/// A new connection for each, so that none is taken over from before a fault.
async fn get(server: &Server, target: &str) -> reqwest::Result<Response> {
    let client = reqwest::Client::new();
    client.get(format!("{}{target}", server.url())).send().await
}

async fn post(server: &Server, target: &str, body: &Value) -> Response {
    let client = reqwest::Client::new();
    let request = client.post(format!("{}{target}", server.url())).json(body);
    request.send().await.unwrap()
}

fn pair(path: &str) -> String {
    format!("{path}?inputMint={SOL}&outputMint={USDC}&amount=1000000000")
}

async fn json(server: &Server, target: &str) -> Value {
    get(server, target).await.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn quotes_follow_the_market_and_say_which_slot_they_are_of() {
    let (cluster, jupiter) = jupiters(vec![Settings::default()]).await;
    let server = jupiter.server(0);
    let mut told = Vec::new();
    for _ in 0..5 {
        let slot = cluster.cluster().clock.advance(1);
        let quote = json(server, &pair("/quote")).await;
        assert_eq!(quote["contextSlot"], json!(slot));
        assert_eq!(quote, server.said_at(slot, &pair("")).unwrap());
        told.push(quote["outAmount"].clone());
    }
    told.dedup();
    assert!(told.len() > 1, "the best pool trades in every slot");
    assert_eq!(server.hits("/quote"), 5);
}

#[tokio::test]
async fn a_swap_is_a_transaction_that_the_cluster_takes() {
    let (cluster, jupiter) = jupiters(vec![Settings::default()]).await;
    let server = jupiter.server(0);
    let quote = json(server, &pair("/quote")).await;
    let payer = made_up(5);
    let body = json!({"userPublicKey": payer, "quoteResponse": quote});
    let built: Value = post(server, "/swap", &body).await.json().await.unwrap();
    assert!(built["lastValidBlockHeight"].is_u64());
    let text = built["swapTransaction"].as_str().unwrap();
    let read = Transaction::read(&STANDARD.decode(text).unwrap()).unwrap();
    assert_eq!(read.accounts[0], payer);
    let amm = quote["routePlan"][0]["swapInfo"]["ammKey"]
        .as_str()
        .unwrap();
    assert!(read.accounts.iter().any(|key| key == amm));
    let client = reqwest::Client::new();
    let sent = json!({"jsonrpc": "2.0", "id": 1, "method": "sendTransaction",
        "params": [text, {"encoding": "base64"}]});
    let sent = client
        .post(cluster.validator(0).url())
        .json(&sent)
        .send()
        .await
        .unwrap();
    let sent: Value = sent.json().await.unwrap();
    assert_eq!(sent["result"], json!(read.signature));
    let parts: Value = post(server, "/swap-instructions", &body)
        .await
        .json()
        .await
        .unwrap();
    assert!(parts["swapInstruction"]["data"].is_string());
    let poor = post(server, "/swap", &json!({"quoteResponse": quote})).await;
    assert_eq!(poor.status(), 422);
}

#[tokio::test]
async fn each_shape_has_its_own_paths() {
    let (_cluster, jupiter) = jupiters(vec![Settings::default(), Settings::hosted()]).await;
    let (own, hosted) = (jupiter.server(0), jupiter.server(1));
    for (path, at_own, at_hosted) in [
        (pair("/quote"), 200, 404),
        (pair("/swap/v1/quote"), 404, 200),
        (pair("/ultra/v1/order"), 404, 200),
        ("/program-id-to-label".to_owned(), 200, 404),
        ("/swap/v1/program-id-to-label".to_owned(), 404, 200),
        (format!("/price/v3?ids={SOL},{}", made_up(1)), 404, 200),
        ("/tokens/v2/search?query=JUP".to_owned(), 404, 200),
        ("/tokens/v2/toptraded/1h".to_owned(), 404, 200),
        ("/tokens/v2/nothing".to_owned(), 404, 404),
    ] {
        assert_eq!(get(own, &path).await.unwrap().status(), at_own, "{path}");
        let reply = get(hosted, &path).await.unwrap();
        assert_eq!(reply.status(), at_hosted, "{path}");
        assert!(reply.headers().contains_key("x-api-gateway-request-id"));
    }
    let prices = json(hosted, &format!("/price/v3?ids={SOL},{}", made_up(1))).await;
    assert_eq!(
        prices.as_object().unwrap().len(),
        1,
        "who has no price is left out"
    );
    let price = prices[SOL]["usdPrice"].as_f64().unwrap();
    assert!((130.0..170.0).contains(&price), "{price}");
    let many = vec![SOL; 51].join(",");
    let many = get(hosted, &format!("/price/v3?ids={many}")).await.unwrap();
    assert_eq!(many.status(), 400);
    let found = json(hosted, "/tokens/v2/search?query=JUP").await;
    assert_eq!(found[0]["symbol"], "JUP");
}

#[tokio::test]
async fn an_order_is_executed_by_whoever_gave_it_out_and_counted() {
    let (cluster, jupiter) = jupiters(vec![Settings::hosted(), Settings::hosted()]).await;
    let taker = made_up(5);
    let target = format!("{}&taker={taker}", pair("/ultra/v1/order"));
    let order = json(jupiter.server(0), &target).await;
    let body = json!({"requestId": order["requestId"], "signedTransaction": order["transaction"]});
    let elsewhere = post(jupiter.server(1), "/ultra/v1/execute", &body).await;
    let elsewhere: Value = elsewhere.json().await.unwrap();
    assert_eq!(
        (&elsewhere["status"], &elsewhere["code"]),
        (&json!("Failed"), &json!(-1))
    );
    for again in 0..2 {
        let done = post(jupiter.server(0), "/ultra/v1/execute", &body).await;
        let done: Value = done.json().await.unwrap();
        assert_eq!(done["status"], "Success", "{done}");
        let tally = jupiter.server(0).tally();
        assert_eq!((tally.executed, tally.executed_again), (again + 1, again));
        assert!(
            cluster
                .cluster()
                .ledger
                .find(done["signature"].as_str().unwrap())
                .is_some()
        );
    }
    let quote_only = json(jupiter.server(0), &pair("/ultra/v1/order")).await;
    assert!(quote_only["transaction"].is_null());
    assert_ne!(quote_only["requestId"], order["requestId"]);
}

#[tokio::test]
async fn keys_are_wanted_and_windows_are_told() {
    let (_cluster, jupiter) = jupiters(vec![Settings {
        keys: vec!["right".to_owned()],
        limit: Some(2),
        ..Settings::hosted()
    }])
    .await;
    let server = jupiter.server(0);
    let client = reqwest::Client::new();
    let ask = async |key: Option<&str>| {
        let request = client.get(format!("{}{}", server.url(), pair("/swap/v1/quote")));
        let request = key
            .into_iter()
            .fold(request, |request, key| request.header("x-api-key", key));
        request.send().await.unwrap()
    };
    assert_eq!(ask(None).await.status(), 401);
    assert_eq!(ask(Some("wrong")).await.status(), 401);
    for remaining in ["1", "0", "-1"] {
        let reply = ask(Some("right")).await;
        assert_eq!(reply.headers()["x-ratelimit-remaining"], remaining);
        assert!(reply.headers().contains_key("x-ratelimit-reset"));
        assert!(!reply.headers().contains_key("retry-after"));
        if remaining == "-1" {
            assert_eq!(reply.status(), 429);
            let body: Value = reply.json().await.unwrap();
            assert_eq!(
                body,
                json!({"code": 429, "message": "[API Gateway] Too many requests"})
            );
        }
    }
    assert_eq!(server.tally().limited, 1);
}

#[tokio::test]
async fn a_market_stands_still_or_trails_while_the_chain_goes_on() {
    let (cluster, jupiter) = jupiters(vec![Settings::default(), Settings::default()]).await;
    let before = cluster.cluster().clock.tip();
    jupiter.server(0).fault(Kind::Stale).await;
    jupiter.server(1).fault(Kind::Lag { slots: 4 }).await;
    let now = cluster.cluster().clock.advance(9);
    let slots = async || {
        let mut slots = Vec::new();
        for server in jupiter.servers() {
            slots.push(
                json(server, &pair("/quote")).await["contextSlot"]
                    .as_u64()
                    .unwrap(),
            );
        }
        slots
    };
    assert_eq!(slots().await, [before, now - 4]);
    for server in jupiter.servers() {
        server.heal().unwrap();
    }
    assert_eq!(slots().await, [now, now]);
}

#[tokio::test]
async fn a_server_that_comes_up_is_cold_for_a_while() {
    let (_cluster, jupiter) = jupiters(vec![Settings {
        cold: Duration::from_millis(200),
        ..Settings::default()
    }])
    .await;
    let server = jupiter.server(0);
    let warm = || async {
        let reply = get(server, &pair("/quote")).await.unwrap();
        (reply.status() == 200).then_some(())
    };
    until("the server to be warm", warm).await;
    server.fault(Kind::Down).await;
    assert!(get(server, &pair("/quote")).await.unwrap_err().is_connect());
    server.reset_counts();
    server.heal().unwrap();
    until("the server to be warm again", warm).await;
    server
        .fault(Fault::from(Kind::Cold).on("/quote").times(1))
        .await;
    assert_eq!(get(server, &pair("/quote")).await.unwrap().status(), 503);
    warm().await.expect("only one was cold");
}

#[tokio::test]
async fn faults_show_on_the_wire() {
    let (_cluster, jupiter) = jupiters(vec![Settings::default()]).await;
    let server = jupiter.server(0);
    for (kind, status, text) in [
        (
            Kind::RateLimit { firewall: true },
            429,
            "\"Too many requests\"",
        ),
        (Kind::Firewall, 403, "Request blocked by firewall"),
        (
            Kind::HttpStatus {
                status: 502,
                body: None,
            },
            502,
            "502",
        ),
        (Kind::NoRoute, 400, "COULD_NOT_FIND_ANY_ROUTE"),
        (
            Kind::Error {
                error: "no".to_owned(),
                code: "MARKET_NOT_FOUND".to_owned(),
            },
            400,
            "MARKET_NOT_FOUND",
        ),
        (Kind::Garbage, 200, "<<not json>>"),
    ] {
        server.fault(Fault::from(kind).times(1)).await;
        let reply = get(server, &pair("/quote")).await.unwrap();
        assert_eq!(reply.status(), status);
        let body = reply.text().await.unwrap();
        assert!(body.contains(text), "{body}");
    }
    server.fault(Fault::from(Kind::Close).times(1)).await;
    assert!(get(server, &pair("/quote")).await.is_err());
    server.fault(Fault::from(Kind::Cut).times(1)).await;
    let half = get(server, &pair("/quote")).await.unwrap();
    assert_eq!(half.status(), 200);
    assert!(half.bytes().await.is_err(), "half an answer looked whole");
    server.fault(Kind::Hang).await;
    let target = pair("/quote");
    {
        let asked = get(server, &target);
        tokio::pin!(asked);
        let hits = server.hits("/quote");
        tokio::select! {
            _ = &mut asked => panic!("it hangs"),
            () = eventually("the request to be there", || server.hits("/quote") > hits) => {}
        }
    }
    server.heal().unwrap();
    assert_eq!(get(server, &target).await.unwrap().status(), 200);
}

#[tokio::test]
async fn redis_is_told_of_trades_as_ingest_tells_it() {
    let redis = Redis::start().await;
    let (cluster, jupiter) = jupiters(vec![Settings::default()]).await;
    let client = redis::Client::open(redis.url()).unwrap();
    let mut listener = client.get_async_pubsub().await.unwrap();
    listener.subscribe(POOLS).await.unwrap();
    let (market, of) = (Arc::clone(jupiter.market()), Arc::clone(cluster.cluster()));
    let feed = Feed::start(&redis.url(), of, market).await.unwrap();
    let first = cluster.cluster().clock.advance(3) - 2;
    let mut messages = listener.on_message();
    for slot in first..first + 3 {
        let next = futures::StreamExt::next(&mut messages);
        let message = timeout(PATIENCE, next).await.expect("a message").unwrap();
        let told: Vec<_> = announced(message.get_payload_bytes()).collect();
        let traded = jupiter.market().traded_in(slot).into_iter();
        let traded: Vec<(Pubkey, Slot)> = traded
            .map(|number| jupiter.market().pools()[number].address.parse().unwrap())
            .map(|address| (address, Slot(slot)))
            .collect();
        assert!(!traded.is_empty());
        assert_eq!(told, traded);
        let key = pool(traded[0].0);
        let kept: i64 = redis.ask(&["EXISTS", &key]).await;
        assert_eq!(kept, 1);
    }
    assert!(feed.running());
}

#[tokio::test]
async fn slots_and_blockhashes_may_come_from_any_node() {
    let (cluster, _none) = jupiters(Vec::new()).await;
    let chain_of_node = Chain::node(&cluster.validator(0).url());
    let jupiter = Jupiter::start(chain_of_node, vec![Settings::hosted()])
        .await
        .unwrap();
    let server = jupiter.server(0);
    let target = format!("{}&taker={}", pair("/ultra/v1/order"), made_up(5));
    let order = json(server, &target).await;
    assert_eq!(order["contextSlot"], json!(cluster.cluster().clock.tip()));
    let bytes = STANDARD
        .decode(order["transaction"].as_str().unwrap())
        .unwrap();
    let hash = Transaction::read(&bytes).unwrap().blockhash.unwrap();
    assert!(chain::slot_of(&hash, cluster.cluster().clock.tip()).is_some());
    let body = json!({"requestId": order["requestId"], "signedTransaction": order["transaction"]});
    let done: Value = post(server, "/ultra/v1/execute", &body)
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(done["status"], "Success", "{done}");
}
