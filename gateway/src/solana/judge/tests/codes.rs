//! Every error code of JSON-RPC and Agave.

#![allow(clippy::too_many_lines, reason = "tables, one case per row")]

use super::{error, judged, verdict};
use crate::jsonrpc::ErrorObject;
use crate::solana::{
    Blame, Capability, FaultKind as F, Penalty as P, ReplyHints, Retry as R, Verdict, classify,
    is_the_calls_own,
};

#[test]
fn every_error_code_of_agave_has_its_verdict() {
    use Blame::{Client, Cluster, Upstream};
    for (code, message, data, kind, blame, retry, penalty) in [
        (
            -32700,
            "Parse error",
            "null",
            F::ParseError,
            Client,
            R::Elsewhere,
            P::Refusal,
        ),
        (
            -32600,
            "Invalid request",
            "null",
            F::InvalidRequest,
            Client,
            R::Elsewhere,
            P::Refusal,
        ),
        (
            -32601,
            "Method not found",
            "null",
            F::MethodNotFound,
            Upstream,
            R::Elsewhere,
            P::Refusal,
        ),
        (
            -32602,
            "Invalid param: WrongSize",
            "null",
            F::InvalidParams,
            Client,
            R::SecondOpinion,
            P::Refusal,
        ),
        (
            -32603,
            "Internal error",
            "null",
            F::InternalError,
            Upstream,
            R::Elsewhere,
            P::Failure,
        ),
        (
            -32001,
            "Block 5 cleaned up, does not exist on node. First available block: 9",
            "null",
            F::BlockCleanedUp,
            Upstream,
            R::Deeper,
            P::None,
        ),
        (
            -32002,
            "Transaction simulation failed: custom program error: 0x1",
            r#"{"err":{"InstructionError":[0,{"Custom":1}]},"logs":["rate limit"]}"#,
            F::SimulationFailed,
            Client,
            R::Final,
            P::None,
        ),
        (
            -32002,
            "Transaction simulation failed: Blockhash not found",
            r#"{"accounts":null,"err":"BlockhashNotFound","logs":[]}"#,
            F::BlockhashNotFound,
            Cluster,
            R::ElsewhereOnce,
            P::None,
        ),
        (
            -32002,
            "Transaction simulation failed: This transaction has already been processed",
            r#"{"err":"AlreadyProcessed"}"#,
            F::AlreadyProcessed,
            Cluster,
            R::Final,
            P::None,
        ),
        (
            -32002,
            "Transaction simulation failed",
            "null",
            F::SimulationFailed,
            Client,
            R::Final,
            P::None,
        ),
        (
            -32003,
            "Transaction signature verification failure",
            "null",
            F::SignatureVerification,
            Client,
            R::Final,
            P::None,
        ),
        (
            -32004,
            "Block not available for slot 5",
            "null",
            F::BlockNotAvailable,
            Cluster,
            R::ElsewhereLater,
            P::None,
        ),
        (
            -32005,
            "Node is behind by 42 slots",
            r#"{"numSlotsBehind":42}"#,
            F::NodeBehind,
            Upstream,
            R::Elsewhere,
            P::Lagging { slots: Some(42) },
        ),
        (
            -32005,
            "Node is unhealthy",
            r#"{"numSlotsBehind":null}"#,
            F::NodeUnhealthy,
            Upstream,
            R::Elsewhere,
            P::Lagging { slots: None },
        ),
        (
            -32006,
            "Transaction precompile verification failure InvalidAccountIndex",
            "null",
            F::PrecompileVerification,
            Client,
            R::Final,
            P::None,
        ),
        (
            -32007,
            "Slot 5 was skipped, or missing due to ledger jump to recent snapshot",
            "null",
            F::SlotSkipped,
            Cluster,
            R::Deeper,
            P::None,
        ),
        (
            -32008,
            "No snapshot",
            "null",
            F::NoSnapshot,
            Upstream,
            R::Elsewhere,
            P::None,
        ),
        (
            -32009,
            "Slot 5 was skipped, or missing in long-term storage",
            "null",
            F::LongTermSlotSkipped,
            Cluster,
            R::Deeper,
            P::None,
        ),
        (
            -32010,
            "k excluded from account secondary indexes; this RPC method unavailable for key",
            "null",
            F::KeyExcluded,
            Upstream,
            R::Elsewhere,
            P::None,
        ),
        (
            -32011,
            "Transaction history is not available from this node",
            "null",
            F::NoHistory,
            Upstream,
            R::Capable(Capability::History),
            P::Lacks(Capability::History),
        ),
        (
            -32012,
            "scan aborted",
            "null",
            F::ScanError,
            Client,
            R::ElsewhereOnce,
            P::Refusal,
        ),
        (
            -32013,
            "Transaction signature length mismatch",
            "null",
            F::SignatureLength,
            Client,
            R::Final,
            P::None,
        ),
        (
            -32014,
            "Block status not yet available for slot 5",
            "null",
            F::BlockStatusUnavailable,
            Cluster,
            R::ElsewhereLater,
            P::None,
        ),
        (
            -32015,
            "Transaction version (0) is not supported by the requesting client.",
            "null",
            F::UnsupportedVersion,
            Client,
            R::Final,
            P::None,
        ),
        (
            -32016,
            "Minimum context slot has not been reached",
            r#"{"contextSlot":1936}"#,
            F::MinContextSlot,
            Cluster,
            R::ElsewhereLater,
            P::None,
        ),
        (
            -32017,
            "Epoch rewards period still active at slot 5",
            r#"{"slot":5}"#,
            F::EpochRewardsActive,
            Cluster,
            R::Final,
            P::None,
        ),
        (
            -32018,
            "Rewards cannot be found because slot 5 is not the epoch boundary.",
            r#"{"slot":5}"#,
            F::NotEpochBoundary,
            Upstream,
            R::Deeper,
            P::None,
        ),
        (
            -32019,
            "Failed to query long-term storage; please try again",
            "null",
            F::LongTermUnreachable,
            Upstream,
            R::ElsewhereLater,
            P::None,
        ),
        (
            -32020,
            "Transaction s not found",
            "null",
            F::FilterTransactionNotFound,
            Client,
            R::Deeper,
            P::None,
        ),
        (
            -32021,
            "No slot history",
            "null",
            F::NoSlotHistory,
            Upstream,
            R::Elsewhere,
            P::None,
        ),
        (
            -32022,
            "Node k was not in the leader schedule",
            "null",
            F::NotInLeaderSchedule,
            Client,
            R::Final,
            P::None,
        ),
        (
            -32000,
            "Server error",
            "null",
            F::UnknownError,
            Upstream,
            R::Elsewhere,
            P::Refusal,
        ),
        (
            0,
            "",
            "null",
            F::UnknownError,
            Upstream,
            R::Elsewhere,
            P::Refusal,
        ),
    ] {
        let expected = Verdict {
            kind,
            blame,
            retry,
            penalty,
        };
        let class = classify(method_of(code), Some(b"[\"k\"]"));
        let found = judged(
            200,
            ReplyHints::default(),
            &error(code, message, data),
            &class,
        );
        assert_eq!(found, Some(expected), "{code} {message}");
    }
}

