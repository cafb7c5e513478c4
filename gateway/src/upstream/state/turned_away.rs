//! Whether an upstream refuses every call because it is behind or unhealthy (-32005). Pure: time is
//! passed in.

use std::time::Duration;

use tokio::time::Instant;

/// It refuses every call once it has served none for this long since the first refusal: a moment is
/// no reason to say that the gateway cannot serve.
const LASTS: Duration = Duration::from_secs(2);
/// Without further refusals this is over after so long, unless it still calls itself unhealthy.
const FORGOTTEN: Duration = Duration::from_secs(10);

/// Refusals in a row, without a served call between them.
#[derive(Debug, Default)]
pub(in crate::upstream) struct TurnedAway {
    /// When the first was, and the last.
    row: Option<(Instant, Instant)>,
}

impl TurnedAway {
    /// A call was refused.
    pub(in crate::upstream) fn note(&mut self, now: Instant) {
        let first = self
            .row
            .filter(|(_, last)| now.saturating_duration_since(*last) < FORGOTTEN)
            .map_or(now, |(first, _)| first);
        self.row = Some((first, now));
    }

    /// A call was served.
    pub(in crate::upstream) fn served(&mut self) {
        self.row = None;
    }

    pub(in crate::upstream) fn is_empty(&self) -> bool {
        self.row.is_none()
    }

    /// Whether it refuses every call. `unwell`: it calls itself unhealthy or behind.
    pub(in crate::upstream) fn refuses_all(&self, unwell: bool, now: Instant) -> bool {
        self.row.is_some_and(|(first, last)| {
            let lately = now.saturating_duration_since(last) < FORGOTTEN;
            now.saturating_duration_since(first) >= LASTS && (unwell || lately)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_refused_call_now_and_then_is_not_every_call() {
        let mut now = Instant::now();
        let mut turned_away = TurnedAway::default();
        assert!(!turned_away.refuses_all(true, now + FORGOTTEN));
        for _ in 0..10 {
            turned_away.note(now);
            assert!(!turned_away.refuses_all(true, now), "one alone");
            now += LASTS / 2;
            turned_away.served();
        }
        now += LASTS;
        assert!(!turned_away.refuses_all(true, now), "it serves");
        turned_away.note(now);
        assert!(!turned_away.refuses_all(true, now + LASTS / 2));
        assert!(turned_away.refuses_all(true, now + LASTS));
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_over_when_the_upstream_calls_itself_well_and_refuses_no_more() {
        let mut now = Instant::now();
        let mut turned_away = TurnedAway::default();
        turned_away.note(now);
        now += LASTS;
        turned_away.note(now);
        assert!(turned_away.refuses_all(false, now));
        now += FORGOTTEN;
        assert!(!turned_away.refuses_all(false, now));
        assert!(turned_away.refuses_all(true, now));
        turned_away.note(now);
        assert!(!turned_away.refuses_all(false, now), "a new row");
    }
}
