//! A small cluster in virtual time: nodes with different lags and probe schedules, slots that are
//! skipped, metered upstreams that are seen every half minute. What must hold whatever happens in
//! it: verdicts do not flap, no upstream far behind serves while a fresh one is available, and the
//! levels stay in order.

use std::sync::Arc;
use std::time::Duration;

use perijove_core::{Commitment, Slot};
use proptest::prelude::*;
use tokio::time::Instant;

use crate::config::Tier;
use crate::upstream::health::slot_look::{SightingSource, SlotLook};
use crate::upstream::testing::{pool, settings};
use crate::upstream::{Health, Pool, Upstream};

const STEP: u64 = 50;
const LOCAL_PROBE: u64 = 400;
const METERED_PROBE: u64 = 30_000;

/// A node of the cluster.
#[derive(Clone, Debug)]
struct Node {
    metered: bool,
    lag: u64,
    /// Its slot does not advance between these moments.
    stands: Option<(u64, u64)>,
    /// It answers nothing from this moment on.
    dies: Option<u64>,
    /// It answers nothing between these moments.
    away: Option<(u64, u64)>,
    /// From this moment on it catches up, so many slots a second faster than the others.
    catches_up: Option<(u64, u64)>,
    /// From this moment on it shows so many slots more than there are.
    leaps: Option<(u64, u64)>,
    /// From this moment on it falls behind, until it is so many slots late.
    falls_behind: Option<(u64, u64)>,
}

impl Node {
    fn is_away(&self, millis: u64) -> bool {
        self.dies.is_some_and(|dies| millis >= dies)
            || self
                .away
                .is_some_and(|(from, to)| (from..to).contains(&millis))
    }

    /// How many slots it is behind.
    fn behind(&self, millis: u64) -> u64 {
        let gained = self.catches_up.map_or(0, |(from, speed)| {
            millis.saturating_sub(from) * speed / 1000
        });
        let lost = self.falls_behind.map_or(0, |(from, most)| {
            (millis.saturating_sub(from) / 400).min(most)
        });
        self.lag.saturating_sub(gained) + lost
    }
}

fn local(lag: u64) -> Node {
    Node {
        metered: false,
        lag,
        stands: None,
        dies: None,
        away: None,
        catches_up: None,
        leaps: None,
        falls_behind: None,
    }
}

fn metered() -> Node {
    Node {
        metered: true,
        ..local(0)
    }
}

/// Where the cluster is over time.
#[derive(Clone, Debug)]
struct Chain {
    slot_time: u64,
    /// Leaders (of four slots each) that make no block, as bits, over and over.
    skipping: u64,
    halts: Option<(u64, u64)>,
}

impl Chain {
    fn usual() -> Self {
        Self {
            slot_time: 400,
            skipping: 0b1000_0000_0100,
            halts: None,
        }
    }

    fn processed(&self, millis: u64) -> u64 {
        let stood = match self.halts {
            Some((from, to)) => millis.clamp(from, to) - from,
            None => 0,
        };
        let mut slot = 100_000 + (millis - stood) / self.slot_time;
        while self.skipping & (1 << (slot / 4 % 64)) != 0 {
            slot -= 1;
        }
        slot
    }
}

struct Simulation {
    pool: Arc<Pool>,
    nodes: Vec<Node>,
    chain: Chain,
    /// Calls per second.
    traffic: u64,
    start: Instant,
    transitions: Vec<Vec<(u64, Health)>>,
}

impl Simulation {
    fn new(nodes: &[Node], chain: Chain, traffic: u64) -> Self {
        let settings = nodes.iter().enumerate().map(|(index, node)| {
            let mut settings = settings(&index.to_string(), "http://127.0.0.1:1/");
            settings.metered = node.metered;
            if node.metered {
                settings.tier = Tier::Paid;
            }
            settings
        });
        Self {
            pool: pool(settings.collect()),
            nodes: nodes.to_vec(),
            chain,
            traffic,
            start: Instant::now(),
            transitions: vec![Vec::new(); nodes.len()],
        }
    }

