//! Every way out of service and back, as sentences and tables.

use super::*;

const SLOT_TIME: Duration = Duration::from_millis(400);

/// A tracker with its clock.
struct Watched {
    tracker: Tracker,
    now: Instant,
}

impl Watched {
    fn new() -> Self {
        Self {
            tracker: Tracker::default(),
            now: Instant::now(),
        }
    }

    /// In service at this slot.
    fn healthy_at(slot: u64) -> Self {
        let mut watched = Self::new();
        assert_eq!(watched.probe(slot, slot), Health::Healthy);
        watched
    }

    fn wait(&mut self, duration: Duration) {
        self.now += duration;
    }

    /// A good probe of the processed slot, while the others are at `tip`.
    fn probe(&mut self, slot: u64, tip: u64) -> Health {
        self.tracker.succeeded(&limits());
        self.see(slot, tip, Source::Probe)
    }

    fn see(&mut self, slot: u64, tip: u64, source: Source) -> Health {
        let sighting = Sighting {
            commitment: Commitment::Processed,
            slot: Slot(slot),
            source,
            at: self.now,
        };
        self.tracker.observe(sighting, Some(Slot(tip)), SLOT_TIME);
        self.settle()
    }

    fn settle(&mut self) -> Health {
        self.tracker.settle(&limits());
        self.tracker.health()
    }
}

fn limits() -> config::Health {
    config::Health::default()
}

#[test]
fn it_is_not_healthy_before_its_first_good_probe() {
    let mut watched = Watched::new();
    assert_eq!(watched.settle(), Health::Unprobed);
    assert_eq!(watched.see(100, 100, Source::Answer), Health::Unprobed);
    assert_eq!(watched.probe(100, 100), Health::Healthy);
}

#[test]
fn it_leaves_over_sixteen_behind_and_returns_under_eight() {
    let mut watched = Watched::healthy_at(1000);
    for (lag, expected) in [
        (8, Health::Healthy),
        (16, Health::Healthy),
        (17, Health::Lagging),
        (16, Health::Lagging),
        (8, Health::Lagging),
        (7, Health::Healthy),
        (16, Health::Healthy),
        (40, Health::Lagging),
    ] {
        assert_eq!(watched.probe(1000, 1000 + lag), expected, "{lag} behind");
    }
}

#[test]
fn the_first_probe_uses_the_wider_bound() {
    let mut watched = Watched::new();
    assert_eq!(watched.probe(1000, 1012), Health::Healthy);
    let mut watched = Watched::new();
    assert_eq!(watched.probe(1000, 1017), Health::Lagging);
}

#[test]
fn a_slot_that_stands_still_for_fifteen_seconds_stops_it_even_if_it_is_the_tip() {
    let mut watched = Watched::healthy_at(1000);
    watched.wait(Duration::from_secs(14));
    assert_eq!(watched.probe(1000, 1000), Health::Healthy);
    watched.wait(Duration::from_secs(1));
    assert_eq!(watched.probe(1000, 1000), Health::Stopped);
    assert_eq!(watched.probe(1001, 1001), Health::Healthy);
}

#[test]
fn an_upstream_that_nobody_asked_does_not_stand_still() {
    let mut watched = Watched::healthy_at(1000);
    watched.wait(Duration::from_hours(1));
    assert_eq!(watched.settle(), Health::Healthy);
    watched.probe(1001, 1001);
    assert_eq!(watched.settle(), Health::Healthy);
}

#[test]
fn answers_out_of_order_change_nothing() {
    let mut watched = Watched::healthy_at(1000);
    assert_eq!(watched.see(900, 1000, Source::Answer), Health::Healthy);
    let seen = watched.tracker.seen(Commitment::Processed).unwrap();
    assert_eq!(seen.slot, Slot(1000));
    assert_eq!(watched.tracker.lag(), 0);
}

#[test]
fn a_probe_far_below_is_a_node_that_started_again() {
    let mut watched = Watched::healthy_at(1000);
    watched.probe(998, 1000);
    let seen = watched.tracker.seen(Commitment::Processed).unwrap();
    assert_eq!(seen.slot, Slot(1000), "a small step back is noise");
    assert_eq!(watched.probe(900, 1001), Health::Lagging);
    let seen = watched.tracker.seen(Commitment::Processed).unwrap();
    assert_eq!(seen.slot, Slot(900));
}

