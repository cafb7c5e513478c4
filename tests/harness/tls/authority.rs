//! A certificate authority of a test's own, for the certificates of clients.

use std::sync::atomic::{AtomicU64, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, RevokedCertParams, SanType,
    SerialNumber,
};

use super::Identity;

/// Issues certificates.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
    issued: AtomicU64,
}

impl Authority {
    /// One of this name.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn new(name: &str) -> Self {
        Self::from_params(name, CertificateParams::default())
    }

    /// One that is valid from the first day of one year to that of another.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn of_years(name: &str, from: i32, until: i32) -> Self {
        let mut params = CertificateParams::default();
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        Self::from_params(name, params)
    }

    fn from_params(name: &str, mut params: CertificateParams) -> Self {
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate").pem();
        Self {
            issuer: Issuer::new(params, key),
            certificate,
            issued: AtomicU64::new(0),
        }
    }

    /// Its own certificate in PEM form.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// A certificate for a client with this common name and these alternative ones: host names,
    /// `URI:…` or `EMAIL:…`.
    ///
    /// # Panics
    /// If it cannot be made or written.
    pub fn issue(&self, name: &str, alternative: &[&str]) -> Identity {
        self.issue_until(name, alternative, 2100)
    }

    /// The same, valid until the first day of a year.
    ///
    /// # Panics
    /// If it cannot be made or written.
    pub fn issue_until(&self, name: &str, alternative: &[&str], year: i32) -> Identity {
        let mut params = CertificateParams::default();
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.subject_alt_names = alternative
            .iter()
            .map(|name| alternative_name(name))
            .collect();
        let serial = self.issued.fetch_add(1, Ordering::Relaxed) + 1;
        params.serial_number = Some(SerialNumber::from(serial));
        let key = KeyPair::generate().expect("a key");
        let issued = params.signed_by(&key, &self.issuer).expect("a certificate");
        Identity {
            serial,
            ..Identity::written(issued.pem(), key.serialize_pem())
        }
    }

    /// Its revocation list in PEM form, to be replaced on the first day of a year.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn revocation_list(&self, revoked: &[&Identity], until: i32) -> String {
        let date = rcgen::date_time_ymd(2001, 1, 1);
        let revoked = revoked.iter().map(|identity| RevokedCertParams {
            serial_number: SerialNumber::from(identity.serial),
            revocation_time: date,
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: date,
            next_update: rcgen::date_time_ymd(until, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&self.issuer).expect("a revocation list");
        list.pem().expect("PEM")
    }
}

fn alternative_name(name: &str) -> SanType {
    let text = |text: &str| text.to_owned().try_into().expect("an ASCII name");
    match name.split_once(':') {
        Some(("URI", uri)) => SanType::URI(text(uri)),
        Some(("EMAIL", address)) => SanType::Rfc822Name(text(address)),
        _ => SanType::DnsName(text(name)),
    }
}
