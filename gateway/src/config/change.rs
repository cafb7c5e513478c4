//! Changes that a reload cannot apply.

use crate::config::{Config, Otlp};

/// The keys that differ between two configurations and take effect only after a restart (or an
/// upgrade of the running binary).
pub fn restart_only_changes(old: &Config, new: &Config) -> Vec<&'static str> {
    let Config {
        listen,
        admin,
        runtime,
        shutdown,
        log,
        selection,
        telemetry,
        ..
    } = old;
    let changes = [
        ("listen.rpc", listen.rpc != new.listen.rpc),
        ("listen.tls", listen.tls != new.listen.tls),
        ("listen.keepalive", listen.keepalive != new.listen.keepalive),
        ("listen.h2c", listen.h2c != new.listen.h2c),
        ("listen.next_port", listen.next_port != new.listen.next_port),
        ("admin.listen", admin.listen != new.admin.listen),
        ("admin.tls", admin.tls != new.admin.tls),
        ("runtime.threads", runtime.threads != new.runtime.threads),
        (
            "runtime.upgrade_socket",
            runtime.upgrade_socket != new.runtime.upgrade_socket,
        ),
        ("shutdown.delay", shutdown.delay != new.shutdown.delay),
        ("shutdown.grace", shutdown.grace != new.shutdown.grace),
        ("shutdown.linger", shutdown.linger != new.shutdown.linger),
        ("log.format", log.format != new.log.format),
        (
            "selection.floor_entries",
            selection.floor_entries != new.selection.floor_entries,
        ),
    ];
    let exports = export_changes(telemetry.otlp.as_ref(), new.telemetry.otlp.as_ref());
    changes
        .into_iter()
        .chain(exports)
        .filter(|(_, changed)| *changed)
        .map(|(key, _)| key)
        .collect()
}

/// The keys of an export that is set up once. Who is sampled may change.
fn export_changes(old: Option<&Otlp>, new: Option<&Otlp>) -> [(&'static str, bool); 5] {
    let differ = |same: fn(&Otlp, &Otlp) -> bool| match (old, new) {
        (Some(old), Some(new)) => !same(old, new),
        (None, None) => false,
        _ => true,
    };
    [
        (
            "telemetry.otlp.endpoint",
            differ(|old, new| old.endpoint == new.endpoint),
        ),
        (
            "telemetry.otlp.headers",
            differ(|old, new| old.headers == new.headers),
        ),
        (
            "telemetry.otlp.timeout",
            differ(|old, new| old.timeout == new.timeout),
        ),
        (
            "telemetry.otlp.queue",
            differ(|old, new| old.queue == new.queue),
        ),
        (
            "telemetry.otlp.service_name",
            differ(|old, new| old.service_name == new.service_name),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LogFormat;

    #[test]
    fn equal_configurations_need_no_restart() {
        assert!(restart_only_changes(&Config::default(), &Config::default()).is_empty());
    }

    #[test]
    fn only_what_needs_a_restart_is_named() {
        let old = Config::default();
        let mut new = Config::default();
        new.log.format = LogFormat::Pretty;
        new.log.level = "debug".to_owned();
        new.admin.listen = None;
        new.limits.max_batch = Some(7);
        assert_eq!(
            restart_only_changes(&old, &new),
            ["admin.listen", "log.format"]
        );
    }
}
