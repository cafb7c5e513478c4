//! The latest trade of a token or of a pair.

use crate::market::{Position, Price};
use crate::redis::market::bytes::{Reader, put_position, put_price};
use crate::{Pubkey, Signature};

/// The longest body that is read, in bytes: room for what later versions add.
pub const LONGEST_LATEST: usize = 4096;

/// A trade, as far as it determines a price.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Latest {
    pub position: Position,
    pub signature: Signature,
    /// In milliseconds since 1970: the block's time, or when its record was written.
    pub time: i64,
    /// The price of one token.
    pub price: Price,
    /// The token that the price is expressed in.
    pub quote: Pubkey,
    /// Where it was traded.
    pub pool: Pubkey,
    /// Of the token that is priced.
    pub decimals: u8,
    /// The value of one token in dollars, if the stream contains it.
    pub usd: Option<f32>,
}

impl Latest {
    /// The body of the value. The first 84 bytes decide which of two is later.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(171);
        put_position(&mut bytes, self.position);
        bytes.extend(self.signature.0);
        bytes.extend(self.time.to_be_bytes());
        put_price(&mut bytes, self.price);
        bytes.extend(self.quote.0);
        bytes.extend(self.pool.0);
        bytes.push(self.decimals);
        bytes.extend(self.usd.unwrap_or_default().to_be_bytes());
        bytes
    }

    /// None when it is not such a body. What a later version adds at the end is passed over.
    pub fn decode(body: &[u8]) -> Option<Self> {
        let mut reader = Reader(body);
        Some(Self {
            position: reader.position()?,
            signature: reader.signature()?,
            time: reader.i64()?,
            price: reader.price()?,
            quote: reader.key()?,
            pool: reader.key()?,
            decimals: reader.byte()?,
            usd: reader
                .take()
                .map(f32::from_be_bytes)
                .map(|usd| Some(usd).filter(|usd| usd.is_finite() && *usd > 0.0))?,
        })
    }

    /// Whether it is later than another. Two different trades are never equal.
    pub fn is_later(&self, other: &Self) -> bool {
        (self.position, self.signature) > (other.position, other.signature)
    }
}
