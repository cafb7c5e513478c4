//! Tokens of an identity provider in place of keys. They are signed with the secret in the key set of
//! the gateway's unit tests, which also try every forgery.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp};
use perijove_tests::client::Reply;
use perijove_tests::client::socket::Socket;
use perijove_tests::gateway::GatewayConfig;
use perijove_tests::wait::until;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::scene::Scene;

/// Of `alice` with the plan `pro`, and of `bob` who names none; good until 2100.
const ALICE: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6InNlY3JldCJ9.eyJzdWIiOiJhbGljZSIsInB\
    sYW4iOiJwcm8iLCJleHAiOjQxMDI0NDQ4MDB9.ITwZ3PMg76Pd5zqspUHXIRjfAYtvDrx0VmyDXN_blR\
    M";
const BOB: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6InNlY3JldCJ9.eyJzdWIiOiJib2IiLCJleHA\
    iOjQxMDI0NDQ4MDB9.5iMDGf62kU6AVzFlumleP6-jsiubSYc-cpJnoIIU-UA";
/// Of `alice`, good until 2001.
const EXPIRED: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6InNlY3JldCJ9.eyJzdWIiOiJhbGljZSIsInB\
    sYW4iOiJwcm8iLCJleHAiOjEwMDAwMDAwMDB9.OPZSOZXAE4fVLDbaKyQdiNjHoOT1raYG96D3IFBE96\
    M";
/// `alice` with the algorithm `none`, and signed with the provider's public key as if it were a secret.
const UNSIGNED: &str = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIiwia2lkIjoic2VjcmV0In0.eyJzdWIiOiJhbGljZSIsInBs\
    YW4iOiJwcm8iLCJleHAiOjQxMDI0NDQ4MDB9.";
const CONFUSED: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6InJzYSJ9.eyJzdWIiOiJhbGljZSIsInBsYW4\
    iOiJwcm8iLCJleHAiOjQxMDI0NDQ4MDB9.jyZYyOfX06StNGFhAPRhQqXGKk2-Eew0QuCwJubAuVQ";

struct Issued {
    scene: Scene,
    folder: TempDir,
}

