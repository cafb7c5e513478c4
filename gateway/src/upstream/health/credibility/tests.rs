//! The table of cases: whose slots are believed when upstreams differ.

use super::*;
use crate::upstream::health::slot_position::SlotPace;

const CONFIRMED: Commitment = Commitment::Confirmed;
/// What a probe every 400 ms finds further on each time.
const STEP: Duration = Duration::from_millis(400);

/// Who else is there, and where: they advance like the cluster.
#[derive(Clone, Copy, Debug)]
enum Others {
    Nobody,
    One(u64),
    /// Two that agree.
    Two(u64),
}

use Others::{Nobody, One, Two};

/// One upstream with its clock, on a cluster that is at slot 1000 and a slot per step.
struct Watched {
    first: u64,
    credibility: Credibility,
    stand: SlotPosition,
    start: Instant,
    now: Instant,
}

impl Watched {
    fn new() -> Self {
        Self::at(1000)
    }

    /// On a cluster that begins there.
    fn at(first: u64) -> Self {
        let start = Instant::now();
        Self {
            first,
            credibility: Credibility::default(),
            stand: SlotPosition::default(),
            start,
            now: start,
        }
    }

    /// Seen for a minute where the others are.
    fn settled(others: Others) -> Self {
        let mut watched = Self::new();
        for _ in 0..150 {
            assert_eq!(watched.probe(0, others), SlotBelief::Explained);
            watched.now += STEP;
        }
        watched
    }

    fn cluster(&self) -> u64 {
        self.first + u64::try_from((self.now - self.start).as_millis()).unwrap() / 400
    }

    fn peers(&self, others: Others) -> PeerSlots {
        let usual = SlotPace::of(STEP);
        let behind = match others {
            Nobody => None,
            One(behind) | Two(behind) => Some(Slot(self.cluster() - behind)),
        };
        PeerSlots {
            heads: [behind; 3],
            highest: [behind; 3],
            settled: [behind; 3],
            agreed: matches!(others, Two(_)),
            stopped: [None; 3],
            moves: usual,
            usual,
        }
    }

    /// So far ahead of the cluster.
    fn see(&mut self, ahead: i64, others: Others, source: SightingSource) -> SlotBelief {
        let slot = Slot(self.cluster().checked_add_signed(ahead).unwrap());
        let look = SlotLook::one(source, CONFIRMED, slot, self.now, self.now);
        self.look(&look, others)
    }

    fn probe(&mut self, ahead: i64, others: Others) -> SlotBelief {
        self.see(ahead, others, SightingSource::Probe)
    }

    fn look(&mut self, look: &SlotLook, others: Others) -> SlotBelief {
        let peers = self.peers(others);
        let slot = look.slot(CONFIRMED).unwrap();
        let stand = &mut self.stand;
        let pending = self.credibility.jumps();
        let belief = self
            .credibility
            .belief((CONFIRMED, slot), look, &pending, stand, &peers);
        if belief == SlotBelief::Explained {
            stand.see(CONFIRMED, slot, look.at);
            self.credibility.believe(look, stand, &peers);
        }
        belief
    }

    /// After how many seconds it is believed and no longer in doubt, being so far ahead from now on.
    fn believed_after(&mut self, ahead: i64, others: Others) -> Option<u64> {
        let from = self.now;
        for _ in 0..1_500 {
            self.now += STEP;
            let belief = self.probe(ahead, others);
            if belief == SlotBelief::Explained && !self.credibility.is_in_doubt() {
                return Some((self.now - from).as_secs());
            }
        }
        None
    }
}

#[test]
fn who_is_believed_when_upstreams_differ() {
    for ahead in [30, 100, 400, 1_000, 50_000] {
        for (before, after, believed) in [
            (Nobody, Nobody, 1..=2),
            // Whoever could contradict it is gone.
            (Two(0), Nobody, 1..=2),
            // One that stays behind may be wrong itself.
            (One(0), One(0), 60..=61),
            (Two(0), One(0), 60..=61),
        ] {
            let found = Watched::settled(before).believed_after(ahead, after);
            let found = found.unwrap();
            assert!(believed.contains(&found), "{ahead}, {after:?}: {found} s");
        }
        let found = Watched::settled(Two(0)).believed_after(ahead, Two(0));
        assert_eq!(found, None, "{ahead}");
        // They are there, too.
        let mut watched = Watched::settled(Two(0));
        watched.now += Duration::from_millis(400 * ahead.unsigned_abs());
        assert_eq!(watched.probe(0, Two(0)), SlotBelief::Explained);
    }
}

#[test]
fn one_that_goes_on_in_steps_stays_credible_however_far_the_others_fall_behind() {
    for others in [One, Two as fn(u64) -> Others] {
        let mut watched = Watched::settled(others(0));
        for behind in 0..1_500 {
            watched.now += STEP;
            let belief = watched.probe(0, others(behind));
            assert_eq!(belief, SlotBelief::Explained, "{behind} behind");
        }
        // Even after it has not been asked for a while.
        watched.now += Duration::from_secs(30);
        assert_eq!(watched.probe(0, others(1_500)), SlotBelief::Explained);
        assert!(!watched.credibility.is_in_doubt());
    }
}

