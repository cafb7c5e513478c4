//! What callers with a plan are told of what is left of it, whatever became of their request.

use perijove_tests::client::Reply;
use perijove_tests::sandbox::Kind;
use perijove_tests::wait::until;
use serde_json::{Value, json};

use crate::scene::{KEY, Scene, on_reads};

const BOT: &str = "a-key-of-the-trading-bot";
const PAGE: &str = "https://app.example";

/// One upstream, and a bot with a burst of three.
async fn planned(plan: Value) -> Scene {
    let mut small = json!({"id": "small", "requests_per_minute": 1, "burst": 3, "queue": "0s"});
    for (name, value) in plan.as_object().unwrap() {
        small[name] = value.clone();
    }
    Scene::equals_with(1, |config| {
        config
            .set("plans", json!([small]))
            .set(
                "consumers",
                json!([{"id": "bot", "keys": [BOT], "plan": "small"}]),
            )
            .set("limits.max_body", "4KiB")
            .set("cache.enabled", false)
    })
    .await
}

fn call(method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
}

fn echo() -> Value {
    call("sandboxEcho", &json!([1]))
}

/// A request of the bot: a verb, a path, header fields and a body.
async fn ask(
    scene: &Scene,
    (verb, path): (&str, &str),
    fields: &[(&str, &str)],
    body: String,
) -> Reply {
    let verb = reqwest::Method::from_bytes(verb.as_bytes()).unwrap();
    let url = format!("{}{path}", scene.gateway.url());
    let mut request = scene.gateway.client().request(verb, url).body(body);
    request = request.header("x-api-key", BOT);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    scene.gateway.send(request).await
}

async fn post(scene: &Scene, body: &Value) -> Reply {
    let json = [("content-type", "application/json")];
    ask(scene, ("POST", ""), &json, body.to_string()).await
}

/// The limit a minute, and what may be called at once.
fn left(reply: &Reply) -> (Option<&str>, Option<&str>) {
    assert!(
        reply.header("x-ratelimit-reset").is_some(),
        "{}: {}",
        reply.status,
        reply.text()
    );
    (
        reply.header("x-ratelimit-limit"),
        reply.header("x-ratelimit-remaining"),
    )
}

#[tokio::test]
async fn whoever_is_refused_before_a_call_is_parsed_is_told() {
    let scene = planned(json!({"max_batch": 50})).await;
    assert_eq!(left(&post(&scene, &echo()).await), (Some("1"), Some("2")));
    let json = ("content-type", "application/json");
    let long = format!("{}{}", echo(), " ".repeat(5000));
    let many = |calls| Value::Array(vec![echo(); calls]).to_string();
    for (request, field, body, status) in [
        (("GET", ""), json, String::new(), 405),
        (("PUT", "v2"), json, "{}".to_owned(), 405),
        (
            ("POST", ""),
            ("content-type", "text/plain"),
            "{}".to_owned(),
            415,
        ),
        (("POST", ""), json, long, 413),
        (("POST", ""), json, many(4), 413),
        (("POST", ""), json, many(101), 413),
        (("POST", ""), json, "{".to_owned(), 200),
        (("POST", ""), json, "\u{0}".to_owned(), 200),
        (("GET", "swap/v1/quote"), json, String::new(), 405),
    ] {
        let reply = ask(&scene, request, &[field], body).await;
        let text = reply.text();
        assert_eq!(reply.status, status, "{request:?} {text}");
        assert_eq!(left(&reply), (Some("1"), Some("2")), "{request:?} {text}");
        assert!(reply.header("x-request-id").is_some(), "{request:?}");
    }
    assert_eq!(scene.hits("sandboxEcho"), [1]);
}

