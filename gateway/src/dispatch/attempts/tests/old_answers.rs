//! Answers that are good but for their slot: far behind the tip, or further ahead than anything
//! explains. All upstreams are known to be at slot 1000.

use super::*;
use crate::solana::FaultKind;

fn balance(after: u64, slot: u64, value: u64) -> Act {
    gives(
        after,
        &format!(r#"{{"context":{{"slot":{slot}}},"value":{value}}}"#),
    )
}

/// Every call is that of a new client: nobody has been shown anything.
fn strangers(ids: &[&str]) -> Scene {
    let mut scene = Scene::new(ids);
    scene.settings.selection.floor_ttl = Duration::ZERO;
    scene
}

#[tokio::test(start_paused = true)]
async fn what_is_far_behind_the_tip_is_asked_of_another() {
    for (slot, shown) in [
        (1000, was("1", "own@0")),
        (984, was("1", "own@0")),
        (983, was("2", "own@0 paid@0")),
        (900, was("2", "own@0 paid@0")),
        (0, was("2", "own@0 paid@0")),
    ] {
        let scene = strangers(&["own", "paid"]);
        script::set("own", balance(0, slot, 1));
        script::set("paid", balance(0, 999, 2));
        assert_eq!(scene.balance(1).await, shown, "{slot}");
    }
    let scene = strangers(&["own", "paid"]);
    script::set("own", gives(0, "0"));
    script::set("paid", gives(0, "1000"));
    let shown = scene.shows("getSlot", "[]").await;
    assert_eq!(shown, was("1000", "own@0 paid@0"));
}

#[tokio::test(start_paused = true)]
async fn it_counts_against_the_upstream_if_another_has_a_newer_one() {
    let scene = strangers(&["own", "paid"]);
    script::set("own", balance(0, 900, 1));
    script::set("paid", balance(0, 1000, 2));
    let mut asked = Vec::new();
    for key in 0..6 {
        let (answer, who) = scene.balance(key).await;
        assert_eq!(answer, "2", "call {key}");
        asked.push(who);
    }
    assert_eq!(asked.first().map(String::as_str), Some("own@0 paid@0"));
    assert_eq!(asked.last().map(String::as_str), Some("paid@0"));
    // For this method alone.
    script::set("own", gives(0, "1000"));
    assert_eq!(scene.shows("getSlot", "[]").await, was("1000", "own@0"));
}

#[tokio::test(start_paused = true)]
async fn where_nobody_has_a_newer_one_it_is_delivered_and_nobody_is_to_blame() {
    let scene = strangers(&["own", "paid"]);
    script::set("own", balance(0, 900, 1));
    script::set("paid", balance(0, 890, 2));
    for key in 0..8 {
        assert_eq!(scene.balance(key).await, was("1", "own@0 paid@0"));
    }
    let (_, summary) = scene.run("getBalance", r#"["9"]"#).await;
    assert_eq!(summary.doubt, Some(FaultKind::BehindTip));
    assert!(!summary.may_be_kept());
    script::asked(Instant::now());
    // Alone, it does not wait for anybody.
    let scene = strangers(&["own"]);
    script::set("own", balance(0, 900, 1));
    assert_eq!(scene.balance(1).await, was("1", "own@0"));
    script::set("own", balance(0, 1000, 1));
    let (_, summary) = scene.run("getBalance", r#"["2"]"#).await;
    assert!(summary.may_be_kept());
}

#[tokio::test(start_paused = true)]
async fn its_commitment_says_what_is_old() {
    let scene = strangers(&["own", "paid"]);
    // The finalized slot of these is 1000 as well; an older finalized answer is old, too.
    script::set("own", balance(0, 960, 1));
    script::set("paid", balance(0, 1000, 2));
    let params = r#"["1",{"commitment":"finalized"}]"#;
    let shown = scene.shows("getBalance", params).await;
    assert_eq!(shown, was("2", "own@0 paid@0"));
}

#[tokio::test(start_paused = true)]
async fn a_slot_from_the_future_is_no_floor_and_no_tip() {
    for ahead in [40, 100, 200, 900] {
        let scene = Scene::new(&["own", "paid"]);
        script::set("own", balance(0, 1000 + ahead, 1));
        script::set("paid", balance(0, 1000, 2));
        assert_eq!(scene.balance(1).await, was("2", "own@0 paid@0"), "{ahead}");
        let tip = scene.pool.tip(perijove_core::Commitment::Finalized);
        assert_eq!(tip, Some(Slot(1000)), "{ahead}");
        // It is in doubt until it shows a credible slot.
        script::set("own", balance(0, 1001, 3));
        script::set("paid", balance(0, 1001, 4));
        assert_eq!(scene.balance(2).await, was("4", "paid@0"), "{ahead}");
        assert_eq!(scene.balance(3).await, was("4", "paid@0"), "{ahead}");
    }
    let scene = Scene::new(&["own", "paid"]);
    script::set("own", gives(0, "1100"));
    script::set("paid", gives(0, "1000"));
    let shown = scene.shows("getSlot", "[]").await;
    assert_eq!(shown, was("1000", "own@0 paid@0"));
}

#[tokio::test(start_paused = true)]
async fn where_nobody_else_is_a_slot_in_doubt_is_delivered_and_not_kept() {
    let scene = Scene::new(&["own"]);
    script::set("own", balance(0, 1100, 1));
    let (delivered, summary) = scene.run("getBalance", r#"["1"]"#).await;
    assert_eq!(text(&delivered), "1");
    assert!(!summary.may_be_kept());
    script::set("own", balance(0, 1001, 2));
    let (delivered, summary) = scene.run("getBalance", r#"["2"]"#).await;
    assert_eq!((text(&delivered).as_str(), summary.fault), ("2", None));
}

#[tokio::test(start_paused = true)]
async fn a_number_that_the_cluster_cannot_have_reached_is_no_floor() {
    let epoch = |height: u64| {
        format!(r#"{{"absoluteSlot":1000,"blockHeight":{height},"transactionCount":9}}"#)
    };
    let valid = |height: u64| {
        let value = format!(r#"{{"blockhash":"x","lastValidBlockHeight":{height}}}"#);
        format!(r#"{{"context":{{"slot":1000}},"value":{value}}}"#)
    };
    let bare = |height: u64| height.to_string();
    for (method, true_one, wild) in [
        ("getBlockHeight", bare(900), bare(1 << 60)),
        ("getEpochInfo", epoch(900), epoch(1 << 60)),
        ("getLatestBlockhash", valid(1050), valid(1 << 60)),
        // Below the slot, and yet far beyond what was seen before.
        ("getBlockHeight", bare(900), bare(990)),
    ] {
        let scene = Scene::new(&["own", "paid"]);
        script::set("paid", gives(0, &true_one));
        script::set("own", gives(0, &true_one));
        let (told, who) = scene.shows(method, "[]").await;
        assert_eq!(who, "own@0", "{method}");
        script::set("own", gives(0, &wild));
        for _ in 0..8 {
            let shown = scene.ask(method, "[]").await;
            assert_eq!(text(&shown), told, "{method}");
        }
        script::set("own", gives(0, &true_one));
        script::set("paid", gives(0, &wild));
        let shown = scene.ask(method, "[]").await;
        assert_eq!(text(&shown), told, "{method}");
        script::asked(Instant::now());
    }
}
