//! Every error code of JSON-RPC and Agave.

#![allow(clippy::too_many_lines, reason = "tables, one case per row")]

use bytes::Bytes;

use super::{error, judged, verdict};
use crate::{
    jsonrpc::Answer,
    solana::{
        Blame, Capability, FaultKind as F, Penalty as P, ReplyHints, Retry as R, Verdict, classify,
        reached_slot,
    },
};

#[test]
fn every_error_code_of_agave_has_its_verdict() {
    use Blame::{Client, Cluster, Upstream};
    let archive = R::Capable(Capability::Archive);
    for (code, message, data, kind, blame, retry, penalty) in [
        (
            -32700,
            "Parse error",
            "null",
            F::ParseError,
            Client,
            R::Final,
            P::None,
        ),
        (
            -32600,
            "Invalid request",
            "null",
            F::InvalidRequest,
            Client,
            R::Final,
            P::None,
        ),
        (
            -32601,
            "Method not found",
            "null",
            F::MethodNotFound,
            Upstream,
            R::Elsewhere,
            P::CloseMethod,
        ),
        (
            -32602,
            "Invalid param: WrongSize",
            "null",
            F::InvalidParams,
            Client,
            R::Final,
            P::None,
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
            archive,
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
            R::ElsewhereOnce,
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
            archive,
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
            R::Final,
            P::None,
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
            archive,
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
            R::ElsewhereOnce,
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
            R::ElsewhereOnce,
            P::None,
        ),
        (
            0,
            "",
            "null",
            F::UnknownError,
            Upstream,
            R::ElsewhereOnce,
            P::None,
        ),
    ] {
        let expected = Verdict {
            kind,
            blame,
            retry,
            penalty,
        };
        assert_eq!(
            verdict(200, &error(code, message, data)),
            expected,
            "{code} {message}"
        );
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

#[test]
fn a_node_that_is_behind_says_how_far_it_is() {
    let body = include_str!("../../../../tests/fixtures/answers/err_min_context_slot.json");
    let answer = Answer::scan(Bytes::from_static(body.as_bytes())).unwrap();
    assert_eq!(
        reached_slot(answer.error().unwrap()).map(|slot| slot.0),
        Some(1936)
    );
}
