//! The token in a message: its mint, and its decimals.

use perijove_core::Pubkey;

use crate::decode::wire;
use crate::project::fault::ProjectError;
use crate::project::market::{NATIVE_SOL, TOKEN_2022, WSOL};
use crate::project::origin::key;

/// Decimals of SOL, wrapped or not.
const SOL_DECIMALS: u8 = 9;

/// The decimals of a token. Protobuf omits a 0, so 0 counts only if something else is known of the
/// token: its name, its symbol, or an account that holds it.
pub(super) fn decimals(
    mint: Pubkey,
    currency: &wire::Currency,
    account: Option<&wire::Account>,
) -> Result<Option<u8>, ProjectError> {
    let held = account
        .and_then(|account| account.token.as_ref())
        .filter(|token| token.mint.as_ref() == mint.0);
    let said = match (currency.decimals, held) {
        (0, Some(held)) => held.decimals,
        (said, _) => said,
    };
    let Ok(said) = u8::try_from(said) else {
        return Err(ProjectError::Decimals(said));
    };
    let described = !currency.symbol.is_empty() || !currency.name.is_empty() || held.is_some();
    Ok(match said {
        0 if currency.native || mint == NATIVE_SOL || mint == WSOL => Some(SOL_DECIMALS),
        0 if !described => None,
        said => Some(said),
    })
}

/// What Token-2022 adds to a token.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Extensions {
    /// Its mint belongs to Token-2022, so transfers of it may bear a fee: then less arrives than was sent.
    pub token_2022: bool,
    /// The factor that wallets apply to amounts before showing them, if it is not 1. Amounts and
    /// prices here are of the unscaled token, which Jupiter calls prescaled.
    pub multiplier: Option<f64>,
}

impl Extensions {
    pub(super) fn of(currency: &wire::Currency) -> Self {
        let multiplier = currency.multiplier;
        let scaled =
            multiplier.is_finite() && multiplier > 0.0 && multiplier.to_bits() != 1_f64.to_bits();
        Self {
            token_2022: currency.program_address.as_ref() == TOKEN_2022.0,
            multiplier: scaled.then_some(multiplier),
        }
    }
}

/// The address of an account, and who may spend from it: its token's owner, or itself.
pub(super) fn holder(
    account: Option<&wire::Account>,
) -> Result<(Option<Pubkey>, Option<Pubkey>), ProjectError> {
    let Some(account) = account else {
        return Ok((None, None));
    };
    let address = key("account", &account.address)?;
    let owner = match &account.token {
        Some(token) => key("account owner", &token.owner)?,
        None => address,
    };
    Ok((address, owner))
}

/// A number of dollars; 0 is not said, and nonsense is not either.
pub(super) fn dollars(usd: f32) -> Option<f32> {
    (usd.is_finite() && usd > 0.0).then_some(usd)
}
