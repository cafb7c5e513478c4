//! The tokens that Jupiter gives its users: they go through to the parts of the API that ask for them,
//! and what the gateway knows its callers by never does.

use std::path::Path;

use http::Method;
use jsonwebtoken::{EncodingKey, Header, encode};
use perijove_tests::client::Reply;
use serde_json::{Value, json};

use super::scene::{Exchange, KEY, quote_target};
use super::scripted::{Answer, Asked};

const CALLERS: &str = "a-key-of-the-trading-bot";
/// Good until 2100, and until 2001.
const LATER: u64 = 4_102_444_800;
const BEFORE: u64 = 1_000_000_000;
/// In the key set of the gateway's own tests.
const SECRET: &[u8] = b"a secret of thirty-two bytes and more";
const ORDER: &str = "/trigger/v2/orders/price";

fn signed(secret: &[u8], kid: Option<&str>, claims: &Value) -> String {
    let header = Header {
        kid: kid.map(str::to_owned),
        ..Header::default()
    };
    encode(&header, claims, &EncodingKey::from_secret(secret)).unwrap()
}

/// A token of Jupiter's.
fn jupiters() -> String {
    let claims = json!({ "sub": "a wallet", "plan": "pro", "exp": LATER });
    signed(b"a secret that only Jupiter knows", None, &claims)
}

/// A token of the gateway's.
fn own(expiry: u64) -> String {
    let claims = json!({ "sub": "alice", "exp": expiry });
    signed(SECRET, Some("secret"), &claims)
}

struct Caller {
    exchange: Exchange,
}

impl Caller {
    /// Everything is answered with `{}`.
    fn of(exchange: Exchange) -> Self {
        exchange
            .hosted
            .answers(|asked| (!asked.path.ends_with("/quote")).then(|| Answer::json(&json!({}))));
        Self { exchange }
    }

    async fn send(&self, verb: Method, target: &str, headers: &[(&str, &str)]) -> Reply {
        let gateway = &self.exchange.gateway;
        let url = format!("{}{target}", gateway.url().trim_end_matches('/'));
        let request = gateway.client().request(verb.clone(), url);
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(*name, *value)
        });
        let request = if verb == Method::GET {
            request
        } else {
            request
                .header("content-type", "application/json")
                .body("{}")
        };
        gateway.send(request).await
    }

    /// What reached the upstream of it.
    async fn sent(&self, verb: Method, target: &str, headers: &[(&str, &str)]) -> Asked {
        self.exchange.hosted.forget();
        let reply = self.send(verb.clone(), target, headers).await;
        assert_eq!(reply.status, 200, "{verb} {target}: {}", reply.text());
        self.exchange.hosted.asked().pop().unwrap()
    }
}

#[tokio::test]
async fn a_token_of_jupiters_reaches_the_parts_that_ask_for_it() {
    let caller = Caller::of(Exchange::open().await);
    let bearer = format!("Bearer {}", jupiters());
    let headers = [
        ("authorization", bearer.as_str()),
        ("cookie", "a=b"),
        ("x-api-key", "the-callers"),
        ("x-forwarded-for", "1.2.3.4"),
        ("x-internal-user", "somebody"),
        ("idempotency-key", "7"),
    ];
    for (verb, target) in [
        (Method::POST, ORDER),
        (Method::PATCH, "/trigger/v2/orders/price/7"),
        (Method::DELETE, "/trigger/v2/orders/7"),
        (Method::GET, "/trigger/v2/vault"),
        (Method::GET, "/portfolio/v1/positions/7"),
    ] {
        let asked = caller.sent(verb, target, &headers).await;
        assert_eq!(
            asked.header("authorization"),
            Some(bearer.as_str()),
            "{target}"
        );
        assert_eq!(asked.header("idempotency-key"), Some("7"));
        assert_eq!(asked.header("x-api-key"), Some(KEY), "the operator's");
        for name in ["cookie", "x-forwarded-for", "x-internal-user"] {
            assert_eq!(asked.header(name), None, "{target} {name}");
        }
    }
    // It is nothing that the others ask for.
    for (verb, target) in [
        (Method::GET, "/tokens/v2/search?query=a".to_owned()),
        (Method::GET, "/price/v3?ids=a".to_owned()),
        (Method::GET, quote_target("/ultra/v1/order", 7)),
        (Method::POST, "/ultra/v1/execute".to_owned()),
    ] {
        let asked = caller.sent(verb, &target, &headers).await;
        assert_eq!(asked.header("authorization"), None, "{target}");
    }
    // What is no token may be meant for somebody else.
    for value in ["Bearer opaque", "Basic dXNlcjpwYXNz", "Bearer a.b.c"] {
        let headers = [("authorization", value)];
        let asked = caller.sent(Method::POST, ORDER, &headers).await;
        assert_eq!(asked.header("authorization"), None, "{value}");
    }
}

