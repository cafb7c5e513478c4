//! The identity of a TLS listener: a certificate with its chain, and its key. Whether they are
//! usable is checked here, before anything is served and on each renewal.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use perijove_core::counted;
use perijove_core::settings::Section;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

/// How long before its expiry a certificate is warned about: with a lifetime of 90 days, renewals
/// are due at 30 and late at 14.
const SOON: Duration = Duration::from_hours(14 * 24);

/// A certificate with its chain and its key, which belong together.
#[derive(Clone, Debug)]
pub struct Identity {
    certified: Arc<CertifiedKey>,
    /// Validity of the certificate, then of its chain. Never empty.
    dates: Vec<Dates>,
}

/// From when until when a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dates {
    pub from: SystemTime,
    pub until: SystemTime,
}

/// Why a certificate and its key cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityFault {
    /// `certificate` or `key`.
    pub key: &'static str,
    pub message: String,
}

impl Identity {
    /// From two PEM texts. The names of the files are only used in messages.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn parse(
        (certificate_file, certificate): (&Path, &str),
        (key_file, key): (&Path, &str),
    ) -> Result<Self, Vec<IdentityFault>> {
        let chain = read_chain(certificate).map_err(|fault| IdentityFault {
            key: "certificate",
            message: format!("{} {fault}", certificate_file.display()),
        });
        let key = read_key(key).map_err(|fault| IdentityFault {
            key: "key",
            message: format!("{} {fault}", key_file.display()),
        });
        let ((chain, dates), key) = match (chain, key) {
            (Ok(chain), Ok(key)) => (chain, key),
            (chain, key) => return Err([chain.err(), key.err()].into_iter().flatten().collect()),
        };
        match CertifiedKey::from_der(chain, key, &ring::default_provider()) {
            Ok(certified) => Ok(Self {
                certified: Arc::new(certified),
                dates,
            }),
            Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
                Err(vec![IdentityFault {
                    key: "key",
                    message: format!(
                        "{} does not belong to the certificate in {}",
                        key_file.display(),
                        certificate_file.display()
                    ),
                }])
            }
            Err(error) => Err(vec![IdentityFault {
                key: "key",
                message: format!("{} cannot be used: {error}", key_file.display()),
            }]),
        }
    }

    /// Checks the files that a listener names, and reports errors and warnings.
    pub(super) fn look_at(section: &Section<'_>, certificate: &Path, key: &Path) {
        let read = |name: &'static str, file: &Path| {
            let contents = section.contents_apart(file);
            contents
                .map_err(|fault| section.fault_apart(name, fault))
                .ok()
        };
        let texts = (read("certificate", certificate), read("key", key));
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let (certificate, key) = (section.resolve(certificate), section.resolve(key));
        match Self::parse((&certificate, &text(&texts.0)), (&key, &text(&texts.1))) {
            Ok(identity) => {
                for doubt in identity.doubts(section.now()) {
                    section.warn(
                        "certificate",
                        format_args!("{} {doubt}", certificate.display()),
                    );
                }
            }
            Err(faults) => {
                // Unreadable files have been reported already.
                let is_read = |fault: &&IdentityFault| match fault.key {
                    "certificate" => texts.0.is_some(),
                    _ => texts.1.is_some(),
                };
                for fault in faults.iter().filter(is_read) {
                    section.fault_apart(fault.key, &fault.message);
                }
            }
        }
    }

    /// For the TLS library.
    pub fn certified(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.certified)
    }

    /// When the certificate itself expires; not its chain.
    pub fn until(&self) -> SystemTime {
        self.dates
            .first()
            .map_or(SystemTime::UNIX_EPOCH, |own| own.until)
    }

    /// What clients will refuse, now or soon: as text that follows the name of the file.
    pub fn doubts(&self, now: SystemTime) -> Vec<String> {
        let numbered = self.dates.iter().enumerate();
        numbered
            .filter_map(|(index, dates)| {
                let doubt = dates.doubt(now, "; clients refuse it")?;
                Some(match index {
                    0 => doubt,
                    _ => format!("holds a chain of which certificate {} {doubt}", index + 1),
                })
            })
            .collect()
    }
}

impl Dates {
    /// What is wrong at this time, or will be soon; `consequence` of a certificate that is not valid.
    pub(super) fn doubt(self, now: SystemTime, consequence: &str) -> Option<String> {
        let date = |time| humantime::format_rfc3339_seconds(time);
        let days = |span: Duration| counted(span.as_secs() / 86_400, "day");
        if let Ok(ago) = now.duration_since(self.until) {
            let (until, ago) = (date(self.until), days(ago));
            return Some(format!("expired on {until} ({ago} ago){consequence}"));
        }
        if let Ok(ahead) = self.from.duration_since(now)
            && !ahead.is_zero()
        {
            let from = date(self.from);
            return Some(format!("is not valid before {from}{consequence}"));
        }
        let left = self.until.duration_since(now).ok()?;
        (left < SOON).then(|| format!("expires on {} (in {})", date(self.until), days(left)))
    }
}

pub(super) fn read_chain(text: &str) -> Result<(Vec<CertificateDer<'static>>, Vec<Dates>), String> {
    let mut chain = Vec::new();
    let mut dates = Vec::new();
    for (index, der) in CertificateDer::pem_slice_iter(text.as_bytes()).enumerate() {
        let number = index + 1;
        let der = der.map_err(|error| format!("is not a PEM file: {error}"))?;
        let parsed = X509Certificate::from_der(&der)
            .map_err(|error| format!("holds no certificate in block {number}: {error}"))?;
        dates.push(Dates::of(&parsed.1));
        chain.push(der);
    }
    if chain.is_empty() {
        return Err("has no CERTIFICATE in PEM form".to_owned());
    }
    Ok((chain, dates))
}

fn read_key(text: &str) -> Result<PrivateKeyDer<'static>, String> {
    if !text.contains("PRIVATE KEY-----") {
        return Err("has no PRIVATE KEY in PEM form".to_owned());
    }
    PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|error| match error {
        pem::Error::NoItemsFound => {
            "holds no usable key; decrypt an encrypted key first".to_owned()
        }
        error => format!("is not a PEM file: {error}"),
    })
}

impl Dates {
    fn of(certificate: &X509Certificate<'_>) -> Self {
        let validity = certificate.validity();
        Self {
            from: time(validity.not_before.timestamp()),
            until: time(validity.not_after.timestamp()),
        }
    }
}

/// Seconds since 1970; earlier times count as 1970.
fn time(unix: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(unix).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(number: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_hours(24 * number)
    }

    #[test]
    fn dates_are_doubted_before_and_after_and_shortly_before_their_end() {
        let dates = Dates {
            from: day(100),
            until: day(190),
        };
        for (today, doubt) in [
            (99, Some("is not valid before 1970-04-11")),
            (100, None),
            (175, None),
            (177, Some("expires on 1970-07-10T00:00:00Z (in 13 days)")),
            (190, Some("expired on 1970-07-10T00:00:00Z (0 days ago)")),
            (191, Some("expired on 1970-07-10T00:00:00Z (1 day ago)")),
            (193, Some("expired on 1970-07-10T00:00:00Z (3 days ago)")),
        ] {
            let said = dates.doubt(day(today), "; clients refuse it");
            match (said, doubt) {
                (None, None) => {}
                (Some(said), Some(doubt)) => assert!(said.starts_with(doubt), "{today}: {said}"),
                other => panic!("{today}: {other:?}"),
            }
        }
    }
}
