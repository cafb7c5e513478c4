//! Health checks of Jupiter's upstreams.

use std::time::Duration;

use perijove_core::Pubkey;
use perijove_core::settings::Section;
use schemars::JsonSchema;

/// A canary quote that is requested regularly, and what its `contextSlot` implies.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq)]
pub struct JupiterHealth {
    /// Interval between two canary quotes.
    pub interval: Duration,
    /// The same for an upstream where each costs credits.
    pub metered_interval: Duration,
    /// Time limit of one.
    pub timeout: Duration,
    /// An upstream is avoided when its quotes are more than this many slots behind the cluster,
    pub exclude_lag: u64,
    /// and used again when they are fewer than this many behind.
    pub readmit_lag: u64,
    /// Failures in a row after which it is avoided.
    pub failures: u32,
    /// How long a recovered upstream takes to get its full share of requests again.
    pub slow_start: Duration,
    /// The canary quote.
    pub canary: Canary,
}

/// What the canary quote is for.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq)]
pub struct Canary {
    /// The mint that is sold.
    pub input_mint: String,
    /// The mint that is bought.
    pub output_mint: String,
    /// In the smallest unit of the input.
    pub amount: u64,
}

impl Default for Canary {
    /// A hundredth of a SOL into USDC.
    fn default() -> Self {
        Self {
            input_mint: "So11111111111111111111111111111111111111112".to_owned(),
            output_mint: "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v".to_owned(),
            amount: 10_000_000,
        }
    }
}

impl Default for JupiterHealth {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(2),
            metered_interval: Duration::from_secs(30),
            timeout: Duration::from_secs(5),
            exclude_lag: 16,
            readmit_lag: 8,
            failures: 3,
            slow_start: Duration::from_secs(30),
            canary: Canary::default(),
        }
    }
}

impl JupiterHealth {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        let interval = Duration::from_millis(50)..=Duration::from_hours(1);
        let health = Self {
            interval: section.within("interval", default.interval, interval.clone()),
            metered_interval: section.within(
                "metered_interval",
                default.metered_interval,
                interval,
            ),
            timeout: section.within(
                "timeout",
                default.timeout,
                Duration::from_millis(10)..=Duration::from_mins(1),
            ),
            exclude_lag: section.within("exclude_lag", default.exclude_lag, 1..=100_000),
            readmit_lag: section.within("readmit_lag", default.readmit_lag, 1..=100_000),
            failures: section.within("failures", default.failures, 1..=1000),
            slow_start: section.within(
                "slow_start",
                default.slow_start,
                Duration::ZERO..=Duration::from_hours(1),
            ),
            canary: section.nested("canary", Canary::read),
        };
        if health.readmit_lag > health.exclude_lag {
            section.violation(
                "readmit_lag",
                format_args!("must not be above exclude_lag ({})", health.exclude_lag),
            );
        }
        health
    }
}

impl Canary {
    fn read(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        let canary = Self {
            input_mint: section.or("input_mint", default.input_mint),
            output_mint: section.or("output_mint", default.output_mint),
            amount: section.within("amount", default.amount, 1..=1_000_000_000_000_000_000),
        };
        for (key, mint) in [
            ("input_mint", &canary.input_mint),
            ("output_mint", &canary.output_mint),
        ] {
            if mint.parse::<Pubkey>().is_err() {
                section.violation(key, "is not the address of a mint");
            }
        }
        if canary.input_mint == canary.output_mint {
            section.violation("output_mint", "must not be input_mint");
        }
        canary
    }
}
