//! What a caller wants from the cache, and what the cache did for an answer.

/// What a caller wants from the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CacheUse {
    /// Any valid answer.
    #[default]
    Normal,
    /// An answer fetched after the request arrived; others may get it afterwards.
    Revalidate,
    /// Not to use it at all.
    Bypass,
}

/// What the cache did for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheStatus {
    /// It was kept.
    Hit,
    /// An upstream was asked.
    Miss,
    /// An identical call in flight was answered.
    Coalesced,
    /// It was kept, and has expired.
    Stale,
    /// An upstream was asked without a lookup.
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
