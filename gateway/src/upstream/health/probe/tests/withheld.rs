//! Probes that are refused from the start for a reason that is no failure.

use super::*;

/// A node that answers everything like this from the start, and what is said of it after a round.
async fn said_of(answer: &str, status: u16) -> (Health, String, String, &'static str, bool) {
    let node = Node::start(1000).await;
    let methods: Vec<&'static str> = node.answers.lock().keys().copied().collect();
    for method in methods {
        node.says(method, answer);
        node.statuses.lock().insert(method, status);
    }
    let pool = pool(vec![node.settings("a")]);
    probe(&pool, "a").check(node.address).await;
    let said = pool.status().upstreams.swap_remove(0);
    let (cause, cure) = (
        said.cause.unwrap_or_default(),
        said.cure.unwrap_or_default(),
    );
    (
        health(&pool, "a"),
        said.state,
        cause,
        cure,
        pool.can_serve(),
    )
}

#[tokio::test]
async fn a_limit_that_meets_the_first_probes_is_named() {
    let limited = error(429, "Too many requests");
    for (status, state) in [
        (429, "unprobed (HTTP 429)"),
        (200, "unprobed (rate-limited)"),
    ] {
        let (health, shown, cause, cure, _) = said_of(&limited, status).await;
        assert_eq!((health, shown.as_str()), (Health::Unprobed, state));
        assert!(cause.contains("rate-limited"), "{cause}");
        assert!(cure.contains("limit"), "{cure}");
    }
}

#[tokio::test]
async fn one_that_refuses_the_first_probes_as_a_late_node_is_unwell() {
    let late = error(-32005, "Node is behind by 900 slots");
    for answer in [late, error(-32005, "Node is unhealthy")] {
        let (health, state, cause, cure, serves) = said_of(&answer, 200).await;
        assert_eq!((health, state.as_str()), (Health::Unwell, "unwell"));
        assert!(
            cause.contains("-32005") && cure.contains("log"),
            "{cause}; {cure}"
        );
        assert!(!serves, "no answer was ever seen");
    }
}
