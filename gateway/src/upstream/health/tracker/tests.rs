//! Every way out of service and back, as sentences and tables.

mod jumps;
mod standing_still;

use std::time::Duration;

use super::*;

const UNWELL: SelfReport = SelfReport::Unwell { behind: None };

/// The others are at this slot, at every commitment.
fn peers(tip: u64) -> PeerSlots {
    PeerSlots {
        heads: [Some(Slot(tip)); 3],
        highest: [Some(Slot(tip)); 3],
        settled: [Some(Slot(tip)); 3],
        ..alone()
    }
}

fn alone() -> PeerSlots {
    let usual = SlotPace::of(Duration::from_millis(400));
    PeerSlots {
        heads: [None; 3],
        highest: [None; 3],
        settled: [None; 3],
        agreed: false,
        stopped: [None; 3],
        moves: usual,
        usual,
    }
}

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
        self.see(slot, tip, SightingSource::Probe)
    }

    fn see(&mut self, slot: u64, tip: u64, source: SightingSource) -> Health {
        self.look(slot, source, &peers(tip))
    }

    /// A good probe while nothing is known of others.
    fn probe_alone(&mut self, slot: u64) -> Health {
        self.tracker.succeeded(&limits());
        self.look(slot, SightingSource::Probe, &alone())
    }

    fn look(&mut self, slot: u64, source: SightingSource, peers: &PeerSlots) -> Health {
        let level = Commitment::Processed;
        let look = SlotLook::one(source, level, Slot(slot), self.now, self.now);
        self.tracker.look(&look, peers);
        self.settle()
    }

    fn slot(&self) -> u64 {
        let seen = self.tracker.stand().seen(Commitment::Processed);
        seen.unwrap().slot.0
    }

    fn settle(&mut self) -> Health {
        self.tracker.settle(&limits());
        self.tracker.health()
    }
}

fn limits() -> config::HealthSettings {
    config::HealthSettings::default()
}

#[test]
fn it_is_not_healthy_before_its_first_good_probe() {
    let mut watched = Watched::new();
    assert_eq!(watched.settle(), Health::Unprobed);
    assert_eq!(
        watched.see(100, 100, SightingSource::Answer),
        Health::Unprobed
    );
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
fn answers_out_of_order_change_nothing() {
    let mut watched = Watched::healthy_at(1000);
    assert_eq!(
        watched.see(900, 1000, SightingSource::Answer),
        Health::Healthy
    );
    assert_eq!(watched.slot(), 1000);
    assert_eq!(watched.tracker.lag(), 0);
}

#[test]
fn a_probe_far_below_is_a_node_that_started_again() {
    let mut watched = Watched::healthy_at(1000);
    watched.probe(998, 1000);
    assert_eq!(watched.slot(), 1000, "a small step back is noise");
    assert_eq!(watched.probe(900, 1001), Health::Lagging);
    assert_eq!(watched.slot(), 900);
}

#[test]
fn three_failed_probes_in_a_row_exclude_it_and_two_good_ones_readmit_it() {
    let mut watched = Watched::healthy_at(1000);
    for expected in [Health::Healthy, Health::Healthy, Health::Failing] {
        watched.tracker.failed(&limits(), "getSlot: reset");
        assert_eq!(watched.settle(), expected);
    }
    assert_eq!(watched.probe(1001, 1001), Health::Failing);
    assert_eq!(watched.probe(1002, 1002), Health::Healthy);
}

#[test]
fn a_failure_now_and_then_is_forgiven() {
    let mut watched = Watched::healthy_at(1000);
    for slot in 1001..1010 {
        watched.tracker.failed(&limits(), "getSlot: reset");
        watched.tracker.failed(&limits(), "getSlot: reset");
        assert_eq!(watched.probe(slot, slot), Health::Healthy);
    }
}

#[test]
fn what_is_received_but_not_processed_makes_it_stale_whatever_it_says_of_itself() {
    let mut watched = Watched::healthy_at(1000);
    watched.tracker.says(SelfReport::Well);
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
    watched.tracker.says(UNWELL);
    assert_eq!(watched.settle(), Health::Unwell);
    assert_eq!(watched.probe(1001, 1001), Health::Unwell);
    watched.tracker.says(SelfReport::Well);
    assert_eq!(watched.settle(), Health::Healthy);
}

#[test]
fn a_node_that_complains_of_being_behind_is_shown_as_lagging() {
    let mut watched = Watched::healthy_at(1000);
    watched.tracker.says(UNWELL);
    assert_eq!(watched.probe(1000, 2000), Health::Lagging);
    watched.probe(2000, 2000);
    assert_eq!(watched.settle(), Health::Unwell, "it has caught up");
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
    assert_eq!(watched.settle(), Health::Unprobed, "it was another node");
    watched.probe(1000, 2000);
    assert_eq!(watched.settle(), Health::Lagging);
}

#[test]
fn what_is_wrong_is_said_in_words() {
    let mut watched = Watched::healthy_at(1000);
    assert_eq!(watched.tracker.cause(), None);
    watched.probe(1000, 1050);
    let cause = watched.tracker.cause();
    assert_eq!(cause.as_deref(), Some("50 slots behind the others"));
    for _ in 0..3 {
        watched.tracker.failed(&limits(), "getSlot: forbidden");
    }
    watched.settle();
    assert_eq!(
        watched.tracker.cause().as_deref(),
        Some("getSlot: forbidden")
    );
}

#[test]
fn the_finalized_slot_tells_the_lag_only_if_nothing_else_is_known() {
    let mut tracker = Tracker::default();
    let mut see = |commitment, slot| {
        let now = Instant::now();
        let look = SlotLook::one(SightingSource::Probe, commitment, Slot(slot), now, now);
        tracker.look(&look, &peers(1000));
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
