//! Why a canary brought no quote, for people.

use crate::jupiter::ApiFault;
use crate::solana::FaultKind;

/// What was wrong with the last canary, and what is likely to help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CanaryFault {
    pub(super) cause: String,
    pub(super) cure: &'static str,
}

const WRONG_PATH: &str = "check `kind` and the path in `url`: hosted APIs have /swap/v1 before /quote, \
                          which is not part of `url`; self-hosted ones have /quote alone";
const MIXED_UP: &str =
    "check what is in front of it: a cache or proxy that ignores the query, or mixes connections";
const OWN_LOG: &str = "look into its own log";

impl CanaryFault {
    /// There was no answer.
    pub(super) fn transport(kind: FaultKind) -> Self {
        Self {
            cause: format!("no answer: {}", kind.label()),
            cure: "check that it runs and that `url` names it",
        }
    }

    /// There was an answer with this status, and this is wrong with it; `None`: it holds no quote.
    pub(super) fn answer(status: u16, fault: Option<ApiFault>) -> Self {
        let cure = match fault {
            _ if status == 404 => WRONG_PATH,
            Some(ApiFault::Unauthorized) => "is `key` right, and not empty?",
            Some(ApiFault::Forbidden) => "does the plan of `key` include the swap API?",
            Some(ApiFault::Firewall) => "ask the provider to admit this address",
            Some(ApiFault::RateLimited(_)) => "raise the provider's limit, or set `budget`",
            Some(ApiFault::NoRoute) => {
                "name a pair that it has a route for in jupiter.health.canary"
            }
            Some(ApiFault::Unexpected | ApiFault::Page) | None => WRONG_PATH,
            Some(ApiFault::WrongQuote) => MIXED_UP,
            Some(ApiFault::ServerError | ApiFault::Lagging) => OWN_LOG,
        };
        let what = fault.map_or("no quote in the answer", ApiFault::label);
        Self {
            cause: format!("HTTP {status}: {what}"),
            cure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_path_and_a_wrong_key_are_told_apart() {
        for (status, fault, cause, cure) in [
            (
                404,
                Some(ApiFault::Unexpected),
                "HTTP 404: unexpected_answer",
                "`kind`",
            ),
            (
                401,
                Some(ApiFault::Unauthorized),
                "HTTP 401: unauthorized",
                "`key`",
            ),
            (200, None, "HTTP 200: no quote in the answer", "`url`"),
            (
                502,
                Some(ApiFault::ServerError),
                "HTTP 502: server_error",
                "log",
            ),
        ] {
            let told = CanaryFault::answer(status, fault);
            assert_eq!(told.cause, cause);
            assert!(told.cure.contains(cure), "{told:?}");
        }
        let silent = CanaryFault::transport(FaultKind::ConnectRefused);
        assert!(silent.cause.starts_with("no answer: connect"), "{silent:?}");
    }
}
