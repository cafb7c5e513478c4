//! A recording as a source, on a thread of its own: every partition in it is assigned when its first
//! record comes, and revoked at the end. It ends well only if everything was read and settled.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::Read;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::Instant;

use crate::planted;
use crate::record::{Partition, Record};
use crate::recording::RecordingReader;
use crate::source::buffer::{FillLevel, PartitionBudget};
use crate::source::{BufferBudget, Source, SourceStatus};
use crate::source::{
    Claim, Control, ReadingStarted, RecordBatch, SourceCommand, SourceError, SourceErrorKind,
    SourceEvent,
};

/// Records that are handed out together.
const TOGETHER: usize = 64;

/// How long to wait for room before looking again.
const NO_ROOM: Duration = Duration::from_millis(2);

/// How long the last records may take to be settled, unless the source is stopped.
const FOR_EVER: Duration = Duration::from_hours(24 * 365);

/// Starts reading. `grace` is how long what was handed out may take to be settled when the source
/// is stopped; at the end of the recording there is no such limit.
///
/// # Errors
/// There can be no thread.
pub fn start<R: Read + Send + 'static>(
    reader: RecordingReader<R>,
    budget: &Arc<BufferBudget>,
    grace: Duration,
) -> Result<Source, SourceError> {
    let (events, received) = unbounded_channel();
    let (sent, commands) = channel();
    let status = Arc::new(SourceStatus::default());
    status.set_connected(true);
    let replay = Replay {
        budget: Arc::clone(budget),
        grace,
        events,
        commands,
        status: Arc::clone(&status),
        partitions: BTreeMap::new(),
        held: false,
        stopping: false,
        lost: None,
    };
    thread::Builder::new()
        .name("replay".to_owned())
        .spawn(move || {
            planted::fault("replay");
            replay.run(reader);
        })
        .map_err(|error| SourceError::new(SourceErrorKind::Other, error.to_string()))?;
    Ok(Source::new(received, Control::new(sent, status)))
}

struct Replay {
    budget: Arc<BufferBudget>,
    grace: Duration,
    events: UnboundedSender<SourceEvent>,
    commands: Receiver<SourceCommand>,
    status: Arc<SourceStatus>,
    partitions: BTreeMap<Partition, Owned>,
    held: bool,
    stopping: bool,
    /// Why it stopped by itself.
    lost: Option<SourceError>,
}

/// A partition that was assigned.
struct Owned {
    generation: u64,
    budget: PartitionBudget,
    begun: bool,
    waiting: Vec<Record>,
}

/// Nobody listens any more.
struct Gone;

impl Replay {
    fn run<R: Read>(mut self, reader: RecordingReader<R>) {
        let ended = self.read(reader);
        if let Ok(result) = ended {
            drop(self.events.send(SourceEvent::Ended(result)));
        }
    }

    fn read<R: Read>(
        &mut self,
        mut reader: RecordingReader<R>,
    ) -> Result<Result<(), SourceError>, Gone> {
        let mut result = Ok(());
        for record in reader.by_ref() {
            match record {
                Ok(record) => self.take(record)?,
                Err(error) => {
                    result = Err(fault(&format_args!("cannot be read: {error}")));
                    break;
                }
            }
            if self.stopping {
                break;
            }
        }
        if let Some(cut) = reader.truncated() {
            result = Err(fault(&cut));
        }
        let complete = !self.stopping;
        let settled = self.leave()?;
        if let Some(lost) = self.lost.take() {
            return Ok(Err(lost));
        }
        Ok(result.and_then(|()| {
            let all = complete && settled;
            all.then_some(()).ok_or_else(unfinished)
        }))
    }

    fn take(&mut self, record: Record) -> Result<(), Gone> {
        let partition = Partition::new(Arc::clone(&record.place.topic), record.place.partition);
        if !self.partitions.contains_key(&partition) {
            self.assign(&partition, record.place.offset)?;
        }
        let Some(owned) = self.partitions.get_mut(&partition) else {
            return Ok(());
        };
        owned.waiting.push(record);
        if owned.waiting.len() >= TOGETHER {
            self.hand_out(&partition)?;
        }
        self.obey(Duration::ZERO)
    }

    /// Assigns a partition and waits until its lane is open.
    fn assign(&mut self, partition: &Partition, first: i64) -> Result<(), Gone> {
        let owned = Owned {
            generation: 1,
            budget: self.budget.of_partition(),
            begun: false,
            waiting: Vec::new(),
        };
        let claim = owned.claim(partition);
        self.partitions.insert(partition.clone(), owned);
        self.status.set_partitions(self.partitions.len());
        self.tell(SourceEvent::Assigned(claim))?;
        self.await_begin(partition, first)
    }