#[test]
fn of_those_seen_for_the_first_time_two_that_agree_are_believed_for_a_while() {
    for (others, at_once, after) in [
        (Nobody, true, Some(0)),
        (One(100), true, Some(0)),
        (Two(100), false, Some(20)),
        // More than a day.
        (One(300_000), false, None),
        (Two(300_000), false, None),
    ] {
        let mut watched = Watched::at(1_000_000);
        let belief = watched.probe(0, others);
        assert_eq!(belief == SlotBelief::Explained, at_once, "{others:?}");
        assert_eq!(watched.believed_after(0, others), after, "{others:?}");
    }
    // It was the first, and the others came later.
    let mut watched = Watched::new();
    assert_eq!(watched.probe(100, Nobody), SlotBelief::Explained);
    watched.now += STEP;
    assert_eq!(watched.probe(100, Two(0)), SlotBelief::Jumped);
    assert_eq!(watched.believed_after(100, Two(0)), Some(20));
}

#[test]
fn one_that_goes_on_faster_or_slower_than_a_cluster_is_not_believed_against_two() {
    for (step, is_tip) in [(0, false), (1, false), (2, true), (3, false), (6, false)] {
        let mut watched = Watched::new();
        let mut believed = false;
        for look in 0..500 {
            watched.now += STEP;
            // In half slots beside the cluster's own.
            let ahead = 100 + look * (step - 2) / 2;
            believed |= watched.probe(ahead, Two(0)) == SlotBelief::Explained && ahead > 20;
        }
        assert_eq!(believed, is_tip, "{step}");
    }
}

#[test]
fn one_that_leapt_while_nobody_was_there_is_not_believed_against_two_that_come_back() {
    let mut watched = Watched::settled(Two(0));
    assert!(watched.believed_after(400, Nobody).is_some());
    assert_eq!(watched.believed_after(400, Two(0)), None);
}

#[test]
fn one_that_was_alone_for_long_is_not_contradicted_by_two_that_come_up_late() {
    let mut watched = Watched::settled(Nobody);
    for _ in 0..100 {
        watched.now += STEP;
        assert_eq!(watched.probe(0, Two(100)), SlotBelief::Explained);
    }
}

#[test]
fn one_that_catches_up_is_believed_where_the_others_are() {
    for others in [One(0), Two(0)] {
        let mut watched = Watched::new();
        assert_eq!(watched.probe(-900, others), SlotBelief::Explained);
        watched.now += STEP;
        assert_eq!(watched.probe(0, others), SlotBelief::Explained);
    }
    // Alone, as fast as a node replays.
    let mut watched = Watched::new();
    for behind in (0..900).rev().step_by(15) {
        assert_eq!(watched.probe(-behind, Nobody), SlotBelief::Explained);
        watched.now += STEP;
    }
}

#[test]
fn one_wild_answer_is_over_with_the_next_look() {
    for ahead in [20, 40, 100, 200, 1_000_000] {
        for others in [Nobody, One(0), Two(0)] {
            let mut watched = Watched::settled(others);
            let wild = watched.see(ahead, others, SightingSource::Answer);
            assert_eq!(wild, SlotBelief::Jumped, "{ahead}, {others:?}");
            assert!(watched.credibility.is_in_doubt());
            watched.now += STEP;
            let next = watched.see(0, others, SightingSource::Answer);
            assert_eq!(next, SlotBelief::Explained, "{ahead}, {others:?}");
            assert!(!watched.credibility.is_in_doubt());
        }
    }
}

#[test]
fn a_wild_answer_of_one_that_is_seldom_seen_is_doubted_too() {
    let mut watched = Watched::settled(One(0));
    watched.now += Duration::from_secs(30);
    let answer = SightingSource::Answer;
    assert_eq!(watched.see(40, One(0), answer), SlotBelief::Jumped);
    watched.now += Duration::from_secs(30);
    assert_eq!(watched.probe(0, One(0)), SlotBelief::Explained);
    assert!(!watched.credibility.is_in_doubt());
}

#[test]
fn one_that_jumps_again_and_again_must_show_credible_slots_for_a_while() {
    let mut watched = Watched::settled(Two(0));
    let mut changes = 0;
    for look in 0..600 {
        let before = watched.credibility.is_in_doubt();
        watched.now += Duration::from_millis(100);
        watched.probe(if look % 2 == 0 { 50 } else { 0 }, Two(0));
        changes += u32::from(watched.credibility.is_in_doubt() != before);
    }
    assert!(changes <= 3, "{changes} in a minute");
    for _ in 0..100 {
        watched.now += STEP;
        watched.probe(0, Two(0));
    }
    assert!(!watched.credibility.is_in_doubt());
}

#[test]
fn a_restarted_node_may_return_to_where_it_was() {
    let mut watched = Watched::settled(Nobody);
    let (slot, known) = (Slot(watched.cluster() - 100), Slot(watched.cluster()));
    watched.stand.forget();
    watched.credibility.restarted(slot, known);
    watched.now += STEP;
    assert_eq!(watched.probe(-100, Nobody), SlotBelief::Explained);
    watched.now += STEP;
    assert_eq!(watched.probe(0, Nobody), SlotBelief::Explained);
}

#[test]
fn a_commitment_that_nobody_has_shown_is_bounded_by_another() {
    let slots = |slots: [u64; 3]| slots.map(|slot| (slot > 0).then_some(Slot(slot)));
    for (heads, expected) in [
        ([0, 0, 0], [0, 0, 0]),
        ([1000, 998, 968], [1000, 1000, 968]),
        ([0, 998, 968], [998, 998, 968]),
        ([0, 0, 968], [1032, 1032, 968]),
        ([1000, 0, 0], [1000, 1000, 1000]),
    ] {
        assert_eq!(highest(slots(heads)), slots(expected), "{heads:?}");
    }
}
