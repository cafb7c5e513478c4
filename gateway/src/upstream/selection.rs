//! Which upstreams a call may go to, and in which order.

pub(super) mod attempt;
pub(super) mod pool;
pub(super) mod score;
pub(super) mod select;
