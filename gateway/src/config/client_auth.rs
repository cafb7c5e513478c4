//! The certificates of clients: which authorities a port trusts, and whether it serves clients
//! without one. Checked here, before anything is served and each time the file changes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use perijove_core::settings::{Section, words};
use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use schemars::JsonSchema;

use super::identity::{Dates, read_chain};
use super::revocations::RevocationLists;

/// Whether a port serves clients that show no certificate.
#[derive(Clone, Copy, Debug, Default, JsonSchema, PartialEq, Eq)]
pub enum ClientAuth {
    /// It does not: the handshake fails.
    #[default]
    Required,
    /// It does; only a wrong certificate is refused.
    Optional,
}

words!(
    ClientAuth,
    "required or optional",
    "required" => Self::Required,
    "optional" => Self::Optional,
);

/// Certificate authorities whose clients are let in.
#[derive(Clone, Debug)]
pub struct ClientAuthorities {
    trusted: Arc<RootCertStore>,
    /// Their validity, in the order of the file. Never empty.
    dates: Vec<Dates>,
    /// Their names, in the same order.
    subjects: Vec<Box<[u8]>>,
    revocations: Option<RevocationLists>,
}

/// What a port is told of the certificates of its clients.
pub(super) struct ClientTrust {
    pub(super) authorities: Option<PathBuf>,
    pub(super) revocations: Option<PathBuf>,
    pub(super) auth: ClientAuth,
}

impl ClientTrust {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let ca: Option<PathBuf> = section.optional("client_ca");
        let crl: Option<PathBuf> = section.optional("client_crl");
        let auth: Option<ClientAuth> = section.optional("client_auth");
        match &ca {
            Some(ca) => ClientAuthorities::look_at(section, ca, crl.as_deref()),
            None => {
                for key in ["client_auth", "client_crl"] {
                    if section.has(key) {
                        section.violation(key, "has no effect without client_ca");
                    }
                }
            }
        }
        let resolved = |file: Option<PathBuf>| file.map(|file| section.resolve(&file));
        Self {
            authorities: resolved(ca),
            revocations: resolved(crl),
            auth: auth.unwrap_or_default(),
        }
    }
}

