//! The body of `/swap` and `/swap-instructions`: refused if no transaction can be built from it.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

/// Why no transaction can be built. The texts are for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SwapFault {
    #[error("Failed to parse the request body as JSON")]
    NotJson,
    #[error("missing field `{name}`")]
    Missing { name: &'static str },
    #[error("computeUnitPriceMicroLamports and prioritizationFeeLamports cannot both be given")]
    TwoFees,
}

impl SwapFault {
    /// Jupiter's error code for it.
    pub const fn code(self) -> &'static str {
        match self {
            Self::TwoFees => "INVALID_COMPUTE_UNIT_PRICE_AND_PRIORITIZATION_FEE",
            Self::NotJson | Self::Missing { .. } => "NOT_SUPPORTED",
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SwapRequest<'a> {
    #[serde(default)]
    user_public_key: Option<IgnoredAny>,
    #[serde(borrow, default)]
    quote_response: Option<&'a RawValue>,
    #[serde(default)]
    compute_unit_price_micro_lamports: Option<IgnoredAny>,
    #[serde(default)]
    prioritization_fee_lamports: Option<IgnoredAny>,
}

/// Refuses a body that no transaction can be built from.
///
/// # Errors
/// What is invalid.
pub fn check_swap(body: &[u8]) -> Result<(), SwapFault> {
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(SwapFault::NotJson);
    }
    let swap: SwapRequest<'_> =
        serde_json::from_slice(body).map_err(|_error| SwapFault::NotJson)?;
    let missing = |name| Err(SwapFault::Missing { name });
    if swap.user_public_key.is_none() {
        return missing("userPublicKey");
    }
    if !swap
        .quote_response
        .is_some_and(|quote| quote.get().starts_with('{'))
    {
        return missing("quoteResponse");
    }
    if swap.compute_unit_price_micro_lamports.is_some()
        && swap.prioritization_fee_lamports.is_some()
    {
        return Err(SwapFault::TwoFees);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_swap_that_cannot_be_built_is_refused_by_name() {
        let fees = r#""computeUnitPriceMicroLamports":1,"prioritizationFeeLamports""#;
        for (body, fault) in [
            ("", Some("parse the request body")),
            ("[]", Some("parse the request body")),
            (r#"["x",{}]"#, Some("parse the request body")),
            (r#"{"userPublicKey":"x","#, Some("parse the request body")),
            (r#"{"quoteResponse":{}}"#, Some("`userPublicKey`")),
            (r#"{"userPublicKey":"x"}"#, Some("`quoteResponse`")),
            (
                r#"{"userPublicKey":"x","quoteResponse":null}"#,
                Some("`quoteResponse`"),
            ),
            (
                r#"{"userPublicKey":"x","quoteResponse":"{}"}"#,
                Some("`quoteResponse`"),
            ),
            // Which of the two an upstream would use cannot be known.
            (
                r#"{"userPublicKey":"x","userPublicKey":"y","quoteResponse":{}}"#,
                Some("parse the request body"),
            ),
            (
                &format!(r#"{{"userPublicKey":"x","quoteResponse":{{}},{fees}:{{}}}}"#),
                Some("cannot both be given"),
            ),
            (
                &format!(r#"{{"userPublicKey":"x","quoteResponse":{{}},{fees}:null}}"#),
                None,
            ),
            (
                r#" {"new":1,"new":2,"quoteResponse":{"a":1},"userPublicKey":"x"} "#,
                None,
            ),
        ] {
            let checked = check_swap(body.as_bytes()).map_err(|fault| fault.to_string());
            match (checked, fault) {
                (Ok(()), None) => {}
                (Err(said), Some(part)) => assert!(said.contains(part), "{body}: {said}"),
                (checked, _) => panic!("{body}: {checked:?}"),
            }
        }
    }
}
