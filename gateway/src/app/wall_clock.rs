//! The wall clock.

use std::time::{SystemTime, UNIX_EPOCH};

use perijove_core::UnixClock;

/// The clock of the running gateway.
pub(super) const WALL_CLOCK: UnixClock = UnixClock::new(unix_now_millis);

#[expect(
    clippy::disallowed_methods,
    reason = "the one place where the wall clock comes in"
)]
pub(super) fn system_time() -> SystemTime {
    SystemTime::now()
}

fn unix_now_millis() -> u64 {
    let since = system_time().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}
