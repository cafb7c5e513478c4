//! Every way out of service and back, as sentences and tables.

use super::*;

/// The others are at this slot, at every commitment.
fn peers(tip: u64) -> PeerSlots {
    PeerSlots {
        heads: [Some(Slot(tip)); 3],
        highest: [Some(Slot(tip)); 3],
        ..alone()
    }
}

fn alone() -> PeerSlots {
    let usual = SlotPace::of(Duration::from_millis(400));
    PeerSlots {
        heads: [None; 3],
        highest: [None; 3],
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

fn limits() -> config::Health {
    config::Health::default()
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
fn a_slot_that_stands_still_for_fifteen_seconds_stops_it_where_nobody_else_is() {
    let mut watched = Watched::new();
    watched.probe_alone(1000);
    watched.wait(Duration::from_secs(14));
    assert_eq!(watched.probe_alone(1000), Health::Healthy);
    watched.wait(Duration::from_secs(1));
    assert_eq!(watched.probe_alone(1000), Health::Stopped);
    assert_eq!(watched.probe_alone(1001), Health::Healthy);
}

#[test]
fn where_all_stand_still_nobody_is_the_worse_for_it() {
    let mut watched = Watched::healthy_at(1000);
    for _ in 0..100 {
        watched.wait(Duration::from_secs(1));
        assert_eq!(watched.probe(1000, 1000), Health::Healthy);
    }
    // The others are known only to stand still.
    let stopped = PeerSlots {
        stopped: [Some(Slot(1000)); 3],
        ..alone()
    };
    watched.wait(Duration::from_secs(20));
    let health = watched.look(1000, SightingSource::Probe, &stopped);
    assert_eq!(health, Health::Healthy);
}

/// After how many milliseconds it is left, at five looks a second.
fn left_after(source: SightingSource, tip: impl Fn(u64) -> u64) -> Option<u64> {
    let mut watched = Watched::healthy_at(1000);
    (1..=60 * 5).map(|turn| turn * 200).find(|millis| {
        watched.wait(Duration::from_millis(200));
        watched.see(1000, tip(*millis), source) != Health::Healthy
    })
}

#[test]
fn live_answers_whose_slot_does_not_move_tell_within_five_seconds() {
    for source in [SightingSource::Answer, SightingSource::Probe] {
        let left = left_after(source, |millis| 1000 + millis / 400).unwrap();
        assert!((4_000..5_000).contains(&left), "{left} ms");
        let halted = left_after(source, |_| 1000);
        assert_eq!(halted, None, "the whole cluster stands still");
        let nearly = left_after(source, |millis| 1000 + (millis / 400).min(3));
        assert_eq!(nearly, None, "the others are hardly ahead");
    }
}

#[test]
fn it_is_seen_to_stand_still_by_a_commitment_that_nobody_else_has_told_of() {
    let start = Instant::now();
    let mut tracker = Tracker::default();
    tracker.succeeded(&limits());
    let mut look = |level, slot, millis: u64| {
        let at = start + Duration::from_millis(millis);
        let source = match level {
            Commitment::Finalized => SightingSource::Answer,
            _ => SightingSource::Probe,
        };
        // The others have told of their confirmed slot alone.
        let head = Some(Slot(1000 + millis / 400));
        let others = PeerSlots {
            heads: [head, head, None],
            ..alone()
        };
        tracker.look(&SlotLook::one(source, level, Slot(slot), at, at), &others);
        tracker.settle(&limits());
        tracker.health()
    };
    look(Commitment::Confirmed, 1000, 0);
    for turn in 0..100 {
        let (millis, slot) = (turn * 200, 969 + turn / 2);
        assert_eq!(look(Commitment::Finalized, slot, millis), Health::Healthy);
    }
    let stood = (100..150).map(|turn| (turn - 99) * 200);
    let left = stood
        .into_iter()
        .find(|stood| look(Commitment::Finalized, 969 + 99 / 2, 19_800 + stood) != Health::Healthy);
    let left = left.unwrap();
    assert!((3_600..=4_800).contains(&left), "{left} ms");
}

#[test]
fn old_answers_that_come_late_are_no_sign_of_standing_still() {
    let mut watched = Watched::healthy_at(1000);
    for turn in 1..100_u64 {
        watched.wait(Duration::from_millis(400));
        let slot = 1000 + turn;
        for old in [slot - 1, slot - 12, slot - 900] {
            assert_eq!(
                watched.see(old, slot, SightingSource::Answer),
                Health::Healthy
            );
        }
        assert_eq!(
            watched.see(slot, slot, SightingSource::Answer),
            Health::Healthy
        );
    }
}

#[test]
fn a_single_answer_from_before_says_nothing_after_a_silence() {
    let mut watched = Watched::healthy_at(1000);
    watched.wait(Duration::from_secs(20));
    let asked = watched.now - Duration::from_secs(18);
    let level = Commitment::Processed;
    let look = SlotLook::one(
        SightingSource::Answer,
        level,
        Slot(1000),
        asked,
        watched.now,
    );
    watched.tracker.look(&look, &peers(1014));
    assert_eq!(watched.settle(), Health::Healthy);
}

#[test]
fn all_commitments_of_a_look_are_judged_together() {
    let mut tracker = Tracker::default();
    tracker.succeeded(&limits());
    let now = Instant::now();
    let look = SlotLook {
        source: SightingSource::Probe,
        slots: [1000, 998, 968].map(|slot| Some(Slot(slot))),
        started: now,
        at: now,
        vouched: false,
        outrun: false,
    };
    // Nobody else has told of a processed slot.
    let confirmed = Some(Slot(1048));
    let others = PeerSlots {
        heads: [confirmed, confirmed, Some(Slot(1018))],
        ..alone()
    };
    tracker.look(&look, &others);
    tracker.settle(&limits());
    assert_eq!((tracker.health(), tracker.lag()), (Health::Lagging, 50));
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
fn a_node_that_complains_of_being_behind_is_shown_as_lagging() {
    let mut watched = Watched::healthy_at(1000);
    watched.tracker.says_unwell(true);
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
fn an_absurd_jump_is_believed_only_when_it_is_seen_three_times() {
    let mut watched = Watched::new();
    watched.probe_alone(1000);
    for (slot, believed) in [
        (5_000_000, 1000),
        (1001, 1001),
        (5_000_000, 1001),
        (5_000_001, 1001),
        (5_000_002, 5_000_002),
        (5_000_003, 5_000_003),
    ] {
        watched.probe_alone(slot);
        assert_eq!(watched.slot(), believed, "after seeing {slot}");
        let suspect = watched.tracker.health() == Health::Suspect;
        assert_eq!(suspect, slot != believed, "after seeing {slot}");
    }
}

#[test]
fn a_node_that_comes_back_to_where_the_others_are_is_believed_at_once() {
    let mut watched = Watched::healthy_at(1000);
    assert_eq!(watched.probe(1000, 9000), Health::Lagging);
    assert_eq!(watched.probe(9000, 9001), Health::Healthy);
    assert_eq!(watched.slot(), 9000);
}

#[test]
fn each_commitment_confirms_its_own_jump() {
    let mut tracker = Tracker::default();
    let now = Instant::now();
    let mut round = |base: u64| {
        let look = SlotLook {
            source: SightingSource::Probe,
            slots: [base, base - 2, base - 32].map(|slot| Some(Slot(slot))),
            started: now,
            at: now,
            vouched: false,
            outrun: false,
        };
        tracker.look(&look, &alone());
        Commitment::ALL.map(|level| tracker.stand().seen(level).unwrap().slot.0)
    };
    round(1000);
    assert_eq!(round(9000), [1000, 998, 968]);
    assert_eq!(round(9001), [1000, 998, 968]);
    assert_eq!(round(9002), [9002, 9000, 8970]);
}

#[test]
fn whoever_shows_its_genesis_hash_after_a_jump_is_believed() {
    for jump in [1_000_000, 5_000] {
        let mut watched = Watched::healthy_at(100_000);
        let mut look = || {
            let (level, now) = (Commitment::Processed, watched.now);
            let mut look = SlotLook::one(SightingSource::Probe, level, Slot(jump), now, now);
            look.vouched = true;
            let ask = watched.tracker.look(&look, &alone());
            (ask, watched.settle())
        };
        assert_eq!(look(), (true, Health::Suspect), "{jump}");
        assert_eq!(look(), (false, Health::Healthy), "{jump}");
        assert_eq!(watched.slot(), jump);
    }
}

#[test]
fn an_answer_from_far_off_is_a_reason_to_ask_whose_it_is() {
    let mut watched = Watched::healthy_at(100_000);
    let mut ask = |slot| {
        let (level, now) = (Commitment::Processed, watched.now);
        let look = SlotLook::one(SightingSource::Answer, level, Slot(slot), now, now);
        let ask = watched.tracker.look(&look, &peers(100_000));
        (ask, watched.settle())
    };
    assert_eq!(ask(99_500), (false, Health::Healthy));
    let old = ask(5_000);
    assert_eq!(
        old,
        (true, Health::Healthy),
        "providers keep answers for hours"
    );
    assert_eq!(ask(200_000), (true, Health::Suspect));
    assert_eq!(
        ask(200_001),
        (true, Health::Suspect),
        "repetition is no proof"
    );
    assert_eq!(ask(100_000), (false, Health::Healthy));
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
fn a_jump_that_the_elapsed_time_explains_is_believed_at_once() {
    let mut watched = Watched::healthy_at(1000);
    watched.wait(Duration::from_hours(1));
    watched.probe(10_000, 10_000);
    assert_eq!(watched.slot(), 10_000);
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
