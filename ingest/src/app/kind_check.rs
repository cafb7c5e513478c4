//! Checks whether the messages of a topic are of the configured kind. If not, none of them can be
//! used, and good messages would fill the dead letters: so the first messages are also decoded as
//! every other kind, until one of them is usable as configured.

use std::collections::HashMap;
use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::config::Stream;
use crate::decode::{Encoding, Kind, Limits, Message, decode};
use crate::project::project;
use crate::record::{Record, UnixMillis};

/// This many consecutive messages have to be of another kind.
const ENOUGH: u32 = 5;

/// After this many unusable messages of no kind at all, that is logged.
const MANY: u32 = 50;

/// A topic with messages of another kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WrongKind {
    topic: String,
    said: Kind,
    found: Kind,
}

impl fmt::Display for WrongKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, said, found } = self;
        write!(
            formatter,
            "streams: {topic} is configured as {}, but its messages are {found}; set `kind: {found}` for it \
             (at most {} of its messages were stored before this)",
            said.label(),
            ENOUGH - 1,
            found = found.label(),
        )
    }
}

/// What is known of each topic.
#[derive(Debug)]
pub(super) struct KindCheck {
    topics: HashMap<String, Topic>,
    wrong_kind: OnceLock<WrongKind>,
}

#[derive(Debug, Default)]
struct Topic {
    /// A message was usable.
    proven: AtomicBool,
    unusable: Mutex<Unusable>,
}

/// Unusable messages so far.
#[derive(Debug, Default)]
struct Unusable {
    all: u32,
    /// Those since another kind fitted, and which.
    other: Option<(Kind, u32)>,
}

impl KindCheck {
    pub(super) fn new(streams: &[Stream]) -> Self {
        let topic = |stream: &Stream| (stream.topic.clone(), Topic::default());
        Self {
            topics: streams.iter().map(topic).collect(),
            wrong_kind: OnceLock::new(),
        }
    }

    /// What is wrong, once it is known. Then nothing more may be stored.
    pub(super) fn wrong_kind(&self) -> Option<&WrongKind> {
        self.wrong_kind.get()
    }

    /// Whether it is still open. False for topics that the configuration does not name.
    pub(super) fn is_undecided(&self, topic: &str) -> bool {
        let topic = self.topics.get(topic);
        topic.is_some_and(|topic| !topic.proven.load(Ordering::Relaxed))
    }

    /// A message was usable.
    pub(super) fn note_usable(&self, topic: &str) {
        if let Some(topic) = self.topics.get(topic) {
            topic.proven.store(true, Ordering::Relaxed);
        }
    }

    /// A message was not.
    pub(super) fn note_unusable(
        &self,
        record: &Record,
        said: Kind,
        encoding: Encoding,
        limits: &Limits,
    ) {
        let Some(topic) = self.topics.get(&*record.place.topic) else {
            return;
        };
        let others = Kind::ALL.into_iter().filter(|kind| *kind != said);
        let found = others
            .into_iter()
            .find(|kind| fits(record, *kind, encoding, limits));
        let mut unusable = topic.unusable.lock();
        unusable.all += 1;
        unusable.other = found.map(|found| match unusable.other {
            Some((kind, count)) if kind == found => (kind, count + 1),
            _ => (found, 1),
        });
        if let Some((found, ENOUGH)) = unusable.other {
            let topic = record.place.topic.to_string();
            drop(self.wrong_kind.set(WrongKind { topic, said, found }));
        } else if unusable.all == MANY {
            tracing::error!(
                topic = &*record.place.topic,
                kind = said.label(),
                "none of the topic's messages could be used; see `streams` and `dead-letters list`"
            );
        }
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
            transactions.any(|one| !one.parsed_idl_instructions.is_empty())
        }
        Message::Slot(_) => true,
    }
}

fn fits(record: &Record, kind: Kind, encoding: Encoding, limits: &Limits) -> bool {
    // Every block message has the header that is all of a message of slots.
    if kind == Kind::Slots
        && encoding.of(record.payload.as_deref().unwrap_or_default()) == Encoding::Protobuf
    {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::{Generator, Plan};

    fn stream(kind: Kind) -> Stream {
        Stream {
            topic: Plan::default().topic.to_string(),
            kind,
            ..Stream::trades()
        }
    }

    #[test]
    fn messages_of_another_kind_are_noticed_and_poison_is_not_taken_for_them() {
        let (encoding, limits) = (Encoding::Auto, Limits::default());
        let trades: Vec<Record> = Generator::new(Plan::default()).take(9).collect();
        for said in [Kind::Transfers, Kind::Transactions] {
            let kinds = KindCheck::new(&[stream(said)]);
            for record in &trades[..4] {
                kinds.note_unusable(record, said, encoding, &limits);
            }
            assert_eq!(kinds.wrong_kind(), None);
            kinds.note_unusable(&trades[4], said, encoding, &limits);
            let wrong_kind = kinds.wrong_kind().unwrap().to_string();
            assert!(wrong_kind.contains("set `kind: trades`"), "{wrong_kind}");
        }
        let kinds = KindCheck::new(&[stream(Kind::Trades)]);
        let poison = Record {
            payload: Some("no message".into()),
            ..trades[0].clone()
        };
        for _ in 0..100 {
            kinds.note_unusable(&poison, Kind::Trades, encoding, &limits);
        }
        assert_eq!(kinds.wrong_kind(), None);
        let topic = &*poison.place.topic;
        assert!(kinds.is_undecided(topic) && !kinds.is_undecided("another"));
        kinds.note_usable(topic);
        assert!(!kinds.is_undecided(topic));
    }
}
