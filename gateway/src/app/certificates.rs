//! Renews the certificates of the ports that speak TLS, and the authorities whose clients they let
//! in: serves new ones soon after their files change, keeps the old ones while the new ones cannot be
//! used, and warns before one expires.

mod metrics;
mod tls_content;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use perijove_core::telemetry::json;
use prometheus::Registry;
use tokio::time::{Instant, sleep};

use super::addresses::ListenAddresses;
use super::start_error::StartError;
use super::wall_clock::system_time;
use crate::config::{self, ClientAuthorities, Config, Files, TlsListener, Watch};
use crate::edge::{CertificateStatus, GatewayStatus, ServedTls, TlsListeners};
use metrics::CertificateMetrics;
use tls_content::{TlsContent, look, read};

/// How often the files are checked where change events are missing: for a link further up in the
/// path, or on a file system without such events.
const LOOK: Duration = Duration::from_secs(2);

/// Interval between two warnings about the same certificate.
const REMIND: Duration = Duration::from_hours(12);

/// The certificates of all ports that speak TLS.
pub(super) struct Certificates {
    listeners: Vec<ListenerCertificate>,
    metrics: CertificateMetrics,
    status: Arc<GatewayStatus>,
}

struct ListenerCertificate {
    address: SocketAddr,
    settings: TlsListener,
    is_admin: bool,
    /// The port itself, and the WebSocket port above it.
    outlets: Vec<TlsOutlet>,
    content: TlsContent,
    /// The files as they were when they were last read.
    files: Files,
    /// Why the current content of the files is not served.
    faults: Vec<String>,
    reminded: Instant,
}

/// One port with these files.
struct TlsOutlet {
    address: SocketAddr,
    http2: bool,
    served: Arc<ServedTls>,
}

impl Certificates {
    /// Reads the files of all ports, in the order of the configuration.
    ///
    /// # Errors
    /// A certificate that cannot be served.
    pub(super) fn load(
        config: &Config,
        addresses: &ListenAddresses,
        registry: &Registry,
        status: Arc<GatewayStatus>,
    ) -> Result<Self, StartError> {
        let metrics = CertificateMetrics::register(registry)?;
        let mut listeners = Vec::new();
        let own = config.listen.tls.iter().zip(&addresses.tls).enumerate();
        for (place, (settings, address)) in own {
            // HTTP/2 has no WebSocket upgrade.
            let above = addresses.websocket_tls.iter();
            let above = above.filter(|(_, below)| *below == place);
            let above = above.map(|(address, _)| (*address, false));
            let ports: Vec<_> = [(*address, true)].into_iter().chain(above).collect();
            listeners.push(ListenerCertificate::load(settings.clone(), &ports, false)?);
        }
        if let (Some(tls), Some(address)) = (&config.admin.tls, addresses.admin) {
            let settings = tls.at(address);
            let ports = [(address, false)];
            listeners.push(ListenerCertificate::load(settings, &ports, true)?);
        }
        let certificates = Self {
            listeners,
            metrics,
            status,
        };
        certificates.tell(system_time());
        Ok(certificates)
    }

    /// The ports of clients.
    pub(super) fn listeners(&self) -> TlsListeners {
        self.ports(false)
    }

    /// The admin port.
    pub(super) fn admin(&self) -> TlsListeners {
        self.ports(true)
    }

    fn ports(&self, admin: bool) -> TlsListeners {
        let mut tls = TlsListeners::default();
        let listeners = self.listeners.iter();
        for listener in listeners.filter(|listener| listener.is_admin == admin) {
            for outlet in &listener.outlets {
                tls.add(outlet.address, Arc::clone(&outlet.served));
            }
        }
        tls
    }

    /// Follows the files until the process ends.
    pub(super) async fn follow(mut self) {
        if self.listeners.is_empty() {
            return;
        }
        let mut watch = self.watch();
        loop {
            tokio::select! {
                () = changed(watch.as_mut()) => {}
                () = sleep(LOOK) => {}
            }
            let now = system_time();
            let mut news = false;
            for listener in &mut self.listeners {
                news |= listener.renew(now, &self.metrics) | listener.remind(now);
            }
            if news {
                self.tell(now);
            }
        }
    }

    /// `None` where the system offers no change events; then only polling finds changes.
    fn watch(&self) -> Option<Watch> {
        let files = self.listeners.iter().flat_map(|one| one.files.paths());
        config::watch(files)
            .inspect_err(|error| {
                tracing::info!(%error, "cannot watch the certificate files; polling them every two \
                                        seconds");
            })
            .ok()
    }

    fn tell(&self, now: SystemTime) {
        let mut told = Vec::new();
        for listener in &self.listeners {
            let label = listener.address.to_string();
            let expiry = self.metrics.expiry.with_label_values(&[&label]);
            expiry.set(unix(listener.content.identity.until()));
            let fresh = self.metrics.fresh.with_label_values(&[&label]);
            fresh.set(i64::from(listener.faults.is_empty()));
            for outcome in ["served", "refused"] {
                self.metrics
                    .renewals
                    .with_label_values(&[label.as_str(), outcome]);
            }
            told.push(listener.status(now));
        }
        self.status.certificates.store(Arc::new(told));
    }
}