#[tokio::test]
async fn whoever_may_not_call_this_or_from_here_is_told() {
    let plan = json!({"deny": ["getBalance"], "allow_origins": [PAGE]});
    let scene = planned(plan).await;
    let json = ("content-type", "application/json");
    let balance = call("getBalance", &json!([KEY])).to_string();
    let origin = |origin| [json, ("origin", origin)];
    let reply = ask(&scene, ("POST", ""), &origin(PAGE), balance.clone()).await;
    assert_eq!(reply.status, 403);
    assert_eq!(left(&reply), (Some("1"), Some("2")));
    let other = origin("https://other.example");
    let reply = ask(&scene, ("POST", ""), &other, balance).await;
    assert_eq!(reply.status, 403);
    assert_eq!(left(&reply), (Some("1"), Some("2")), "it took nothing");
    let metrics = scene.gateway.metrics().await;
    let refused = [("plan", "small"), ("status", "4xx")];
    let refused = metrics.sum("perijove_plan_requests_total", &refused);
    assert!((refused - 2.0).abs() < 0.5, "{refused}");
}

#[tokio::test]
async fn whoever_has_too_much_at_once_or_too_many_bytes_is_told() {
    let scene = planned(json!({"answer_bytes_per_minute": "1KiB", "concurrent": 1})).await;
    let slow = call("getBalance", &json!([KEY]));
    let large = call("sandboxEcho", &json!(["x".repeat(2000)]));
    scene.v(0).fault(on_reads(Kind::Hang));
    let json = [("content-type", "application/json")];
    let hanging = ask(&scene, ("POST", ""), &json, slow.to_string());
    tokio::select! {
        _ = hanging => panic!("it hangs"),
        reply = async {
            until("the first to be asked for", || async {
                (scene.hits("getBalance") == [1]).then_some(())
            })
            .await;
            post(&scene, &echo()).await
        } => {
            assert_eq!(reply.status, 429, "{}", reply.text());
            assert_eq!(left(&reply), (Some("1"), Some("2")));
        }
    }
    scene.gateway.until_in_flight(0).await;
    assert_eq!(post(&scene, &large).await.status, 200);
    let reply = post(&scene, &echo()).await;
    assert_eq!(reply.status, 429, "{}", reply.text());
    assert_eq!(left(&reply), (Some("1"), Some("1")));
}

#[tokio::test]
async fn whoever_is_refused_a_socket_is_told() {
    let scene = planned(json!({"sockets": 0})).await;
    let upgrade = [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let mut old = upgrade;
    old[2].1 = "8";
    for (fields, status) in [(&upgrade[..], 429), (&old, 426), (&upgrade[..3], 400)] {
        let reply = ask(&scene, ("GET", ""), fields, String::new()).await;
        assert_eq!(reply.status, status, "{}", reply.text());
        assert_eq!(left(&reply), (Some("1"), Some("3")));
    }
    let reply = ask(&scene, ("PUT", ""), &upgrade, String::new()).await;
    assert_eq!(reply.status, 501, "{}", reply.text());
    assert_eq!(left(&reply), (Some("1"), Some("3")));
}

#[tokio::test]
async fn a_stranger_is_told_nothing_but_how_to_show_a_key() {
    let scene = planned(json!({})).await;
    for (verb, status) in [("POST", 401), ("GET", 405)] {
        let verb = reqwest::Method::from_bytes(verb.as_bytes()).unwrap();
        let stranger = scene.gateway.client().request(verb, scene.gateway.url());
        let stranger = stranger
            .header("content-type", "application/json")
            .header("x-api-key", "no-such-key")
            .body(echo().to_string());
        let reply = scene.gateway.send(stranger).await;
        assert_eq!(reply.status, status);
        assert_eq!(reply.header("x-ratelimit-limit"), None);
        let challenge = (status == 401).then_some("Bearer");
        assert_eq!(reply.header("www-authenticate"), challenge);
    }
}

#[tokio::test]
async fn a_preflight_has_the_id_of_its_request_too() {
    let scene = planned(json!({})).await;
    let fields = [
        ("origin", PAGE),
        ("access-control-request-method", "POST"),
        ("x-request-id", "mine"),
    ];
    let reply = ask(&scene, ("OPTIONS", ""), &fields, String::new()).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("x-request-id"), Some("mine"));
}
