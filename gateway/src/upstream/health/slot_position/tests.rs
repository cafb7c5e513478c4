//! Where an upstream is taken to be between two looks.

use super::*;

const PROCESSED: Commitment = Commitment::Processed;
const CONFIRMED: Commitment = Commitment::Confirmed;
const FINALIZED: Commitment = Commitment::Finalized;

fn usual() -> SlotPace {
    SlotPace::of(Duration::from_millis(400))
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_pace_is_so_many_slots_in_a_time() {
    assert_eq!(usual().slots(secs(60)), 150);
    assert_eq!(usual().percent(90).slots(secs(60)), 135);
    assert_eq!(SlotPace::of(secs(2)).slots(secs(60)), 30);
    assert_eq!(SlotPace::NONE.slots(Duration::MAX), 0);
}

#[test]
fn it_moves_on_between_looks_for_a_minute_and_no_longer() {
    let start = Instant::now();
    let mut stand = SlotPosition::default();
    stand.see(CONFIRMED, Slot(1000), start);
    for (seconds, slot) in [(0, 1000), (4, 1010), (60, 1150), (3600, 1150)] {
        let estimate = stand.estimate(CONFIRMED, start + secs(seconds), usual());
        assert_eq!(estimate, Some(Slot(slot)), "{seconds} s");
    }
    assert_eq!(stand.estimate(PROCESSED, start, usual()), None);
}

#[test]
fn its_own_pace_counts_once_it_is_measured() {
    let start = Instant::now();
    let mut stand = SlotPosition::default();
    stand.see(CONFIRMED, Slot(1000), start);
    stand.see(CONFIRMED, Slot(1030), start + secs(30));
    let estimate = stand.estimate(CONFIRMED, start + secs(50), usual());
    assert_eq!(estimate, Some(Slot(1049)), "95 of 100, at a slot a second");
}

#[test]
fn slots_that_are_skipped_hardly_change_the_pace() {
    let start = Instant::now();
    let mut stand = SlotPosition::default();
    for second in 0..300 {
        let skipped = if second % 20 < 3 { 8 } else { 0 };
        let slot = Slot(1000 + second * 5 / 2 - skipped);
        stand.see(PROCESSED, slot, start + secs(second));
        if second > 40 {
            let pace = stand.pace().unwrap().slots(secs(60));
            assert!((125..160).contains(&pace), "{pace} at {second} s");
        }
    }
}

#[test]
fn an_upstream_that_stood_still_when_it_was_last_seen_is_still_there() {
    let start = Instant::now();
    let mut stand = SlotPosition::default();
    stand.see(CONFIRMED, Slot(1000), start);
    stand.see(CONFIRMED, Slot(1000), start + secs(4));
    let later = start + secs(30);
    assert_eq!(stand.estimate(CONFIRMED, later, usual()), Some(Slot(1000)));
    let slow = SlotPace::of(secs(2));
    assert_eq!(
        stand.estimate(CONFIRMED, later, slow),
        Some(Slot(1013)),
        "two slots late is nothing where they take two seconds"
    );
}

#[test]
fn the_newest_slot_holds_for_the_weaker_commitments_too() {
    let start = Instant::now();
    let mut stand = SlotPosition::default();
    stand.see(PROCESSED, Slot(990), start);
    stand.see(FINALIZED, Slot(1000), start);
    assert_eq!(
        Commitment::ALL.map(|level| stand.slot(level)),
        [Some(Slot(1000)); 3]
    );
    assert!(stand.reaches(Slot(1000), PROCESSED, start, usual()));
    assert!(!stand.reaches(Slot(1001), PROCESSED, start, usual()));
}

#[test]
fn a_burst_of_finality_is_no_pace() {
    let start = Instant::now();
    let mut stand = SlotPosition::default();
    stand.see(FINALIZED, Slot(1000), start);
    stand.see(FINALIZED, Slot(1000), start + secs(20));
    stand.see(FINALIZED, Slot(1050), start + secs(21));
    assert_eq!(stand.pace(), None);
}

#[test]
fn a_cluster_that_halts_has_no_pace_before_long() {
    let start = Instant::now();
    let mut stand = SlotPosition::default();
    for second in 0..150 {
        let slot = 1000 + second.min(50) * 2;
        stand.see(PROCESSED, Slot(slot), start + secs(second));
    }
    assert_eq!(stand.pace().unwrap(), SlotPace::NONE);
}
