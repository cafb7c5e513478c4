//! Pingora's transport connectors, one per set of trusted certificate authorities. Building one
//! loads its whole root store, so they are shared and kept across reloads.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use pingora::connectors::{ConnectorOptions, TransportConnector};

use crate::config;

/// Certificate authorities that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    #[error("cannot read {path}: {source}")]
    Unreadable {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{path} holds something else than certificates in PEM form")]
    NotCertificates { path: PathBuf },
    #[error(
        "the system's certificate authorities cannot be loaded (is ca-certificates installed?)"
    )]
    Platform,
}

/// Which certificates are trusted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Trust {
    /// None: no TLS is used.
    Nothing,
    Platform,
    /// A file, and a hash of its content so that a replaced file is read again.
    File(PathBuf, u64),
}

/// All connectors of the process.
#[derive(Default)]
pub struct Connectors {
    built: Mutex<HashMap<Trust, Arc<TransportConnector>>>,
}

impl Connectors {
    /// The connector for an upstream, built if it is the first of its kind.
    pub(in crate::upstream) fn of(
        &self,
        settings: &config::UpstreamSettings,
    ) -> Result<Arc<TransportConnector>, TrustError> {
        let trust = Trust::of(settings)?;
        let mut built = self.built.lock();
        if let Some(connector) = built.get(&trust) {
            return Ok(Arc::clone(connector));
        }
        let connector = Arc::new(trust.build()?);
        built.insert(trust, Arc::clone(&connector));
        Ok(connector)
    }
}

impl Trust {
    fn of(settings: &config::UpstreamSettings) -> Result<Self, TrustError> {
        match &settings.tls.ca {
            _ if !speaks_tls(settings) => Ok(Self::Nothing),
            None => Ok(Self::Platform),
            Some(path) => {
                let content = perijove_core::settings::read_bytes(path).map_err(|source| {
                    TrustError::Unreadable {
                        path: path.clone(),
                        source,
                    }
                })?;
                let mut hasher = DefaultHasher::new();
                content.hash(&mut hasher);
                Ok(Self::File(path.clone(), hasher.finish()))
            }
        }
    }

    fn build(&self) -> Result<TransportConnector, TrustError> {
        let mut options = ConnectorOptions::new(0);
        options.ca_file = match self {
            // An empty list. Without one the library would load the system's.
            Self::Nothing => Some("/dev/null".to_owned()),
            Self::Platform => None,
            Self::File(path, _) => Some(path.to_string_lossy().into_owned()),
        };
        // The library panics on what it cannot load; a wrong file must not end the process.
        catch_unwind(AssertUnwindSafe(|| TransportConnector::new(Some(options)))).map_err(
            |_panic| match self {
                Self::File(path, _) => TrustError::NotCertificates { path: path.clone() },
                Self::Nothing | Self::Platform => TrustError::Platform,
            },
        )
    }
}

/// Whether calls or subscriptions go over TLS.
fn speaks_tls(settings: &config::UpstreamSettings) -> bool {
    let ws_url = settings.ws_url.as_ref();
    settings.url.is_tls() || ws_url.is_some_and(config::WsUrl::is_tls)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::testing::settings;

    #[test]
    fn upstreams_that_trust_the_same_share_a_connector() {
        let connectors = Connectors::default();
        let one = connectors.of(&settings("a", "http://a/")).unwrap();
        let two = connectors.of(&settings("b", "http://b/")).unwrap();
        assert!(Arc::ptr_eq(&one, &two));
    }

    #[test]
    fn a_wrong_certificate_file_is_an_error_and_no_panic() {
        let connectors = Connectors::default();
        let mut settings = settings("a", "https://a/");
        settings.tls.ca = Some("/nonexistent/ca.pem".into());
        let missing = connectors.of(&settings).map(|_| ());
        assert!(matches!(missing, Err(TrustError::Unreadable { .. })));

        let file = tempfile::NamedTempFile::new().unwrap();
        let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        std::fs::write(file.path(), key).unwrap();
        settings.tls.ca = Some(file.path().to_owned());
        let wrong = connectors.of(&settings).map(|_| ());
        assert!(matches!(wrong, Err(TrustError::NotCertificates { .. })));
    }
}
