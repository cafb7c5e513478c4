//! The metrics of served certificates.

use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};

#[derive(Clone, Debug)]
pub(super) struct CertificateMetrics {
    pub(super) expiry: IntGaugeVec,
    pub(super) renewals: IntCounterVec,
    pub(super) fresh: IntGaugeVec,
}

impl CertificateMetrics {
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
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
