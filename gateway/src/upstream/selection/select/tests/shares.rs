//! How calls are shared among equals, and what the slow get.

use super::*;

#[test]
fn equals_share_the_calls_and_the_slow_get_few() {
    let scene = Scene::of("abc");
    for id in "abc".chars() {
        scene.good(id, 2);
    }
    let shares = scene.shares();
    for id in ["a", "b", "c"] {
        assert!((200..=470).contains(&shares[id]), "{shares:?}");
    }
    for _ in 0..20 {
        scene.good('c', 80);
    }
    assert_eq!(scene.shares().get("c"), None, "never the better of two");
}

#[test]
fn what_differs_by_noise_only_shares_the_calls() {
    let scene = Scene::of("ab");
    for _ in 0..20 {
        for (id, micros) in [('a', 300), ('b', 700)] {
            scene.answered(id, Duration::from_micros(micros));
        }
    }
    scene.probe('a', 1001);
    scene.probe('b', 1000);
    assert_eq!(scene.upstream('b').state().lag(), 1);
    let shares = scene.shares();
    for id in ["a", "b"] {
        assert!((350..=650).contains(&shares[id]), "{shares:?}");
    }
}

#[test]
fn equals_share_by_weight() {
    let scene = Scene::with("ab", |settings| {
        settings.weight = if settings.id == "a" { 3 } else { 1 };
    });
    scene.good('a', 2);
    scene.good('b', 2);
    let shares = scene.shares();
    assert!((680..=820).contains(&shares["a"]), "{shares:?}");
}

#[test]
fn calls_under_way_count() {
    let scene = Scene::of("ab");
    scene.good('a', 2);
    scene.good('b', 2);
    let busy: Vec<_> = (0..5)
        .map(|_| InFlightGuard::begin(scene.upstream('a').state()))
        .collect();
    assert_eq!(scene.shares().get("a"), None);
    drop(busy);
    assert!(scene.shares().contains_key("a"));
}

/// Twenty calls a second in virtual time, answered as late as `latency` says of their upstream and
/// their beginning, in milliseconds. Returns which upstream got each call, by its beginning.
async fn calls_for(
    scene: &mut Scene,
    millis: u64,
    latency: impl Fn(&str, u64) -> u64,
) -> Vec<(u64, String)> {
    let class = classify("getBalance", None);
    let (mut begun, mut answers) = (Vec::new(), BTreeMap::<u64, Vec<(char, u64)>>::new());
    for at in 0..millis {
        for (id, took) in answers.remove(&at).unwrap_or_default() {
            scene.good(id, took);
        }
        if at % 50 == 0 {
            scene.now = Instant::now();
            let requirements = CallRequirements::of(&class, "getBalance");
            let mut candidates = scene.pool.candidates(requirements);
            let id = candidates
                .next(scene.now)
                .unwrap()
                .upstream()
                .id()
                .to_owned();
            let took = latency(&id, at);
            let answered = answers.entry(at + took).or_default();
            answered.push((id.chars().next().unwrap(), took));
            begun.push((at, id));
        }
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    begun
}

fn calls_of(begun: &[(u64, String)], id: &str, during: std::ops::Range<u64>) -> usize {
    let those = begun.iter().filter(|(at, _)| during.contains(at));
    those.filter(|(_, by)| by == id).count()
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_was_slow_has_its_share_again_within_five_seconds() {
    const SICK: std::ops::Range<u64> = 3_000..23_000;
    for slow in [300, 1_000, 5_000] {
        let mut scene = Scene::of("pq");
        let begun = calls_for(&mut scene, 33_000, |id, at| match id {
            "p" if SICK.contains(&at) => slow,
            _ => 5,
        })
        .await;
        let tried = calls_of(&begun, "p", 13_000..23_000);
        assert!(tried <= 4, "{tried} calls of 200 while it takes {slow} ms");
        let share = calls_of(&begun, "p", 28_000..29_000);
        assert!(share >= 5, "{share} of 20 after {slow} ms");
        let share = calls_of(&begun, "p", 30_000..33_000);
        assert!(share >= 20, "{share} of 60 for good after {slow} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_is_slower_for_good_gets_a_trial_every_few_seconds() {
    let mut scene = Scene::of("pq");
    // Not always equally fast, as nothing is.
    let latency = |id: &str, at: u64| match id {
        "p" => 60 + (at / 50) % 7 * 5,
        _ => 20 + (at / 50) % 5 * 2,
    };
    let begun = calls_for(&mut scene, 60_000, latency).await;
    let tried = calls_of(&begun, "p", 10_000..60_000);
    assert!((8..=50).contains(&tried), "{tried} of 1000");
}

#[tokio::test(start_paused = true)]
async fn a_second_attempt_and_a_scan_are_no_trials() {
    let mut scene = Scene::of("pq");
    for (id, millis) in [('p', 900), ('q', 5)] {
        scene.good(id, millis);
        let outcome = AttemptOutcome::Good {
            class: &classify("getProgramAccounts", None),
            method: "getProgramAccounts",
            latency: Duration::from_millis(millis),
            slot: None,
        };
        scene.upstream(id).member.record(&outcome, None);
    }
    tokio::time::advance(Duration::from_millis(1_100)).await;
    scene.now = Instant::now();
    let first = |method: &str, again: bool| {
        let class = classify(method, None);
        let candidates = scene.pool.candidates(CallRequirements::of(&class, method));
        let mut candidates = if again {
            candidates.once_more()
        } else {
            candidates
        };
        let first = candidates.next(scene.now).unwrap();
        first.upstream().id().to_owned()
    };
    assert_eq!(first("getBalance", true), "q");
    assert_eq!(first("getProgramAccounts", false), "q");
    assert_eq!(first("getBalance", false), "p");
    assert_eq!(first("getBalance", false), "q", "one at a time");
}