    fn upstream(&self, index: usize) -> &Arc<Upstream> {
        self.pool.upstream(&index.to_string()).unwrap()
    }

    fn slots(&self, index: usize, millis: u64) -> [u64; 3] {
        let node = &self.nodes[index];
        let millis = match node.stands {
            Some((from, to)) if (from..to).contains(&millis) => from,
            _ => millis,
        };
        let leapt = node
            .leaps
            .filter(|(from, _)| millis >= *from)
            .map_or(0, |(_, ahead)| ahead);
        let processed = self.chain.processed(millis) - node.behind(millis) + leapt;
        [processed, processed - 1 - processed % 2, processed - 32]
    }

    /// Who would be asked: the best tier of those that are in service, else the least bad.
    fn serving(&self) -> usize {
        (0..self.nodes.len())
            .min_by_key(|index| {
                let upstream = self.upstream(*index);
                (upstream.health(), upstream.tier())
            })
            .unwrap()
    }

    fn run(&mut self, from: u64, to: u64, mut check: impl FnMut(&Self, u64)) {
        for millis in (from..to).step_by(usize::try_from(STEP).unwrap()) {
            for index in 0..self.nodes.len() {
                self.probe(index, millis);
            }
            if self.traffic > 0 && millis % (1000 / self.traffic) < STEP {
                self.call(millis);
            }
            for index in 0..self.nodes.len() {
                let health = self.upstream(index).health();
                let known = &mut self.transitions[index];
                if known.last().map(|(_, before)| *before) != Some(health) {
                    known.push((millis, health));
                }
            }
            self.check_levels(millis);
            check(self, millis);
        }
    }

    fn probe(&self, index: usize, millis: u64) {
        let node = &self.nodes[index];
        let every = if node.metered {
            METERED_PROBE
        } else {
            LOCAL_PROBE
        };
        // Not all at the same moment.
        let shifted = millis + u64::try_from(index).unwrap() * 150;
        if millis > 0 && shifted % every >= STEP {
            return;
        }
        let member = &self.upstream(index).member;
        let limits = &member.policy.health;
        let now = self.at(millis);
        if node.is_away(millis) {
            member
                .live
                .track(limits, now, |tracker| tracker.failed(limits, "dead"));
            return;
        }
        let round = shifted / every;
        let shown = |level: Commitment| match (node.metered, level) {
            (false, _) => true,
            (true, Commitment::Confirmed) => round.is_multiple_of(2),
            (true, Commitment::Finalized) => !round.is_multiple_of(2),
            (true, Commitment::Processed) => false,
        };
        let slots = self.slots(index, millis);
        let look = SlotLook {
            source: SightingSource::Probe,
            slots: Commitment::ALL.map(|level| shown(level).then(|| Slot(slots[level.index()]))),
            started: now,
            at: now,
            vouched: false,
            outrun: false,
        };
        member.judge(&look, |tracker| tracker.succeeded(limits));
    }

    /// Reads at every commitment by turns; now and then an answer comes late.
    fn call(&self, millis: u64) {
        let index = self.serving();
        if self.nodes[index].is_away(millis) {
            return;
        }
        let level = Commitment::ALL[usize::try_from(millis / STEP % 3).unwrap()];
        let late = if millis % 700 < STEP { 800 } else { 0 };
        let slot = self.slots(index, millis.saturating_sub(late))[level.index()];
        let latency = Duration::from_millis(late + 2);
        let member = &self.upstream(index).member;
        member.heard_slot(level, Slot(slot), latency, self.at(millis));
    }

    fn at(&self, millis: u64) -> Instant {
        self.start + Duration::from_millis(millis)
    }

    fn check_levels(&self, millis: u64) {
        let now = self.at(millis);
        let tip = Commitment::ALL.map(|level| self.pool.cluster().tip(level, now));
        assert!(tip.is_sorted_by(|a, b| a >= b), "{tip:?} at {millis} ms");
        for upstream in self.pool.upstreams() {
            let slots = Commitment::ALL.map(|level| upstream.state().slot(level));
            assert!(
                slots.is_sorted_by(|a, b| a >= b),
                "{slots:?} at {millis} ms"
            );
        }
    }

