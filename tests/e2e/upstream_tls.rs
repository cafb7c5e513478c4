//! Upstreams behind TLS: trusted only with the right certificate and the right name.

use perijove_tests::gateway::{Endpoint, Gateway, GatewayConfig};
use perijove_tests::sandbox::Sandbox;
use perijove_tests::tls::{Identity, TlsFront};
use serde_json::json;

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
