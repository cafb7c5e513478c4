use perijove_core::Commitment;

use crate::solana::{Capability, CommitmentRule, Finality, Idempotency, Method, Priority};

fn methods(of: impl Fn(Method) -> bool) -> Vec<&'static str> {
    Method::ALL
        .into_iter()
        .filter(|method| of(*method))
        .map(Method::label)
        .collect()
}

#[test]
fn only_two_methods_write() {
    for method in Method::ALL {
        let expected = match method {
            Method::SendTransaction => Idempotency::WriteBySignature,
            Method::RequestAirdrop => Idempotency::WriteOnce,
            _ => Idempotency::Read,
        };
        assert_eq!(method.profile().idempotency, expected, "{method:?}");
    }
    assert_eq!(Method::Other.profile().idempotency, Idempotency::Unknown);
    assert_eq!(Method::Other.profile().finality, Finality::Never);
}

#[test]
fn a_trade_goes_before_everything_and_scans_go_last() {
    let of = |priority| methods(move |method| method.profile().priority == priority);
    assert_eq!(of(Priority::Critical), ["sendTransaction"]);
    assert_eq!(
        of(Priority::High),
        [
            "getLatestBlockhash",
            "getSignatureStatuses",
            "simulateTransaction"
        ]
    );
    assert_eq!(
        of(Priority::Low),
        [
            "getBlock",
            "getBlocks",
            "getBlocksWithLimit",
            "getInflationReward",
            "getLargestAccounts",
            "getProgramAccounts",
            "getSignaturesForAddress",
            "getSupply",
            "getTokenAccountsByDelegate",
            "getTokenAccountsByOwner",
            "getTokenLargestAccounts",
            "getTransaction",
        ]
    );
    assert!(of(Priority::Background).is_empty());
}

#[test]
fn what_answers_for_one_node_is_marked() {
    let marked = [
        "getFirstAvailableBlock",
        "getHealth",
        "getHighestSnapshotSlot",
        "getIdentity",
        "getMaxRetransmitSlot",
        "getMaxShredInsertSlot",
        "getVersion",
        "minimumLedgerSlot",
    ];
    assert_eq!(methods(|method| method.profile().node_specific()), marked);
    let by_finality = methods(|method| method.profile().finality == Finality::NodeSpecific);
    assert_eq!(by_finality, marked);
}

#[test]
fn the_minimal_api_needs_no_capability() {
    assert_eq!(
        methods(|method| method.profile().capability.is_none()),
        [
            "getBalance",
            "getBlockHeight",
            "getEpochInfo",
            "getGenesisHash",
            "getHealth",
            "getHighestSnapshotSlot",
            "getIdentity",
            "getLeaderSchedule",
            "getSlot",
            "getTransactionCount",
            "getVersion",
            "getVoteAccounts",
        ]
    );
}

#[test]
fn bare_commitments_and_minimum_slots_stand_where_agave_has_them() {
    assert_eq!(
        methods(|method| method.profile().commitment == CommitmentRule::Bare),
        [
            "getInflationGovernor",
            "getMinimumBalanceForRentExemption",
            "getTokenAccountBalance",
            "getTokenLargestAccounts",
            "getTokenSupply",
        ]
    );
    assert_eq!(
        methods(|method| method.profile().min_context_slot),
        [
            "getAccountInfo",
            "getBalance",
            "getBlockHeight",
            "getBlocks",
            "getBlocksWithLimit",
            "getEpochInfo",
            "getFeeForMessage",
            "getInflationReward",
            "getLatestBlockhash",
            "getMultipleAccounts",
            "getProgramAccounts",
            "getRankMap",
            "getSignatureStatuses",
            "getSignaturesForAddress",
            "getSlot",
            "getSlotLeader",
            "getStakeMinimumDelegation",
            "getTokenAccountsByDelegate",
            "getTokenAccountsByOwner",
            "getTransaction",
            "getTransactionCount",
            "isBlockhashValid",
            "sendTransaction",
            "simulateTransaction",
        ]
    );
}

#[test]
fn wrapped_results_are_those_with_a_context() {
    assert_eq!(
        methods(|method| method.profile().wrapped),
        [
            "getAccountInfo",
            "getBalance",
            "getBlockProduction",
            "getFeeForMessage",
            "getLargestAccounts",
            "getLatestBlockhash",
            "getMultipleAccounts",
            "getRankMap",
            "getSignatureStatuses",
            "getStakeMinimumDelegation",
            "getSupply",
            "getTokenAccountBalance",
            "getTokenAccountsByDelegate",
            "getTokenAccountsByOwner",
            "getTokenLargestAccounts",
            "getTokenSupply",
            "isBlockhashValid",
            "simulateTransaction",
        ]
    );
}

#[test]
fn every_row_is_consistent() {
    for method in Method::ALL {
        let profile = method.profile();
        let takes_config = profile.commitment != CommitmentRule::None || profile.min_context_slot;
        assert_eq!(takes_config, profile.config_index.is_some(), "{method:?}");
        assert!(profile.cost >= 1, "{method:?}");
        let statuses = method == Method::GetSignatureStatuses;
        let expected = if statuses {
            Commitment::Processed
        } else {
            Commitment::Finalized
        };
        assert_eq!(profile.default, expected, "{method:?}");
        if profile.capability == Some(Capability::Index) {
            assert!(
                profile.heavy && profile.priority == Priority::Low,
                "{method:?}"
            );
        }
    }
}
