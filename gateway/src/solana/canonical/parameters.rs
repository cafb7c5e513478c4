//! The parameters of each method: how many, and the members of their configurations with their
//! defaults.
//!
//! Sources: the method signatures, `rpc_config` types and `unwrap_or`s of Agave 4.5's RPC service.
//! A missing member or default costs a cache hit, a wrong one gives a caller an answer to another
//! question: so nothing is listed here that was not read there. Only members that are known may be
//! dropped when they are `null`: where a node takes an enum beside a struct, as in
//! `getTransaction`, it reads `{"base64":null}` as the encoding.

use crate::solana::Method;

/// A member of a configuration.
#[derive(Clone, Copy, Debug)]
pub(super) struct KnownMember {
    /// Its name.
    pub(super) name: &'static str,
    /// `null` counts as not given; otherwise the node refuses it.
    pub(super) null_is_absent: bool,
    /// Its value if it is not given.
    pub(super) default: DefaultValue,
}

/// A default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DefaultValue {
    /// None that could also be given.
    None,
    /// A string.
    Text(&'static str),
    /// A number, in its usual writing.
    Number(&'static str),
    /// A switch.
    Bool(bool),
    /// `[]`
    NoItems,
}

impl KnownMember {
    /// Whether this is its name.
    pub(super) fn is(&self, name: &[u8]) -> bool {
        self.name.as_bytes() == name
    }

    /// Whether a value, as [`super::Spelling`] writes it, is the default.
    pub(super) fn is_default(&self, spelled: &[u8]) -> bool {
        match self.default {
            DefaultValue::None => false,
            // Every default is shorter than what one byte of length can express.
            DefaultValue::Text(text) => matches!(
                spelled,
                [b'"', length, rest @ ..] if usize::from(*length) == text.len() && rest == text.as_bytes()
            ),
            DefaultValue::Number(text) => spelled.strip_suffix(b",") == Some(text.as_bytes()),
            DefaultValue::Bool(value) => spelled == if value { b"t" } else { b"f" },
            DefaultValue::NoItems => spelled == b"[]",
        }
    }
}

/// `Option<T>`: may be `null`.
const fn optional(name: &'static str) -> KnownMember {
    or(name, DefaultValue::None)
}

/// `Option<T>` with a default.
const fn or(name: &'static str, default: DefaultValue) -> KnownMember {
    KnownMember {
        name,
        null_is_absent: true,
        default,
    }
}

/// `#[serde(default)] bool`: may be absent, but not `null`.
const fn switch(name: &'static str) -> KnownMember {
    KnownMember {
        name,
        null_is_absent: false,
        default: DefaultValue::Bool(false),
    }
}

/// `RpcAccountInfoConfig` of all methods but `getMultipleAccounts`: `binary` is base58 as a bare
/// string, which only these still return by default.
const ACCOUNT: &[KnownMember] = &[
    or("encoding", DefaultValue::Text("binary")),
    optional("dataSlice"),
];

/// The members of a method's configuration, without `commitment` and `minContextSlot`.
#[allow(clippy::too_many_lines, reason = "a table: one row per method")]
pub(super) const fn members(method: Method) -> &'static [KnownMember] {
    match method {
        Method::GetAccountInfo
        | Method::GetTokenAccountsByOwner
        | Method::GetTokenAccountsByDelegate => ACCOUNT,
        Method::GetMultipleAccounts => {
            const {
                &[
                    or("encoding", DefaultValue::Text("base64")),
                    optional("dataSlice"),
                ]
            }
        }
        Method::GetProgramAccounts => {
            const {
                &[
                    or("encoding", DefaultValue::Text("binary")),
                    optional("dataSlice"),
                    or("filters", DefaultValue::NoItems),
                    or("withContext", DefaultValue::Bool(false)),
                    or("sortResults", DefaultValue::Bool(true)),
                ]
            }
        }
        Method::GetTransaction => {
            const {
                &[
                    or("encoding", DefaultValue::Text("json")),
                    optional("maxSupportedTransactionVersion"),
                ]
            }
        }
        Method::GetBlock => {
            const {
                &[
                    or("encoding", DefaultValue::Text("json")),
                    or("transactionDetails", DefaultValue::Text("full")),
                    or("rewards", DefaultValue::Bool(true)),
                    optional("maxSupportedTransactionVersion"),
                ]
            }
        }
        Method::GetSignaturesForAddress => {
            const {
                &[
                    optional("before"),
                    optional("until"),
                    or("limit", DefaultValue::Number("1000")),
                ]
            }
        }
        Method::GetSignatureStatuses => const { &[switch("searchTransactionHistory")] },
        Method::GetInflationReward => const { &[optional("epoch")] },
        Method::GetLeaderSchedule => {
            const {
                &[
                    optional("identity"),
                    or("keyByVoteAccount", DefaultValue::Bool(false)),
                ]
            }
        }
        Method::GetBlockProduction => const { &[optional("identity"), optional("range")] },
        Method::GetVoteAccounts => {
            const {
                &[
                    optional("votePubkey"),
                    or("keepUnstakedDelinquents", DefaultValue::Bool(false)),
                    or("delinquentSlotDistance", DefaultValue::Number("128")),
                ]
            }
        }
        Method::GetLargestAccounts => const { &[optional("filter"), optional("sortResults")] },
        Method::GetSupply => const { &[switch("excludeNonCirculatingAccountsList")] },
        Method::GetRankMap => const { &[optional("identity")] },
        Method::SimulateTransaction => {
            const {
                &[
                    or("encoding", DefaultValue::Text("base58")),
                    switch("sigVerify"),
                    switch("replaceRecentBlockhash"),
                    switch("innerInstructions"),
                    or(
                        "innerInstructionsEncoding",
                        DefaultValue::Text("jsonParsed"),
                    ),
                    optional("accounts"),
                ]
            }
        }
        _ => &[],
    }
}

/// The most parameters a method accepts. With more, Agave refuses the call.
pub(super) fn positions(method: Method) -> usize {
    match (method, method.profile().config_index) {
        (_, Some(config)) => config + 1,
        (Method::GetSlotLeaders, _) => 2,
        (
            Method::GetBlockCommitment
            | Method::GetBlockTime
            | Method::GetRecentPerformanceSamples
            | Method::GetRecentPrioritizationFees,
            _,
        ) => 1,
        _ => 0,
    }
}
