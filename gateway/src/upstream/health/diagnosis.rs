//! What is wrong with an upstream, as text for people: what it did, with which HTTP status, and
//! what probably helps. Pure.

use std::fmt;

use crate::solana::FaultKind;

/// HTTP 508, Loop Detected: the gateway's answer to its own calls.
const LOOP: u16 = 508;

/// What an upstream did instead of answering.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::upstream) struct Diagnosis {
    /// The method, and its result.
    text: String,
    kind: Option<FaultKind>,
    status: Option<u16>,
    /// The gateway's own budget is the reason.
    unpaid: bool,
}

impl Diagnosis {
    /// A fault of the connection, or an answer of this HTTP status.
    pub(in crate::upstream) fn of(kind: FaultKind, status: Option<u16>) -> Self {
        let text = match status {
            Some(status) => format!("{} (HTTP {status})", kind.label()),
            None => kind.label().to_owned(),
        };
        Self {
            text,
            kind: Some(kind),
            status,
            unpaid: false,
        }
    }

    /// The upstream's budget pays for no probe.
    pub(in crate::upstream) fn unpaid() -> Self {
        Self {
            text: "its `budget` has paid for no probe yet".to_owned(),
            kind: None,
            status: None,
            unpaid: true,
        }
    }

    /// Whether it is the same trouble, of whichever call.
    pub(in crate::upstream) fn is_like(&self, other: &Self) -> bool {
        (self.kind, self.unpaid) == (other.kind, other.unpaid)
    }

    /// The same, of a call of this method.
    #[must_use]
    pub(in crate::upstream) fn on(mut self, method: &str) -> Self {
        self.text.insert_str(0, ": ");
        self.text.insert_str(0, method);
        self
    }

    /// The same, with the system's error.
    #[must_use]
    pub(in crate::upstream) fn because(mut self, reason: &dyn fmt::Display) -> Self {
        self.text = format!("{}: {reason}", self.text);
        self
    }

    /// The HTTP status of the answer, if there was one.
    pub(in crate::upstream) fn status(&self) -> Option<u16> {
        self.status
    }

    /// In a few characters: the HTTP status if it is not 200, else the fault's label.
    pub(in crate::upstream) fn short(&self) -> Option<String> {
        match (self.status, self.kind) {
            _ if self.unpaid => Some("budget spent".to_owned()),
            (Some(status), _) if status != 200 => Some(format!("HTTP {status}")),
            (_, kind) => Some(kind?.label().to_owned()),
        }
    }

    /// What probably helps.
    pub(in crate::upstream) fn cure(&self) -> &'static str {
        match self.status {
            _ if self.unpaid => RAISE_BUDGET,
            Some(300..400) => "it redirects: write the URL that it redirects to, https:// included",
            Some(LOOP) => "its URL points back at this gateway: use the node's own address",
            _ => self.kind.map_or(OWN_LOG, cure),
        }
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<&str> for Diagnosis {
    fn from(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            kind: None,
            status: None,
            unpaid: false,
        }
    }
}

/// The cure if the gateway itself holds back.
pub(in crate::upstream) const RAISE_BUDGET: &str = "raise its `budget`, or add an upstream";

const OWN_LOG: &str = "check the upstream's own log";

/// What probably helps against a fault.
pub(crate) const fn cure(kind: FaultKind) -> &'static str {
    use FaultKind as F;
    match kind {
        F::Unauthorized => "is the key valid?",
        F::Forbidden => {
            "is the key valid? Does the provider admit the gateway's address and country?"
        }
        F::CreditsExhausted => "buy credits, or add an upstream",
        F::RateLimited => "raise the provider's limit, or add an upstream",
        F::UnexpectedStatus => "is its URL right, path and key included?",
        F::MethodDisabled | F::PolicyRefused | F::MethodNotFound => {
            "list the method under `deny`, or change to a plan that includes it"
        }
        F::Challenge => "have the provider let the gateway's address through its bot protection",
        F::Dns => "is its host name right, and does the gateway's DNS server answer?",
        F::ConnectRefused => "is it running, and is its port right?",
        F::ConnectTimeout | F::ConnectFailed => {
            "is it running, and do all firewalls let the gateway through?"
        }
        F::CertificateExpired => "renew its certificate; is the gateway's clock right?",
        F::CertificateNotYetValid => "is the gateway's clock right? else it is the certificate",
        F::CertificateHost => {
            "is its host name right? `tls.sni` may name one that the certificate has"
        }
        F::CertificateAuthority => "name the authority that signed its certificate in `tls.ca`",
        F::CertificateSelfSigned => {
            "its certificate is an authority's own: issue it one that is no authority (CA:FALSE)"
        }
        F::Tls => {
            "does its certificate match the `tls` settings, and does its port speak TLS at all?"
        }
        F::NotTls => "its port does not speak TLS: write http:// in its URL, or the port that does",
        F::SpeaksTls => "its port speaks TLS: write https:// in its URL, or the port that does not",
        F::NoDescriptors => "raise the gateway's limit of open files (`ulimit -n`)",
        F::Saturated => "raise its connections_ceiling, let it offer HTTP/2, or add an upstream",
        F::FirstByteTimeout | F::Stalled | F::TotalTimeout | F::WriteTimeout | F::NoTime => {
            "is it, or the network to it, overloaded?"
        }
        F::BadHttp | F::BadJson | F::WrongId | F::BadResult | F::Truncated | F::TooLarge => {
            "what is in front of the node, and is its URL that of an RPC port?"
        }
        F::BehindTip => "is a replica behind its name, or a cache in front of it, late?",
        F::WrongCluster => "correct its URL, or `cluster.genesis`",
        _ => OWN_LOG,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_names_method_fault_and_status() {
        let refused = Diagnosis::of(FaultKind::Forbidden, Some(403)).on("getSlot");
        assert_eq!(refused.to_string(), "getSlot: forbidden (HTTP 403)");
        assert_eq!(refused.short().as_deref(), Some("HTTP 403"));
        assert!(refused.cure().contains("key"));
        let dead = Diagnosis::of(FaultKind::ConnectRefused, None).on("getSlot");
        assert_eq!(dead.to_string(), "getSlot: connect-refused");
        assert_eq!(dead.short().as_deref(), Some("connect-refused"));
        let circle = Diagnosis::of(FaultKind::ServerError, Some(508)).on("getSlot");
        assert!(circle.cure().contains("back at this gateway"));
        let clear = Diagnosis::of(FaultKind::NotTls, None).on("getSlot");
        assert!(clear.cure().contains("does not speak TLS"));
        let moved = Diagnosis::of(FaultKind::UnexpectedStatus, Some(308)).on("getSlot");
        assert!(moved.cure().contains("redirects"));
        let barred = Diagnosis::of(FaultKind::Forbidden, Some(403)).on("getSlot");
        assert!(barred.cure().contains("address"));
        let odd = Diagnosis::of(FaultKind::BadJson, Some(200));
        assert_eq!(odd.short().as_deref(), Some("bad-json"));
    }
}
