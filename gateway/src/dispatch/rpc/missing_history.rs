//! What archives were asked for lately, so that a repeated question does not cost a call each time.
//!
//! A client that waits for a transaction asks for it twice a second until it lands; its signature
//! does not reveal that it is new. So whenever even the deepest upstream has nothing, it is not
//! asked for the same during a pause that doubles each time; and a transaction sent through this
//! gateway is not looked for in archives while it may still land. Bounded in count.

use std::time::Duration;

use quick_cache::sync::Cache;
use tokio::time::Instant;

use crate::config;
use crate::solana::AbsenceWording;

/// Entries remembered; the least used are dropped first.
const CAPACITY: usize = 32_768;

/// A blockhash lives for 150 blocks, about a minute; after twice that the transaction has landed
/// or never will.
const IN_FLIGHT: Duration = Duration::from_mins(2);

/// Unused pauses after which it begins with a short one again.
const FORGOTTEN: u32 = 4;

/// What is missing, each as a hash.
#[derive(Debug)]
pub(super) struct MissingHistory {
    missed: Cache<u64, MissingEntry>,
    sent: Cache<u64, Instant>,
}

#[derive(Clone, Copy, Debug)]
struct MissingEntry {
    at: Instant,
    pause: Duration,
    /// No upstream could tell.
    failed: bool,
}

/// Whether a deeper upstream is to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ArchiveDecision {
    /// It is.
    Due,
    /// Not again so soon: it had nothing, or nothing can exist yet.
    Nothing,
    /// Not again so soon: it failed.
    Failed,
}

impl Default for MissingHistory {
    fn default() -> Self {
        Self {
            missed: Cache::new(CAPACITY),
            sent: Cache::new(CAPACITY),
        }
    }
}

impl MissingHistory {
    /// The state of a question for these entries. If one is due, the question is asked.
    pub(super) fn standing(
        &self,
        subjects: &[u64],
        word: AbsenceWording,
        now: Instant,
    ) -> ArchiveDecision {
        let mut all = ArchiveDecision::Nothing;
        for subject in subjects {
            match self.of(*subject, word, now) {
                ArchiveDecision::Due => return ArchiveDecision::Due,
                ArchiveDecision::Failed => all = ArchiveDecision::Failed,
                ArchiveDecision::Nothing => {}
            }
        }
        all
    }

    fn of(&self, subject: u64, word: AbsenceWording, now: Instant) -> ArchiveDecision {
        // An upstream that keeps no history says nothing about transactions in flight.
        if word == AbsenceWording::Empty
            && let Some(sent) = self.sent.get(&subject)
            && now.saturating_duration_since(sent) < IN_FLIGHT
        {
            return ArchiveDecision::Nothing;
        }
        match self.missed.get(&subject) {
            Some(missed) if now < missed.at + missed.pause => {
                if missed.failed {
                    ArchiveDecision::Failed
                } else {
                    ArchiveDecision::Nothing
                }
            }
            _ => ArchiveDecision::Due,
        }
    }

    /// It was asked for, and is missing; or, with `failed`, no upstream could tell.
    pub(super) fn missed(
        &self,
        subject: u64,
        failed: bool,
        settings: &config::HistorySettings,
        now: Instant,
    ) {
        let known = self.missed.get(&subject);
        let pause = match known {
            Some(known) if now < known.at + known.pause * FORGOTTEN => known.pause * 2,
            _ => settings.pause,
        };
        let missed = MissingEntry {
            at: now,
            pause: pause.min(settings.longest_pause),
            failed,
        };
        self.missed.insert(subject, missed);
    }

    /// It was found.
    pub(super) fn found(&self, subject: u64) {
        self.missed.remove(&subject);
    }

    /// A transaction was sent through this gateway.
    pub(super) fn sent(&self, subject: u64, now: Instant) {
        self.sent.insert(subject, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF: Duration = Duration::from_millis(500);

    /// How often a question that is asked twice a second for so long is taken to the archive.
    fn asked(memory: &MissingHistory, subject: u64, long: Duration) -> u32 {
        let (settings, mut now) = (config::HistorySettings::default(), Instant::now());
        let end = now + long;
        let mut asked = 0;
        while now < end {
            if memory.standing(&[subject], AbsenceWording::Empty, now) == ArchiveDecision::Due {
                memory.missed(subject, false, &settings, now);
                asked += 1;
            }
            now += HALF;
        }
        asked
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_a_transaction_costs_a_handful_of_calls() {
        let memory = MissingHistory::default();
        // At 0, 5, 15 s, and at 35, 75, 155 s.
        assert_eq!(asked(&memory, 1, Duration::from_secs(20)), 3);
        assert_eq!(asked(&memory, 2, Duration::from_mins(4)), 6);
        // From then on every five minutes.
        assert!(asked(&memory, 3, Duration::from_hours(1)) <= 6 + 12);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_sent_from_here_is_not_looked_for_until_it_is_old() {
        let (memory, now) = (MissingHistory::default(), Instant::now());
        memory.sent(1, now);
        let standing = |word, later| memory.standing(&[1], word, now + later);
        assert_eq!(
            standing(AbsenceWording::Empty, HALF),
            ArchiveDecision::Nothing
        );
        assert_eq!(
            standing(AbsenceWording::Refused, HALF),
            ArchiveDecision::Due
        );
        assert_eq!(
            standing(AbsenceWording::Empty, IN_FLIGHT),
            ArchiveDecision::Due
        );
    }

    #[tokio::test(start_paused = true)]
    async fn one_thing_that_is_due_is_enough() {
        let (memory, now) = (MissingHistory::default(), Instant::now());
        let settings = config::HistorySettings::default();
        memory.missed(1, false, &settings, now);
        memory.missed(2, true, &settings, now);
        let standing = |subjects: &[u64]| memory.standing(subjects, AbsenceWording::Empty, now);
        assert_eq!(standing(&[1]), ArchiveDecision::Nothing);
        assert_eq!(standing(&[1, 2]), ArchiveDecision::Failed);
        assert_eq!(standing(&[1, 2, 3]), ArchiveDecision::Due);
        memory.found(1);
        assert_eq!(standing(&[1]), ArchiveDecision::Due);
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_double_up_to_the_longest_and_are_forgotten() {
        let (memory, settings) = (
            MissingHistory::default(),
            config::HistorySettings::default(),
        );
        let mut now = Instant::now();
        for seconds in [5, 10, 20, 40, 80, 160, 300, 300] {
            memory.missed(1, false, &settings, now);
            let pause = Duration::from_secs(seconds);
            let standing = |at| memory.standing(&[1], AbsenceWording::Empty, at);
            assert_eq!(
                standing(now + pause - HALF),
                ArchiveDecision::Nothing,
                "{seconds}"
            );
            now += pause;
            assert_eq!(standing(now), ArchiveDecision::Due, "{seconds}");
        }
        now += Duration::from_mins(30);
        memory.missed(1, false, &settings, now);
        let later = now + Duration::from_secs(5);
        assert_eq!(
            memory.standing(&[1], AbsenceWording::Empty, later),
            ArchiveDecision::Due
        );
    }
}
