//! The price of a token in dollars, and how reliable it is.

use crate::Slot;
use crate::redis::market::bytes::Reader;

/// The longest body that is read, in bytes: room for what later versions add.
pub const LONGEST_DOLLARS: usize = 1024;

/// The layout of the body. Readers ignore others.
const VERSION: u8 = 1;

/// The price of a token, as computed by ingest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dollars {
    /// Dollars for one token: positive and finite.
    pub usd: f64,
    /// Relative uncertainty of the price: 0.01 is a percent. Finite, not negative.
    pub uncertain: f64,
    /// Of the token.
    pub decimals: u8,
    /// The slot of its last trade that counted.
    pub slot: Slot,
    /// The time of that trade, in milliseconds since 1970.
    pub time: i64,
    /// The time of the oldest trade that the price is based on.
    pub since: i64,
    /// Trades in the window, and pools that contributed.
    pub trades: u32,
    pub pools: u32,
    /// Their turnover in dollars.
    pub turnover: f64,
}

impl Dollars {
    /// The body of the value.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(58);
        bytes.push(VERSION);
        bytes.extend(self.usd.to_be_bytes());
        bytes.extend(self.uncertain.to_be_bytes());
        bytes.push(self.decimals);
        bytes.extend(self.slot.0.to_be_bytes());
        bytes.extend(self.time.to_be_bytes());
        bytes.extend(self.since.to_be_bytes());
        bytes.extend(self.trades.to_be_bytes());
        bytes.extend(self.pools.to_be_bytes());
        bytes.extend(self.turnover.to_be_bytes());
        bytes
    }

    /// `None` if it is not such a body, or contains impossible values. What a later version appends
    /// is ignored.
    pub fn decode(body: &[u8]) -> Option<Self> {
        let mut reader = Reader(body);
        if reader.byte()? != VERSION {
            return None;
        }
        let dollars = Self {
            usd: reader.f64()?,
            uncertain: reader.f64()?,
            decimals: reader.byte()?,
            slot: Slot(reader.u64()?),
            time: reader.i64()?,
            since: reader.i64()?,
            trades: reader.take().map(u32::from_be_bytes)?,
            pools: reader.take().map(u32::from_be_bytes)?,
            turnover: reader.f64()?,
        };
        let known = |number: f64| number.is_finite() && number >= 0.0;
        let possible = dollars.usd.is_normal() && dollars.usd > 0.0;
        (possible && known(dollars.uncertain) && known(dollars.turnover)).then_some(dollars)
    }

    /// The interval in which the price probably lies.
    pub fn interval(&self) -> (f64, f64) {
        let factor = 1.0 + self.uncertain;
        (self.usd / factor, self.usd * factor)
    }
}
