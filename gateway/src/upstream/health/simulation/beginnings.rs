//! How it begins: some nodes were late before the gateway started, or show slots that cannot be.

use super::*;

/// Late nodes that agree, beside one at the tip.
fn beside_two_late_ones(fresh: &Node, late: &Node, fresh_at: usize) -> Vec<Node> {
    let mut nodes = vec![late.clone(), late.clone()];
    nodes.insert(fresh_at, fresh.clone());
    nodes
}

/// From `soon` on, calls go to nobody that is far behind.
fn ends_at_the_tip(nodes: &[Node], chain: Chain, traffic: u64, soon: u64) {
    let mut simulation = Simulation::new(nodes, chain, traffic);
    simulation.run(0, 120_000, |simulation, millis| {
        let serving = simulation.serving();
        let behind = simulation.nodes[serving].behind(millis);
        assert!(
            millis < soon || behind <= 24,
            "{serving} of {nodes:?} serves, {behind} behind, at {millis} ms, {traffic} calls a second"
        );
        let (tip, cluster) = (simulation.tip(millis), simulation.chain.processed(millis));
        assert!(tip <= cluster + 16, "{tip} of {cluster} at {millis} ms");
    });
    // Until the one ahead is believed, each look at it may contradict those that agree.
    for transitions in &simulation.transitions {
        assert!(transitions.len() <= 12, "{transitions:?} of {nodes:?}");
    }
}

#[test]
fn two_that_catch_up_together_do_not_contradict_the_one_at_the_tip() {
    for speed in [1, 2, 5] {
        for lag in [60, 300, 1_500] {
            let late = Node {
                catches_up: Some((0, speed)),
                ..local(lag)
            };
            for fresh in [local(0), metered()] {
                for fresh_at in 0..3 {
                    let nodes = beside_two_late_ones(&fresh, &late, fresh_at);
                    for traffic in [0, 20] {
                        ends_at_the_tip(&nodes, Chain::usual(), traffic, 15_000);
                    }
                }
            }
        }
    }
}

#[test]
fn two_that_stay_behind_together_are_not_believed_for_long() {
    for lag in [60, 1_500] {
        for fresh in [local(0), metered()] {
            for fresh_at in 0..3 {
                let nodes = beside_two_late_ones(&fresh, &local(lag), fresh_at);
                for traffic in [0, 20] {
                    ends_at_the_tip(&nodes, Chain::usual(), traffic, 30_000);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn whoever_was_late_at_the_beginning_the_one_at_the_tip_serves_soon(
        slot_time in 380_u64..440,
        one in any::<u64>(),
        two in any::<u64>(),
        lag in 40_u64..5_000,
        apart in 0_u64..8,
        speed in 0_u64..6,
        is_metered in any::<bool>(),
        fresh_at in 0_usize..3,
        traffic in prop_oneof![Just(0_u64), Just(2), Just(20)],
    ) {
        let chain = Chain {
            slot_time,
            skipping: (one & two) & !((one & two) << 1),
            halts: None,
        };
        let catches_up = (speed > 0).then_some((0, speed));
        let late = |lag| Node { catches_up, ..local(lag) };
        let fresh = if is_metered { metered() } else { local(0) };
        let mut nodes = vec![late(lag), late(lag + apart)];
        nodes.insert(fresh_at, fresh);
        ends_at_the_tip(&nodes, chain, traffic, 40_000);
    }
}

#[test]
fn a_wild_slot_at_the_beginning_is_not_believed() {
    for ahead in [300_000, 1 << 40, 1 << 62] {
        let wild = Node {
            leaps: Some((0, ahead)),
            ..local(0)
        };
        for others in [
            vec![local(0)],
            vec![metered()],
            vec![local(0), local(1)],
            vec![local(0), metered()],
        ] {
            for wild_at in 0..=others.len() {
                for traffic in [0, 20] {
                    let mut nodes = others.clone();
                    nodes.insert(wild_at, wild.clone());
                    let mut simulation = Simulation::new(&nodes, Chain::usual(), traffic);
                    simulation.run(0, 120_000, |simulation, millis| {
                        let (tip, cluster) =
                            (simulation.tip(millis), simulation.chain.processed(millis));
                        assert!(
                            tip <= cluster + 4,
                            "{ahead}, {wild_at}: {tip} at {millis} ms"
                        );
                        for index in (0..nodes.len()).filter(|index| *index != wild_at) {
                            let health = simulation.health(index);
                            assert!(
                                health == Health::Healthy || millis < 4_000,
                                "{ahead}, {wild_at}: {index} is {health:?} at {millis} ms"
                            );
                        }
                    });
                    assert_ne!(simulation.health(wild_at), Health::Healthy, "{ahead}");
                }
            }
        }
    }
}

#[test]
fn a_slot_that_no_cluster_has_reached_makes_no_tip_even_where_nobody_else_is() {
    let wild = Node {
        leaps: Some((0, 1 << 40)),
        ..local(0)
    };
    let mut simulation = Simulation::new(&[wild], Chain::usual(), 0);
    for millis in (0..5_000).step_by(50) {
        simulation.probe(0, millis);
        let now = simulation.at(millis);
        let tip = simulation.pool.cluster().tip(Commitment::Processed, now);
        assert_eq!(tip, None);
        assert_eq!(simulation.health(0), Health::Implausible);
    }
    simulation.nodes[0].leaps = None;
    simulation.probe(0, 6_000);
    assert_eq!(simulation.health(0), Health::Healthy);
    assert_eq!(simulation.tip(6_000), simulation.chain.processed(6_000));
}

#[test]
fn one_that_is_seldom_asked_and_for_another_commitment_each_time_has_not_stopped() {
    let mut simulation = Simulation::new(&[metered()], Chain::usual(), 0);
    simulation.run(0, 200_000, |_, _| {});
    assert_eq!(simulation.transitions, [[(0, Health::Healthy)]]);
}
