//! What goes wrong between us and Kafka, told apart by what mends it.

use std::fmt;

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

/// An error with what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub kind: FaultKind,
    /// What Kafka's client says.
    pub message: String,
}

/// What has to be mended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FaultKind {
    /// Settings that Kafka's client refuses, files it cannot read among them.
    Settings,
    /// A host name that is not known.
    Name,
    /// No connection, or one that breaks.
    Unreachable,
    /// No answer in time.
    Timeout,
    /// The cluster is choosing who leads a partition or coordinates the group.
    Election,
    /// TLS: certificates, or no TLS at all on the other side.
    Tls,
    /// The broker wants a certificate of ours, or not this one.
    Certificate,
    /// The connection broke while TLS was being agreed on: mostly there is none on the other side,
    /// but brokers that are about to end do that too.
    Handshake,
    /// User name or password.
    Login,
    /// The broker does not offer the mechanism.
    Mechanism,
    /// The broker's port knows no logins at all.
    NoLogin,
    /// The user may not do this.
    Forbidden,
    /// No such topic or partition.
    Topic,
    /// What is to be read is not there any more.
    OutOfRange,
    /// The group: we were slow, or somebody bears our name.
    Group,
    /// Anything else.
    Other,
}

impl FaultKind {
    /// Every kind.
    pub const ALL: [Self; 16] = [
        Self::Settings,
        Self::Name,
        Self::Unreachable,
        Self::Timeout,
        Self::Election,
        Self::Tls,
        Self::Certificate,
        Self::Handshake,
        Self::Login,
        Self::Mechanism,
        Self::NoLogin,
        Self::Forbidden,
        Self::Topic,
        Self::OutOfRange,
        Self::Group,
        Self::Other,
    ];

    /// The label in metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Name => "name",
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Election => "election",
            Self::Tls => "tls",
            Self::Certificate => "certificate",
            Self::Handshake => "handshake",
            Self::Login => "login",
            Self::Mechanism => "mechanism",
            Self::NoLogin => "no_login",
            Self::Forbidden => "forbidden",
            Self::Topic => "topic",
            Self::OutOfRange => "out_of_range",
            Self::Group => "group",
            Self::Other => "other",
        }
    }

    /// Whether waiting is of no use: nothing changes unless somebody changes it.
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

    /// Whether it stays while brokers are connected: Kafka's client says it once and not again.
    pub const fn is_lasting(self) -> bool {
        matches!(self, Self::Forbidden | Self::Topic)
    }

    /// What mends it; None where the message says all there is.
    pub const fn hint(self) -> Option<&'static str> {
        Some(match self {
            Self::Settings => "see the section kafka of the configuration",
            Self::Name => "see kafka.brokers; is there a name server?",
            Self::Unreachable => {
                "see kafka.brokers and kafka.security; the port differs with and without TLS \
                 (9093 and 9092 at Bitquery); is a firewall between?"
            }
            Self::Timeout => "the broker is slow or something on the way drops packets",
            Self::Election => "it passes by itself, unless the cluster lacks brokers",
            Self::Tls => {
                "see kafka.tls: ca must have signed the broker's certificate; does this port speak \
                 TLS at all?"
            }
            Self::Certificate => {
                "see kafka.tls.certificate and kafka.tls.key: the broker wants one that an authority \
                 it trusts has signed"
            }
            Self::Handshake => {
                "does this port speak TLS at all? see kafka.brokers and kafka.security (TLS is on \
                 port 9093 at Bitquery)"
            }
            Self::Login => {
                "see kafka.username and kafka.password; Bitquery's are for Kafka only, and not \
                 those of its web site"
            }
            Self::Mechanism => "set kafka.mechanism to one that the broker offers",
            Self::NoLogin => {
                "this port of the broker takes no logins: set kafka.security to plaintext or ssl, or name the \
                 port for logins in kafka.brokers"
            }
            Self::Forbidden => {
                "the account may not read this topic or join this group; at Bitquery the group's \
                 name begins with the user name"
            }
            Self::Topic => "see streams; the account may also not be allowed to see the topic",
            Self::OutOfRange => "see kafka.out_of_range",
            Self::Group => {
                "see kafka.assignment, which must be the same in the whole group, \
                 kafka.group.member, which no other process may have, and kafka.max_poll_interval"
            }
            Self::Other => return None,
        })
    }
}

