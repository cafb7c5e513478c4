//! Compression of answers towards clients that ask for it.

/// When and how hard answers are compressed with gzip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compression {
    pub enabled: bool,
    /// Answers below this many bytes go out as they are.
    pub min_bytes: usize,
    /// gzip level, 1 (fast) to 9 (small).
    pub level: u32,
}

impl Default for Compression {
    fn default() -> Self {
        Self {
            enabled: true,
            min_bytes: 4 * 1024,
            level: 1,
        }
    }
}