impl ListenerCertificate {
    /// Reads the files of the ports that serve them, each with whether it offers HTTP/2.
    fn load(
        settings: TlsListener,
        ports: &[(SocketAddr, bool)],
        is_admin: bool,
    ) -> Result<Self, StartError> {
        let address = ports
            .first()
            .map_or(settings.address, |(address, _)| *address);
        let fault = |faults: Vec<String>| StartError::Tls {
            key: if is_admin { "admin.tls" } else { "listen.tls" },
            address,
            faults: faults.join("; "),
        };
        let files = look(&settings);
        let content = read(&settings).map_err(fault)?;
        let serve = |(address, http2): &(SocketAddr, bool)| -> Result<TlsOutlet, Vec<String>> {
            let setup = content.setup(&settings, *http2)?;
            let served = ServedTls::new(setup).map_err(|error| vec![error.to_string()])?;
            Ok(TlsOutlet {
                address: *address,
                http2: *http2,
                served: Arc::new(served),
            })
        };
        let outlets = ports.iter().map(serve).collect::<Result<Vec<_>, _>>();
        Ok(Self {
            address,
            outlets: outlets.map_err(fault)?,
            settings,
            is_admin,
            content,
            files,
            faults: Vec::new(),
            reminded: Instant::now(),
        })
    }

    /// Serves the current content of its files, if all of it can be used.
    fn serve(&mut self) -> Result<(), Vec<String>> {
        let content = read(&self.settings)?;
        for outlet in &self.outlets {
            let setup = content.setup(&self.settings, outlet.http2)?;
            let replaced = outlet.served.replace(setup);
            replaced.map_err(|error| vec![error.to_string()])?;
        }
        self.content = content;
        Ok(())
    }

    /// Serves the current content of the files if it has changed. Returns whether it has.
    fn renew(&mut self, now: SystemTime, metrics: &CertificateMetrics) -> bool {
        let files = self.files.look_again();
        if files == self.files {
            return false;
        }
        self.files = files;
        let label = self.address.to_string();
        let count = |outcome: &str| {
            metrics
                .renewals
                .with_label_values(&[label.as_str(), outcome])
                .inc();
        };
        match self.serve() {
            Ok(()) => {
                self.faults.clear();
                self.reminded = Instant::now();
                count("served");
                tracing::info!(
                    listener = %self.address,
                    expires = %humantime::format_rfc3339_seconds(self.content.identity.until()),
                    client_authorities = self.content.clients.as_ref().map(ClientAuthorities::count),
                    "certificate renewed"
                );
                self.warn(now);
            }
            Err(faults) => {
                count("refused");
                tracing::warn!(
                    listener = %self.address,
                    errors = json(&faults).as_slice(),
                    expires = %humantime::format_rfc3339_seconds(self.content.identity.until()),
                    "renewed certificate rejected; still serving the old one"
                );
                self.faults = faults;
            }
        }
        true
    }

    /// Repeats warnings that are due again. Returns whether any was due.
    fn remind(&mut self, now: SystemTime) -> bool {
        if self.reminded.elapsed() < REMIND {
            return false;
        }
        self.reminded = Instant::now();
        self.warn(now);
        true
    }

    fn warn(&self, now: SystemTime) {
        for doubt in self.doubts(now) {
            tracing::warn!(listener = %self.address, "certificate warning: {doubt}");
        }
    }

    /// What is wrong with what is served, now or soon; each begins with the name of the file.
    fn doubts(&self, now: SystemTime) -> Vec<String> {
        let own = self.content.identity.doubts(now).into_iter();
        let own = own.map(|doubt| (&self.settings.certificate, doubt));
        let clients = self
            .content
            .clients
            .iter()
            .flat_map(|clients| clients.doubts(now));
        let clients = clients.filter_map(|doubt| Some((self.settings.client_ca.as_ref()?, doubt)));
        let lists = self.content.clients.iter();
        let lists = lists.flat_map(|clients| clients.revocation_doubts(now));
        let lists = lists.filter_map(|doubt| Some((self.settings.client_crl.as_ref()?, doubt)));
        let told = own.chain(clients).chain(lists);
        told.map(|(file, doubt)| format!("{} {doubt}", file.display()))
            .collect()
    }

    fn status(&self, now: SystemTime) -> CertificateStatus {
        let mut problems = self.doubts(now);
        problems.extend(self.faults.iter().cloned());
        let clients = self.content.clients.as_ref();
        CertificateStatus {
            listener: self.address,
            certificate: self.settings.certificate.clone(),
            expires: humantime::format_rfc3339_seconds(self.content.identity.until()).to_string(),
            client_ca: self.settings.client_ca.clone(),
            client_authorities: clients.map(ClientAuthorities::count),
            client_crl: self.settings.client_crl.clone(),
            revoked: clients.and_then(ClientAuthorities::revoked),
            problems,
        }
    }
}

fn unix(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    })
}

async fn changed(watch: Option<&mut Watch>) {
    match watch {
        Some(watch) => watch.changed().await,
        None => std::future::pending().await,
    }
}