impl Fault {
    pub fn new(kind: FaultKind, message: impl Into<String>) -> Self {
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
                    FaultKind::Tls
                } else {
                    FaultKind::Settings
                };
                Self::new(kind, text)
            }
            error => match error.rdkafka_error_code() {
                Some(code) => Self::told(code, &code.to_string()),
                None => Self::new(FaultKind::Other, text),
            },
        }
    }

    /// That nobody can be reached says less than why, if that is known.
    pub(super) fn says_less_than(&self, known: &Self) -> bool {
        self.kind == FaultKind::Unreachable
            && !matches!(known.kind, FaultKind::Timeout | FaultKind::Other)
    }

    /// From an error code and what was said with it.
    pub fn told(code: Code, reason: &str) -> Self {
        Self::new(kind(code, reason), reason)
    }
}

fn kind(code: Code, reason: &str) -> FaultKind {
    match code {
        Code::Resolve => FaultKind::Name,
        Code::SSL | Code::BrokerTransportFailure if refuses_certificate(reason) => {
            FaultKind::Certificate
        }
        Code::SSL => FaultKind::Tls,
        Code::Authentication | Code::SaslAuthenticationFailed if knows_no_login(reason) => {
            FaultKind::NoLogin
        }
        Code::Authentication | Code::SaslAuthenticationFailed if is_mechanism(reason) => {
            FaultKind::Mechanism
        }
        Code::UnsupportedSASLMechanism => FaultKind::Mechanism,
        Code::Authentication | Code::SaslAuthenticationFailed => FaultKind::Login,
        Code::BrokerTransportFailure if reason.contains("SSL handshake failed") => {
            FaultKind::Handshake
        }
        Code::BrokerTransportFailure | Code::AllBrokersDown => FaultKind::Unreachable,
        Code::OperationTimedOut | Code::RequestTimedOut | Code::TimedOutQueue => FaultKind::Timeout,
        Code::NotCoordinator
        | Code::CoordinatorNotAvailable
        | Code::CoordinatorLoadInProgress
        | Code::WaitingForCoordinator
        | Code::LeaderNotAvailable
        | Code::NotLeaderForPartition => FaultKind::Election,
        Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed => FaultKind::Forbidden,
        Code::UnknownTopic
        | Code::UnknownPartition
        | Code::UnknownTopicOrPartition
        | Code::InvalidTopic => FaultKind::Topic,
        Code::AutoOffsetReset | Code::OffsetOutOfRange => FaultKind::OutOfRange,
        Code::PollExceeded
        | Code::Fatal
        | Code::FencedInstanceId
        | Code::UnknownMemberId
        | Code::IllegalGeneration
        | Code::InconsistentGroupProtocol => FaultKind::Group,
        _ => FaultKind::Other,
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

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runbook_tells_what_to_do_about_each() {
        let page = include_str!("../../../docs/operations/kafka-login.md");
        for kind in [
            FaultKind::Settings,
            FaultKind::Name,
            FaultKind::Unreachable,
            FaultKind::Timeout,
            FaultKind::Election,
            FaultKind::Tls,
            FaultKind::Certificate,
            FaultKind::Handshake,
            FaultKind::Login,
            FaultKind::Mechanism,
            FaultKind::NoLogin,
            FaultKind::Forbidden,
            FaultKind::Topic,
            FaultKind::OutOfRange,
            FaultKind::Group,
            FaultKind::Other,
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
                FaultKind::Certificate,
            ),
            (
                Code::SSL,
                "tlsv13 alert certificate required: SSL alert number 116",
                FaultKind::Certificate,
            ),
            (
                Code::SSL,
                "tlsv1 alert protocol version: SSL alert number 70",
                FaultKind::Tls,
            ),
            (
                Code::BrokerTransportFailure,
                "SSL handshake failed: Disconnected: connecting to a PLAINTEXT broker listener?",
                FaultKind::Handshake,
            ),
            (
                Code::BrokerTransportFailure,
                "Connect to ipv4#127.0.0.1:9092 failed: Connection refused",
                FaultKind::Unreachable,
            ),
            (
                Code::Authentication,
                "SASL PLAIN mechanism handshake failed: broker's supported mechanisms: SCRAM-SHA-512",
                FaultKind::Mechanism,
            ),
            (
                Code::Authentication,
                "SASL SCRAM-SHA-512 mechanism handshake failed: Broker: Request not valid in current SASL \
                 state: broker's supported mechanisms: ",
                FaultKind::NoLogin,
            ),
            (
                Code::Authentication,
                "SASL authentication error: Authentication failed",
                FaultKind::Login,
            ),
        ] {
            assert_eq!(Fault::told(code, reason).kind, kind, "{reason}");
        }
    }
}
