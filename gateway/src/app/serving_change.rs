//! A change of what clients are served, worth logging.

use std::time::Duration;

/// A trouble began, or is over after so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ServingChange {
    Begun,
    Over(Duration),
}
