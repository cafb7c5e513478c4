//! The wall clock.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::record::UnixMillis;

#[expect(
    clippy::disallowed_methods,
    reason = "the one place where the wall clock comes in"
)]
pub(super) fn now() -> UnixMillis {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