#[tokio::test]
async fn where_the_operators_key_is_sent_the_callers_token_is_not() {
    let exchange = Exchange::with(|config| {
        let mut upstreams = config.get("jupiter.upstreams").cloned().unwrap();
        upstreams[1]["key_header"] = json!("Authorization");
        config.set("jupiter.upstreams", upstreams)
    })
    .await;
    let caller = Caller::of(exchange);
    let bearer = format!("Bearer {}", jupiters());
    let asked = caller
        .sent(Method::POST, ORDER, &[("authorization", &bearer)])
        .await;
    let headers = asked.headers.iter();
    let sent: Vec<_> = headers
        .filter(|(name, _)| name == "authorization")
        .map(|(_, value)| value.as_str())
        .collect();
    assert_eq!(sent, [KEY]);
}

#[tokio::test]
async fn a_key_of_the_gateways_never_goes_on_and_a_token_of_jupiters_is_none() {
    let consumers = json!([{ "id": "bots", "keys": [CALLERS] }]);
    let exchange =
        Exchange::with(|config| config.set("consumers", consumers).set("anonymous", false)).await;
    let caller = Caller::of(exchange);
    let bearer = format!("Bearer {}", jupiters());
    let token = ("authorization", bearer.as_str());
    // The key beside it, wherever keys are shown.
    let in_path = format!("/{CALLERS}{ORDER}");
    let in_query = format!("{ORDER}?api-key={CALLERS}");
    for (target, headers) in [
        (ORDER, vec![("x-api-key", CALLERS), token]),
        (&in_path, vec![token]),
        (&in_query, vec![token]),
    ] {
        let asked = caller.sent(Method::POST, target, &headers).await;
        assert_eq!(
            asked.header("authorization"),
            Some(bearer.as_str()),
            "{target}"
        );
        assert!(!format!("{asked:?}").contains(CALLERS), "{asked:?}");
    }
    // The key in its place.
    let key = format!("Bearer {CALLERS}");
    let asked = caller
        .sent(Method::POST, ORDER, &[("authorization", &key)])
        .await;
    assert_eq!(asked.header("authorization"), None);
    let both = [("x-api-key", CALLERS), ("authorization", &key)];
    let asked = caller.sent(Method::POST, ORDER, &both).await;
    assert_eq!(asked.header("authorization"), None);
    // The token tells nobody who calls.
    caller.exchange.hosted.forget();
    let reply = caller.send(Method::POST, ORDER, &[token]).await;
    assert_eq!(reply.status, 401, "{}", reply.text());
    let reply = caller
        .send(Method::POST, "/", &[token, ("x-api-key", "wrong")])
        .await;
    assert_eq!(reply.status, 401, "{}", reply.text());
    assert!(caller.exchange.hosted.asked().is_empty());
}

#[tokio::test]
async fn a_token_of_the_gateways_never_goes_on_not_even_an_expired_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let set = root.join("../gateway/tests/fixtures/tokens/jwks.json");
    let exchange = Exchange::with(|config| {
        let plan = json!({ "id": "default", "requests_per_minute": 1000 });
        config
            .set("jwt.jwks", set.display().to_string())
            .set("plans", json!([plan]))
            .set("anonymous", false)
    })
    .await;
    let caller = Caller::of(exchange);
    let (good, expired) = (own(LATER), own(BEFORE));
    let bearer = format!("Bearer {}", jupiters());
    let jupiters = ("authorization", bearer.as_str());
    let asked = caller
        .sent(Method::POST, ORDER, &[("x-api-key", &good), jupiters])
        .await;
    assert_eq!(asked.header("authorization"), Some(bearer.as_str()));
    for token in [&good, &expired] {
        let authorization = format!("Bearer {token}");
        let headers = [
            ("x-api-key", good.as_str()),
            ("authorization", &authorization),
        ];
        let asked = caller.sent(Method::POST, ORDER, &headers).await;
        assert_eq!(asked.header("authorization"), None);
    }
    let authorization = format!("Bearer {good}");
    let alone = [("authorization", authorization.as_str())];
    let asked = caller.sent(Method::POST, ORDER, &alone).await;
    assert_eq!(asked.header("authorization"), None);
    caller.exchange.hosted.forget();
    let authorization = format!("Bearer {expired}");
    for headers in [[("authorization", authorization.as_str())], [jupiters]] {
        let reply = caller.send(Method::POST, ORDER, &headers).await;
        assert_eq!(reply.status, 401, "{}", reply.text());
    }
    assert!(caller.exchange.hosted.asked().is_empty());
}
