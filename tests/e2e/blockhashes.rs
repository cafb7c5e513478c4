//! Blockhashes that a node behind the others has not seen yet.

use perijove_tests::sandbox::{Fault, chain};
use perijove_tests::wait::until;
use serde_json::json;

use crate::scene::Scene;

#[tokio::test]
async fn a_blockhash_younger_than_the_own_node_is_valid() {
    let scene = Scene::ranked_with(|config| {
        // However late its probes come, it serves.
        config
            .set("hedge.enabled", false)
            .set("health.exclude_lag", 100)
            .set("health.readmit_lag", 50)
    })
    .await;
    scene.v(0).fault(Fault::lag(12));
    until("the lag to be known", || async {
        let status = scene.gateway.status().await;
        let own = &status["upstreams"][0];
        (own["health"] == "healthy" && own["lag"].as_u64() >= Some(8)).then_some(())
    })
    .await;
    let ask = async |age: u64| {
        let tip = scene.cluster.cluster().clock.tip();
        let hash = chain::blockhash(chain::block_at_or_before(tip - age));
        let params = json!([hash, { "commitment": "processed" }]);
        scene.gateway.rpc("isBlockhashValid", params).await
    };
    let known = ask(40).await;
    assert_eq!(known.result()["value"], true, "{}", known.text());
    assert_eq!(scene.hits("isBlockhashValid"), [1, 0]);
    let young = ask(4).await;
    assert_eq!(young.result()["value"], true, "{}", young.text());
    assert_eq!(young.upstream(), "v1");
    assert_eq!(scene.hits("isBlockhashValid"), [2, 1]);
}
