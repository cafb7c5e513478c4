//! The topics that are read, and their content.

use perijove_core::settings::{Section, refuse_doubles, words};
use schemars::JsonSchema;

use crate::decode::{Encoding, Kind};

/// One topic.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq)]
pub struct Stream {
    /// Name of the topic.
    pub topic: String,
    /// Content of its messages: `trades`, `transfers`, `transactions` or `slots`.
    pub kind: Kind,
    /// Encoding of its messages; `auto` detects it for each message.
    pub encoding: Encoding,
}

/// Kafka's own limit.
const LONGEST: usize = 249;

impl Stream {
    /// Bitquery's stream of DEX trades.
    pub fn trades() -> Self {
        Self {
            topic: "solana.dextrades.proto".to_owned(),
            kind: Kind::Trades,
            encoding: Encoding::Auto,
        }
    }

    pub(super) fn read_all(section: &mut Section<'_>) -> Vec<Self> {
        let mut topics = Vec::new();
        let streams = section.sections("streams", |section| {
            let topic = topic(section);
            topics.push((section.at("topic"), topic.clone()));
            let kind = section.required("kind");
            let encoding = section.or("encoding", Encoding::default());
            Some(Self {
                topic: topic?,
                kind: kind?,
                encoding,
            })
        });
        refuse_doubles(
            section,
            topics
                .iter()
                .map(|(path, topic)| (path.as_str(), topic.as_ref())),
        );
        if section.has("streams") && section.is_empty_list("streams") {
            section.violation("streams", "needs at least one topic");
        }
        if section.has("streams") {
            streams.into_iter().flatten().collect()
        } else {
            vec![Self::trades()]
        }
    }
}

fn topic(section: &mut Section<'_>) -> Option<String> {
    let topic: String = section.required("topic")?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if topic.is_empty() || topic.len() > LONGEST || !topic.bytes().all(plain) {
        section.violation(
            "topic",
            format_args!("must be 1 to {LONGEST} of A-Z a-z 0-9 - _ ."),
        );
        return None;
    }
    Some(topic)
}

words!(Kind, "trades, transfers, transactions or slots",
    "trades" => Self::Trades,
    "transfers" => Self::Transfers,
    "transactions" => Self::Transactions,
    "slots" => Self::Slots,
);

words!(Encoding, "auto, protobuf or json",
    "auto" => Self::Auto,
    "protobuf" => Self::Protobuf,
    "json" => Self::Json,
);
