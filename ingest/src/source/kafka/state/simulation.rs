//! A group, brokers, a client and a pipeline in memory, which carry out what the state wants and
//! panic when it wants what it must not.

mod brokers;
mod pipeline;
mod records;
mod text;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::input::{Action, Input, Restart, Start};
use super::{ConsumerState, Times};
use crate::config::Buffer;
use crate::position::RecordMark;
use crate::record::Partition;
use crate::source::{BufferBudget, Claim, RecordBatch, SourceEvent};
use records::record;
use text::told;

pub(super) const GRACE: Duration = Duration::from_secs(10);
pub(super) const HEARTBEAT: Duration = Duration::from_secs(1);
/// Messages of one partition that may be under way.
pub(super) const MESSAGES: usize = 8;

/// What the group waits for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Rebalance {
    Assign(Vec<Partition>),
    Revoke(Vec<Partition>),
}

/// Where the client reads a partition.
#[derive(Debug)]
struct Fetch {
    position: i64,
    paused: bool,
}

/// The pipeline's view of a claim that has not ended.
#[derive(Debug, Default)]
struct Live {
    /// Of the stored offset, when the claim was answered.
    epoch: Option<u64>,
    next: Option<i64>,
    revoked: bool,
}

/// What the database has of a partition.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stored {
    pub(super) next: Option<i64>,
    last: Option<RecordMark>,
    epoch: u64,
}

pub(super) struct World {
    pub(super) state: ConsumerState,
    pub(super) now: Instant,
    /// What the brokers have of each partition.
    pub(super) logs: BTreeMap<Partition, Range<i64>>,
    /// How often each topic was made anew: it shows in its records.
    pub(super) made_anew: BTreeMap<Partition, i64>,
    pub(super) compacted: BTreeSet<(Partition, i64)>,
    pub(super) leaderless: BTreeSet<Partition>,
    /// Whether brokers answer.
    pub(super) brokers: bool,
    /// Whether the client follows its commands.
    pub(super) client: bool,
    /// Whether the group has gone on without us.
    pub(super) lost: bool,
    pub(super) rebalance: Option<Rebalance>,
    fetched: BTreeMap<Partition, Fetch>,
    claims: BTreeMap<Claim, Live>,
    batches: VecDeque<RecordBatch>,
    pub(super) stored: BTreeMap<Partition, Stored>,
    /// What the state wanted, as text, since it was looked at last.
    wanted: Vec<String>,
    generation: u64,
}

pub(super) fn partition(number: i32) -> Partition {
    Partition::new("t", number)
}

impl World {
    /// With so many partitions of ten records each.
    pub(super) fn new(partitions: i32) -> Self {
        let budget = BufferBudget::new(&Buffer {
            messages: MESSAGES,
            ..Buffer::default()
        });
        let now = Instant::now();
        let times = Times {
            grace: GRACE,
            heartbeat: HEARTBEAT,
            commit_interval: Duration::from_secs(5),
        };
        Self {
            state: ConsumerState::new(Arc::clone(&budget), times, now),
            now,
            logs: (0..partitions).map(|at| (partition(at), 0..10)).collect(),
            made_anew: BTreeMap::new(),
            compacted: BTreeSet::new(),
            leaderless: BTreeSet::new(),
            brokers: true,
            client: true,
            lost: false,
            rebalance: None,
            fetched: BTreeMap::new(),
            claims: BTreeMap::new(),
            batches: VecDeque::new(),
            stored: BTreeMap::new(),
            wanted: Vec::new(),
            generation: 0,
        }
    }

    /// What the state wanted since this was asked last.
    pub(super) fn wanted(&mut self) -> Vec<String> {
        std::mem::take(&mut self.wanted)
    }

    pub(super) fn feed(&mut self, input: Input) {
        let actions = self.state.handle(input, self.now);
        self.perform_all(actions);
    }

