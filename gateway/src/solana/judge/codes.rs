//! The meaning of each JSON-RPC error code. Codes and texts of Agave 4.5.

use super::agave;
use crate::{
    jsonrpc::{Cursor, ErrorObject},
    solana::{Blame, Capability, Class, FaultKind, Method, Penalty, Retry, Verdict},
};

/// Whether the code is JSON-RPC's or Agave's.
pub(super) const fn is_known(code: i64) -> bool {
    matches!(code, -32700 | -32603..=-32600 | -32022..=-32001)
}

/// Judges an error by its code.
pub(super) fn verdict(error: &ErrorObject, class: &Class) -> Verdict {
    if class.method == Method::SendTransaction && speaks_of_processed(error) {
        return already_processed();
    }
    match error.code {
        -32002 if agave::belongs(-32002, class) => simulation(error),
        -32005 => unhealthy(error),
        -32600 if class.method == Method::RequestAirdrop => Verdict {
            kind: FaultKind::NoFaucet,
            blame: Blame::Upstream,
            retry: Retry::Capable(Capability::Airdrop),
            penalty: Penalty::Lacks(Capability::Airdrop),
        },
        -32601 if class.method.is_foreign() => Verdict {
            penalty: Penalty::CloseMethod,
            ..row(error.code)
        },
        -32602 if agave::speaks_of_parameters(&error.message, class.method) => Verdict {
            retry: Retry::SecondOpinion,
            ..row(error.code)
        },
        code if !agave::belongs(code, class) => Verdict {
            blame: Blame::Upstream,
            retry: Retry::Elsewhere,
            penalty: Penalty::Refusal,
            ..row(code)
        },
        -32001 | -32007 | -32009 | -32018 | -32020 if class.needs == Some(Capability::History) => {
            Verdict {
                retry: Retry::Deeper,
                ..row(error.code)
            }
        }
        code => row(code),
    }
}

/// The table of the codes that are judged without the rest of the error.
#[allow(clippy::too_many_lines, reason = "a table: one row per code")]
const fn row(code: i64) -> Verdict {
    use {Blame as B, Capability as C, FaultKind as F, Penalty as P, Retry as R};
    let (kind, blame, retry, penalty) = match code {
        // The gateway wrote the request: it is well-formed.
        -32700 => (F::ParseError, B::Client, R::Elsewhere, P::Refusal),
        -32600 => (F::InvalidRequest, B::Client, R::Elsewhere, P::Refusal),
        -32601 => (F::MethodNotFound, B::Upstream, R::Elsewhere, P::Refusal),
        -32602 => (F::InvalidParams, B::Client, R::ElsewhereOnce, P::Refusal),
        -32002 => (F::SimulationFailed, B::Client, R::Final, P::None),
        -32603 => (F::InternalError, B::Upstream, R::Elsewhere, P::Failure),
        -32001 => (
            F::BlockCleanedUp,
            B::Upstream,
            R::Capable(C::Archive),
            P::None,
        ),
        -32003 => (F::SignatureVerification, B::Client, R::Final, P::None),
        -32004 => (F::BlockNotAvailable, B::Cluster, R::ElsewhereLater, P::None),
        -32006 => (F::PrecompileVerification, B::Client, R::Final, P::None),
        -32007 => (F::SlotSkipped, B::Cluster, R::ElsewhereOnce, P::None),
        -32008 => (F::NoSnapshot, B::Upstream, R::Elsewhere, P::None),
        -32009 => (
            F::LongTermSlotSkipped,
            B::Cluster,
            R::Capable(C::Archive),
            P::None,
        ),
        -32010 => (F::KeyExcluded, B::Upstream, R::Elsewhere, P::None),
        -32011 => (
            F::NoHistory,
            B::Upstream,
            R::Capable(C::History),
            P::Lacks(C::History),
        ),
        // Each node has its own limit for the cost of a scan.
        -32012 => (F::ScanError, B::Client, R::ElsewhereOnce, P::Refusal),
        -32013 => (F::SignatureLength, B::Client, R::Final, P::None),
        -32014 => (
            F::BlockStatusUnavailable,
            B::Cluster,
            R::ElsewhereLater,
            P::None,
        ),
        -32015 => (F::UnsupportedVersion, B::Client, R::Final, P::None),
        // No penalty: the caller chose the slot, and may choose one that no node has reached.
        -32016 => (F::MinContextSlot, B::Cluster, R::ElsewhereLater, P::None),
        -32017 => (F::EpochRewardsActive, B::Cluster, R::Final, P::None),
        -32018 => (
            F::NotEpochBoundary,
            B::Upstream,
            R::Capable(C::Archive),
            P::None,
        ),
        -32019 => (
            F::LongTermUnreachable,
            B::Upstream,
            R::ElsewhereLater,
            P::None,
        ),
        -32020 => (
            F::FilterTransactionNotFound,
            B::Client,
            R::ElsewhereOnce,
            P::None,
        ),
        -32021 => (F::NoSlotHistory, B::Upstream, R::Elsewhere, P::None),
        -32022 => (F::NotInLeaderSchedule, B::Client, R::Final, P::None),
        _ => (F::UnknownError, B::Upstream, R::Elsewhere, P::Refusal),
    };
    Verdict {
        kind,
        blame,
        retry,
        penalty,
    }
}

