use prometheus::Registry;

use super::*;

#[test]
fn holds_are_told_by_cause_and_gone_when_they_are_over() {
    let metrics = UpstreamMetrics::register(&Registry::new()).unwrap();
    let handles = UpstreamSeries::new(&metrics, "one");
    let told = || {
        HoldCause::ALL.map(|cause| {
            let gauge = metrics.holds.with_label_values(&["one", cause.label()]);
            gauge.get()
        })
    };
    let hold = |method, cause| Hold {
        method,
        cause,
        left: None,
    };
    handles.holds(&[
        hold(None, HoldCause::Credits),
        hold(Some("getBlock"), HoldCause::RateLimited),
        hold(Some("getSlot"), HoldCause::RateLimited),
    ]);
    assert_eq!(told(), [0, 2, 1, 0, 0, 0]);
    handles.holds(&[]);
    assert_eq!(told(), [0; 6]);
}

#[test]
fn the_series_of_an_upstream_end_with_it_and_do_not_come_back() {
    let registry = Registry::new();
    let metrics = UpstreamMetrics::register(&registry).unwrap();
    let (one, other) = (
        UpstreamSeries::new(&metrics, "one"),
        UpstreamSeries::new(&metrics, "other"),
    );
    let count_all = |handles: &UpstreamSeries| {
        handles.fault(FaultKind::Reset);
        handles.probe("getSlot", "good");
        handles.health(Health::Healthy);
        handles.slot(Commitment::Processed, Slot(5));
        handles.lag(0);
        handles.holds(&[]);
    };
    count_all(&one);
    count_all(&other);
    let series = |id: &str| -> usize {
        let families = registry.gather();
        let all = families.iter().flat_map(MetricFamily::get_metric);
        all.filter(|metric| metric.get_label().iter().any(|label| label.value() == id))
            .count()
    };
    let before = series("other");
    assert!(before > 10);
    assert_eq!(series("one"), before);
    one.end();
    assert_eq!(series("one"), 0);
    // A call that was under way ends late.
    count_all(&one);
    assert_eq!(series("one"), 0);
    assert_eq!(series("other"), before);
}
