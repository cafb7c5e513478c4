//! File descriptors: as many as the process may have, and how many of them clients get.

use crate::config::Config;

/// Reserved for the process itself: files, listeners, runtimes, the admin port, Redis, and
/// connections that are being refused.
const OWN: usize = 64;
/// Assumed where the limit cannot be read: POSIX guarantees this much, and most systems give more.
const UNKNOWN: u64 = 1024;

/// Without so many the program cannot even start its runtimes and serve a few clients.
const LEAST: u64 = 128;

/// The process may not open enough files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the open file limit is {0}, and at least {LEAST} are needed; raise it with `ulimit -n` or \
     systemd's LimitNOFILE"
)]
pub struct TooFewDescriptors(u64);

/// The limit of open files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Descriptors {
    pub limit: u64,
}

impl Descriptors {
    /// Raises the soft limit to the hard one.
    ///
    /// # Errors
    /// Too few even for the process itself.
    pub(super) fn raise() -> Result<Self, TooFewDescriptors> {
        let before = rlimit::Resource::NOFILE.get_soft();
        let raised = rlimit::increase_nofile_limit(u64::MAX);
        let limit = raised
            .as_ref()
            .or(before.as_ref())
            .map_or(UNKNOWN, |limit| *limit);
        let descriptors = Self { limit };
        let clients = descriptors.clients();
        match raised {
            Ok(_) => tracing::info!(limit, was = before.ok(), clients, "open file limit"),
            Err(error) => {
                tracing::warn!(%error, limit, clients, "open file limit not raised");
            }
        }
        if limit < LEAST {
            return Err(TooFewDescriptors(limit));
        }
        Ok(descriptors)
    }

    /// Maximum number of client connections: half of what is left, because each client's call may
    /// need a connection to an upstream.
    pub(super) fn clients(self) -> usize {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        (limit.saturating_sub(OWN) / 2).max(1)
    }
}

impl Descriptors {
    /// Lowers the upstreams' connection ceilings to what is left for them together.
    pub(super) fn fit(self, config: &mut Config) {
        let left = self.clients();
        let asked: usize = config
            .upstreams
            .iter()
            .map(|one| one.connections_ceiling)
            .sum();
        if asked <= left {
            return;
        }
        let each = (left / config.upstreams.len().max(1)).max(1);
        for upstream in &mut config.upstreams {
            upstream.connections_ceiling = upstream.connections_ceiling.min(each);
            upstream.connections = upstream.connections.min(each);
        }
        tracing::warn!(
            limit = self.limit,
            connections_ceiling = each,
            "open file limit too low for all upstream connections; connections_ceiling of each \
             upstream reduced until it is raised"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    #[test]
    fn upstreams_share_what_is_left_for_them() {
        let fitted = |limit, ceilings: &[usize]| {
            let text = r#"upstreams:
  - {id: one, url: "http://a", tier: local}
  - {id: two, url: "http://b", tier: local}"#;
            let mut config = config::parse(text, &config::ProcessEnvironment::new("."))
                .unwrap()
                .config;
            for (upstream, ceiling) in config.upstreams.iter_mut().zip(ceilings) {
                upstream.connections = *ceiling;
                upstream.connections_ceiling = *ceiling;
            }
            Descriptors { limit }.fit(&mut config);
            let upstreams = config.upstreams.into_iter();
            let both = upstreams.map(|one| (one.connections, one.connections_ceiling));
            both.collect::<Vec<_>>()
        };
        assert_eq!(fitted(164, &[20, 30]), [(20, 20), (30, 30)]);
        assert_eq!(fitted(164, &[1024, 10]), [(25, 25), (10, 10)]);
        assert_eq!(fitted(0, &[5, 5]), [(1, 1), (1, 1)]);
    }

    #[test]
    fn clients_get_half_of_what_the_process_does_not_need_itself() {
        for (limit, clients) in [
            (0, 1),
            (64, 1),
            (160, 48),
            (1024, 480),
            (u64::MAX, usize::MAX / 2 - 32),
        ] {
            assert_eq!(Descriptors { limit }.clients(), clients, "{limit}");
        }
    }
}
