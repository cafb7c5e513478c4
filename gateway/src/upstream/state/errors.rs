//! The last errors of one upstream, for people: its answers by method, with their HTTP status, and
//! since when. Nothing is decided by them.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::solana::FaultKind;
use crate::upstream::state::hold_off::LONGEST_NAME;

/// Methods remembered; names come from clients.
const MOST: usize = 128;
/// The same line is not logged again within this time, however often its cause comes and goes.
const APART: Duration = Duration::from_mins(1);

/// An error of one method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::upstream) struct LastError {
    pub(in crate::upstream) kind: FaultKind,
    /// `None` if no answer arrived.
    pub(in crate::upstream) status: Option<u16>,
    /// The first of this kind since the method was served.
    pub(in crate::upstream) since: Instant,
    pub(in crate::upstream) at: Instant,
}

/// The errors of one upstream.
#[derive(Debug, Default)]
pub(in crate::upstream) struct RecentErrors {
    last: Option<(Box<str>, LastError)>,
    methods: HashMap<Box<str>, LastError>,
    told: HashMap<(&'static str, Box<str>), Instant>,
    /// Methods logged as refused, and not yet as served again.
    refused: HashSet<Box<str>>,
    /// Since when all calls that were answered were refused because of the key, as far as logged.
    key_refused: Option<Instant>,
}

impl RecentErrors {
    pub(in crate::upstream) fn note(
        &mut self,
        method: &str,
        kind: FaultKind,
        status: Option<u16>,
        now: Instant,
    ) {
        if method.len() > LONGEST_NAME {
            return;
        }
        let known = self.methods.get(method).copied();
        let error = LastError {
            kind,
            status,
            since: known
                .filter(|known| known.kind == kind)
                .map_or(now, |known| known.since),
            at: now,
        };
        self.last = Some((method.into(), error));
        if known.is_none() && self.methods.len() >= MOST {
            let oldest = self.methods.iter().min_by_key(|(_, error)| error.at);
            if let Some(oldest) = oldest.map(|(method, _)| method.clone()) {
                self.methods.remove(&oldest);
            }
        }
        self.methods.insert(method.into(), error);
    }

    /// The method is served. Returns whether it was logged as refused, so that this is to be logged
    /// too.
    pub(in crate::upstream) fn served(&mut self, method: &str) -> bool {
        self.methods.remove(method);
        self.refused.remove(method)
    }

    /// Whether the refusal of the method (`*` for all) is to be logged.
    pub(in crate::upstream) fn is_refused(&mut self, method: &str, now: Instant) -> bool {
        let news = self.is_news("refused", method, now);
        if news {
            self.refused.insert(method.into());
        }
        news
    }

    /// Whether the refusal of the key for yet another method is the same trouble as one logged
    /// before: nothing has been `served` since. A key that is valid for some methods only is refused
    /// for each of the others.
    pub(in crate::upstream) fn is_same_key_trouble(
        &mut self,
        served: Option<Instant>,
        now: Instant,
    ) -> bool {
        let same = self
            .key_refused
            .is_some_and(|since| served.is_none_or(|served| served < since));
        if !same {
            self.key_refused = Some(now);
        }
        same
    }

    pub(in crate::upstream) fn of(&self, method: &str) -> Option<LastError> {
        self.methods.get(method).copied()
    }

    /// The last of all, whatever has been served since.
    pub(in crate::upstream) fn last(&self) -> Option<(&str, LastError)> {
        self.last
            .as_ref()
            .map(|(method, error)| (&**method, *error))
    }

    /// Whether a line on this topic and method is to be logged: not if it was a moment ago.
    pub(in crate::upstream) fn is_news(
        &mut self,
        topic: &'static str,
        method: &str,
        now: Instant,
    ) -> bool {
        let lately = |at: &Instant| now.saturating_duration_since(*at) < APART;
        let key = (topic, Box::from(method));
        if self.told.get(&key).is_some_and(lately) {
            return false;
        }
        self.told.retain(|_, at| lately(at));
        if self.told.len() >= MOST {
            return false;
        }
        self.told.insert(key, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_error_is_known_since_it_began_and_until_the_method_is_served() {
        let start = Instant::now();
        let later = start + Duration::from_secs(5);
        let mut errors = RecentErrors::default();
        errors.note("getBalance", FaultKind::Forbidden, Some(403), start);
        errors.note("getBalance", FaultKind::Forbidden, Some(403), later);
        let error = errors.of("getBalance").unwrap();
        assert_eq!((error.since, error.at), (start, later));
        errors.note("getBalance", FaultKind::Reset, None, later);
        assert_eq!(
            errors.of("getBalance").unwrap().since,
            later,
            "another kind"
        );
        errors.served("getBalance");
        assert_eq!(errors.of("getBalance"), None);
        assert_eq!(errors.last().unwrap().0, "getBalance");
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_key_is_one_trouble_whatever_is_called_and_a_poor_one_is_several() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut errors = RecentErrors::default();
        assert!(!errors.is_same_key_trouble(None, at(1)));
        assert!(errors.is_same_key_trouble(None, at(2)));
        assert!(
            errors.is_same_key_trouble(Some(start), at(3)),
            "served before"
        );
        assert!(
            !errors.is_same_key_trouble(Some(at(4)), at(5)),
            "served meanwhile"
        );
        assert!(errors.is_same_key_trouble(Some(at(4)), at(6)));
    }

    #[tokio::test(start_paused = true)]
    async fn names_that_clients_make_up_are_bounded() {
        let now = Instant::now();
        let mut errors = RecentErrors::default();
        for number in 0..10_000 {
            let method = format!("madeUp{number}");
            errors.note(&method, FaultKind::MethodNotFound, Some(200), now);
            errors.is_news("refuses", &method, now);
        }
        assert_eq!(errors.methods.len(), MOST);
        assert_eq!(errors.told.len(), MOST);
        errors.note(&"x".repeat(1000), FaultKind::Reset, None, now);
        assert_eq!(errors.last().unwrap().0, "madeUp9999");
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_and_goes_is_told_once_in_a_while() {
        let now = Instant::now();
        let mut errors = RecentErrors::default();
        assert!(errors.is_news("rests", "getBalance", now));
        assert!(!errors.is_news("rests", "getBalance", now + Duration::from_secs(59)));
        assert!(errors.is_news("rests", "getSlot", now));
        assert!(errors.is_news("refuses", "getBalance", now));
        assert!(errors.is_news("rests", "getBalance", now + APART));
    }
}
