//! Trades as columns.

use perijove_core::Pubkey;

use crate::project::{Direction, Trade};
use crate::sink::database::new_trades::integer;
use crate::sink::database::text::clean;
use crate::sink::tick::is_native;

/// One array for each column of `dex_trades`, of the trades of a batch.
#[derive(Default)]
pub(super) struct TradeColumns {
    pub(super) slot: Vec<i64>,
    pub(super) transaction: Vec<i64>,
    pub(super) instruction: Vec<i64>,
    pub(super) ordinal: Vec<i64>,
    pub(super) time: Vec<i64>,
    pub(super) recorded: Vec<i64>,
    pub(super) base_decimals: Vec<Option<i16>>,
    pub(super) quote_decimals: Vec<Option<i16>>,
    pub(super) base_usd: Vec<Option<f32>>,
    pub(super) quote_usd: Vec<Option<f32>>,
    pub(super) base_unit_usd: Vec<Option<f32>>,
    pub(super) quote_unit_usd: Vec<Option<f32>>,
    pub(super) buy: Vec<bool>,
    pub(super) jupiter: Vec<bool>,
    pub(super) native: Vec<bool>,
    pub(super) signature: Vec<[u8; 64]>,
    pub(super) base: Vec<[u8; 32]>,
    pub(super) quote: Vec<[u8; 32]>,
    pub(super) market: Vec<Option<[u8; 32]>>,
    pub(super) trader: Vec<Option<[u8; 32]>>,
    pub(super) program: Vec<Option<[u8; 32]>>,
    pub(super) base_amount: Vec<String>,
    pub(super) quote_amount: Vec<String>,
    pub(super) price: Vec<Option<String>>,
    pub(super) protocol: Vec<String>,
    pub(super) family: Vec<String>,
    pub(super) base_symbol: Vec<String>,
    pub(super) quote_symbol: Vec<String>,
    pub(super) base_2022: Vec<bool>,
    pub(super) quote_2022: Vec<bool>,
    pub(super) base_multiplier: Vec<Option<f64>>,
    pub(super) quote_multiplier: Vec<Option<f64>>,
}

impl TradeColumns {
    pub(super) fn of(trades: &[Trade]) -> Self {
        let mut columns = Self::default();
        for trade in trades {
            columns.place(trade);
            columns.sides(trade);
            columns.rest(trade);
        }
        columns
    }

    fn place(&mut self, trade: &Trade) {
        self.slot.push(integer(trade.origin.slot.0));
        self.transaction.push(trade.origin.index.into());
        self.instruction.push(trade.instruction.into());
        self.ordinal.push(trade.ordinal.into());
        self.time.push(trade.origin.time().0);
        self.recorded.push(trade.origin.recorded.0);
        self.signature.push(trade.origin.signature.0);
    }

    fn sides(&mut self, trade: &Trade) {
        let (base, quote) = (trade.base(), trade.quote());
        self.base_decimals.push(base.amount.decimals.map(i16::from));
        self.quote_decimals
            .push(quote.amount.decimals.map(i16::from));
        self.base_usd.push(base.usd);
        self.quote_usd.push(quote.usd);
        self.base_unit_usd.push(base.unit_usd);
        self.quote_unit_usd.push(quote.unit_usd);
        self.base.push(trade.pair.base.0);
        self.quote.push(trade.pair.quote.0);
        self.base_amount.push(base.amount.raw.to_string());
        self.quote_amount.push(quote.amount.raw.to_string());
        self.base_symbol.push(clean(&base.symbol).into_owned());
        self.quote_symbol.push(clean(&quote.symbol).into_owned());
        self.base_2022.push(base.extensions.token_2022);
        self.quote_2022.push(quote.extensions.token_2022);
        self.base_multiplier.push(base.extensions.multiplier);
        self.quote_multiplier.push(quote.extensions.multiplier);
        self.price.push(trade.price.map(|price| price.to_string()));
    }

    fn rest(&mut self, trade: &Trade) {
        let buy = trade.direction() == Direction::Buy;
        self.buy.push(buy);
        self.jupiter.push(trade.jupiter);
        self.native.push(is_native(trade));
        self.market.push(bytes(trade.market));
        self.trader.push(bytes(trade.trader));
        self.program.push(bytes(trade.dex.program));
        self.protocol.push(clean(&trade.dex.protocol).into_owned());
        self.family.push(clean(&trade.dex.family).into_owned());
    }
}

pub(super) fn bytes(key: Option<Pubkey>) -> Option<[u8; 32]> {
    key.map(|key| key.0)
}
