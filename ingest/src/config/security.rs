//! Security of connections to Kafka.

use std::path::PathBuf;

use perijove_core::Secret;
use perijove_core::settings::{Section, pem_file, words};
use schemars::JsonSchema;

/// Encryption and login.
#[derive(Clone, Copy, Debug, JsonSchema, PartialEq, Eq)]
pub enum Security {
    Plaintext,
    Ssl,
    SaslPlaintext,
    SaslSsl,
}

words!(Security, "sasl_plaintext, sasl_ssl, ssl or plaintext",
    "sasl_plaintext" => Self::SaslPlaintext,
    "sasl_ssl" => Self::SaslSsl,
    "ssl" => Self::Ssl,
    "plaintext" => Self::Plaintext,
);

impl Security {
    /// Whether there is a user with a password.
    pub const fn is_sasl(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }

    pub const fn is_tls(self) -> bool {
        matches!(self, Self::Ssl | Self::SaslSsl)
    }
}

/// SASL mechanisms.
#[derive(Clone, Copy, Debug, JsonSchema, PartialEq, Eq)]
pub enum Mechanism {
    Plain,
    ScramSha256,
    ScramSha512,
}

words!(Mechanism, "scram-sha-512, scram-sha-256 or plain",
    "scram-sha-512" => Self::ScramSha512,
    "scram-sha-256" => Self::ScramSha256,
    "plain" => Self::Plain,
);

/// Certificates. Bitquery gives three PEM files.
#[derive(Clone, Debug, Default, JsonSchema, PartialEq, Eq)]
pub struct KafkaTls {
    /// PEM file of the only certificate authorities to trust; by default the system's.
    pub ca: Option<PathBuf>,
    /// PEM file with a client certificate, if the broker requires one. Needs `key`.
    pub certificate: Option<PathBuf>,
    /// PEM file with its private key.
    pub key: Option<PathBuf>,
    /// Passphrase of the private key. Only from outside the file.
    pub key_password: Option<Secret>,
    /// Whether the broker's name must be in its certificate. Bitquery's are not.
    pub verify_hostname: bool,
}

impl KafkaTls {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let certificate = pem(section, "certificate", "CERTIFICATE");
        let key = pem(section, "key", "PRIVATE KEY");
        for (one, other) in [("certificate", "key"), ("key", "certificate")] {
            if section.has(one) && !section.has(other) {
                section.violation(one, format_args!("needs {other} as well"));
            }
        }
        let key_password = section.outside_secret("key_password");
        if section.has("key_password") && !section.has("key") {
            section.violation("key_password", "needs key as well");
        }
        Self {
            ca: pem(section, "ca", "CERTIFICATE"),
            certificate,
            key,
            key_password,
            verify_hostname: section.or("verify_hostname", false),
        }
    }
}

fn pem(section: &mut Section<'_>, key: &'static str, block: &str) -> Option<PathBuf> {
    let file: PathBuf = section.optional(key)?;
    pem_file(section, key, &file, block)
}
