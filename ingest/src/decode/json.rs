//! Messages in JSON, as Bitquery writes them: the published field names, base58 for bytes, null or
//! absent for unset fields. Numbers may also be quoted, as in protobuf's own JSON.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use serde_json::value::RawValue;

use crate::decode::error::DecodeError;
use crate::decode::shape::Limits;
use crate::decode::{Kind, Message, wire};

/// The longest text of 64 bytes in base58.
const LONGEST_BASE58: usize = 88;

pub(super) fn decode(kind: Kind, payload: &[u8], limits: &Limits) -> Result<Message, DecodeError> {
    Ok(match kind {
        Kind::Trades => {
            let block: wire::DexParsedBlockMessage = serde_json::from_slice(payload)?;
            let items = block.transactions.iter().map(|one| one.trades.len()).sum();
            limits.check(block.transactions.len(), items)?;
            Message::Trades(block)
        }
        Kind::Transfers => {
            let block: wire::TokenBlockMessage = serde_json::from_slice(payload)?;
            let transactions = block.transactions.iter();
            let items = transactions.map(|one| one.transfers.len() + one.balance_updates.len());
            limits.check(block.transactions.len(), items.sum())?;
            Message::Transfers(block)
        }
        Kind::Transactions => {
            let block: wire::ParsedIdlBlockMessage = serde_json::from_slice(payload)?;
            let instructions = block.transactions.iter();
            let instructions = instructions.map(|one| one.parsed_idl_instructions.len());
            limits.check(block.transactions.len(), instructions.sum())?;
            Message::Transactions(block)
        }
        Kind::Slots => {
            let update: SlotUpdate = serde_json::from_slice(payload)?;
            Message::Slot(update.into())
        }
    })
}

/// A slot update in any of the spellings in use. The format is not published.
#[derive(Deserialize)]
#[serde(untagged)]
enum SlotUpdate {
    Block {
        #[serde(rename = "Header", alias = "header", alias = "Block", alias = "block")]
        header: Header,
    },
    Header(Header),
}

#[derive(Deserialize)]
struct Header {
    #[serde(rename = "Slot", alias = "slot", deserialize_with = "number")]
    slot: u64,
    #[serde(
        default,
        rename = "Hash",
        alias = "hash",
        alias = "blockhash",
        alias = "blockHash",
        deserialize_with = "base58"
    )]
    hash: Bytes,
    #[serde(
        default,
        rename = "ParentSlot",
        alias = "parentSlot",
        alias = "parent_slot",
        alias = "parent",
        deserialize_with = "number"
    )]
    parent_slot: u64,
    #[serde(
        default,
        rename = "Height",
        alias = "height",
        alias = "blockHeight",
        alias = "block_height",
        deserialize_with = "number"
    )]
    height: u64,
    #[serde(
        default,
        rename = "Timestamp",
        alias = "timestamp",
        alias = "blockTime",
        alias = "block_time",
        deserialize_with = "number"
    )]
    timestamp: i64,
}

impl From<SlotUpdate> for wire::BlockHeader {
    fn from(update: SlotUpdate) -> Self {
        let (SlotUpdate::Block { header } | SlotUpdate::Header(header)) = update;
        Self {
            slot: header.slot,
            hash: header.hash,
            parent_slot: header.parent_slot,
            height: header.height,
            timestamp: header.timestamp,
        }
    }
}

/// Null counts as absent.
pub(crate) fn or_default<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Deserialize<'de> + Default,
    D: Deserializer<'de>,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Bytes in base58.
pub(crate) fn base58<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    struct Text;

    impl Visitor<'_> for Text {
        type Value = Bytes;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("bytes in base58")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Bytes, E> {
            if text.len() > LONGEST_BASE58 {
                return Err(E::custom("base58 of more than 64 bytes"));
            }
            let bytes = bs58::decode(text).into_vec();
            bytes
                .map(Bytes::from)
                .map_err(|error| E::custom(format_args!("not base58: {error}")))
        }

        fn visit_unit<E: Error>(self) -> Result<Bytes, E> {
            Ok(Bytes::new())
        }
    }

    deserializer.deserialize_any(Text)
}

/// A number to its last bit, which the JSON parser does not guarantee by itself.
pub(crate) fn double<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let Some(text) = <Option<&'de RawValue>>::deserialize(deserializer)? else {
        return Ok(0.0);
    };
    let text = text.get().trim_matches('"');
    text.parse()
        .ok()
        .ok_or_else(|| D::Error::custom("not a number"))
}

/// A whole number, perhaps in quotes.
pub(crate) fn number<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Deserialize<'de> + Default + FromStr,
    D: Deserializer<'de>,
{
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written<'t, T> {
        Number(T),
        Text(#[serde(borrow)] std::borrow::Cow<'t, str>),
        Nothing(()),
    }

    match Written::<T>::deserialize(deserializer)? {
        Written::Number(number) => Ok(number),
        Written::Text(text) if text.is_empty() => Ok(T::default()),
        Written::Text(text) => text
            .parse()
            .ok()
            .ok_or_else(|| D::Error::custom("not a whole number")),
        Written::Nothing(()) => Ok(T::default()),
    }
}
