//! Checks whether the messages of a topic are of the configured kind. If not, none of them can be
//! used, and good messages would fill the dead letters: so messages that cannot be used are also
//! decoded as every other kind, and after enough of them in a row the topic is not stored any more.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use prometheus::IntGaugeVec;
use tokio::sync::watch;
use tokio::time::{Duration, Instant};

use crate::config::Stream;
use crate::decode::{DecodeError, Encoding, Kind, Limits, Message, decode};
use crate::project::project;
use crate::record::{Record, UnixMillis};

/// This many messages in a row have to be of another kind, of a topic of which none was usable.
const FIRST: u32 = 5;

/// This many messages in a row have to be unusable otherwise: of no kind at all, or after others
/// that were usable.
const MANY: u32 = 50;

/// How long after its first unusable message nothing of a topic is stored that would be dead letters
/// only. What is not decided then is a topic with few messages.
const SUSPENSE: Duration = Duration::from_secs(30);

/// A topic with messages of another kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WrongKind {
    topic: String,
    said: Kind,
    encoding: Encoding,
    found: Option<Reading>,
    /// What the last of them begins like, for a person.
    looks: &'static str,
}

/// As what messages can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reading {
    kind: Kind,
    encoding: Encoding,
}

impl fmt::Display for WrongKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (topic, said) = (&self.topic, self.said.label());
        write!(formatter, "streams: {topic} is configured as {said}, but ")?;
        match self.found {
            Some(Reading { kind, .. }) if kind != self.said => {
                let found = kind.label();
                write!(
                    formatter,
                    "its messages are {found}; set `kind: {found}` for it"
                )
            }
            Some(Reading { encoding, .. }) => write!(
                formatter,
                "its messages are of another encoding; set `encoding: {}` for it",
                if encoding == Encoding::Json {
                    "json"
                } else {
                    "protobuf"
                },
            ),
            None => write!(
                formatter,
                "the last {MANY} of its messages can be read neither as that nor as another kind (they look like \
                 {}); correct its `topic`, `kind` or `encoding`, or remove the stream",
                self.looks,
            ),
        }
    }
}

/// What is known of each topic.
#[derive(Debug)]
pub(super) struct KindCheck {
    topics: HashMap<String, CheckedTopic>,
    /// Counts findings.
    findings: watch::Sender<usize>,
    metric: IntGaugeVec,
}

#[derive(Debug, Default)]
struct CheckedTopic {
    /// The last message was usable.
    clean: AtomicBool,
    state: Mutex<TopicState>,
}

#[derive(Debug, Default)]
struct TopicState {
    /// A message was usable.
    proven: bool,
    /// When the first of those in a row was seen.
    since: Option<Instant>,
    /// Those in a row that no kind fits.
    unreadable: u32,
    /// Those in a row that this fits.
    other: Option<(Reading, u32)>,
    wrong: Option<WrongKind>,
}

impl KindCheck {
    pub(super) fn new(streams: &[Stream], metric: IntGaugeVec) -> Self {
        for stream in streams {
            metric.with_label_values(&[&stream.topic]).set(0);
        }
        let topic = |stream: &Stream| (stream.topic.clone(), CheckedTopic::default());
        Self {
            topics: streams.iter().map(topic).collect(),
            findings: watch::Sender::new(0),
            metric,
        }
    }

    /// What is wrong with a topic, once it is known. Then nothing more of it may be stored.
    pub(super) fn wrong_kind(&self, topic: &str) -> Option<WrongKind> {
        self.topics.get(topic)?.state.lock().wrong.clone()
    }

    /// All that is wrong.
    pub(super) fn all_wrong(&self) -> Vec<WrongKind> {
        let topics = self.topics.values();
        let mut wrong: Vec<WrongKind> = topics
            .filter_map(|topic| topic.state.lock().wrong.clone())
            .collect();
        wrong.sort_by(|one, other| one.topic.cmp(&other.topic));
        wrong
    }

    /// Whether there are topics, and all of them are wrong.
    pub(super) fn nothing_fits(&self) -> bool {
        let mut topics = self.topics.values();
        !self.topics.is_empty() && topics.all(|topic| topic.state.lock().wrong.is_some())
    }

    /// Until when dead letters of a topic should wait for a decision; `None` once it was usable, or
    /// is known to be wrong.
    pub(super) fn undecided_until(&self, topic: &str) -> Option<Instant> {
        let state = self.topics.get(topic)?.state.lock();
        if state.proven || state.wrong.is_some() {
            return None;
        }
        Some(state.since? + SUSPENSE)
    }

    /// Changes with every decision about any topic.
    pub(super) fn decisions(&self) -> watch::Receiver<usize> {
        self.findings.subscribe()
    }

