//! The methods of Agave 4.5, by name. [`super::table`] has their profiles.

macro_rules! methods {
    ($($variant:ident = $name:literal,)*) => {
        /// A method of Solana's RPC, or any other.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs, reason = "the variants are the methods' names")]
        pub enum Method {
            $($variant,)*
            /// A method Agave does not have: a provider's extension, or a mistake.
            Other,
            /// A known read of a provider; see [`super::Extension`].
            Extension,
            /// Known only by a name like that of a read.
            NamedAsRead,
        }

        impl Method {
            /// Every method Agave has, without [`Method::Other`].
            pub const ALL: [Self; 54] = [$(Self::$variant),*];

            /// Finds a method by its exact name.
            pub fn from_name(name: &str) -> Self {
                match name {
                    $($name => Self::$variant,)*
                    _ => Self::Other,
                }
            }

            /// The name in requests, which is also the value of metric labels; `other` for
            /// [`Method::Other`], since names that clients invent must not become labels.
            pub const fn label(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                    Self::Other | Self::NamedAsRead => "other",
                    Self::Extension => "extension",
                }
            }
        }
    };
}

methods! {
    GetAccountInfo = "getAccountInfo",
    GetAgGenesisCert = "getAgGenesisCert",
    GetBalance = "getBalance",
    GetBlock = "getBlock",
    GetBlockCommitment = "getBlockCommitment",
    GetBlockHeight = "getBlockHeight",
    GetBlockProduction = "getBlockProduction",
    GetBlockTime = "getBlockTime",
    GetBlocks = "getBlocks",
    GetBlocksWithLimit = "getBlocksWithLimit",
    GetClusterNodes = "getClusterNodes",
    GetEpochInfo = "getEpochInfo",
    GetEpochSchedule = "getEpochSchedule",
    GetFeeForMessage = "getFeeForMessage",
    GetFirstAvailableBlock = "getFirstAvailableBlock",
    GetGenesisHash = "getGenesisHash",
    GetHealth = "getHealth",
    GetHighestSnapshotSlot = "getHighestSnapshotSlot",
    GetIdentity = "getIdentity",
    GetInflationGovernor = "getInflationGovernor",
    GetInflationRate = "getInflationRate",
    GetInflationReward = "getInflationReward",
    GetLargestAccounts = "getLargestAccounts",
    GetLatestBlockhash = "getLatestBlockhash",
    GetLeaderSchedule = "getLeaderSchedule",
    GetMaxRetransmitSlot = "getMaxRetransmitSlot",
    GetMaxShredInsertSlot = "getMaxShredInsertSlot",
    GetMinimumBalanceForRentExemption = "getMinimumBalanceForRentExemption",
    GetMultipleAccounts = "getMultipleAccounts",
    GetProgramAccounts = "getProgramAccounts",
    GetRankMap = "getRankMap",
    GetRecentPerformanceSamples = "getRecentPerformanceSamples",
    GetRecentPrioritizationFees = "getRecentPrioritizationFees",
    GetSignatureStatuses = "getSignatureStatuses",
    GetSignaturesForAddress = "getSignaturesForAddress",
    GetSlot = "getSlot",
    GetSlotLeader = "getSlotLeader",
    GetSlotLeaders = "getSlotLeaders",
    GetStakeMinimumDelegation = "getStakeMinimumDelegation",
    GetSupply = "getSupply",
    GetTokenAccountBalance = "getTokenAccountBalance",
    GetTokenAccountsByDelegate = "getTokenAccountsByDelegate",
    GetTokenAccountsByOwner = "getTokenAccountsByOwner",
    GetTokenLargestAccounts = "getTokenLargestAccounts",
    GetTokenSupply = "getTokenSupply",
    GetTransaction = "getTransaction",
    GetTransactionCount = "getTransactionCount",
    GetVersion = "getVersion",
    GetVoteAccounts = "getVoteAccounts",
    IsBlockhashValid = "isBlockhashValid",
    MinimumLedgerSlot = "minimumLedgerSlot",
    RequestAirdrop = "requestAirdrop",
    SendTransaction = "sendTransaction",
    SimulateTransaction = "simulateTransaction",
}

impl Method {
    /// The name in requests, when it is one of Agave's.
    pub fn name(self) -> Option<&'static str> {
        (!self.is_foreign()).then_some(self.label())
    }

    /// Whether Agave does not have it.
    pub const fn is_foreign(self) -> bool {
        matches!(self, Self::Other | Self::Extension | Self::NamedAsRead)
    }
}

#[cfg(test)]
mod tests {
    use super::Method;

    #[test]
    fn every_method_is_found_by_its_name() {
        for method in Method::ALL {
            assert_eq!(Method::from_name(method.label()), method);
            assert_eq!(method.name(), Some(method.label()));
        }
    }

    #[test]
    fn names_are_exact_and_others_share_one_label() {
        for name in [
            "getslot",
            "getSlot ",
            "",
            "getConfirmedBlock",
            "getAsset",
            "other",
        ] {
            assert_eq!(Method::from_name(name), Method::Other, "{name}");
        }
        assert_eq!(Method::Other.label(), "other");
        assert_eq!(Method::Other.name(), None);
    }
}