/// A method that a node may answer with this code.
fn method_of(code: i64) -> &'static str {
    match code {
        -32002 | -32003 | -32006 | -32013 => "simulateTransaction",
        -32008 => "getHighestSnapshotSlot",
        -32010 | -32012 => "getProgramAccounts",
        -32001 | -32004 | -32007 | -32009 | -32014 => "getBlock",
        -32011 | -32015 | -32019 => "getTransaction",
        -32021 => "getBlockProduction",
        -32017 | -32018 => "getInflationReward",
        -32020 => "getSignaturesForAddress",
        -32022 => "getLeaderSchedule",
        _ => "getBalance",
    }
}

#[test]
fn a_code_that_no_node_gives_to_the_method_is_the_upstreams() {
    let of_blocks: &[i64] = &[-32001, -32004, -32007, -32009, -32014];
    let of_sending: &[i64] = &[-32002, -32003, -32006, -32013];
    let of_scans: &[i64] = &[-32010, -32012];
    let of_history: &[i64] = &[-32011, -32019];
    let all: Vec<i64> = (-32022..=-32001).collect();
    for (method, belonging) in [
        ("getBalance", vec![-32005, -32016]),
        (
            "getBlock",
            [of_blocks, of_history, &[-32005, -32015, -32021]].concat(),
        ),
        (
            "getTransaction",
            [of_history, &[-32005, -32015, -32016]].concat(),
        ),
        ("getBlocks", [of_history, &[-32005, -32016]].concat()),
        (
            "getSignaturesForAddress",
            [of_history, &[-32005, -32016, -32020]].concat(),
        ),
        ("getSignatureStatuses", vec![-32005, -32016]),
        ("getProgramAccounts", [of_scans, &[-32005, -32016]].concat()),
        ("getVoteAccounts", vec![-32005]),
        (
            "simulateTransaction",
            [of_sending, &[-32005, -32016]].concat(),
        ),
        ("getHighestSnapshotSlot", vec![-32005, -32008]),
        ("getAsset", vec![-32005]),
        ("searchAssets", vec![-32005]),
        ("getSomethingNew", vec![-32005]),
    ] {
        let class = classify(method, None);
        for code in &all {
            let said = error(*code, "whatever", "null");
            let found = judged(200, ReplyHints::default(), &said, &class).unwrap();
            let is_its = (found.blame, found.retry, found.penalty)
                == (Blame::Upstream, R::Elsewhere, P::Refusal);
            assert_eq!(is_its, !belonging.contains(code), "{method} {code}");
        }
    }
}