    /// A message was usable.
    pub(super) fn note_usable(&self, topic: &str) {
        let Some(topic) = self.topics.get(topic) else {
            return;
        };
        if topic.clean.swap(true, Ordering::Relaxed) {
            return;
        }
        let mut state = topic.state.lock();
        let news = !state.proven;
        state.proven = true;
        state.since = None;
        state.unreadable = 0;
        state.other = None;
        drop(state);
        if news {
            self.findings.send_modify(|count| *count += 1);
        }
    }

    /// A message was not: it could not be decoded, or has nothing in it (`error` is `None`).
    pub(super) fn note_unusable(
        &self,
        record: &Record,
        (said, encoding): (Kind, Encoding),
        limits: &Limits,
        error: Option<&DecodeError>,
    ) {
        let Some(topic) = self.topics.get(&*record.place.topic) else {
            return;
        };
        let found = Reading::of(record, limits).filter(|found| {
            // An empty block of the configured kind has a header, as a message of slots has.
            error.is_some() || found.kind != Kind::Slots
        });
        // What is too large, or nothing at all, says nothing of the kind.
        let unreadable = matches!(
            error,
            Some(DecodeError::Protobuf(_) | DecodeError::Json(_) | DecodeError::NoSlot)
        );
        if found.is_none() && !unreadable {
            return;
        }
        topic.clean.store(false, Ordering::Relaxed);
        let mut state = topic.state.lock();
        state.since.get_or_insert_with(Instant::now);
        state.unreadable += 1;
        state.other = found.map(|found| match state.other {
            Some((known, count)) if known == found => (known, count + 1),
            _ => (found, 1),
        });
        let enough = if state.proven { MANY } else { FIRST };
        let same = state.other.filter(|(_, count)| *count >= enough);
        if state.wrong.is_some() || same.is_none() && state.unreadable < MANY {
            return;
        }
        let wrong = WrongKind {
            topic: record.place.topic.to_string(),
            said,
            encoding,
            found: same.map(|(found, _)| found),
            looks: looks(record.payload.as_deref().unwrap_or_default(), limits),
        };
        tracing::error!(
            topic = wrong.topic,
            reason = wrong.to_string(),
            "the topic's messages are not what the configuration says; nothing more of it is stored"
        );
        self.metric.with_label_values(&[&wrong.topic]).set(1);
        state.wrong = Some(wrong);
        drop(state);
        self.findings.send_modify(|count| *count += 1);
    }
}

/// Whether it contains anything that only this kind has.
pub(super) fn has_substance(message: &Message) -> bool {
    match message {
        Message::Trades(block) => block.transactions.iter().any(|one| !one.trades.is_empty()),
        Message::Transfers(block) => {
            let mut transactions = block.transactions.iter();
            transactions.any(|one| !one.transfers.is_empty())
        }
        Message::Transactions(block) => {
            let mut transactions = block.transactions.iter();
            // A pool's event of the other stream can look like an instruction without its program.
            transactions.any(|one| {
                let mut instructions = one.parsed_idl_instructions.iter();
                instructions.any(|one| one.program.is_some())
            })
        }
        Message::Slot(_) => true,
    }
}

impl Reading {
    /// As what a record can be used, if as anything.
    fn of(record: &Record, limits: &Limits) -> Option<Self> {
        let encoding = Encoding::Auto.of(record.payload.as_deref().unwrap_or_default());
        let readings = Kind::ALL.into_iter().map(|kind| Self { kind, encoding });
        readings
            .into_iter()
            .find(|reading| reading.fits(record, limits))
    }

    fn fits(self, record: &Record, limits: &Limits) -> bool {
        let Self { kind, encoding } = self;
        // Every block message has the header that is all of a message of slots.
        if kind == Kind::Slots && encoding == Encoding::Protobuf {
            return false;
        }
        let Ok(message) = decode(kind, encoding, record.payload.as_ref(), limits) else {
            return false;
        };
        if !has_substance(&message) {
            return false;
        }
        let projected = project(message, record.timestamp.unwrap_or(UnixMillis(0)));
        projected.poisoned.is_empty() && projected.rows() > 0
    }
}

/// What a payload of no kind may be.
fn looks(payload: &[u8], limits: &Limits) -> &'static str {
    let header = Bytes::copy_from_slice(payload);
    if Encoding::Auto.of(payload) == Encoding::Json {
        "JSON"
    } else if decode(Kind::Slots, Encoding::Protobuf, Some(&header), limits).is_ok() {
        "blocks of a kind that is not supported"
    } else if std::str::from_utf8(payload).is_ok_and(|text| !text.contains('\0')) {
        "text"
    } else {
        "binary data that is none of Bitquery's messages"
    }
}

#[cfg(test)]
mod tests;