fn key_set() -> Value {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = root.join("../gateway/tests/fixtures/tokens/jwks.json");
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

impl Issued {
    async fn start() -> Self {
        Self::with(|config| config).await
    }

    /// With changes to the configuration.
    async fn with(change: impl FnOnce(GatewayConfig) -> GatewayConfig) -> Self {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("jwks.json");
        std::fs::write(&file, key_set().to_string()).unwrap();
        let scene = Scene::equals_with(1, |config| {
            change(config)
                .set("jwt.jwks", file.display().to_string())
                .set(
                    "plans",
                    json!([
                        {"id": "default", "requests_per_minute": 1, "burst": 1, "queue": "0s"},
                        {"id": "pro", "requests_per_minute": 1000},
                    ]),
                )
                .set("consumer_metrics", true)
        })
        .await;
        Self { scene, folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("jwks.json")
    }

    /// The shared secret, which signed the tokens here, leaves the key set.
    fn withdraw_the_secret(&self) {
        let mut set = key_set();
        let keys = set["keys"].as_array_mut().unwrap();
        keys.retain(|key| key["kid"] != "secret");
        std::fs::write(self.file(), set.to_string()).unwrap();
    }

    async fn call(&self, token: &str) -> Reply {
        let request = self.scene.gateway.client().post(self.scene.gateway.url());
        let request = request
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {token}"))
            .body(r#"{"jsonrpc":"2.0","id":1,"method":"getSlot"}"#);
        self.scene.gateway.send(request).await
    }
}

#[tokio::test]
async fn a_token_names_its_caller_and_his_plan() {
    let issued = Issued::start().await;
    for _ in 0..2 {
        let reply = issued.call(ALICE).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(reply.header("x-ratelimit-limit"), Some("1000"));
    }
    let reply = issued.call(BOB).await;
    assert_eq!(reply.header("x-ratelimit-limit"), Some("1"));
    assert_eq!(issued.call(BOB).await.status, 429, "one a minute");
    let url = format!("{}?api-key={ALICE}", issued.scene.gateway.url());
    let in_url = issued.scene.gateway.client().post(url);
    let in_url = in_url
        .header("content-type", "application/json")
        .body(r#"{"jsonrpc":"2.0","id":1,"method":"getSlot"}"#);
    assert_eq!(issued.scene.gateway.send(in_url).await.status, 200);
    let log = issued.scene.gateway.process.log().join("\n");
    assert!(log.contains("token:pro:alice") && !log.contains(ALICE));
    let metrics = issued.scene.gateway.metrics().await;
    let calls = metrics.sum(
        "perijove_consumer_requests_total",
        &[("consumer", "token:")],
    );
    assert!(calls > 3.5, "{calls}");
}

#[tokio::test]
async fn what_is_not_good_is_refused_and_expiry_is_no_guess() {
    let issued = Issued::start().await;
    let (cut, _) = ALICE.split_at(ALICE.len() - 3);
    for token in [UNSIGNED, CONFUSED, cut] {
        let reply = issued.call(token).await;
        assert_eq!((reply.status, reply.code()), (401, Some(401)));
    }
    for _ in 0..20 {
        let reply = issued.call(EXPIRED).await;
        assert_eq!(reply.status, 401);
        assert!(reply.text().contains("expired"), "{}", reply.text());
    }
    assert_eq!(issued.call(ALICE).await.status, 200);
    let anonymous = issued.scene.gateway.rpc("getSlot", json!([])).await;
    assert_eq!(anonymous.status, 401);
    assert_eq!(issued.scene.hits("getSlot"), [1]);
}

#[tokio::test]
async fn a_key_set_that_changes_is_read_again_and_a_broken_one_is_not_taken() {
    let issued = Issued::start().await;
    assert_eq!(issued.call(ALICE).await.status, 200);
    std::fs::write(issued.file(), "{").unwrap();
    until("the key set to be refused", || async {
        let status = issued.scene.gateway.status().await;
        let errors = status["config"]["errors"].to_string();
        errors.contains("not a JSON Web Key Set").then_some(())
    })
    .await;
    assert_eq!(
        issued.call(ALICE).await.status,
        200,
        "the last good one counts"
    );
    issued.withdraw_the_secret();
    until("the key to be gone", || async {
        (issued.call(ALICE).await.status == 401).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_token_may_be_a_segment_of_the_path_as_a_key_may() {
    let issued = Issued::start().await;
    let call = async |path: String| {
        let url = format!("{}{path}", issued.scene.gateway.url());
        let request = issued.scene.gateway.client().post(url);
        let request = request
            .header("content-type", "application/json")
            .body(r#"{"jsonrpc":"2.0","id":1,"method":"getSlot"}"#);
        issued.scene.gateway.send(request).await
    };
    let reply = call(format!("rpc/{ALICE}")).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(
        reply.header("x-ratelimit-limit"),
        Some("1000"),
        "her plan's"
    );
    let reply = call(EXPIRED.to_owned()).await;
    assert_eq!(reply.status, 401);
    assert!(reply.text().contains("expired"), "{}", reply.text());
    for path in [UNSIGNED, CONFUSED, "a.b.c", "rpc"] {
        assert_eq!(call(path.to_owned()).await.status, 401, "{path}");
    }
}

#[tokio::test]
async fn a_socket_stays_open_when_its_token_expires_but_not_without_the_key_that_signed_it() {
    let issued = Issued::with(|config| {
        config
            .set("jwt.leeway", "0s")
            .set("websocket.ping_interval", "100ms")
    })
    .await;
    let token = signed(get_current_timestamp() + 2);
    let address = issued.scene.gateway.address();
    let mut socket = Socket::open(address, &format!("/?api-key={token}")).await;
    while issued.call(&token).await.status != 401 {
        socket.call("getHealth", json!([])).await;
    }
    // Whoever is behind a socket is looked at again in every interval, and each of these takes some.
    socket.subscribe("slotSubscribe", json!([])).await;
    for _ in 0..3 {
        let heard = socket.hear().await.unwrap();
        assert_eq!(heard["method"], "slotNotification");
    }
    issued.withdraw_the_secret();
    assert_eq!(socket.closes().await, 1008);
}

/// A token of alice that is signed here.
fn signed(expires: u64) -> String {
    let keys = key_set();
    let mut keys = keys["keys"].as_array().unwrap().iter();
    let secret = keys.find(|key| key["kid"] == "secret").unwrap()["k"].as_str();
    let secret = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(secret.unwrap());
    let header = Header {
        kid: Some("secret".to_owned()),
        ..Header::new(Algorithm::HS256)
    };
    let claims = json!({ "sub": "alice", "plan": "pro", "exp": expires });
    encode(
        &header,
        &claims,
        &EncodingKey::from_secret(&secret.unwrap()),
    )
    .unwrap()
}
