//! What a method's result can be: its outermost kind, and whether it may be `null`. A node that
//! says anything else does not answer the question. Sources: the return types of Agave 4.5.

use super::Method;
use crate::jsonrpc::{Cursor, Token};

/// The kind of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Any,
    Array,
    /// An array, or with a context around it.
    ArrayOrObject,
    Bool,
    Number,
    Object,
    String,
    /// A number, or `null` for what is not there.
    NumberOrNull,
    /// An object, or `null` for what is not there.
    ObjectOrNull,
}

impl Kind {
    const fn takes(self, token: Token) -> bool {
        use {Kind as K, Token as T};
        matches!(
            (self, token),
            (K::Any, _)
                | (K::Array | K::ArrayOrObject, T::Array)
                | (K::ArrayOrObject | K::Object | K::ObjectOrNull, T::Object)
                | (K::Bool, T::Bool)
                | (K::Number | K::NumberOrNull, T::Number)
                | (K::String, T::String)
                | (K::NumberOrNull | K::ObjectOrNull, T::Null)
        )
    }
}

/// How a result is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// Bare.
    Plain(Kind),
    /// `{"context":…,"value":…}` with this value.
    Wrapped(Kind),
}

/// The table of the methods. What Agave does not have, or not yet for long, may be anything.
const fn shape(method: Method) -> Shape {
    use {Method as M, Shape::Plain, Shape::Wrapped};
    match method {
        M::GetAccountInfo => Wrapped(Kind::ObjectOrNull),
        M::GetFeeForMessage => Wrapped(Kind::NumberOrNull),
        M::GetBalance | M::GetStakeMinimumDelegation => Wrapped(Kind::Number),
        M::IsBlockhashValid => Wrapped(Kind::Bool),
        M::GetBlockProduction
        | M::GetLatestBlockhash
        | M::GetSupply
        | M::GetTokenAccountBalance
        | M::GetTokenSupply
        | M::SimulateTransaction => Wrapped(Kind::Object),
        M::GetLargestAccounts
        | M::GetMultipleAccounts
        | M::GetSignatureStatuses
        | M::GetTokenAccountsByDelegate
        | M::GetTokenAccountsByOwner
        | M::GetTokenLargestAccounts => Wrapped(Kind::Array),

        M::GetBlockHeight
        | M::GetFirstAvailableBlock
        | M::GetMaxRetransmitSlot
        | M::GetMaxShredInsertSlot
        | M::GetMinimumBalanceForRentExemption
        | M::GetSlot
        | M::GetTransactionCount
        | M::MinimumLedgerSlot => Plain(Kind::Number),
        M::GetGenesisHash
        | M::GetHealth
        | M::GetSlotLeader
        | M::RequestAirdrop
        | M::SendTransaction => Plain(Kind::String),
        M::GetBlockCommitment
        | M::GetEpochInfo
        | M::GetEpochSchedule
        | M::GetHighestSnapshotSlot
        | M::GetIdentity
        | M::GetInflationGovernor
        | M::GetInflationRate
        | M::GetVersion
        | M::GetVoteAccounts => Plain(Kind::Object),
        M::GetBlocks
        | M::GetBlocksWithLimit
        | M::GetClusterNodes
        | M::GetInflationReward
        | M::GetRecentPerformanceSamples
        | M::GetRecentPrioritizationFees
        | M::GetSignaturesForAddress
        | M::GetSlotLeaders => Plain(Kind::Array),
        M::GetProgramAccounts => Plain(Kind::ArrayOrObject),
        M::GetBlock | M::GetLeaderSchedule | M::GetTransaction => Plain(Kind::ObjectOrNull),
        M::GetBlockTime => Plain(Kind::NumberOrNull),

        M::GetAgGenesisCert | M::GetRankMap | M::Extension | M::NamedAsRead | M::Other => {
            Plain(Kind::Any)
        }
    }
}

/// Whether the raw JSON of a whole result is one that the method can have.
pub(super) fn is_possible(method: Method, result: &[u8]) -> bool {
    let mut cursor = Cursor::new(result);
    let kind = match shape(method) {
        Shape::Plain(kind) => kind,
        Shape::Wrapped(kind) => {
            if let Some(value) = usual_value(result) {
                cursor = Cursor::new(value);
            } else if cursor.member(b"value").is_none() {
                return false;
            }
            kind
        }
    };
    cursor.token().is_some_and(|token| kind.takes(token))
}