    fn health(&self, index: usize) -> Health {
        self.upstream(index).health()
    }

    fn tip(&self, millis: u64) -> u64 {
        let tip = self
            .pool
            .cluster()
            .tip(Commitment::Processed, self.at(millis));
        tip.unwrap().0
    }
}

#[test]
fn a_validator_fifty_behind_never_serves_and_does_not_flap() {
    for traffic in [0, 20] {
        let nodes = [local(50), metered()];
        let mut simulation = Simulation::new(&nodes, Chain::usual(), traffic);
        simulation.run(0, 300_000, |simulation, millis| {
            let shown = simulation.upstream(0).state().lag();
            assert!(millis < 1_000 || shown > 30, "lag {shown} at {millis} ms");
        });
        let transitions = &simulation.transitions[0];
        assert!(transitions.len() <= 2, "{transitions:?}");
        assert_eq!(simulation.health(0), Health::Lagging);
    }
}

#[test]
fn a_metered_upstream_that_stands_still_is_out_of_service_within_five_seconds() {
    for own in [
        local(0),
        Node {
            dies: Some(10_000),
            ..local(0)
        },
    ] {
        let alive = own.dies.is_none();
        let standing = Node {
            stands: Some((65_000, u64::MAX)),
            ..metered()
        };
        // With the local one alive, calls go to it; the metered one is asked by hand.
        let mut simulation = Simulation::new(&[own, standing, metered()], Chain::usual(), 20);
        if alive {
            simulation.nodes[0].lag = 0;
        }
        simulation.run(0, 65_000, |_, _| {});
        let mut left = None;
        simulation.run(65_000, 180_000, |simulation, millis| {
            let member = &simulation.upstream(1).member;
            if left.is_none() {
                let [_, confirmed, _] = simulation.slots(1, millis);
                let now = simulation.at(millis);
                let latency = Duration::from_millis(2);
                member.heard_slot(Commitment::Confirmed, Slot(confirmed), latency, now);
            }
            if simulation.health(1) != Health::Healthy {
                left = left.or(Some(millis - 65_000));
            } else if left.is_some() {
                panic!("back in service at {millis} ms while it stands still");
            }
        });
        let left = left.expect("out of service");
        assert!(left <= 5_000, "{left} ms, the local one alive: {alive}");
    }
}

#[test]
fn one_level_that_nobody_else_has_told_of_is_enough_to_see_that_it_stands_still() {
    for stands in [u64::MAX, 65_000] {
        let asked = Node {
            stands: Some((stands, u64::MAX)),
            ..metered()
        };
        let mut simulation = Simulation::new(&[asked, metered()], Chain::usual(), 0);
        let mut left = None;
        // The other one is asked for a finalized slot half a minute after its confirmed one; what
        // calls read is final as well.
        simulation.run(0, 75_000, |simulation, millis| {
            if millis % 200 == 0 {
                let [_, _, finalized] = simulation.slots(0, millis);
                let (now, latency) = (simulation.at(millis), Duration::from_millis(2));
                let member = &simulation.upstream(0).member;
                member.heard_slot(Commitment::Finalized, Slot(finalized), latency, now);
            }
            if simulation.health(0) != Health::Healthy {
                left.get_or_insert(millis);
            }
        });
        match left {
            Some(left) => assert!((69_000..=70_000).contains(&left), "{left} ms"),
            None => assert_eq!(stands, u64::MAX),
        }
        assert_eq!(simulation.health(1), Health::Healthy);
    }
}

