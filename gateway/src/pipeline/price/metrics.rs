//! Metrics of prices.

use std::time::Duration;

use prometheus::{IntCounterVec, Opts, Registry};

use crate::error::Rejection;
use crate::jupiter::IdsFault;
use crate::pipeline::jupiter::{JupiterMetrics, NOBODY};

/// The method in logs, and the product in metrics.
pub(super) const PRICE: &str = "price";

/// The outcome of a request that Redis or Jupiter has not answered.
pub(super) const UNAVAILABLE: &str = "unavailable";

/// The label `upstream` of prices from ingest.
const INGEST: &str = "ingest";

/// The result for one token of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PriceOutcome {
    /// Its price.
    Fresh,
    /// Jupiter's price.
    Jupiter,
    /// Left out: the trades it is based on are too old.
    Stale,
    /// Left out: the price is too uncertain.
    Uncertain,
    /// Left out: there is no price.
    Unknown,
    /// Left out: neither Redis nor Jupiter could say whether it has one.
    Unavailable,
}

impl PriceOutcome {
    const ALL: [Self; 6] = [
        Self::Fresh,
        Self::Jupiter,
        Self::Stale,
        Self::Uncertain,
        Self::Unknown,
        Self::Unavailable,
    ];

    const fn label(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Jupiter => "jupiter",
            Self::Stale => "stale",
            Self::Uncertain => "uncertain",
            Self::Unknown => "unknown",
            Self::Unavailable => "unavailable",
        }
    }
}

/// Counters of the price API. In those of Jupiter's API as a whole it has a label of its own.
#[derive(Debug)]
pub(in crate::pipeline) struct PriceMetrics {
    all: JupiterMetrics,
    tokens: IntCounterVec,
}

impl PriceMetrics {
    /// # Errors
    /// When one of the names is taken in `registry`.
    pub(in crate::pipeline) fn register(
        registry: &Registry,
        all: &JupiterMetrics,
    ) -> prometheus::Result<Self> {
        let tokens = IntCounterVec::new(
            Opts::new(
                "perijove_price_tokens_total",
                "Tokens whose price was requested, by result",
            ),
            &["result"],
        )?;
        registry.register(Box::new(tokens.clone()))?;
        // So that rates are correct from the first event.
        for told in PriceOutcome::ALL {
            tokens.with_label_values(&[told.label()]);
        }
        all.expect(PRICE, INGEST, &[UNAVAILABLE]);
        all.expect(PRICE, NOBODY, &[Rejection::Ids(IdsFault::Missing).label()]);
        Ok(Self {
            all: all.clone(),
            tokens,
        })
    }

    /// One token of a request.
    pub(super) fn told(&self, told: PriceOutcome) {
        self.tokens.with_label_values(&[told.label()]).inc();
    }

    /// A request was answered, by Jupiter's `upstream` or by ingest alone.
    pub(super) fn answered(&self, upstream: Option<&str>, outcome: &'static str, took: Duration) {
        self.all
            .count(PRICE, upstream.unwrap_or(INGEST), outcome, took);
    }

    /// A request was refused.
    pub(super) fn refused(&self, rejection: &Rejection) {
        self.all.refuse(PRICE, rejection.label());
    }
}
