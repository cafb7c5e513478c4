//! Nodes and clusters that stop, die, come back, or fall behind.

use super::*;

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
            // The metered one is asked when the first of the others seems to have stopped: it stands
            // where they do.
            if (75_000..200_000).contains(&millis) {
                for index in 0..3 {
                    assert_eq!(simulation.health(index), Health::Healthy, "{millis} ms");
                }
                let seen = simulation.chain.processed(millis);
                let beyond = simulation.tip(millis).saturating_sub(seen);
                assert!(beyond <= 4, "{beyond} slots beyond at {millis} ms");
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
