//! What a fault says: of the connection, of the answer, of whoever is to blame.

use super::FaultKind;

impl FaultKind {
    /// Whether a time limit ended the attempt.
    pub const fn is_timeout(self) -> bool {
        matches!(
            self,
            Self::ConnectTimeout
                | Self::WriteTimeout
                | Self::FirstByteTimeout
                | Self::Stalled
                | Self::TotalTimeout
        )
    }

    /// Whether the handshake of TLS failed, with what speaks TLS.
    const fn is_of_tls(self) -> bool {
        matches!(
            self,
            Self::Tls
                | Self::CertificateExpired
                | Self::CertificateNotYetValid
                | Self::CertificateHost
                | Self::CertificateAuthority
                | Self::CertificateSelfSigned
        )
    }

    /// Whether no connection could be made.
    pub const fn is_of_connecting(self) -> bool {
        matches!(
            self,
            Self::Dns
                | Self::ConnectRefused
                | Self::ConnectTimeout
                | Self::ConnectFailed
                | Self::NotTls
        ) || self.is_of_tls()
    }

    /// Whether the network to an upstream failed, or something in front of it, so that the same
    /// call may succeed a moment later.
    pub const fn is_transient(self) -> bool {
        self.is_timeout()
            || matches!(
                self,
                Self::ConnectRefused
                    | Self::ConnectFailed
                    | Self::WriteFailed
                    | Self::Reset
                    | Self::Truncated
                    | Self::ServerError
            )
    }

    /// Whether an answer came of which nothing can be made, or that the node itself had failed: the
    /// next one may be good.
    pub const fn is_broken_answer(self) -> bool {
        matches!(
            self,
            Self::BadHttp | Self::BadJson | Self::WrongId | Self::BadResult | Self::InternalError
        )
    }

    /// Whether a request that was sent and ended like this may have been carried out all the same. One
    /// reported as without a connection may have been sent over an earlier one that broke.
    pub const fn leaves_in_doubt(self) -> bool {
        matches!(
            self,
            Self::Saturated
                | Self::NoTime
                | Self::NoDescriptors
                | Self::Dns
                | Self::ConnectRefused
                | Self::ConnectTimeout
                | Self::ConnectFailed
                | Self::NotTls
                | Self::SpeaksTls
                | Self::WriteFailed
                | Self::WriteTimeout
                | Self::FirstByteTimeout
                | Self::TotalTimeout
                | Self::Reset
                | Self::Truncated
                | Self::BadHttp
                | Self::BadJson
                | Self::WrongId
                | Self::BadResult
                | Self::Stalled
                | Self::TooLarge
                | Self::UnexpectedAnswer
                | Self::ServerError
        ) || self.is_of_tls()
    }

    /// Whether it concerns only the upstream or its provider, whatever the call was.
    pub(in crate::solana) const fn is_the_upstreams_own(self) -> bool {
        matches!(
            self,
            Self::ServerError
                | Self::UnexpectedStatus
                | Self::RateLimited
                | Self::CreditsExhausted
                | Self::Unauthorized
                | Self::Forbidden
                | Self::Challenge
                | Self::MethodDisabled
                | Self::PolicyRefused
                | Self::BodyTooLarge
                | Self::NodeBehind
                | Self::NodeUnhealthy
        )
    }

    /// Whether a reply of this kind shows that the upstream did nothing with the call, so that even
    /// a write may be sent to another. A broken connection, a gateway's 5xx or an internal error
    /// leave that open.
    pub const fn is_refusal(self) -> bool {
        matches!(
            self,
            Self::RateLimited
                | Self::CreditsExhausted
                | Self::Unauthorized
                | Self::Forbidden
                | Self::Challenge
                | Self::MethodDisabled
                | Self::PolicyRefused
                | Self::BodyTooLarge
                | Self::NoFaucet
                | Self::MethodNotFound
                | Self::BlockhashNotFound
                | Self::NodeBehind
                | Self::NodeUnhealthy
                | Self::MinContextSlot
        )
    }
}
