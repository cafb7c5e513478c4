//! Single values: how each type is written in the file, and how it is shown.
//!
//! Every value is read from its text, so `"5"`, `5` and `${FIVE}` mean the same.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use serde_json::{Value, json};

use crate::telemetry::Format;

/// The type of a key's value.
pub trait Setting: Sized {
    /// What the value has to be, after "must be".
    const EXPECTED: &'static str;

    /// None when the text is not what was expected.
    fn from_text(text: &str) -> Option<Self>;

    /// As one would write it, for defaults and bounds.
    fn show(&self) -> Value;

    /// Its JSON Schema, without bounds.
    fn schema() -> Value;
}

/// The pattern of a reference to the environment, for values that are not text otherwise.
pub const REFERENCE: &str = r"\$\{";

macro_rules! whole_numbers {
    ($($number:ty),*) => {$(
        impl Setting for $number {
            const EXPECTED: &'static str = "a whole number";

            fn from_text(text: &str) -> Option<Self> {
                text.parse().ok()
            }

            fn show(&self) -> Value {
                json!(self)
            }

            fn schema() -> Value {
                json!({ "type": ["integer", "string"], "pattern": REFERENCE })
            }
        }
    )*};
}

whole_numbers!(u32, u64, usize);

impl Setting for f64 {
    const EXPECTED: &'static str = "a number";

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok().filter(|number: &f64| number.is_finite())
    }

    fn show(&self) -> Value {
        json!(self)
    }

    fn schema() -> Value {
        json!({ "type": ["number", "string"], "pattern": REFERENCE })
    }
}

impl Setting for bool {
    const EXPECTED: &'static str = "true or false";

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn show(&self) -> Value {
        json!(self)
    }

    fn schema() -> Value {
        json!({ "type": ["boolean", "string"], "pattern": REFERENCE })
    }
}

impl Setting for String {
    const EXPECTED: &'static str = "text";

    fn from_text(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }

    fn show(&self) -> Value {
        json!(self)
    }

    fn schema() -> Value {
        json!({ "type": "string" })
    }
}

impl Setting for PathBuf {
    const EXPECTED: &'static str = "a path";

    fn from_text(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self::from(text))
    }

    fn show(&self) -> Value {
        json!(self)
    }

    fn schema() -> Value {
        json!({ "type": "string", "minLength": 1 })
    }
}

impl Setting for SocketAddr {
    const EXPECTED: &'static str = "an address with a port, such as 127.0.0.1:8899";

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn show(&self) -> Value {
        json!(self)
    }

    fn schema() -> Value {
        json!({ "type": "string", "examples": ["127.0.0.1:8899", "[::]:8899"] })
    }
}

/// The word in the file that switches an optional address off.
const OFF: &str = "off";

impl Setting for Option<SocketAddr> {
    const EXPECTED: &'static str = "an address with a port, such as 127.0.0.1:9090, or off";

    fn from_text(text: &str) -> Option<Self> {
        if text == OFF {
            Some(None)
        } else {
            text.parse().ok().map(Some)
        }
    }

    fn show(&self) -> Value {
        self.map_or_else(|| OFF.into(), |address| address.show())
    }

    fn schema() -> Value {
        SocketAddr::schema()
    }
}

impl Setting for Duration {
    const EXPECTED: &'static str = "a duration with its unit, such as 400ms, 30s or 5m";

    fn from_text(text: &str) -> Option<Self> {
        if text == "0" {
            Some(Self::ZERO)
        } else {
            humantime::parse_duration(text).ok()
        }
    }

    fn show(&self) -> Value {
        let (seconds, rest) = (self.as_secs(), self.subsec_nanos());
        json!(match seconds {
            _ if rest != 0 => humantime::format_duration(*self).to_string(),
            0 => "0s".to_owned(),
            _ if seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
            _ if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
            _ => format!("{seconds}s"),
        })
    }

    fn schema() -> Value {
        json!({ "type": ["string", "integer"], "maximum": 0, "examples": ["400ms", "30s", "5m"] })
    }
}

