//! An upstream whose slot does not move.

use super::*;

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
