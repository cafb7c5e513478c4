//! What a method's result can be: its outermost type, and whether it may be `null`. A node with any
//! other result does not answer the question. Sources: the return types of Agave 4.5.

use super::Method;
use super::context::{trailing_slot, usual_context};
use crate::jsonrpc::{Cursor, Token};

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ValueKind {
    Any,
    Array,
    /// An array, or with a context around it.
    ArrayOrObject,
    Bool,
    /// A number of any kind.
    Fraction,
    /// A whole one.
    Number,
    Object,
    String,
    /// A number, or `null` if it does not exist.
    NumberOrNull,
    /// An object, or `null` if it does not exist.
    ObjectOrNull,
}

impl ValueKind {
    const fn takes(self, token: Token) -> bool {
        use {Token as T, ValueKind as K};
        matches!(
            (self, token),
            (K::Any, _)
                | (K::Array | K::ArrayOrObject, T::Array)
                | (K::ArrayOrObject | K::Object | K::ObjectOrNull, T::Object)
                | (K::Bool, T::Bool)
                | (K::Fraction | K::Number | K::NumberOrNull, T::Number)
                | (K::String, T::String)
                | (K::NumberOrNull | K::ObjectOrNull, T::Null)
        )
    }
}

/// How a result is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// Bare.
    Plain(ValueKind),
    /// `{"context":…,"value":…}` with this value.
    Wrapped(ValueKind),
}

/// The table of the methods. Methods that Agave does not have, or has only since recently, may
/// return anything.
const fn shape(method: Method) -> Shape {
    use {Method as M, Shape::Plain, Shape::Wrapped};
    match method {
        M::GetAccountInfo => Wrapped(ValueKind::ObjectOrNull),
        M::GetFeeForMessage => Wrapped(ValueKind::NumberOrNull),
        M::GetBalance | M::GetStakeMinimumDelegation => Wrapped(ValueKind::Number),
        M::IsBlockhashValid => Wrapped(ValueKind::Bool),
        M::GetBlockProduction
        | M::GetLatestBlockhash
        | M::GetSupply
        | M::GetTokenAccountBalance
        | M::GetTokenSupply
        | M::SimulateTransaction => Wrapped(ValueKind::Object),
        M::GetLargestAccounts
        | M::GetMultipleAccounts
        | M::GetSignatureStatuses
        | M::GetTokenAccountsByDelegate
        | M::GetTokenAccountsByOwner
        | M::GetTokenLargestAccounts => Wrapped(ValueKind::Array),

        M::GetBlockHeight
        | M::GetFirstAvailableBlock
        | M::GetMaxRetransmitSlot
        | M::GetMaxShredInsertSlot
        | M::GetMinimumBalanceForRentExemption
        | M::GetSlot
        | M::GetTransactionCount
        | M::MinimumLedgerSlot => Plain(ValueKind::Number),
        M::GetGenesisHash
        | M::GetHealth
        | M::GetSlotLeader
        | M::RequestAirdrop
        | M::SendTransaction => Plain(ValueKind::String),
        M::GetBlockCommitment
        | M::GetEpochInfo
        | M::GetEpochSchedule
        | M::GetHighestSnapshotSlot
        | M::GetIdentity
        | M::GetInflationGovernor
        | M::GetInflationRate
        | M::GetVersion
        | M::GetVoteAccounts => Plain(ValueKind::Object),
        M::GetBlocks
        | M::GetBlocksWithLimit
        | M::GetClusterNodes
        | M::GetInflationReward
        | M::GetRecentPerformanceSamples
        | M::GetRecentPrioritizationFees
        | M::GetSignaturesForAddress
        | M::GetSlotLeaders => Plain(ValueKind::Array),
        M::GetProgramAccounts => Plain(ValueKind::ArrayOrObject),
        M::GetBlock | M::GetLeaderSchedule | M::GetTransaction => Plain(ValueKind::ObjectOrNull),
        M::GetBlockTime => Plain(ValueKind::NumberOrNull),

        M::GetAgGenesisCert | M::GetRankMap | M::Extension | M::NamedAsRead | M::Other => {
            Plain(ValueKind::Any)
        }
    }
}

