//! The trades of a block message, and the rules by which one counts.

use perijove_core::Pubkey;
use perijove_core::market::{Amount, Pair, Price};

use crate::decode::wire;
use crate::project::fault::{Poisoned, ProjectError, Skip};
use crate::project::market::{DeclaredPair, JUPITER, pair};
use crate::project::origin::{Block, Ordinals, Origin, key};
use crate::project::token::{Extensions, decimals, dollars, holder};
use crate::project::trade::{Dex, Side, Trade};
use crate::project::{NATIVE_SOL, Projected, WSOL};
use crate::record::UnixMillis;

pub(super) fn project(message: wire::DexParsedBlockMessage, recorded: UnixMillis) -> Projected {
    let mut block = Block::new(message.header.as_ref(), recorded);
    let mut projected = Projected::default();
    for (place, transaction) in message.transactions.into_iter().enumerate() {
        let rows = transaction.trades.len();
        match trades(&mut block, transaction) {
            Ok(Outcome::Skipped(skip)) => projected.skipped.add(skip, rows),
            Ok(Outcome::Trades(trades, skips)) => {
                projected.trades.extend(trades);
                for skip in skips {
                    projected.skipped.add(skip, 1);
                }
            }
            Err(fault) => projected.poisoned.push(Poisoned {
                transaction: place,
                fault,
            }),
        }
    }
    projected
}

/// What one transaction comes to.
enum Outcome {
    Skipped(Skip),
    Trades(Vec<Trade>, Vec<Skip>),
}

fn trades(
    block: &mut Block,
    transaction: wire::ParsedDexTransaction,
) -> Result<Outcome, ProjectError> {
    let origin = block.origin(transaction.index, &transaction.signature)?;
    if let Some(skip) = block.skip(&origin, transaction.status.as_ref()) {
        return Ok(Outcome::Skipped(skip));
    }
    let header = transaction.header.unwrap_or_default();
    let shared = Shared {
        origin,
        trader: key("signer", &header.signer)?,
        // The program of a transaction that goes through Jupiter is one of its accounts.
        jupiter: header.accounts.iter().any(|account| {
            JUPITER
                .iter()
                .any(|program| account.address.as_ref() == program.0)
        }),
    };
    let mut ordinals = Ordinals::default();
    let (mut trades, mut skips) = (Vec::with_capacity(transaction.trades.len()), Vec::new());
    for event in transaction.trades {
        // Counts also what is passed over, so that the names of the others do not depend on it.
        let ordinal = ordinals.next(event.instruction_index);
        match shared.trade(event, ordinal)? {
            Ok(trade) => trades.push(trade),
            Err(skip) => skips.push(skip),
        }
    }
    Ok(Outcome::Trades(trades, skips))
}

/// What the trades of one transaction share.
struct Shared {
    origin: Origin,
    trader: Option<Pubkey>,
    jupiter: bool,
}

impl Shared {
    fn trade(
        &self,
        event: wire::DexTradeEvent,
        ordinal: u32,
    ) -> Result<Result<Trade, Skip>, ProjectError> {
        let bought = match side(event.buy.unwrap_or_default())? {
            Ok(side) => side,
            Err(skip) => return Ok(Err(skip)),
        };
        let sold = match side(event.sell.unwrap_or_default())? {
            Ok(side) => side,
            Err(skip) => return Ok(Err(skip)),
        };
        let dex = event.dex.unwrap_or_default();
        let dex = Dex {
            program: key("program", &dex.program_address)?,
            protocol: dex.protocol_name,
            family: dex.protocol_family,
        };
        let (market, declared) = market(event.market.unwrap_or_default())?;
        let pair = pair(bought.asset(), sold.asset(), declared);
        let called = event
            .instruction
            .is_some_and(|instruction| instruction.depth > 0);
        let own = dex
            .program
            .is_some_and(|program| JUPITER.contains(&program));
        Ok(Ok(Trade {
            origin: self.origin,
            instruction: event.instruction_index,
            ordinal,
            jupiter: own || self.jupiter && called,
            dex,
            price: market.and_then(|_| price(pair, &bought, &sold)),
            market,
            trader: self.trader,
            bought,
            sold,
            pair,
        }))
    }
}

fn side(side: wire::DexTradeSide) -> Result<Result<Side, Skip>, ProjectError> {
    let currency = side.currency.unwrap_or_default();
    let Some(mint) = key("mint", &currency.mint_address)? else {
        return Ok(Err(Skip::NoMint));
    };
    if side.amount == 0 {
        return Ok(Err(Skip::NoAmount));
    }
    let (account, owner) = holder(side.account.as_ref())?;
    Ok(Ok(Side {
        mint,
        amount: Amount {
            raw: side.amount,
            decimals: decimals(mint, &currency, side.account.as_ref())?,
        },
        extensions: Extensions::of(&currency),
        symbol: currency.symbol,
        account,
        owner,
        usd: dollars(side.amount_in_usd),
        unit_usd: dollars(currency.price_in_usd),
    }))
}

fn market(market: wire::DexMarket) -> Result<(Option<Pubkey>, DeclaredPair), ProjectError> {
    let address = key("market", &market.market_address)?;
    let asset = |currency: Option<wire::CurrencyKey>| {
        let mint = key("market mint", &currency.unwrap_or_default().mint_address)?;
        Ok(mint.map(|mint| if mint == NATIVE_SOL { WSOL } else { mint }))
    };
    let declared = DeclaredPair {
        base: asset(market.base_currency)?,
        quote: asset(market.quote_currency)?,
    };
    Ok((address, declared))
}

fn price(pair: Pair, bought: &Side, sold: &Side) -> Option<Price> {
    if pair.base == pair.quote {
        return None;
    }
    if bought.asset() == pair.base {
        Price::ratio(sold.amount, bought.amount)
    } else {
        Price::ratio(bought.amount, sold.amount)
    }
}
