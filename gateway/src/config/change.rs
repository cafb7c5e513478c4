//! What a reload cannot apply.

use crate::config::Config;

/// The keys that differ between two configurations and take effect only after a restart (or an
/// upgrade of the running binary).
pub fn restart_only_changes(old: &Config, new: &Config) -> Vec<&'static str> {
    let changes = [
        ("listen.rpc", old.listen.rpc != new.listen.rpc),
        ("listen.tls", old.listen.tls != new.listen.tls),
        (
            "listen.keepalive",
            old.listen.keepalive != new.listen.keepalive,
        ),
        ("listen.h2c", old.listen.h2c != new.listen.h2c),
        ("admin.listen", old.admin.listen != new.admin.listen),
        (
            "runtime.threads",
            old.runtime.threads != new.runtime.threads,
        ),
        (
            "runtime.upgrade_socket",
            old.runtime.upgrade_socket != new.runtime.upgrade_socket,
        ),
        ("log.format", old.log.format != new.log.format),
    ];
    changes
        .into_iter()
        .filter(|(_, changed)| *changed)
        .map(|(key, _)| key)
        .collect()
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
        new.limits.max_batch = 7;
        assert_eq!(
            restart_only_changes(&old, &new),
            ["admin.listen", "log.format"]
        );
    }
}