/// A size in bytes. `KB` is 1000 bytes, `KiB` 1024; a bare number counts bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub usize);

impl Size {
    pub const fn kib(count: usize) -> Self {
        Self(count * 1024)
    }

    pub const fn mib(count: usize) -> Self {
        Self(count * 1024 * 1024)
    }
}

impl Setting for Size {
    const EXPECTED: &'static str = "a size, such as 4KiB or 1MiB";

    fn from_text(text: &str) -> Option<Self> {
        let size: ByteSize = text.parse().ok()?;
        usize::try_from(size.as_u64()).ok().map(Self)
    }

    fn show(&self) -> Value {
        for (factor, unit) in [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] {
            if self.0 != 0 && self.0.is_multiple_of(factor) {
                return json!(format!("{}{unit}", self.0 / factor));
            }
        }
        json!(self.0)
    }

    fn schema() -> Value {
        json!({ "type": ["integer", "string"], "minimum": 0, "examples": ["4KiB", "1MiB"] })
    }
}

/// Implements [`Setting`](crate::settings::Setting) for an enum that is written as one of a few
/// words. Its name within the module is `settings::words`.
#[macro_export]
#[doc(hidden)]
macro_rules! setting_words {
    ($name:ty, $expected:literal, $($word:literal => $value:expr),+ $(,)?) => {
        impl $crate::settings::Setting for $name {
            const EXPECTED: &'static str = $expected;

            fn from_text(text: &str) -> Option<Self> {
                match text {
                    $($word => Some($value),)+
                    _ => None,
                }
            }

            fn show(&self) -> $crate::settings::serde_json::Value {
                let words = [$(($value, $word)),+];
                words.iter().find(|(value, _)| value == self).map(|(_, word)| *word).into()
            }

            fn schema() -> $crate::settings::serde_json::Value {
                $crate::settings::serde_json::json!({ "anyOf": [
                    { "enum": [$($word),+] },
                    { "type": "string", "pattern": $crate::settings::REFERENCE }
                ] })
            }
        }
    };
}

pub use crate::setting_words as words;

words!(Format, "pretty or json", "pretty" => Self::Pretty, "json" => Self::Json);

/// A value as people read it: text without quotes.
pub fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit_unless_they_are_zero() {
        for (text, expected) in [
            ("400ms", Some(Duration::from_millis(400))),
            ("1m 30s", Some(Duration::from_secs(90))),
            ("0", Some(Duration::ZERO)),
            ("0s", Some(Duration::ZERO)),
            ("30", None),
            ("-1s", None),
            ("1.5s", Some(Duration::from_millis(1500))),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(Duration::from_text(text), expected, "{text}");
        }
    }

    #[test]
    fn sizes_know_decimal_and_binary_units() {
        for (text, expected) in [
            ("1MiB", Some(Size(1_048_576))),
            ("1MB", Some(Size(1_000_000))),
            ("4 KiB", Some(Size(4096))),
            ("512", Some(Size(512))),
            ("-1", None),
            ("many", None),
        ] {
            assert_eq!(Size::from_text(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_shown_reads_back_as_the_same_value() {
        for size in [0, 1, 1023, 1024, 4096, 1 << 20, 1 << 30, 1_000_000].map(Size) {
            assert_eq!(Size::from_text(&plain(&size.show())), Some(size));
        }
        for millis in [0, 1, 400, 1500, 75_000, 1_800_000, 86_400_000] {
            let duration = Duration::from_millis(millis);
            assert_eq!(
                Duration::from_text(&plain(&duration.show())),
                Some(duration)
            );
        }
    }

    #[test]
    fn numbers_that_are_none_are_refused() {
        assert_eq!(u32::from_text("-1"), None);
        assert_eq!(u32::from_text("1.0"), None);
        assert_eq!(f64::from_text("inf"), None);
        assert_eq!(f64::from_text("NaN"), None);
        assert_eq!(bool::from_text("yes"), None);
    }
}
