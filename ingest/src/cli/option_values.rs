//! Values of options, as they are written.

use std::time::Duration;

use perijove_core::settings::Setting;

use crate::config::Start;

pub(super) fn start(text: &str) -> Result<Start, String> {
    Start::from_text(text).ok_or_else(|| format!("must be {}", Start::EXPECTED))
}

/// Without an end, or of no number at all, nothing would ever be beyond it.
pub(super) fn tolerance(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok();
    let number = number.filter(|number| number.is_finite() && *number >= 0.0);
    number.ok_or_else(|| "must be a number, at least 0".to_owned())
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    Duration::from_text(text).ok_or_else(|| format!("must be {}", Duration::EXPECTED))
}
