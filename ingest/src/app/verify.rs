//! The command `verify`: is everything there that should be?

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, UNIX_EPOCH};

use crate::app::letters::{Failure, reading_database};
use crate::app::say;
use crate::cli::{Exit, Verify};
use crate::sink::database::Hour;

/// What a reference says of an hour.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Expected {
    trades: f64,
    volume: f64,
}

const HOUR: i64 = 3_600_000;

/// Compares each hour of the reference with what is stored. Fails when one of them differs by more
/// than is tolerated.
pub(super) fn verify(what: &Verify) -> Exit {
    reading_database(&what.source, async |_, database| {
        let file = what.reference.display();
        let text = fs::read_to_string(&what.reference)
            .map_err(|error| Failure::Other(format!("cannot read {file}: {error}")))?;
        let reference = parse(&text).map_err(|error| Failure::Other(format!("{file}: {error}")))?;
        let (Some((first, _)), Some((last, _))) =
            (reference.first_key_value(), reference.last_key_value())
        else {
            return Err(Failure::Other("the reference has no hours".to_owned()));
        };
        let found = database.hours(*first, last.saturating_add(HOUR)).await?;
        let found: BTreeMap<i64, Hour> = found.into_iter().map(|hour| (hour.start, hour)).collect();
        let mut flagged = 0;
        say(&format!(
            "{:<20} {:>22} {:>30}",
            "hour", "trades (expected)", "volume (expected)"
        ));
        for (start, expected) in &reference {
            let hour = found.get(start);
            let good = line(*start, *expected, hour, what.tolerance);
            flagged += u32::from(!good);
        }
        say(&format!(
            "{flagged} of {} hours differ too much",
            reference.len()
        ));
        Ok(if flagged > 0 {
            Exit::Failed
        } else {
            Exit::Done
        })
    })
}

#[expect(clippy::cast_precision_loss, reason = "fewer than 2^53 trades an hour")]
fn line(start: i64, expected: Expected, hour: Option<&Hour>, tolerance: f64) -> bool {
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
        let wrong = || {
            format!(
                "line {} is not hour,trades,volume_usd, as in 2025-10-09T08:00:00Z,1200,35000.5",
                number + 1
            )
        };
        let cells: Vec<&str> = line.split(',').map(str::trim).collect();
        let [hour, trades, volume] = cells.as_slice() else {
            return Err(wrong());
        };
        let time = humantime::parse_rfc3339_weak(hour).map_err(|_error| wrong())?;
        let since = time.duration_since(UNIX_EPOCH).map_err(|_error| wrong())?;
        let start = i64::try_from(since.as_millis()).map_err(|_error| wrong())?;
        let number = |cell: &str| cell.parse::<f64>().ok().filter(|number| number.is_finite());
        let expected = Expected {
            trades: number(trades).ok_or_else(wrong)?,
            volume: number(volume).ok_or_else(wrong)?,
        };
        hours.insert(start - start.rem_euclid(HOUR), expected);
    }
    Ok(hours)
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
        for text in [
            "2025-10-09T08:00:00Z,1200",
            "then,1,2",
            "2025-10-09T08:00:00Z,x,2",
        ] {
            assert!(parse(text).unwrap_err().contains("line 1"), "{text}");
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
