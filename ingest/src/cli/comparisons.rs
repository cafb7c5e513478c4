//! Arguments of `verify` and `reconcile`, which compare.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use perijove_core::Pubkey;
use perijove_core::market::{USDC, USDT, WSOL};
use url::Url;

use super::config_args::ConfigArgs;
use super::option_values::tolerance;

/// Arguments of `verify`.
#[derive(Clone, Debug, PartialEq, Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    pub source: ConfigArgs,

    /// CSV with the columns hour (such as 2026-11-21T14:00:00Z), trades, `volume_usd`
    #[arg(short, long, value_name = "FILE")]
    pub reference: PathBuf,

    /// Maximum deviation of an hour in percent
    #[arg(short, long, value_name = "PERCENT", default_value_t = 5.0, value_parser = tolerance)]
    pub tolerance: f64,
}

/// Arguments of `reconcile`.
#[derive(Clone, Debug, PartialEq, Args)]
pub struct ReconcileArgs {
    #[command(flatten)]
    pub source: ConfigArgs,

    /// URL of Jupiter's price API
    #[arg(
        long,
        value_name = "URL",
        default_value = "https://api.jup.ag/price/v3"
    )]
    pub api: Url,

    /// File with the API key; otherwise `JUPITER_API_KEY` is used if set
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,

    /// Maximum deviation of a price in percent
    #[arg(short, long, value_name = "PERCENT", default_value_t = 2.0, value_parser = tolerance)]
    pub tolerance: f64,

    /// Maximum age of the oldest trade that a price is based on
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = humantime::parse_duration)]
    pub max_age: Duration,

    /// Maximum relative uncertainty of a price, as the gateway's `price.max_uncertainty`
    #[arg(long, value_name = "SHARE", default_value_t = 0.25, value_parser = tolerance)]
    pub max_uncertainty: f64,

    /// File to write metrics to, for node-exporter's textfile collector
    #[arg(long, value_name = "FILE")]
    pub metrics: Option<PathBuf>,

    /// Mints to compare; SOL, USDC and USDT if none are given
    #[arg(value_name = "MINT", default_values_t = [WSOL, USDC, USDT])]
    pub mints: Vec<Pubkey>,
}
