//! Methods of providers that Agave does not have: known ones, and names that look like reads. Pure
//! tables.

/// What is known of a method that is not Agave's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extension {
    /// A read, by a provider's documentation.
    Read,
    /// A read that takes seconds or returns megabytes.
    HeavyRead,
    /// It sends transactions or changes something at the provider.
    Write,
    /// Undocumented, but named like a read.
    NamedAsRead,
}

impl Extension {
    /// What a name says; `None` if nothing.
    #[expect(clippy::too_many_lines, reason = "a table of names")]
    pub fn of(name: &str) -> Option<Self> {
        Some(match name {
            // Metaplex' Digital Asset Standard: Helius, Triton, QuickNode, Alchemy and others.
            "getAsset"
            | "getAssets"
            | "getAssetBatch"
            | "getAssetProof"
            | "getAssetProofs"
            | "getAssetProofBatch"
            | "getAssetSignatures"
            | "getAssetSignaturesV2"
            | "getSignaturesForAsset"
            | "getAssetsByAuthority"
            | "getAssetsByCreator"
            | "getAssetsByGroup"
            | "getAssetsByOwner"
            | "getGrouping"
            | "getNftEditions"
            | "getTokenAccounts"
            // Fees.
            | "getPriorityFeeEstimate"
            | "getPriorityFeeEstimateForAccounts"
            | "getRecentPriorityFeeEstimate"
            | "getRecentPrioritizationFeesByPercentile"
            | "qn_estimatePriorityFees"
            | "estimatePriorityFees"
            // Helius' own and other history by address.
            | "getTransactionsForAddress"
            | "getTransactionsByAddress"
            | "getTransactions"
            | "getTransfersByAddress"
            | "getMintSignatures"
            | "getLatestLightSignatures"
            // Light Protocol's Photon indexer.
            | "getCompressedAccount"
            | "getCompressedAccountProof"
            | "getCompressedAccountsByOwner"
            | "getCompressedBalance"
            | "getCompressedBalanceByOwner"
            | "getCompressedMintTokenHolders"
            | "getCompressedTokenAccountBalance"
            | "getCompressedTokenAccountsByDelegate"
            | "getCompressedTokenAccountsByOwner"
            | "getCompressedTokenBalancesByOwner"
            | "getCompressedTokenBalancesByOwnerV2"
            | "getCompressionSignaturesForAccount"
            | "getCompressionSignaturesForAddress"
            | "getCompressionSignaturesForOwner"
            | "getCompressionSignaturesForTokenOwner"
            | "getIndexerHealth"
            | "getIndexerSlot"
            | "getLatestCompressionSignatures"
            | "getLatestNonVotingSignatures"
            | "getMultipleCompressedAccounts"
            | "getMultipleCompressedAccountProofs"
            | "getMultipleNewAddressProofs"
            | "getMultipleNewAddressProofsV2"
            | "getTransactionWithCompressionInfo"
            | "getValidityProof"
            // Jito.
            | "getBundleStatuses"
            | "getInflightBundleStatuses"
            | "getTipAccounts"
            | "simulateBundle"
            // Triton, QuickNode.
            | "getSlotRange"
            | "getLeaderTpuInfo"
            | "qn_fetchNFTs"
            | "qn_fetchNFTsByCollection"
            | "qn_fetchTokenMetadata" => Self::Read,
            "getProgramAccountsV2"
            | "getTokenAccountsByOwnerV2"
            | "getTokenAccountsByDelegateV2"
            | "searchAssets"
            | "getTokenHolders" => Self::HeavyRead,
            "sendBundle"
            | "sendPrivateTransaction"
            | "sendSmartTransaction"
            | "sendTransactionWithTip"
            | "sendRawTransaction" => Self::Write,
            _ if is_named_as_read(name) => Self::NamedAsRead,
            _ => return None,
        })
    }
}

/// In Solana's APIs, as in JSON-RPC in general, reads are named `getX`, `searchX` or `isX`.
fn is_named_as_read(name: &str) -> bool {
    ["get", "search", "is"].iter().any(|verb| {
        let rest = name.strip_prefix(verb);
        rest.is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_uppercase()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::solana::Method;

    #[test]
    fn the_variants_of_agaves_methods_and_the_assets_are_known_reads() {
        for name in [
            "getAsset",
            "getAssetsByOwner",
            "getAssetProof",
            "getAssetProofBatch",
            "getTokenAccounts",
            "getPriorityFeeEstimate",
            "getTransactionsForAddress",
            "getBundleStatuses",
            "simulateBundle",
        ] {
            assert_eq!(Extension::of(name), Some(Extension::Read), "{name}");
        }
        for name in ["searchAssets", "getProgramAccountsV2"] {
            assert_eq!(Extension::of(name), Some(Extension::HeavyRead), "{name}");
        }
    }

    #[test]
    fn names_of_reads_are_told_by_their_verb() {
        for name in ["getNothing", "searchAll", "isFine"] {
            assert_eq!(Extension::of(name), Some(Extension::NamedAsRead), "{name}");
        }
        for name in [
            "getter", "get", "isolate", "island", "GetSlot", "zzget", "", "setX",
        ] {
            assert_eq!(Extension::of(name), None, "{name}");
        }
    }

    #[test]
    fn what_sends_something_is_no_read() {
        assert_eq!(Extension::of("sendBundle"), Some(Extension::Write));
    }

    #[test]
    fn no_method_of_agaves_stands_here() {
        for method in Method::ALL {
            let extension = Extension::of(method.label());
            let known = matches!(
                extension,
                Some(Extension::Read | Extension::HeavyRead | Extension::Write)
            );
            assert!(!known, "{}", method.label());
        }
    }
}