    /// What the driver does again and again.
    pub(super) fn round(&mut self) {
        self.feed(Input::Tick {
            assignment_lost: self.lost,
        });
        if self.state.is_over() {
            return;
        }
        if self.state.may_poll(self.now) {
            let actions = self.state.pause_and_resume();
            self.perform_all(actions);
            self.poll();
        }
        self.check();
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    /// The group gives partitions that the client has not.
    pub(super) fn give(&mut self, numbers: &[i32]) {
        let list: Vec<Partition> = numbers.iter().map(|number| partition(*number)).collect();
        self.rebalance = Some(Rebalance::Assign(list.clone()));
        self.feed(Input::Assigned(list));
    }

    /// The group takes partitions away.
    pub(super) fn take(&mut self, numbers: &[i32]) {
        let list: Vec<Partition> = numbers.iter().map(|number| partition(*number)).collect();
        self.rebalance = Some(Rebalance::Revoke(list.clone()));
        self.feed(Input::Revoked(list));
    }

    /// The partitions that the client reads.
    pub(super) fn held(&self) -> Vec<i32> {
        self.fetched.keys().map(|one| one.number).collect()
    }

    pub(super) fn position(&self, number: i32) -> Option<i64> {
        Some(self.fetched.get(&partition(number))?.position)
    }

    pub(super) fn is_paused(&self, number: i32) -> bool {
        self.fetched
            .get(&partition(number))
            .is_some_and(|fetch| fetch.paused)
    }

    fn poll(&mut self) {
        for partition in self.fetched.keys().cloned().collect::<Vec<_>>() {
            let (Some(fetch), Some(log)) =
                (self.fetched.get_mut(&partition), self.logs.get(&partition))
            else {
                continue;
            };
            if fetch.paused || !self.brokers || self.leaderless.contains(&partition) {
                continue;
            }
            if !(log.start..=log.end).contains(&fetch.position) {
                self.feed(Input::OffsetOutOfRange);
                continue;
            }
            let offsets = fetch.position..log.end.min(fetch.position + 5);
            fetch.position = offsets.end;
            for offset in offsets {
                if self.compacted.contains(&(partition.clone(), offset)) {
                    continue;
                }
                let made = self.made_anew.get(&partition).copied();
                let record = || record(&partition, offset, made);
                let batch = self.state.take(&partition, record);
                if let Some(batch) = batch {
                    self.hear(SourceEvent::Batch(batch));
                }
            }
        }
        for batch in self.state.take_batches() {
            self.hear(SourceEvent::Batch(batch));
        }
    }

    /// What holds after every round.
    fn check(&self) {
        let paused = self.fetched.iter().filter(|(partition, fetch)| {
            fetch.paused && self.state.names().any(|name| name == *partition)
        });
        assert_eq!(
            paused.count(),
            self.state.counts().paused,
            "{:?}",
            self.fetched
        );
    }

    fn perform_all(&mut self, actions: Vec<Action>) {
        let mut actions = VecDeque::from(actions);
        while let Some(action) = actions.pop_front() {
            self.wanted.push(told(&action));
            if let Some(answer) = self.perform(action) {
                actions.extend(self.state.handle(answer, self.now));
            }
        }
    }

    fn perform(&mut self, action: Action) -> Option<Input> {
        match action {
            Action::Emit(event) => {
                self.hear(event);
                None
            }
            Action::FindStarts(asked) => Some(self.find_starts(asked)),
            Action::CheckPositions(asked) => Some(self.check_positions(asked)),
            Action::Assign(starts) => Some(self.assign(starts)),
            Action::Unassign(list) => {
                assert_eq!(self.rebalance.take(), Some(Rebalance::Revoke(list.clone())));
                for partition in &list {
                    self.fetched.remove(partition);
                    let owner = self.claims.keys().find(|one| one.partition == *partition);
                    assert_eq!(owner, None, "given back while somebody writes it");
                }
                self.lost = false;
                None
            }
            Action::Restart(restart) => Some(self.restart(restart)),
            Action::Pause(list) => {
                self.pause(&list, true);
                None
            }
            Action::Resume(list) | Action::ClearPauses(list) => {
                self.pause(&list, false);
                None
            }
            Action::Commit(offsets) => {
                for (partition, next) in offsets {
                    assert!(!self.lost, "a commit of what is another's");
                    assert!(self.fetched.contains_key(&partition), "{partition}");
                    let stored = self.stored.get(&partition).and_then(|one| one.next);
                    assert!(stored.is_some(), "{partition} at {next}");
                }
                None
            }
            Action::FetchEnds(list) => {
                let ends = list.into_iter().filter_map(|partition| {
                    let end = self.logs.get(&partition)?.end;
                    Some((partition, end))
                });
                Some(Input::EndsFetched(ends.collect()))
            }
            Action::ForgetLag(_) => None,
        }
    }

    fn assign(&mut self, starts: Vec<Start>) -> Input {
        if !self.client {
            return Input::AssignFailed;
        }
        let Some(Rebalance::Assign(list)) = self.rebalance.take() else {
            panic!("nobody waits for an assignment: {starts:?}");
        };
        for start in &starts {
            assert!(list.contains(&start.partition), "{start:?}");
            let fetch = Fetch {
                position: start.offset(),
                paused: false,
            };
            let before = self.fetched.insert(start.partition.clone(), fetch);
            assert!(before.is_none(), "assigned twice: {start:?}");
        }
        Input::AssignDone(starts)
    }

    fn restart(&mut self, restart: Restart) -> Input {
        if !self.client {
            return Input::RestartFailed(restart.partition);
        }
        let fetch = self.fetched.get_mut(&restart.partition);
        let fetch = fetch.expect("the client has what is restarted");
        fetch.position = restart.offset;
        fetch.paused &= !restart.resume;
        assert!(!fetch.paused, "{restart:?}");
        Input::RestartDone(restart)
    }

    fn pause(&mut self, list: &[Partition], paused: bool) {
        for partition in list {
            if let Some(fetch) = self.fetched.get_mut(partition) {
                fetch.paused = paused;
            }
        }
    }
}
