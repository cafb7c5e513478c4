//! The gateway under test: the real binary on free ports with a configuration of its own, and all
//! that a test does with it.

#![expect(clippy::expect_used, reason = "a harness fails the test it is used in")]

pub mod config;
pub mod process;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;
use tempfile::TempDir;

use crate::client::raw::RawConnection;
use crate::client::{self, Reply};
use crate::metrics::Metrics;
use crate::wait::{eventually, until};

pub use config::{Endpoint, GatewayConfig, loopback};
pub use process::Process;

/// A running gateway; dropping it kills the process and removes its files.
#[derive(Debug)]
pub struct Gateway {
    pub process: Process,
    client: reqwest::Client,
    rpc: SocketAddr,
    admin: SocketAddr,
    listening: Value,
    folder: Arc<TempDir>,
}

impl Gateway {
    /// Starts it and waits until it is ready to serve.
    pub async fn start(config: GatewayConfig) -> Self {
        let mut gateway = Self::start_unready(config).await;
        gateway.wait_ready().await;
        gateway
    }

    /// Starts it and waits only until it listens: for gateways whose upstreams are not well.
    ///
    /// # Panics
    /// If it ends instead.
    pub async fn start_unready(config: GatewayConfig) -> Self {
        let (file, folder) = write(config);
        Self::attach(Process::run(&file, &[]), folder).await
    }

    /// Starts it with these limits of file descriptors, and waits until it is ready.
    ///
    /// # Panics
    /// If it ends instead.
    pub async fn start_with_descriptors(config: GatewayConfig, soft: usize, hard: usize) -> Self {
        let (file, folder) = write(config);
        let process = Process::run_with_descriptors(&file, soft, hard);
        let mut gateway = Self::attach(process, folder).await;
        gateway.wait_ready().await;
        gateway
    }

    /// Starts a second process that takes the sockets over, tells this one to hand them on, and
    /// waits until the new one is ready. This one then ends by itself.
    pub async fn upgrade(&self) -> Self {
        let successor = self.successor().await;
        self.hand_over_to(successor).await
    }

    /// Starts a second process, which waits for the sockets of this one.
    pub async fn successor(&self) -> Process {
        let process = Process::run(&self.config_file(), &["--upgrade"]);
        let socket = self.upgrade_socket();
        // The new process must wait at the socket before the old one comes to it.
        eventually("the new process to wait for the sockets", || {
            socket.exists()
        })
        .await;
        process
    }

    /// Tells this process to hand its sockets to the one that waits for them.
    pub async fn hand_over_to(&self, successor: Process) -> Self {
        self.process.signal("QUIT");
        let mut new = Self::attach(successor, Arc::clone(&self.folder)).await;
        new.wait_ready().await;
        new
    }

    /// Where a successor waits.
    pub fn upgrade_socket(&self) -> PathBuf {
        self.folder.path().join("upgrade.sock")
    }

    async fn attach(mut process: Process, folder: Arc<TempDir>) -> Self {
        let listening = until("the gateway to listen", || {
            let listening = process.listening();
            let over = listening.is_some() || process.ended().is_some();
            std::future::ready(over.then_some(listening))
        })
        .await;
        process.still_runs().await;
        let listening = listening.expect("the gateway runs");
        let address = |value: Option<&Value>| -> SocketAddr {
            let text = value.and_then(Value::as_str).expect("an address");
            text.parse().expect("an address")
        };
        Self {
            client: client::keep_alive(),
            rpc: address(listening.pointer("/rpc/0")),
            admin: address(listening.get("admin")),
            listening,
            process,
            folder,
        }
    }

    /// Waits until `/ready` says so.
    ///
    /// # Panics
    /// If the gateway ends, or is not ready in time.
    pub async fn wait_ready(&mut self) {
        let url = self.admin_url("/ready");
        let client = self.client.clone();
        until("/ready to be 200, or the end", || {
            let ended = self.process.ended().is_some();
            let request = client.get(&url).send();
            async move { (ended || request.await.ok()?.status() == 200).then_some(()) }
        })
        .await;
        self.process.still_runs().await;
    }

