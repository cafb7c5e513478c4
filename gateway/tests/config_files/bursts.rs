//! Bursts that are probably not intended.

use super::*;

#[test]
fn bursts_that_admit_no_usual_batch_or_last_longer_than_a_minute_are_doubted() {
    for (plan, doubt) in [
        ("", None),
        ("requests_per_minute: 600, burst: 10", None),
        ("requests_per_minute: 100", None),
        ("requests_per_minute: unlimited, burst: 1", None),
        ("requests_per_minute: 600, burst: 3, max_batch: 3", None),
        (
            "requests_per_minute: 600, burst: 9",
            Some("9 is less than the 10 calls of a usual batch"),
        ),
        (
            "requests_per_minute: 50",
            Some(
                "100 is more than requests_per_minute (50): who has made so many calls at once has 2.0 minutes",
            ),
        ),
    ] {
        let comma = if plan.is_empty() { "" } else { ", " };
        let plans = format!("anonymous_plan: small\nplans: [{{id: small{comma}{plan}}}]\n{TWO}");
        let mut warnings = parse_text(&plans).unwrap().warnings;
        warnings.retain(|warning| warning.starts_with("plans.small.burst: "));
        match doubt {
            None => assert_eq!(warnings, [""; 0], "{plan}"),
            Some(doubt) => {
                assert_eq!(warnings.len(), 1, "{plan}: {warnings:?}");
                assert!(warnings[0].contains(doubt), "{plan}: {warnings:?}");
            }
        }
    }
}

#[test]
fn budgets_that_do_not_pay_for_the_first_probes_are_doubted() {
    for (budget, doubt) in [
        ("requests: 60, per: minute, burst: 4", None),
        ("requests: 600, per: second, burst: 1", None),
        (
            "requests: 60, per: minute, burst: 3",
            Some("nothing is sent there for 10s; 4 is enough"),
        ),
    ] {
        let text = format!(
            "upstreams: [{{id: a, url: 'http://10.0.0.1', tier: paid, budget: {{{budget}}}}}]"
        );
        let mut warnings = parse_text(&text).unwrap().warnings;
        warnings.retain(|warning| warning.starts_with("upstreams.a.budget.burst: "));
        match doubt {
            None => assert_eq!(warnings, [""; 0], "{budget}"),
            Some(doubt) => assert!(warnings[0].contains(doubt), "{budget}: {warnings:?}"),
        }
    }
}
