//! Where no socket to an upstream can be opened. Pure: the time is passed in.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::pubsub::upstream_socket::dial_error::DialError;

/// No socket can be opened at any address of an upstream.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UnopenedCause {
    /// What is wrong at each address.
    pub(super) cause: String,
    /// What probably helps at the likeliest address.
    pub(super) cure: &'static str,
}

/// Failures at an upstream's addresses since a socket to it was last open.
#[derive(Debug, Default)]
pub(super) struct UnopenedSockets {
    failures: BTreeMap<String, DialError>,
    since: Option<Instant>,
    told: bool,
}

impl UnopenedSockets {
    pub(super) fn failed(&mut self, error: DialError, now: Instant) {
        self.since.get_or_insert(now);
        self.failures.insert(error.address.clone(), error);
    }

    /// A socket is open. Returns for how long none was, if that was told.
    pub(super) fn opened(&mut self, now: Instant) -> Option<Duration> {
        let ended = std::mem::take(self);
        let since = ended.since.filter(|_| ended.told)?;
        Some(now.saturating_duration_since(since))
    }

    /// What is wrong, if all of these addresses have been tried in vain.
    pub(super) fn cause(&self, addresses: &[String]) -> Option<UnopenedCause> {
        let failures: Option<Vec<&DialError>> = match addresses {
            [] => Some(self.failures.values().collect()),
            _ => addresses
                .iter()
                .map(|address| self.failures.get(address))
                .collect(),
        };
        let failures = failures?;
        let cure = failures.first()?.cure;
        let at_each: Vec<_> = failures
            .iter()
            .map(|error| format!("{} ({})", error.address, error.cause))
            .collect();
        Some(UnopenedCause {
            cause: at_each.join(", "),
            cure,
        })
    }

    /// For how long none could be opened.
    pub(super) fn lasts(&self, now: Instant) -> Duration {
        self.since
            .map_or(Duration::ZERO, |at| now.saturating_duration_since(at))
    }

    /// Whether it is to be told now: once, when it has lasted for so long.
    pub(super) fn is_news(&mut self, after: Duration, now: Instant) -> bool {
        let is_long = self.since.is_some() && self.lasts(now) >= after;
        is_long && !std::mem::replace(&mut self.told, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pubsub::upstream_socket::dial_error::DialError;

    fn failure(address: &str, cause: &str) -> DialError {
        DialError {
            retry_after: None,
            address: address.to_owned(),
            cause: cause.to_owned(),
            cure: "cure",
        }
    }

    #[test]
    fn it_is_told_once_when_all_addresses_were_tried_and_once_when_it_is_over() {
        let after = Duration::from_secs(3);
        let (mut unopened, now) = (UnopenedSockets::default(), Instant::now());
        let addresses = ["ws://a:8900".to_owned(), "ws://a:8899".to_owned()];
        assert_eq!(unopened.opened(now), None, "nothing was wrong");
        unopened.failed(failure("ws://a:8900", "connect-refused"), now);
        assert_eq!(unopened.cause(&addresses), None, "one is not tried yet");
        unopened.failed(failure("ws://a:8899", "HTTP 405"), now);
        let known = unopened.cause(&addresses).unwrap();
        assert_eq!(
            known.cause,
            "ws://a:8900 (connect-refused), ws://a:8899 (HTTP 405)"
        );
        assert!(!unopened.is_news(after, now));
        assert!(unopened.is_news(after, now + after));
        unopened.failed(failure("ws://a:8900", "connect-refused"), now + after);
        assert!(!unopened.is_news(after, now + after * 2));
        assert_eq!(unopened.opened(now + after * 3), Some(after * 3));
        assert_eq!(unopened.opened(now + after * 4), None);
        let other = ["ws://b:8900".to_owned()];
        unopened.failed(failure("ws://a:8900", "dns"), now);
        assert_eq!(unopened.cause(&other), None, "after a reload");
    }
}
