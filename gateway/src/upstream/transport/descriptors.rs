//! Detects that the process has run out of file descriptors, which is no upstream's fault and which
//! only the operator can fix: logged once in a while, however many calls meet it.

use std::error::Error;
use std::io;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// `EMFILE` and `ENFILE`: the limit of the process, and that of the host.
const SPENT: [i32; 2] = [24, 23];
/// Minimum time between two log lines.
const APART: Duration = Duration::from_secs(30);

static TOLD: Mutex<Option<Instant>> = Mutex::new(None);

/// Whether an error means that no descriptor is left, which is logged.
pub(in crate::upstream) fn are_spent(error: &(dyn Error + 'static)) -> bool {
    let code = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::raw_os_error);
    let spent = code.is_some_and(|code| SPENT.contains(&code));
    if spent {
        tell(error);
    }
    spent
}

fn tell(error: &(dyn Error + 'static)) {
    let now = Instant::now();
    let mut told = TOLD.lock();
    if told.is_some_and(|at| now.saturating_duration_since(at) < APART) {
        return;
    }
    *told = Some(now);
    drop(told);
    tracing::error!(
        fault = crate::solana::FaultKind::NoDescriptors.label(),
        %error,
        "out of file descriptors for upstream connections; raise the open file limit \
         (`ulimit -n`, LimitNOFILE), or allow fewer connections"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_want_of_descriptors_is_one() {
        for code in SPENT {
            assert!(are_spent(&io::Error::from_raw_os_error(code)));
        }
        assert!(!are_spent(&io::Error::from_raw_os_error(111)));
        assert!(!are_spent(&io::Error::from(io::ErrorKind::TimedOut)));
    }
}
