//! Whether a partition is still the one that was read.

use crate::source::kafka::state::input::Input;
use crate::source::kafka::state::simulation::{World, partition};

/// A member that has read ten records of partition 0, stored them and left.
fn stopped() -> World {
    let mut world = World::new(1);
    world.give(&[0]);
    world.answer();
    world.round();
    world.round();
    while world.settle() {}
    world.take(&[0]);
    world.round();
    world.release();
    world.round();
    world.wanted();
    world
}

fn resumes(world: &mut World) -> Vec<String> {
    world.give(&[0]);
    world.answer();
    for _ in 0..3 {
        world.round();
    }
    let wanted = world.wanted();
    wanted[2..].to_vec()
}

#[test]
fn reading_resumes_by_fetching_the_last_record_once_more() {
    let mut world = stopped();
    world.logs.insert(partition(0), 0..12);
    assert_eq!(resumes(&mut world), ["assign 0", "tell begun 0 at 10"]);
    while world.settle() {}
    assert_eq!(world.stored[&partition(0)].next, Some(12));
}

#[test]
fn a_topic_made_anew_with_as_many_records_is_read_from_its_beginning() {
    for end in [10, 11, 30] {
        let mut world = stopped();
        world.made_anew.insert(partition(0), 1);
        world.logs.insert(partition(0), 0..end);
        let wanted = resumes(&mut world);
        assert_eq!(
            wanted,
            [
                "assign 0",
                "tell begun 0 at 10",
                "find starts 0",
                "restart 0 at 0",
                "tell begun 0 at 0, 10..0 gone"
            ],
            "{end}"
        );
        while world.settle() {}
        for _ in 0..10 {
            world.round();
            while world.settle() {}
        }
        assert_eq!(world.stored[&partition(0)].next, Some(end));
        assert_eq!(world.wanted(), Vec::<String>::new());
    }
}

#[test]
fn nothing_is_concluded_where_the_last_record_has_gone() {
    // Expired, and (the log begins anew behind it) expired all.
    for log in [10..12, 10..10] {
        let mut world = stopped();
        world.made_anew.insert(partition(0), 1);
        world.logs.insert(partition(0), log);
        assert_eq!(resumes(&mut world), ["assign 0", "tell begun 0 at 10"]);
    }
    // Compacted.
    let mut world = stopped();
    world.logs.insert(partition(0), 0..12);
    world.compacted.insert((partition(0), 9));
    assert_eq!(resumes(&mut world), ["assign 0", "tell begun 0 at 10"]);
    while world.settle() {}
    assert_eq!(world.stored[&partition(0)].next, Some(12));
}

#[test]
fn an_offset_that_somebody_has_set_is_obeyed() {
    let mut world = stopped();
    world.reset(0, 8);
    world.made_anew.insert(partition(0), 1);
    assert_eq!(resumes(&mut world), ["assign 0", "tell begun 0 at 8"]);
}

#[test]
fn a_topic_that_was_away_while_it_is_read_is_compared() {
    let mut world = World::new(1);
    world.give(&[0]);
    world.answer();
    world.round();
    world.round();
    while world.settle() {}
    world.wanted();
    // Once, however often it is said.
    world.feed(Input::TopicsInDoubt);
    world.feed(Input::TopicsInDoubt);
    world.round();
    assert_eq!(world.wanted(), ["restart 0 at 9"]);
    // The same: it reads on.
    world.logs.insert(partition(0), 0..12);
    world.round();
    assert_eq!(world.position(0), Some(12));
    while world.settle() {}
    assert_eq!(world.stored[&partition(0)].next, Some(12));

    world.made_anew.insert(partition(0), 1);
    world.feed(Input::TopicsInDoubt);
    world.logs.insert(partition(0), 0..14);
    world.round();
    world.round();
    assert_eq!(
        world.wanted(),
        [
            "restart 0 at 11",
            "find starts 0",
            "restart 0 at 0",
            "tell begun 0 at 0, 12..0 gone"
        ]
    );
}

#[test]
fn a_topic_of_which_nothing_was_read_is_not_compared() {
    let mut world = World::new(1);
    world.logs.insert(partition(0), 0..0);
    world.give(&[0]);
    world.answer();
    world.round();
    world.wanted();
    world.feed(Input::TopicsInDoubt);
    assert_eq!(world.wanted(), Vec::<String>::new());
}