/// The type of the items of a result, or of its value, if it is an array.
const fn items(method: Method) -> ValueKind {
    use Method as M;
    match method {
        M::GetBlocks | M::GetBlocksWithLimit => ValueKind::Number,
        M::GetSlotLeaders => ValueKind::String,
        M::GetInflationReward | M::GetMultipleAccounts | M::GetSignatureStatuses => {
            ValueKind::ObjectOrNull
        }
        M::GetClusterNodes
        | M::GetLargestAccounts
        | M::GetProgramAccounts
        | M::GetRecentPerformanceSamples
        | M::GetRecentPrioritizationFees
        | M::GetSignaturesForAddress
        | M::GetTokenAccountsByDelegate
        | M::GetTokenAccountsByOwner
        | M::GetTokenLargestAccounts => ValueKind::Object,
        _ => ValueKind::Any,
    }
}

/// A member and what it is.
type Member = (&'static [u8], ValueKind);

/// Members of a result, or of its value, if it is an object: at least one of them is present,
/// whoever adds others. The one that nodes write first comes first. Empty if the members are not
/// fixed.
const fn members(method: Method) -> &'static [Member] {
    use {Method as M, ValueKind as K};
    match method {
        M::GetAccountInfo => ACCOUNT,
        M::GetBlock => &[
            (b"blockHeight", K::NumberOrNull),
            (b"blockTime", K::Any),
            (b"blockhash", K::String),
            (b"previousBlockhash", K::String),
        ],
        M::GetBlockCommitment => &[(b"commitment", K::Any), (b"totalStake", K::Number)],
        M::GetBlockProduction => &[(b"byIdentity", K::Object), (b"range", K::Object)],
        M::GetEpochInfo => &[
            (b"absoluteSlot", K::Number),
            (b"epoch", K::Number),
            (b"slotIndex", K::Number),
        ],
        M::GetEpochSchedule => &[
            (b"firstNormalEpoch", K::Number),
            (b"slotsPerEpoch", K::Number),
        ],
        M::GetHighestSnapshotSlot => &[(b"full", K::Number)],
        M::GetIdentity => &[(b"identity", K::String)],
        M::GetInflationGovernor => &[
            (b"foundation", K::Fraction),
            (b"initial", K::Fraction),
            (b"terminal", K::Fraction),
        ],
        M::GetInflationRate => &[
            (b"epoch", K::Number),
            (b"total", K::Fraction),
            (b"validator", K::Fraction),
        ],
        M::GetLatestBlockhash => &[
            (b"blockhash", K::String),
            (b"lastValidBlockHeight", K::Number),
        ],
        M::GetSupply => &[(b"circulating", K::Number), (b"total", K::Number)],
        M::GetTokenAccountBalance | M::GetTokenSupply => {
            &[(b"amount", K::String), (b"uiAmount", K::Any)]
        }
        M::GetTransaction => &[
            (b"blockTime", K::Any),
            (b"meta", K::ObjectOrNull),
            (b"slot", K::Number),
            (b"transaction", K::ArrayOrObject),
        ],
        M::GetVersion => &[
            (b"feature-set", K::NumberOrNull),
            (b"solana-core", K::String),
        ],
        M::GetVoteAccounts => &[(b"current", K::Array), (b"delinquent", K::Array)],
        M::SimulateTransaction => &[(b"accounts", K::Any), (b"err", K::Any), (b"logs", K::Any)],
        _ => &[],
    }
}

const ACCOUNT: &[Member] = &[
    (b"data", ValueKind::Any),
    (b"lamports", ValueKind::Number),
    (b"owner", ValueKind::String),
];

/// Whether an object has all its [`members`], since clients need every one.
const fn needs_all(method: Method) -> bool {
    matches!(method, Method::GetLatestBlockhash | Method::GetVoteAccounts)
}

/// The same for the items of a result, or of its value, if they are objects.
const fn item_members(method: Method) -> &'static [Member] {
    use {Method as M, ValueKind as K};
    match method {
        M::GetMultipleAccounts => ACCOUNT,
        M::GetProgramAccounts | M::GetTokenAccountsByDelegate | M::GetTokenAccountsByOwner => {
            &[(b"pubkey", K::String), (b"account", K::Object)]
        }
        M::GetClusterNodes => &[(b"pubkey", K::String)],
        M::GetInflationReward => &[(b"epoch", K::Number), (b"amount", K::Number)],
        M::GetLargestAccounts => &[(b"address", K::String), (b"lamports", K::Number)],
        M::GetRecentPerformanceSamples => &[(b"slot", K::Number), (b"numTransactions", K::Number)],
        M::GetRecentPrioritizationFees => {
            &[(b"slot", K::Number), (b"prioritizationFee", K::Number)]
        }
        M::GetSignaturesForAddress => &[(b"signature", K::String), (b"slot", K::Number)],
        M::GetSignatureStatuses => &[
            (b"slot", K::Number),
            (b"confirmations", K::NumberOrNull),
            (b"confirmationStatus", K::Any),
        ],
        M::GetTokenLargestAccounts => &[(b"address", K::String), (b"amount", K::String)],
        _ => &[],
    }
}

