//! File descriptors: as many as the process may have, and how many of them clients get.

/// For the process itself: files, listeners, runtimes, the admin port, Redis, and connections that
/// are being refused.
const OWN: usize = 64;
/// Where limits cannot be asked for, this is what POSIX guarantees and more than most systems give.
const UNKNOWN: u64 = 1024;

/// What there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Descriptors {
    pub limit: u64,
}

impl Descriptors {
    /// Raises the soft limit to the hard one.
    pub(super) fn raise() -> Self {
        let before = rlimit::Resource::NOFILE.get_soft();
        let raised = rlimit::increase_nofile_limit(u64::MAX);
        let limit = raised
            .as_ref()
            .or(before.as_ref())
            .map_or(UNKNOWN, |limit| *limit);
        let descriptors = Self { limit };
        let clients = descriptors.clients();
        match raised {
            Ok(_) => tracing::info!(limit, was = before.ok(), clients, "file descriptors"),
            Err(error) => {
                tracing::warn!(%error, limit, clients, "file descriptors cannot be raised");
            }
        }
        descriptors
    }

    /// Most connections of clients: half of what is left. The call of each may need a connection to
    /// an upstream.
    pub(super) fn clients(self) -> usize {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        (limit.saturating_sub(OWN) / 2).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
