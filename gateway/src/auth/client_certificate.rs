//! The certificate that a client has shown, by its names. Its authority has been checked in the
//! handshake.

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

/// Longer subjects are cut, in characters.
const LONGEST_SUBJECT: usize = 200;
/// Names of one certificate that are looked at.
const MOST_NAMES: usize = 64;

/// Who a client is by its certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    subject: Box<str>,
    names: Box<[Box<str>]>,
}

impl ClientCertificate {
    /// From its DER form; `None` if that is not a certificate.
    pub fn read(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let subject = certificate.subject();
        let common = subject.iter_common_name();
        let common = common.filter_map(|name| Some(format!("CN={}", name.as_str().ok()?)));
        let alternative = certificate.subject_alternative_name().ok().flatten();
        let alternative = alternative
            .iter()
            .flat_map(|names| &names.value.general_names);
        let alternative = alternative.filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(format!("DNS:{}", name.to_ascii_lowercase())),
            GeneralName::URI(name) => Some(format!("URI:{name}")),
            GeneralName::RFC822Name(name) => Some(format!("EMAIL:{name}")),
            _ => None,
        });
        let names = common.chain(alternative).take(MOST_NAMES);
        let names = names.map(String::into_boxed_str).collect();
        let plain = |character: char| {
            if character.is_control() {
                char::REPLACEMENT_CHARACTER
            } else {
                character
            }
        };
        let text = subject.to_string();
        let text = text.chars().take(LONGEST_SUBJECT).map(plain);
        Some(Self {
            subject: text.collect::<String>().into(),
            names,
        })
    }

    /// The subject, as text for people.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Its names, each with its kind: `CN=`, `DNS:`, `URI:`, `EMAIL:`.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    #[cfg(test)]
    pub(crate) fn named(subject: &str, names: &[&str]) -> Self {
        Self {
            subject: subject.into(),
            names: names.iter().map(|name| Box::from(*name)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use perijove_tests::tls::Authority;

    use super::*;

    #[test]
    fn names_have_their_kind() {
        let names = [
            "Bot.Example",
            "URI:spiffe://example/bot",
            "EMAIL:bot@example.com",
        ];
        let bot = Authority::new("authority").issue("bot-1", &names);
        let read = ClientCertificate::read(&bot.der()).unwrap();
        assert_eq!(read.subject(), "CN=bot-1");
        let names: Vec<&str> = read.names().collect();
        assert_eq!(
            names,
            [
                "CN=bot-1",
                "DNS:bot.example",
                "URI:spiffe://example/bot",
                "EMAIL:bot@example.com"
            ]
        );
    }

    #[test]
    fn a_long_or_odd_subject_is_made_fit_for_a_log_line() {
        let odd = Authority::new("authority").issue(&format!("a\nb{}", "x".repeat(500)), &[]);
        let read = ClientCertificate::read(&odd.der()).unwrap();
        assert_eq!(read.subject().chars().count(), LONGEST_SUBJECT);
        assert!(!read.subject().contains('\n'), "{:?}", read.subject());
        assert_eq!(ClientCertificate::read(b"no certificate"), None);
    }
}
