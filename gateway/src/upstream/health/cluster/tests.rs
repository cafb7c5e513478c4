//! Where the tip is when some upstreams are wrong, and whose genesis hash counts.

use super::*;
use crate::config::GenesisRule;
use crate::upstream::health::slot_look::{SightingSource, SlotLook};
use crate::upstream::testing::{parts, settings};

const PROCESSED: Commitment = Commitment::Processed;

struct Members {
    cluster: Arc<ObservedCluster>,
    live: Vec<Arc<EndpointState>>,
    now: Instant,
}

impl Members {
    fn new(count: usize) -> Self {
        Self::with(count, GenesisRule::Auto)
    }

    fn with(count: usize, genesis: GenesisRule) -> Self {
        let metrics = parts().metrics;
        let live: Vec<_> = (0..count)
            .map(|number| EndpointState::new(&settings(&number.to_string(), "http://a/"), &metrics))
            .collect();
        let cluster = ObservedCluster::new(&config::Cluster {
            genesis,
            ..config::Cluster::default()
        });
        cluster.replace(live.clone());
        Self {
            cluster,
            live,
            now: Instant::now(),
        }
    }

    /// As if nobody else were there.
    fn see(&self, member: usize, slot: u64) {
        let usual = SlotPace::of(Duration::from_millis(400));
        let alone = PeerSlots {
            heads: [None; 3],
            highest: [None; 3],
            settled: [None; 3],
            agreed: false,
            stopped: [None; 3],
            moves: usual,
            usual,
        };
        self.live[member].track(&config::HealthSettings::default(), self.now, |tracker| {
            tracker.succeeded(&config::HealthSettings::default());
            let look = SlotLook::one(
                SightingSource::Probe,
                PROCESSED,
                Slot(slot),
                self.now,
                self.now,
            );
            tracker.look(&look, &alone);
        });
    }

    fn tip(&self) -> Option<u64> {
        self.cluster.tick(self.now);
        let tip = self.cluster.tip(PROCESSED, self.now);
        tip.map(|slot| slot.0)
    }

    fn others(&self, of: &str) -> Option<u64> {
        let [processed, ..] = self.cluster.peers(of, self.now).heads;
        processed.map(|slot| slot.0)
    }
}

#[test]
fn the_tip_is_the_newest_slot_that_can_be_believed() {
    for (slots, tip) in [
        (vec![], None),
        (vec![100], Some(100)),
        (vec![100, 103], Some(103)),
        (vec![100, 5000], Some(5000)),
        (vec![100, 101, 5000], Some(101)),
        (vec![5000, 100, 101], Some(101)),
        (vec![4100, 5000, 101], Some(5000)),
    ] {
        let members = Members::new(slots.len());
        for (member, slot) in slots.iter().enumerate() {
            members.see(member, *slot);
        }
        assert_eq!(members.tip(), tip, "{slots:?}");
    }
}

#[test]
fn upstreams_that_stand_still_or_belong_elsewhere_have_no_say() {
    let mut members = Members::new(2);
    members.see(0, 9000);
    members.see(1, 100);
    members.live[0].track(&config::HealthSettings::default(), members.now, |tracker| {
        tracker.wrong_cluster(true);
    });
    assert_eq!(members.tip(), Some(100));

    members.live[0].track(&config::HealthSettings::default(), members.now, |tracker| {
        tracker.wrong_cluster(false);
    });
    assert_eq!(members.tip(), Some(100), "where it was seen was elsewhere");
    members.see(0, 9000);
    assert_eq!(members.tip(), Some(9000));
    members.now += Duration::from_secs(20);
    members.see(0, 9000);
    members.see(1, 150);
    assert_eq!(members.tip(), Some(150));
}

#[test]
fn an_upstream_is_compared_with_the_others_only() {
    let members = Members::new(2);
    members.see(0, 100);
    members.see(1, 120);
    assert_eq!(members.others("1"), Some(100));
    assert_eq!(members.others("0"), Some(120));
}

#[test]
fn the_tip_goes_on_between_two_looks_and_is_not_left_to_one_that_is_late() {
    let mut members = Members::new(2);
    members.see(0, 1000);
    let mut tip_after = |seconds, late| {
        members.now += Duration::from_secs(seconds);
        members.see(1, late);
        (members.tip(), members.others("1"))
    };
    let moved = Some(1045);
    assert_eq!(
        tip_after(20, 950),
        (moved, moved),
        "45 slots in 18 of 20 seconds"
    );
    let furthest = Some(1142);
    assert_eq!(
        tip_after(70, 1125),
        (furthest, furthest),
        "at the measured speed for a minute"
    );
    assert_eq!(tip_after(110, 1400), (Some(1400), furthest));
}

