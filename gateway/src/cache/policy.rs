//! How long an answer is kept: what its method allows ([`Retention`]), limited by the configuration
//! and by the slots that had passed when the answer arrived.

mod reading;

use std::collections::BTreeMap;
use std::sync::Arc;

use perijove_core::Slot;

use super::{CacheEntry, Expiry, KeyScope, Lifetime};
use crate::config;
use crate::jsonrpc::{Answer, Cursor, Token};
use crate::solana::{Class, DatedRetention, DefaultRetention, Method, Retention, SlotView};
use reading::ReadTime;

#[cfg(test)]
mod tests;

/// Where an answer came from.
#[derive(Clone, Copy, Debug)]
pub struct AnswerOrigin<'a> {
    /// The upstream that gave it.
    pub upstream: &'a Arc<str>,
    /// The slot it was known to have reached, at the call's commitment, **before** it was asked:
    /// the lifetime of an answer without a slot counts from here. Anything learned later would make
    /// a slow answer pass for a new one.
    pub reached: Option<Slot>,
}

/// What is kept, and for how long.
#[derive(Clone, Debug)]
pub struct CachePolicy {
    settings: config::Cache,
    rules: BTreeMap<Method, MethodLifetime>,
}

/// The configured limit of one method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MethodLifetime {
    /// Answers are valid for at most this many slots.
    Most(u32),
    /// Answers are valid for this many slots, more than by default.
    Longer(u32),
}

impl MethodLifetime {
    fn of(method: Method, slots: u32) -> Self {
        match DefaultRetention::of(method) {
            DefaultRetention::Slots(usual) if slots > usual => Self::Longer(slots),
            _ => Self::Most(slots),
        }
    }
}

impl CachePolicy {
    /// The policy of a configuration.
    pub fn new(settings: &config::Cache) -> Self {
        let rules = settings.methods.iter();
        let rules = rules
            .filter_map(|(method, rule)| Some((*method, MethodLifetime::of(*method, rule.slots?))))
            .collect();
        Self {
            settings: settings.clone(),
            rules,
        }
    }

    /// Whether there is a cache at all.
    pub fn enabled(&self) -> bool {
        self.settings.enabled
    }

    /// Whether identical calls share one call to an upstream.
    pub fn coalesces(&self) -> bool {
        self.settings.enabled && self.settings.coalesce
    }

    /// For how many slots after its start a call may be joined: as long as an answer read at its
    /// start would be valid, and one slot more, since it was sent before it was read and calls may
    /// straddle a slot boundary. A later caller would get a state that had expired before it asked.
    pub fn joins_for(&self, class: &Class) -> u64 {
        self.slots(class).map_or(u64::MAX, |slots| slots + 1)
    }

    /// For how many slots an answer is valid, including the one it was read at; `None` if longer
    /// than slots can express.
    pub fn slots(&self, class: &Class) -> Option<u64> {
        let slots = match DefaultRetention::at(class.method, class.context.commitment) {
            DefaultRetention::Never => 0,
            DefaultRetention::Slots(slots) => slots,
            DefaultRetention::Long => return None,
        };
        let slots = match self.rules.get(&class.method) {
            Some(MethodLifetime::Most(most)) => slots.min(*most),
            Some(MethodLifetime::Longer(longer)) => *longer,
            None => slots,
        };
        Some(u64::from(slots))
    }

    /// Whether answers of a method are ever kept. If not, lookups are pointless.
    pub fn keeps(&self, method: Method) -> bool {
        self.settings.enabled
            && self.rules.get(&method) != Some(&MethodLifetime::Most(0))
            && DefaultRetention::of(method) != DefaultRetention::Never
    }

    /// For how many slots after it expired an answer is served while a fresh one is fetched.
    pub fn stale_while_revalidate(&self) -> u64 {
        self.settings.stale_while_revalidate
    }

    /// For how many slots after it expired an answer is served when every upstream fails.
    pub fn stale_if_error(&self) -> u64 {
        self.settings.stale_if_error
    }

    /// Whether one answer may contain accounts read at different slots.
    pub fn mixes_account_slots(&self) -> bool {
        self.settings.mix_account_slots
    }

