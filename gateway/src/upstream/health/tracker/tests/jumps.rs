//! Slots that nothing explains.

use super::*;

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
fn a_jump_that_the_elapsed_time_explains_is_believed_at_once() {
    let mut watched = Watched::healthy_at(1000);
    watched.wait(Duration::from_hours(1));
    watched.probe(10_000, 10_000);
    assert_eq!(watched.slot(), 10_000);
}
