//! What nobody means well: requests that cannot be right, verbs that nothing has, bodies where none
//! belongs, headers that are somebody else's to write.

use http::Method;
use perijove_core::Pubkey;
use serde_json::{Value, json};

use super::scene::{Exchange, quote_target};
use super::scripted::{Answer, CANARY, SOL, USDC, quote};

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[tokio::test]
async fn a_quote_that_two_servers_could_read_differently_reaches_none() {
    let exchange = Exchange::open().await;
    let with = |rest: &str| format!("{}{rest}", quote_target("/swap/v1/quote", 7));
    for (target, why) in [
        (with("&amount=8"), "amount is given twice"),
        (with("&amoun%74=7"), "amount is given twice"),
        (
            with(&format!("&inputMint={USDC}")),
            "inputMint is given twice",
        ),
        (
            with("&slippageBps=1&slippageBps=2"),
            "slippageBps is given twice",
        ),
        (with("&x=%"), "hexadecimal"),
        (with("&x=%zz"), "hexadecimal"),
        (with("&dexes=%C3%28"), "UTF-8"),
        (with("&onlyDirectRoutes=maybe"), "onlyDirectRoutes"),
        (with("&instructionVersion=V9"), "instructionVersion"),
        (with(&format!("&x={}", "y".repeat(9000))), "longer"),
        (with("").replace("amount=7", "amount=%2B7"), "amount"),
        (with("").replace("amount=7", "amount=7%00"), "amount"),
        (with("").replace("amount=7", "amount=٧"), "amount"),
        (
            format!("/swap/v1/quote?inputMint={SOL}%20&outputMint={USDC}&amount=7"),
            "inputMint",
        ),
        ("/swap/v1/quote".to_owned(), "inputMint is missing"),
        ("/v6/quote?".to_owned(), "inputMint is missing"),
    ] {
        let reply = exchange.get(&target).await;
        let shown: String = target.chars().take(200).collect();
        assert_eq!(reply.status, 400, "{shown}: {}", reply.text());
        assert_eq!(reply.header("content-type"), Some("application/json"));
        let said = reply.json();
        assert!(text(&said["error"]).contains(why), "{shown}: {said}");
        assert_eq!(said["errorCode"], "NOT_SUPPORTED");
    }
    // More of a head than is read.
    let mut raw = exchange.gateway.raw().await;
    let huge = with(&format!("&x={}", "y".repeat(70_000)));
    raw.send(format!("GET {huge} HTTP/1.1\r\nhost: a\r\n\r\n"))
        .await;
    assert_eq!(raw.reply().await.map(|reply| reply.status), Some(431));
    assert!(exchange.own.asked().is_empty() && exchange.hosted.asked().is_empty());
    assert_eq!(exchange.quote(7).await.status, 200);
}

#[tokio::test]
async fn an_order_or_a_swap_that_cannot_be_right_costs_nobody_anything() {
    let exchange = Exchange::open().await;
    let order = |path: &str, rest: &str| format!("{}{rest}", quote_target(path, 7));
    for (target, why) in [
        ("/ultra/v1/order?taker=x".to_owned(), "inputMint"),
        (order("/swap/v2/order", "&swapMode=ExactOut"), "swapMode"),
        (order("/swap/v2/order", "&taker=me"), "taker"),
        (order("/ultra/v1/order", "&referralFee=50"), "together"),
        (order("/ultra/v1/order", "&amount=7"), "twice"),
        (order("/swap/v2/build", ""), "taker is missing"),
    ] {
        let reply = exchange.get(&target).await;
        assert_eq!(reply.status, 400, "{target}: {}", reply.text());
        let said = reply.json();
        assert!(text(&said["error"]).contains(why), "{target}: {said}");
        assert_eq!(said.get("requestId"), Some(&Value::Null), "{said}");
    }
    let quoted = quote(1, 7, 150);
    for (body, code) in [
        (json!({ "quoteResponse": quoted }), "NOT_SUPPORTED"),
        (json!({ "userPublicKey": "x" }), "NOT_SUPPORTED"),
        (json!([quoted]), "NOT_SUPPORTED"),
        (
            json!({
                "userPublicKey": "x", "quoteResponse": quoted,
                "computeUnitPriceMicroLamports": 1, "prioritizationFeeLamports": 1,
            }),
            "INVALID_COMPUTE_UNIT_PRICE_AND_PRIORITIZATION_FEE",
        ),
    ] {
        for path in ["/swap/v1/swap", "/v6/swap-instructions"] {
            let reply = exchange.post(path, &body).await;
            assert_eq!(reply.status, 400, "{body}");
            assert_eq!(reply.json()["errorCode"], code, "{body}");
        }
    }
    assert!(exchange.own.asked().is_empty() && exchange.hosted.asked().is_empty());
}

