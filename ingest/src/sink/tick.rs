//! A trade as far as market data is made of it. The same whether it comes from the stream or back
//! from the database.

use perijove_core::market::{Amount, Pair, Position, Price};
use perijove_core::redis::{Candle, Fill, Latest};
use perijove_core::{Pubkey, Signature};

use crate::project::{Direction, NATIVE_SOL, Trade};

/// A trade in a pool.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tick {
    pub position: Position,
    pub signature: Signature,
    /// In milliseconds since 1970: the block's time, or when its record was written.
    pub time: i64,
    pub pool: Pubkey,
    pub pair: Pair,
    pub base: Amount,
    pub quote: Amount,
    /// What one token was worth in dollars, if the stream says.
    pub base_usd: Option<f32>,
    pub quote_usd: Option<f32>,
    pub buy: bool,
    pub jupiter: bool,
}

impl Tick {
    /// None for an aggregator's total.
    pub fn of(trade: &Trade) -> Option<Self> {
        let (base, quote) = (trade.base(), trade.quote());
        Some(Self {
            position: trade.position(),
            signature: trade.origin.signature,
            time: trade.origin.time().0,
            pool: trade.market?,
            pair: trade.pair,
            base: base.amount,
            quote: quote.amount,
            base_usd: base.unit_usd,
            quote_usd: quote.unit_usd,
            buy: trade.direction() == Direction::Buy,
            jupiter: trade.jupiter,
        })
    }

    /// How much of the quote one base costs. None when decimals are not known, and where there is
    /// nothing to tell.
    pub fn price(&self) -> Option<Price> {
        let told = self.pair.base != self.pair.quote;
        told.then(|| Price::ratio(self.quote, self.base)).flatten()
    }

    /// Its price of the pair.
    pub fn latest(&self) -> Option<Latest> {
        Some(Latest {
            position: self.position,
            signature: self.signature,
            time: self.time,
            price: self.price()?,
            quote: self.pair.quote,
            pool: self.pool,
            decimals: self.base.decimals?,
            usd: self.base_usd,
        })
    }

    /// Itself among the recent trades of its pair.
    pub fn fill(&self) -> Option<Fill> {
        Some(Fill {
            position: self.position,
            signature: self.signature,
            time: self.time,
            price: self.price()?,
            base: self.base,
            quote: self.quote,
            pool: self.pool,
            buy: self.buy,
            jupiter: self.jupiter,
        })
    }

    /// A candle of nothing but itself.
    pub fn candle(&self) -> Option<Candle> {
        let price = self.price()?;
        Some(Candle::of(self.position, price, self.base, self.quote))
    }
}

/// Whether one side of a trade was native SOL, for which wrapped SOL stands in its pair.
pub(super) fn is_native(trade: &Trade) -> bool {
    trade.bought.mint == NATIVE_SOL || trade.sold.mint == NATIVE_SOL
}
