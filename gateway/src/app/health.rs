//! The command `health`: asks running gateways whether they are healthy, also over TLS, as the admin port
//! may demand, with the certificate or the token that it may want to see.

mod trust;

use std::io;
use std::path::Path;
use std::sync::Arc;

use http::HeaderValue;
use perijove_core::health::{HealthUrl, Unwell, well_by};
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

use self::trust::ServerTrust;
use super::check::complain;
use crate::cli::{Exit, HealthAccess, HealthCommand};
use crate::config::{ServerIdentity, read_chain};

/// Whether running gateways are healthy.
pub(super) fn health(health: &HealthCommand) -> Exit {
    match asked(health) {
        Ok(()) => Exit::Done,
        Err(error) => {
            complain(&error);
            Exit::Failed
        }
    }
}

fn asked(health: &HealthCommand) -> Result<(), String> {
    let client = HealthClient::new(&health.access)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let ask = async |address: &str| client.ask(address).await;
    let well = runtime.block_on(well_by(&health.addresses, health.wait, ask));
    well.map_err(|error| error.to_string())
}

/// Asks over http and https.
struct HealthClient {
    /// Or why it cannot be spoken, for where no URL needs it.
    tls: Result<TlsConnector, String>,
    /// The name that certificates must have, if it is not that of the URL.
    server_name: Option<ServerName<'static>>,
    /// Further lines of a request's head.
    fields: String,
}

impl HealthClient {
    /// # Errors
    /// A name that is none, or a token that cannot be read.
    fn new(access: &HealthAccess) -> Result<Self, String> {
        let server_name = access.server_name.clone().map(|name| {
            let wrong =
                |_| format!("--server-name {name}: must be the name of a host, or its address");
            ServerName::try_from(name.clone()).map_err(wrong)
        });
        let fields = access.token_file.as_deref().map(authorization);
        let tls = tls(access).map(|config| TlsConnector::from(Arc::new(config)));
        Ok(Self {
            tls,
            server_name: server_name.transpose()?,
            fields: fields.transpose()?.unwrap_or_default(),
        })
    }

    async fn ask(&self, address: &str) -> Result<(), Unwell> {
        let wrong = |expected| Unwell::Address(address.to_owned(), expected);
        let url = HealthUrl::read(address)
            .ok_or_else(|| wrong("http://host:port/path, or the same with https"))?;
        if !url.is_secure {
            return url.ask(url.connect().await?, &self.fields).await;
        }
        let name = match &self.server_name {
            Some(name) => name.clone(),
            None => named(url.authority).ok_or_else(|| wrong("https://host:port/path"))?,
        };
        let tls = self
            .tls
            .as_ref()
            .map_err(|error| url.unreachable(io::Error::other(error.clone())))?;
        let shaken = tls.connect(name, url.connect().await?).await;
        let stream = shaken.map_err(|error| url.unreachable(error))?;
        url.ask(stream, &self.fields).await
    }
}

/// The name or address in `host:port`.
fn named(authority: &str) -> Option<ServerName<'static>> {
    let (host, _port) = authority.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    ServerName::try_from(host.to_owned()).ok()
}

fn tls(access: &HealthAccess) -> Result<ClientConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let trust = Arc::new(trust(access.ca.as_deref(), &provider)?);
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(trust);
    let (Some(certificate), Some(key)) = (&access.certificate, &access.key) else {
        return Ok(builder.with_no_client_auth());
    };
    let texts = (read(certificate)?, read(key)?);
    let identity = ServerIdentity::parse((certificate, &texts.0), (key, &texts.1));
    let identity = identity.map_err(|faults| {
        let faults = faults.into_iter().map(|fault| fault.message);
        faults.collect::<Vec<_>>().join("\n")
    })?;
    let shown = SingleCertAndKey::from(identity.certified());
    Ok(builder.with_client_cert_resolver(Arc::new(shown)))
}

/// Trust in what is in a file, else in the authorities of the system.
fn trust(ca: Option<&Path>, provider: &Arc<CryptoProvider>) -> Result<ServerTrust, String> {
    let (mut roots, mut own) = (RootCertStore::empty(), Vec::new());
    if let Some(file) = ca {
        let chain = read_chain(&read(file)?);
        for certificate in chain.map_err(|fault| format!("{} {fault}", file.display()))? {
            let added = roots.add(certificate.der.clone());
            added.map_err(|error| format!("{}: {error}", file.display()))?;
            own.push(certificate.der);
        }
    } else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    // Only https needs any.
    if roots.is_empty() {
        return Err("the system has no certificate authorities; name some with --ca".to_owned());
    }
    let provider = Arc::clone(provider);
    let authorities =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
    Ok(ServerTrust {
        authorities: authorities.map_err(|error| error.to_string())?,
        own,
    })
}

/// The line that shows the token in a file.
fn authorization(file: &Path) -> Result<String, String> {
    let text = read(file)?;
    let token = text.trim();
    if token.is_empty() || HeaderValue::from_str(token).is_err() {
        return Err(format!("{} holds no token", file.display()));
    }
    Ok(format!("authorization: Bearer {token}\r\n"))
}

fn read(file: &Path) -> Result<String, String> {
    let fault = |error: io::Error| format!("cannot read {}: {error}", file.display());
    perijove_core::settings::read_text(file).map_err(fault)
}
