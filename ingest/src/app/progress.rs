//! Progress of a command: a bar with rate and time left at a terminal, otherwise an occasional
//! line.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use indicatif::{ProgressBar, ProgressStyle};
use parking_lot::Mutex;
use tokio::time::{Duration, Instant, MissedTickBehavior, interval};

use crate::app::console::complain;

/// Between two lines.
const LINES: Duration = Duration::from_secs(10);

/// How often other tasks' progress is checked.
const LOOK: Duration = Duration::from_millis(200);

/// Where lines go when there is no terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProgressOutput {
    /// To standard error, as they are.
    Plain,
    /// Into the log.
    Log,
}

/// The progress of one command.
#[derive(Debug)]
pub(super) struct ProgressReport {
    command: &'static str,
    /// What is counted, in the plural.
    unit: &'static str,
    /// The end, in the unit of `place`; 0 if unknown.
    total: u64,
    begun: Instant,
    shown: Shown,
}

#[derive(Debug)]
enum Shown {
    Bar(ProgressBar),
    Lines(ProgressOutput, Mutex<Instant>),
}

impl ProgressReport {
    /// `total` is where it will end, in any measure.
    pub(super) fn new(
        command: &'static str,
        unit: &'static str,
        total: u64,
        place: ProgressOutput,
    ) -> Self {
        let begun = Instant::now();
        let shown = if io::stderr().is_terminal() {
            Shown::Bar(bar(command, total))
        } else {
            Shown::Lines(place, Mutex::new(begun))
        };
        Self {
            command,
            unit,
            total,
            begun,
            shown,
        }
    }

    /// It has come to this place, and counted so many.
    pub(super) fn at(&self, place: u64, count: u64) {
        match &self.shown {
            Shown::Bar(bar) => {
                bar.set_position(place.min(self.total.max(place)));
                let state = self.state(place, count);
                bar.set_message(state.text(self.unit));
            }
            Shown::Lines(to, last) => {
                let mut last = last.lock();
                if last.elapsed() < LINES {
                    return;
                }
                *last = Instant::now();
                self.line(*to, &self.state(place, count));
            }
        }
    }

    /// Takes the bar away.
    pub(super) fn end(&self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }

    fn line(&self, to: ProgressOutput, state: &State) {
        match to {
            ProgressOutput::Plain => {
                complain(&format!("{}: {}", self.command, state.text(self.unit)));
            }
            ProgressOutput::Log => tracing::info!(
                command = self.command,
                count = state.count,
                unit = self.unit,
                per_second = state.rate,
                percent = state.percent,
                left_seconds = state.left.map(|left| left.as_secs()),
                "in progress"
            ),
        }
    }

    fn state(&self, place: u64, count: u64) -> State {
        State::of(self.begun.elapsed(), place, self.total, count)
    }
}

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    count: u64,
    rate: u64,
    percent: Option<u64>,
    left: Option<Duration>,
}

impl State {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "for people"
    )]
    fn of(elapsed: Duration, place: u64, total: u64, count: u64) -> Self {
        let seconds = elapsed.as_secs_f64().max(1e-3);
        let share = place as f64 / total as f64;
        let known = total > 0 && place > 0 && share <= 1.0;
        Self {
            count,
            rate: (count as f64 / seconds) as u64,
            percent: known.then_some((share * 100.0) as u64),
            left: known.then(|| Duration::from_secs((seconds * (1.0 / share - 1.0)) as u64)),
        }
    }

    fn text(&self, unit: &str) -> String {
        let Self {
            count,
            rate,
            percent,
            left,
        } = self;
        let mut text = format!("{count} {unit}, {rate}/s");
        if let Some(percent) = percent {
            text = format!("{percent} %, {text}");
        }
        if let Some(left) = left {
            text = format!("{text}, {} left", humantime::format_duration(*left));
        }
        text
    }
}

fn bar(command: &'static str, total: u64) -> ProgressBar {
    let template = if total > 0 {
        "{prefix} [{bar:30}] {msg}"
    } else {
        "{prefix} {spinner} {msg}"
    };
    let bar = if total > 0 {
        ProgressBar::new(total)
    } else {
        ProgressBar::new_spinner()
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.with_prefix(command)
}

/// Runs a task elsewhere and shows its progress: the place and the count.
pub(super) async fn with_progress<T>(
    work: impl Future<Output = T>,
    progress: &ProgressReport,
    look: impl Fn() -> (u64, u64),
) -> T {
    let mut work = std::pin::pin!(work);
    let mut times = interval(LOOK);
    times.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            done = &mut work => {
                progress.end();
                return done;
            }
            _ = times.tick() => {
                let (place, count) = look();
                progress.at(place, count);
            }
        }
    }
}

/// A file, and how much of it was read.
#[derive(Debug)]
pub(super) struct Counted {
    file: File,
    length: u64,
    read: Arc<AtomicU64>,
}

impl Counted {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        Ok(Self {
            length: file.metadata()?.len(),
            file,
            read: Arc::default(),
        })
    }

    /// Bytes of the file.
    pub(super) const fn length(&self) -> u64 {
        self.length
    }

    /// Bytes that were read, now and later.
    pub(super) fn count(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.read)
    }
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_share_and_time_left_are_told_as_far_as_they_are_known() {
        let text = |place, total, count| {
            State::of(Duration::from_secs(10), place, total, count).text("messages")
        };
        for (place, total, count, told) in [
            (25, 100, 5000, "25 %, 5000 messages, 500/s, 30s left"),
            (100, 100, 9000, "100 %, 9000 messages, 900/s, 0s left"),
            (0, 100, 0, "0 messages, 0/s"),
            (7, 0, 70, "70 messages, 7/s"),
        ] {
            assert_eq!(text(place, total, count), told);
        }
    }
}
