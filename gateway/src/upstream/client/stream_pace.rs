//! Whether a stream makes progress while its upstream is waited for. The time that its consumer takes
//! does not count. Only the rule; the [stream](super::stream) does the waiting.

use std::time::Duration;

use crate::solana::FaultKind;

/// Minimum number of bytes for each second that the upstream is waited for.
const LEAST_PER_SECOND: u64 = 1024;

/// The pace of a stream, looked at whenever its upstream has been waited for as long as the window, in
/// one piece or in many.
#[derive(Debug)]
pub(super) struct StreamPace {
    /// In microseconds.
    window: u64,
    /// How long the upstream was waited for in this window, and what came.
    waited: u64,
    came: u64,
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl StreamPace {
    pub(super) fn new(window: Duration) -> Self {
        Self {
            window: micros(window),
            waited: 0,
            came: 0,
        }
    }

    /// How much longer the upstream may be waited for before the next look.
    pub(super) fn left(&self) -> Duration {
        Duration::from_micros(self.window.saturating_sub(self.waited))
    }

    pub(super) fn waited(&mut self, time: Duration) {
        self.waited = self.waited.saturating_add(micros(time));
    }

    pub(super) fn came(&mut self, bytes: usize) {
        self.came = self.came.saturating_add(bytes as u64);
    }

    /// The window is over: whether the stream may go on.
    pub(super) fn look(&mut self) -> Result<(), FaultKind> {
        let least = LEAST_PER_SECOND.saturating_mul(self.window) / 1_000_000;
        let enough = self.came >= least.max(1);
        (self.waited, self.came) = (0, 0);
        if enough {
            Ok(())
        } else {
            Err(FaultKind::Stalled)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(8);

    /// So many bytes after each wait of a second: how many looks out of ten it survives.
    fn survives(bytes: usize) -> usize {
        let mut pace = StreamPace::new(WINDOW);
        for look in 0..10 {
            while !pace.left().is_zero() {
                pace.waited(Duration::from_secs(1));
                pace.came(bytes);
            }
            if pace.look().is_err() {
                return look;
            }
        }
        10
    }

    #[test]
    fn silence_and_a_trickle_end_at_the_first_look() {
        assert_eq!(survives(0), 0);
        assert_eq!(survives(200), 0);
        assert_eq!(survives(1023), 0);
    }

    #[test]
    fn what_is_slow_but_comes_goes_on() {
        assert_eq!(survives(1024), 10);
        assert_eq!(survives(1_000_000), 10);
    }
}