/// Whether the raw JSON of a whole result is possible for the method. Reads it only up to the first
/// member it knows.
pub(super) fn is_possible(method: Method, result: &[u8]) -> bool {
    match shape(method) {
        Shape::Plain(ValueKind::Any) => true,
        Shape::Plain(ValueKind::ArrayOrObject) if result.trim_ascii_start().starts_with(b"{") => {
            value_of(result).is_some_and(|value| is_value(method, ValueKind::Array, value))
        }
        Shape::Plain(kind) => is_value(method, kind, Cursor::new(result)),
        Shape::Wrapped(kind) => value_of(result).is_some_and(|value| is_value(method, kind, value)),
    }
}

/// Position of the value of a wrapped result; `None` if its slot is impossible.
pub(super) fn value_of(result: &[u8]) -> Option<Cursor<'_>> {
    if let Some((context, value)) = usual(result) {
        return has_slot(context).then(|| Cursor::new(value));
    }
    let mut whole = Cursor::new(result);
    let context = whole.member(b"context")?.value()?;
    if !has_slot(context) {
        return None;
    }
    let mut whole = Cursor::new(result);
    whole.member(b"value")?;
    Some(whole)
}

fn has_slot(context: &[u8]) -> bool {
    trailing_slot(context).is_some()
        || Cursor::new(context)
            .member(b"slot")
            .and_then(Cursor::unsigned)
            .is_some()
}

fn is_value(method: Method, kind: ValueKind, mut value: Cursor<'_>) -> bool {
    let Some(token) = value.token().filter(|token| kind.takes(*token)) else {
        return false;
    };
    match token {
        // No count is negative, and no block time is.
        Token::Number => value.unsigned().is_some(),
        Token::Array => {
            value.eat(b'[');
            match value.item(true) {
                Ok(true) => is_item(method, value),
                Ok(false) => true,
                Err(_) => false,
            }
        }
        Token::Object if method == Method::GetLeaderSchedule => names_leaders(value),
        Token::Object => has(value, members(method), needs_all(method)),
        Token::String => value.string().is_some_and(|text| !text.is_empty()),
        Token::Bool | Token::Null => true,
    }
}

/// Whether an array of the method may begin with this item.
fn is_item(method: Method, mut item: Cursor<'_>) -> bool {
    let token = item.token().filter(|token| items(method).takes(*token));
    match token {
        None => false,
        Some(Token::Object) => has(item, item_members(method), false),
        Some(_) => true,
    }
}

/// Whether an object has one of these members, or all of them. The value of each that is looked at
/// is of its kind.
fn has(mut object: Cursor<'_>, members: &[Member], all: bool) -> bool {
    let mut missing = if all { members.len() } else { 1 };
    let mut first = true;
    object.eat(b'{');
    while let Ok(Some(key)) = object.key(first) {
        first = false;
        let member = members.iter().find(|(name, _)| *name == key);
        if let Some((_, kind)) = member {
            if !is_of(*kind, object.clone()) {
                return false;
            }
            missing -= 1;
            if missing == 0 {
                return true;
            }
        }
        if object.value().is_none() {
            return false;
        }
    }
    false
}

/// Whether a value is of this kind. No count is negative.
fn is_of(kind: ValueKind, mut value: Cursor<'_>) -> bool {
    let Some(token) = value.token().filter(|token| kind.takes(*token)) else {
        return false;
    };
    match token {
        Token::Number if matches!(kind, ValueKind::Number | ValueKind::NumberOrNull) => {
            value.unsigned().is_some()
        }
        Token::String if kind == ValueKind::String => {
            value.string().is_some_and(|text| !text.is_empty())
        }
        _ => true,
    }
}

/// Whether the members of an object are leaders, if there are any: there are none if the requested
/// validator does not lead.
fn names_leaders(mut object: Cursor<'_>) -> bool {
    /// Digits of the shortest address in base58.
    const SHORTEST: usize = 32;
    object.eat(b'{');
    let first = object.key(true);
    first.is_ok_and(|key| key.is_none_or(|key| key.len() >= SHORTEST))
}