#[test]
fn the_last_upstream_serves_even_if_it_stands_still_and_the_clock_does_not_run_away() {
    let dead = Node {
        dies: Some(10_000),
        ..local(0)
    };
    let standing = Node {
        stands: Some((20_000, u64::MAX)),
        ..metered()
    };
    let mut simulation = Simulation::new(&[dead, standing], Chain::usual(), 20);
    let mut tips = Vec::new();
    simulation.run(0, 600_000, |simulation, millis| {
        assert!(simulation.pool.can_serve(), "{millis} ms");
        if millis >= 100_000 {
            tips.push(simulation.tip(millis));
        }
    });
    assert_eq!(simulation.serving(), 1);
    assert!(tips.iter().all(|tip| *tip == tips[0]), "it stands");
    assert!(tips[0] <= simulation.chain.processed(20_000) + 150);
}

#[test]
fn where_the_whole_cluster_halts_nobody_is_excluded_and_the_clock_stops() {
    for traffic in [0, 20] {
        let nodes = [local(0), local(2), metered()];
        let mut chain = Chain::usual();
        chain.halts = Some((65_000, 200_000));
        let mut simulation = Simulation::new(&nodes, chain, traffic);
        let mut halted = 0;
        simulation.run(0, 205_000, |simulation, millis| {
            if millis < 200_000 {
                halted = simulation.tip(millis);
            }
            // Without calls the metered one is known to stand still when two of its probes have
            // shown the same slot, and it is asked for it once a minute.
            let known = if traffic == 0 { 185_000 } else { 80_000 };
            if (known..200_000).contains(&millis) {
                for index in 0..3 {
                    assert_eq!(simulation.health(index), Health::Healthy, "{millis} ms");
                }
                let seen = simulation.chain.processed(millis);
                let beyond = simulation.tip(millis).saturating_sub(seen);
                // The metered one may not have been seen since before.
                assert!(beyond <= 150, "{beyond} slots beyond");
            }
        });
        assert!(
            halted <= simulation.chain.processed(195_000) + 4,
            "{halted} at {traffic} calls a second"
        );
        for index in 0..3 {
            assert_eq!(simulation.health(index), Health::Healthy);
            let count = simulation.transitions[index].len();
            assert!(count <= 8, "{:?}", simulation.transitions[index]);
        }
    }
}

#[test]
fn where_a_cluster_of_one_halts_it_serves_on_and_the_clock_stops() {
    for node in [local(0), metered()] {
        let mut chain = Chain::usual();
        chain.halts = Some((65_000, u64::MAX));
        let mut simulation = Simulation::new(&[node], chain, 20);
        simulation.run(0, 400_000, |simulation, millis| {
            assert!(simulation.pool.can_serve());
            let seen = simulation.chain.processed(millis);
            let beyond = simulation.tip(millis).saturating_sub(seen);
            assert!(beyond <= 16, "{beyond} slots beyond at {millis} ms");
        });
    }
}

#[test]
fn of_two_nodes_the_one_ten_minutes_old_is_left() {
    let mut simulation = Simulation::new(&[local(1_500), local(0)], Chain::usual(), 20);
    simulation.run(0, 60_000, |_, _| {});
    assert_eq!(simulation.health(0), Health::Lagging);
    assert_eq!(simulation.health(1), Health::Healthy);
    assert!(simulation.transitions[0].len() <= 3);
    assert_eq!(simulation.transitions[1].len(), 1);
}

#[test]
fn a_node_that_caught_up_from_far_behind_is_back_at_once() {
    let mut simulation = Simulation::new(&[local(3_000), local(0), metered()], Chain::usual(), 20);
    simulation.run(0, 20_000, |_, _| {});
    assert_eq!(simulation.health(0), Health::Lagging);
    simulation.nodes[0].lag = 0;
    simulation.run(20_000, 21_000, |_, _| {});
    assert_eq!(simulation.health(0), Health::Healthy);
}

