//! Paths, verbs, keys and bytes.

use http::Version;
use serde_json::json;

use super::scene::{Exchange, KEY, quote_target};
use super::scripted::{Answer, SOL, USDC};

#[tokio::test]
async fn a_quote_is_the_own_apis_to_the_byte() {
    let exchange = Exchange::open().await;
    // Odd spacing and members that nobody knows survive.
    let body = format!(
        "{{ \"inputMint\":\"{SOL}\", \"outputMint\":\"{USDC}\",\n\t\"inAmount\" : \"7\",\"outAmount\":\"2\", \"new\":1e400 }}"
    );
    let told = body.clone();
    exchange.own.answers(move |asked| {
        let answer = Answer::text(200, &told).with("content-type", "application/json; charset=x");
        asked.query.contains("amount=7").then_some(answer)
    });
    for path in ["/swap/v1/quote", "/v6/quote", "/anything/v6/quote"] {
        let target = format!("{}&dexes=Orca+V2%2CX&unknown", quote_target(path, 7));
        let reply = exchange.get(&target).await;
        assert_eq!(
            (reply.status, reply.text().as_str()),
            (200, body.as_str()),
            "{path}"
        );
        assert_eq!(
            reply.header("content-type"),
            Some("application/json; charset=x")
        );
        assert_eq!(reply.upstream(), "own");
    }
    let asked = exchange.own.asked();
    assert!(!asked.is_empty());
    for asked in asked {
        let expected = format!("{}&dexes=Orca+V2%2CX&unknown", quote_target("/quote", 7));
        assert_eq!(asked.target(), expected);
    }
    assert!(exchange.hosted.asked().is_empty());
}

