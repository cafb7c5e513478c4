//! Fees that the operator earns with swaps.

use perijove_core::Pubkey;
use perijove_core::settings::Section;
use schemars::JsonSchema;

/// A fee of the operator, added where the API accepts one and the caller has named none. It makes
/// quotes worse for callers, who see it in the header `x-perijove-fee-bps`.
#[derive(Clone, Debug, Default, JsonSchema, PartialEq, Eq)]
pub struct Referral {
    /// Added as `platformFeeBps` to quotes of v1 into or out of a mint of `fee_accounts`.
    pub platform_fee_bps: Option<u32>,
    /// Token accounts for that fee, by the mint that they hold.
    pub fee_accounts: Vec<FeeAccount>,
    /// Added as `referralAccount` to orders of v2 and Ultra, with `referral_fee`.
    pub referral_account: Option<String>,
    /// In hundredths of a percent, as Jupiter allows it.
    pub referral_fee: Option<u32>,
}

/// An account that takes fees in one token.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq)]
pub struct FeeAccount {
    /// The address of the token's mint.
    pub mint: String,
    /// The address of the token account.
    pub account: String,
}

impl Referral {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let platform_fee_bps = section.optional_within("platform_fee_bps", 1..=255);
        let fee_accounts = section.sections("fee_accounts", FeeAccount::read);
        let fee_accounts: Vec<_> = fee_accounts.into_iter().flatten().collect();
        if platform_fee_bps.is_some() && section.is_empty_list("fee_accounts") {
            section.violation(
                "fee_accounts",
                "is required with platform_fee_bps: an account that receives the fee",
            );
        }
        let referral_account: Option<String> = section.optional("referral_account");
        if referral_account
            .as_ref()
            .is_some_and(|key| key.parse::<Pubkey>().is_err())
        {
            section.violation("referral_account", "is not an address");
        }
        let referral_fee = section.optional_within("referral_fee", 50..=255);
        if referral_account.is_some() != section.has("referral_fee") {
            section.violation(
                "referral_fee",
                "must be given together with referral_account",
            );
        }
        Self {
            platform_fee_bps,
            fee_accounts,
            referral_account,
            referral_fee,
        }
    }
}

impl FeeAccount {
    fn read(section: &mut Section<'_>) -> Option<Self> {
        let mut address = |key| {
            let address: Option<String> = section.required(key);
            if address
                .as_ref()
                .is_some_and(|key| key.parse::<Pubkey>().is_err())
            {
                section.violation(key, "is not an address");
                return None;
            }
            address
        };
        let (mint, account) = (address("mint"), address("account"));
        Some(Self {
            mint: mint?,
            account: account?,
        })
    }
}