#[test]
fn after_any_outage_the_tip_is_where_the_cluster_is() {
    let outage = (60_000, 112_000);
    let stands = Node {
        stands: Some(outage),
        ..local(0)
    };
    let away = Node {
        away: Some(outage),
        ..local(0)
    };
    let late = Node {
        catches_up: Some((60_000, 3)),
        ..local(400)
    };
    let provider = Node {
        stands: Some(outage),
        ..metered()
    };
    for (name, nodes) in [
        ("stands", vec![stands.clone(), metered()]),
        ("all stand", vec![stands.clone(), stands.clone(), metered()]),
        ("away", vec![away.clone(), metered()]),
        (
            "away and stands",
            vec![away.clone(), stands.clone(), metered()],
        ),
        (
            "all away",
            vec![
                away.clone(),
                Node {
                    metered: true,
                    ..away
                },
            ],
        ),
        ("catches up", vec![late.clone(), metered()]),
        ("catches up with others", vec![late, local(0), metered()]),
        ("a provider stands", vec![local(0), provider.clone()]),
        ("only a provider is left", vec![stands, provider]),
    ] {
        for traffic in [0, 20] {
            let mut simulation = Simulation::new(&nodes, Chain::usual(), traffic);
            simulation.run(0, 300_000, |simulation, millis| {
                let (tip, cluster) = (simulation.tip(millis), simulation.chain.processed(millis));
                let beyond = tip.saturating_sub(cluster);
                assert!(
                    beyond <= 16,
                    "{name}, {traffic}: {beyond} beyond at {millis} ms"
                );
            });
        }
    }
}

#[test]
fn one_that_leaps_ahead_of_two_others_does_not_take_over() {
    for ahead in [30, 100, 400, 1_000, 5_000] {
        let leaper = Node {
            leaps: Some((20_000, ahead)),
            ..local(0)
        };
        for others in [[local(0), local(1)], [local(0), metered()]] {
            for traffic in [0, 20] {
                let nodes: Vec<_> = [leaper.clone()].into_iter().chain(others.clone()).collect();
                let mut simulation = Simulation::new(&nodes, Chain::usual(), traffic);
                simulation.run(0, 120_000, |simulation, millis| {
                    let (tip, cluster) =
                        (simulation.tip(millis), simulation.chain.processed(millis));
                    assert!(tip <= cluster + 4, "{ahead} ahead: {tip} at {millis} ms");
                    for index in [1, 2] {
                        assert_eq!(simulation.health(index), Health::Healthy, "{millis} ms");
                    }
                    if millis > 21_000 {
                        assert_eq!(simulation.health(0), Health::Suspect, "{millis} ms");
                    }
                });
                let count = simulation.transitions[0].len();
                assert!(count <= 3, "{:?}", simulation.transitions[0]);
            }
        }
    }
}

#[test]
fn where_all_jump_at_once_all_are_believed_soon() {
    let leaps = |node: Node| Node {
        leaps: Some((40_000, 750)),
        ..node
    };
    for nodes in [
        vec![leaps(local(0))],
        vec![leaps(local(0)), leaps(metered())],
        vec![leaps(local(0)), leaps(local(1)), leaps(local(0))],
        vec![leaps(local(0)), leaps(metered()), leaps(metered())],
    ] {
        let mut simulation = Simulation::new(&nodes, Chain::usual(), 20);
        simulation.run(0, 44_000, |_, _| {});
        let cluster = simulation.chain.processed(44_000) + 750;
        assert!(simulation.tip(44_000) + 4 >= cluster);
        simulation.run(44_000, 110_000, |_, _| {});
        for index in 0..nodes.len() {
            let transitions = &simulation.transitions;
            assert_eq!(simulation.health(index), Health::Healthy, "{transitions:?}");
        }
    }
}

#[test]
fn of_two_the_one_that_leaps_ahead_is_not_believed_at_once() {
    let leaper = Node {
        leaps: Some((40_000, 100)),
        ..local(0)
    };
    let mut simulation = Simulation::new(&[leaper, metered()], Chain::usual(), 20);
    simulation.run(0, 95_000, |simulation, millis| {
        let (tip, cluster) = (simulation.tip(millis), simulation.chain.processed(millis));
        assert!(tip <= cluster + 4, "{tip} at {millis} ms");
        assert_eq!(simulation.health(1), Health::Healthy, "{millis} ms");
    });
    assert_eq!(simulation.health(0), Health::Suspect);
}

