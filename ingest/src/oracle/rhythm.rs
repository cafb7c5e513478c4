//! How often a pool is usually traded in, by value: trades of a few cents change nothing about it.

/// Slots over which the usual trade and the usual pause are learned.
const TRADES: f64 = 64.0;
const PAUSES: f64 = 8.0;

/// The usual pause falls to half, and doubles, in no less than this many milliseconds once it is
/// known from so many slots: nobody can make a pool seem silent, or keep it awake, by trading in it
/// for a while.
const SLOWLY: f64 = 600_000.0;
const KNOWN: f64 = 16.0;

/// Assumed for a pool of which nothing is known.
const UNKNOWN_PAUSE: f64 = 60_000.0;

/// How silent a pool may be before it counts half, in its usual pauses and in milliseconds.
const SILENT: f64 = 12.0;
const SILENT_LEAST: f64 = 4_000.0;
const SILENT_MOST: f64 = 1_800_000.0;

/// The rhythm of a pool. Each trade counts as the share that it is of a usual one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rhythm {
    /// The usual trade, in dollars.
    typical: f64,
    slots: f64,
    slot: u64,
    last: f64,
    /// The time from one slot with trades to the next, lately and usually.
    pause: Option<f64>,
    usual: Option<f64>,
    /// Up to when it has been trading, in active time: a small trade is little of that.
    awake: f64,
}

impl Rhythm {
    pub(super) const fn new(active: f64) -> Self {
        Self {
            typical: 0.0,
            slots: 0.0,
            slot: 0,
            last: active,
            pause: None,
            usual: None,
            awake: active,
        }
    }

    /// A trade of so many dollars in a slot, at an active time.
    pub(super) fn note(&mut self, slot: u64, usd: f64, at: f64) {
        if self.slots < 1.0 {
            self.typical = usd;
            self.awake = at;
        }
        let share = (usd / self.typical).min(1.0);
        if slot > self.slot {
            if self.slots >= 1.0 {
                self.learn_pause(at, share);
            }
            self.slot = slot;
            self.last = at;
            self.slots += 1.0;
            let differs = usd.min(2.0 * self.typical) - self.typical;
            self.typical += differs * share.sqrt() / self.slots.min(TRADES);
        }
        self.awake += (at - self.awake).max(0.0) * share;
    }

    fn learn_pause(&mut self, at: f64, share: f64) {
        let pause = (at - self.awake).max(1.0);
        let toward = |usual: f64| usual + (pause - usual) * share / PAUSES;
        match (self.pause, self.usual) {
            (Some(lately), Some(usual)) => {
                self.pause = Some(toward(lately));
                let most = ((at - self.last).max(0.0) / SLOWLY).exp2();
                self.usual = Some(if self.slots < KNOWN {
                    toward(usual)
                } else {
                    toward(usual).clamp(usual / most, usual * most)
                });
            }
            _ if share >= 0.5 => {
                self.pause = Some(pause);
                self.usual = Some(pause);
            }
            _ => {}
        }
    }

    /// The time from one slot with trades to the next, lately.
    pub(super) fn pause(&self) -> f64 {
        self.pause.unwrap_or(UNKNOWN_PAUSE)
    }

    /// 1 while it trades as usual, less the longer it does not, as far as others trade instead:
    /// `taken` is from 0 to 1.
    pub(super) fn wakeful(&self, taken: f64, active: f64) -> f64 {
        let half = SILENT * self.usual.unwrap_or(UNKNOWN_PAUSE);
        let half = half.clamp(SILENT_LEAST, SILENT_MOST);
        (-(active - self.awake).max(0.0) * taken / half).exp2()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A trade a minute of 480 dollars for an hour.
    fn minutely() -> Rhythm {
        let mut rhythm = Rhythm::new(0.0);
        for minute in 0..60_u32 {
            let slot = u64::from(minute) * 150 + 1;
            rhythm.note(slot, 480.0, f64::from(minute) * 60_000.0);
        }
        rhythm
    }

    #[test]
    fn neither_pulses_of_cents_nor_a_minute_of_trades_change_what_is_usual() {
        for usd in [0.6, 480.0] {
            let mut rhythm = minutely();
            let mut at = 3_540_000.0;
            for pulse in 0..50_u64 {
                at += 400.0;
                rhythm.note(9_000 + pulse, usd, at);
            }
            let left = rhythm.wakeful(1.0, at + 60_000.0);
            assert!(left > 0.85, "{usd}: {left} {rhythm:?}");
        }
    }

    #[test]
    fn trades_of_cents_do_not_keep_a_pool_awake() {
        let mut rhythm = Rhythm::new(0.0);
        for slot in 0..1_000_u32 {
            rhythm.note(u64::from(slot) + 1, 480.0, f64::from(slot) * 400.0);
        }
        let mut at = 400_000.0;
        for pulse in 0..250_u64 {
            at += 400.0;
            rhythm.note(2_000 + pulse, 0.6, at);
        }
        let left = rhythm.wakeful(1.0, at);
        assert!(left < 0.001, "{left} {rhythm:?}");
        assert!(rhythm.wakeful(0.0, at) > 0.999);
    }
}
