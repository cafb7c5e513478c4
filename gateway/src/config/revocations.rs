//! Revocation lists (RFC 5280 §5): which client certificates of an authority no longer count.

use std::time::SystemTime;

use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use super::identity::{not_pem, time};

/// Lists of one or more authorities.
#[derive(Clone, Debug)]
pub(super) struct RevocationLists {
    lists: Vec<CertificateRevocationListDer<'static>>,
    facts: Vec<ListFacts>,
}

/// What stands in a list besides serial numbers.
#[derive(Clone, Debug)]
struct ListFacts {
    issuer: Box<[u8]>,
    /// When the next one was to be there.
    until: Option<SystemTime>,
    revoked: usize,
}

impl RevocationLists {
    /// From the text of a PEM file.
    ///
    /// # Errors
    /// What is wrong with it, as text that follows the name of the file.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut found = Self {
            lists: Vec::new(),
            facts: Vec::new(),
        };
        for (index, der) in
            CertificateRevocationListDer::pem_slice_iter(text.as_bytes()).enumerate()
        {
            let der = der.map_err(not_pem)?;
            let facts = ListFacts::of(&der).ok_or_else(|| {
                format!(
                    "holds no revocation list in block {}: it is not X.509",
                    index + 1
                )
            })?;
            found.lists.push(der);
            found.facts.push(facts);
        }
        if found.lists.is_empty() {
            return Err(
                "has no X509 CRL in PEM form (`openssl crl -inform DER` makes it from DER)"
                    .to_owned(),
            );
        }
        Ok(found)
    }

    /// For the TLS library.
    pub(super) fn all(&self) -> impl Iterator<Item = &CertificateRevocationListDer<'static>> {
        self.lists.iter()
    }

    /// How many certificates are revoked by all of them.
    pub(super) fn revoked(&self) -> usize {
        self.facts.iter().map(|facts| facts.revoked).sum()
    }

    /// What is wrong with them for authorities of these names, in the order of their file.
    pub(super) fn doubts(&self, authorities: &[Box<[u8]>], now: SystemTime) -> Vec<String> {
        let without = authorities.iter().enumerate().filter_map(|(index, name)| {
            let is_there = self.facts.iter().any(|facts| facts.issuer == *name);
            (!is_there).then(|| {
                format!(
                    "has no list of the authority in certificate {} of client_ca, whose clients are \
                     all refused",
                    index + 1
                )
            })
        });
        let old = self.facts.iter().enumerate().filter_map(|(index, facts)| {
            let until = facts.until.filter(|until| *until <= now)?;
            Some(format!(
                "holds a list (block {}) that was to be replaced by {}; what was revoked since then \
                 is not known",
                index + 1,
                humantime::format_rfc3339_seconds(until)
            ))
        });
        without.chain(old).collect()
    }
}

impl ListFacts {
    /// `None` if it is no list.
    fn of(der: &[u8]) -> Option<Self> {
        let (rest, parsed) = CertificateRevocationList::from_der(der).ok()?;
        rest.is_empty().then(|| Self {
            issuer: parsed.issuer().as_raw().into(),
            until: parsed.next_update().map(|at| time(at.timestamp())),
            revoked: parsed.iter_revoked_certificates().count(),
        })
    }
}
