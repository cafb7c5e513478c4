use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::simulation::{Demand, Node, Noise, Simulation};
use super::*;

const MS: Duration = Duration::from_millis(1);
const PLENTY: usize = 1024;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn slots(milliseconds: u32) -> [(Method, Duration); 1] {
    [(Method::GetSlot, MS * milliseconds)]
}

/// The limit is checked over a minute of which only measurements are left out.
fn settled(simulation: &mut Simulation) -> (usize, usize) {
    let mut limits = (usize::MAX, 0);
    for _ in 0..600 {
        simulation.run(MS * 100);
        if simulation.limit.measuring.is_none() {
            let limit = simulation.limit.limit();
            limits = (limits.0.min(limit), limits.1.max(limit));
        }
    }
    limits
}

#[test]
fn under_a_flood_it_finds_what_the_node_can_do() {
    for (workers, service) in [(8, 20), (16, 50), (40, 10), (100, 25)] {
        let demand = Demand::Clients(workers * 10);
        let mut simulation = Simulation::new(Node::of(workers), demand, &slots(service), PLENTY);
        simulation.run(seconds(20));
        let (lowest, highest) = settled(&mut simulation);
        let capacity = number(workers) * 1000.0 / f64::from(service);
        let served = simulation.run(seconds(60));
        assert!(lowest >= workers, "{workers}: {lowest}");
        assert!(highest <= workers * 5 / 2, "{workers}: {highest}");
        assert!(served > capacity * 0.97, "{workers}: {served}");
    }
}

#[test]
fn a_node_far_away_is_filled_too() {
    let node = Node {
        distance: MS * 100,
        ..Node::of(20)
    };
    let mut simulation = Simulation::new(node, Demand::Clients(500), &slots(10), PLENTY);
    simulation.run(seconds(30));
    let served = simulation.run(seconds(60));
    // 220 calls are needed in flight to keep it busy.
    let (_, highest) = settled(&mut simulation);
    assert!(served > 1900.0, "{served}");
    assert!(highest < 500, "{highest}");
}

#[test]
fn noise_does_not_make_it_collapse() {
    let node = Node {
        noise: Noise::Exponential,
        ..Node::of(16)
    };
    let mut simulation = Simulation::new(node, Demand::Clients(300), &slots(30), PLENTY);
    simulation.run(seconds(30));
    let served = simulation.run(seconds(600));
    let (_, highest) = settled(&mut simulation);
    assert!(served > 533.0 * 0.95, "{served}");
    assert!(highest < 64, "{highest}");
}

#[test]
fn a_mix_of_quick_and_slow_methods_is_no_overload() {
    let kinds = [
        (Method::GetSlot, MS * 2),
        (Method::GetBalance, MS * 5),
        (Method::GetBlock, MS * 200),
    ];
    let node = Node {
        noise: Noise::Exponential,
        ..Node::of(64)
    };
    // Half of what it can do.
    let mut simulation = Simulation::new(node, Demand::PerSecond(460.0), &kinds, PLENTY);
    simulation.run(seconds(60));
    let kept = simulation.limit.limit();
    // Suddenly only the slow one.
    simulation.kinds = kinds[2..].to_vec();
    simulation.demand = Demand::PerSecond(150.0);
    simulation.run(seconds(60));
    assert!(kept >= FIRST, "{kept}");
    assert!(simulation.lowest >= FIRST, "{}", simulation.lowest);
}

#[test]
fn it_follows_a_node_that_becomes_smaller_and_larger() {
    let mut simulation = Simulation::new(Node::of(32), Demand::Clients(400), &slots(20), PLENTY);
    simulation.run(seconds(30));
    simulation.node.workers = 8;
    simulation.run(seconds(20));
    let (lowest, highest) = settled(&mut simulation);
    assert!(lowest >= 8 && highest <= 24, "{lowest}..{highest}");
    simulation.node.workers = 64;
    simulation.run(seconds(20));
    let served = simulation.run(seconds(60));
    assert!(served > 3200.0 * 0.95, "{served}");
}

#[test]
fn a_node_that_becomes_slower_by_itself_is_not_throttled_for_long() {
    let mut simulation = Simulation::new(Node::of(200), Demand::Clients(100), &slots(10), PLENTY);
    simulation.run(seconds(30));
    simulation.kinds = slots(50).to_vec();
    simulation.run(seconds(10));
    let served = simulation.run(seconds(30));
    assert!(served > 1900.0, "{served}");
}

#[test]
fn refusals_lower_it_and_it_recovers() {
    let node = Node {
        queue: 4,
        ..Node::of(16)
    };
    let mut simulation = Simulation::new(node, Demand::Clients(200), &slots(20), PLENTY);
    simulation.run(seconds(20));
    let (lowest, highest) = settled(&mut simulation);
    assert!(lowest >= 8 && highest <= 28, "{lowest}..{highest}");
    let served = simulation.run(seconds(60));
    assert!(served > 800.0 * 0.9, "{served}");
}

#[test]
fn little_traffic_never_lowers_it() {
    let node = Node {
        noise: Noise::Exponential,
        ..Node::of(4)
    };
    let mut simulation = Simulation::new(node, Demand::PerSecond(20.0), &slots(30), PLENTY);
    for milliseconds in [30, 300, 3, 60] {
        simulation.kinds = slots(milliseconds).to_vec();
        simulation.demand = Demand::PerSecond(1000.0 / f64::from(milliseconds));
        simulation.run(seconds(600));
        assert_eq!((simulation.lowest, simulation.highest), (FIRST, FIRST));
    }
}

#[test]
fn a_single_timeout_does_not_matter() {
    let now = Instant::now();
    let mut limit = ConcurrencyLimit::new(PLENTY, now);
    let places = PlacesInUse {
        used: 50,
        waiting: false,
    };
    for number in 1..1000_u32 {
        let now = now + MS * 10 * number;
        let sample = if number % 25 == 0 {
            LoadSample::Overloaded
        } else {
            LoadSample::Answered {
                method: Method::GetSlot,
                latency: MS * 10,
            }
        };
        assert_eq!(limit.observe(sample, places, now), None);
    }
    assert_eq!(limit.limit(), FIRST);
}

proptest! {
    #[test]
    fn it_stays_between_floor_and_ceiling_whatever_happens(
        ceiling in 0_usize..3000,
        events in proptest::collection::vec(
            (0_u8..6, 0_u64..20_000, 0_usize..3000, any::<bool>(), 0_u64..3000), 1..2000),
    ) {
        let mut now = Instant::now();
        let mut limit = ConcurrencyLimit::new(ceiling, now);
        for (kind, latency, used, waiting, pause) in events {
            now += Duration::from_millis(pause);
            let sample = match kind {
                0 => LoadSample::Overloaded,
                1 => LoadSample::Answered {
                    method: Method::NamedAsRead,
                    latency: Duration::from_micros(latency),
                },
                _ => LoadSample::Answered {
                    method: Method::GetSlot,
                    latency: Duration::from_millis(latency),
                },
            };
            let before = limit.limit();
            let moved = limit.observe(sample, PlacesInUse { used, waiting }, now);
            let after = limit.limit();
            prop_assert!(after >= FLOOR.min(ceiling.max(1)) && after <= ceiling.max(1));
            prop_assert!(moved.is_some() || before == after);
            if used <= FLOOR && !waiting {
                prop_assert!(after >= before || limit.window.most_used == 0);
            }
        }
    }
}
