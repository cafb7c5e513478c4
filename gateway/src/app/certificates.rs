//! Renews the certificates of the TLS listeners: serves a new one soon after its files change,
//! keeps the old one while the new one cannot be used, and warns before one expires.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use perijove_core::telemetry::json;
use pingora::listeners::tls::TlsSettings;
use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};
use tokio::time::{Instant, sleep};

use super::start_error::StartError;
use super::wall_clock::system_time;
use crate::config::{self, Config, Files, Identity, IdentityFault, TlsListener, Watch};
use crate::edge::{CertificateStatus, GatewayStatus, ServedIdentity};

/// How often the files are checked where change events are missing: for a link further up in the
/// path, or on a file system without such events.
const LOOK: Duration = Duration::from_secs(2);

/// Interval between two warnings about the same certificate.
const REMIND: Duration = Duration::from_hours(12);

/// The certificates of all TLS listeners.
pub(super) struct Certificates {
    listeners: Vec<ListenerCertificate>,
    metrics: CertificateMetrics,
    status: Arc<GatewayStatus>,
}

struct ListenerCertificate {
    address: SocketAddr,
    settings: TlsListener,
    served: Arc<ServedIdentity>,
    identity: Identity,
    /// The files as they were when they were last read.
    files: Files,
    /// Why the current content of the files is not served.
    faults: Vec<String>,
    reminded: Instant,
}

#[derive(Clone, Debug)]
struct CertificateMetrics {
    expiry: IntGaugeVec,
    renewals: IntCounterVec,
    fresh: IntGaugeVec,
}

impl CertificateMetrics {
    fn register(registry: &Registry) -> prometheus::Result<Self> {
        let gauge = |name, text| -> prometheus::Result<IntGaugeVec> {
            let gauge = IntGaugeVec::new(Opts::new(name, text), &["listener"])?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let renewals = IntCounterVec::new(
            Opts::new(
                "perijove_tls_certificate_renewals_total",
                "Changes of a listener's certificate files, by outcome: served or refused",
            ),
            &["listener", "outcome"],
        )?;
        registry.register(Box::new(renewals.clone()))?;
        Ok(Self {
            expiry: gauge(
                "perijove_tls_certificate_expiry_timestamp_seconds",
                "When the certificate that a listener serves expires, in seconds since 1970",
            )?,
            fresh: gauge(
                "perijove_tls_certificate_last_renewal_successful",
                "1 while a listener serves the certificate in its files, 0 after a change that was \
                 refused",
            )?,
            renewals,
        })
    }
}

impl Certificates {
    /// Reads the files of all listeners, in the order of the configuration.
    ///
    /// # Errors
    /// A certificate that cannot be served.
    pub(super) fn load(
        config: &Config,
        addresses: &[SocketAddr],
        registry: &Registry,
        status: Arc<GatewayStatus>,
    ) -> Result<Self, StartError> {
        let metrics = CertificateMetrics::register(registry)?;
        let mut listeners = Vec::new();
        for (settings, address) in config.listen.tls.iter().zip(addresses) {
            let files = look(settings);
            let identity = read(settings).map_err(|faults| StartError::Tls {
                address: *address,
                faults: faults.join("; "),
            })?;
            listeners.push(ListenerCertificate {
                address: *address,
                settings: settings.clone(),
                served: Arc::new(ServedIdentity::new(identity.certified())),
                identity,
                files,
                faults: Vec::new(),
                reminded: Instant::now(),
            });
        }
        let certificates = Self {
            listeners,
            metrics,
            status,
        };
        certificates.tell(system_time());
        Ok(certificates)
    }

    /// TLS settings of each listener and of each WebSocket port above one.
    ///
    /// # Errors
    /// Pingora's; none occurs for these settings.
    pub(super) fn settings(
        &self,
        websocket: &[(SocketAddr, usize)],
    ) -> Result<Vec<(SocketAddr, TlsSettings)>, StartError> {
        let own = self.listeners.iter().map(|listener| {
            let mut settings = listener.settings()?;
            settings.enable_h2();
            Ok((listener.address, settings))
        });
        let beside = websocket.iter().filter_map(|(address, place)| {
            let listener = self.listeners.get(*place)?;
            // HTTP/2 has no WebSocket upgrade.
            Some(listener.settings().map(|settings| (*address, settings)))
        });
        own.chain(beside).collect()
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
            expiry.set(unix(listener.identity.until()));
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
    fn settings(&self) -> Result<TlsSettings, StartError> {
        let mut settings = TlsSettings::intermediate("", "").map_err(|error| StartError::Tls {
            address: self.address,
            faults: error.to_string(),
        })?;
        settings.set_cert_resolver(Arc::<ServedIdentity>::clone(&self.served));
        Ok(settings)
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
        match read(&self.settings) {
            Ok(identity) => {
                self.served.replace(identity.certified());
                self.identity = identity;
                self.faults.clear();
                self.reminded = Instant::now();
                count("served");
                tracing::info!(
                    listener = %self.address,
                    expires = %humantime::format_rfc3339_seconds(self.identity.until()),
                    "certificate renewed"
                );
                self.warn(now);
            }
            Err(faults) => {
                count("refused");
                tracing::warn!(
                    listener = %self.address,
                    errors = json(&faults).as_slice(),
                    expires = %humantime::format_rfc3339_seconds(self.identity.until()),
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
        for doubt in self.identity.doubts(now) {
            let file = self.settings.certificate.display();
            tracing::warn!(listener = %self.address, "certificate warning: {file} {doubt}");
        }
    }

    fn status(&self, now: SystemTime) -> CertificateStatus {
        let mut problems = self.identity.doubts(now);
        problems.extend(self.faults.iter().cloned());
        CertificateStatus {
            listener: self.address,
            certificate: self.settings.certificate.clone(),
            expires: humantime::format_rfc3339_seconds(self.identity.until()).to_string(),
            problems,
        }
    }
}

fn look(settings: &TlsListener) -> Files {
    Files::look_at([&settings.certificate, &settings.key])
}

fn read(settings: &TlsListener) -> Result<Identity, Vec<String>> {
    let text = |file: &std::path::Path| {
        std::fs::read_to_string(file)
            .map_err(|error| vec![format!("cannot read {}: {error}", file.display())])
    };
    let (certificate, key) = (text(&settings.certificate)?, text(&settings.key)?);
    Identity::parse((&settings.certificate, &certificate), (&settings.key, &key)).map_err(
        |faults| {
            let message = |fault: IdentityFault| format!("{}: {}", fault.key, fault.message);
            faults.into_iter().map(message).collect()
        },
    )
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
