//! Whether a socket is alive, judging by what arrives. Pure: the time is passed in.
//!
//! A connection whose peer has vanished looks like one on which nothing happens. So every socket
//! has a beacon, a subscription that notifies with every slot. If it is silent because the whole
//! cluster has stopped, the answer to a ping is enough.

use std::time::Duration;

use tokio::time::Instant;

/// State of the pulse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PulseState {
    Alive,
    /// It should be pinged.
    Doubtful,
    Dead,
}

#[derive(Debug)]
pub(super) struct Pulse {
    silence: Duration,
    /// The last arrival of anything.
    heard: Instant,
    /// The last arrival of a new slot.
    beat: Instant,
    beacon: bool,
    asked: Option<Instant>,
}

impl Pulse {
    pub(super) fn new(silence: Duration, now: Instant) -> Self {
        Self {
            silence,
            heard: now,
            beat: now,
            beacon: false,
            asked: None,
        }
    }

    /// The beacon's subscription was confirmed.
    pub(super) fn has_beacon(&mut self, now: Instant) {
        self.beacon = true;
        self.beat = now;
    }

    /// Something arrived.
    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = now;
        self.asked = None;
    }

    /// The beacon reported a new slot.
    pub(super) fn beat(&mut self, now: Instant) {
        self.beat = now;
    }

    /// `goes_on` says whether the cluster has advanced since the last slot.
    pub(super) fn look(&mut self, now: Instant, goes_on: impl Fn() -> bool) -> PulseState {
        let since = |at: Instant| now.saturating_duration_since(at);
        if since(self.heard) >= self.silence {
            return PulseState::Dead;
        }
        if self.beacon && since(self.beat) >= self.silence && goes_on() {
            return PulseState::Dead;
        }
        if since(self.heard) >= self.silence / 2 && self.asked.is_none() {
            self.asked = Some(now);
            return PulseState::Doubtful;
        }
        PulseState::Alive
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENCE: Duration = Duration::from_secs(3);

    fn pulse() -> (Pulse, impl Fn(u64) -> Instant) {
        let start = Instant::now();
        let mut pulse = Pulse::new(SILENCE, start);
        pulse.has_beacon(start);
        (pulse, move |millis| start + Duration::from_millis(millis))
    }

    #[test]
    fn a_socket_on_which_nothing_comes_is_asked_and_then_dead() {
        let (mut pulse, at) = pulse();
        assert_eq!(pulse.look(at(1000), || true), PulseState::Alive);
        assert_eq!(pulse.look(at(1500), || true), PulseState::Doubtful);
        assert_eq!(
            pulse.look(at(1600), || true),
            PulseState::Alive,
            "asked once"
        );
        assert_eq!(pulse.look(at(3000), || false), PulseState::Dead);
    }

    #[test]
    fn one_that_answers_pings_while_the_cluster_stands_still_is_alive() {
        let (mut pulse, at) = pulse();
        for second in 1..60 {
            pulse.heard(at(second * 1000));
            assert_ne!(
                pulse.look(at(second * 1000 + 1), || false),
                PulseState::Dead
            );
        }
    }

    #[test]
    fn one_that_answers_pings_and_tells_no_slots_while_the_cluster_goes_on_is_dead() {
        let (mut pulse, at) = pulse();
        pulse.heard(at(2900));
        assert_eq!(pulse.look(at(2950), || true), PulseState::Alive);
        assert_eq!(pulse.look(at(3000), || true), PulseState::Dead);
    }

    #[test]
    fn one_without_a_beacon_lives_as_long_as_it_answers() {
        let start = Instant::now();
        let mut pulse = Pulse::new(SILENCE, start);
        pulse.heard(start + SILENCE);
        assert_eq!(pulse.look(start + SILENCE, || true), PulseState::Alive);
        assert_eq!(pulse.look(start + SILENCE * 2, || true), PulseState::Dead);
    }
}
