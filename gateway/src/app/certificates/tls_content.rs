//! What is read from the files of a certificate.

use crate::config::{ClientAuthorities, Files, IdentityFault, ServerIdentity, TlsListener};
use crate::edge::TlsSetup;

/// What was read from the files.
pub(super) struct TlsContent {
    pub(super) identity: ServerIdentity,
    pub(super) clients: Option<ClientAuthorities>,
}

impl TlsContent {
    pub(super) fn setup(
        &self,
        settings: &TlsListener,
        http2: bool,
    ) -> Result<TlsSetup, Vec<String>> {
        let clients = self.clients.as_ref();
        let clients = clients.map(|clients| clients.verifier(settings.client_auth));
        Ok(TlsSetup {
            certified: self.identity.certified(),
            clients: clients.transpose().map_err(|fault| vec![fault])?,
            http2,
        })
    }
}

pub(super) fn look(settings: &TlsListener) -> Files {
    let own = [&settings.certificate, &settings.key];
    let of_clients = settings.client_ca.iter().chain(&settings.client_crl);
    Files::look_at(own.into_iter().chain(of_clients))
}

pub(super) fn read(settings: &TlsListener) -> Result<TlsContent, Vec<String>> {
    let text = |file: &std::path::Path| {
        perijove_core::settings::read_text(file)
            .map_err(|error| vec![format!("cannot read {}: {error}", file.display())])
    };
    let (certificate, key) = (text(&settings.certificate)?, text(&settings.key)?);
    let identity =
        ServerIdentity::parse((&settings.certificate, &certificate), (&settings.key, &key));
    let message = |fault: IdentityFault| format!("{}: {}", fault.key, fault.message);
    let identity =
        identity.map_err(|faults| faults.into_iter().map(message).collect::<Vec<_>>())?;
    let clients = || -> Result<Option<ClientAuthorities>, Vec<String>> {
        let Some(ca) = settings.client_ca.as_deref() else {
            return Ok(None);
        };
        let fault = |key: &str, fault: String| vec![format!("{key}: {fault}")];
        let authorities = ClientAuthorities::parse(ca, &text(ca)?);
        let authorities = authorities.map_err(|error| fault("client_ca", error))?;
        let Some(crl) = settings.client_crl.as_deref() else {
            return Ok(Some(authorities));
        };
        let revoking = authorities.with_revocations(crl, &text(crl)?);
        revoking
            .map(Some)
            .map_err(|error| fault("client_crl", error))
    };
    Ok(TlsContent {
        identity,
        clients: clients()?,
    })
}
