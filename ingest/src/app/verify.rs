//! The command `verify`: checks that the database is complete.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use crate::app::console::{complain, say};
use crate::app::dead_letters::reading_database;
use crate::app::progress::{ProgressOutput, ProgressReport};
use crate::cli::{Exit, VerifyArgs};
use crate::sink::database::HourTotals;

/// The reference values of an hour.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Expected {
    trades: f64,
    volume: f64,
}

const HOUR: i64 = 3_600_000;

/// How a line of a reference is written.
const FORM: &str = "hour,trades,volume_usd, as in 2025-10-09T08:00:00Z,1200,35000.5";

/// Compares each hour of the reference with what is stored. Fails if one of them differs by more
/// than the tolerance.
pub(super) fn verify(what: &VerifyArgs) -> Exit {
    let reference = match read(&what.reference) {
        Ok(reference) => reference,
        Err(error) => {
            complain(&error);
            return Exit::Failed;
        }
    };
    reading_database(&what.source, async |_, database| {
        say(&format!(
            "{:<20} {:>22} {:>30}",
            "hour", "trades (expected)", "volume (expected)"
        ));
        let hours = reference.len();
        let progress = ProgressReport::new("verify", "hours", hours as u64, ProgressOutput::Plain);
        let mut flagged = 0;
        for ((start, expected), done) in reference.iter().zip(1..) {
            let end = start.saturating_add(HOUR);
            let found = database.hours(*start, end).await?;
            progress.at(done, done);
            let good = line(*start, *expected, found.first(), what.tolerance);
            flagged += u32::from(!good);
        }
        progress.end();
        say(&format!("{flagged} of {hours} hours differ too much"));
        Ok(if flagged > 0 {
            Exit::Failed
        } else {
            Exit::Done
        })
    })
}

/// The expected values of each hour, or what is wrong with the file and how to fix it.
fn read(file: &Path) -> Result<BTreeMap<i64, Expected>, String> {
    let name = file.display();
    let text = fs::read_to_string(file).map_err(|error| {
        format!("--reference {name}: cannot be read: {error}; give a CSV of {FORM}")
    })?;
    match parse(&text) {
        Ok(hours) if hours.is_empty() => Err(format!(
            "--reference {name}: has no hours; it needs lines of {FORM}"
        )),
        Ok(hours) => Ok(hours),
        Err(error) => Err(format!("--reference {name}, {error}")),
    }
}

#[expect(clippy::cast_precision_loss, reason = "fewer than 2^53 trades an hour")]
fn line(start: i64, expected: Expected, hour: Option<&HourTotals>, tolerance: f64) -> bool {
    let trades = hour.map_or(0.0, |hour| hour.trades as f64);
    let volume = hour.map_or(0.0, |hour| hour.volume_usd);
    let good =
        within(trades, expected.trades, tolerance) && within(volume, expected.volume, tolerance);
    let since = Duration::from_millis(start.try_into().unwrap_or_default());
    let time = humantime::format_rfc3339_seconds(UNIX_EPOCH + since);
    let trades = format!("{trades} ({})", expected.trades);
    let volume = format!("{volume:.0} ({:.0})", expected.volume);
    let flag = if good { "" } else { "  <-" };
    say(&format!("{time:<20} {trades:>22} {volume:>30}{flag}"));
    good
}

fn within(found: f64, expected: f64, percent: f64) -> bool {
    (found - expected).abs() <= expected.abs() * percent / 100.0
}

/// Reads `hour,trades,volume_usd`, with or without that head.
fn parse(text: &str) -> Result<BTreeMap<i64, Expected>, String> {
    let mut hours = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || number == 0 && line.starts_with("hour") {
            continue;
        }
        let at = number + 1;
        let cells: Vec<&str> = line.split(',').map(str::trim).collect();
        let [hour, trades, volume] = cells.as_slice() else {
            let count = cells.len();
            return Err(format!(
                "line {at}: has {count} values instead of three: {FORM}"
            ));
        };
        let start = hour_of(hour).ok_or_else(|| {
            format!("line {at}: the hour `{hour}` is not written as 2025-10-09T08:00:00Z (UTC)")
        })?;
        let number = |cell: &str, name: &str| {
            let number = cell.parse::<f64>().ok();
            let number = number.filter(|number| number.is_finite() && *number >= 0.0);
            number.ok_or_else(|| {
                format!("line {at}: {name} `{cell}` is not a number such as 35000.5")
            })
        };
        let expected = Expected {
            trades: number(trades, "trades")?,
            volume: number(volume, "volume_usd")?,
        };
        if hours.insert(start, expected).is_some() {
            return Err(format!("line {at}: the hour `{hour}` occurs twice"));
        }
    }
    Ok(hours)
}

/// When the hour begins, in milliseconds since 1970.
fn hour_of(text: &str) -> Option<i64> {
    let time = humantime::parse_rfc3339_weak(text).ok()?;
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    let start = i64::try_from(since.as_millis()).ok()?;
    Some(start - start.rem_euclid(HOUR))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_read_with_and_without_a_head() {
        let line = "2025-10-09T08:00:00Z, 1200, 35000.5\n";
        let expected = Expected {
            trades: 1200.0,
            volume: 35000.5,
        };
        for text in [line.to_owned(), format!("hour,trades,volume_usd\n\n{line}")] {
            let hours = parse(&text).unwrap();
            assert_eq!(hours, BTreeMap::from([(1_759_996_800_000, expected)]));
        }
        for (text, told) in [
            (
                "2025-10-09T08:00:00Z,1200",
                "line 1: has 2 values instead of three",
            ),
            (
                "09.10.2025 08:00,1,2",
                "line 1: the hour `09.10.2025 08:00` is not written as",
            ),
            (
                "2025-10-09T08:00:00Z,1,1\n2025-10-09 09:00:00 PM,1,2",
                "line 2: the hour",
            ),
            (
                "2025-10-09T08:00:00Z,x,2",
                "line 1: trades `x` is not a number",
            ),
            (
                "2025-10-09T08:00:00Z,1,-2",
                "line 1: volume_usd `-2` is not a number",
            ),
            (
                "2025-10-09T08:00:00Z,1,2\n2025-10-09T08:10:00Z,1,2",
                "occurs twice",
            ),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
        }
    }

    #[test]
    fn five_percent_more_or_less_is_tolerated() {
        for (found, good) in [(95.0, true), (105.0, true), (94.9, false), (105.1, false)] {
            assert_eq!(within(found, 100.0, 5.0), good, "{found}");
        }
        assert!(within(0.0, 0.0, 5.0) && !within(1.0, 0.0, 5.0));
    }
}