#[tokio::test]
async fn what_the_own_api_has_not_goes_to_the_hosted_one_with_its_key() {
    let exchange = Exchange::open().await;
    exchange.hosted.answers(|asked| {
        let echo = json!({ "verb": asked.method, "target": asked.target(), "body": asked.body });
        Some(Answer::refused(
            if asked.method == "GET" { 200 } else { 418 },
            &echo,
        ))
    });
    let url = exchange.gateway.url();
    let url = url.trim_end_matches('/');
    let client = exchange.gateway.client();
    let order = format!("{}&new=%20+", quote_target("/swap/v2/order", 7));
    for (verb, target, body) in [
        ("GET", order.as_str(), ""),
        ("POST", "/ultra/v1/execute", r#"{"requestId":"r"}"#),
        ("GET", "/ultra/v1/holdings/abc?x=%2F", ""),
        ("GET", "/price/v3?ids=a,b", ""),
        ("GET", "/tokens/v2/search?query=%20a+b", ""),
        ("POST", "/trigger/v1/createOrder", r#"{ "maker" : 1 }"#),
        ("GET", "/portfolio/v1/thing", ""),
        ("PUT", "/trigger/v2/orders/7", "text"),
        ("PATCH", "/trigger/v2/orders/7", "{}"),
        ("DELETE", "/trigger/v2/orders/7?a", ""),
    ] {
        let request = client.request(verb.parse().unwrap(), format!("{url}{target}"));
        let request = request.header("x-internal", "secret").body(body);
        let request = match body {
            "" => request,
            _ => request.header("content-type", "application/json"),
        };
        let reply = exchange.gateway.send(request).await;
        assert_eq!(
            reply.status,
            if verb == "GET" { 200 } else { 418 },
            "{target}"
        );
        assert_eq!(
            reply.json(),
            json!({ "verb": verb, "target": target, "body": body }),
            "{target}"
        );
        assert_eq!(reply.upstream(), "hosted");
        let asked = exchange.hosted.asked().pop().unwrap();
        assert_eq!(asked.header("x-api-key"), Some(KEY));
        assert_eq!(asked.header("x-internal"), None);
    }
    assert!(exchange.own.asked().is_empty());
    let log = exchange.gateway.process.log().join("\n");
    assert!(!log.contains(KEY));
    let status = exchange.gateway.status().await.to_string();
    assert!(!status.contains(KEY));
}

/// Clients of HTTP/2 send each cookie in a line of its own.
#[tokio::test]
async fn a_session_is_found_in_any_line_of_cookies() {
    let exchange = Exchange::with(|config| {
        let mut all = config.get("jupiter.upstreams").cloned().unwrap();
        all[1]["kind"] = json!("self-hosted");
        let config = config.set("jupiter.upstreams", all);
        config.set("jupiter.affinity.cookie", "sid")
    })
    .await;
    let url = exchange.gateway.url();
    let client = perijove_tests::client::h2c();
    for session in 0..24 {
        let target = quote_target("swap/v1/quote", 1000 + session);
        let request = client.get(format!("{url}{target}"));
        let request = request
            .header("cookie", "theme=dark")
            .header("cookie", format!("sid={session}"))
            .header("x-perijove-cache", "bypass");
        assert_eq!(exchange.gateway.send(request).await.status, 200);
    }
    // All come from one address, and only their sessions tell them apart.
    let asked = [&exchange.own, &exchange.hosted].map(|one| one.asked().len());
    assert!(!asked.contains(&0), "{asked:?}");
}

#[tokio::test]
async fn over_http_2_requests_and_answers_are_the_same() {
    let exchange = Exchange::with(|config| {
        let mut all = config.get("jupiter.upstreams").cloned().unwrap();
        for one in all.as_array_mut().unwrap() {
            one["http"] = json!("2");
        }
        config.set("jupiter.upstreams", all)
    })
    .await;
    // Longer than what is held of an answer.
    let large = "x".repeat(400 * 1024);
    let body = large.clone();
    exchange.hosted.answers(move |asked| {
        if asked.path == "/portfolio/v1/large" {
            return Some(Answer::text(200, &body).with("content-type", "text/plain"));
        }
        let echo = json!({ "verb": asked.method, "target": asked.target(), "body": asked.body });
        Some(Answer::refused(418, &echo).with("etag", "7"))
    });
    let url = exchange.gateway.url();
    let url = url.trim_end_matches('/');
    let client = exchange.gateway.client();
    for (verb, target, body) in [
        ("GET", "/portfolio/v1/thing?query=%20a+b", ""),
        ("POST", "/trigger/v1/createOrder", r#"{ "maker" : 1 }"#),
        ("DELETE", "/trigger/v2/orders/7?a", ""),
    ] {
        let request = client.request(verb.parse().unwrap(), format!("{url}{target}"));
        let reply = exchange.gateway.send(request.body(body)).await;
        assert_eq!(
            (reply.status, reply.json()),
            (418, json!({ "verb": verb, "target": target, "body": body })),
            "{target}"
        );
        assert_eq!(reply.header("etag"), Some("7"));
        let asked = exchange.hosted.asked().pop().unwrap();
        assert_eq!(asked.version, Version::HTTP_2);
        assert_eq!(asked.header("x-api-key"), Some(KEY));
    }
    let reply = exchange.get("/portfolio/v1/large").await;
    assert_eq!((reply.status, reply.text()), (200, large));
    assert_eq!(exchange.quote(7).await.upstream(), "own");
    let asked = exchange.own.asked().pop().unwrap();
    assert_eq!(asked.version, Version::HTTP_2);
    let opened = [("upstream", "hosted")];
    let opened = exchange
        .sum("perijove_jupiter_connections_opened_total", &opened)
        .await;
    assert!(opened < 1.5, "{opened} connections for requests in turn");
}

#[tokio::test]
async fn the_callers_key_is_the_gateways_business_alone() {
    let consumers = json!([{ "id": "bots", "keys": ["sesame-open-1234567"] }]);
    let exchange =
        Exchange::with(|config| config.set("consumers", consumers).set("anonymous", false)).await;
    let reply = exchange.quote(7).await;
    assert_eq!(reply.status, 401);
    assert_eq!(reply.json()["code"], 401);
    assert!(exchange.own.asked().is_empty());
    let url = exchange.gateway.url();
    let target = quote_target("swap/v1/quote", 7);
    let client = exchange.gateway.client();
    for request in [
        client
            .get(format!("{url}{target}"))
            .header("x-api-key", "sesame-open-1234567"),
        client.get(format!("{url}{target}&api-key=sesame-open-1234567")),
        client.get(format!("{url}sesame-open-1234567/{target}")),
    ] {
        let reply = exchange.gateway.send(request).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    for asked in exchange.own.asked() {
        assert_eq!(asked.target(), quote_target("/quote", 7));
        assert!(!format!("{asked:?}").contains("sesame"), "{asked:?}");
    }
    // The self-hosted one has no key, and is sent none.
    assert!(
        exchange
            .own
            .asked()
            .iter()
            .all(|asked| asked.header("x-api-key").is_none())
    );
}

#[tokio::test]
async fn rpc_is_served_beside_it_on_any_other_path() {
    let exchange = Exchange::open().await;
    for path in ["", "rpc/v1", "v2/some-key", "v6/some-key"] {
        let post = exchange
            .gateway
            .client()
            .post(format!("{}{path}", exchange.gateway.url()))
            .header("content-type", "application/json")
            .body(r#"{"jsonrpc":"2.0","id":1,"method":"getGenesisHash"}"#);
        let reply = exchange.gateway.send(post).await;
        assert_eq!(reply.status, 200);
        assert!(reply.result().is_string(), "{path}");
    }
    assert_eq!(exchange.get("/health").await.text(), "ok");
    assert!(exchange.hosted.asked().is_empty() && exchange.own.asked().is_empty());
}

#[tokio::test]
async fn a_path_that_leads_elsewhere_is_refused() {
    let exchange = Exchange::open().await;
    let mut raw = exchange.gateway.raw().await;
    raw.send("GET /swap/v1/../../admin HTTP/1.1\r\nhost: a\r\n\r\n")
        .await;
    let reply = raw.reply().await.unwrap();
    assert_eq!(reply.status, 400, "{}", reply.text());
    assert!(exchange.hosted.asked().is_empty() && exchange.own.asked().is_empty());
}

#[tokio::test]
async fn a_large_answer_streams_through() {
    let exchange = Exchange::open().await;
    let body = format!("[\"{}\"]", "x".repeat(3_000_000));
    let large = body.clone();
    exchange.hosted.answers(move |asked| {
        let answer = Answer::text(200, &large).with("content-type", "application/json");
        (asked.path == "/tokens/v2/tag").then_some(answer)
    });
    for _ in 0..3 {
        let reply = exchange.get("/tokens/v2/tag?query=verified").await;
        assert_eq!(reply.status, 200);
        assert!(reply.text() == body);
    }
    assert_eq!(exchange.hosted.hits("/tokens/v2/tag"), 3);
}

#[tokio::test]
async fn nothing_of_it_is_served_without_upstreams_of_it() {
    let exchange = Exchange::with(|config| config.set("jupiter", json!({}))).await;
    assert_eq!(exchange.quote(7).await.status, 405);
    assert!(exchange.own.asked().is_empty());
}

#[tokio::test]
async fn a_plan_names_the_products_it_allows_and_what_they_cost() {
    let key = "a-key-of-the-trading-bot";
    let exchange = Exchange::with(|config| {
        let plan = json!({
            "id": "small", "burst": 5, "requests_per_minute": 5, "queue": "0s",
            "allow": ["getSlot", "jupiter/quote"], "costs": {"jupiter": 3, "jupiter/swap": 1},
        });
        let consumer = json!({"id": "bot", "keys": [key], "plan": "small"});
        config
            .set("plans", json!([plan]))
            .set("consumers", json!([consumer]))
    })
    .await;
    let at = |path: &str| {
        let target = quote_target(path, 7);
        let url = format!("{}{key}{target}", exchange.gateway.url());
        exchange.gateway.send(exchange.gateway.client().get(url))
    };
    for path in [
        "/ultra/v1/order",
        "/tokens/v2/tag",
        "/price/v3",
        "/trigger/v1/orders",
    ] {
        let refused = at(path).await;
        assert_eq!(refused.status, 403, "{path}: {}", refused.text());
    }
    assert!(exchange.hosted.asked().is_empty() && exchange.own.asked().is_empty());
    let quoted = at("/swap/v1/quote").await;
    assert_eq!(quoted.status, 200, "{}", quoted.text());
    assert_eq!(quoted.header("x-ratelimit-remaining"), Some("2"), "3 of 5");
    assert_eq!(at("/v6/quote").await.status, 429);
}