    fn await_begin(&mut self, partition: &Partition, offset: i64) -> Result<(), Gone> {
        while let Some(owned) = self.partitions.get(partition)
            && !self.stopping
        {
            if owned.begun {
                // What is stored does not matter: what was read before is known by its rows.
                let claim = owned.claim(partition);
                let gap = None;
                return self.tell(SourceEvent::Begun(ReadingStarted { claim, offset, gap }));
            }
            self.obey(Duration::from_millis(100))?;
        }
        Ok(())
    }

    fn hand_out(&mut self, partition: &Partition) -> Result<(), Gone> {
        loop {
            let Some(owned) = self.partitions.get_mut(partition) else {
                return Ok(());
            };
            if !self.held && owned.budget.level() != FillLevel::Full {
                let records = std::mem::take(&mut owned.waiting);
                if records.is_empty() {
                    return Ok(());
                }
                let bytes = records.iter().map(size).sum();
                let batch = RecordBatch {
                    claim: owned.claim(partition),
                    reservation: owned.budget.reserve(records.len(), bytes),
                    records,
                };
                return self.tell(SourceEvent::Batch(batch));
            }
            if self.stopping {
                return Ok(());
            }
            self.obey(NO_ROOM)?;
        }
    }

    /// Hands out the rest, revokes everything and waits for it to be released. Whether all of it was.
    fn leave(&mut self) -> Result<bool, Gone> {
        let partitions: Vec<Partition> = self.partitions.keys().cloned().collect();
        if !self.stopping {
            for partition in &partitions {
                self.hand_out(partition)?;
            }
        }
        let unread = self.partitions.values();
        let handed_out = unread.map(|owned| owned.waiting.len()).sum::<usize>() == 0;
        let mut stopping = self.stopping;
        let grace = if stopping { self.grace } else { FOR_EVER };
        let mut deadline = Instant::now() + grace;
        for partition in partitions {
            if let Some(owned) = self.partitions.get(&partition) {
                let claim = owned.claim(&partition);
                self.tell(SourceEvent::Revoked { claim, deadline })?;
            }
        }
        while !self.partitions.is_empty() && Instant::now() < deadline {
            self.obey(Duration::from_millis(100))?;
            if self.stopping && !stopping {
                stopping = true;
                deadline = deadline.min(Instant::now() + self.grace);
            }
        }
        Ok(handed_out && self.partitions.is_empty())
    }

    /// Does what it is told, and waits so long for the first.
    fn obey(&mut self, wait: Duration) -> Result<(), Gone> {
        let mut command = match self.commands.recv_timeout(wait) {
            Ok(command) => command,
            Err(RecvTimeoutError::Timeout) => return Ok(()),
            Err(RecvTimeoutError::Disconnected) => return Err(Gone),
        };
        loop {
            match command {
                SourceCommand::Begin { claim, .. } => {
                    if let Some(owned) = self.partitions.get_mut(&claim.partition) {
                        owned.begun |= owned.generation == claim.generation;
                    }
                }
                SourceCommand::Release(claim) => {
                    self.partitions.remove(&claim.partition);
                }
                SourceCommand::Reclaim(claim) => self.lose(claim)?,
                SourceCommand::Hold(hold) => self.held = hold,
                SourceCommand::Stop => self.stopping = true,
                SourceCommand::Abort => return Err(Gone),
                SourceCommand::Settled { .. } | SourceCommand::Halt(_) => {}
            }
            match self.commands.try_recv() {
                Ok(next) => command = next,
                Err(_) => return Ok(()),
            }
        }
    }

    /// Another process replays into the same database. The later one continues alone.
    fn lose(&mut self, claim: Claim) -> Result<(), Gone> {
        let message = "another process replays into the same database";
        self.lost = Some(SourceError::new(SourceErrorKind::Group, message));
        self.stopping = true;
        self.partitions.remove(&claim.partition);
        self.tell(SourceEvent::Lost(claim))
    }

    fn tell(&self, event: SourceEvent) -> Result<(), Gone> {
        self.events.send(event).map_err(|_closed| Gone)
    }
}

impl Owned {
    fn claim(&self, partition: &Partition) -> Claim {
        Claim {
            partition: partition.clone(),
            generation: self.generation,
        }
    }
}

fn size(record: &Record) -> usize {
    let length = |bytes: &Option<bytes::Bytes>| bytes.as_ref().map_or(0, bytes::Bytes::len);
    length(&record.key) + length(&record.payload)
}

fn fault(error: &impl Display) -> SourceError {
    SourceError::new(SourceErrorKind::Other, format!("the recording {error}"))
}

fn unfinished() -> SourceError {
    SourceError::new(
        SourceErrorKind::Other,
        "stopped before the whole recording was stored; run the same command again to continue",
    )
}
