//! Agave's errors: which code belongs to which method, and its wording for invalid parameters. An
//! error that no node would give for the call is the upstream's, not the caller's.

use crate::solana::{Capability, Class, Method};

/// How errors of Agave and its JSON-RPC server about parameters begin.
const PARAMETERS: &[&str] = &[
    "Invalid",
    "invalid",
    "`params` should",
    "Method does not support",
    "Too many inputs",
    "Slot range too large",
    "No more than",
    "failed to deserialize",
    "unsupported",
    "base58 encoded",
    "base64 encoded",
    "decoded ",
    "expected ",
];

/// How its errors about a transaction begin, in full: a transaction is lost if words that only look
/// alike are taken for the verdict of every node, and another node may be sent it without harm.
const TRANSACTIONS: &[&str] = &[
    "`params` should",
    "Invalid parameters: No parameters",
    // What is wrong with the JSON, in serde's words.
    "Invalid params: invalid ",
    "Invalid params: missing ",
    "Invalid params: unknown ",
    "Invalid params: duplicate ",
    "base58 encoded ",
    "base64 encoded ",
    "decoded ",
    "failed to deserialize ",
    "invalid base58 encoding",
    "invalid base64 encoding",
    "invalid transaction: ",
    "unsupported encoding: ",
];

/// Whether invalid parameters are reported in Agave's wording, not in a provider's.
pub(super) fn speaks_of_parameters(message: &str, method: Method) -> bool {
    let begins = match method {
        Method::SendTransaction => TRANSACTIONS,
        _ => PARAMETERS,
    };
    begins.iter().any(|begin| message.starts_with(begin))
}

/// Whether a node may answer this method with this code. Codes that any method may have belong to
/// all.
pub(super) fn belongs(code: i64, class: &Class) -> bool {
    use Method as M;
    let method = class.method;
    // A node reports being unhealthy before it looks at the method.
    if method.is_foreign() {
        return !matches!(code, -32022..=-32001) || code == -32005;
    }
    let profile = class.profile();
    let history = class.needs == Some(Capability::History);
    let scan = profile.capability == Some(Capability::Index);
    let of_a_block = matches!(
        method,
        M::GetBlock | M::GetBlockTime | M::GetInflationReward
    );
    match code {
        -32001 | -32004 | -32007 | -32009 | -32014 => of_a_block,
        -32002 | -32003 | -32006 | -32013 => {
            matches!(method, M::SendTransaction | M::SimulateTransaction)
        }
        -32008 => method == M::GetHighestSnapshotSlot,
        -32010 | -32012 => scan,
        -32011 | -32019 => history,
        -32015 => matches!(method, M::GetBlock | M::GetTransaction),
        -32016 => profile.min_context_slot,
        -32017 => matches!(method, M::GetInflationReward | M::GetStakeMinimumDelegation),
        -32018 => method == M::GetInflationReward,
        -32020 => method == M::GetSignaturesForAddress,
        -32021 => of_a_block || method == M::GetBlockProduction,
        -32022 => matches!(method, M::GetLeaderSchedule | M::GetBlockProduction),
        _ => true,
    }
}
