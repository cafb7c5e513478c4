//! The cluster's certificate authority, and what it signed: one certificate for every broker, one
//! for every client.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};

use crate::kafka::USER;

/// The names by which brokers are found.
const NAMES: [&str; 2] = ["127.0.0.1", "localhost"];

/// Its files.
#[derive(Debug)]
pub(super) struct Authority {
    folder: PathBuf,
}

impl Authority {
    /// Writes everything into a folder.
    pub(super) fn write(folder: &Path) -> Self {
        let authority = authority("Perijove tests");
        fs::write(folder.join("ca.crt"), authority.pem()).expect("a file");

        let (certificate, key) = signed(&authority, "broker", &NAMES);
        fs::write(folder.join("broker.pem"), key + &certificate).expect("a file");

        let (certificate, key) = signed(&authority, USER, &[]);
        fs::write(folder.join("client.crt"), certificate).expect("a file");
        fs::write(folder.join("client.key"), key).expect("a file");
        let folder = folder.to_owned();
        Self { folder }
    }

    /// Writes the certificate of one that signed nothing.
    pub(super) fn foreign(folder: &Path) -> PathBuf {
        let file = folder.join("other-ca.crt");
        fs::write(&file, authority("Nobody").pem()).expect("a file");
        file
    }

    pub(super) fn certificate_file(&self) -> PathBuf {
        self.folder.join("ca.crt")
    }

    /// The client's `crt` or `key`.
    pub(super) fn client_file(&self, which: &str) -> PathBuf {
        self.folder.join(format!("client.{which}"))
    }
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = named(name, &[]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().expect("a key");
    CertifiedIssuer::self_signed(params, key).expect("a certificate")
}

fn signed(
    authority: &CertifiedIssuer<'_, KeyPair>,
    name: &str,
    addresses: &[&str],
) -> (String, String) {
    let mut params = named(name, addresses);
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    let key = KeyPair::generate().expect("a key");
    let certificate = params.signed_by(&key, authority).expect("a certificate");
    (certificate.pem(), key.serialize_pem())
}

fn named(name: &str, addresses: &[&str]) -> CertificateParams {
    let addresses: Vec<_> = addresses.iter().map(|&one| one.to_owned()).collect();
    let mut params = CertificateParams::new(addresses).expect("names");
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
