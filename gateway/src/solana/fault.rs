//! Every way in which an attempt can fail, each with one name and metric label; what follows from a
//! fault is [`super::Verdict`].

use crate::jsonrpc::MalformedKind;

mod traits;

/// Whose fault it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The call cannot succeed anywhere.
    Client,
    /// The upstream, its provider or the network to it.
    Upstream,
    /// Nobody's: the state of the cluster.
    Cluster,
}

impl Blame {
    /// The value of a metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Upstream => "upstream",
            Self::Cluster => "cluster",
        }
    }
}

macro_rules! faults {
    ($($(#[$doc:meta])* $variant:ident = $label:literal,)*) => {
        /// What went wrong with an attempt.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum FaultKind {
            $($(#[$doc])* $variant,)*
        }

        impl FaultKind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The value of a metric label.
            pub const fn label(self) -> &'static str {
                match self {
                    $(Self::$variant => $label,)*
                }
            }
        }
    };
}

faults! {
    // The connection.
    /// The caller's time was over before there was a connection, and earlier than the connect
    /// timeout.
    NoTime = "no-time",
    /// All connections that may be opened to the upstream stayed in use.
    Saturated = "saturated",
    /// The gateway has no file descriptor left for a connection.
    NoDescriptors = "no-descriptors",
    /// The name could not be resolved.
    Dns = "dns",
    /// Connection refused.
    ConnectRefused = "connect-refused",
    /// No connection within the limit.
    ConnectTimeout = "connect-timeout",
    /// No connection for another reason.
    ConnectFailed = "connect-failed",
    /// The TLS handshake failed.
    Tls = "tls",
    /// Its certificate has expired, by the gateway's clock.
    CertificateExpired = "certificate-expired",
    /// Its certificate is not valid yet, by the gateway's clock.
    CertificateNotYetValid = "certificate-not-yet-valid",
    /// Its certificate is that of another host.
    CertificateHost = "certificate-host",
    /// Its certificate is signed by nobody who is trusted.
    CertificateAuthority = "certificate-authority",
    /// Its certificate is that of an authority itself.
    CertificateSelfSigned = "certificate-self-signed",
    /// Something else than TLS came in the handshake.
    NotTls = "not-tls",
    /// TLS came where HTTP in cleartext was expected.
    SpeaksTls = "speaks-tls",
    /// The request could not be written.
    WriteFailed = "write-failed",
    /// The request could not be written within the limit.
    WriteTimeout = "write-timeout",
    /// No byte of the answer within the limit.
    FirstByteTimeout = "first-byte-timeout",
    /// The answer had begun, but made too little progress.
    Stalled = "stalled",
    /// The answer was not complete within the limit.
    TotalTimeout = "total-timeout",
    /// The connection broke before the answer was complete.
    Reset = "reset",
    /// The answer ended before its announced length.
    Truncated = "truncated",
    /// Not HTTP.
    BadHttp = "bad-http",
    /// HTTP, but neither JSON-RPC nor anything else known.
    BadJson = "bad-json",
    /// The answer to another request, or a result without an id.
    WrongId = "wrong-id",
    /// A result that the method cannot have, such as `null` for a balance.
    BadResult = "bad-result",
    /// The answer is larger than allowed.
    TooLarge = "too-large",

    // HTTP and providers.
    /// A status of 500 or above.
    ServerError = "server-error",
    /// A status that a JSON-RPC server does not give to a well-formed call.
    UnexpectedStatus = "unexpected-status",
    /// Too many requests, in whatever wording.
    RateLimited = "rate-limited",
    /// The provider's credits are used up.
    CreditsExhausted = "credits-exhausted",
    /// The key is missing or wrong.
    Unauthorized = "unauthorized",
    /// The key does not allow this.
    Forbidden = "forbidden",
    /// A browser challenge in front of the upstream.
    Challenge = "challenge",
    /// The provider has switched this method off.
    MethodDisabled = "method-disabled",
    /// The provider serves this only with another plan.
    PolicyRefused = "policy-refused",
    /// The request is larger than this upstream accepts.
    BodyTooLarge = "body-too-large",

    /// A good answer, but older than what its client was shown before.
    BehindSession = "behind-session",
    /// A good answer, but from further behind the tip than an upstream may be.
    BehindTip = "behind-tip",
    /// A good answer, but its upstream has reported an inexplicable slot, and is being asked which
    /// cluster it belongs to.
    SlotInDoubt = "slot-in-doubt",
    /// An answer of an upstream that was found to belong to another cluster meanwhile.
    WrongCluster = "wrong-cluster",

    // Jupiter's API.
    /// Not the kind of answer that this part of the API has.
    UnexpectedAnswer = "unexpected-answer",
    /// A quote or an order for another question.
    WrongQuote = "wrong-quote",
    /// The upstream finds no route.
    NoRoute = "no-route",

    // JSON-RPC.
    /// -32700
    ParseError = "parse-error",
    /// -32600
    InvalidRequest = "invalid-request",
    /// -32600 to requestAirdrop.
    NoFaucet = "no-faucet",
    /// -32601
    MethodNotFound = "method-not-found",
    /// -32602
    InvalidParams = "invalid-params",
    /// -32603
    InternalError = "internal-error",
    /// A code that Agave does not have.
    UnknownError = "unknown-error",

    // Agave's own codes.
    /// -32001
    BlockCleanedUp = "block-cleaned-up",
    /// -32002
    SimulationFailed = "simulation-failed",
    /// -32002 with `BlockhashNotFound`: the node may just be behind.
    BlockhashNotFound = "blockhash-not-found",
    /// -32002 with `AlreadyProcessed`: the transaction has landed.
    AlreadyProcessed = "already-processed",
    /// -32003
    SignatureVerification = "signature-verification",
    /// -32004
    BlockNotAvailable = "block-not-available",
    /// -32005 with a number of slots.
    NodeBehind = "node-behind",
    /// -32005 without one.
    NodeUnhealthy = "node-unhealthy",
    /// -32006
    PrecompileVerification = "precompile-verification",
    /// -32007
    SlotSkipped = "slot-skipped",
    /// -32008
    NoSnapshot = "no-snapshot",
    /// -32009
    LongTermSlotSkipped = "long-term-slot-skipped",
    /// -32010
    KeyExcluded = "key-excluded",
    /// -32011
    NoHistory = "no-history",
    /// -32012
    ScanError = "scan-error",
    /// -32013
    SignatureLength = "signature-length",
    /// -32014
    BlockStatusUnavailable = "block-status-unavailable",
    /// -32015
    UnsupportedVersion = "unsupported-version",
    /// -32016
    MinContextSlot = "min-context-slot",
    /// -32017
    EpochRewardsActive = "epoch-rewards-active",
    /// -32018
    NotEpochBoundary = "not-epoch-boundary",
    /// -32019
    LongTermUnreachable = "long-term-unreachable",
    /// -32020
    FilterTransactionNotFound = "filter-transaction-not-found",
    /// -32021
    NoSlotHistory = "no-slot-history",
    /// -32022
    NotInLeaderSchedule = "not-in-leader-schedule",
}

impl From<MalformedKind> for FaultKind {
    fn from(kind: MalformedKind) -> Self {
        match kind {
            MalformedKind::WrongId => Self::WrongId,
            MalformedKind::Empty | MalformedKind::NotJson | MalformedKind::NotAnAnswer => {
                Self::BadJson
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::FaultKind;
    use std::collections::BTreeSet;

    #[test]
    fn labels_are_unique_and_in_kebab_case() {
        let labels: BTreeSet<_> = FaultKind::ALL.iter().map(|kind| kind.label()).collect();
        assert_eq!(labels.len(), FaultKind::ALL.len());
        for label in labels {
            assert!(
                label
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'-'),
                "{label}"
            );
        }
    }
}
