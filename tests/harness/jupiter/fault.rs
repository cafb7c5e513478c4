//! The faults a server can be given while it runs: what they are, which requests they hit, and for
//! how long.

use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// A fault and the requests it is limited to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    #[serde(flatten)]
    pub kind: Kind,
    /// Only requests whose path ends in one of these, for example `/quote`; empty means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// How many requests it hits before it is over; `None` means until it is taken away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Kind {
    /// 429: of the plan, or of the firewall, which sends no window headers.
    RateLimit {
        #[serde(default)]
        firewall: bool,
    },
    /// This status, with this body or the usual one.
    HttpStatus {
        status: u16,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        body: Option<String>,
    },
    /// 403 of the firewall.
    Firewall,
    /// 503 as after a start.
    Cold,
    /// Its market stops at the slot at which the fault is set.
    Stale,
    /// Its market trails the chain.
    Lag { slots: u64 },
    /// No route is found.
    NoRoute,
    /// 400 with this error.
    Error { error: String, code: String },
    /// 200 with a body that is not JSON.
    Garbage,
    /// Waits before it answers.
    Slow { ms: u64 },
    /// Takes requests and never answers them.
    Hang,
    /// Closes the connection instead of an answer, the work not done.
    Close,
    /// Does the work and closes the connection instead of an answer.
    Swallow,
    /// Breaks off after half of the answer.
    Cut,
    /// The port is closed: connections are refused and open ones are cut.
    Down,
}

impl Kind {
    /// Whether the fault changes what the server knows rather than how it answers.
    fn is_view(&self) -> bool {
        matches!(self, Self::Stale | Self::Lag { .. } | Self::Down)
    }
}

impl From<Kind> for Fault {
    fn from(kind: Kind) -> Self {
        Self {
            kind,
            paths: Vec::new(),
            times: None,
        }
    }
}

impl Fault {
    /// Answers this status.
    pub fn status(status: u16) -> Self {
        Kind::HttpStatus { status, body: None }.into()
    }

    /// Limits it to paths that end so; may be repeated.
    #[must_use]
    pub fn on(mut self, path: &str) -> Self {
        self.paths.push(path.to_owned());
        self
    }

    /// Limits it to the next `times` requests.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }
}

/// A server's active faults.
#[derive(Debug, Default)]
pub struct Faults {
    active: Mutex<Vec<(Fault, u64)>>,
}

impl Faults {
    /// Adds a fault, `now` being the slot of the chain.
    pub fn add(&self, fault: Fault, now: u64) {
        self.active.lock().push((fault, now));
    }

    /// Takes all away.
    pub fn clear(&self) {
        self.active.lock().clear();
    }

    /// Those that are not over.
    pub fn list(&self) -> Vec<Fault> {
        let active = self.active.lock();
        active.iter().map(|(fault, _)| fault.clone()).collect()
    }

    /// The slot of the market, the chain being at `now`.
    pub fn market_slot(&self, now: u64) -> u64 {
        let active = self.active.lock();
        active
            .iter()
            .fold(now, |slot, (fault, since)| match fault.kind {
                Kind::Stale => slot.min(*since),
                Kind::Lag { slots } => slot.min(now.saturating_sub(slots)),
                _ => slot,
            })
    }

    /// What a request to this path meets, each fault used up by one.
    pub fn take(&self, path: &str) -> Vec<Kind> {
        let mut taken = Vec::new();
        self.active.lock().retain_mut(|(fault, _)| {
            let hit = fault.paths.is_empty() || fault.paths.iter().any(|end| path.ends_with(end));
            if fault.kind.is_view() || !hit {
                return true;
            }
            taken.push(fault.kind.clone());
            fault.times = fault.times.map(|left| left.saturating_sub(1));
            fault.times != Some(0)
        });
        taken
    }
}

/// How long the faults hold an answer back; `None` is for ever.
pub fn delay(kinds: &[Kind]) -> Option<Duration> {
    let mut all = Duration::ZERO;
    for kind in kinds {
        match kind {
            Kind::Hang => return None,
            Kind::Slow { ms } => all += Duration::from_millis(*ms),
            _ => {}
        }
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_fault_reads_back_as_it_is_written() {
        for fault in [
            Fault::status(503).on("/quote").times(2),
            Kind::Stale.into(),
            Kind::Lag { slots: 9 }.into(),
            Kind::RateLimit { firewall: true }.into(),
        ] {
            let json = serde_json::to_value(&fault).unwrap();
            assert_eq!(serde_json::from_value::<Fault>(json).unwrap(), fault);
        }
        assert!(serde_json::from_value::<Fault>(json!({"kind": "stail"})).is_err());
    }

    #[test]
    fn a_fault_hits_its_paths_as_often_as_it_says() {
        let faults = Faults::default();
        faults.add(Fault::status(500).on("/quote").times(1), 5);
        assert!(faults.take("/swap/v1/swap").is_empty());
        assert_eq!(faults.take("/swap/v1/quote").len(), 1);
        assert!(faults.list().is_empty());
    }

    #[test]
    fn a_market_stands_still_or_trails() {
        let faults = Faults::default();
        faults.add(Kind::Lag { slots: 3 }.into(), 100);
        assert_eq!(faults.market_slot(110), 107);
        faults.add(Kind::Stale.into(), 104);
        assert_eq!(faults.market_slot(110), 104);
        faults.clear();
        assert_eq!(faults.market_slot(110), 110);
    }
}
