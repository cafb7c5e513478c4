//! Nodes that show more slots than there are.

use super::*;

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
