//! The time of day, as far as it is needed: where providers name a time to come back.

/// Seconds since the Unix epoch, for reset times that providers give in that form.
#[derive(Clone, Copy)]
pub struct UnixClock(fn() -> u64);

impl UnixClock {
    pub fn new(seconds: fn() -> u64) -> Self {
        Self(seconds)
    }

    pub fn now(self) -> u64 {
        (self.0)()
    }
}