/// What stands from the value on in a wrapped result of the usual form: the context first, which is
/// short and holds no objects.
fn usual_value(result: &[u8]) -> Option<&[u8]> {
    const CONTEXT: &[u8] = br#"{"context":{"#;
    const VALUE: &[u8] = br#","value":"#;
    const LONGEST: usize = 128;
    let context = result.strip_prefix(CONTEXT)?;
    let beginning = context.get(..context.len().min(LONGEST))?;
    let end = memchr::memchr(b'}', beginning)?;
    context.get(end + 1..)?.strip_prefix(VALUE)
}

/// The same of a result of which only the beginning is there.
pub fn may_begin(method: Method, token: Token) -> bool {
    match shape(method) {
        Shape::Plain(kind) => kind.takes(token),
        Shape::Wrapped(_) => token == Token::Object,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jsonrpc::{Answer, fixtures};

    #[test]
    fn every_recorded_answer_is_possible() {
        for (name, body) in fixtures::ALL {
            let answer = Answer::scan(bytes::Bytes::from_static(body.as_bytes())).unwrap();
            if let Some(result) = answer.result() {
                let method = Method::from_name(name);
                assert_ne!(method, Method::Other, "{name}");
                assert!(is_possible(method, result), "{name}");
            }
        }
    }

    #[test]
    fn the_value_is_found_behind_any_context() {
        let long = "x".repeat(200);
        for context in [
            r#"{"slot":5}"#,
            r#"{"apiVersion":"4.2.2","slot":5}"#,
            r#"{"apiVersion":"}","slot":5}"#,
            r#"{"slot":5,"more":{"a":1}}"#,
            &format!(r#"{{"apiVersion":"{long}","slot":5}}"#),
        ] {
            for space in ["", " "] {
                let of = |value: &str| format!(r#"{{"context":{context},{space}"value":{value}}}"#);
                assert!(
                    is_possible(Method::GetBalance, of("5").as_bytes()),
                    "{context}"
                );
                let wrong = of("[]");
                assert!(
                    !is_possible(Method::GetBalance, wrong.as_bytes()),
                    "{context}"
                );
            }
        }
    }

    #[test]
    fn wrapped_is_what_the_method_table_says() {
        for method in Method::ALL {
            let wrapped = matches!(shape(method), Shape::Wrapped(_));
            let unknown = shape(method) == Shape::Plain(Kind::Any);
            assert!(wrapped == method.profile().wrapped || unknown, "{method:?}");
        }
    }

    #[test]
    fn null_is_possible_only_for_what_may_not_be_there() {
        let mut may = Vec::new();
        for method in Method::ALL {
            let null = match shape(method) {
                Shape::Plain(Kind::Any) => continue,
                Shape::Plain(_) => "null",
                Shape::Wrapped(_) => {
                    assert!(!is_possible(method, b"null"), "{method:?}");
                    r#"{"context":{"slot":1},"value":null}"#
                }
            };
            if is_possible(method, null.as_bytes()) {
                may.push(method.label());
            }
        }
        assert_eq!(
            may,
            [
                "getAccountInfo",
                "getBlock",
                "getBlockTime",
                "getFeeForMessage",
                "getLeaderSchedule",
                "getTransaction",
            ]
        );
    }

    #[test]
    fn results_of_another_kind_are_impossible() {
        for (method, result, possible) in [
            (Method::GetSlot, "5", true),
            (Method::GetSlot, "\"5\"", false),
            (Method::GetSlot, r#"{"slot":5}"#, false),
            (Method::GetBalance, "5", false),
            (Method::GetBalance, "{}", false),
            (
                Method::GetBalance,
                r#"{"context":{"slot":1},"value":5}"#,
                true,
            ),
            (
                Method::GetBalance,
                r#"{"value":5,"context":{"slot":1}}"#,
                true,
            ),
            (
                Method::GetBalance,
                r#"{"context":{"slot":1},"value":"5"}"#,
                false,
            ),
            (
                Method::GetMultipleAccounts,
                r#"{"context":{"slot":1},"value":null}"#,
                false,
            ),
            (Method::GetProgramAccounts, "[]", true),
            (
                Method::GetProgramAccounts,
                r#"{"context":{"slot":1},"value":[]}"#,
                true,
            ),
            (Method::GetProgramAccounts, "null", false),
            (Method::SendTransaction, "\"5x\"", true),
            (Method::SendTransaction, "null", false),
            (Method::GetBlocks, "{}", false),
            (Method::Other, "null", true),
        ] {
            assert_eq!(
                is_possible(method, result.as_bytes()),
                possible,
                "{method:?} {result}"
            );
        }
        assert!(!may_begin(Method::GetProgramAccounts, Token::String));
        assert!(may_begin(Method::GetBlock, Token::Object));
        assert!(!may_begin(Method::GetAccountInfo, Token::Array));
        assert!(may_begin(Method::Other, Token::Bool));
    }
}
