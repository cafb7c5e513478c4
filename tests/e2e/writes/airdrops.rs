//! Airdrops, and methods that nobody knows, are not repeated.

use super::*;

async fn airdrop(scene: &Scene) -> Value {
    scene
        .gateway
        .rpc("requestAirdrop", json!([KEY, 5]))
        .await
        .json()
}

#[tokio::test]
async fn an_airdrop_is_never_asked_for_twice() {
    for fault in [
        Kind::Hang.into(),
        Fault::reset(ResetWhen::AfterRead),
        Fault::status(502),
        Kind::Truncate.into(),
    ] {
        let described = format!("{fault:?}");
        let scene = impatient().await;
        scene.v(0).fault(fault.on("requestAirdrop"));
        let answer = airdrop(&scene).await;
        assert!(answer.get("error").is_some(), "{described}: {answer}");
        assert_eq!(scene.hits("requestAirdrop"), [1, 0], "{described}");
    }
}

#[tokio::test]
async fn an_airdrop_that_was_made_behind_a_rate_limit_is_not_asked_for_again() {
    let scene = impatient().await;
    let made = Fault::from(Kind::Behind { status: 429 });
    scene.v(0).fault(made.on("requestAirdrop"));
    let answer = airdrop(&scene).await;
    assert!(answer["result"].is_string(), "{answer}");
    assert_eq!(scene.hits("requestAirdrop"), [1, 0]);
}

#[tokio::test]
async fn an_airdrop_that_found_no_open_port_is_asked_for_elsewhere() {
    let scene = Scene::ranked().await;
    scene.v(0).down().await;
    let answer = airdrop(&scene).await;
    assert!(answer["result"].is_string(), "{answer}");
    assert_eq!(scene.hits("requestAirdrop"), [0, 1]);
}

#[tokio::test]
async fn an_unknown_method_is_not_repeated_once_its_bytes_were_sent() {
    let scene = impatient().await;
    scene.v(0).fault(Fault::from(Kind::Hang).on("sandboxEcho"));
    let reply = scene.gateway.rpc("sandboxEcho", json!([1])).await;
    assert!(reply.code().is_some(), "{}", reply.text());
    assert_eq!(scene.hits("sandboxEcho"), [1, 0]);
}
