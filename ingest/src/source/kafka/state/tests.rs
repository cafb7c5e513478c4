//! What the state wants in which situation.

mod fetching;
mod leaving;
mod same_topic;
mod starting;

use std::time::Duration;

use super::simulation::World;

const MOMENT: Duration = Duration::from_millis(600);

/// A member that reads these.
fn reading(numbers: &[i32]) -> World {
    let mut world = World::new(4);
    world.give(numbers);
    world.answer();
    world.round();
    world.wanted();
    world
}
