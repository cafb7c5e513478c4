//! How the benchmarks time and tell.

#![allow(dead_code, reason = "each of them uses a part")]

use std::io::Write;

use tokio::time::Instant;

pub(crate) const ROUNDS: usize = 9;

pub(crate) fn tell(what: &str, bound: &str, nanos: f64) {
    drop(writeln!(
        std::io::stdout().lock(),
        "{nanos:>12.1} ns  {what} (asked for: {bound})"
    ));
}

pub(crate) fn tell_bytes(what: &str, bound: &str, bytes: usize) {
    drop(writeln!(
        std::io::stdout().lock(),
        "{bytes:>12} B   {what} (asked for: {bound})"
    ));
}

/// The median of some rounds.
pub(crate) fn median(mut rounds: Vec<f64>) -> f64 {
    rounds.sort_by(f64::total_cmp);
    rounds.get(rounds.len() / 2).copied().unwrap_or_default()
}

#[expect(clippy::cast_precision_loss, reason = "a benchmark")]
pub(crate) fn each(begun: Instant, calls: usize) -> f64 {
    begun.elapsed().as_nanos() as f64 / calls as f64
}

pub(crate) fn timed(calls: usize, mut one: impl FnMut()) -> f64 {
    let round = |_| {
        let begun = Instant::now();
        for _ in 0..calls {
            one();
        }
        each(begun, calls)
    };
    median((0..ROUNDS).map(round).collect())
}
