//! Errors between ingest and Kafka, classified by what fixes them.

use std::fmt;

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use strum::{IntoStaticStr, VariantNames};

/// An error with its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceError {
    pub kind: SourceErrorKind,
    /// What Kafka's client says.
    pub message: String,
}

/// What has to be fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum SourceErrorKind {
    /// Settings that Kafka's client refuses, including files it cannot read.
    Settings,
    /// An unknown host name.
    Name,
    /// No connection, or one that breaks.
    Unreachable,
    /// No answer in time.
    Timeout,
    /// The cluster is choosing who leads a partition or coordinates the group.
    Election,
    /// TLS: certificates, or no TLS at all on the other side.
    Tls,
    /// The broker requires a client certificate, or refuses this one.
    Certificate,
    /// The connection broke during the TLS handshake: mostly the other side has no TLS, but brokers
    /// that are shutting down do that too.
    Handshake,
    /// User name or password.
    Login,
    /// The broker does not offer the mechanism.
    Mechanism,
    /// The broker's port supports no logins at all.
    NoLogin,
    /// The user may not do this.
    Forbidden,
    /// No such topic or partition.
    Topic,
    /// The requested records are gone.
    OutOfRange,
    /// The group: this member was too slow, or another one has its name.
    Group,
    /// Anything else.
    Other,
}

impl SourceErrorKind {
    /// Every label that there is.
    pub const LABELS: &'static [&'static str] = Self::VARIANTS;

    /// The label in metrics.
    pub fn label(self) -> &'static str {
        self.into()
    }

    /// Whether waiting is pointless: nothing changes unless somebody changes it.
    pub const fn is_final(self) -> bool {
        matches!(
            self,
            Self::Settings
                | Self::Tls
                | Self::Certificate
                | Self::Login
                | Self::Mechanism
                | Self::NoLogin
                | Self::Forbidden
                | Self::Topic
                | Self::OutOfRange
        )
    }

    /// Whether it lasts while brokers are connected: Kafka's client reports it only once.
    pub const fn is_lasting(self) -> bool {
        matches!(self, Self::Forbidden | Self::Topic)
    }

    /// How to fix it; None where the message says all there is.
    pub const fn hint(self) -> Option<&'static str> {
        Some(match self {
            Self::Settings => "check the `kafka` section of the configuration",
            Self::Name => "check kafka.brokers and name resolution",
            Self::Unreachable => {
                "check kafka.brokers, kafka.security and firewalls; the port differs with and without TLS \
                 (9093 and 9092 at Bitquery)"
            }
            Self::Timeout => "the broker is slow, or the network drops packets",
            Self::Election => "temporary, unless the cluster lacks brokers",
            Self::Tls => {
                "check kafka.tls: ca must have signed the broker's certificate; the port may not use TLS at all"
            }
            Self::Certificate => {
                "check kafka.tls.certificate and kafka.tls.key: the broker requires a client certificate signed by \
                 an authority that it trusts"
            }
            Self::Handshake => {
                "the port may not use TLS; check kafka.brokers and kafka.security (TLS is on port 9093 at Bitquery)"
            }
            Self::Login => {
                "check kafka.username and kafka.password; Bitquery's Kafka credentials are not those of its web site"
            }
            Self::Mechanism => "set kafka.mechanism to one that the broker offers",
            Self::NoLogin => {
                "this broker port does not use SASL: set kafka.security to plaintext or ssl, or use the SASL port in \
                 kafka.brokers"
            }
            Self::Forbidden => {
                "the account may not read this topic or join this group; at Bitquery the group name \
                 must start with the user name"
            }
            Self::Topic => "check `streams`; the account may also lack permission to see the topic",
            Self::OutOfRange => "see kafka.out_of_range",
            Self::Group => {
                "check kafka.assignment (must be the same in the whole group), kafka.group.member (must be unique \
                 per process) and kafka.max_poll_interval"
            }
            Self::Other => return None,
        })
    }
}

