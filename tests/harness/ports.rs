//! Ports for gateways: known before they start, and out of reach of everything that takes any free
//! port, so that tests can run side by side.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the range from which systems hand out ports.
const FIRST: u16 = 12_000;
const LAST: u16 = 31_900;
/// Each test process begins elsewhere.
const STRIDE: u16 = 700;

static TAKEN: AtomicU16 = AtomicU16::new(0);

/// A port nobody else of this process is given, and on which nobody listens.
///
/// # Panics
/// If there is none left.
pub fn take() -> u16 {
    let span = u32::from(LAST - FIRST);
    let start = std::process::id() % (span / u32::from(STRIDE)) * u32::from(STRIDE);
    for _ in 0..span {
        let offset = start + u32::from(TAKEN.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(u32::from(FIRST) + offset % span).unwrap_or(FIRST);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free between {FIRST} and {LAST}");
}