#[tokio::test]
async fn a_verb_that_a_product_has_not_is_refused_with_those_it_has() {
    let exchange = Exchange::open().await;
    let url = exchange.gateway.url();
    let url = url.trim_end_matches('/');
    let get = ["POST", "PUT", "PATCH", "DELETE"];
    let post = ["GET", "PUT", "PATCH", "DELETE"];
    for (path, verbs, allowed) in [
        (quote_target("/swap/v1/quote", 7), get, "GET, HEAD"),
        ("/v6/program-id-to-label".to_owned(), get, "GET, HEAD"),
        (quote_target("/ultra/v1/order", 7), get, "GET, HEAD"),
        (quote_target("/swap/v2/build", 7), get, "GET, HEAD"),
        (format!("/price/v3?ids={SOL}"), get, "GET, HEAD"),
        ("/swap/v1/swap".to_owned(), post, "POST"),
        ("/v6/swap-instructions".to_owned(), post, "POST"),
        ("/swap/v2/execute".to_owned(), post, "POST"),
        ("/ultra/v1/execute".to_owned(), post, "POST"),
    ] {
        for verb in verbs {
            let verb: Method = verb.parse().unwrap();
            let request = exchange
                .gateway
                .client()
                .request(verb.clone(), format!("{url}{path}"));
            let reply = exchange.gateway.send(request.body("{}")).await;
            assert_eq!(reply.status, 405, "{verb} {path}: {}", reply.text());
            assert_eq!(reply.header("allow"), Some(allowed), "{verb} {path}");
            assert_eq!(reply.json()["code"], 405);
        }
    }
    assert!(exchange.own.asked().is_empty() && exchange.hosted.asked().is_empty());
}

#[tokio::test]
async fn what_looks_like_the_api_and_is_no_part_of_it_reaches_nobody() {
    let plan = json!({ "id": "default", "requests_per_minute": 1, "burst": 1, "queue": "0s" });
    let exchange = Exchange::with(|config| {
        let consumer = json!({ "id": "bot", "keys": ["sesame-open-1234567"], "plan": "default" });
        config
            .set("plans", json!([plan]))
            .set("consumers", json!([consumer]))
    })
    .await;
    let url = exchange.gateway.url();
    let client = exchange.gateway.client();
    for path in ["foo/v1/bar", "foo/v12/x", "sesame-open-1234567/foo/v1/bar"] {
        for verb in ["GET", "PUT", "PATCH", "DELETE", "HEAD", "TRACE"] {
            let request = client.request(verb.parse().unwrap(), format!("{url}{path}"));
            let request = request.header("x-api-key", "sesame-open-1234567");
            let reply = exchange.gateway.send(request).await;
            assert_eq!(reply.status, 404, "{verb} {path}: {}", reply.text());
            if verb != "HEAD" {
                assert_eq!(reply.json()["code"], 404, "{verb} {path}");
            }
        }
    }
    // Known parts have only some verbs.
    let all = "GET, POST, PUT, PATCH, DELETE";
    for (verb, path, allowed) in [
        ("HEAD", "trigger/v1/x", all),
        ("TRACE", "trigger/v1/x", all),
        ("TRACE", "swap/v1/quote", "GET, HEAD"),
        ("HEAD", "ultra/v1/execute", "POST"),
    ] {
        let request = client.request(verb.parse().unwrap(), format!("{url}{path}"));
        let request = request.header("x-api-key", "sesame-open-1234567");
        let reply = exchange.gateway.send(request).await;
        assert_eq!(reply.status, 405, "{verb} {path}: {}", reply.text());
        assert_eq!(reply.header("allow"), Some(allowed), "{verb} {path}");
    }
    assert!(exchange.own.asked().is_empty() && exchange.hosted.asked().is_empty());
    // None of it has cost anything.
    let target = quote_target("swap/v1/quote", 7);
    let quote = client.get(format!("{url}{target}"));
    let quote = quote.header("x-api-key", "sesame-open-1234567");
    assert_eq!(exchange.gateway.send(quote).await.status, 200);
}

#[tokio::test]
async fn a_browser_is_told_the_verbs_of_the_path_it_asks_for() {
    let exchange = Exchange::open().await;
    let url = exchange.gateway.url();
    let all = "OPTIONS, GET, POST, PUT, PATCH, DELETE";
    for (path, verbs) in [
        ("trigger/v2/orders/1", all),
        ("a-key/trigger/v2/orders/1", all),
        (
            "tokens/v2/search",
            "OPTIONS, GET, HEAD, POST, PUT, PATCH, DELETE",
        ),
        ("swap/v1/quote", "OPTIONS, GET, HEAD"),
        ("v6/quote", "OPTIONS, GET, HEAD"),
        ("price/v3", "OPTIONS, GET, HEAD"),
        ("ultra/v1/execute", "OPTIONS, POST"),
        ("", "OPTIONS, POST"),
        ("foo/v1/bar", "OPTIONS, POST"),
    ] {
        let preflight = exchange
            .gateway
            .client()
            .request(Method::OPTIONS, format!("{url}{path}"))
            .header("origin", "https://app.example")
            .header("access-control-request-method", "PATCH")
            .header("access-control-request-headers", "x-api-key");
        let reply = exchange.gateway.send(preflight).await;
        assert_eq!(reply.status, 200, "{path}");
        let allowed = reply.header("access-control-allow-methods");
        assert_eq!(allowed, Some(verbs), "{path}");
        assert_eq!(reply.header("allow"), Some(verbs), "{path}");
    }
}

