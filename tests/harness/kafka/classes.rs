//! Builds, once per machine, the class archive (CDS) with which brokers start in half the time.

use std::fs::{self, File};
use std::net::TcpStream;

use tokio::task::spawn_blocking;

use crate::kafka::broker::Broker;
use crate::kafka::java::Java;
use crate::kafka::settings::Listener;
use crate::kafka::{PATIENCE, formatted};
use crate::wait::eventually_within;

/// Makes it if it is not there. Others that want it wait meanwhile.
pub(super) async fn ready(java: &'static Java) {
    if java.archive().is_file() {
        return;
    }
    let lock = spawn_blocking(|| {
        let file = File::create(java.archive().with_extension("lock"));
        let file = file.expect("a file in the cache");
        file.lock().expect("a lock in the cache");
        file
    });
    let _lock = lock.await.expect("a lock");
    if !java.archive().is_file() {
        record(java).await;
    }
}

/// Runs a broker for nothing but its classes.
async fn record(java: &'static Java) {
    let (_folder, _authority, mut settings) = formatted(java, 1).await;
    let new = java.archive().with_extension("new");
    let option = format!("-XX:ArchiveClassesAtExit={}", new.display());
    let broker = Broker::start_with(java, settings.remove(0), &[option]);
    let address = broker.address(Listener::Plaintext);
    eventually_within(PATIENCE, "a broker to listen", || {
        broker.assert_alive();
        TcpStream::connect(&address).is_ok()
    })
    .await;
    broker.signal("TERM");
    eventually_within(PATIENCE, "a broker to end", || !broker.alive()).await;
    fs::rename(new, java.archive()).expect("the archive of classes");
}