impl SourceError {
    pub fn new(kind: SourceErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// From what a call of Kafka's client gave back.
    pub fn of(error: &KafkaError) -> Self {
        let text = error.to_string();
        match error {
            KafkaError::ClientConfig(..) | KafkaError::ClientCreation(_) => {
                let kind = if text.contains("ssl.") {
                    SourceErrorKind::Tls
                } else {
                    SourceErrorKind::Settings
                };
                Self::new(kind, text)
            }
            error => match error.rdkafka_error_code() {
                Some(code) => Self::told(code, &code.to_string()),
                None => Self::new(SourceErrorKind::Other, text),
            },
        }
    }

    /// "Unreachable" says less than its cause, if that is known.
    pub(super) fn says_less_than(&self, known: &Self) -> bool {
        self.kind == SourceErrorKind::Unreachable
            && !matches!(
                known.kind,
                SourceErrorKind::Timeout | SourceErrorKind::Other
            )
    }

    /// From an error code and what was said with it.
    pub fn told(code: Code, reason: &str) -> Self {
        Self::new(kind(code, reason), reason)
    }
}

fn kind(code: Code, reason: &str) -> SourceErrorKind {
    match code {
        Code::Resolve => SourceErrorKind::Name,
        Code::SSL | Code::BrokerTransportFailure if refuses_certificate(reason) => {
            SourceErrorKind::Certificate
        }
        Code::SSL => SourceErrorKind::Tls,
        Code::Authentication | Code::SaslAuthenticationFailed if knows_no_login(reason) => {
            SourceErrorKind::NoLogin
        }
        Code::Authentication | Code::SaslAuthenticationFailed if is_mechanism(reason) => {
            SourceErrorKind::Mechanism
        }
        Code::UnsupportedSASLMechanism => SourceErrorKind::Mechanism,
        Code::Authentication | Code::SaslAuthenticationFailed => SourceErrorKind::Login,
        Code::BrokerTransportFailure if reason.contains("SSL handshake failed") => {
            SourceErrorKind::Handshake
        }
        Code::BrokerTransportFailure | Code::AllBrokersDown => SourceErrorKind::Unreachable,
        Code::OperationTimedOut | Code::RequestTimedOut | Code::TimedOutQueue => {
            SourceErrorKind::Timeout
        }
        Code::NotCoordinator
        | Code::CoordinatorNotAvailable
        | Code::CoordinatorLoadInProgress
        | Code::WaitingForCoordinator
        | Code::LeaderNotAvailable
        | Code::NotLeaderForPartition => SourceErrorKind::Election,
        Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed => SourceErrorKind::Forbidden,
        Code::UnknownTopic
        | Code::UnknownPartition
        | Code::UnknownTopicOrPartition
        | Code::InvalidTopic => SourceErrorKind::Topic,
        Code::AutoOffsetReset | Code::OffsetOutOfRange => SourceErrorKind::OutOfRange,
        Code::PollExceeded
        | Code::Fatal
        | Code::FencedInstanceId
        | Code::UnknownMemberId
        | Code::IllegalGeneration
        | Code::InconsistentGroupProtocol => SourceErrorKind::Group,
        _ => SourceErrorKind::Other,
    }
}

/// A listener without SASL answers the client's first step with this, and with no mechanisms.
fn knows_no_login(reason: &str) -> bool {
    reason.contains("Request not valid in current SASL state")
}

fn is_mechanism(reason: &str) -> bool {
    reason.contains("supported mechanisms") || reason.contains("Unsupported SASL mechanism")
}

/// TLS' alerts about certificates. Since TLS 1.3 they come after the handshake, when the connection
/// counts as open.
fn refuses_certificate(reason: &str) -> bool {
    let alert = reason.split_once("SSL alert number ").map(|(_, rest)| {
        let digits = rest.split(|letter: char| !letter.is_ascii_digit());
        digits.take(1).collect::<String>()
    });
    let about_certificates = ["42", "43", "44", "45", "46", "48", "116"];
    alert.is_some_and(|alert| about_certificates.contains(&alert.as_str()))
}

impl fmt::Display for SourceError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for SourceError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runbook_tells_what_to_do_about_each() {
        let page = include_str!("../../../docs/operations/kafka-login.md");
        for kind in [
            SourceErrorKind::Settings,
            SourceErrorKind::Name,
            SourceErrorKind::Unreachable,
            SourceErrorKind::Timeout,
            SourceErrorKind::Election,
            SourceErrorKind::Tls,
            SourceErrorKind::Certificate,
            SourceErrorKind::Handshake,
            SourceErrorKind::Login,
            SourceErrorKind::Mechanism,
            SourceErrorKind::NoLogin,
            SourceErrorKind::Forbidden,
            SourceErrorKind::Topic,
            SourceErrorKind::OutOfRange,
            SourceErrorKind::Group,
            SourceErrorKind::Other,
        ] {
            let label = kind.label();
            assert!(page.contains(&format!("| `{label}` |")), "{label}");
        }
    }

    #[test]
    fn what_the_client_says_tells_apart_what_its_codes_do_not() {
        for (code, reason, kind) in [
            (
                Code::BrokerTransportFailure,
                "Receive failed: error:0A000412:SSL routines::sslv3 alert bad certificate: SSL \
                 alert number 42 (after 23ms in state APIVERSION_QUERY)",
                SourceErrorKind::Certificate,
            ),
            (
                Code::SSL,
                "tlsv13 alert certificate required: SSL alert number 116",
                SourceErrorKind::Certificate,
            ),
            (
                Code::SSL,
                "tlsv1 alert protocol version: SSL alert number 70",
                SourceErrorKind::Tls,
            ),
            (
                Code::BrokerTransportFailure,
                "SSL handshake failed: Disconnected: connecting to a PLAINTEXT broker listener?",
                SourceErrorKind::Handshake,
            ),
            (
                Code::BrokerTransportFailure,
                "Connect to ipv4#127.0.0.1:9092 failed: Connection refused",
                SourceErrorKind::Unreachable,
            ),
            (
                Code::Authentication,
                "SASL PLAIN mechanism handshake failed: broker's supported mechanisms: SCRAM-SHA-512",
                SourceErrorKind::Mechanism,
            ),
            (
                Code::Authentication,
                "SASL SCRAM-SHA-512 mechanism handshake failed: Broker: Request not valid in current SASL \
                 state: broker's supported mechanisms: ",
                SourceErrorKind::NoLogin,
            ),
            (
                Code::Authentication,
                "SASL authentication error: Authentication failed",
                SourceErrorKind::Login,
            ),
        ] {
            assert_eq!(SourceError::told(code, reason).kind, kind, "{reason}");
        }
    }
}