    /// The RPC address.
    pub fn address(&self) -> SocketAddr {
        self.rpc
    }

    /// The RPC URL.
    pub fn url(&self) -> String {
        format!("http://{}/", self.rpc)
    }

    /// The address of the first TLS listener.
    ///
    /// # Panics
    /// If it has none.
    pub fn tls_address(&self) -> SocketAddr {
        let text = self.listening.pointer("/tls/0").and_then(Value::as_str);
        text.and_then(|text| text.parse().ok())
            .expect("a TLS address")
    }

    /// A URL of the admin port.
    pub fn admin_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.admin)
    }

    /// The HTTP client used for this gateway.
    pub fn client(&self) -> &reqwest::Client {
        &self.client
    }

    /// Calls a method.
    pub async fn rpc(&self, method: &str, params: Value) -> Reply {
        self.post(client::call(method, &params)).await
    }

    /// Posts a body as `application/json`.
    pub async fn post(&self, body: impl Into<reqwest::Body>) -> Reply {
        self.send(
            self.client
                .post(self.url())
                .header("content-type", "application/json")
                .body(body),
        )
        .await
    }

    /// Sends a request of the caller's making.
    ///
    /// # Panics
    /// If no complete reply comes.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Reply {
        let response = request.send().await.expect("a reply of the gateway");
        Reply::read(response)
            .await
            .expect("a whole reply of the gateway")
    }

    /// Opens a raw connection to the RPC port.
    pub async fn raw(&self) -> RawConnection {
        RawConnection::open(self.rpc).await
    }

    /// Opens a raw connection to another of its ports.
    pub async fn raw_to(&self, address: SocketAddr) -> RawConnection {
        RawConnection::open(address).await
    }

    /// Scrapes the metrics.
    pub async fn metrics(&self) -> Metrics {
        Metrics::parse(&self.admin("/metrics").await.text())
    }

    /// What `/status` shows.
    pub async fn status(&self) -> Value {
        self.admin("/status").await.json()
    }

    /// Waits until so many requests at least are under way.
    pub async fn until_in_flight(&self, count: u64) {
        until("requests to be under way", || async {
            let under_way = self.status().await.get("in_flight")?.as_u64();
            (under_way >= Some(count)).then_some(())
        })
        .await;
    }

    /// Gets a path of the admin port.
    pub async fn admin(&self, path: &str) -> Reply {
        self.send(self.client.get(self.admin_url(path))).await
    }

    /// Asks for a reload over the admin port.
    pub async fn reload(&self) -> Reply {
        self.send(self.client.post(self.admin_url("/-/reload")))
            .await
    }

    /// The configuration file.
    pub fn config_file(&self) -> PathBuf {
        self.folder.path().join("gateway.yaml")
    }

    /// Replaces the configuration file, at once and whole. The upgrade socket is kept.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn write_config(&self, config: GatewayConfig) {
        let socket = self.folder.path().join("upgrade.sock");
        let config = config.set("runtime.upgrade_socket", socket.display().to_string());
        self.write_file(&config.text());
    }

    /// Replaces the configuration file by any text.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn write_file(&self, text: &str) {
        let new = self.folder.path().join("gateway.yaml.new");
        std::fs::write(&new, text).expect("the configuration is written");
        std::fs::rename(&new, self.config_file()).expect("the configuration is replaced");
    }

    /// Sends SIGTERM.
    pub fn sigterm(&self) {
        self.process.signal("TERM");
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }
}

/// Writes a configuration into a folder of its own.
fn write(config: GatewayConfig) -> (PathBuf, Arc<TempDir>) {
    let folder = TempDir::new().expect("a temporary folder");
    let file = folder.path().join("gateway.yaml");
    let socket = folder.path().join("upgrade.sock");
    let config = config.set("runtime.upgrade_socket", socket.display().to_string());
    std::fs::write(&file, config.text()).expect("the configuration is written");
    (file, Arc::new(folder))
}
