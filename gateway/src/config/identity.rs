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
use x509_parser::prelude::{FromDer, X509Version};

/// How long before its expiry a certificate is warned about: with a lifetime of 90 days, renewals
/// are due at 30 and late at 14.
const SOON: Duration = Duration::from_hours(14 * 24);

/// A certificate that clients cannot check the name of.
const OLD: &str = "a certificate of an old version of X.509, which has no names of hosts; TLS needs \
                   version 3";
/// One that only the TLS library refuses.
const ODD: &str = "a certificate that cannot be served: it is of X.509, but not as TLS demands";

/// A certificate with its chain and its key, which belong together.
#[derive(Clone, Debug)]
pub struct ServerIdentity {
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

impl ServerIdentity {
    /// From two PEM texts. The names of the files are only used in messages.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn parse(
        (certificate_file, certificate): (&Path, &str),
        (key_file, key): (&Path, &str),
    ) -> Result<Self, Vec<IdentityFault>> {
        let of_certificate = |fault: String| IdentityFault {
            key: "certificate",
            message: format!("{} {fault}", certificate_file.display()),
        };
        let chain = read_chain(certificate).and_then(|chain| match chain.first() {
            Some(own) if !own.is_modern => Err(format!("holds {OLD}")),
            _ => Ok(chain),
        });
        let chain = chain.map_err(of_certificate);
        let key = read_key(key).map_err(|fault| IdentityFault {
            key: "key",
            message: format!("{} {fault}", key_file.display()),
        });
        let (chain, key) = match (chain, key) {
            (Ok(chain), Ok(key)) => (chain, key),
            (chain, key) => return Err([chain.err(), key.err()].into_iter().flatten().collect()),
        };
        let dates = chain.iter().map(|one| one.dates).collect();
        let chain = chain.into_iter().map(|one| one.der).collect();
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
            Err(Error::InvalidCertificate(_)) => Err(vec![of_certificate(format!("holds {ODD}"))]),
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

/// A certificate of a PEM file.
pub struct ReadCertificate {
    pub der: CertificateDer<'static>,
    pub(super) dates: Dates,
    /// Whether it is of version 3 of X.509, which has extensions.
    pub(super) is_modern: bool,
    /// Whether it may sign other certificates. Version 1 does not say; there a certificate that names
    /// itself as its issuer may.
    pub(super) is_authority: bool,
    /// Its owner's name, as it stands there.
    pub(super) subject: Box<[u8]>,
}

/// Reads the certificates of a PEM text, of which there is at least one.
///
/// # Errors
/// What is wrong with it, as text that follows the name of the file.
pub fn read_chain(text: &str) -> Result<Vec<ReadCertificate>, String> {
    let mut chain = Vec::new();
    for (index, der) in CertificateDer::pem_slice_iter(text.as_bytes()).enumerate() {
        let number = index + 1;
        let der = der.map_err(not_pem)?;
        let read = ReadCertificate::of(der)
            .ok_or_else(|| format!("holds no certificate in block {number}: it is not X.509"))?;
        chain.push(read);
    }
    if chain.is_empty() {
        return Err("has no CERTIFICATE in PEM form".to_owned());
    }
    Ok(chain)
}

impl ReadCertificate {
    /// `None` if it is none.
    fn of(der: CertificateDer<'static>) -> Option<Self> {
        let (rest, parsed) = X509Certificate::from_der(&der).ok()?;
        if !rest.is_empty() {
            return None;
        }
        let is_modern = parsed.version() == X509Version::V3;
        let is_own_issuer = parsed.issuer().as_raw() == parsed.subject().as_raw();
        let subject = parsed.subject().as_raw().into();
        let dates = Dates::of(&parsed);
        let is_authority = if is_modern {
            parsed.is_ca()
        } else {
            is_own_issuer
        };
        Some(Self {
            der,
            dates,
            is_modern,
            is_authority,
            subject,
        })
    }
}

/// What is wrong with the form of a file, in words.
pub(super) fn not_pem(error: pem::Error) -> String {
    let fault = match error {
        pem::Error::MissingSectionEnd { end_marker } => {
            let marker = String::from_utf8_lossy(&end_marker);
            format!("a block has no end (-----END {}-----)", marker.trim())
        }
        pem::Error::IllegalSectionStart { .. } => "a line that begins a block is broken".to_owned(),
        pem::Error::Base64Decode(_) => "the content of a block is not base64".to_owned(),
        error => error.to_string(),
    };
    format!("is not a PEM file: {fault}")
}

fn read_key(text: &str) -> Result<PrivateKeyDer<'static>, String> {
    if !text.contains("PRIVATE KEY-----") {
        return Err("has no PRIVATE KEY in PEM form".to_owned());
    }
    PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|error| match error {
        pem::Error::NoItemsFound => {
            "holds no usable key; decrypt an encrypted key first".to_owned()
        }
        error => not_pem(error),
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
pub(super) fn time(unix: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(unix).unwrap_or(0))
}

#[cfg(test)]
mod tests;
