//! One made-up transaction: a trade, or a route of some, perhaps through Jupiter.

use bytes::Bytes;
use perijove_core::Pubkey;

use crate::decode::wire;
use crate::generator::market::{SampleMarket, SamplePool, SampleToken, address};
use crate::generator::plan::Plan;
use crate::project::JUPITER;

/// The most base units of an amount; doubles are exact below.
const MOST: f64 = 9e15;

pub(super) fn make(
    random: &mut fastrand::Rng,
    market: &mut SampleMarket,
    plan: &Plan,
    index: u32,
) -> wire::ParsedDexTransaction {
    let trader = market.trader(random);
    let jupiter = random.f32() < plan.jupiter;
    let failed = random.f32() < plan.failed;
    let dollars = random.f32() < plan.dollars;
    let count = random.usize(1..=plan.trades.max(1));
    let first: u32 = random.u32(2..6);
    let mut trades: Vec<wire::DexTradeEvent> = Vec::with_capacity(count + 1);
    for number in 0..count {
        let pool = market.pool(random);
        let mut trade = trade(random, &pool, trader, dollars);
        // Half of the trades share their instruction with the one before.
        let number = u32::try_from(number).unwrap_or(0);
        trade.instruction_index = first + number / 2;
        trade.instruction = Some(wire::InstructionDepth {
            depth: u32::from(jupiter),
        });
        trades.push(trade);
    }
    if let (true, Some(sold), Some(bought)) = (jupiter, trades.first(), trades.last()) {
        trades.push(wire::DexTradeEvent {
            instruction_index: first,
            dex: Some(wire::DexInfo {
                program_address: bytes(JUPITER[0]),
                protocol_name: "jupiter".to_owned(),
                protocol_family: "Jupiter".to_owned(),
            }),
            market: None,
            buy: bought.buy.clone(),
            sell: sold.sell.clone(),
            instruction: Some(wire::InstructionDepth { depth: 0 }),
        });
    }
    let mut signature = vec![0; 64];
    random.fill(&mut signature);
    wire::ParsedDexTransaction {
        index,
        signature: signature.into(),
        status: Some(wire::TransactionStatus {
            success: !failed,
            error_message: if failed {
                "custom program error: 0x1771".to_owned()
            } else {
                String::new()
            },
        }),
        header: Some(header(random, trader, jupiter)),
        trades,
    }
}

fn header(random: &mut fastrand::Rng, trader: Pubkey, jupiter: bool) -> wire::TransactionHeader {
    let mut accounts = vec![trader];
    accounts.extend((0..20).map(|_| address(random)));
    accounts.extend(jupiter.then_some(JUPITER[0]));
    let accounts = accounts.into_iter();
    wire::TransactionHeader {
        fee: 5000 + random.u64(0..100_000),
        fee_payer: bytes(trader),
        signer: bytes(trader),
        accounts: accounts
            .map(|address| wire::AccountKey {
                address: bytes(address),
            })
            .collect(),
    }
}

fn trade(
    random: &mut fastrand::Rng,
    pool: &SamplePool,
    trader: Pubkey,
    dollars: bool,
) -> wire::DexTradeEvent {
    // From a tenth of a dollar to a hundred thousand, if so much of the token can be counted.
    let most = |token: &SampleToken| MOST * token.usd / 10_f64.powi(token.decimals.cast_signed());
    let usd = 10_f64.powf(random.f64() * 6.0 - 1.0);
    let usd = usd.min(most(&pool.base)).min(most(&pool.quote));
    let base = side(random, &pool.base, usd, trader, dollars);
    let quote = side(random, &pool.quote, usd, trader, dollars);
    let buys = random.bool();
    wire::DexTradeEvent {
        dex: Some(wire::DexInfo {
            program_address: bytes(pool.program),
            protocol_name: pool.protocol.to_owned(),
            protocol_family: pool.family.to_owned(),
        }),
        market: Some(wire::DexMarket {
            market_address: bytes(pool.address),
            base_currency: Some(wire::CurrencyKey {
                mint_address: bytes(pool.base.mint),
            }),
            quote_currency: Some(wire::CurrencyKey {
                mint_address: bytes(pool.quote.mint),
            }),
        }),
        buy: Some(if buys { base.clone() } else { quote.clone() }),
        sell: Some(if buys { quote } else { base }),
        ..Default::default()
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "made-up numbers within bounds"
)]
fn side(
    random: &mut fastrand::Rng,
    token: &SampleToken,
    usd: f64,
    trader: Pubkey,
    dollars: bool,
) -> wire::DexTradeSide {
    let units = usd / token.usd * 10_f64.powi(token.decimals.cast_signed());
    let told = |usd: f64| if dollars { usd as f32 } else { 0.0 };
    wire::DexTradeSide {
        amount: units.clamp(1.0, MOST) as u64,
        currency: Some(wire::Currency {
            name: token.symbol.clone(),
            decimals: token.decimals,
            symbol: token.symbol.clone(),
            native: false,
            mint_address: bytes(token.mint),
            price_in_usd: told(token.usd),
            ..Default::default()
        }),
        account: Some(wire::Account {
            address: bytes(address(random)),
            token: Some(wire::TokenInfo {
                mint: bytes(token.mint),
                owner: bytes(trader),
                decimals: token.decimals,
            }),
        }),
        amount_in_usd: told(usd),
    }
}

fn bytes(key: Pubkey) -> Bytes {
    Bytes::copy_from_slice(&key.0)
}