#[test]
fn two_that_fall_behind_together_do_not_hold_up_the_one_that_goes_on() {
    let late = |node: Node| Node {
        falls_behind: Some((40_000, 100)),
        ..node
    };
    for (right, two) in [
        (local(0), [late(local(0)), late(local(0))]),
        (local(0), [late(metered()), late(metered())]),
        (metered(), [late(local(0)), late(local(1))]),
    ] {
        for traffic in [0, 20] {
            let nodes = [right.clone(), two[0].clone(), two[1].clone()];
            let mut simulation = Simulation::new(&nodes, Chain::usual(), traffic);
            simulation.run(0, 200_000, |simulation, millis| {
                let (tip, cluster) = (simulation.tip(millis), simulation.chain.processed(millis));
                assert!(tip + 16 >= cluster, "{tip} at {millis} ms of {cluster}");
                assert_eq!(simulation.health(0), Health::Healthy, "{millis} ms");
            });
            assert_eq!(simulation.health(1), Health::Lagging);
            assert_eq!(simulation.health(2), Health::Lagging);
        }
    }
}

#[test]
fn a_node_that_freezes_beside_one_metered_upstream_is_left_within_seven_seconds() {
    for since in [2_000, 3_200, 6_000, 20_000, 45_000, 100_000] {
        for traffic in [0, 20] {
            let frozen = Node {
                stands: Some((since, u64::MAX)),
                ..local(0)
            };
            let mut simulation = Simulation::new(&[frozen, metered()], Chain::usual(), traffic);
            let mut left = None;
            simulation.run(0, since + 40_000, |simulation, millis| {
                if simulation.health(0) != Health::Healthy && millis > since {
                    left = left.or(Some(millis - since));
                }
            });
            let left = left.expect("out of service");
            assert!(
                left <= 7_000,
                "{left} ms after {since}, {traffic} calls a second"
            );
            let back = simulation.transitions[0].len();
            assert!(back <= 4, "{:?}", simulation.transitions[0]);
        }
    }
}

#[test]
fn a_slow_cluster_is_measured_not_suspected() {
    let chain = Chain {
        slot_time: 1_500,
        ..Chain::usual()
    };
    let mut simulation = Simulation::new(&[local(0), metered()], chain, 20);
    simulation.run(0, 300_000, |_, _| {});
    for index in 0..2 {
        assert_eq!(simulation.transitions[index].len(), 1, "{index}");
    }
}

fn chains() -> impl Strategy<Value = Chain> {
    (360_u64..1_000, any::<u64>(), any::<u64>(), any::<u64>()).prop_map(
        |(slot_time, one, two, three)| Chain {
            slot_time,
            // One leader in eight, and never two in a row: that would be four seconds and more.
            skipping: (one & two & three) & !((one & two & three) << 1),
            halts: None,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn nobody_far_behind_serves_while_a_fresh_one_is_there(
        chain in chains(),
        lags in prop::collection::vec(prop_oneof![0_u64..4, 30_u64..300, 1_200_u64..5_000, 0_u64..4], 1..4),
        traffic in prop_oneof![Just(0_u64), Just(2), Just(20)],
    ) {
        // Late ones that agree with each other would be believed rather than one that is ahead.
        let apart = |(index, lag): (usize, &u64)| {
            local(match *lag {
                0..16 => *lag,
                16..1000 => *lag + index as u64 * 300,
                _ => 1_200 + index as u64 * 1_500 + lag % 1_000,
            })
        };
        let nodes: Vec<_> = lags.iter().enumerate().map(apart).chain([metered()]).collect();
        let mut simulation = Simulation::new(&nodes, chain, traffic);
        simulation.run(0, 200_000, |simulation, millis| {
            let serving = simulation.serving();
            let behind = simulation.nodes[serving].lag;
            assert!(millis < 2_000 || behind <= 16, "{serving} serves, {behind} behind, at {millis} ms");
        });
        for transitions in &simulation.transitions {
            prop_assert!(transitions.len() <= 4, "{:?}", transitions);
        }
    }
}