/// Whether an error concerns the call itself: every node would say the same now, so that identical
/// calls may get it.
pub fn is_the_calls_own(error: &ErrorObject) -> bool {
    let told = row(error.code);
    match error.code {
        // It concerns the slot, which is the same for all who ask now; if no upstream has more, it
        // is final. For -32601 all upstreams that were asked agree.
        -32007 | -32009 | -32017 | -32018 | -32601 => true,
        -32002 | -32012 | -32020 => false,
        _ => told.blame == Blame::Client,
    }
}

/// -32002: the simulation's result is in `data`, its failure in `data.err`. A blockhash unknown to
/// one node may be known to a fresher one.
fn simulation(error: &ErrorObject) -> Verdict {
    let (kind, blame, retry) = match details(error).member(b"err").and_then(Cursor::string) {
        Some(b"BlockhashNotFound") => (
            FaultKind::BlockhashNotFound,
            Blame::Cluster,
            Retry::ElsewhereOnce,
        ),
        Some(b"AlreadyProcessed") => return already_processed(),
        _ => (FaultKind::SimulationFailed, Blame::Client, Retry::Final),
    };
    Verdict {
        kind,
        blame,
        retry,
        penalty: Penalty::None,
    }
}

/// The transaction has been processed, however it got there.
const fn already_processed() -> Verdict {
    Verdict {
        kind: FaultKind::AlreadyProcessed,
        blame: Blame::Cluster,
        retry: Retry::Final,
        penalty: Penalty::None,
    }
}

/// Providers in front of a node use its words with codes of their own, without its data; where there
/// is data, it decides. A program's words are in the logs, never in the message.
fn speaks_of_processed(error: &ErrorObject) -> bool {
    const AGAVES: &str = "This transaction has already been processed";
    match details(error).member(b"err").and_then(Cursor::value) {
        Some(b"\"AlreadyProcessed\"") => true,
        Some(b"null") | None => {
            error.message.contains(AGAVES) || error.message.contains("AlreadyProcessed")
        }
        Some(_) => false,
    }
}

/// -32005: `data.numSlotsBehind` is a number, or `null` when the node does not know.
fn unhealthy(error: &ErrorObject) -> Verdict {
    let slots = details(error)
        .member(b"numSlotsBehind")
        .and_then(Cursor::unsigned);
    Verdict {
        kind: if slots.is_some() {
            FaultKind::NodeBehind
        } else {
            FaultKind::NodeUnhealthy
        },
        blame: Blame::Upstream,
        retry: Retry::Elsewhere,
        penalty: Penalty::Lagging { slots },
    }
}

/// The data of an error; nothing where there is none.
fn details(error: &ErrorObject) -> Cursor<'_> {
    Cursor::new(error.data.as_deref().unwrap_or_default())
}
