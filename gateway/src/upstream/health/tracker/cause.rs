//! Why an upstream is not healthy, for people, and what probably helps.

use perijove_core::counted;

use super::Tracker;
use crate::upstream::health::diagnosis::Diagnosis;
use crate::upstream::health::{Health, SelfReport};

impl Tracker {
    /// A probe was not answered, or not sent, for a reason that is no failure: a limit.
    pub(in crate::upstream) fn withheld(&mut self, cause: Diagnosis) {
        let known = self.withheld.as_ref();
        self.news |= !known.is_some_and(|known| known.is_like(&cause));
        self.withheld = Some(cause);
    }

    /// Whether it has never been probed well, for a reason that has not been logged.
    pub(in crate::upstream) fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.news) && self.health == Health::Unprobed
    }

    /// What its probes met.
    fn trouble(&self) -> Option<&Diagnosis> {
        self.last_failure.as_ref().or(self.withheld.as_ref())
    }

    /// Why it is not healthy, for people.
    pub(in crate::upstream) fn cause(&self) -> Option<String> {
        Some(match self.health {
            Health::Healthy => return None,
            Health::Unprobed | Health::Failing => {
                return self.trouble().map(Diagnosis::to_string);
            }
            Health::Lagging => format!("{} behind the others", counted(self.lag, "slot")),
            Health::Unwell => match self.word {
                SelfReport::Unwell {
                    behind: Some(slots),
                } => format!(
                    "it says that it is {} behind (-32005)",
                    counted(slots, "slot")
                ),
                _ => "it says that it is unhealthy, by -32005 or in getHealth".to_owned(),
            },
            Health::Stale => format!("{} received but not processed", counted(self.gap, "slot")),
            Health::Stopped => {
                format!("its slot has not moved for {} s", self.stood().as_secs())
            }
            Health::Suspect => {
                "its slots have jumped; checking which cluster it belongs to".to_owned()
            }
            Health::Implausible => match self.impossible {
                Some(slot) => format!("no cluster can be at its slot, {slot}, by now"),
                None => "its block height is not below its slot".to_owned(),
            },
            Health::WrongCluster => {
                let hashes = self.hashes.as_deref();
                hashes
                    .unwrap_or("its genesis hash is not the cluster's")
                    .to_owned()
            }
        })
    }

    /// The same in a few characters, where that says more than the state itself.
    pub(in crate::upstream) fn short_cause(&self) -> Option<String> {
        match self.health {
            Health::Unprobed | Health::Failing => self.trouble()?.short(),
            Health::Lagging => Some(counted(self.lag, "slot")),
            _ => None,
        }
    }

    /// What probably helps.
    pub(in crate::upstream) fn cure(&self) -> Option<&'static str> {
        Some(match self.health {
            Health::Healthy => return None,
            Health::Unprobed | Health::Failing => self.trouble()?.cure(),
            Health::Lagging => "wait for it to catch up; if it never does, is its host too slow?",
            Health::Unwell | Health::Stale => "look at the node's own log",
            Health::Stopped => "restart the node",
            Health::Suspect => "nothing yet; it is asked for its genesis hash",
            Health::Implausible => "is it a fork or a test validator?",
            Health::WrongCluster => "correct its URL, or set the right hash in cluster.genesis",
        })
    }
}
