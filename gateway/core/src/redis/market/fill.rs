//! One of the recent trades of a pair, as a member of a sorted set. All have the score 0, so Redis
//! orders them by their bytes, which is the order of the chain.

use crate::market::{Amount, Position, Price};
use crate::redis::market::bytes::{Reader, put_amount, put_position, put_price};
use crate::{Pubkey, Signature};

/// How many trades of a pair are kept.
pub const KEPT_TRADES: usize = 50;

const VERSION: u8 = 1;
const BUY: u8 = 1;
const JUPITER: u8 = 2;

/// A trade of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    pub position: Position,
    pub signature: Signature,
    /// In milliseconds since 1970: the block's time, or when its record was written.
    pub time: i64,
    pub price: Price,
    /// With its decimals.
    pub base: Amount,
    /// With its decimals.
    pub quote: Amount,
    pub pool: Pubkey,
    /// Whether the base was bought, else it was sold.
    pub buy: bool,
    /// Whether Jupiter was involved.
    pub jupiter: bool,
}

impl Fill {
    /// The member of the set.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(154);
        bytes.push(VERSION);
        put_position(&mut bytes, self.position);
        bytes.extend(self.signature.0);
        bytes.extend(self.time.to_be_bytes());
        put_price(&mut bytes, self.price);
        put_amount(&mut bytes, self.base);
        put_amount(&mut bytes, self.quote);
        bytes.extend(self.pool.0);
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        bytes.push(flag(self.buy, BUY) | flag(self.jupiter, JUPITER));
        bytes
    }

    /// `None` if it is not such a member.
    pub fn decode(member: &[u8]) -> Option<Self> {
        let mut reader = Reader(member);
        if reader.byte()? != VERSION {
            return None;
        }
        let mut fill = Self {
            position: reader.position()?,
            signature: reader.signature()?,
            time: reader.i64()?,
            price: reader.price()?,
            base: reader.amount()?,
            quote: reader.amount()?,
            pool: reader.key()?,
            buy: false,
            jupiter: false,
        };
        let flags = reader.byte()?;
        (fill.buy, fill.jupiter) = (flags & BUY > 0, flags & JUPITER > 0);
        Some(fill)
    }
}