impl ClientAuthorities {
    /// From the text of a PEM file. The name of the file is only used in messages.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(file: &Path, text: &str) -> Result<Self, String> {
        let name = file.display();
        let certificates = read_chain(text).map_err(|fault| format!("{name} {fault}"))?;
        let dates = certificates.iter().map(|one| one.dates).collect();
        let subjects = certificates.iter().map(|one| one.subject.clone());
        let subjects = subjects.collect();
        let mut trusted = RootCertStore::empty();
        for (index, certificate) in certificates.into_iter().enumerate() {
            let number = index + 1;
            // The TLS library takes any, and then lets nobody in.
            if !certificate.is_authority {
                return Err(format!(
                    "{name} holds no authority in certificate {number}: it may not sign others (CA \
                     in its basic constraints); is it that of a server or a client?"
                ));
            }
            trusted.add(certificate.der).map_err(|_error| {
                format!(
                    "{name} holds no authority in certificate {number}: it is of X.509, but not as \
                     TLS demands"
                )
            })?;
        }
        Ok(Self {
            trusted: Arc::new(trusted),
            dates,
            subjects,
            revocations: None,
        })
    }

    /// With the revocation lists in the text of a PEM file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn with_revocations(self, file: &Path, text: &str) -> Result<Self, String> {
        let lists = RevocationLists::parse(text);
        let lists = lists.map_err(|fault| format!("{} {fault}", file.display()))?;
        Ok(Self {
            revocations: Some(lists),
            ..self
        })
    }

    /// Checks the files that a port names, and reports errors and warnings.
    fn look_at(section: &Section<'_>, ca: &Path, crl: Option<&Path>) {
        let text = |key: &str, file: &Path| {
            let text = section.contents_apart(file);
            text.map_err(|fault| section.fault_apart(key, fault)).ok()
        };
        let crl = crl.map(|file| (file, text("client_crl", file)));
        let Some(authorities) = text("client_ca", ca) else {
            return;
        };
        let ca = section.resolve(ca);
        let authorities = match Self::parse(&ca, &authorities) {
            Ok(authorities) => authorities,
            Err(fault) => return section.fault_apart("client_ca", fault),
        };
        for doubt in authorities.doubts(section.now()) {
            section.warn("client_ca", format_args!("{} {doubt}", ca.display()));
        }
        let Some((file, Some(text))) = crl else {
            return;
        };
        let file = section.resolve(file);
        match authorities.with_revocations(&file, &text) {
            Ok(authorities) => {
                for doubt in authorities.revocation_doubts(section.now()) {
                    section.warn("client_crl", format_args!("{} {doubt}", file.display()));
                }
            }
            Err(fault) => section.fault_apart("client_crl", fault),
        }
    }

    /// For the TLS library.
    ///
    /// # Errors
    /// None occurs for authorities that were read.
    pub fn verifier(&self, auth: ClientAuth) -> Result<Arc<dyn ClientCertVerifier>, String> {
        let provider = Arc::new(ring::default_provider());
        let trusted = Arc::clone(&self.trusted);
        let lists = self.revocations.iter().flat_map(RevocationLists::all);
        let builder = WebPkiClientVerifier::builder_with_provider(trusted, provider);
        let builder = builder.with_crls(lists.cloned());
        let builder = match auth {
            ClientAuth::Required => builder,
            ClientAuth::Optional => builder.allow_unauthenticated(),
        };
        builder.build().map_err(|error| error.to_string())
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.dates.len()
    }

    /// How many certificates are revoked; `None` without lists.
    pub fn revoked(&self) -> Option<usize> {
        self.revocations.as_ref().map(RevocationLists::revoked)
    }

    /// What is wrong with the revocation lists, as text that follows the name of their file.
    pub fn revocation_doubts(&self, now: SystemTime) -> Vec<String> {
        let lists = self.revocations.as_ref();
        lists.map_or_else(Vec::new, |lists| lists.doubts(&self.subjects, now))
    }

    /// Which of them are out of date, now or soon, as text that follows the name of the file. The
    /// TLS library looks at the dates of clients' certificates, not at those of authorities.
    pub fn doubts(&self, now: SystemTime) -> Vec<String> {
        let one = |(index, dates): (usize, &Dates)| {
            let consequence = "; until it is taken out of the file, clients are let in by it";
            let doubt = dates.doubt(now, consequence)?;
            Some(format!(
                "holds an authority (certificate {}) that {doubt}",
                index + 1
            ))
        };
        self.dates.iter().enumerate().filter_map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use perijove_tests::tls::{Authority, Identity};

    use super::*;

    fn parse(text: &str) -> Result<ClientAuthorities, String> {
        ClientAuthorities::parse(Path::new("ca.pem"), text)
    }

    #[test]
    fn a_bundle_holds_as_many_authorities_as_it_has_certificates() {
        let (one, other) = (Authority::new("one"), Authority::new("other"));
        let both = format!("{}{}", one.certificate(), other.certificate());
        assert_eq!(parse(&both).unwrap().count(), 2);
    }

    #[test]
    fn what_holds_no_authority_is_refused_with_the_reason() {
        let identity = Identity::of("localhost");
        let authority = Authority::new("any");
        let issued = authority.issue("bot", &[]);
        let mixed = format!("{}{}", authority.certificate(), issued.certificate());
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for (text, said) in [
            ("", "ca.pem has no CERTIFICATE in PEM form"),
            (identity.key(), "ca.pem has no CERTIFICATE in PEM form"),
            (broken, "ca.pem holds no certificate in block 1"),
            (
                identity.certificate(),
                "ca.pem holds no authority in certificate 1: it may not sign others",
            ),
            (
                issued.certificate(),
                "ca.pem holds no authority in certificate 1: it may not sign others",
            ),
            (
                &mixed,
                "ca.pem holds no authority in certificate 2: it may not sign others",
            ),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(said), "{error}");
        }
    }

    #[test]
    fn an_authority_out_of_date_is_doubted() {
        let old = Authority::of_years("old", 2001, 2002);
        let now = SystemTime::UNIX_EPOCH + Duration::from_hours(24 * 20_000);
        let doubts = parse(old.certificate()).unwrap().doubts(now);
        let [doubt] = &doubts[..] else {
            panic!("{doubts:?}")
        };
        assert!(
            doubt.contains("(certificate 1) that expired on 2002-01-01"),
            "{doubt}"
        );
        assert!(doubt.contains("taken out"), "{doubt}");
    }
}
