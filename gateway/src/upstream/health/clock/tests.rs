//! Where the clock is between sightings, and when it goes back.

use std::time::Duration;

use perijove_core::Commitment;

use super::*;

const SLOT: Duration = Duration::from_millis(400);
const PROCESSED: Commitment = Commitment::Processed;
const FINALIZED: Commitment = Commitment::Finalized;

struct Scene {
    clock: SlotClock,
    start: Instant,
}

impl Scene {
    fn new() -> Self {
        Self {
            clock: SlotClock::default(),
            start: Instant::now(),
        }
    }

    fn at(&self, millis: u64) -> Instant {
        self.start + Duration::from_millis(millis)
    }

    fn see(&self, commitment: Commitment, slot: u64, millis: u64) {
        self.seen_before(commitment, slot, millis, millis);
    }

    /// At `millis` there is nothing newer than what was seen at `seen`.
    fn seen_before(&self, commitment: Commitment, slot: u64, seen: u64, millis: u64) {
        let at = self.at(seen);
        let slot = Slot(slot);
        let seen = SlotSighting {
            slot,
            since: at,
            at,
        };
        let reckoned = SlotEstimate::of(&seen, self.at(millis), SlotPace::of(SLOT).percent(90));
        let before = self.clock.known.load().levels;
        let levels = Commitment::ALL.map(|level| {
            let before = before[level.index()];
            if level == commitment {
                Some(reckoned)
            } else {
                before
            }
        });
        let seen = Commitment::ALL.map(|level| (level == commitment).then_some(slot));
        self.clock.set(levels, seen, self.at(millis));
    }

    fn now(&self, millis: u64) -> u64 {
        self.clock.view(self.at(millis)).unwrap().now.0
    }
}

#[test]
fn before_the_first_sighting_nothing_is_known() {
    let scene = Scene::new();
    assert_eq!(scene.clock.view(scene.start), None);
}

#[test]
fn it_goes_on_between_sightings_a_little_slower_than_the_cluster() {
    let scene = Scene::new();
    scene.see(PROCESSED, 100, 0);
    for (millis, slot) in [
        (0, 100),
        (400, 100),
        (445, 101),
        (4_450, 110),
        (60_000, 235),
    ] {
        assert_eq!(scene.now(millis), slot, "{millis} ms");
    }
}

#[test]
fn a_slot_that_is_seen_again_is_as_good_as_new() {
    let scene = Scene::new();
    scene.see(PROCESSED, 100, 0);
    scene.see(PROCESSED, 100, 400);
    assert_eq!(scene.now(800), 100);
}

#[test]
fn whoever_is_late_says_nothing_about_the_cluster() {
    let scene = Scene::new();
    scene.see(PROCESSED, 100, 0);
    scene.seen_before(PROCESSED, 100, 0, 400);
    assert_eq!(scene.now(445), 101);
}

#[test]
fn it_waits_rather_than_go_back() {
    let scene = Scene::new();
    scene.see(PROCESSED, 100, 0);
    assert_eq!(scene.now(890), 102);
    // Slots were slower than usual.
    scene.see(PROCESSED, 101, 890);
    assert_eq!(scene.now(890), 102);
    scene.see(PROCESSED, 102, 1_000);
    assert_eq!(scene.now(1_000), 102);
    scene.see(PROCESSED, 103, 1_200);
    assert_eq!(scene.now(1_200), 103);
}

#[test]
fn having_been_too_fast_it_is_right_again_when_it_has_waited() {
    let scene = Scene::new();
    // Slots take half a second here and are looked at every 450 ms: after each look the estimate is
    // a little too fast.
    let mut right = 0;
    for look in 0..40 {
        let millis = look * 450;
        let real = 100 + millis / 500;
        scene.see(PROCESSED, real, millis);
        let shown = scene.now(millis);
        assert!((real..=real + 1).contains(&shown), "{shown} at {real}");
        right += u64::from(shown == real);
    }
    assert!(right > 20, "right at {right} looks of 40");
}

#[test]
fn where_others_are_seen_it_goes_no_further_than_a_minute_beyond_the_last_sighting() {
    let scene = Scene::new();
    scene.see(PROCESSED, 100, 0);
    scene.seen_before(PROCESSED, 100, 0, 60_000);
    assert_eq!(scene.now(60_000), 235);
    assert_eq!(scene.now(600_000), 235);
}

#[test]
fn where_the_cluster_stands_still_so_does_the_clock() {
    let scene = Scene::new();
    let (since, at) = (scene.at(0), scene.at(10_000));
    let seen = SlotSighting {
        slot: Slot(100),
        since,
        at,
    };
    let reckoned = SlotEstimate::of(&seen, at, SlotPace::of(SLOT));
    scene
        .clock
        .set([Some(reckoned); 3], [Some(Slot(100)); 3], at);
    assert_eq!(scene.now(600_000), 100);
}

#[test]
fn while_those_ahead_are_gone_everybody_else_is_late() {
    let scene = Scene::new();
    scene.see(PROCESSED, 102, 0);
    scene.see(PROCESSED, 100, 100);
    let view = scene.clock.view(scene.at(100)).unwrap();
    assert_eq!(view.now, Slot(102));
    assert_eq!(view.expected(PROCESSED), Some(Slot(102)));
    assert_eq!(view.seen(PROCESSED), Some(Slot(100)));
    scene.see(PROCESSED, 101, 500);
    assert_eq!(
        scene.now(500),
        103,
        "it does not stand still to be caught up with"
    );
}

#[test]
fn it_goes_back_to_the_upstreams_that_are_left() {
    let scene = Scene::new();
    scene.see(PROCESSED, 105, 0);
    scene.see(PROCESSED, 100, 100);
    assert_eq!(scene.now(100), 100);
    scene.see(PROCESSED, 101, 500);
    assert_eq!(scene.now(500), 101);
}

#[test]
fn what_is_final_is_never_an_estimate() {
    let scene = Scene::new();
    scene.see(PROCESSED, 132, 0);
    scene.see(FINALIZED, 100, 0);
    let view = scene.clock.view(scene.at(10_000)).unwrap();
    assert!(view.is_final(Slot(100)));
    assert!(!view.is_final(Slot(101)));
    assert_eq!(view.expected(FINALIZED), Some(Slot(122)));
}

#[test]
fn an_epoch_is_known_until_it_ends() {
    let scene = Scene::new();
    scene.see(PROCESSED, 100, 0);
    scene.clock.epoch(Slot(50), Slot(101));
    let end = |millis| scene.clock.view(scene.at(millis)).unwrap().epoch_end;
    assert_eq!(end(0), Some(Slot(101)));
    assert_eq!(end(445), Some(Slot(101)));
    assert_eq!(end(890), None);
}

#[test]
fn what_is_known_at_a_commitment_holds_for_the_weaker_ones_too() {
    let scene = Scene::new();
    scene.see(Commitment::Confirmed, 150, 0);
    // From an upstream that is late.
    scene.see(PROCESSED, 137, 0);
    let view = scene.clock.view(scene.at(0)).unwrap();
    assert_eq!(view.expected(PROCESSED), Some(Slot(150)));
    assert_eq!(view.seen(PROCESSED), Some(Slot(150)));
}

#[test]
fn another_cluster_begins_with_nothing() {
    let scene = Scene::new();
    scene.see(FINALIZED, 100, 0);
    scene.clock.reset();
    assert_eq!(scene.clock.view(scene.at(0)), None);
}
