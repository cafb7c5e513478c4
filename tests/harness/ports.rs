//! Ports for gateways: known before they start, and out of reach of everything that takes any free
//! port, so that tests can run side by side.

use std::fs::File;
use std::net::TcpListener;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the range from which systems hand out ports.
const FIRST: u16 = 12_000;
const BLOCKS: u16 = 28;
const BLOCK: u16 = 700;

/// The first port of this process's block. The lock keeps other test processes out of it: between
/// finding a port free and a gateway listening on it there is time for another to take it.
static OWN: LazyLock<(u16, Option<File>)> = LazyLock::new(|| {
    let own = u16::try_from(std::process::id() % u32::from(BLOCKS)).unwrap_or(0);
    let first = |block: u16| FIRST + block * BLOCK;
    (0..BLOCKS)
        .map(|step| (own + step) % BLOCKS)
        .find_map(|block| Some((first(block), Some(lock(block)?))))
        .unwrap_or((first(own), None))
});

static TAKEN: AtomicU16 = AtomicU16::new(0);

fn lock(block: u16) -> Option<File> {
    let path = std::env::temp_dir().join(format!("perijove-test-ports-{block}.lock"));
    let file = File::create(path).ok()?;
    file.try_lock().ok()?;
    Some(file)
}

/// A port that no other test gets and on which nothing listens.
///
/// # Panics
/// If there is none left.
pub fn take() -> u16 {
    for _ in 0..BLOCK {
        let port = OWN.0 + TAKEN.fetch_add(1, Ordering::Relaxed) % BLOCK;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free from {} on", OWN.0);
}

/// Two ports that follow each other, both as [`take`] gives one.
///
/// # Panics
/// If there are none left.
pub fn take_two() -> u16 {
    for _ in 0..BLOCK {
        let place = TAKEN.fetch_add(2, Ordering::Relaxed) % BLOCK;
        let port = OWN.0 + place;
        let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if place + 1 < BLOCK && free(port) && free(port + 1) {
            return port;
        }
    }
    panic!("no two ports are free from {} on", OWN.0);
}
