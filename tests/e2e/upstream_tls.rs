//! Upstreams behind TLS: trusted only with the right certificate and the right name.

use std::net::SocketAddr;

use perijove_tests::gateway::{Endpoint, Gateway, GatewayConfig};
use perijove_tests::sandbox::Sandbox;
use perijove_tests::tls::{Identity, TlsFront};
use perijove_tests::wait::until;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::scene::Scene;

/// `v0` over TLS, with these settings; `v1` in clear behind it.
async fn secured(certificate_for: &str, tls: serde_json::Value) -> (Scene, TlsFront, Identity) {
    let cluster = Sandbox::start(2).await.unwrap();
    let identity = Identity::of(certificate_for);
    let front = TlsFront::start(&identity, cluster.validator(0)).await;
    let mut tls = tls;
    if tls["ca"] == json!("own") {
        tls["ca"] = json!(identity.certificate_file().display().to_string());
    }
    let url = format!("https://localhost:{}/", front.port());
    let first = Endpoint::at("v0", &url).set("tls", tls);
    let second = Endpoint::of(cluster.validator(1))
        .tier("paid")
        .set("metered", false);
    let config = GatewayConfig::new().endpoint(first).endpoint(second);
    let gateway = Gateway::start(config).await;
    (Scene { cluster, gateway }, front, identity)
}

#[tokio::test]
async fn a_certificate_of_a_trusted_authority_is_taken() {
    let (scene, front, _identity) = secured("localhost", json!({ "ca": "own" })).await;
    scene.settles_on(0).await;
    assert!(
        front.names().iter().all(|name| name == "localhost"),
        "{:?}",
        front.names()
    );
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_refused() {
    let (scene, _front, _identity) = secured("localhost", json!({ "verify": true })).await;
    scene.settles_on(1).await;
    assert_eq!(scene.v(0).probes() + scene.v(0).hits_total(), 0);
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let (scene, _front, _identity) = secured("elsewhere.example", json!({ "ca": "own" })).await;
    scene.settles_on(1).await;
    assert_eq!(scene.v(0).probes() + scene.v(0).hits_total(), 0);
}

#[tokio::test]
async fn the_name_to_ask_for_can_be_set() {
    let settings = json!({ "ca": "own", "sni": "elsewhere.example" });
    let (scene, front, _identity) = secured("elsewhere.example", settings).await;
    scene.settles_on(0).await;
    assert!(
        front.names().iter().all(|name| name == "elsewhere.example"),
        "{:?}",
        front.names()
    );
}

#[tokio::test]
async fn checking_can_be_switched_off() {
    let (scene, _front, _identity) = secured("elsewhere.example", json!({ "verify": false })).await;
    scene.settles_on(0).await;
}

/// A port that answers as a web server does that expected something else.
async fn web_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 1024];
            let answer =
                b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            // Whoever hangs up has heard enough.
            if stream.read(&mut request).await.is_ok() {
                drop(stream.write_all(answer).await);
            }
        }
    });
    address
}

#[tokio::test]
async fn a_url_with_the_wrong_scheme_is_named_as_that() {
    let cluster = Sandbox::start(2).await.unwrap();
    let clear = web_server().await;
    let identity = Identity::of("localhost");
    let secured = TlsFront::start(&identity, cluster.validator(0)).await;
    let gateway = Gateway::start(
        GatewayConfig::new()
            .endpoint(Endpoint::at("clear", &format!("https://{clear}/")))
            .endpoint(Endpoint::at(
                "tls",
                &format!("http://127.0.0.1:{}/", secured.port()),
            ))
            .endpoint(Endpoint::of(cluster.validator(1))),
    )
    .await;
    for (id, state, cure) in [
        ("clear", "failing (not-tls)", "write http://"),
        ("tls", "failing (speaks-tls)", "write https://"),
    ] {
        let told = until(state, || async {
            let status = gateway.status().await;
            let upstreams = status["upstreams"].as_array().unwrap();
            let told = upstreams.iter().find(|one| one["id"] == id).unwrap();
            (told["state"] == state).then_some(told.clone())
        })
        .await;
        assert!(told["cure"].as_str().unwrap().contains(cure), "{told}");
    }
}