    /// The entry to keep for an answer, and its scope. `None` if it must not be kept, is too large,
    /// or has expired already.
    pub fn admit(
        &self,
        answer: &Answer,
        dated: &DatedRetention,
        class: &Class,
        view: &SlotView,
        source: &AnswerOrigin<'_>,
    ) -> Option<(KeyScope, CacheEntry)> {
        let method = class.method;
        let large = answer.body().len() > self.settings.max_entry;
        if large || !self.keeps(method) || reading::is_implausible(dated.read_at, view) {
            return None;
        }
        let commitment = class.context.commitment;
        let reading = ReadTime::new(dated.read_at, commitment, view, source.reached);
        let lifetime = self.lifetime(method, dated.keep, answer, view, reading.as_ref())?;
        let scope = match lifetime {
            Lifetime::Permanent => KeyScope::Permanent,
            Lifetime::Until(_) | Lifetime::Pinned { .. } => KeyScope::AtCommitment(commitment),
        };
        let read_at = match (reading, dated.keep) {
            (Some(reading), _) => reading.slot,
            // It was there to be read.
            (None, Retention::Pinned { about, .. }) => about,
            (None, _) => Slot(0),
        };
        let entry = CacheEntry {
            answer: answer.template(),
            read_at,
            dated: dated.read_at.is_some(),
            lifetime,
            upstream: Arc::clone(source.upstream),
        };
        Some((scope, entry))
    }

    fn lifetime(
        &self,
        method: Method,
        keep: Retention,
        answer: &Answer,
        view: &SlotView,
        reading: Option<&ReadTime<'_>>,
    ) -> Option<Lifetime> {
        let rule = self.rules.get(&method).copied();
        let at_most = |slots: u32| match rule {
            Some(MethodLifetime::Most(most)) => slots.min(most),
            _ => slots,
        };
        let usually = |slots: u32| match rule {
            Some(MethodLifetime::Longer(slots)) if !says_nothing(answer) => slots,
            _ => at_most(slots),
        };
        Some(match keep {
            Retention::Pinned { about, .. } if view.is_final(about) => Lifetime::Permanent,
            Retention::Pinned { about, slots } => Lifetime::Pinned {
                about,
                until: reading?.after(usually(slots))?,
            },
            // Final on the upstream as well, and before it was asked.
            Retention::Rooted { about, .. } if view.is_final(about) && about <= reading?.slot => {
                Lifetime::Permanent
            }
            Retention::Head { slots } | Retention::Rooted { slots, .. } => {
                Lifetime::Until(reading?.after(usually(slots))?)
            }
            Retention::Epoch { slots } => Lifetime::Until(epoch(reading?, slots, rule)?),
            Retention::Forever => match rule {
                Some(MethodLifetime::Most(slots)) => Lifetime::Until(reading?.after(slots)?),
                _ => Lifetime::Permanent,
            },
            // On a fork other slots are skipped, so the slot has to have been final when it was
            // looked up.
            Retention::Absent { about, slots }
                if view.is_final(about) && about <= reading?.slot =>
            {
                Lifetime::Until(reading?.after(at_most(slots))?)
            }
            Retention::Never | Retention::Absent { .. } => return None,
        })
    }
}

/// The end of the epoch, or after `slots` while the epoch is unknown; earlier if configured.
fn epoch(reading: &ReadTime<'_>, slots: u32, rule: Option<MethodLifetime>) -> Option<Expiry> {
    let end = reading.epoch().or_else(|| reading.after(slots))?;
    match rule {
        Some(MethodLifetime::Most(slots)) => Some(end.or_earlier(reading.after(slots)?)),
        _ => Some(end),
    }
}

/// Whether the result is `null`, or holds nothing but its context.
fn says_nothing(answer: &Answer) -> bool {
    let Some(result) = answer.result() else {
        return false;
    };
    let mut cursor = Cursor::new(result);
    if cursor.token() == Some(Token::Null) {
        return true;
    }
    let value = cursor.member(b"value");
    value.is_some_and(|value| value.token() == Some(Token::Null))
}
