//! Why a TLS handshake failed, by the text of the TLS library's error, of which Pingora keeps nothing
//! else.

use rustls::{Error, InvalidMessage};

use crate::solana::FaultKind;

/// What the library says of a certificate, and what that means.
const OF_CERTIFICATES: [(&str, FaultKind); 9] = [
    ("certificate expired:", FaultKind::CertificateExpired),
    ("certificate: Expired", FaultKind::CertificateExpired),
    (
        "certificate not valid yet:",
        FaultKind::CertificateNotYetValid,
    ),
    (
        "certificate: NotValidYet",
        FaultKind::CertificateNotYetValid,
    ),
    ("certificate not valid for name", FaultKind::CertificateHost),
    ("certificate: NotValidForName", FaultKind::CertificateHost),
    ("UnknownIssuer", FaultKind::CertificateAuthority),
    ("BadSignature", FaultKind::CertificateAuthority),
    ("CaUsedAsEndEntity", FaultKind::CertificateSelfSigned),
];

/// The fault that an error of a handshake means.
pub(super) fn of(text: &str) -> FaultKind {
    let no_tls = Error::InvalidMessage(InvalidMessage::InvalidContentType).to_string();
    if text.contains(&no_tls) {
        return FaultKind::NotTls;
    }
    let said = OF_CERTIFICATES
        .iter()
        .find(|(words, _)| text.contains(words));
    said.map_or(FaultKind::Tls, |(_, kind)| *kind)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustls::CertificateError as C;
    use rustls::pki_types::{ServerName, UnixTime};

    use super::*;

    #[test]
    fn what_is_wrong_with_a_certificate_is_told_apart() {
        let time = UnixTime::since_unix_epoch(Duration::from_secs(9));
        let expected = ServerName::try_from("node.example").unwrap();
        let presented = vec!["DnsName(\"other.example\")".to_owned()];
        for (error, kind) in [
            (C::Expired, FaultKind::CertificateExpired),
            (
                C::ExpiredContext {
                    time,
                    not_after: time,
                },
                FaultKind::CertificateExpired,
            ),
            (C::NotValidYet, FaultKind::CertificateNotYetValid),
            (
                C::NotValidYetContext {
                    time,
                    not_before: time,
                },
                FaultKind::CertificateNotYetValid,
            ),
            (C::NotValidForName, FaultKind::CertificateHost),
            (
                C::NotValidForNameContext {
                    expected,
                    presented,
                },
                FaultKind::CertificateHost,
            ),
            (C::UnknownIssuer, FaultKind::CertificateAuthority),
            (C::BadEncoding, FaultKind::Tls),
        ] {
            let text = Error::InvalidCertificate(error).to_string();
            let text = format!("TLSHandshakeFailure context: TLS connect() failed: {text}");
            assert_eq!(of(&text), kind, "{text}");
        }
        let own = "invalid peer certificate: Other(OtherError(CaUsedAsEndEntity)), SNI: localhost";
        assert_eq!(of(own), FaultKind::CertificateSelfSigned);
        assert_eq!(of("received fatal alert: HandshakeFailure"), FaultKind::Tls);
    }
}