#[test]
fn one_wrong_leader_is_no_tip_for_anybody() {
    let members = Members::new(3);
    members.see(0, 100);
    members.see(1, 101);
    members.see(2, 50_000);
    assert_eq!(members.others("0"), Some(101));
    assert_eq!(members.others("1"), Some(100));
}

#[test]
fn a_configured_genesis_hash_is_final() {
    let members = Members::with(1, GenesisRule::Hash("right".into()));
    members.cluster.heard_genesis(&members.live[0], "other");
    assert!(members.cluster.is_wrong(&members.live[0]));
    members.cluster.heard_genesis(&members.live[0], "right");
    assert!(!members.cluster.is_wrong(&members.live[0]));
}

#[test]
fn without_one_the_first_upstream_says_what_the_cluster_is() {
    let members = Members::new(3);
    let hear = |member: usize, hash| {
        members.cluster.heard_genesis(&members.live[member], hash);
    };
    let wrong = || {
        members
            .live
            .iter()
            .map(|live| members.cluster.is_wrong(live))
    };
    hear(1, "b");
    assert!(wrong().all(|wrong| !wrong), "nobody knows yet");
    hear(2, "a");
    hear(0, "a");
    assert!(wrong().eq([false, true, false]));
    hear(0, "c");
    assert!(
        wrong().eq([true, true, false]),
        "the reference may err later"
    );
}

#[test]
fn two_upstreams_that_agree_are_right_against_the_first() {
    let members = Members::new(3);
    let hear = |member: usize, hash| members.cluster.heard_genesis(&members.live[member], hash);
    let wrong = || [0, 1, 2].map(|one| members.cluster.is_wrong(&members.live[one]));
    assert!(hear(0, "test"), "the first says what the cluster is");
    assert!(!hear(1, "main"));
    assert_eq!(wrong(), [false, true, false]);
    let before = members.cluster.generation();
    assert!(hear(2, "main"), "unless most say something else");
    assert_eq!(wrong(), [true, false, false]);
    assert!(members.cluster.generation() > before);
    // From then on it takes all of them.
    assert!(!hear(1, "test"));
    assert_eq!(wrong(), [true, true, false]);
    assert!(hear(2, "test"));
    assert_eq!(wrong(), [false; 3]);
}

#[test]
fn most_of_the_upstreams_need_not_wait_for_the_first() {
    let members = Members::new(3);
    assert!(!members.cluster.heard_genesis(&members.live[1], "main"));
    assert!(members.cluster.heard_genesis(&members.live[2], "main"));
    assert!(!members.cluster.heard_genesis(&members.live[0], "test"));
    assert!(members.cluster.is_wrong(&members.live[0]));
}

#[test]
fn of_two_that_disagree_the_first_counts() {
    let members = Members::new(2);
    assert!(members.cluster.heard_genesis(&members.live[0], "a"));
    for _ in 0..2 {
        assert!(!members.cluster.heard_genesis(&members.live[1], "b"));
    }
    assert!(members.cluster.is_wrong(&members.live[1]));
    let difference = members.cluster.difference(&members.live[1]).unwrap();
    assert_eq!(difference, "its genesis hash is b, the cluster's is a");
}

#[test]
fn a_cluster_that_was_started_anew_is_recognised_when_all_agree() {
    let members = Members::new(2);
    for member in [0, 1] {
        members.cluster.heard_genesis(&members.live[member], "old");
    }
    members.cluster.heard_genesis(&members.live[0], "new");
    assert!(members.cluster.is_wrong(&members.live[0]));
    assert!(members.cluster.heard_genesis(&members.live[1], "new"));
    assert!(!members.cluster.is_wrong(&members.live[0]));
    assert_eq!(
        members.cluster.genesis().as_deref().map(String::as_str),
        Some("new")
    );
}

#[test]
fn while_the_reference_does_not_answer_the_others_say_what_cluster_it_is() {
    let members = Members::new(3);
    members.cluster.heard_genesis(&members.live[1], "main");
    members.see(1, 100);
    members.cluster.tick(members.now);
    assert_eq!(
        members.cluster.genesis(),
        None,
        "the reference may still answer"
    );
    let limits = config::HealthSettings::default();
    for _ in 0..3 {
        members.live[0].track(&limits, members.now, |tracker| {
            tracker.failed(&limits, "down");
        });
    }
    members.cluster.tick(members.now);
    let genesis = members.cluster.genesis();
    assert_eq!(genesis.as_deref().map(String::as_str), Some("main"));
}

#[test]
fn a_height_equal_to_the_slot_is_plausible_until_slots_are_skipped() {
    let members = Members::new(1);
    let check = |height, slot| members.cluster.check_height(height, Slot(slot));
    assert_eq!(check(100, 100), HeightCheck::Plausible);
    assert_eq!(check(101, 100), HeightCheck::Implausible);
    assert_eq!(check(90, 100), HeightCheck::Plausible);
    assert_eq!(check(100, 100), HeightCheck::Implausible);
}