#[test]
fn three_failed_probes_in_a_row_exclude_it_and_two_good_ones_readmit_it() {
    let mut watched = Watched::healthy_at(1000);
    for expected in [Health::Healthy, Health::Healthy, Health::Failing] {
        watched.tracker.failed(&limits());
        assert_eq!(watched.settle(), expected);
    }
    assert_eq!(watched.probe(1001, 1001), Health::Failing);
    assert_eq!(watched.probe(1002, 1002), Health::Healthy);
}

#[test]
fn a_failure_now_and_then_is_forgiven() {
    let mut watched = Watched::healthy_at(1000);
    for slot in 1001..1010 {
        watched.tracker.failed(&limits());
        watched.tracker.failed(&limits());
        assert_eq!(watched.probe(slot, slot), Health::Healthy);
    }
}

#[test]
fn what_is_received_but_not_processed_makes_it_stale_whatever_it_says_of_itself() {
    let mut watched = Watched::healthy_at(1000);
    watched.tracker.says_unwell(false);
    for (shred, expected) in [
        (1100, Health::Healthy),
        (1101, Health::Stale),
        (1060, Health::Stale),
        (1050, Health::Healthy),
    ] {
        watched.tracker.received(Slot(shred));
        assert_eq!(watched.settle(), expected, "received {shred}");
    }
}

#[test]
fn its_own_complaint_counts_until_it_is_withdrawn() {
    let mut watched = Watched::healthy_at(1000);
    watched.tracker.says_unwell(true);
    assert_eq!(watched.settle(), Health::Unwell);
    assert_eq!(watched.probe(1001, 1001), Health::Unwell);
    watched.tracker.says_unwell(false);
    assert_eq!(watched.settle(), Health::Healthy);
}

#[test]
fn the_worst_finding_names_the_state() {
    let mut watched = Watched::healthy_at(1000);
    watched.probe(1000, 2000);
    assert_eq!(watched.settle(), Health::Lagging);
    watched.tracker.height(HeightCheck::Implausible);
    assert_eq!(watched.settle(), Health::Implausible);
    watched.tracker.wrong_cluster(true);
    assert_eq!(watched.settle(), Health::WrongCluster);
    watched.tracker.wrong_cluster(false);
    watched.tracker.height(HeightCheck::Plausible);
    assert_eq!(watched.settle(), Health::Lagging);
}

#[test]
fn an_absurd_jump_is_believed_only_when_it_is_seen_three_times() {
    let mut watched = Watched::healthy_at(1000);
    for (slot, believed) in [
        (5_000_000, 1000),
        (1001, 1001),
        (5_000_000, 1001),
        (5_000_001, 1001),
        (5_000_002, 5_000_002),
        (5_000_003, 5_000_003),
    ] {
        watched.probe(slot, 1000);
        let seen = watched.tracker.seen(Commitment::Processed).unwrap();
        assert_eq!(seen.slot, Slot(believed), "after seeing {slot}");
    }
}

#[test]
fn a_jump_that_the_elapsed_time_explains_is_believed_at_once() {
    let mut watched = Watched::healthy_at(1000);
    watched.wait(Duration::from_hours(1));
    watched.probe(10_000, 10_000);
    let seen = watched.tracker.seen(Commitment::Processed).unwrap();
    assert_eq!(seen.slot, Slot(10_000));
}

#[test]
fn the_finalized_slot_tells_the_lag_only_if_nothing_else_is_known() {
    let mut tracker = Tracker::default();
    let mut see = |commitment, slot| {
        let sighting = Sighting {
            commitment,
            slot: Slot(slot),
            source: Source::Probe,
            at: Instant::now(),
        };
        tracker.observe(sighting, Some(Slot(1000)), SLOT_TIME);
        tracker.lag()
    };
    assert_eq!(see(Commitment::Finalized, 970), 30);
    assert_eq!(see(Commitment::Processed, 1000), 0);
    assert_eq!(see(Commitment::Finalized, 971), 0);
}

#[test]
fn every_state_has_its_own_label() {
    let mut labels: Vec<_> = Health::ALL.iter().map(|health| health.label()).collect();
    labels.sort_unstable();
    labels.dedup();
    assert_eq!(labels.len(), Health::ALL.len());
}