#[test]
fn wrong_parameters_in_a_providers_own_words_are_asked_about_elsewhere() {
    for message in [
        "too wide a filter",
        "Query exceeds the limit of this endpoint",
        "",
    ] {
        let found = verdict(200, &error(-32602, message, "null"));
        assert_eq!(found.kind, F::InvalidParams, "{message}");
        assert_eq!((found.retry, found.penalty), (R::ElsewhereOnce, P::Refusal));
    }
    let send = classify("sendTransaction", Some(b"[\"AAAA\"]"));
    let malformed = error(
        -32602,
        "invalid transaction: Transaction failed to sanitize",
        "null",
    );
    let found = judged(200, ReplyHints::default(), &malformed, &send).unwrap();
    assert_eq!(found.retry, R::Final, "no node takes it");
}

#[test]
fn the_calls_own_errors_are_those_that_every_node_would_give() {
    let own = |code| {
        is_the_calls_own(&ErrorObject {
            code,
            ..ErrorObject::default()
        })
    };
    for code in [
        -32700, -32600, -32601, -32602, -32003, -32006, -32007, -32009, -32013, -32015, -32017,
        -32018, -32022,
    ] {
        assert!(own(code), "{code}");
    }
    for code in [
        0, 429, -32000, -32603, -32001, -32002, -32004, -32005, -32008, -32010, -32011, -32012,
        -32014, -32016, -32019, -32020, -32021,
    ] {
        assert!(!own(code), "{code}");
    }
}

#[test]
fn a_ledger_that_does_not_reach_back_is_no_reason_to_ask_the_next_best() {
    for (method, codes) in [
        ("getBlock", &[-32001, -32007, -32009][..]),
        ("getBlockTime", &[-32001, -32007, -32009]),
        ("getInflationReward", &[-32001, -32007, -32009, -32018]),
        ("getSignaturesForAddress", &[-32020]),
    ] {
        for code in codes {
            let class = classify(method, Some(b"[7]"));
            let said = error(*code, "said", "null");
            let found = judged(200, ReplyHints::default(), &said, &class).unwrap();
            assert_eq!(
                (found.retry, found.penalty),
                (R::Deeper, P::None),
                "{method} {code}"
            );
        }
    }
}

#[test]
fn a_node_without_a_faucet_lacks_the_capability() {
    let class = classify("requestAirdrop", Some(b"[\"k\",5]"));
    let found = judged(
        200,
        ReplyHints::default(),
        &error(-32600, "Invalid request", "null"),
        &class,
    );
    let found = found.unwrap();
    assert_eq!(found.kind, F::NoFaucet);
    assert_eq!(found.retry, R::Capable(Capability::Airdrop));
    assert_eq!(found.penalty, P::Lacks(Capability::Airdrop));
}