/// The context of a wrapped result of the usual form, and the text from the value on.
fn usual(result: &[u8]) -> Option<(&[u8], &[u8])> {
    const BEGIN: usize = br#"{"context":"#.len();
    const VALUE: &[u8] = br#","value":"#;
    let context = usual_context(result)?;
    let rest = result.get(BEGIN + context.len()..)?;
    Some((context, rest.strip_prefix(VALUE)?))
}

/// The same for the beginning of a result.
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
    fn what_tells_of_a_failure_or_nothing_at_all_is_no_result() {
        for (method, result) in [
            (Method::GetSlot, "-1"),
            (Method::GetSlot, "1.5"),
            (Method::GetBlockTime, "-1"),
            (Method::GetEpochInfo, "{}"),
            (Method::GetEpochInfo, r#"{"error":"rate limited"}"#),
            (Method::GetTransaction, r#"{"message":"later","code":5}"#),
            (
                Method::GetBlock,
                r#"{"jsonrpc":"2.0","result":null,"id":1}"#,
            ),
            (Method::GetProgramAccounts, r#"{"error":"busy"}"#),
            (Method::GetBlock, r#"{"detail":"not found","error":{}}"#),
            (Method::GetVersion, r#"{"status":"error"}"#),
            (Method::GetLeaderSchedule, r#"{"error":"busy"}"#),
            (Method::GetBlocks, r#"[{"error":"busy"}]"#),
            (Method::GetSignaturesForAddress, r#"["busy"]"#),
            (
                Method::GetAccountInfo,
                r#"{"context":{"slot":5},"value":{"error":"busy"}}"#,
            ),
            (
                Method::GetMultipleAccounts,
                r#"{"context":{"slot":5},"value":["busy"]}"#,
            ),
            (Method::GetBalance, r#"{"context":{},"value":5}"#),
            (Method::GetBalance, r#"{"context":{"slot":-1},"value":5}"#),
            (Method::GetBalance, r#"{"context":{"slot":"5"},"value":5}"#),
            (Method::GetBalance, r#"{"value":5}"#),
            (Method::GetSlot, "18446744073709551616"),
            (
                Method::GetLatestBlockhash,
                r#"{"context":{"slot":5},"value":{}}"#,
            ),
            (Method::GetAccountInfo, r#"{"context":null,"value":null}"#),
            (Method::GetBalance, r#"{"context":null,"value":0}"#),
            (Method::GetBalance, r#"{"context":{"slot":5},"value":-1}"#),
        ] {
            assert!(
                !is_possible(method, result.as_bytes()),
                "{method:?} {result}"
            );
        }
    }

    #[test]
    fn what_lacks_what_its_method_promises_is_no_result() {
        for (method, result) in [
            (
                Method::GetLatestBlockhash,
                r#"{"context":{"slot":5},"value":{"blockhash":"x"}}"#,
            ),
            (
                Method::GetLatestBlockhash,
                r#"{"context":{"slot":5},"value":{"lastValidBlockHeight":5}}"#,
            ),
            (
                Method::GetLatestBlockhash,
                r#"{"context":{"slot":5},"value":{"blockhash":"x","lastValidBlockHeight":"5"}}"#,
            ),
            (
                Method::GetLatestBlockhash,
                r#"{"context":{"slot":5},"value":{"blockhash":"","lastValidBlockHeight":5}}"#,
            ),
            (Method::GetProgramAccounts, r#"{"context":{},"value":1}"#),
            (Method::GetProgramAccounts, r#"{"context":{},"value":[]}"#),
            (
                Method::GetProgramAccounts,
                r#"{"context":{"slot":5},"value":[{}]}"#,
            ),
            (Method::GetProgramAccounts, "[{}]"),
            (Method::GetProgramAccounts, r#"[{"pubkey":5}]"#),
            (Method::GetVoteAccounts, r#"{"current":1,"delinquent":1}"#),
            (Method::GetVoteAccounts, r#"{"current":[]}"#),
            (Method::GetVoteAccounts, r#"{"current":[],"delinquent":{}}"#),
            (Method::GetGenesisHash, r#""""#),
            (Method::GetSlotLeader, r#""""#),
            (Method::RequestAirdrop, r#""""#),
        ] {
            assert!(
                !is_possible(method, result.as_bytes()),
                "{method:?} {result}"
            );
        }
    }

    #[test]
    fn nor_is_what_has_members_of_another_kind() {
        for (method, result) in [
            (Method::GetIdentity, r#"{"identity":5}"#),
            (Method::GetEpochInfo, r#"{"absoluteSlot":"x"}"#),
            (
                Method::GetAccountInfo,
                r#"{"context":{"slot":5},"value":{"lamports":"x"}}"#,
            ),
            (
                Method::GetMultipleAccounts,
                r#"{"context":{"slot":5},"value":[{}]}"#,
            ),
            (
                Method::GetSignatureStatuses,
                r#"{"context":{"slot":5},"value":[{}]}"#,
            ),
            (
                Method::GetTokenAccountBalance,
                r#"{"context":{"slot":5},"value":{"amount":5}}"#,
            ),
            (
                Method::GetTokenLargestAccounts,
                r#"{"context":{"slot":5},"value":[{}]}"#,
            ),
            (Method::GetSignaturesForAddress, "[{}]"),
            (Method::GetRecentPerformanceSamples, "[{}]"),
            (Method::GetRecentPrioritizationFees, "[{}]"),
            (Method::GetInflationReward, "[{}]"),
            (Method::GetClusterNodes, "[{}]"),
        ] {
            assert!(
                !is_possible(method, result.as_bytes()),
                "{method:?} {result}"
            );
        }
    }

    #[test]
    fn results_that_are_small_odd_or_null_are_possible_where_a_node_gives_them() {
        for (method, result) in [
            (Method::GetLeaderSchedule, "{}"),
            (Method::GetBlockTime, "null"),
            (Method::GetInflationReward, "[null]"),
            (Method::GetProgramAccounts, "[]"),
            (
                Method::GetAccountInfo,
                r#"{"context":{"slot":5},"value":{"data":"","lamports":5}}"#,
            ),
            (
                Method::GetVoteAccounts,
                r#"{"current":[],"new":5,"delinquent":[]}"#,
            ),
            (
                Method::GetLatestBlockhash,
                r#"{"context":{"slot":5},"value":{"lastValidBlockHeight":5,"blockhash":"x"}}"#,
            ),
            (
                Method::GetGenesisHash,
                r#""11111111111111111111111111111111""#,
            ),
            (
                Method::GetInflationRate,
                r#"{"total":0.05,"validator":0.05,"foundation":0.0,"epoch":5}"#,
            ),
            (Method::GetSlot, "18446744073709551615"),
            (Method::GetVersion, r#"{"new":{"a":[1]},"solana-core":"9"}"#),
            (
                Method::GetProgramAccounts,
                r#"{"context":{"slot":5},"value":[]}"#,
            ),
            (Method::Extension, "-1"),
            (Method::Extension, r#"{"error":"theirs"}"#),
            (
                Method::GetAccountInfo,
                r#"{"context":{"slot":5},"value":null}"#,
            ),
        ] {
            assert!(
                is_possible(method, result.as_bytes()),
                "{method:?} {result}"
            );
        }
    }

    #[test]
    fn every_object_has_members_that_are_known() {
        for method in Method::ALL {
            let (Shape::Plain(kind) | Shape::Wrapped(kind)) = shape(method);
            let object = kind == ValueKind::Object || kind == ValueKind::ObjectOrNull;
            let known = !members(method).is_empty() || method == Method::GetLeaderSchedule;
            assert_eq!(object, known, "{method:?}");
            let array = kind != ValueKind::Any && kind.takes(Token::Array);
            assert_eq!(array, items(method) != ValueKind::Any, "{method:?}");
            let objects = array && items(method).takes(Token::Object);
            assert_eq!(objects, !item_members(method).is_empty(), "{method:?}");
        }
    }

    #[test]
    fn wrapped_is_what_the_method_table_says() {
        for method in Method::ALL {
            let wrapped = matches!(shape(method), Shape::Wrapped(_));
            let unknown = shape(method) == Shape::Plain(ValueKind::Any);
            assert!(wrapped == method.profile().wrapped || unknown, "{method:?}");
        }
    }

    #[test]
    fn null_is_possible_only_for_what_may_not_be_there() {
        let mut may = Vec::new();
        for method in Method::ALL {
            let null = match shape(method) {
                Shape::Plain(ValueKind::Any) => continue,
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
