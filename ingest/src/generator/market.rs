//! The synthetic market: tokens, pools, traders, and prices that wander.

use perijove_core::Pubkey;

use crate::project::{USDC, WSOL};

/// Venues: program, protocol, family.
const DEXES: [(&str, &str, &str); 4] = [
    (
        "675kPX9MHTjS2zt1qfr1NYHuzeLXfQM9H24wFSUt1Mp8",
        "raydium_amm",
        "Raydium",
    ),
    (
        "whirLbMiicVdio4qvUfM5KAg6Ct8VwpYzGff3uctyCc",
        "whirlpool",
        "Orca",
    ),
    (
        "pAMMBay6oceH9fJKBRHGP5D4bD4sWpmSwMn52FMfXEA",
        "pump_amm",
        "Pumpswap",
    ),
    (
        "cpamdpZCGKUy5JxQXB4dcpGPiikHawvSWAd6mEn1sGG",
        "cp_amm",
        "Meteora",
    ),
];

const TRADERS: usize = 500;

/// What one SOL costs in dollars, for good.
const SOL_USD: f64 = 150.0;

#[derive(Clone, Debug)]
pub(super) struct SampleMarket {
    pub(super) pools: Vec<SamplePool>,
    traders: Vec<Pubkey>,
}

/// A token.
#[derive(Clone, Debug)]
pub(super) struct SampleToken {
    pub(super) mint: Pubkey,
    pub(super) symbol: String,
    pub(super) decimals: u32,
    /// Dollars for one of it.
    pub(super) usd: f64,
}

/// A pool of a token and what it is paid with.
#[derive(Clone, Debug)]
pub(super) struct SamplePool {
    pub(super) address: Pubkey,
    pub(super) program: Pubkey,
    pub(super) protocol: &'static str,
    pub(super) family: &'static str,
    pub(super) base: SampleToken,
    pub(super) quote: SampleToken,
}

impl SampleMarket {
    pub(super) fn new(random: &mut fastrand::Rng, pairs: usize) -> Self {
        let pools = (0..pairs.max(1))
            .map(|number| SamplePool::new(random, number))
            .collect();
        let traders = (0..TRADERS).map(|_| address(random)).collect();
        Self { pools, traders }
    }

    /// A pool, one of the first far more often than one of the last. Its price moves a little.
    pub(super) fn pool(&mut self, random: &mut fastrand::Rng) -> SamplePool {
        let mut number = self.pools.len() - 1;
        for _ in 0..3 {
            number = random.usize(0..=number);
        }
        let Some(pool) = self.pools.get_mut(number) else {
            return SamplePool::new(random, 0);
        };
        // What SOL costs stays as it is: everything paid with it would have to follow.
        if pool.base.mint != WSOL {
            pool.base.usd *= 1.0 + (random.f64() - 0.5) / 100.0;
        }
        pool.clone()
    }

    pub(super) fn trader(&self, random: &mut fastrand::Rng) -> Pubkey {
        random.choice(&self.traders).copied().unwrap_or(WSOL)
    }
}

impl SamplePool {
    fn new(random: &mut fastrand::Rng, number: usize) -> Self {
        let (program, protocol, family) = random.choice(DEXES).unwrap_or(DEXES[0]);
        let sol = SampleToken {
            mint: WSOL,
            symbol: "WSOL".to_owned(),
            decimals: 9,
            usd: SOL_USD,
        };
        let dollar = SampleToken {
            mint: USDC,
            symbol: "USDC".to_owned(),
            decimals: 6,
            usd: 1.0,
        };
        let token = SampleToken {
            mint: address(random),
            symbol: format!("TOK{number}"),
            decimals: random.choice([0, 5, 6, 6, 6, 8, 9]).unwrap_or(6),
            usd: 10_f64.powf(random.f64() * 8.0 - 6.0),
        };
        let (base, quote) = match number {
            0 => (sol, dollar),
            number if number.is_multiple_of(4) => (token, dollar),
            _ => (token, sol),
        };
        Self {
            address: address(random),
            program: program.parse().unwrap_or(WSOL),
            protocol,
            family,
            base,
            quote,
        }
    }
}

/// An address that does not exist.
pub(super) fn address(random: &mut fastrand::Rng) -> Pubkey {
    let mut bytes = [0; 32];
    random.fill(&mut bytes);
    Pubkey(bytes)
}
