//! What an upstream has refused of each method. Known methods always have a memory, unknown ones
//! while there is room.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::broken_streams::BrokenStreams;
use super::refusals::Refusals;
use crate::solana::{Extension, Method};
use crate::upstream::state::pause::Pause;

/// How long a learned refusal counts before it is tried again.
pub(in crate::upstream) const REFUSAL: Duration = Duration::from_mins(10);

/// Maximum number of unknown methods remembered per upstream. Their names come from clients, which
/// must neither fill the memory nor displace what is known of other methods.
pub(super) const MOST_UNKNOWN: usize = 200;

/// Longer names cannot be methods.
pub(in crate::upstream) const LONGEST_NAME: usize = 64;

/// What it has refused of one method.
#[derive(Debug, Default)]
pub(super) struct MethodMemory {
    pub(super) pause: Pause,
    pub(super) closed_at: Option<Instant>,
    pub(super) refusals: Refusals,
    pub(super) streams: BrokenStreams,
}

/// The memories of all methods, by name.
#[derive(Debug, Default)]
pub(super) struct MethodMemories(HashMap<Box<str>, MethodMemory>);

/// Whether a client may have made this name up.
pub(in crate::upstream) fn is_unknown(method: &str) -> bool {
    let known = || !matches!(Extension::of(method), None | Some(Extension::NamedAsRead));
    Method::from_name(method) == Method::Other && !known()
}

impl MethodMemory {
    pub(super) fn is_closed(&self, now: Instant) -> bool {
        self.closed_at.is_some_and(|at| now < at + REFUSAL)
    }
    /// Whether nothing speaks against calls of the method.
    pub(super) fn is_clear(&self, now: Instant) -> bool {
        self.pause.left(now).is_none()
            && !self.is_closed(now)
            && self.refusals.is_clear(now)
            && self.streams.is_clear(now)
    }
}

impl MethodMemories {
    pub(super) fn get(&self, method: &str) -> Option<&MethodMemory> {
        self.0.get(method)
    }

    pub(super) fn get_mut(&mut self, method: &str) -> Option<&mut MethodMemory> {
        self.0.get_mut(method)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &MethodMemory> + Clone {
        self.0.values()
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut MethodMemory> {
        self.0.values_mut()
    }

    /// In alphabetical order.
    pub(super) fn by_name(&self) -> Vec<(&str, &MethodMemory)> {
        let mut all: Vec<_> = self.0.iter().map(|(name, one)| (&**name, one)).collect();
        all.sort_unstable_by_key(|(name, _)| *name);
        all
    }

    /// The memory of a method, a new one if it has none; `None` if there is no room.
    pub(super) fn of(&mut self, method: &str, now: Instant) -> Option<&mut MethodMemory> {
        if is_unknown(method) && !self.0.contains_key(method) {
            if method.len() > LONGEST_NAME {
                return None;
            }
            if self.unknown() >= MOST_UNKNOWN {
                self.0.retain(|_, memory| !memory.is_clear(now));
            }
            if self.unknown() >= MOST_UNKNOWN {
                return None;
            }
        }
        Some(self.0.entry(method.into()).or_default())
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn insert(&mut self, method: &str, memory: MethodMemory) {
        self.0.insert(method.into(), memory);
    }

    pub(super) fn remove(&mut self, method: &str) -> Option<MethodMemory> {
        self.0.remove(method)
    }

    /// How many of the remembered methods are unknown ones.
    fn unknown(&self) -> usize {
        self.0.keys().filter(|name| is_unknown(name)).count()
    }
}
