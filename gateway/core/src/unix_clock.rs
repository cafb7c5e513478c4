//! The time of day, as far as it is needed: where others name a time, or read one.

/// The time since 1970, passed in so that tests decide it.
#[derive(Clone, Copy, Debug)]
pub struct UnixClock(fn() -> u64);

impl UnixClock {
    /// A clock that reads these milliseconds since 1970.
    pub const fn new(millis: fn() -> u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970.
    pub fn millis(self) -> u64 {
        (self.0)()
    }

    /// Whole seconds since 1970.
    pub fn seconds(self) -> u64 {
        self.millis() / 1000
    }
}
