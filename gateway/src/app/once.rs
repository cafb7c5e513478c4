//! Values that a service takes once.

use parking_lot::Mutex;

/// A value that a service takes once when it starts.
pub(super) type Once<T> = Mutex<Option<T>>;
