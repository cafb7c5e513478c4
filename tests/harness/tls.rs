//! TLS in front of a validator, as a provider has it: a certificate of its own authority, and a
//! note of the server names that were asked for.

#![expect(clippy::expect_used, reason = "a harness fails the test it is used in")]

mod authority;
mod http2;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::WantsClientCert;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::server::Acceptor;
use tokio_rustls::rustls::{ClientConfig, ConfigBuilder, RootCertStore, ServerConfig};
use tokio_rustls::{LazyConfigAcceptor, TlsConnector};

pub use authority::Authority;
pub use http2::Http2Front;

use crate::sandbox::Validator;

/// A certificate with its key, self-signed, in files as the gateway reads them.
#[derive(Debug)]
pub struct Identity {
    certificate: String,
    key: String,
    /// Given by an [`Authority`].
    serial: u64,
    folder: TempDir,
}

impl Identity {
    /// For a server of this name.
    ///
    /// # Panics
    /// If it cannot be made or written.
    pub fn of(name: &str) -> Self {
        Self::for_all(&[name])
    }

    /// For a server of several names or addresses.
    ///
    /// # Panics
    /// If it cannot be made or written.
    pub fn for_all(names: &[&str]) -> Self {
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        Self::from_params(&rcgen::CertificateParams::new(names).expect("names"))
    }

    /// For a server of this name, valid from the first day of one year to that of another.
    ///
    /// # Panics
    /// If it cannot be made or written.
    pub fn of_years(name: &str, from: i32, until: i32) -> Self {
        let mut params = rcgen::CertificateParams::new([name.to_owned()]).expect("a name");
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        Self::from_params(&params)
    }

    /// The same as an authority of its own, as `openssl req -x509` makes it.
    ///
    /// # Panics
    /// If it cannot be made or written.
    pub fn authority(name: &str) -> Self {
        let mut params = rcgen::CertificateParams::new([name.to_owned()]).expect("a name");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        Self::from_params(&params)
    }

    fn from_params(params: &rcgen::CertificateParams) -> Self {
        let signing_key = rcgen::KeyPair::generate().expect("a key");
        let own = params.self_signed(&signing_key).expect("a certificate");
        Self::written(own.pem(), signing_key.serialize_pem())
    }