#[tokio::test]
async fn what_comes_beside_a_quotes_query_neither_reaches_upstreams_nor_the_next_request() {
    let exchange = Exchange::open().await;
    let mut raw = exchange.gateway.raw().await;
    let target = quote_target("/swap/v1/quote", 7);
    let within = format!(
        "GET {} HTTP/1.1\r\nhost: a\r\n\r\n",
        quote_target("/swap/v1/quote", 8)
    );
    let length = within.len();
    raw.send(format!(
        "GET {target} HTTP/1.1\r\nhost: a\r\naccept: text/html\r\nidempotency-key: k\r\n\
         x-api-key: mine\r\nx-forwarded-for: 1.2.3.4\r\ncookie: c=1\r\n\
         content-type: text/x\r\ncontent-length: {length}\r\n\r\n{within}"
    ))
    .await;
    raw.send(format!(
        "GET {} HTTP/1.1\r\nhost: a\r\n\r\n",
        quote_target("/swap/v1/quote", 9)
    ))
    .await;
    for amount in ["7", "9"] {
        let reply = raw.reply().await.expect("an answer");
        assert_eq!(reply.status, 200, "{}", reply.text());
        let said: Value = serde_json::from_str(&reply.text()).unwrap();
        assert_eq!(said["inAmount"], amount);
    }
    let asked = exchange.own.asked();
    assert_eq!(asked.len(), 2, "{asked:?}");
    for asked in asked {
        assert_eq!(asked.body, "");
        let names: Vec<_> = asked
            .headers
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        let known = ["host", "user-agent", "accept", "x-perijove-instance"];
        assert!(names.iter().all(|name| known.contains(name)), "{names:?}");
        assert_eq!(asked.header("accept"), Some("application/json"));
    }
}

#[tokio::test]
async fn paths_that_the_gateway_does_not_know_are_jupiters_to_refuse() {
    let exchange = Exchange::open().await;
    for target in [
        "/swap/v1/nothing?a=%zz",
        "/swap/v9/nothing",
        "/tokens/v2/x/y",
    ] {
        let reply = exchange.get(target).await;
        assert_ne!(reply.status, 200, "{target}");
    }
    assert_eq!(exchange.hosted.hits("/swap/v9/nothing"), 1);
    // Nothing of it is kept.
    let known = exchange.get("/swap/v9/nothing").await;
    assert_eq!((known.status, known.cache()), (404, "none"));
    assert_eq!(exchange.hosted.hits("/swap/v9/nothing"), 2);
}

#[tokio::test]
async fn nobody_but_the_operator_says_what_its_fee_is() {
    let account = Pubkey([7; 32]).to_string();
    let fees = json!([{ "mint": USDC, "account": account }]);
    let exchange = Exchange::with(|config| {
        let fee = json!({ "platform_fee_bps": 20, "fee_accounts": fees });
        config
            .set("jupiter.quote.cache", false)
            .set("jupiter.referral", fee)
            .set("hedge", json!({ "enabled": false }))
    })
    .await;
    let slot = exchange.cluster.cluster().clock.tip();
    for upstream in [&exchange.own, &exchange.hosted] {
        upstream.answers(move |asked| {
            let told = Answer::json(&quote(slot, 7, 150))
                .with("x-perijove-fee-bps", "0")
                .with("x-perijove-referral-bps", "0")
                .with("x-perijove-upstream", "somebody")
                .with("set-cookie", "a=b");
            (!asked.query.contains(CANARY) && asked.path.ends_with("/quote")).then_some(told)
        });
    }
    let url = format!(
        "{}{}",
        exchange.gateway.url(),
        quote_target("swap/v1/quote", 7)
    );
    let tricks = [
        ("x-perijove-referral-bps", "0"),
        ("x-perijove-fee-bps", "0"),
        ("platformfeebps", "0"),
        ("x-perijove-upstream", "hosted"),
    ];
    for (rest, ours) in [
        ("", true),
        ("&platformfeebps=0", true),
        ("&PlatformFeeBps=0", true),
        ("&platformFeeBps%20=0", true),
        ("&platform%46eeBps=0", false),
        ("&platformFeeBps=0", false),
    ] {
        let request = exchange.gateway.client().get(format!("{url}{rest}"));
        let request = tricks.iter().fold(request, |request, (name, value)| {
            request.header(*name, *value)
        });
        let reply = exchange.gateway.send(request).await;
        assert_eq!((reply.status, reply.upstream()), (200, "own"), "{rest}");
        let shown = reply.header("x-perijove-referral-bps");
        assert_eq!(shown, ours.then_some("20"), "{rest}");
        assert_eq!(reply.header("x-perijove-fee-bps"), None, "{rest}");
        assert_eq!(reply.header("set-cookie"), None);
        let asked = exchange.own.asked().pop().unwrap();
        assert_eq!(asked.query.ends_with("&platformFeeBps=20"), ours, "{rest}");
    }
}
