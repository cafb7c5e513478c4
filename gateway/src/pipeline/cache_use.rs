//! What a caller wants of the cache, and what part it had in an answer.

/// What a caller wants of the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CacheUse {
    /// Whatever is true.
    #[default]
    Normal,
    /// An answer fetched after the request came in; others may have it afterwards.
    Revalidate,
    /// To have nothing to do with it.
    Bypass,
}

/// What part the cache had in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheStatus {
    /// It was known.
    Hit,
    /// An upstream was asked.
    Miss,
    /// An upstream was being asked by somebody else.
    Coalesced,
    /// It was known, and is past its time.
    Stale,
    /// An upstream was asked, and the cache was not.
    Bypass,
}

impl CacheStatus {
    /// Every one, in the order of the declaration.
    pub const ALL: [Self; 5] = [
        Self::Hit,
        Self::Miss,
        Self::Coalesced,
        Self::Stale,
        Self::Bypass,
    ];

    /// The value of the `x-perijove-cache` header.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Coalesced => "coalesced",
            Self::Stale => "stale",
            Self::Bypass => "bypass",
        }
    }
}