    fn written(certificate: String, key: String) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        std::fs::write(folder.path().join("tls.crt"), &certificate).expect("a file");
        std::fs::write(folder.path().join("tls.key"), &key).expect("a file");
        Self {
            certificate,
            key,
            serial: 0,
            folder,
        }
    }

    /// The certificate in PEM form.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// The key in PEM form.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The file with the certificate.
    pub fn certificate_file(&self) -> PathBuf {
        self.folder.path().join("tls.crt")
    }

    /// The file with the key.
    pub fn key_file(&self) -> PathBuf {
        self.folder.path().join("tls.key")
    }

    /// The certificate in DER form.
    ///
    /// # Panics
    /// If it is none.
    pub fn der(&self) -> Vec<u8> {
        let certificate = CertificateDer::from_pem_slice(self.certificate.as_bytes());
        certificate.expect("a certificate").to_vec()
    }

    /// Certificate and key, to be shown by a client.
    ///
    /// # Panics
    /// If the TLS library does not take them.
    pub fn shown(&self) -> reqwest::Identity {
        let both = format!("{}{}", self.certificate, self.key);
        reqwest::Identity::from_pem(both.as_bytes()).expect("a certificate with its key")
    }

    /// The certificate, to be trusted by a client.
    ///
    /// # Panics
    /// If the TLS library does not take it.
    pub fn trusted(&self) -> reqwest::Certificate {
        reqwest::Certificate::from_pem(self.certificate.as_bytes()).expect("a certificate")
    }

    /// Agrees on TLS with a server of this identity, as a client that trusts nobody else.
    ///
    /// # Panics
    /// If the server is another, or does not agree.
    pub async fn dial(&self, stream: TcpStream) -> TlsStream<TcpStream> {
        let name = ServerName::try_from("localhost").expect("a name");
        let connector = self.connector(&[]);
        connector.connect(name, stream).await.expect("TLS")
    }

    /// The same as a client that shows a certificate of its own.
    ///
    /// # Panics
    /// If the server is another, or does not agree.
    pub async fn dial_showing(&self, shown: &Self, stream: TcpStream) -> TlsStream<TcpStream> {
        let name = ServerName::try_from("localhost").expect("a name");
        let certificate = CertificateDer::from_pem_slice(shown.certificate.as_bytes());
        let key = PrivateKeyDer::from_pem_slice(shown.key.as_bytes());
        let chain = vec![certificate.expect("a certificate")];
        let config = self.trusting();
        let config = config.with_client_auth_cert(chain, key.expect("a key"));
        let connector = TlsConnector::from(Arc::new(config.expect("a certificate with its key")));
        connector.connect(name, stream).await.expect("TLS")
    }

    fn trusting(&self) -> ConfigBuilder<ClientConfig, WantsClientCert> {
        let certificate = CertificateDer::from_pem_slice(self.certificate.as_bytes());
        let mut trusted = RootCertStore::empty();
        trusted
            .add(certificate.expect("a certificate"))
            .expect("a certificate to trust");
        ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("TLS versions")
            .with_root_certificates(trusted)
    }

    /// A client that trusts the certificate and offers these protocols (ALPN).
    ///
    /// # Panics
    /// If the TLS library does not take it.
    pub fn connector(&self, protocols: &[&str]) -> TlsConnector {
        let mut config = self.trusting().with_no_client_auth();
        let protocols = protocols.iter();
        config.alpn_protocols = protocols.map(|one| one.as_bytes().to_vec()).collect();
        TlsConnector::from(Arc::new(config))
    }

    fn server(&self) -> ServerConfig {
        let certificate = CertificateDer::from_pem_slice(self.certificate.as_bytes());
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes());
        ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("TLS versions")
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.expect("a certificate")],
                key.expect("a key"),
            )
            .expect("a certificate with its key")
    }
}

/// A TLS listener that passes everything on to a validator.
#[derive(Debug)]
pub struct TlsFront {
    address: SocketAddr,
    names: Arc<Mutex<Vec<String>>>,
    accepting: JoinHandle<()>,
}

impl TlsFront {
    /// Listens on a free port.
    ///
    /// # Panics
    /// If none is free.
    pub async fn start(identity: &Identity, validator: &Validator) -> Self {
        Self::offering(identity, validator, &[]).await
    }

    /// The same, choosing among these protocols if the client offers any (ALPN).
    ///
    /// # Panics
    /// If no port is free.
    pub async fn offering(identity: &Identity, validator: &Validator, protocols: &[&str]) -> Self {
        let mut config = identity.server();
        config.alpn_protocols = protocols
            .iter()
            .map(|one| one.as_bytes().to_vec())
            .collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let names = Arc::new(Mutex::new(Vec::new()));
        let accepting = tokio::spawn(accept(
            listener,
            Arc::new(config),
            validator.address(),
            Arc::clone(&names),
        ));
        Self {
            address,
            names,
            accepting,
        }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The server names clients asked for; empty text for those who asked for none.
    pub fn names(&self) -> Vec<String> {
        self.names.lock().clone()
    }
}

impl Drop for TlsFront {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(
    listener: TcpListener,
    config: Arc<ServerConfig>,
    to: SocketAddr,
    names: Arc<Mutex<Vec<String>>>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let (config, names) = (Arc::clone(&config), Arc::clone(&names));
        tokio::spawn(async move {
            // A client that does not trust us hangs up: nothing to do about it here.
            drop(pass(stream, config, to, names).await);
        });
    }
}

async fn pass(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    to: SocketAddr,
    names: Arc<Mutex<Vec<String>>>,
) -> std::io::Result<(u64, u64)> {
    let handshake = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
    let name = handshake
        .client_hello()
        .server_name()
        .unwrap_or_default()
        .to_owned();
    names.lock().push(name);
    let mut inner = handshake.into_stream(config).await?;
    let mut outer = TcpStream::connect(to).await?;
    copy_bidirectional(&mut inner, &mut outer).await
}
