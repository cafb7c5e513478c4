//! Upstreams with another fee: asked when all with the same have failed, never beside them.

use super::*;

/// `own` and `second` without a fee, and `hosted` with one.
fn scene() -> Scene {
    let upstreams = [
        ("own", Tier::Local, 0),
        ("second", Tier::Paid, 0),
        ("hosted", Tier::Public, 20),
    ];
    Scene {
        pool: testing::jupiter_with_fees(&upstreams, true),
        ..Scene::new()
    }
}

#[tokio::test(start_paused = true)]
async fn a_hedge_goes_to_nobody_with_another_fee() {
    let scene = scene();
    let good = quote_at(1000);
    script::set("own", Act::Say(3_000, 200, good.clone()));
    script::set("second", Act::Hang);
    script::set("hosted", says(200, &good));
    let expected = was(&format!("own 200 {good}"), "own@0 second@500");
    assert_eq!(scene.quote().await, expected);
}

#[tokio::test(start_paused = true)]
async fn one_with_another_fee_is_asked_when_all_with_the_same_have_failed() {
    let good = quote_at(1000);
    let delivered = format!("hosted 200 {good}");
    for second in [says(502, ""), Act::Say(800, 502, String::new())] {
        let scene = scene();
        // While it may still answer nobody else does.
        script::set("own", Act::Say(2_000, 502, String::new()));
        script::set("second", second.clone());
        script::set("hosted", says(200, &good));
        let expected = was(&delivered, "own@0 second@500 hosted@2000");
        assert_eq!(scene.quote().await, expected, "{second:?}");
    }
    let scene = scene();
    script::set("own", says(502, ""));
    script::set("second", says(502, ""));
    script::set("hosted", says(200, &good));
    let expected = was(&delivered, "own@0 second@0 hosted@0");
    assert_eq!(scene.quote().await, expected);
}
