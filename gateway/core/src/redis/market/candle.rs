//! Candles. A candle is kept in parts, one for each lane (a Kafka partition of a consumer group)
//! that had trades of it, since the only writer of a lane knows its part completely. Readers merge
//! the parts.
//!
//! Many candles of a pair share one key: seconds by the minute, minutes by the hour, hours by the
//! day.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::market::{Amount, Position, Price};
use crate::redis::market::bytes::{Reader, put_position, put_price};

const VERSION: u8 = 1;

/// How long a candle lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Interval {
    Second,
    Minute,
    Hour,
}

impl Interval {
    pub const ALL: [Self; 3] = [Self::Second, Self::Minute, Self::Hour];

    /// As keys and requests name it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Second => "1s",
            Self::Minute => "1m",
            Self::Hour => "1h",
        }
    }

    /// Milliseconds of one candle.
    pub const fn millis(self) -> i64 {
        match self {
            Self::Second => 1_000,
            Self::Minute => 60_000,
            Self::Hour => 3_600_000,
        }
    }

    /// How long candles are kept after the last trade of their group.
    pub const fn lifetime(self) -> Duration {
        match self {
            Self::Second => Duration::from_mins(15),
            Self::Minute => Duration::from_hours(24),
            Self::Hour => Duration::from_hours(7 * 24),
        }
    }

    /// When the candle of this time begins, in milliseconds since 1970.
    pub const fn start(self, time: i64) -> i64 {
        time.saturating_sub(time.rem_euclid(self.millis()))
    }

    /// When the group of candles of this time begins, in milliseconds since 1970.
    pub const fn group(self, time: i64) -> i64 {
        let length = match self {
            Self::Second => Self::Minute.millis(),
            Self::Minute => Self::Hour.millis(),
            Self::Hour => 24 * Self::Hour.millis(),
        };
        time.saturating_sub(time.rem_euclid(length))
    }
}

/// Identifies a candle within a group, and whose part it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// When the candle begins, in milliseconds since 1970.
    pub start: i64,
    pub lane: i32,
}

impl Field {
    pub fn encode(self, interval: Interval) -> String {
        let place = (self.start - interval.group(self.start)) / interval.millis();
        format!("{place}:{}", self.lane)
    }

    /// `None` if it is not such a field. `group` is the beginning of the group.
    pub fn decode(field: &[u8], interval: Interval, group: i64) -> Option<Self> {
        let (place, lane) = std::str::from_utf8(field).ok()?.split_once(':')?;
        let place = i64::from(place.parse::<u8>().ok()?);
        Some(Self {
            start: group.checked_add(place * interval.millis())?,
            lane: lane.parse().ok()?,
        })
    }
}

/// Open, high, low and close of some trades, and how much was traded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candle {
    /// The first trade. Of two prices at one position, which only a fork can produce, the lower
    /// counts as earlier.
    pub open: (Position, Price),
    /// The last trade.
    pub close: (Position, Price),
    pub high: Price,
    pub low: Price,
    /// In base units, exact.
    pub base: u128,
    /// In base units, exact.
    pub quote: u128,
    pub base_decimals: u8,
    pub quote_decimals: u8,
    pub trades: u64,
}

impl Candle {
    /// Of one trade. Unknown decimals count as none.
    pub fn of(position: Position, price: Price, base: Amount, quote: Amount) -> Self {
        Self {
            open: (position, price),
            close: (position, price),
            high: price,
            low: price,
            base: base.raw.into(),
            quote: quote.raw.into(),
            base_decimals: base.decimals.unwrap_or_default(),
            quote_decimals: quote.decimals.unwrap_or_default(),
            trades: 1,
        }
    }

    /// Merges the trades of both, in any order.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self {
            open: self.open.min(other.open),
            close: self.close.max(other.close),
            high: self.high.max(other.high),
            low: self.low.min(other.low),
            base: self.base.saturating_add(other.base),
            quote: self.quote.saturating_add(other.quote),
            base_decimals: self.base_decimals.max(other.base_decimals),
            quote_decimals: self.quote_decimals.max(other.quote_decimals),
            trades: self.trades.saturating_add(other.trades),
        }
    }

    /// The candles of one key by their beginnings. Fields and parts that cannot be read are
    /// ignored.
    pub fn read<'f>(
        interval: Interval,
        group: i64,
        fields: impl IntoIterator<Item = (&'f [u8], &'f [u8])>,
    ) -> BTreeMap<i64, Self> {
        let mut candles = BTreeMap::new();
        for (field, part) in fields {
            let field = Field::decode(field, interval, group);
            let (Some(field), Some(part)) = (field, Part::decode(part)) else {
                continue;
            };
            candles
                .entry(field.start)
                .and_modify(|candle: &mut Self| *candle = candle.with(part.candle))
                .or_insert(part.candle);
        }
        candles
    }
}

/// One lane's part of a candle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The last batch of the database whose trades are in it. A later one wins.
    pub batch: i64,
    pub candle: Candle,
}

impl Part {
    /// The value of the field.
    pub fn encode(&self) -> Vec<u8> {
        let Candle { open, close, .. } = self.candle;
        let mut bytes = Vec::with_capacity(131);
        bytes.push(VERSION);
        bytes.extend(self.batch.to_be_bytes());
        for (position, price) in [open, close] {
            put_position(&mut bytes, position);
            put_price(&mut bytes, price);
        }
        put_price(&mut bytes, self.candle.high);
        put_price(&mut bytes, self.candle.low);
        bytes.extend(self.candle.base.to_be_bytes());
        bytes.extend(self.candle.quote.to_be_bytes());
        bytes.push(self.candle.base_decimals);
        bytes.push(self.candle.quote_decimals);
        bytes.extend(self.candle.trades.to_be_bytes());
        bytes
    }

    /// `None` if it is not such a value.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        if reader.byte()? != VERSION {
            return None;
        }
        Some(Self {
            batch: reader.i64()?,
            candle: Candle {
                open: (reader.position()?, reader.price()?),
                close: (reader.position()?, reader.price()?),
                high: reader.price()?,
                low: reader.price()?,
                base: reader.u128()?,
                quote: reader.u128()?,
                base_decimals: reader.byte()?,
                quote_decimals: reader.byte()?,
                trades: reader.u64()?,
            },
        })
    }
}
