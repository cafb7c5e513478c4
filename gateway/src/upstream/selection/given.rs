//! Which upstreams a call has been given already.

/// Most upstreams in a pool; see [`GivenUpstreams`].
pub(in crate::upstream) const MOST_UPSTREAMS: usize = 256;

/// Which upstreams were returned already, by index in the pool.
#[derive(Clone, Copy, Default)]
pub(super) struct GivenUpstreams([u64; MOST_UPSTREAMS / 64]);

impl GivenUpstreams {
    pub(super) fn contains(self, index: usize) -> bool {
        self.0
            .get(index / 64)
            .is_none_or(|word| word & (1 << (index % 64)) != 0)
    }

    pub(super) fn remove(&mut self, index: usize) {
        if let Some(word) = self.0.get_mut(index / 64) {
            *word &= !(1 << (index % 64));
        }
    }

    pub(super) fn insert(&mut self, index: usize) {
        if let Some(word) = self.0.get_mut(index / 64) {
            *word |= 1 << (index % 64);
        }
    }
}
