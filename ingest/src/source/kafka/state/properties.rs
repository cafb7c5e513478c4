//! What holds whatever happens.

use std::time::Duration;

use proptest::prelude::*;

use super::input::Input;
use super::simulation::{Rebalance, World, partition};
use crate::source::SourceCommand;

/// Longer than brokers that did not answer are left alone.
const MOMENT: Duration = Duration::from_millis(600);

/// Something that happens.
#[derive(Clone, Debug)]
enum Happening {
    Give(Vec<bool>),
    Take(Vec<bool>),
    Lose,
    Answer,
    Settle,
    Release,
    Reset(i32, i64),
    Hold(bool),
    Brokers(bool),
    Client(bool),
    Leader(i32, bool),
    Write(i32, i64),
    Expire(i32, i64),
    Pass(u64),
}

const PARTITIONS: i32 = 3;

fn happening() -> impl Strategy<Value = Happening> {
    let which = || prop::collection::vec(any::<bool>(), 3);
    prop_oneof![
        3 => which().prop_map(Happening::Give),
        2 => which().prop_map(Happening::Take),
        1 => Just(Happening::Lose),
        4 => Just(Happening::Answer),
        6 => Just(Happening::Settle),
        3 => Just(Happening::Release),
        1 => (0..PARTITIONS, 0..20_i64).prop_map(|(at, next)| Happening::Reset(at, next)),
        1 => any::<bool>().prop_map(Happening::Hold),
        1 => any::<bool>().prop_map(Happening::Brokers),
        1 => any::<bool>().prop_map(Happening::Client),
        1 => (0..PARTITIONS, any::<bool>()).prop_map(|(at, has)| Happening::Leader(at, has)),
        3 => (0..PARTITIONS, 0..20_i64).prop_map(|(at, count)| Happening::Write(at, count)),
        1 => (0..PARTITIONS, 0..20_i64).prop_map(|(at, count)| Happening::Expire(at, count)),
        4 => (0..3000_u64).prop_map(Happening::Pass),
    ]
}

fn chosen(which: &[bool], of: impl Fn(i32) -> bool) -> Vec<i32> {
    let chosen = (0..PARTITIONS).zip(which).filter(|(_, chosen)| **chosen);
    chosen.map(|(at, _)| at).filter(|at| of(*at)).collect()
}

fn happens(world: &mut World, happening: Happening) {
    let held = world.held();
    match happening {
        Happening::Give(which) if world.rebalance.is_none() => {
            world.give(&chosen(&which, |at| !held.contains(&at)));
        }
        Happening::Take(which) if world.rebalance.is_none() => {
            world.take(&chosen(&which, |at| held.contains(&at)));
        }
        Happening::Lose if world.rebalance.is_none() => {
            world.lost = true;
            world.take(&held);
        }
        Happening::Give(_) | Happening::Take(_) | Happening::Lose => {}
        Happening::Answer => world.answer(),
        Happening::Settle => drop(world.settle()),
        Happening::Release => world.release(),
        Happening::Reset(at, next) => world.reset(at, next),
        Happening::Hold(hold) => world.feed(Input::Command(SourceCommand::Hold(hold))),
        Happening::Brokers(answer) => world.brokers = answer,
        Happening::Client(works) => world.client = works,
        Happening::Leader(at, true) => drop(world.leaderless.remove(&partition(at))),
        Happening::Leader(at, false) => drop(world.leaderless.insert(partition(at))),
        Happening::Write(at, count) => {
            world.logs.get_mut(&partition(at)).unwrap().end += count;
        }
        Happening::Expire(at, count) => {
            let log = world.logs.get_mut(&partition(at)).unwrap();
            log.start = (log.start + count).min(log.end);
        }
        Happening::Pass(millis) => world.pass(Duration::from_millis(millis)),
    }
}

/// Everything works again, and time passes.
fn recover(world: &mut World) {
    (world.brokers, world.client) = (true, true);
    world.leaderless.clear();
    world.feed(Input::Command(SourceCommand::Hold(false)));
    for _ in 0..60 {
        world.answer();
        while world.settle() {}
        world.release();
        world.look_after();
        world.pass(MOMENT);
        world.round();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// The simulation itself panics when events come in a wrong order, when something is stored
    /// twice or left out, when a rebalance is answered wrongly, and when the client does not pause
    /// what the state takes to be paused.
    #[test]
    fn whatever_happens_all_is_stored_once_and_the_group_gets_its_answers(
        happenings in prop::collection::vec(happening(), 0..80)
    ) {
        let mut world = World::new(PARTITIONS);
        for happening in happenings {
            happens(&mut world, happening);
            world.round();
        }
        recover(&mut world);
        prop_assert_eq!(&world.rebalance, &None::<Rebalance>);
        for at in world.held() {
            let stored = world.stored.get(&partition(at)).and_then(|one| one.next);
            prop_assert_eq!(stored, Some(world.logs[&partition(at)].end), "partition {}", at);
        }
        world.feed(Input::Command(SourceCommand::Stop));
        recover(&mut world);
        prop_assert!(world.state.is_over());
    }
}
