//! Who calls, by name.

use std::sync::Arc;

/// A consumer's configured name. Cheap to clone.
pub type ConsumerId = Arc<str>;
