//! The client that spans are sent with.

use std::sync::Arc;
use std::time::Duration;

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use opentelemetry_http::hyper::HyperClient;
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};

/// One over HTTP/1.1, with TLS where the address asks for it. It follows no redirects and reads no
/// answer above 4 MiB.
pub(super) fn client(
    timeout: Duration,
) -> Result<HyperClient<HttpsConnector<HttpConnector>>, rustls::Error> {
    let mut roots = RootCertStore::empty();
    // What of the system's cannot be read is not trusted.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .build();
    Ok(HyperClient::new(connector, timeout, None))
}
