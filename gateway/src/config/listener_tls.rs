//! TLS of a listener: the files of its certificate, and whose clients it lets in.

use std::net::SocketAddr;
use std::path::PathBuf;

use perijove_core::settings::Section;
use schemars::JsonSchema;

use super::client_auth::ClientTrust;
use crate::config::{ClientAuth, ServerIdentity};

/// One TLS address with the files of its certificate.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq)]
pub struct TlsListener {
    /// Address and port.
    pub address: SocketAddr,
    /// PEM file: the certificate, then its chain.
    pub certificate: PathBuf,
    /// PEM file with the private key.
    pub key: PathBuf,
    /// PEM file with the certificate authorities whose clients are let in. Without it no client is
    /// asked for a certificate.
    pub client_ca: Option<PathBuf>,
    /// PEM file with the revocation lists of those authorities. Without it no certificate counts as
    /// revoked.
    pub client_crl: Option<PathBuf>,
    /// `required`: clients without a certificate are refused. `optional`: they are served like all
    /// others, and only a wrong certificate is refused.
    pub client_auth: ClientAuth,
}

impl TlsListener {
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        let address = section.required("address");
        let AdminTls {
            certificate,
            key,
            client_ca,
            client_crl,
            client_auth,
        } = AdminTls::read(section)?;
        Some(Self {
            address: address?,
            certificate,
            key,
            client_ca,
            client_crl,
            client_auth,
        })
    }
}

/// TLS of the admin port.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq)]
pub struct AdminTls {
    /// PEM file: the certificate, then its chain.
    pub certificate: PathBuf,
    /// PEM file with the private key.
    pub key: PathBuf,
    /// PEM file with the certificate authorities whose clients may use the port. Without it no
    /// client is asked for a certificate.
    pub client_ca: Option<PathBuf>,
    /// PEM file with the revocation lists of those authorities. Without it no certificate counts as
    /// revoked.
    pub client_crl: Option<PathBuf>,
    /// `required`: clients without a certificate are refused in the handshake. `optional`: they
    /// need the token, if there is one, and otherwise get only `/health` and `/ready`.
    pub client_auth: ClientAuth,
}

impl AdminTls {
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        let certificate: Option<PathBuf> = section.required("certificate");
        let key: Option<PathBuf> = section.required("key");
        let trust = ClientTrust::read(section);
        let (certificate, key) = (certificate?, key?);
        ServerIdentity::look_at(section, &certificate, &key);
        Some(Self {
            certificate: section.resolve(&certificate),
            key: section.resolve(&key),
            client_ca: trust.authorities,
            client_crl: trust.revocations,
            client_auth: trust.auth,
        })
    }

    pub(super) fn requires_certificate(&self) -> bool {
        self.client_ca.is_some() && self.client_auth == ClientAuth::Required
    }

    /// As a listener at this address.
    pub fn at(&self, address: SocketAddr) -> TlsListener {
        TlsListener {
            address,
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            client_ca: self.client_ca.clone(),
            client_crl: self.client_crl.clone(),
            client_auth: self.client_auth,
        }
    }
}
