//! The operator's fee and the default slippage, added to requests as configured.

use bytes::Bytes;

use super::ApiCall;
use crate::error::Rejection;
use crate::jupiter::{self, QuoteQuery};

/// A header line of the answer that names the fee.
type FeeHeader = Option<(&'static str, Bytes)>;

/// Visible to the caller that pays it.
const FEE: &str = "x-perijove-referral-bps";

impl ApiCall {
    /// A quote's query with the operator's fee, if there is one and it may be added.
    pub(super) fn with_fee(
        &mut self,
        asked: QuoteQuery,
    ) -> Result<(QuoteQuery, FeeHeader), Rejection> {
        let policy = &self.snapshot.config.jupiter.referral;
        let Some(bps) = policy.platform_fee_bps else {
            return Ok((asked, None));
        };
        let takes = |mint: &str| policy.fee_accounts.iter().any(|one| one.mint == mint);
        let Some(query) = jupiter::quote_with_fee(&self.query, &asked, bps, takes) else {
            return Ok((asked, None));
        };
        let asked = QuoteQuery::read(&query)?;
        self.query = query;
        self.charged = true;
        Ok((asked, Some(note(bps))))
    }

    /// A quote's query with the default slippage of the optimizer, and its text.
    pub(super) fn with_slippage(
        &self,
        asked: QuoteQuery,
    ) -> Result<(QuoteQuery, String), Rejection> {
        let tolerance = self.optimizer().slippage_tolerance;
        match tolerance.filter(|_| asked.get("slippageBps").is_none()) {
            None => Ok((asked, self.query.clone())),
            Some(percent) => {
                let bps = format!("{:.0}", percent * 100.0);
                let query = jupiter::with_parameter(&self.query, "slippageBps", &bps);
                Ok((QuoteQuery::read(&query)?, query))
            }
        }
    }

    /// Adds the operator's referral to an order.
    pub(super) fn refer(&mut self) -> FeeHeader {
        let policy = &self.snapshot.config.jupiter.referral;
        let (account, fee) = policy.referral_account.as_ref().zip(policy.referral_fee)?;
        let query = jupiter::order_with_referral(&self.query, account, fee)?;
        self.query = query;
        Some(note(fee))
    }

    /// Adds the account that receives the fee to a swap whose quote includes the operator's fee.
    pub(super) async fn take_fee(&mut self) -> FeeHeader {
        let policy = &self.snapshot.config.jupiter.referral;
        let bps = policy.platform_fee_bps?;
        let print = jupiter::quote_of_swap(&self.body)?;
        let (origins, cache) = (&self.pipeline.origins, &self.pipeline.cache);
        let origin = origins.of_quote(print, cache).await;
        // A fee in any other quote is the caller's own.
        origin.filter(|origin| origin.charged)?;
        let policy = &self.snapshot.config.jupiter.referral;
        let account = |mint: &str| {
            let mut accounts = policy.fee_accounts.iter();
            let found = accounts.find(|one| one.mint == mint)?;
            Some(found.account.as_str())
        };
        let body = jupiter::swap_with_account(&self.body, account)?;
        self.body = body;
        Some(note(bps))
    }
}

fn note(bps: u32) -> (&'static str, Bytes) {
    (FEE, bps.to_string().into())
}
