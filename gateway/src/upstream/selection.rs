//! Which upstreams a call may go to, and in which order.

mod given;
mod obstacle;
pub(super) mod pool;
mod random_pair;
pub(super) mod readiness;
pub(super) mod requirements;
pub(super) mod score;
pub(super) mod select;
