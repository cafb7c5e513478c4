//! What the header fields of a reply say about limits, keys and content. Every HTTP version reads
//! them here, so that a provider is understood the same way over each.

use std::time::{Duration, UNIX_EPOCH};

use crate::solana::ReplyHints;

/// The longest pause that is believed, in seconds.
const LONGEST_PAUSE: u64 = 86_400;

/// The pause that the value of `Retry-After` asks for; a date is compared with `unix_now`, in seconds.
pub fn retry_after(value: &[u8], unix_now: u64) -> Option<Duration> {
    let until = || {
        let left = date(value)?.saturating_sub(unix_now);
        Some(Duration::from_secs(left.min(LONGEST_PAUSE)))
    };
    seconds(value).or_else(until)
}

/// Reads one field, if it is of interest. Length first: it differs for nearly all names, so that
/// few names are compared.
pub(in crate::upstream) fn read(hints: &mut ReplyHints, name: &str, value: &[u8]) {
    let is = |known: &str| name.eq_ignore_ascii_case(known);
    match name.len() {
        11 if is("retry-after") => {
            hints.retry_after = seconds(value);
            hints.retry_at_unix = date(value);
        }
        12 if is("content-type") => {
            hints.content_type_json = is_json(value);
            hints.content_type = usual_type(value);
        }
        12 if is("cf-mitigated") => {
            hints.challenge = value.eq_ignore_ascii_case(b"challenge");
        }
        17 if is("x-ratelimit-reset") => hints.ratelimit_reset_unix = rounded_up(value),
        24 if is("x-ratelimit-method-limit") => hints.method_limit = signed(value),
        _ => {}
    }
}

/// Digits only: no sign, no fraction, no overflow.
pub(in crate::upstream) fn number(value: &[u8]) -> Option<u64> {
    let digits = value.trim_ascii();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Whole seconds, or with a fraction as some servers write them, rounded up; a day at most.
fn seconds(value: &[u8]) -> Option<Duration> {
    let pause = rounded_up(value)?;
    Some(Duration::from_secs(pause.min(LONGEST_PAUSE)))
}

/// A number that may have a fraction; the largest for one that is larger still.
fn rounded_up(value: &[u8]) -> Option<u64> {
    let value = value.trim_ascii();
    let dot = value.iter().position(|byte| *byte == b'.');
    let (whole, fraction) = value.split_at(dot.unwrap_or(value.len()));
    let up = match fraction.split_first() {
        Some((_dot, digits)) if is_digits(digits) => {
            u64::from(digits.iter().any(|digit| *digit != b'0'))
        }
        Some(_) => return None,
        None => 0,
    };
    let overflows = || is_digits(whole).then_some(u64::MAX);
    Some(number(whole).or_else(overflows)?.saturating_add(up))
}

fn is_digits(value: &[u8]) -> bool {
    !value.is_empty() && value.iter().all(u8::is_ascii_digit)
}

/// A date in any of the three forms of RFC 9110 (section 5.6.7), in seconds since the Unix epoch.
fn date(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value.trim_ascii()).ok()?;
    let date = httpdate::parse_http_date(text).ok()?;
    let since = date.duration_since(UNIX_EPOCH).ok()?;
    Some(since.as_secs())
}

fn signed(value: &[u8]) -> Option<i64> {
    std::str::from_utf8(value.trim_ascii()).ok()?.parse().ok()
}

/// The content type as it is passed on with a refusal.
fn usual_type(value: &[u8]) -> Option<&'static str> {
    const USUAL: [&str; 8] = [
        "application/json",
        "application/json; charset=utf-8",
        "text/plain",
        "text/plain; charset=utf-8",
        "text/html",
        "text/html; charset=utf-8",
        "application/xml",
        "application/problem+json",
    ];
    let value = value.trim_ascii();
    let usual = |known: &&&str| value.eq_ignore_ascii_case(known.as_bytes());
    USUAL.iter().find(usual).copied()
}

fn is_json(value: &[u8]) -> bool {
    let media = value.split(|byte| *byte == b';').next().unwrap_or_default();
    media.trim_ascii().eq_ignore_ascii_case(b"application/json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retry_after(value: &str) -> (Option<u64>, Option<u64>) {
        let mut hints = ReplyHints::default();
        read(&mut hints, "Retry-After", value.as_bytes());
        let after = hints.retry_after.map(|after| after.as_secs());
        (after, hints.retry_at_unix)
    }

    #[test]
    fn retry_after_is_a_number_of_seconds_or_a_date_in_any_form() {
        for (value, expected) in [
            ("30", (Some(30), None)),
            (" 7 ", (Some(7), None)),
            ("0", (Some(0), None)),
            ("1.5", (Some(2), None)),
            ("2.0", (Some(2), None)),
            ("86401", (Some(86_400), None)),
            ("18446744073709551615", (Some(86_400), None)),
            ("18446744073709551616", (Some(86_400), None)),
            ("99999999999999999999999.5", (Some(86_400), None)),
            ("3.00000000000000000000000001", (Some(4), None)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", (None, Some(784_111_777))),
            ("Sunday, 06-Nov-94 08:49:37 GMT", (None, Some(784_111_777))),
            ("Sun Nov  6 08:49:37 1994", (None, Some(784_111_777))),
            (
                "Fri, 31 Dec 9999 23:59:59 GMT",
                (None, Some(253_402_300_799)),
            ),
        ] {
            assert_eq!(retry_after(value), expected, "{value:?}");
        }
    }

    #[test]
    fn what_is_neither_says_nothing() {
        for value in [
            "",
            "soon",
            "-1",
            "+1",
            "1.",
            ".5",
            "1e3",
            "1.x",
            "1 2",
            "06 Nov 1994",
            "Sun, 31 Feb 2027 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37",
            "Thu, 01 Jan 1960 00:00:00 GMT",
        ] {
            assert_eq!(retry_after(value), (None, None), "{value:?}");
        }
    }

    #[test]
    fn the_end_of_a_window_may_have_a_fraction() {
        for (value, expected) in [
            ("1790000007", Some(1_790_000_007)),
            ("1790000007.25", Some(1_790_000_008)),
            ("1790000007.000", Some(1_790_000_007)),
            ("99999999999999999999", Some(u64::MAX)),
            ("1.79e9", None),
            ("-1", None),
            ("", None),
        ] {
            let mut hints = ReplyHints::default();
            read(&mut hints, "x-ratelimit-reset", value.as_bytes());
            assert_eq!(hints.ratelimit_reset_unix, expected, "{value:?}");
        }
    }
}
