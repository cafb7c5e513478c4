//! Log levels of Pingora's own lines: what any client can cause, and what the gateway logs itself,
//! needs no operator's attention.

use std::time::Duration;

use log::{Level, Record};
use parking_lot::Mutex;
use tokio::time::Instant;

/// Prefix of all of Pingora's modules.
const PINGORA: &str = "pingora";

/// Caused by what a client sends, or by its disconnecting.
const BY_CLIENTS: [&str; 9] = [
    "Downstream handshake",
    "H2 handshake error",
    "tearing down downstream h2 connection",
    "TLS shutdown failed",
    "Peer sent more data than expected",
    "negative content-length",
    "invalid content-length",
    "Failed to parse accept-encoding",
    "HTTP server fails to",
];

/// Logged by the gateway itself, or harmless: the health of an address, and the wait for the new
/// process that takes over the sockets.
const TOLD_ELSEWHERE: [&str; 3] = [
    " becomes unhealthy, ",
    "Connect() not ready, will try again",
    "server not ready, will try again",
];

/// Connections cannot be accepted, mostly because file descriptors are exhausted. Pingora logs this
/// each second.
const NOT_ACCEPTED: &str = "Accept() failed";
/// Minimum time between two such lines.
const APART: Duration = Duration::from_mins(1);

/// Filters Pingora's records for the log.
pub(super) fn judge() -> Box<perijove_core::telemetry::LevelJudge> {
    let told = Mutex::new(None::<Instant>);
    Box::new(move |record: &Record<'_>| {
        let level = record.level();
        if level > Level::Warn || !record.target().starts_with(PINGORA) {
            return level;
        }
        let text = record.args().to_string();
        if text.starts_with(NOT_ACCEPTED) {
            let mut told = told.lock();
            if told.is_some_and(|at| at.elapsed() < APART) {
                return Level::Debug;
            }
            *told = Some(Instant::now());
            return level;
        }
        let elsewhere = TOLD_ELSEWHERE.iter().any(|part| text.contains(part));
        if elsewhere || begins(&text, &BY_CLIENTS) {
            return Level::Debug;
        }
        level
    })
}

fn begins(text: &str, with: &[&str]) -> bool {
    with.iter().any(|begin| text.starts_with(begin))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(judge: &perijove_core::telemetry::LevelJudge, target: &str, text: &str) -> Level {
        let arguments = format_args!("{text}");
        let mut record = Record::builder();
        record.level(Level::Error).target(target);
        judge(&record.args(arguments).build())
    }

    #[test]
    fn what_clients_cause_is_quiet_and_what_ails_the_gateway_is_not() {
        let judge = judge();
        for (text, level) in [
            (
                "Downstream handshake error from 10.0.0.9:4711:  TLSHandshakeFailure",
                Level::Debug,
            ),
            ("Downstream handshake timeout", Level::Debug),
            ("H2 handshake error connection closed", Level::Debug),
            (
                "Peer sent more data than expected: extra 5 bytes",
                Level::Debug,
            ),
            (
                "address 127.0.0.1:1 of v0 becomes unhealthy, probe failed",
                Level::Debug,
            ),
            ("Bootstrap failed on error: NoFd, exiting.", Level::Error),
            ("shutdown_signal error channel closed", Level::Error),
        ] {
            assert_eq!(
                judged(&*judge, "pingora_core::services", text),
                level,
                "{text}"
            );
        }
        let other = judged(&*judge, "rustls", "Downstream handshake error");
        assert_eq!(other, Level::Error, "not Pingora's");
    }

    #[tokio::test(start_paused = true)]
    async fn connections_that_cannot_be_accepted_are_told_once_in_a_while() {
        let judge = judge();
        let said = || judged(&*judge, "pingora_core::services", "Accept() failed: EMFILE");
        assert_eq!(said(), Level::Error);
        tokio::time::advance(Duration::from_secs(59)).await;
        assert_eq!(said(), Level::Debug);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(said(), Level::Error);
    }
}
