//! How much was traded in the last minutes.

/// Milliseconds that are reported.
pub(super) const WINDOW: f64 = 600_000.0;

/// Counts over the window, in two halves that take turns: no trade is remembered for it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    began: f64,
    now: Sums,
    before: Sums,
}

/// What is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Sums {
    pub(super) trades: f64,
    pub(super) usd: f64,
}

impl Window {
    pub(super) fn add(&mut self, usd: f64, active: f64) {
        let passed = active - self.began;
        if passed >= 2.0 * WINDOW {
            *self = Self {
                began: active,
                ..Self::default()
            };
        } else if passed >= WINDOW {
            self.before = std::mem::take(&mut self.now);
            self.began += WINDOW;
        }
        self.now.trades += 1.0;
        self.now.usd += usd;
    }

    /// What the last window came to: of the part that lies in the half before, its share.
    pub(super) fn sums(&self, active: f64) -> Sums {
        let passed = (active - self.began) / WINDOW;
        let share = |half: f64| (1.0 - half).clamp(0.0, 1.0);
        let (now, before) = (share(passed - 1.0), share(passed));
        Sums {
            trades: self.now.trades * now + self.before.trades * before,
            usd: self.now.usd * now + self.before.usd * before,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_the_window_fades_out() {
        let mut window = Window::default();
        for second in 0..3_600 {
            window.add(2.0, f64::from(second) * 1_000.0);
        }
        let sums = window.sums(3_600_000.0);
        assert!((sums.trades - 600.0).abs() < 2.0, "{sums:?}");
        assert!((sums.usd - 1_200.0).abs() < 4.0, "{sums:?}");
        assert_eq!(window.sums(3_600_000.0 + 2.0 * WINDOW), Sums::default());
    }
}
